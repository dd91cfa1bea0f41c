//! The Python client, generated from the trading API's document, at work against the trading API.

mod server;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use fastws::Contract;
use fastws::client::python;
use serde_json::Value;
use server::program::PROGRAM;
use server::{has_tool, market, repository};
use tokio::process::Command;

/// Runs Python in a folder; it has a minute for each thing.
async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut python = Command::new(repository(".venv/bin/python"));
    python
        .args(arguments)
        .current_dir(folder)
        .env("TRADING_API", PROGRAM)
        .env("ASYNCAPI", folder.join("asyncapi.json"));
    let output = python.kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, output).await.expect("Python ends in time").expect("Python runs")
}

const PATIENCE: Duration = Duration::from_secs(180);

fn assert_success(output: &Output) {
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[tokio::test]
async fn the_client_passes_mypy_and_works_with_every_operation_through_cuts_and_restarts() {
    if !has_tool(".venv/bin/mypy") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let ws = trading_api::service(&market().0).expect("a service");
    let document = trading_api::docs(([127, 0, 0, 1], 8000).into()).document(&ws);
    let module = python(&Contract::of(&document).expect("a contract"));
    std::fs::write(folder.join("client.py"), module).expect("written");
    std::fs::write(folder.join("asyncapi.json"), document.to_string()).expect("written");
    std::fs::copy(repository("tests/clients/test_client.py"), folder.join("test_client.py")).expect("copied");
    assert_success(&run(folder, &["-m", "mypy", "--strict", "client.py", "test_client.py"]).await);
    assert_success(&run(folder, &["-X", "dev", "-W", "error", "-m", "unittest", "test_client"]).await);
}

/// What a hostile or merely odd document says stays within its quotes, and its shapes are types that mypy understands.
#[tokio::test]
async fn odd_documents_give_modules_that_pass_mypy_and_do_nothing_when_imported() {
    if !has_tool(".venv/bin/mypy") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let document: Value =
        serde_json::from_slice(&std::fs::read(repository("tests/clients/odd.json")).expect("readable")).expect("JSON");
    let module = python(&Contract::of(&document).expect("a contract"));
    std::fs::write(folder.join("client.py"), module).expect("written");
    std::fs::copy(repository("tests/clients/use_odd.py"), folder.join("use_odd.py")).expect("copied");
    assert_success(&run(folder, &["-m", "mypy", "--strict", "client.py", "use_odd.py"]).await);
    assert_success(&run(folder, &["-X", "dev", "-W", "error", "use_odd.py"]).await);
    assert!(!folder.join("broken_out").exists(), "a text of the document was run");
}
