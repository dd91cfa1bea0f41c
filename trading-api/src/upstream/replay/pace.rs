use std::{fmt, str::FromStr, time::Duration};

use tokio::time::{Instant, sleep_until};

/// This is how fast recorded time passes; `1`, `2.5`, `10x` or `max` in a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it happened; above zero.
    Times(f64),
    /// Without waiting.
    Max,
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Speed {
    type Err = BadSpeed;

    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse().unwrap_or(f64::NAN);
        if times > 0.0 && times < f64::INFINITY { Ok(Self::Times(times)) } else { Err(BadSpeed(text.to_owned())) }
    }
}

/// This is the answer to a speed that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("speed is `{0}`, want `max` or a number above zero such as 1, 2.5 or 10x")]
pub struct BadSpeed(pub String);

/// Lets recorded times pass at a speed.
///
/// Time is measured from an anchor, not from message to message, so that delays do not add up.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    anchor: Option<(Instant, i64)>,
    last: i64,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, anchor: None, last: 0 }
    }

    /// Waits until what was recorded at this time, in milliseconds, is due. The first is due at
    /// once.
    pub(super) async fn wait(&mut self, recorded: i64) {
        let Speed::Times(times) = self.speed else { return };
        if recorded.abs_diff(self.last) > LONGEST_PAUSE {
            self.anchor = None;
        }
        self.last = recorded;
        let (instant, start) = *self.anchor.get_or_insert_with(|| (Instant::now(), recorded));
        // What lies before the anchor is overdue.
        let passed = Duration::from_millis(recorded.saturating_sub(start).try_into().unwrap_or(0));
        let due =
            Duration::try_from_secs_f64(passed.as_secs_f64() / times).ok().and_then(|wait| instant.checked_add(wait));
        if let Some(due) = due.filter(|due| *due > Instant::now()) {
            sleep_until(due).await;
        }
    }
}

/// A longer pause, or a step back in time, is the seam between two recordings or a broken clock:
/// nobody waits for that. Ten minutes in milliseconds.
const LONGEST_PAUSE: u64 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    async fn waited(speed: &str, recorded: &[i64]) -> u128 {
        let mut pace = Pace::new(speed.parse().expect("a speed"));
        let start = Instant::now();
        for time in recorded {
            pace.wait(*time).await;
        }
        start.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn recorded_time_passes_at_the_chosen_speed() {
        let recorded = [1_723_161_253_937, 1_723_161_254_937, 1_723_161_263_937];
        assert_eq!(waited("1", &recorded).await, 10_000);
        assert_eq!(waited("10x", &recorded).await, 1_000);
        assert_eq!(waited("max", &recorded).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_seam_between_recordings() {
        let day = 86_400_000;
        assert_eq!(waited("1", &[day, day + 5, 2 * day, 2 * day + 7, 0, 30]).await, 5 + 7 + 30);
    }

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        assert_eq!(Speed::Times(10.0).to_string().parse(), Ok(Speed::Times(10.0)));
        assert_eq!(Speed::Max.to_string().parse(), Ok(Speed::Max));
        for wrong in ["0", "-1", "fast", "inf", "nan", ""] {
            assert_eq!(wrong.parse::<Speed>(), Err(BadSpeed(wrong.to_owned())));
        }
    }
}
