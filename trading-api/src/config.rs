//! What the program is told: the command line, the environment, a file, and defaults, in this order of precedence.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use serde::Deserialize;

use crate::upstream::replay::{BadSpeed, Speed};

/// A live trading API: bars and quotes over one documented WebSocket.
///
/// Each setting is taken from the command line, else from the environment, else from the file that `--config` names,
/// else it has its default.
#[derive(Parser, Debug, Default)]
#[command(name = "trading-api", version, about, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Where to listen [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS", env = "TRADING_API_LISTEN")]
    pub listen: Option<SocketAddr>,

    /// Where prices come from [default: simulator, or replay when there is something to replay]
    #[arg(long, env = "TRADING_API_VENUE")]
    pub venue: Option<VenueKind>,

    /// A recorded session of Binance or Bitfinex, plain or gzip; several are played one after the other
    #[arg(long, value_name = "PATH", env = "TRADING_API_REPLAY", value_delimiter = ',', num_args = 1..)]
    pub replay: Vec<PathBuf>,

    /// How fast a recording is played: 1 is as it was, 10 is ten times that, max is as fast as possible [default: 1]
    #[arg(long, value_name = "N|max", env = "TRADING_API_SPEED")]
    pub speed: Option<Speed>,

    /// What the simulator's prices are made of; the same seed makes the same prices [default: 1]
    #[arg(long, value_name = "NUMBER", env = "TRADING_API_SEED")]
    pub seed: Option<u64>,

    /// A TOML file with any of: listen, venue, replay, speed, seed
    #[arg(long, value_name = "FILE", env = "TRADING_API_CONFIG")]
    pub config: Option<PathBuf>,

    /// Print the AsyncAPI document, of version 2.4.0, 3.0.0 or 3.1.0, and exit
    #[arg(long, value_name = "VERSION", num_args = 0..=1, default_missing_value = "2.4.0")]
    pub print_asyncapi: Option<fastws::Version>,
}

const AFTER_HELP: &str = "\
Examples:
  trading-api
  trading-api --replay session.txt.gz --speed max
  TRADING_API_LISTEN=127.0.0.1:9000 trading-api --seed 7

The level of the log is set by RUST_LOG, for example RUST_LOG=debug.";

/// This is where prices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueKind {
    /// Invented, plausible prices
    Simulator,
    /// Recorded sessions
    Replay,
}

/// This is the configuration, complete and consistent.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where prices come from.
    pub venue: Venue,
}

/// This is the chosen venue with what it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Venue {
    /// Invented prices.
    Simulator {
        /// What they are made of.
        seed: u64,
    },
    /// Recorded sessions.
    Replay {
        /// The recordings, in order; at least one.
        paths: Vec<PathBuf>,
        /// How fast they are played.
        speed: Speed,
    },
}

/// This is what is wrong with the configuration: the key, its value, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `--config {}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("`{}` is no configuration: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        message: String,
    },
    /// A value in the file is not allowed.
    #[error("`{}`: `{key}` is `{value}`, {allowed}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A replay without a recording.
    #[error("`venue` is `replay`, which needs a recording: add `--replay PATH`")]
    NothingToReplay,
    /// A recording for the simulator.
    #[error("`venue` is `simulator`, which plays no recording: leave out `--replay`, or set `--venue replay`")]
    ReplayWithoutVenue,
    /// The simulator has no speed.
    #[error("`speed` is `{0}`, but only a replay has a speed: leave it out, or add `--replay PATH`")]
    SpeedWithoutReplay(Speed),
}

/// The settings as a file has them.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    venue: Option<String>,
    replay: Option<Paths>,
    speed: Option<SpeedValue>,
    seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Paths {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpeedValue {
    Integer(i64),
    Number(f64),
    Text(String),
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8000);
const DEFAULT_SEED: u64 = 1;

impl Arguments {
    /// Completes the arguments with the file and the defaults.
    ///
    /// # Errors
    /// What is wrong, with its key, its value and what is allowed.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = self.config.as_deref().map(Arguments::read).transpose()?.unwrap_or_default();
        let replay = if self.replay.is_empty() { file.replay } else { self.replay };
        let speed = self.speed.or(file.speed);
        let kind = self.venue.or(file.venue);
        let venue = match kind {
            Some(VenueKind::Replay) if replay.is_empty() => return Err(ConfigError::NothingToReplay),
            Some(VenueKind::Simulator) if !replay.is_empty() => return Err(ConfigError::ReplayWithoutVenue),
            Some(VenueKind::Replay) | None if !replay.is_empty() => {
                Venue::Replay { paths: replay, speed: speed.unwrap_or(Speed::Times(1.0)) }
            }
            _ => match speed {
                Some(speed) => return Err(ConfigError::SpeedWithoutReplay(speed)),
                None => Venue::Simulator { seed: self.seed.or(file.seed).unwrap_or(DEFAULT_SEED) },
            },
        };
        Ok(Config { listen: self.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN), venue })
    }

    /// Reads a file into the same form. Paths in it are relative to it.
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let malformed =
            |error: toml::de::Error| ConfigError::Malformed { path: path.to_owned(), message: error.to_string() };
        let file: File = toml::from_str(&text).map_err(malformed)?;
        let bad = |key, value: &str, allowed: String| ConfigError::BadValue {
            path: path.to_owned(),
            key,
            value: value.to_owned(),
            allowed,
        };
        let listen = file.listen.as_deref().map(|value| {
            value.parse().map_err(|_| bad("listen", value, "want an address and a port, as in `127.0.0.1:8000`".into()))
        });
        let venue = file.venue.as_deref().map(|value| {
            VenueKind::from_str(value, false).map_err(|_| bad("venue", value, "want `simulator` or `replay`".into()))
        });
        let speed = file.speed.map(|value| match value {
            SpeedValue::Integer(value) => value.to_string(),
            SpeedValue::Number(value) => value.to_string(),
            SpeedValue::Text(value) => value,
        });
        let speed = speed.map(|value| {
            value.parse().map_err(|BadSpeed(_)| bad("speed", &value, "want `max` or a number above zero".into()))
        });
        let replay = match file.replay {
            None => Vec::new(),
            Some(Paths::One(one)) => vec![one],
            Some(Paths::Several(several)) => several,
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self {
            listen: listen.transpose()?,
            venue: venue.transpose()?,
            replay: replay.into_iter().map(|recording| folder.join(recording)).collect(),
            speed: speed.transpose()?,
            seed: file.seed,
            ..Self::default()
        })
    }
}
