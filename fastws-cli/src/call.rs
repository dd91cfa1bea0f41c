//! `fastws call`: one request and its reply.

use std::time::{Duration, Instant};

use fastws_asyncapi::{Contract, Request};
use serde_json::Value;
use tokio::time::timeout;

use crate::Stop;
use crate::arguments::Call;
use crate::document::shown;
use crate::endpoint::Endpoint;
use crate::payload;
use crate::print::{BAD, FAINT, NAME, Printer, colored};
use crate::schema::{Fault, Schemas, faults};
use crate::socket::{Heard, Socket, frame, in_seconds, is_answer};

pub(crate) async fn run(arguments: &Call, printer: &Printer) -> Result<(), Stop> {
    let payload = payload::read(arguments.payload.as_deref())?;
    let endpoint = Endpoint::find(&arguments.target, printer)?;
    let request = find(&endpoint.contract, &arguments.operation)?;
    let id = Value::from("fastws-1");
    let frame = frame(request, &id, payload.as_ref());
    if !arguments.no_check {
        check(&endpoint, request, &frame, printer)?;
    }

    let access = &endpoint.access;
    let mut socket = Socket::connect(&endpoint.socket, access).await.map_err(Stop::Because)?;
    let sent = Instant::now();
    socket.send(frame.to_string()).await;
    let patience = if request.reply.is_some() { access.timeout } else { GRACE };
    let answer = async {
        loop {
            match socket.hear().await {
                Heard::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                    if is_answer(request, &id, &frame) {
                        return Ok(frame);
                    }
                }
                Heard::Binary => {}
                Heard::Closed(closed) => return Err(Stop::because(closed.told(&endpoint.contract))),
            }
        }
    };
    let answer = timeout(patience, answer).await;
    let latency = sent.elapsed();
    let name = &request.message.name;
    match answer {
        Err(_) if request.reply.is_none() => {
            printer.note(format_args!("{FAINT}`{name}` is sent; it has no reply{FAINT:#}"));
        }
        Err(_) => {
            let (place, time) = (shown(&endpoint.socket), in_seconds(patience));
            return Err(Stop::because(format!("{place} does not answer `{name}` within {time}")));
        }
        Ok(answer) => {
            let answer = answer?;
            let kind = answer["type"].as_str().unwrap_or("?");
            printer.note(format_args!("{FAINT}{kind} after {:.1} ms{FAINT:#}", latency.as_secs_f64() * 1000.0));
            let payload = answer.get("payload").unwrap_or(&Value::Null);
            if kind == "error" {
                printer.refusal(payload);
                return Err(Stop::Refused);
            }
            printer.either(colored(payload, true), payload)?;
            if request.reply.as_ref().is_some_and(|reply| reply.name != kind) {
                printer.note(format_args!("{BAD}the document says another reply to `{name}`{BAD:#}"));
            }
        }
    }
    socket.say_goodbye().await;
    Ok(())
}

/// How long to wait for an error where there is no reply: a server may drop what a client began that has gone away.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The request of a name, or a sentence with the nearest names.
pub(crate) fn find<'a>(contract: &'a Contract, name: &str) -> Result<&'a Request, Stop> {
    if let Some(request) = contract.request(name) {
        return Ok(request);
    }
    let names = contract.requests.iter().map(|request| request.message.name.as_str());
    let near = nearest(name, names);
    Err(Stop::because(match &near[..] {
        [] => {
            let all: Vec<_> = contract.requests.iter().map(|request| request.message.name.as_str()).collect();
            format!("no operation is called `{name}`; there are {}", all.join(", "))
        }
        near => format!("no operation is called `{name}`; did you mean `{}`?", near.join("` or `")),
    }))
}

/// The names that are nearest to one, nearest first, at most three.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> = names
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = near.first().map_or(0.0, |(similarity, _)| *similarity);
    near.into_iter().take(3).filter(|(similarity, _)| *similarity > best - 0.05).map(|(_, known)| known).collect()
}

/// Holds a request against the document before it is sent.
pub(crate) fn check(endpoint: &Endpoint, request: &Request, frame: &Value, printer: &Printer) -> Result<(), Stop> {
    let name = &request.message.name;
    let schema = match Schemas::of(&endpoint.document.tree).compile(&request.message.frame) {
        Ok(schema) => schema,
        Err(why) => {
            printer.note(format_args!("the payload is not checked: the schema of `{name}` is none: {why}"));
            return Ok(());
        }
    };
    let faults = faults(&schema, frame);
    if faults.is_empty() {
        return Ok(());
    }
    if frame.get("payload").is_none() && request.message.needs_payload {
        printer.note(format_args!("{BAD}`{name}` needs a payload{BAD:#}"));
    } else {
        printer.note(format_args!("{BAD}the document refuses this payload of `{name}`{BAD:#}"));
        for Fault { path, message } in faults {
            let path = path.strip_prefix("/payload").filter(|path| !path.is_empty()).unwrap_or("/");
            printer.note(format_args!("  {NAME}{path}{NAME:#} {message}"));
        }
    }
    if let Some(payload) = request.message.examples.iter().find_map(|example| example.get("payload")) {
        printer.note(format_args!("  for example: '{payload}'"));
    }
    printer.note(format_args!("{FAINT}nothing was sent; --no-check sends it anyway{FAINT:#}"));
    Err(Stop::Refused)
}
