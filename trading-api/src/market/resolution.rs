use std::{fmt, str::FromStr};

/// This is the length of time one bar covers.
///
/// Each resolution is a whole multiple of all finer ones, so bars of a finer one fold into bars of
/// a coarser one without rest. Written as charts write them: minutes, `D` or `W`; `1D` and `1W` are
/// read as well.
///
/// ```
/// use trading_api::market::Resolution;
///
/// let resolution: Resolution = "1D".parse()?;
/// assert_eq!(resolution, Resolution::Day);
/// assert_eq!(resolution.to_string(), "D");
/// # Ok::<(), trading_api::market::UnknownResolution>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resolution {
    /// One minute, `1`.
    OneMinute,
    /// Five minutes, `5`.
    FiveMinutes,
    /// Fifteen minutes, `15`.
    FifteenMinutes,
    /// Thirty minutes, `30`.
    ThirtyMinutes,
    /// One hour, `60`.
    OneHour,
    /// Four hours, `240`.
    FourHours,
    /// One UTC day, `D`.
    Day,
    /// One week, from Monday 00:00 UTC, `W`.
    Week,
}

impl Resolution {
    /// All resolutions, the finest first.
    pub const ALL: [Self; 8] = [
        Self::OneMinute,
        Self::FiveMinutes,
        Self::FifteenMinutes,
        Self::ThirtyMinutes,
        Self::OneHour,
        Self::FourHours,
        Self::Day,
        Self::Week,
    ];

    /// The length of one bar in milliseconds.
    pub const fn millis(self) -> i64 {
        match self {
            Self::OneMinute => MINUTE,
            Self::FiveMinutes => 5 * MINUTE,
            Self::FifteenMinutes => 15 * MINUTE,
            Self::ThirtyMinutes => 30 * MINUTE,
            Self::OneHour => 60 * MINUTE,
            Self::FourHours => 240 * MINUTE,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
        }
    }

    /// The start of the bar that `time` falls into; both are milliseconds since 1970, UTC.
    pub const fn bucket(self, time: i64) -> i64 {
        let into = match self {
            // The epoch was a Thursday, three days into its week.
            Self::Week => (time.rem_euclid(7 * DAY) + 3 * DAY) % (7 * DAY),
            _ => time.rem_euclid(self.millis()),
        };
        time.saturating_sub(into)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::OneMinute => "1",
            Self::FiveMinutes => "5",
            Self::FifteenMinutes => "15",
            Self::ThirtyMinutes => "30",
            Self::OneHour => "60",
            Self::FourHours => "240",
            Self::Day => "D",
            Self::Week => "W",
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Resolution {
    type Err = UnknownResolution;

    fn from_str(text: &str) -> Result<Self, UnknownResolution> {
        match text {
            "1D" => Ok(Self::Day),
            "1W" => Ok(Self::Week),
            _ => Self::ALL
                .into_iter()
                .find(|resolution| resolution.name() == text)
                .ok_or_else(|| UnknownResolution(text.to_owned())),
        }
    }
}

/// This is the answer to a resolution that the market has no bars for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown resolution `{0}`, want 1, 5, 15, 30, 60, 240, D or W")]
pub struct UnknownResolution(pub String);

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_displayed_parses_back() {
        for resolution in Resolution::ALL {
            assert_eq!(resolution.to_string().parse(), Ok(resolution));
        }
    }

    #[test]
    fn a_wrong_resolution_is_answered_with_the_right_ones() {
        let error = "7".parse::<Resolution>().expect_err("seven minutes are not offered");
        assert_eq!(error.to_string(), "unknown resolution `7`, want 1, 5, 15, 30, 60, 240, D or W");
    }

    #[test]
    fn a_week_starts_on_monday() {
        let thursday = 1_723_161_255_000; // 2024-08-08 23:54:15
        let monday = 1_722_816_000_000; // 2024-08-05 00:00:00
        assert_eq!(Resolution::Week.bucket(thursday), monday);
        assert_eq!(Resolution::Week.bucket(monday), monday);
        assert_eq!(Resolution::Week.bucket(monday - 1), monday - 7 * DAY);
    }

    #[test]
    fn times_before_1970_fall_into_the_bucket_that_began_before_them() {
        assert_eq!(Resolution::OneMinute.bucket(-1), -MINUTE);
        assert_eq!(Resolution::Day.bucket(-1), -DAY);
        assert_eq!(Resolution::Week.bucket(-1), -3 * DAY);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_time_and_starts_where_finer_buckets_start(
            time in -4_000_000_000_000_i64..4_000_000_000_000,
            which in 0..Resolution::ALL.len(),
        ) {
            let resolution = Resolution::ALL[which];
            let start = resolution.bucket(time);
            prop_assert!(start <= time && time < start + resolution.millis());
            prop_assert_eq!(resolution.bucket(start), start);
            for finer in &Resolution::ALL[..which] {
                prop_assert_eq!(finer.bucket(start), start);
                prop_assert_eq!(resolution.bucket(finer.bucket(time)), start);
            }
        }
    }
}
