//! What the command is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// What an AsyncAPI document promises, and whether a server keeps it.
///
/// A document is a file, an http(s) address, or `-` for standard input; JSON or YAML, AsyncAPI 2.x or 3.x.
#[derive(Parser, Debug)]
#[command(name = "fastws", version, about, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,

    /// How to print: for people, or one JSON value a line; by itself, JSON when standard output is no terminal
    #[arg(long, global = true, value_name = "FORM", default_value = "auto")]
    pub(crate) format: Format,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  all is well
  1  a finding, a breaking change, a failed check, or the server refused the request
  2  wrong usage, no document, or no connection

Environment:
  FASTWS_TOKEN             the token, instead of --token
  NO_COLOR                 no colours
  SSL_CERT_FILE            whom to trust, instead of whom the machine trusts
  HTTPS_PROXY, HTTP_PROXY  how to reach documents; sockets are reached directly

Examples:
  fastws lint asyncapi.yaml
  fastws diff old.json new.json
  fastws client typescript http://localhost:8000/api/v1/ws/asyncapi.json > api.ts
  fastws call http://localhost:8000/api/v1/ws/asyncapi.json ping
  fastws listen ws://localhost:8000/api/v1/ws bars:AAPL:1
  fastws conform http://localhost:8000/api/v1/ws/asyncapi";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Lint(Lint),
    Client(Client),
    Diff(Diff),
    Call(Call),
    Listen(Listen),
    Conform(Conform),
    /// Print what a shell needs to complete this command
    #[command(after_help = "Examples:\n  source <(fastws completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, of the whole or of one command
    #[command(after_help = "Examples:\n  fastws man > fastws.1\n  fastws man call | man -l -")]
    Man {
        /// One command's page
        command: Option<String>,
    },
}

/// This is when there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into a pipe
    Always,
    /// Not at all
    Never,
}

/// This is how things are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text on a terminal, else JSON
    Auto,
    /// For people
    Text,
    /// One JSON value a line
    Json,
}

/// How documents and sockets are reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct Access {
    /// Sent as `Authorization: Bearer`, never printed
    #[arg(long, env = "FASTWS_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// How long to wait for the server, each time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// Where an API is.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The address of the document, the docs page or the socket (ws://…); or a file, whose first server is taken
    #[arg(value_name = "URL")]
    pub(crate) target: String,

    /// The document, when it is not near the socket
    #[arg(long, value_name = "DOCUMENT")]
    pub(crate) document: Option<String>,

    #[command(flatten)]
    pub(crate) access: Access,
}

/// This is what may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Denied {
    /// Warnings fail too
    Warnings,
}

/// Find what is wrong with a document
#[derive(Args, Debug)]
#[command(after_help = "\
Prints nothing else than findings. As JSON, one a line:
  {\"rule\":…,\"severity\":\"error\"|\"warning\",\"path\":…,\"message\":…}

Exit codes: 0 no errors, 1 errors (or warnings that are denied), 2 no document.")]
pub(crate) struct Lint {
    /// A file, an address, or - for standard input
    #[arg(default_value = "-")]
    pub(crate) document: String,

    /// What else fails
    #[arg(long, value_name = "WHAT")]
    pub(crate) deny: Option<Denied>,

    #[command(flatten)]
    pub(crate) access: Access,
}

/// Write a typed client
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  fastws client typescript asyncapi.json > api.ts
  trading-api --print-asyncapi | fastws client python > api.py")]
pub(crate) struct Client {
    /// The language
    pub(crate) language: Language,

    /// A file, an address, or - for standard input
    #[arg(default_value = "-")]
    pub(crate) document: String,

    /// Where to write it, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) access: Access,
}

/// This is what a client is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// One file without dependencies, for browsers and Node
    Typescript,
    /// The hooks that stand beside the TypeScript client
    React,
    /// One file for asyncio
    Python,
}

/// Tell what a new document breaks for clients of the old one
#[derive(Args, Debug)]
#[command(after_help = "\
Direction decides: a request may ask for less but not for more, the server may say more but not less. A new value of an
enum or a new kind of message is a warning. As JSON, one change a line:
  {\"impact\":\"breaking\"|\"warning\"|\"compatible\",\"message\":…,\"path\":…,\"sentence\":…}

Exit codes: 0 nothing breaks, 1 something does (or warns, and warnings are denied), 2 no document.

Examples:
  git show main:asyncapi.json | fastws diff - asyncapi.json")]
pub(crate) struct Diff {
    /// What clients were made for: a file, an address, or - for standard input
    pub(crate) old: String,

    /// What they will meet
    pub(crate) new: String,

    /// What else fails
    #[arg(long, value_name = "WHAT")]
    pub(crate) deny: Option<Denied>,

    #[command(flatten)]
    pub(crate) access: Access,
}

/// Send one request and print its reply
#[derive(Args, Debug)]
#[command(after_help = "\
The reply's payload is printed to standard output, its type and latency to standard error; so is an error, with its
code, sentence and details.

Exit codes: 0 a reply, 1 an error instead or a payload that the document refuses, 2 no document, no connection, no answer.

Examples:
  fastws call http://localhost:8000/api/v1/ws/asyncapi.json bars.subscribe '{\"symbol\":\"AAPL\"}'
  echo '{\"timestamp\":1}' | fastws call ws://localhost:8000/api/v1/ws simple.ping - | jq .server_time")]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The operation, such as bars.subscribe
    pub(crate) operation: String,

    /// The payload: JSON, @FILE, or - for standard input
    #[arg(allow_negative_numbers = true)]
    pub(crate) payload: Option<String>,

    /// Send the payload even if the document refuses it
    #[arg(long)]
    pub(crate) no_check: bool,
}

/// Subscribe and print updates as they come
#[derive(Args, Debug)]
#[command(after_help = "\
As JSON, each frame is printed as it came, one a line. When the connection is lost, it is opened again and the
subscription with it; standard error tells. Ctrl-C unsubscribes and ends.

Exit codes: 0 stopped, or all that was asked for has come; 1 the server refused; 2 no document, no connection.

Examples:
  fastws listen ws://localhost:8000/api/v1/ws bars:AAPL:1
  fastws listen ws://localhost:8000/api/v1/ws quotes.subscribe '{\"symbols\":[\"AAPL\",\"MSFT\"]}' --count 10")]
pub(crate) struct Listen {
    #[command(flatten)]
    pub(crate) target: Target,

    /// A topic such as bars:AAPL:1, or the operation that subscribes, such as bars.subscribe
    #[arg(value_name = "TOPIC|OPERATION")]
    pub(crate) topic: String,

    /// The operation's payload: JSON, @FILE, or - for standard input
    pub(crate) payload: Option<String>,

    /// End after this many updates
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// End after this long
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) time: Option<Duration>,
}

/// Test a running server against its own document
#[derive(Args, Debug)]
#[command(after_help = "\
Groups:
  health   the document, the handshake, the built-in ping, mistakes and how they are answered
  trading  every request: its examples are accepted, its reply is as documented, what its schema refuses is refused
  market   every topic: the subscribe reply, the updates, their end

Each check is a sentence that is true when it passes. Every frame that comes has to be exactly one of the document's
messages. The documented examples are really sent, so test a server on which that does no harm, or use --skip.
As JSON, one check a line, then the sum:
  {\"group\":…,\"check\":…,\"outcome\":\"passed\"|\"failed\"|\"skipped\",\"reason\":…}
  {\"passed\":…,\"failed\":…,\"skipped\":…}

Exit codes: 0 nothing has failed, 1 something has, 2 no document.

Examples:
  fastws conform http://localhost:8000/api/v1/ws/asyncapi
  fastws conform ws://localhost:8000/api/v1/ws market --wait 30")]
pub(crate) struct Conform {
    #[command(flatten)]
    pub(crate) target: Target,

    /// Which checks
    #[arg(default_value = "all")]
    pub(crate) group: Group,

    /// An operation that is not to be called; may be given several times, and end with *
    #[arg(long, value_name = "OPERATION")]
    pub(crate) skip: Vec<String>,

    /// How long to wait for a topic's first update
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) wait: Duration,
}

/// This is a part of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Topics
    Market,
    /// Requests
    Trading,
    /// The connection
    Health,
    /// All three
    All,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds, such as 10 or 0.5".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "give a number of seconds above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
