//! A progress bar for venues that have an end.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::{Monitor, Phase};

/// Draws how far a replay is, on standard error, until it ends; draws nothing when standard error
/// is not a terminal. Spawn it beside the venue:
///
/// ```no_run
/// # use trading_api::{market::Market, upstream::{Venue, VenueError, progress, replay::{Replay, Speed}}};
/// # async fn replay() -> Result<(), VenueError> {
/// let venue = Box::new(Replay::open(vec!["session.txt.gz".into()], Speed::Max)?);
/// tokio::spawn(progress::draw(venue.monitor()));
/// let summary = venue.run(Market::default()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn draw(monitor: Monitor) {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3}% of {total_bytes}, {msg}, {elapsed}")
        .expect("the template above is well-formed");
    let bar = ProgressBar::new(monitor.status().bytes_total).with_style(style);
    if bar.is_hidden() {
        return;
    }
    let mut before = 0;
    loop {
        let status = monitor.status();
        let per_second = (status.messages - before) * PER_SECOND;
        before = status.messages;
        bar.set_position(status.bytes_read);
        bar.set_message(format!("{} messages, {}/s", HumanCount(status.messages), HumanCount(per_second)));
        if status.phase == Phase::Ended {
            return bar.finish();
        }
        tokio::time::sleep(Duration::from_secs(1) / PER_SECOND as u32).await;
    }
}

/// How often it is drawn.
const PER_SECOND: u64 = 4;
