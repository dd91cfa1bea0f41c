//! The servers that are compared: how each is started, and why one is absent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fastws_bench::Result;
use fastws_bench::frames::{TEXT, push_client_frame};

use crate::dialect::{Dialect, FIRST};
use crate::load::{Swarm, number};
use crate::measure::stay_on_core;
use crate::workloads::Kind;

/// This is one server of the comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    program: Program,
    argument: &'static [&'static str],
    pub(crate) dialect: Dialect,
    /// What a subscriber gets.
    pub(crate) sends: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Program {
    /// A binary of this package.
    Ours(&'static str),
    /// A script in `peers`, run by the Python that is installed there.
    Python(&'static str),
    /// A script in `peers`, run by Node.
    Node(&'static str),
}

/// All servers, the floors first.
pub(crate) const ALL: [Spec; 12] = [
    ours("floor", "floor", "floor", &[], VERBATIM),
    ours("floor-coalesced", "floor, coalesced", "floor", &["coalesce"], VERBATIM),
    ours("floor-json", "floor, JSON", "floor", &["coalesce", "json"], VERBATIM),
    ours(
        "fastws",
        "**fastws**",
        "fastws_server",
        &[],
        "`{\"type\":\"bar\",\"topic\":…,\"payload\":{…}}`, 150 bytes, decoded, checked and encoded again",
    ),
    Spec {
        key: "uwebsockets",
        title: "uWebSockets (socketify)",
        program: Program::Python("socketify_server.py"),
        argument: &[],
        dialect: Dialect::Envelope,
        sends: "the 150 bytes of the publication, as they came; JSON and dispatch are Python's, which weighs on W2",
    },
    ours("axum-tuned", "axum `ws`, tuned", "peer_axum", &["tuned"], VERBATIM),
    ours("axum-naive", "axum `ws`, naive", "peer_axum", &[], VERBATIM),
    ours("fastwebsockets", "fastwebsockets", "peer_fastwebsockets", &[], VERBATIM),
    ours("yawc", "yawc", "peer_yawc", &[], VERBATIM),
    Spec {
        key: "socketioxide",
        title: "socketioxide",
        program: Program::Ours("peer_socketioxide"),
        argument: &[],
        dialect: Dialect::SocketIo,
        sends: "`42[\"bar\",{…}]`, 135 bytes, decoded and encoded again",
    },
    Spec {
        key: "node-ws",
        title: "node `ws`",
        program: Program::Node("node/server.js"),
        argument: &[],
        dialect: Dialect::Envelope,
        sends: VERBATIM,
    },
    Spec {
        key: "fastws-python",
        title: "FastWS 0.1.7 (uvicorn, uvloop)",
        program: Program::Python("fastws_server.py"),
        argument: &[],
        dialect: Dialect::NoIds,
        sends: "`{\"type\":\"bar\",\"payload\":{\"topic\":…}}`, 150 bytes, decoded, checked and encoded again",
    },
];

const VERBATIM: &str = "the 150 bytes of the publication, as they came";

const fn ours(
    key: &'static str,
    title: &'static str,
    program: &'static str,
    argument: &'static [&'static str],
    sends: &'static str,
) -> Spec {
    Spec { key, title, program: Program::Ours(program), argument, dialect: Dialect::Envelope, sends }
}

impl Spec {
    /// Finds a server by its key.
    pub(crate) fn find(key: &str) -> Option<Self> {
        ALL.into_iter().find(|spec| spec.key == key)
    }

    /// Whether it does this work as the others do. The floors that do less would win for nothing.
    pub(crate) fn takes_part_in(&self, kind: Kind) -> bool {
        match self.key {
            "floor" => !matches!(kind, Kind::Ask { .. }),
            "floor-coalesced" => matches!(kind, Kind::Publish { .. }),
            "floor-json" => matches!(kind, Kind::Ask { .. }),
            _ => true,
        }
    }

    /// Whether a failure of this server is a failure of the whole run.
    pub(crate) fn is_essential(&self) -> bool {
        self.key.starts_with("floor") || self.key == "fastws"
    }

    fn command(&self) -> Result<Command> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let (program, script) = match self.program {
            Program::Ours(name) => (folder()?.join(name), None),
            Program::Python(script) => (peers.join(".venv/bin/python"), Some(peers.join(script))),
            Program::Node(script) if !peers.join("node/node_modules").is_dir() => {
                return Err(format!("what peers/{script} needs is not installed").into());
            }
            Program::Node(script) => ("node".into(), Some(peers.join(script))),
        };
        if program.is_absolute() && !program.is_file() {
            let name = program.file_name().unwrap_or_default().display();
            return Err(format!("{name} is not installed, or could not be built").into());
        }
        let mut command = Command::new(program);
        command.args(script);
        Ok(command)
    }
}

/// Where the binaries of this package are.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().ok_or("the program has no folder")?.to_owned())
}

/// This is a server that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) spec: Spec,
    pub(crate) port: u16,
    process: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server on a free port and its own core, and waits until it answers.
    ///
    /// # Errors
    /// One sentence that says why it is absent.
    pub(crate) fn start(spec: Spec) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = folder()?.join(format!("{}.log", spec.key));
        let output = File::create(&log)?;
        let mut command = spec.command()?;
        command.arg(port.to_string()).args(spec.argument).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        stay_on_core(SERVER_CORE)?;
        let process = command.spawn();
        stay_on_core(CLIENT_CORE)?;
        let mut server = Self { spec, port, process: process?, log };
        match server.answers() {
            Ok(()) => Ok(server),
            Err(error) => match server.last_words() {
                Some(words) => Err(format!("{error}: {words}").into()),
                None => Err(error),
            },
        }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed first.
    pub(crate) fn first_words(&self) -> Result<String> {
        let mut line = String::new();
        BufReader::new(File::open(&self.log)?).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn last_words(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        log.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    fn answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("it ended with {status}").into());
            }
            if Instant::now() > deadline {
                return Err("it does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut question = Vec::new();
        push_client_frame(&mut question, TEXT, self.spec.dialect.ask(FIRST).as_bytes());
        let mut swarm = Swarm::connect(self.port, self.spec.dialect, 1)?;
        swarm.send(0, &question)?;
        swarm.receive_until(|_, text| match number(text, "\"id\"") {
            Some(FIRST) => Ok(true),
            _ => Err(format!("not an answer: {}", String::from_utf8_lossy(text)).into()),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const SERVER_CORE: usize = 0;
/// Where the driver and its load client run.
pub(crate) const CLIENT_CORE: usize = 1;
