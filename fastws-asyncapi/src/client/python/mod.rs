//! The Python client: one module of types, operations and the runtime that they need.

mod text;
mod types;

use std::collections::BTreeSet;

use serde_json::Value;

use self::text::{WIDTH, docstring, free, pascal, snake, string};
use self::types::Types;
use super::{FieldKind, Namespace, ending};
use crate::contract::{Contract, Message, Request, TopicUseRole};

/// Writes the Python client of a contract: a module that passes `mypy --strict` and needs nothing but `websockets`.
///
/// ```
/// # let document = r##"{
/// #     "asyncapi": "2.4.0",
/// #     "info": { "title": "Clock", "version": "1.0.0" },
/// #     "channels": { "/ws": { "publish": { "message": { "$ref": "#/components/messages/ping" } } } },
/// #     "components": { "messages": { "ping": { "payload": {
/// #         "type": "object", "properties": { "type": { "const": "ping" }, "payload": { "type": "integer" } }
/// #     } } } }
/// # }"##;
/// let contract = fastws_asyncapi::Contract::read(document)?;
/// let module = fastws_asyncapi::client::python(&contract);
/// assert!(module.contains("async def ping("));
/// # Ok::<(), fastws_asyncapi::ContractError>(())
/// ```
pub fn python(contract: &Contract) -> String {
    let (imports, runtime) = RUNTIME.split_once(MARK).expect("the runtime has a mark below its imports");
    let mut names = names_of(imports, runtime);
    let class = free("Api".into(), &mut names);
    let mut types = Types::of(&contract.schemas, names);
    let space = Space::of(&Namespace::of(contract), class, types.taken(), true);
    let module = Module { contract, types: &mut types };
    let api = module.api(&space);
    let sections = [
        heading("Types, as the document names them."),
        types.definitions().join("\n\n"),
        heading("The API: a method for each operation; dots in names become namespaces."),
        api,
        heading("The runtime: the same in every client."),
        runtime.trim().to_owned() + "\n",
    ];
    let body = sections.join("\n\n");
    format!("{}\n{}\n\n{body}", about(contract, &space), with_imports(imports, &body))
}

/// What every client runs on. It is a module of its own, so that Python's tools check it as it stands.
const RUNTIME: &str = include_str!("runtime.py");
/// Stands between the runtime's imports and itself.
const MARK: &str = "# --- runtime ---\n";

/// What the module's docstring says after the example.
const PROMISES: &str = "\
The connection comes back by itself, with its subscriptions. Requests that were waiting fail with `ConnectionLost` and \
are never sent again in secret; one without an answer in time raises `TimeoutError`, one that is refused `ApiError`. \
`ConnectionRefused` means that the server has told this client to stay away.

Members of `Api` that are no operations: `close`, `last_close`, `on`, `on_state`, `opened`, `state`, and each `stream` \
beside its subscribe request. An operation of such a name, or of a word of Python's own, has an underscore behind it.

Written by fastws from the API's AsyncAPI document; when the API changes, write it anew. It runs on Python 3.11 or newer \
with the package `websockets`, 14 or newer.";

/// Members of the API that are no operations.
const OWN_MEMBERS: [&str; 6] = ["close", "last_close", "on", "on_state", "opened", "state"];

/// This is a namespace as a class: its members have their names.
struct Space<'a> {
    class: String,
    /// What its operations begin with, such as `v1.orders`; nothing at the root.
    prefix: String,
    requests: Vec<(String, &'a Request)>,
    streams: Vec<(String, &'a Request, &'a [String])>,
    inner: Vec<(String, Space<'a>)>,
    /// The request that has the namespace's own name.
    call: Option<&'a Request>,
}

impl<'a> Space<'a> {
    fn of(root: &Namespace<'a>, class: String, types: &mut BTreeSet<String>, is_root: bool) -> Self {
        let prefix = String::new();
        let mut space = Self::empty(class, prefix);
        let own = if is_root { OWN_MEMBERS.map(str::to_owned).into() } else { BTreeSet::new() };
        space.fill(root, own, types);
        space
    }

    fn empty(class: String, prefix: String) -> Self {
        Self { class, prefix, requests: Vec::new(), streams: Vec::new(), inner: Vec::new(), call: None }
    }

    fn fill(&mut self, from: &Namespace<'a>, mut members: BTreeSet<String>, types: &mut BTreeSet<String>) {
        let subscribes: Vec<_> = from.subscribes().collect();
        for (request, updates) in &subscribes {
            let last = request.message.name.rsplit('.').find(|segment| !segment.is_empty()).unwrap_or_default();
            let is_the_one = !self.prefix.is_empty() && (subscribes.len() == 1 || last == "subscribe");
            let name = if is_the_one { "stream".into() } else { format!("stream_{}", snake(last)) };
            self.streams.push((free(name, &mut members), request, updates));
        }
        let names: BTreeSet<_> = from.requests.keys().chain(from.inner.keys()).copied().collect();
        for name in names {
            let member = free(snake(name), &mut members);
            let request = from.requests.get(name).copied();
            let Some(inner) = from.inner.get(name) else {
                self.requests.extend(request.map(|request| (member, request)));
                continue;
            };
            let prefix = if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) };
            let mut space = Self::empty(free(format!("{}Api", pascal(&prefix)), types), prefix);
            space.call = request;
            space.fill(inner, BTreeSet::new(), types);
            self.inner.push((member, space));
        }
    }

    /// The first stream with its place under `api`.
    fn first_stream(&self, path: &str) -> Option<(String, &'a Request)> {
        let here = self.streams.first().map(|(name, request, _)| (format!("{path}.{name}"), *request));
        here.or_else(|| self.inner.iter().find_map(|(name, space)| space.first_stream(&format!("{path}.{name}"))))
    }

    /// The first request with its place under `api`.
    fn first_request(&self, path: &str) -> Option<(String, &'a Request)> {
        let here = self.requests.first().map(|(name, request)| (format!("{path}.{name}"), *request));
        here.or_else(|| self.inner.iter().find_map(|(name, space)| space.first_request(&format!("{path}.{name}"))))
    }
}

/// The module's docstring: what it is, the API at work, and what holds.
fn about(contract: &Contract, space: &Space<'_>) -> String {
    let payload = |request: &Request| {
        let example = request.message.examples.first().and_then(|frame| frame.get("payload"));
        let without = if request.message.needs_payload { "..." } else { "" };
        match example.filter(|_| request.message.payload.is_some()) {
            Some(payload) => python_value(payload),
            None => without.to_owned(),
        }
    };
    let mut example = vec![
        "import asyncio".to_owned(),
        "from client import connect".into(),
        String::new(),
        "async def main() -> None:".into(),
        "    async with connect() as api:".into(),
    ];
    if let Some((path, request)) = space.first_stream("api") {
        example.push(format!("        async for update in {path}({}):", payload(request)));
        example.push("            print(update)".into());
    } else if let Some((path, request)) = space.first_request("api") {
        example.push(format!("        print(await {path}({}))", payload(request)));
    }
    example.extend([String::new(), "asyncio.run(main())".into()]);
    let example: String = example.iter().map(|line| format!("    {line}\n")).collect();
    let title = format!("A client of {}", [contract.title.as_str(), &contract.version].join(" ").trim());
    docstring(0, &format!("{title}.\n\n{example}\n{PROMISES}"))
}

/// This writes the part of the module that is the API's own.
struct Module<'a, 'types> {
    contract: &'a Contract,
    types: &'types mut Types<'a>,
}

impl<'a> Module<'a, '_> {
    fn api(mut self, root: &Space<'a>) -> String {
        let mut classes = vec![self.connect(&root.class)];
        self.class(root, true, &mut classes);
        classes.join("\n\n")
    }

    /// The function that begins it all.
    fn connect(&mut self, api: &str) -> String {
        let url = self.contract.urls.first().map(|url| format!(" = {}", string(url))).unwrap_or_default();
        let heartbeat = self.contract.heartbeat.filter(|seconds| *seconds > 0.0).unwrap_or(DEFAULT_HEARTBEAT);
        let token_query = self.token_query().map_or_else(|| "None".to_owned(), |name| string(&name));
        let subscribes: String = self.contract.requests.iter().filter_map(|request| self.subscribes(request)).collect();
        let unsubscribes: String = self
            .contract
            .requests
            .iter()
            .filter_map(|request| {
                let topic = request.topic.as_ref().filter(|topic| topic.role == TopicUseRole::Unsubscribe)?;
                let (name, template) = (string(&request.message.name), string(&topic.template));
                Some(format!("                {name}: {template},\n"))
            })
            .collect();
        let map = |entries: String| match entries.as_str() {
            "" => "{}".to_owned(),
            entries => format!("{{\n{entries}            }}"),
        };
        let (subscribes, unsubscribes) = (map(subscribes), map(unsubscribes));
        format!(
            r#"def connect(
    url: str{url},
    *,
    token: Token | None = None,
    headers: Mapping[str, str] | None = None,
    ssl: SSLContext | None = None,
    timeout: float = 10.0,
    reconnect: Reconnect | None = None,
    heartbeat: float = {heartbeat:?},
    max_size: int | None = 16 * 1024 * 1024,
) -> {api}:
    """Makes a client, to be used as `async with connect() as api`.

    Entering begins to connect and does not wait for it: requests do, each for at most its `timeout` in seconds. Leaving
    ends everything. `token` is a token or a function that is asked for one at each connect. A connection is given up
    as dead after `heartbeat` seconds without a sign of life. No message may be larger than `max_size` bytes.
    """
    return {api}(
        Connection(
            url,
            token=token,
            token_query={token_query},
            headers=headers,
            ssl=ssl,
            timeout=timeout,
            reconnect=reconnect or Reconnect(),
            heartbeat=heartbeat,
            max_size=max_size,
            subscribes={subscribes},
            unsubscribes={unsubscribes},
        )
    )
"#
        )
    }

    /// The query parameter that takes the token, where a header does not.
    fn token_query(&self) -> Option<String> {
        let schemes = || self.contract.security.values();
        let text = |scheme: &Value, key: &str| scheme.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_query = |scheme: &&Value| {
            text(scheme, "type").as_deref() == Some("httpApiKey") && text(scheme, "in").as_deref() == Some("query")
        };
        let name = schemes().find(is_query).and_then(|scheme| text(scheme, "name"))?;
        schemes().all(|scheme| is_query(&scheme)).then_some(name)
    }

    fn subscribes(&self, request: &Request) -> Option<String> {
        let topic = request.topic.as_ref()?;
        let TopicUseRole::Subscribe { updates, .. } = &topic.role else { return None };
        let updates: String = updates.iter().map(|name| format!("{}, ", string(name))).collect();
        let updates =
            if updates.matches(", ").count() > 1 { updates.trim_end_matches(", ") } else { updates.trim_end() };
        let mut means = format!("updates=({updates})");
        if let Some((ending, fields)) = ending(self.contract, request) {
            means += &format!(", unsubscribe={}", string(&ending.message.name));
            means += &fields.map_or_else(String::new, |fields| {
                let fields: Vec<_> =
                    fields.into_iter().map(|(name, kind)| format!("{}: {}", string(name), reader(kind))).collect();
                format!(", by_topic=({}, {{{}}})", string(&topic.template), fields.join(", "))
            });
        }
        let name = string(&request.message.name);
        let line = format!("                {name}: Subscribes({means}),\n");
        Some(if line.len() <= WIDTH + 1 {
            line
        } else {
            format!("                {name}: Subscribes(\n                    {means}\n                ),\n")
        })
    }

    /// The class of a namespace, and those within.
    fn class(&mut self, space: &Space<'a>, is_root: bool, into: &mut Vec<String>) {
        let about = match &self.contract.description {
            Some(description) if is_root => format!("{}.\n\n{description}", self.contract.title),
            None if is_root => format!("{}.", self.contract.title),
            _ => format!("The operations that begin with `{}.`.", space.prefix),
        };
        let mut text = format!("class {}:\n{}\n", space.class, docstring(4, &about));
        text += "    def __init__(self, connection: Connection) -> None:\n        self._connection = connection\n";
        for (name, inner) in &space.inner {
            text += &format!("        self.{name} = {}(connection)\n", inner.class);
        }
        if is_root {
            text += OWN_METHODS;
            text += &self.on();
        }
        if let Some(request) = space.call {
            text += &self.request("__call__", request);
        }
        for (name, request) in &space.requests {
            text += &self.request(name, request);
        }
        for (name, request, updates) in &space.streams {
            text += &self.stream(name, request, updates);
        }
        into.push(text);
        for (_, inner) in &space.inner {
            self.class(inner, false, into);
        }
    }

    /// The method that sends a request.
    fn request(&mut self, name: &str, request: &'a Request) -> String {
        let message = &request.message;
        let mut parameters = vec!["self".to_owned()];
        parameters.extend(self.payload_parameter(message));
        parameters.extend(["*".into(), "timeout: float | None = None".into()]);
        let payload = if message.payload.is_some() { "payload, timeout" } else { "timeout=timeout" };
        let operation = string(&message.name);
        let Some(reply) = &request.reply else {
            let notify = format!("        await self._connection.notify({operation}, {payload})\n");
            return signature(&format!("async def {name}"), &parameters, "None") + &told(request) + &notify;
        };
        let call = format!("await self._connection.request({operation}, {payload})");
        let Some(schema) = &reply.payload else {
            let body = format!("        {call}\n");
            return signature(&format!("async def {name}"), &parameters, "None") + &told(request) + &body;
        };
        let kind = self.types.kind(schema, &format!("{}Payload", pascal(&reply.name)));
        let mut body = format!("        reply: {kind} = {call}\n");
        if body.trim_end().len() > WIDTH {
            body = body.replacen("request(", "request(\n            ", 1);
            body.truncate(body.len() - 2);
            body += "\n        )\n";
        }
        body += "        return reply\n";
        signature(&format!("async def {name}"), &parameters, &kind) + &told(request) + &body
    }

    /// The method that streams what a subscribe request brings.
    fn stream(&mut self, name: &str, request: &'a Request, updates: &[String]) -> String {
        let contract = self.contract;
        let events = contract.events.iter().filter(|event| updates.contains(&event.message.name));
        let mut kinds: Vec<String> = Vec::new();
        for event in events {
            let context = format!("{}Payload", pascal(&event.message.name));
            let kind =
                event.message.payload.as_ref().map_or("None".into(), |payload| self.types.kind(payload, &context));
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let kind = if kinds.is_empty() { "Any".to_owned() } else { kinds.join(" | ") };
        let mut parameters = vec!["self".to_owned()];
        parameters.extend(self.payload_parameter(&request.message));
        parameters.extend(["*", "buffer: int = 1024", "timeout: float | None = None"].map(str::to_owned));
        let names: Vec<_> = updates.iter().map(|name| format!("`{name}`")).collect();
        let about = format!(
            "Subscribes with `{}` and yields the payloads of {}, until the loop is left.\n\n`frames()` yields them with \
             their topics and offsets. At most `buffer` updates wait to be read; then the oldest is skipped.",
            request.message.name,
            names.join(" and "),
        );
        let payload = if request.message.payload.is_some() { "payload" } else { "None" };
        signature(&format!("def {name}"), &parameters, &format!("Stream[{kind}]"))
            + &docstring(8, &about)
            + &format!(
                "        return Stream(self._connection, {}, {payload}, buffer, timeout)\n",
                string(&request.message.name)
            )
    }

    fn payload_parameter(&mut self, message: &'a Message) -> Option<String> {
        let kind = self.types.kind(message.payload.as_ref()?, &format!("{}Payload", pascal(&message.name)));
        Some(match (message.needs_payload, kind.ends_with("None") || kind == "Any") {
            (true, _) => format!("payload: {kind}"),
            (false, true) => format!("payload: {kind} = None"),
            (false, false) => format!("payload: {kind} | None = None"),
        })
    }

    /// `on`, once for each message that answers no request.
    fn on(&mut self) -> String {
        let contract = self.contract;
        let messages: Vec<_> = contract.events.iter().map(|event| &event.message).chain(&contract.error).collect();
        let returns = "Callable[[], None]";
        let mut text = String::new();
        for message in &messages {
            let frame = self.types.kind(&message.frame, &format!("{}Message", pascal(&message.name)));
            let parameters = [
                "self".to_owned(),
                format!("message: Literal[{}]", string(&message.name)),
                format!("callback: Callable[[{frame}], object]"),
            ];
            let overload = signature("def on", &parameters, returns);
            let overload = overload.trim_end();
            text += &match messages.as_slice() {
                [_] => format!("{overload}\n"),
                _ => overload.replacen("\n", "\n    @overload\n", 1) + " ...\n",
            };
        }
        if messages.len() != 1 {
            let parameters = ["self", "message: str", "callback: Callable[[Any], object]"].map(str::to_owned);
            text += &signature("def on", &parameters, returns);
        }
        let about = "Calls back with each frame of a type that answers no request. Returns a function that ends this.";
        text + &docstring(8, about) + "        return self._connection.on(message, callback)\n"
    }
}

/// For how many seconds a connection may be silent, where the document does not say.
const DEFAULT_HEARTBEAT: f64 = 30.0;

/// What every API has besides its operations.
const OWN_METHODS: &str = r#"
    async def __aenter__(self) -> Self:
        self._connection.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    @property
    def state(self) -> State:
        """Where the connection is."""
        return self._connection.state

    @property
    def last_close(self) -> Close | None:
        """How the last connection ended, or why there was none."""
        return self._connection.last_close

    async def opened(self) -> None:
        """Waits until the connection is open; raises when it is closed for good."""
        await self._connection.opened()

    async def close(self) -> None:
        """Ends everything, as leaving `async with` does: requests fail, streams end, no task is left."""
        await self._connection.close()

    def on_state(self, callback: Callable[[State], object]) -> Callable[[], None]:
        """Calls back with each new state. Returns a function that ends this."""
        return self._connection.on_state(callback)
"#;

/// A method's first lines, with an empty line before.
fn signature(head: &str, parameters: &[String], returns: &str) -> String {
    let joined = parameters.join(", ");
    let one = format!("    {head}({joined}) -> {returns}:\n");
    if one.len() <= WIDTH + 1 {
        return format!("\n{one}");
    }
    if joined.len() + 8 <= WIDTH {
        return format!("\n    {head}(\n        {joined}\n    ) -> {returns}:\n");
    }
    let lines: String = parameters.iter().map(|parameter| format!("        {parameter},\n")).collect();
    format!("\n    {head}(\n{lines}    ) -> {returns}:\n")
}

/// A request's docstring.
fn told(request: &Request) -> String {
    let message = &request.message;
    let mut paragraphs = vec![message.summary.clone().unwrap_or_else(|| format!("{}.", message.title))];
    paragraphs.extend(message.description.clone());
    paragraphs.extend(request.topic.as_ref().filter(|topic| topic.template != "*").map(|topic| match topic.role {
        TopicUseRole::Subscribe { .. } => {
            format!("The topic is `{}`; its updates reach `on` and streams.", topic.template)
        }
        TopicUseRole::Unsubscribe => format!("The topic is `{}`; its streams end.", topic.template),
    }));
    if message.deprecated {
        paragraphs.push("Deprecated: it is better not to begin with it.".into());
    }
    docstring(8, &paragraphs.join("\n\n"))
}

fn heading(text: &str) -> String {
    format!("# {}\n# {text}\n", "-".repeat(WIDTH - 2))
}

/// The names that the runtime defines and imports, and those of Python that the module uses.
fn names_of(imports: &str, runtime: &str) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["str", "int", "float", "bool", "list", "dict", "tuple", "object", "property"]
        .into_iter()
        .chain(OWN_TYPES)
        .chain(["connect", "Exception", "TimeoutError", "ValueError"])
        .map(str::to_owned)
        .collect();
    for line in imports.lines().chain(runtime.lines().filter(|line| !line.starts_with([' ', '#']))) {
        let words = line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        names.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }
    names
}

/// What types, and the API's own methods, take from `typing`.
const OWN_TYPES: [&str; 9] =
    ["Any", "Literal", "Never", "NotRequired", "Self", "TypeAlias", "TypedDict", "overload", "Generic"];

/// The runtime's imports, and what the module takes from `typing` besides.
fn with_imports(imports: &str, body: &str) -> String {
    let (_, imports) = imports.split_once("from __future__").expect("the runtime begins with it");
    let lines = format!("from __future__{imports}").trim_end().lines().fold(String::new(), |lines, line| {
        let Some(known) = line.strip_prefix("from typing import ") else { return format!("{lines}{line}\n") };
        let used = |name: &&str| {
            body.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == *name)
        };
        let mut names: Vec<_> = known.split(", ").chain(OWN_TYPES.into_iter().filter(used)).collect();
        names.sort_by_key(|name| {
            (name.starts_with(|first: char| first.is_ascii_lowercase()), name.to_ascii_lowercase())
        });
        names.dedup();
        format!("{lines}from typing import (\n    {},\n)\n", names.join(",\n    "))
    });
    lines.trim_end().to_owned()
}

/// A JSON value as Python writes it.
fn python_value(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => format!("[{}]", items.iter().map(python_value).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", string(name), python_value(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What reads a field of a topic's name.
fn reader(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "str",
        FieldKind::Integer => "int",
        FieldKind::Number => "float",
    }
}
