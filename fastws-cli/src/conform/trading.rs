//! Requests: what the document shows is accepted, what it refuses is refused.

use fastws_asyncapi::{Mutation, Request, TopicUseRole, mutations};
use serde_json::Value;

use super::report::{Outcome, Report, Verdict};
use super::witness::{expect_reply, told};
use super::{Subject, witness::Witness};
use crate::Stop;
use crate::print::counted;
use crate::schema::{brief, faults};
use crate::socket::frame;

const GROUP: &str = "trading";

pub(super) async fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Stop> {
    let sent: Vec<_> = subject.requests().map(|request| request.message.name.as_str()).collect();
    report.note(format_args!("sending the documented examples of {}, and wrong payloads", sent.join(", ")));
    for request in &subject.endpoint.contract.requests {
        let name = &request.message.name;
        if subject.skips(request) {
            let check = format!("`{name}` is accepted and refused as documented");
            report.tell(GROUP, check, Verdict::skipped("it was asked to be left alone"))?;
            continue;
        }
        let examples: Vec<_> = request.message.examples.iter().map(|example| example.get("payload")).collect();
        let count = counted(examples.len(), "example is", "examples are");
        let accepted = examples_are_accepted(subject, request, &examples).await;
        let needs_more = accepted.clone().err().or(match &accepted {
            Ok(Verdict::Skipped(_)) if !examples.is_empty() => Some("its examples need a permission".into()),
            _ => None,
        });
        report.tell(GROUP, format!("`{name}`: {count} accepted, the reply is as documented"), accepted)?;

        let example = examples.first().copied().flatten();
        let (count, refused) = match needs_more {
            Some(_) => (0, Verdict::skipped("its examples are not accepted")),
            None => wrong_payloads_are_refused(subject, request, example).await,
        };
        if count > 0 || refused.is_err() {
            let payloads = counted(count, "wrong payload is", "wrong payloads are");
            report.tell(GROUP, format!("`{name}`: {payloads} refused, the field is named"), refused)?;
        }
    }
    Ok(())
}

async fn examples_are_accepted(subject: &Subject<'_>, request: &Request, examples: &[Option<&Value>]) -> Outcome {
    if examples.is_empty() {
        return Verdict::skipped("the document gives no example");
    }
    let schema = subject.schemas.compile(&request.message.frame)?;
    let mut client = subject.connect().await?;
    for &payload in examples {
        subscribe_first(&mut client, subject, request, payload).await?;
        if request.reply.is_none() {
            let id = client.id();
            client.send_text(&frame(request, &id, payload).to_string()).await;
            client.nothing_wrong(&payload.map_or("no payload".into(), brief)).await?;
            continue;
        }
        let answer = client.ask(request, payload).await?;
        if let Some(code) = answer["payload"]["code"].as_str().filter(|_| answer["type"] == "error")
            && ["unauthenticated", "forbidden", "token_expired"].contains(&code)
        {
            return Verdict::skipped(format!("it needs a permission: {}", told(&answer)));
        }
        expect_reply(request, payload, answer)?;
        let Some(Value::Object(members)) = payload else { continue };
        let mut more = members.clone();
        more.insert("x_conform".into(), true.into());
        let more = Value::Object(more);
        if faults(&schema, &frame(request, &"id".into(), Some(&more))).is_empty() {
            let answer = client.ask(request, Some(&more)).await?;
            // What was done once may not be done twice; only the field must not be to blame.
            if answer["type"] != "error" || answer["payload"]["code"] == "invalid_payload" {
                expect_reply(request, Some(&more), answer).map_err(|why| format!("with an unknown field, {why}"))?;
            }
        }
    }
    Ok(Verdict::Passed)
}

/// What is to be ended has to have begun.
async fn subscribe_first(
    client: &mut Witness<'_>,
    subject: &Subject<'_>,
    request: &Request,
    payload: Option<&Value>,
) -> Result<(), String> {
    let begins = |other: &&Request| match other.topic.as_ref().map(|topic| &topic.role) {
        Some(TopicUseRole::Subscribe { unsubscribe, .. }) => {
            unsubscribe.as_deref() == Some(request.message.name.as_str())
        }
        _ => false,
    };
    if let Some(begin) = subject.requests().find(begins) {
        client.ask(begin, payload).await?;
    }
    Ok(())
}

/// Sends what the schema refuses; returns how many payloads that were.
async fn wrong_payloads_are_refused(
    subject: &Subject<'_>,
    request: &Request,
    example: Option<&Value>,
) -> (usize, Outcome) {
    if subject.endpoint.contract.error.is_none() {
        return (1, Verdict::skipped("the document has no `error` message"));
    }
    if !request.message.has_id {
        return (1, Verdict::skipped("without an id, an error cannot be told from another's"));
    }
    let schema = match subject.schemas.compile(&request.message.frame) {
        Ok(schema) => schema,
        Err(why) => return (0, Err(why)),
    };
    let (Some(payload), Some(example)) = (&request.message.payload, example) else {
        return (0, Verdict::skipped("there is no payload that could be wrong"));
    };
    let id = "id".into();
    let is_wrong = |made: &Mutation| !faults(&schema, &frame(request, &id, Some(&made.payload))).is_empty();
    let wrong = mutations(example, payload, &subject.endpoint.contract.schemas).into_iter().filter(is_wrong);
    let wrong: Vec<_> = wrong.collect();
    let count = wrong.len();
    for some in wrong.chunks(MOST_MISTAKES) {
        if let Err(why) = are_refused(subject, request, some, Some(example)).await {
            return (count, Err(why));
        }
    }
    (count, Ok(Verdict::Passed))
}

/// More mistakes than this on one connection, and a server may well close it.
const MOST_MISTAKES: usize = 8;

async fn are_refused(
    subject: &Subject<'_>,
    request: &Request,
    wrong: &[Mutation],
    example: Option<&Value>,
) -> Result<(), String> {
    let mut client = subject.connect().await?;
    for mutation in wrong {
        let what = &mutation.what;
        let answer = client.ask(request, Some(&mutation.payload)).await.map_err(|why| format!("{what}: {why}"))?;
        if answer["type"] != "error" {
            let sent = brief(&mutation.payload);
            return Err(format!("{what} ({sent}) is accepted, which the schema refuses"));
        }
        subject.expect_code(&answer, "invalid_payload").map_err(|why| format!("{what}: {why}"))?;
        if subject.documents("details") && !mutation.path.is_empty() && !names(&answer, &mutation.path) {
            let details = &answer["payload"]["details"];
            return Err(format!("{what}: the details do not name {}: {details}", mutation.path));
        }
    }
    if request.reply.is_some() {
        client.accepted(request, example).await.map_err(|why| format!("afterwards, {why}"))?;
    }
    Ok(())
}

/// Whether an error's details name a field: the field itself, something in it, or what it is in and then its name.
fn names(answer: &Value, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let details = answer["payload"]["details"].as_array().into_iter().flatten();
    details.into_iter().any(|detail| {
        let told = detail["path"].as_str().unwrap_or_default();
        let says = detail["message"].as_str().unwrap_or_default();
        told == path || told.starts_with(&format!("{path}/")) || told == parent && says.contains(name)
    })
}
