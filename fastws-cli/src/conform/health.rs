//! The connection: the document, the handshake, the built-in ping, and how mistakes are answered.

use fastws_asyncapi::{Request, Severity, lint};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::Uri;

use super::Subject;
use super::report::{Outcome, Report, Verdict};
use super::witness::{Brought, Witness, expect_reply, told};
use crate::Stop;
use crate::document::{fetch, shown};
use crate::schema::faults;
use crate::socket::{Closed, Socket, frame};

const GROUP: &str = "health";

pub(super) async fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Stop> {
    let contract = &subject.endpoint.contract;
    report.tell(GROUP, "the document can be read", Ok(Verdict::Passed))?;
    report.tell(GROUP, "the document has no errors", has_no_errors(subject))?;
    report.tell(GROUP, "the document tells the heartbeat, the lifespan and the close codes", tells_limits(subject))?;
    report.tell(GROUP, "the health endpoint says ok", says_ok(subject))?;
    for url in &contract.urls {
        let check = format!("the documented address {} answers", shown(url));
        report.tell(GROUP, check, address_answers(subject, url).await)?;
    }
    let opens = subject.connect().await.map(|_| Verdict::Passed);
    let is_open = opens.is_ok();
    report.tell(GROUP, "the socket opens", opens)?;
    if !is_open {
        return Ok(());
    }
    let probe = probe(subject);
    report.tell(GROUP, "`ping` is answered with its own payload", ping_echoes(subject).await)?;
    for (kind, id) in [("a string", json!("conform")), ("a number", json!(7))] {
        let check = format!("an id that is {kind} comes back as it was");
        report.tell(GROUP, check, id_comes_back(subject, probe, &id).await)?;
    }
    let check = "an unknown operation is answered `unknown_operation`, and the connection lives on";
    report.tell(GROUP, check, unknown_is_told(subject, probe).await)?;
    report.tell(GROUP, "a mistyped operation is told the right name", mistyped_is_helped(subject).await)?;
    let check = "malformed JSON is answered `malformed_message`, and closes with 1003 or not at all";
    report.tell(GROUP, check, is_refused(subject, probe, Mistake::NoJson).await)?;
    let check = "a binary message is refused, and closes with 1003 or not at all";
    report.tell(GROUP, check, is_refused(subject, probe, Mistake::Binary).await)?;
    Ok(())
}

fn has_no_errors(subject: &Subject<'_>) -> Outcome {
    let findings = lint(&subject.endpoint.document.tree);
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    match errors.next() {
        None => Ok(Verdict::Passed),
        Some(first) => Err(format!("{first}; `fastws lint` tells all")),
    }
}

fn tells_limits(subject: &Subject<'_>) -> Outcome {
    let contract = &subject.endpoint.contract;
    let missing: Vec<_> = [
        ("heartbeat", contract.heartbeat.is_none()),
        ("lifespan", contract.lifespan.is_none()),
        ("close codes", contract.close_codes.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if missing.is_empty() {
        return Ok(Verdict::Passed);
    }
    Verdict::skipped(format!("the document tells no {}", missing.join(", no ")))
}

/// A health endpoint is where the socket is, if there is one.
fn says_ok(subject: &Subject<'_>) -> Outcome {
    let Ok(uri) = subject.endpoint.socket.parse::<Uri>() else { return Verdict::skipped("the socket has no host") };
    let scheme = if uri.scheme_str() == Some("wss") { "https" } else { "http" };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let parent = uri.path().trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    let url = format!("{scheme}://{host}{parent}/health");
    let place = shown(&url);
    let (status, text) = match fetch(&url, subject.access) {
        Ok(answer) => answer,
        Err(why) => return Verdict::skipped(format!("there is none at {place}: {why}")),
    };
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    match (status, answer["status"].as_str()) {
        (404 | 405, _) => Verdict::skipped(format!("there is none at {place}")),
        (200..=299, None | Some("ok" | "OK" | "up" | "UP" | "healthy" | "pass")) => Ok(Verdict::Passed),
        (200..=299, Some(word)) => Err(format!("{place} says `{word}`")),
        _ => Err(format!("{place} answers {status}")),
    }
}

async fn address_answers(subject: &Subject<'_>, url: &str) -> Outcome {
    let host = |url: &str| url.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.as_str().to_owned()));
    if host(url) != host(&subject.endpoint.socket) {
        return Verdict::skipped("it is another host than the one under test");
    }
    Socket::connect(url, subject.access).await.map(|_| Verdict::Passed)
}

/// A request that does no harm: the built-in ping, or else one that needs nothing and touches no topic.
fn probe<'a>(subject: &'a Subject<'_>) -> Option<&'a Request> {
    let is_harmless = |request: &&Request| {
        request.reply.is_some() && request.message.has_id && !request.message.needs_payload && request.topic.is_none()
    };
    let all: Vec<_> = subject.requests().filter(is_harmless).collect();
    all.iter().find(|request| request.message.name == "ping").or_else(|| all.first()).copied()
}

const NO_PROBE: &str = "the document has no request that needs no payload";
const NO_ERROR: &str = "the document has no `error` message";

async fn ping_echoes(subject: &Subject<'_>) -> Outcome {
    let Some(ping) = subject.requests().find(|request| request.message.name == "ping") else {
        return Verdict::skipped("the document has no `ping`");
    };
    let sent = json!({ "conform": 7 });
    let schema = subject.schemas.compile(&ping.message.frame)?;
    if !faults(&schema, &frame(ping, &json!("id"), Some(&sent))).is_empty() {
        return Verdict::skipped("the document's `ping` has a payload of its own");
    }
    let reply = subject.connect().await?.accepted(ping, Some(&sent)).await?;
    if reply["payload"]["conform"] == 7 {
        return Ok(Verdict::Passed);
    }
    Err(format!("{sent} comes back as {}", reply["payload"]))
}

async fn id_comes_back(subject: &Subject<'_>, probe: Option<&Request>, id: &Value) -> Outcome {
    let Some(probe) = probe else { return Verdict::skipped(NO_PROBE) };
    let mut client = subject.connect().await?;
    client.send_text(&frame(probe, id, None).to_string()).await;
    let reply = probe.reply.as_ref().map_or("", |reply| reply.name.as_str());
    let is_answer = |frame: &Value| frame["type"] == reply || frame["type"] == "error";
    let answer = client.answer(&format!("`{}`", probe.message.name), is_answer).await?;
    if answer["id"] == *id {
        return Ok(Verdict::Passed);
    }
    Err(format!("{id} comes back as {}", answer["id"]))
}

/// Sends a name that no operation has; returns the error.
async fn error_of_name(client: &mut Witness<'_>, name: &str) -> Result<Value, String> {
    let id = client.id();
    client.send_text(&json!({ "type": name, "id": id }).to_string()).await;
    let answer = client.answer(&format!("`{name}`"), |frame| frame["type"] == "error" || frame["id"] == id).await?;
    if answer["type"] != "error" {
        return Err(format!("`{name}` is answered `{}`", answer["type"].as_str().unwrap_or_default()));
    }
    if answer["id"] != id {
        return Err(format!("the error has not the request's id: it is {}", answer["id"]));
    }
    Ok(answer)
}

async fn unknown_is_told(subject: &Subject<'_>, probe: Option<&Request>) -> Outcome {
    if subject.endpoint.contract.error.is_none() {
        return Verdict::skipped(NO_ERROR);
    }
    let mut client = subject.connect().await?;
    let error = error_of_name(&mut client, "conform.no_such_operation").await?;
    subject.expect_code(&error, "unknown_operation")?;
    if let Some(probe) = probe {
        client.accepted(probe, None).await.map_err(|why| format!("afterwards: {why}"))?;
    }
    Ok(Verdict::Passed)
}

async fn mistyped_is_helped(subject: &Subject<'_>) -> Outcome {
    if !subject.documents("unknown_operation") {
        return Verdict::skipped("the document has no code `unknown_operation`");
    }
    let contract = &subject.endpoint.contract;
    let longest = contract.requests.iter().map(|request| request.message.name.as_str()).max_by_key(|name| name.len());
    let Some(name) = longest.filter(|name| name.len() > 4) else { return Verdict::skipped("all names are short") };
    let mut mistyped = name.to_owned();
    mistyped.pop();
    if contract.request(&mistyped).is_some() {
        return Verdict::skipped(format!("`{mistyped}` is an operation too"));
    }
    let error = error_of_name(&mut subject.connect().await?, &mistyped).await?;
    match error["payload"]["message"].as_str().is_some_and(|message| message.contains(name)) {
        true => Ok(Verdict::Passed),
        false => Err(format!("of `{mistyped}` the server says: {}", told(&error))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mistake {
    NoJson,
    Binary,
}

/// Makes a mistake that no id can be read from: an error, and then a close or another answer.
async fn is_refused(subject: &Subject<'_>, probe: Option<&Request>, mistake: Mistake) -> Outcome {
    let has_errors = subject.endpoint.contract.error.is_some();
    let mut client = subject.connect().await?;
    match mistake {
        Mistake::NoJson => client.send_text("{\"type\":").await,
        Mistake::Binary => client.send_binary(b"{\"type\":\"ping\"}").await,
    }
    if let Some(probe) = probe {
        client.send_text(&frame(probe, &json!("after"), None).to_string()).await;
    }
    let mut was_told = false;
    loop {
        match client.within(subject.access.timeout).await? {
            Brought::Frame(answer) if answer["type"] == "error" && answer.get("id").is_none() => {
                subject.expect_code(&answer, "malformed_message")?;
                was_told = true;
            }
            Brought::Frame(answer) if answer["id"] == "after" => {
                if was_told {
                    return expect_reply(probe.ok_or(NO_PROBE)?, None, answer).map(|_| Verdict::Passed);
                }
                return Err("it is passed over in silence".into());
            }
            Brought::Frame(_) => {}
            Brought::Closed(closed) if was_told || !has_errors => return is_documented(subject, &closed),
            Brought::Closed(closed) => {
                let told = closed.told(&subject.endpoint.contract);
                return Err(format!("there is no error frame before {told}"));
            }
            Brought::Nothing if was_told => return Ok(Verdict::Passed),
            Brought::Nothing => return Err("there is no answer".into()),
        }
    }
}

/// Whether a connection has ended as the document says that it may.
fn is_documented(subject: &Subject<'_>, closed: &Closed) -> Outcome {
    let codes = &subject.endpoint.contract.close_codes;
    if closed.code != 1003 {
        return Err(closed.told(&subject.endpoint.contract));
    }
    if !codes.is_empty() && !codes.contains_key(&closed.code) {
        return Err(format!("the document does not name the close code {}", closed.code));
    }
    Ok(Verdict::Passed)
}
