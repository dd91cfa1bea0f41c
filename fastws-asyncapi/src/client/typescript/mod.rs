//! The TypeScript client: the document's types, its operations as methods, and a runtime that is the same for all.

mod operations;
mod text;
mod types;

use serde_json::Value;

use self::operations::{members, shown_call};
use self::text::{WIDTH, comment, key, literal_key, quoted};
use self::types::Types;
use super::{FieldKind, ending};
use crate::contract::{Contract, Message, Request, TopicUseRole};

/// Writes the TypeScript client of a contract: one file without dependencies, for browsers and Node.
///
/// Operations are methods by the segments of their names, in camelCase: `bars.subscribe` is `api.bars.subscribe()` and
/// `list_subscriptions` is `api.listSubscriptions()`. A subscribe request has a `stream` beside it. A name that is
/// taken, by the client's own `on`, `close` or `state` for example, gets an underscore: `api.close_()`.
pub fn typescript(contract: &Contract) -> String {
    let runtime = runtime();
    let types = Types::of(contract, &format!("{runtime}{GENERATED_NAMES}"));
    let parts = [
        header(contract),
        heading("What the messages carry"),
        types.payloads(contract),
        heading("The messages themselves"),
        types.frames(contract),
        unions(contract, &types),
        heading("The API"),
        operations::interface(contract, &types),
        maps(contract, &types),
        error_code(contract, &types),
        connect(contract),
        wire(contract),
        heading("The runtime, the same in every client"),
        runtime.to_owned(),
    ];
    parts.concat()
}

/// Writes the React hooks that stand beside the TypeScript client, for a file `useTopic.ts` next to `client.ts`.
pub fn react(contract: &Contract) -> String {
    let stream = members(contract).iter().find_map(operations::Member::first_stream);
    let (name, payload) = stream.map_or(("bars.subscribe", None), |request| {
        (request.message.name.as_str(), operations::shown_payload(request))
    });
    let params = payload.map_or_else(|| "undefined".into(), |payload| operations::shown(&payload));
    let hook = format!("const {{ data, error }} = useTopic(api, {}, {params});", quoted(name));
    REACT.replace("{title}", &safe_line(&contract.title)).replace("{example}", &safe_line(&hook))
}

const RUNTIME: &str = include_str!("runtime.ts");

const REACT: &str = include_str!("useTopic.ts");

/// What follows this line of the runtime is written into clients; what stands before it lets the file be checked alone.
const RUNTIME_BEGINS: &str = "// ---- The runtime begins here ----\n\n";

/// The names of types that are made here.
const GENERATED_NAMES: &str = "Api Operations RequestMap EventMap StreamMap ApiErrorCode ClientFrame ServerFrame WIRE";

fn runtime() -> &'static str {
    RUNTIME.split_once(RUNTIME_BEGINS).map_or(RUNTIME, |(_, runtime)| runtime)
}

fn heading(title: &str) -> String {
    format!("// {} {title}\n\n", "-".repeat(8))
}

/// A text for within a comment, on one line.
fn safe_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control() || "\u{2028}\u{2029}".contains(letter))
        .collect::<Vec<_>>()
        .join(" ")
        .replace("*/", "*\\/")
}

fn header(contract: &Contract) -> String {
    let Contract { title, version, description, .. } = contract;
    let root = members(contract);
    let mut example = vec![
        "    import { connect } from \"./client.ts\";".to_owned(),
        String::new(),
        match contract.urls.first() {
            Some(_) => "    const api = connect();".to_owned(),
            None => format!(
                "    const api = connect({{ url: {} }});",
                quoted(&format!("wss://example.com{}", contract.path))
            ),
        },
    ];
    example.extend(root.iter().find_map(|member| shown_call(member, "api")).into_iter().flatten());
    example.push("    await api.close();".into());
    let example = example.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    let about = [
        format!("{title} {version}: a typed client."),
        description.clone().unwrap_or_default(),
        "Written by fastws from the AsyncAPI document; write it anew when the document changes, and leave it as it is \
         until then."
            .into(),
        example,
        "It connects at once, comes back by itself with its subscriptions when the connection breaks, and ends when \
         `close` is called or the server says not to come back. Browsers and Node 22 have all that it needs; in Node 20 \
         pass the `WebSocket` of the package `ws`."
            .into(),
    ];
    format!("{}\n", comment(0, &about))
}

fn unions(contract: &Contract, types: &Types<'_>) -> String {
    let union = |about: &str, name: &str, messages: Vec<&Message>| {
        let mut frames: Vec<_> = messages.into_iter().map(|message| types.frame(message)).collect();
        let mut seen = std::collections::BTreeSet::new();
        frames.retain(|frame| seen.insert(*frame));
        let about = comment(0, &[about.into()]);
        if frames.is_empty() {
            return format!("{about}export type {name} = never;\n\n");
        }
        let frames: String = frames.iter().map(|frame| format!("\n  | {frame}")).collect();
        format!("{about}export type {name} ={frames};\n\n")
    };
    let sent = contract.requests.iter().map(|request| &request.message).collect();
    union("Whatever a client may send; `type` tells which.", "ClientFrame", sent)
        + &union("Whatever the server sends; `type` tells which.", "ServerFrame", contract.from_server().collect())
}

/// The types by which `request`, `stream` and `on` know what belongs to a name.
fn maps(contract: &Contract, types: &Types<'_>) -> String {
    let mut requests = String::new();
    let mut streams = String::new();
    for request in &contract.requests {
        let name = key(&request.message.name);
        let payload = match operations::payload(request, types) {
            Some((payload, true)) => format!("payload: {payload}"),
            Some((payload, false)) => format!("payload?: {payload} | undefined"),
            None => "payload?: undefined".into(),
        };
        requests += &format!("  {name}: {{ {payload}; reply: {} }};\n", operations::reply(request, types));
        if let Some(frames) = updates(request).map(|updates| operations::update_frames(contract, types, updates)) {
            streams += &format!("  {name}: {frames};\n");
        }
    }
    let events = contract.events.iter().map(|event| &event.message).chain(&contract.error);
    let events: String =
        events.map(|message| format!("  {}: {};\n", key(&message.name), types.frame(message))).collect();
    let map =
        |about: &str, name: &str, members: &str| format!("/** {about} */\nexport interface {name} {{\n{members}}}\n\n");
    map("What each request carries, and what answers it.", "RequestMap", &requests)
        + &map("The updates that each subscribe request brings.", "StreamMap", &streams)
        + &map("What the server sends unasked.", "EventMap", &events)
}

fn error_code(contract: &Contract, types: &Types<'_>) -> String {
    let about = "The words by which errors are told apart; an application adds its own.";
    format!("/** {about} */\nexport type ApiErrorCode = {};\n\n", types.error_code(contract))
}

fn connect(contract: &Contract) -> String {
    let address = match contract.urls.first() {
        Some(url) => format!("`{url}` unless the options name another address."),
        None => "the page's own server unless the options name an address.".into(),
    };
    let about = comment(
        0,
        &[
            format!("Connects to {address}"),
            "The operations are its methods, beside those of the connection itself.".into(),
        ],
    );
    let members = members(contract);
    let operations = operations::literal(&members);
    let callable = if operations::is_any_callable(&members) { CALLABLE } else { "" };
    format!(
        "/** The API: its operations, and the connection that carries them. */\n\
         export type Api = ApiConnection & Operations;\n\n\
         {about}\
         export function connect(options: ConnectOptions = {{}}): Api {{\n  \
           const api = new ApiConnection(WIRE, options);\n  \
           const operations: Operations = {operations};\n  \
           return Object.assign(api, operations);\n\
         }}\n\n\
         {callable}"
    )
}

/// For names that are operations and namespaces at once.
const CALLABLE: &str = "/** A function with members, whatever their names. */
function callable<T extends (...given: never[]) => unknown>(
  call: (...given: Parameters<T>) => ReturnType<T>,
  members: Pick<T, keyof T>,
): T {
  for (const [name, value] of Object.entries(members)) Object.defineProperty(call, name, { value, enumerable: true });
  return call as unknown as T;
}

";

/// What the runtime has to know of the document.
fn wire(contract: &Contract) -> String {
    let mut lines = String::new();
    if let Some(url) = contract.urls.first() {
        lines += &format!("  url: {},\n", quoted(url));
    }
    lines += &format!("  path: {},\n", quoted(&contract.path));
    if let Some(heartbeat) = contract.heartbeat.filter(|seconds| seconds.is_finite() && *seconds > 0.0) {
        lines += &format!("  heartbeat: {heartbeat},\n");
    }
    let ping = contract.request("ping").filter(|ping| !ping.message.needs_payload && ping.reply.is_some());
    if ping.is_some() {
        lines += "  ping: \"ping\",\n";
    }
    if let Some(parameter) = token_query(contract) {
        lines += &format!("  tokenQuery: {},\n", quoted(parameter));
    }
    lines += "  requests: {\n";
    for request in &contract.requests {
        let mut facts = Vec::new();
        facts.extend(request.reply.as_ref().map(|reply| format!("reply: {}", quoted(&reply.name))));
        facts.push(format!("hasId: {}", request.message.has_id));
        match request.topic.as_ref().map(|topic| (&topic.role, &topic.template)) {
            Some((TopicUseRole::Subscribe { updates, .. }, template)) => {
                let updates: Vec<_> = updates.iter().map(|update| quoted(update)).collect();
                facts.push(format!("updates: [{}]", updates.join(", ")));
                if let Some((ending, fields)) = ending(contract, request) {
                    facts.push(format!("unsubscribe: {}", quoted(&ending.message.name)));
                    facts.extend(fields.map(|fields| by_topic(template, &fields)));
                }
            }
            Some((TopicUseRole::Unsubscribe, template)) => facts.push(format!("ends: {}", quoted(template))),
            None => {}
        }
        let name = literal_key(&request.message.name);
        let line = format!("    {name}: {{ {} }},\n", facts.join(", "));
        let facts = || facts.iter().map(|fact| format!("      {fact},\n")).collect::<String>();
        lines += &if line.len() <= WIDTH { line } else { format!("    {name}: {{\n{}    }},\n", facts()) };
    }
    lines += "  },\n  closeCodes: {\n";
    for (code, meaning) in &contract.close_codes {
        lines += &format!("    {code}: {},\n", quoted(meaning));
    }
    format!("/** What the runtime knows of the document. */\nconst WIRE: WireDescription = {{\n{lines}  }},\n}};\n\n")
}

/// How a payload is made up of a topic's name.
fn by_topic(template: &str, fields: &[(&str, FieldKind)]) -> String {
    let reader = |(name, kind): &(&str, FieldKind)| {
        let reader = if *kind == FieldKind::Text { "String" } else { "Number" };
        format!("{}: {reader}", literal_key(name))
    };
    let fields: Vec<_> = fields.iter().map(reader).collect();
    format!("byTopic: {{ template: {}, fields: {{ {} }} }}", quoted(template), fields.join(", "))
}

/// The query parameter for a token, where the servers list that way and no other that a browser can go.
fn token_query(contract: &Contract) -> Option<&str> {
    let has = |scheme: &Value, name: &str, value: &str| {
        scheme.get(name).and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    let schemes = || contract.security.values();
    if schemes().any(|scheme| has(scheme, "type", "http") && has(scheme, "scheme", "bearer")) {
        return None;
    }
    let scheme = schemes().find(|scheme| has(scheme, "type", "httpApiKey") && has(scheme, "in", "query"))?;
    scheme.get("name")?.as_str()
}

/// What a subscribe request brings.
fn updates(request: &Request) -> Option<&[String]> {
    match &request.topic.as_ref()?.role {
        TopicUseRole::Subscribe { updates, .. } => Some(updates),
        TopicUseRole::Unsubscribe => None,
    }
}

#[cfg(test)]
mod tests;
