//! The program itself, as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// Where it is.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_trading-api");

/// This is a running program; it is killed when it goes out of scope.
pub struct Program {
    child: Child,
    address: String,
    /// What it prints, line by line.
    lines: Receiver<String>,
}

impl Program {
    /// Starts it on a free port.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (told, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let mut program = Self { child, address: String::new(), lines };
        let line = program.wait_for("http://");
        program.address = line.split("http://").nth(1).expect("an address").trim().to_owned();
        program
    }

    /// The next line that contains a text.
    pub fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("`{text}` did not come: {seen:?}"));
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    /// How much memory it has for itself, in KB.
    pub fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// A request over HTTP that is answered with JSON.
    pub fn get(&self, path: &str) -> Value {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(&self.address).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
    }
}

/// How long a test waits for the program before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
