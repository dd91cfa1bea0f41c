//! The `fastws` command: what an AsyncAPI document promises, and whether a server keeps it.
//!
//! ```text
//! document → lint, client, diff
//! document → endpoint → socket → call, listen, conform
//! ```

mod arguments;
mod call;
mod client;
mod conform;
mod diff;
mod document;
mod endpoint;
mod lint;
mod listen;
mod manual;
mod payload;
mod print;
mod schema;
mod socket;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::print::Printer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printer = Printer::new(arguments.color, arguments.format);
    // It fails where a provider is there already, and then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match arguments.command {
        Command::Lint(arguments) => lint::run(&arguments, &printer),
        Command::Client(arguments) => client::run(&arguments, &printer),
        Command::Diff(arguments) => diff::run(&arguments, &printer),
        Command::Call(arguments) => call::run(&arguments, &printer).await,
        Command::Listen(arguments) => listen::run(&arguments, &printer).await,
        Command::Conform(arguments) => conform::run(&arguments, &printer).await,
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { command } => manual::man(command.as_deref()),
    };
    match ended {
        Ok(()) | Err(Stop::Unheard) => ExitCode::SUCCESS,
        Err(Stop::Refused) => ExitCode::from(1),
        Err(Stop::Because(sentence)) => {
            printer.complain(&sentence);
            ExitCode::from(2)
        }
    }
}

/// This is why a command ends before its end.
#[derive(Debug)]
enum Stop {
    /// Nobody reads any more what it prints.
    Unheard,
    /// It has found something, or was refused something, and has said so.
    Refused,
    /// It cannot do what it was asked for.
    Because(String),
}

impl Stop {
    fn because(sentence: impl Into<String>) -> Self {
        Self::Because(sentence.into())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Unheard,
            _ => Self::Because(format!("cannot write: {error}")),
        }
    }
}
