//! How every server of the benchmark starts: on one port, with one thread, and with as many files as are allowed.

use std::net::{Ipv4Addr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Result;

/// Raises the number of files that this process and its children may open to what is allowed, and returns it.
pub fn allow_many_files() -> Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Listens on the port that the program's first argument names.
pub fn listener() -> Result<TcpListener> {
    let port = std::env::args().nth(1).ok_or("the first argument is the port")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether one of the program's further arguments is `word`.
pub fn is_asked_for(word: &str) -> bool {
    std::env::args().skip(2).any(|argument| argument == word)
}

/// Runs a server on tokio, with one thread, because it has one core.
pub fn run<Served: Future<Output = Result<()>>>(server: impl FnOnce(tokio::net::TcpListener) -> Served) -> Result<()> {
    allow_many_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { server(tokio::net::TcpListener::from_std(listener()?)?).await })
}
