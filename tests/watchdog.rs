//! A handler that blocks its thread is named in a warning.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastws::testing::TestClient;
use fastws::{FastWs, State, send};
use tracing_subscriber::fmt::MakeWriter;

/// This is what was logged so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).contains(words)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Keeps its thread until somebody complains.
#[send("reports.build", reply = "reports.build.response")]
async fn build_report(State(log): State<Log>) -> bool {
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience && !log.says("reports.build") {
        std::thread::yield_now();
    }
    log.says("reports.build")
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_is_named() {
    let log = Log::default();
    tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).with_max_level(tracing::Level::WARN).init();
    let ws = FastWs::builder().state(log.clone()).build().expect("a service");
    let mut client = TestClient::connect(&ws).await;
    assert_eq!(client.request("reports.build", ()).await, Ok(true.into()));
    assert!(log.says("a handler blocks its thread"));
}
