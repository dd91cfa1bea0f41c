//! Reading documents, wherever they are, and `lint`, `client` and `diff`.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use fastws_asyncapi::{Contract, client};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{Server, fastws, fastws_reading, file, path};

fn small() -> Value {
    json!({
        "asyncapi": "2.4.0",
        "info": { "title": "Clock", "version": "1", "description": "The time." },
        "channels": { "/ws": { "publish": { "message": {
            "name": "clock.ask",
            "payload": {
                "type": "object",
                "required": ["type"],
                "properties": { "type": { "const": "clock.ask" }, "payload": { "$ref": "#/components/schemas/Zone" } },
            },
        } } } },
        "components": { "schemas": { "Zone": { "type": "object", "properties": { "zone": { "type": "string" } } } } },
    })
}

#[tokio::test]
async fn a_document_is_a_file_an_address_or_standard_input_in_json_or_yaml() {
    let server = Server::start().await;
    let document = server.document();
    let yaml = serde_yaml::to_string(&document).expect("YAML");
    let in_file = file(&document);
    let [docs, socket] = [server.docs(), server.socket()];
    let addresses = [path(&in_file).to_owned(), format!("{docs}.json"), format!("{docs}.yaml"), docs, socket];
    let expected = client::typescript(&Contract::of(&document).expect("a contract"));
    for address in &addresses {
        let told = fastws(&["client", "typescript", address]).await;
        assert_eq!((told.code, told.out.as_str()), (0, expected.as_str()), "{address}: {}", told.err);
    }
    for input in [document.to_string(), yaml] {
        for arguments in [&["client", "typescript"][..], &["client", "typescript", "-"]] {
            let told = fastws_reading(&input, arguments).await;
            assert_eq!((told.code, told.out.as_str()), (0, expected.as_str()), "{}", told.err);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_document_is_told_in_a_sentence() {
    let server = Server::start().await;
    let home = format!("http://{}/nowhere.json", server.address);
    for (source, sentence) in [
        ("nowhere.json", "cannot read the file nowhere.json"),
        ("localhost:8000", "begins with http://"),
        ("ftp://example.com/a.json", "is no address of a document"),
        (home.as_str(), "the server answered 404"),
        ("http://127.0.0.1:1/a.json", "refused"),
    ] {
        let told = fastws(&["lint", source]).await;
        assert!(told.code == 2 && told.out.is_empty() && told.err.contains(sentence), "{source}: {told:?}");
    }
    for (input, sentence) in [("{", "not JSON"), ("a: [1", "not YAML"), ("{}", "no `asyncapi` version")] {
        let told = fastws_reading(input, &["client", "python", "-"]).await;
        assert!(told.code == 2 && told.err.contains(sentence), "{input}: {told:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_sent_and_never_printed() {
    const TOKEN: &str = "open-sesame";
    let answer = |headers: HeaderMap| async move {
        match headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}")) {
            true => (StatusCode::OK, small().to_string()),
            false => (StatusCode::UNAUTHORIZED, String::new()),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/asyncapi.json", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(axum::serve(listener, Router::new().route("/asyncapi.json", get(answer))).into_future());
    let told = fastws(&["client", "python", &url]).await;
    assert!(told.code == 2 && told.err.contains("401; give a token with --token"), "{told:?}");
    let told = fastws(&["client", "python", &url, "--token", TOKEN]).await;
    assert_eq!(told.code, 0, "{told:?}");
    // It reaches the document, and fails at the socket, which is not there.
    let told = fastws(&["call", &url, "clock.ask", "--token", TOKEN]).await;
    assert!(told.code == 2 && !told.err.contains(TOKEN) && told.err.contains("cannot connect"), "{told:?}");
    serving.abort();
}

#[tokio::test]
async fn a_token_goes_to_no_host_that_only_the_document_names() {
    let mut document = small();
    document["servers"] = json!({ "elsewhere": { "url": "ws://elsewhere.invalid", "protocol": "ws" } });
    let text = document.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/asyncapi.json", listener.local_addr().expect("an address"));
    let routes = Router::new().route("/asyncapi.json", get(move || std::future::ready(text)));
    let serving = tokio::spawn(axum::serve(listener, routes).into_future());
    let told = fastws(&["call", &url, "clock.ask", "--token", "open-sesame"]).await;
    assert!(told.code == 2 && told.err.contains("the token is not sent to ws://elsewhere.invalid/ws"), "{told:?}");
    serving.abort();
}

#[tokio::test]
async fn lint_prints_findings_and_fails_on_errors() {
    let server = Server::start().await;
    let told = fastws(&["lint", "--deny", "warnings", &format!("{}.json", server.docs())]).await;
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told:?}");
    server.stop().await;

    let mut document = small();
    document["components"]["schemas"] = json!({});
    let broken = file(&document);
    let told = fastws(&["lint", path(&broken)]).await;
    assert_eq!(told.code, 1, "{told:?}");
    let values = told.values();
    let error = values.iter().find(|value| value["severity"] == "error").expect("an error");
    assert!(["rule", "path", "message"].iter().all(|key| error[key].is_string()), "{error}");
    let told = fastws(&["lint", "--format", "text", path(&broken)]).await;
    assert!(told.code == 1 && told.out.contains("error /channels") && told.out.contains(" error"), "{told:?}");
    assert!(!told.out.contains('\u{1b}'), "a pipe gets no colours");
    let told = fastws(&["lint", "--format", "text", "--color", "always", path(&broken)]).await;
    assert!(told.out.contains('\u{1b}'), "unless it is asked for them");
}

#[tokio::test]
async fn client_writes_a_file_when_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("api.py");
    let document = file(&small());
    let output = output.to_str().expect("a path");
    let told = fastws(&["client", "python", path(&document), "--output", output]).await;
    assert!(told.code == 0 && told.out.is_empty() && told.err.contains("api.py"), "{told:?}");
    let contract = Contract::of(&small()).expect("a contract");
    assert_eq!(std::fs::read_to_string(output).expect("it is there"), client::python(&contract));
    let told = fastws(&["client", "react", path(&document), "-o", "/nowhere/api.tsx"]).await;
    assert!(told.code == 2 && told.err.contains("cannot write /nowhere/api.tsx"), "{told:?}");
}

/// Point 37 of the checklist, where CI meets it.
#[tokio::test]
async fn point_37_diff_fails_when_something_breaks() {
    let mut changed = small();
    changed["components"]["schemas"]["Zone"]["required"] = json!(["zone"]);
    let (old, new) = (file(&small()), file(&changed));
    let told = fastws(&["diff", path(&old), path(&new)]).await;
    assert_eq!(told.code, 1, "{told:?}");
    let change = &told.values()[0];
    assert_eq!((change["impact"].as_str(), change["message"].as_str()), (Some("breaking"), Some("clock.ask")));
    assert_eq!(change["path"], "/payload/zone");
    let told = fastws(&["diff", "--format", "text", path(&new), path(&old)]).await;
    assert!(told.code == 0 && told.out.contains("clock.ask/payload/zone: it may be missing now"), "{told:?}");
    let told = fastws(&["diff", path(&old), path(&old)]).await;
    assert_eq!((told.code, told.out.as_str()), (0, ""));
    let told = fastws_reading(&small().to_string(), &["diff", "-", path(&new)]).await;
    assert_eq!(told.code, 1, "{told:?}");
    let told = fastws(&["diff", "-", "-"]).await;
    assert!(told.code == 2 && told.err.contains("only one of the two"), "{told:?}");
}

/// The document that the service writes is read back as what it was.
#[tokio::test]
async fn point_37_diff_reads_what_a_service_writes() {
    let server = Server::start().await;
    let mut changed = server.document();
    let shrunk = changed.pointer_mut("/components/schemas/Bar/properties").and_then(Value::as_object_mut);
    shrunk.expect("the fields of a bar").remove("close");
    let changed = file(&changed);
    let url = format!("{}.yaml", server.docs());
    let told = fastws(&["diff", &url, path(&changed)]).await;
    assert!(told.code == 1 && told.out.contains("/payload/close"), "{told:?}");
    for same in [".json", "/3.0.0.json", "/3.1.0.yaml"] {
        let told = fastws(&["diff", &url, &format!("{}{same}", server.docs()), "--deny", "warnings"]).await;
        assert_eq!((told.code, told.out.as_str()), (0, ""), "{same}: {told:?}");
    }
    server.stop().await;
}
