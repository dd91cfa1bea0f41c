//! The TypeScript client, generated from the served document: it compiles, and it does what it says.

mod server;

use std::path::Path;
use std::process::{Command, Stdio};

use fastws::{Contract, client};
use serde_json::{Value, json};
use server::program::Program;
use server::{has_browser, has_tool, repository};
use trading_api::DOCS_PATH;

#[test]
fn the_typescript_client_compiles_and_keeps_its_word() {
    let tools = ["tests/clients/node_modules/typescript", "tests/browser/node_modules/playwright-core"];
    if !tools.into_iter().all(has_tool) || !has_browser() {
        return;
    }
    let folder = repository("tests/clients");
    let document = Program::start(&[]).get(&format!("{DOCS_PATH}.json"));
    let generated = folder.join("generated");
    write_client(&generated, &document);
    write_client(&generated.join("tokens"), &with_tokens(document.clone()));
    std::fs::write(generated.join("document.json"), document.to_string()).expect("written");

    run(&folder, "node_modules/.bin/tsc", &["--project", "."]);
    // For who has Node's types and not the browser's.
    run(&folder, "node_modules/.bin/tsc", &["--project", "tsconfig.node.json"]);
    let tests = ["scripted.test", "trading.test", "browser.test"];
    let sources = tests.map(|test| format!("{test}.ts"));
    let mut arguments = vec!["generated/client.ts", "--bundle", "--platform=node", "--packages=external"];
    arguments.extend(sources.iter().map(String::as_str));
    arguments.extend(["--format=esm", "--outdir=generated/run", "--out-extension:.js=.mjs", "--entry-names=[name]"]);
    run(&folder, "node_modules/.bin/esbuild", &arguments);
    let page = ["page.tsx", "--bundle", "--format=esm", "--jsx=automatic", "--outfile=generated/run/page.mjs"];
    run(&folder, "node_modules/.bin/esbuild", &page);

    let compiled = tests.map(|test| format!("generated/run/{test}.mjs"));
    let mut arguments = vec!["--test", "--test-timeout=120000"];
    arguments.extend(compiled.iter().map(String::as_str));
    run(&folder, "node", &arguments);
}

fn write_client(folder: &Path, document: &Value) {
    let contract = Contract::of(document).expect("a contract");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("client.ts"), client::typescript(&contract)).expect("written");
    std::fs::write(folder.join("useTopic.ts"), client::react(&contract)).expect("written");
}

/// The document as it would be if tokens came in the query.
fn with_tokens(mut document: Value) -> Value {
    let access = json!({ "type": "httpApiKey", "in": "query", "name": "access" });
    document["components"]["securitySchemes"] = json!({ "access": access });
    document
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("TRADING_API", server::program::PROGRAM)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} runs: {error}"));
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {}: {told}{complained}", arguments.join(" "));
}
