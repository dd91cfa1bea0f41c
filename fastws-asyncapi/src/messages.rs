//! The messages of a document: each operation's frame with its schema and its examples.

use std::collections::{BTreeMap, BTreeSet};

use fastws_core::{Direction, ErrorCode, FastWs, Operation, TopicPart};
use serde_json::{Map, Value, json};

use crate::example::examples;

/// Where references to schemas point to.
pub(crate) const COMPONENTS: &str = "#/components/schemas/";

/// These are all messages of a service and the schemas of their frames, as a document has them.
pub(crate) struct Messages<'a> {
    ws: &'a FastWs,
    pub(crate) schemas: BTreeMap<String, Value>,
    pub(crate) messages: BTreeMap<String, Value>,
    /// Names, sorted.
    pub(crate) from_client: Vec<String>,
    pub(crate) from_server: Vec<String>,
    /// What the messages are tagged with.
    pub(crate) tags: BTreeSet<String>,
}

/// This is a message in the making.
struct Message<'a> {
    name: &'a str,
    title: String,
    summary: String,
    description: Option<&'a str>,
    tags: Vec<String>,
    is_deprecated: bool,
    /// The payload's schema.
    payload: Option<Value>,
    needs_payload: bool,
    example: Option<Value>,
    members: Vec<Member>,
    extensions: Vec<(&'static str, Value)>,
}

/// This is a member of the frame beside `type` and `payload`.
struct Member {
    name: &'static str,
    schema: Value,
    /// What examples show; nothing when they leave it out.
    example: Option<Value>,
    is_required: bool,
}

impl Member {
    fn optional(name: &'static str, schema: Value) -> Self {
        Self { name, schema, example: None, is_required: false }
    }

    fn topic(description: &str, example: impl Into<Value>) -> Self {
        Self { example: Some(example.into()), is_required: true, ..Self::optional_topic(description) }
    }

    fn optional_topic(description: &str) -> Self {
        Self::optional("topic", json!({ "type": "string", "description": description }))
    }
}

impl<'a> Messages<'a> {
    /// Writes the messages of a service, and those of the framework itself.
    pub(crate) fn of(ws: &'a FastWs) -> Self {
        let mut messages = Self::new(ws);
        for operation in ws.operations() {
            messages.operation(operation);
        }
        messages.framework(ws);
        messages
    }

    fn new(ws: &'a FastWs) -> Self {
        let schemas = ws.schemas().components().iter().map(|(name, schema)| (name.clone(), schema.clone())).collect();
        Self {
            ws,
            schemas,
            messages: BTreeMap::new(),
            from_client: Vec::new(),
            from_server: Vec::new(),
            tags: BTreeSet::new(),
        }
    }

    fn operation(&mut self, operation: &Operation) {
        let tags = if operation.tags.is_empty() { vec![group(&operation.name)] } else { operation.tags.clone() };
        let mut message = Message {
            name: &operation.name,
            title: operation.title.clone(),
            summary: operation.summary.clone(),
            description: operation.description.as_deref(),
            tags: tags.clone(),
            is_deprecated: operation.deprecated,
            payload: operation.payload.clone(),
            needs_payload: self.requires_payload(operation),
            example: operation.example.clone(),
            members: Vec::new(),
            extensions: Vec::new(),
        };
        if let Some(topic) = &operation.topic {
            message.extensions.push(("x-topic", topic.template.as_str().into()));
            if topic.part == TopicPart::Subscribe {
                message.extensions.push(("x-updates", json!(topic.updates)));
                let ending = self.ending(operation);
                message.extensions.extend(ending.map(|name| ("x-unsubscribe", name.into())));
            }
        }
        match operation.direction {
            Direction::Send => {
                message.members.push(self.id_member());
                if let Some(reply) = &operation.reply {
                    let target = format!("#/components/messages/{}", reply.name);
                    message.extensions.push(("x-response", json!({ "$ref": target })));
                }
                let valid = |payload: &Value| self.ws.check_payload(&operation.name, payload).is_ok();
                self.message(message, &valid);
                self.from_client.push(operation.name.clone());
            }
            Direction::Recv => {
                let about = "The topic that this belongs to, as the subscribe reply named it.";
                match &operation.topic {
                    Some(topic) => {
                        let about_snapshot = "Set on the state that a new subscriber begins with.";
                        let snapshot = json!({ "type": "boolean", "const": true, "description": about_snapshot });
                        message.members.push(Member::topic(about, self.example_topic(&topic.template)));
                        message.members.push(Member::optional("snapshot", snapshot));
                    }
                    None => message.members.push(Member::optional_topic(about)),
                }
                self.message(message, &|_| true);
                self.from_server.push(operation.name.clone());
            }
        }
        if let Some(reply) = &operation.reply {
            let message = Message {
                name: &reply.name,
                title: format!("{}: reply", operation.title),
                summary: format!("Reply to {}.", operation.name),
                description: None,
                tags,
                is_deprecated: operation.deprecated,
                payload: Some(reply.payload.clone()),
                needs_payload: true,
                example: reply.example.clone().or_else(|| self.example_confirmation(operation)),
                members: vec![self.id_member()],
                extensions: Vec::new(),
            };
            self.message(message, &|_| true);
            self.from_server.push(reply.name.clone());
        }
    }

    /// The messages that the framework itself writes.
    fn framework(&mut self, ws: &FastWs) {
        self.error_schemas();
        let id = self.id_member();
        let topic = Member::optional_topic("The topic that failed, if the error is about one.");
        let example = json!({
            "code": "unknown_operation",
            "message": "no operation is called `pin`; did you mean `ping`?",
            "operation": "pin",
        });
        let payload = Some(json!({ "$ref": format!("{COMPONENTS}ErrorPayload") }));
        self.notice(
            "error",
            "Error",
            "A request was refused, or something that the client subscribed to failed.",
            payload,
            example,
            vec![id, topic],
        );
        let first_topic = ws.operations().iter().find_map(|operation| operation.topic.as_ref());
        if let Some(role) = first_topic {
            let payload = self.named(
                "UnsubscribedPayload",
                json!({
                    "type": "object",
                    "description": "Why a subscription has ended.",
                    "required": ["code", "resubscribe"],
                    "properties": {
                        "code": { "type": "string", "description": "`topic_ended`, `topic_failed` or another reason." },
                        "resubscribe": { "type": "boolean", "description": "Whether it makes sense to subscribe again." },
                    },
                }),
            );
            let example = json!({ "code": "topic_ended", "resubscribe": false });
            let summary = "The server has ended a subscription.";
            let topic = Member::topic("The topic.", self.example_topic(&role.template));
            self.notice("unsubscribed", "Unsubscribed", summary, Some(payload), example, vec![topic]);
        }
        if ws.timeouts().lifespan.is_some() {
            let payload = self.named(
                "DrainingPayload",
                json!({
                    "type": "object",
                    "description": "When the connection will be closed.",
                    "required": ["deadline_ms", "retry_after_ms"],
                    "properties": {
                        "deadline_ms": { "type": "integer", "minimum": 0, "description": "Milliseconds until it is closed." },
                        "retry_after_ms": { "type": "integer", "minimum": 0, "description": "Milliseconds to wait before connecting again." },
                    },
                }),
            );
            let example = json!({ "deadline_ms": 30000, "retry_after_ms": 0 });
            let summary = "The connection will be closed soon; connect again.";
            self.notice("draining", "Draining", summary, Some(payload), example, Vec::new());
        }
        self.from_client.sort();
        self.from_server.sort();
    }

    fn notice(
        &mut self,
        name: &str,
        title: &str,
        summary: &str,
        payload: Option<Value>,
        example: Value,
        members: Vec<Member>,
    ) {
        let message = Message {
            name,
            title: title.into(),
            summary: summary.into(),
            description: None,
            tags: vec!["session".into()],
            is_deprecated: false,
            payload,
            needs_payload: true,
            example: Some(example),
            members,
            extensions: Vec::new(),
        };
        self.message(message, &|_| true);
        self.from_server.push(name.into());
    }

    fn error_schemas(&mut self) {
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|(code, _)| code.as_str()).collect();
        let meanings: Map<_, _> =
            ErrorCode::ALL.iter().map(|(code, meaning)| (code.to_string(), meaning.trim().into())).collect();
        self.named(
            "ErrorCode",
            json!({
                "description": "Why a request was refused, in one stable word.",
                "type": "string",
                "enum": codes,
                "x-enum-descriptions": meanings,
            }),
        );
        self.named(
            "ApplicationErrorCode",
            json!({
                "description": "An error code of this application's own.",
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]*$",
            }),
        );
        self.named(
            "ErrorDetail",
            json!({
                "description": "One thing that is wrong in a payload.",
                "type": "object",
                "required": ["path", "message"],
                "properties": {
                    "path": { "type": "string", "description": "A JSON Pointer into the payload." },
                    "message": { "type": "string", "description": "What is wrong there." },
                },
            }),
        );
        self.named(
            "ErrorPayload",
            json!({
                "description": "Why a request was refused.",
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {
                        "description": "A stable word for programs.",
                        "anyOf": [
                            { "$ref": format!("{COMPONENTS}ErrorCode") },
                            { "$ref": format!("{COMPONENTS}ApplicationErrorCode") },
                        ],
                    },
                    "message": { "type": "string", "description": "A sentence for a person." },
                    "operation": { "type": "string", "description": "The operation that was asked for." },
                    "details": {
                        "type": "array",
                        "items": { "$ref": format!("{COMPONENTS}ErrorDetail") },
                        "description": "What is wrong, field by field.",
                    },
                    "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When to try again, in milliseconds." },
                },
            }),
        );
    }

    /// The `id` of requests and answers.
    fn id_member(&mut self) -> Member {
        const EXACT: i64 = (1 << 53) - 1;
        let schema = self.named(
            "RequestId",
            json!({
                "description": "The client's own id of a request, at most 64 bytes or an exact integer; echoed in the one answer.",
                "type": ["string", "integer"],
                "maxLength": 64,
                "minimum": -EXACT,
                "maximum": EXACT,
            }),
        );
        Member { example: Some("req-1".into()), ..Member::optional("id", schema) }
    }

    /// Writes a message with the schema of its frame and its examples.
    fn message(&mut self, mut message: Message<'_>, is_valid: &dyn Fn(&Value) -> bool) {
        let pascal = pascal_case(message.name);
        let payload = message.payload.take().map(|payload| self.lift(&pascal, payload));
        let frame = frame(&message, payload.as_ref());
        let frame_name = self.free_name(format!("{pascal}Message"));
        let schema = self.named(&frame_name, frame);
        let examples = self.examples(&message, payload.as_ref(), &schema, is_valid);

        let mut written = json!({
            "messageId": message.name,
            "name": message.name,
            "title": message.title,
            "summary": message.summary,
        });
        if let Some(description) = message.description {
            written["description"] = description.into();
        }
        written["contentType"] = "application/json".into();
        written["tags"] = message.tags.iter().map(|tag| json!({ "name": tag })).collect();
        if message.members.iter().any(|member| member.name == "id") {
            written["correlationId"] = json!({ "$ref": "#/components/correlationIds/requestId" });
        }
        written["payload"] = schema;
        if !examples.is_empty() {
            written["examples"] = examples.into();
        }
        if message.is_deprecated {
            written["x-deprecated"] = true.into();
        }
        for (key, value) in message.extensions {
            written[key] = value;
        }
        self.tags.extend(message.tags);
        self.messages.insert(message.name.to_owned(), written);
    }

    /// Frames that show the message. One that its own schema or the server would refuse is left out, and logged.
    fn examples(
        &self,
        message: &Message<'_>,
        payload: Option<&Value>,
        schema: &Value,
        is_valid: &dyn Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let components: Map<_, _> = self.schemas.clone().into_iter().collect();
        let payloads = match (&message.example, payload) {
            (Some(given), _) => vec![Some(given.clone())],
            (None, Some(payload)) => examples(payload, &components).into_iter().map(Some).collect(),
            (None, None) => vec![None],
        };
        let mut written = Vec::new();
        for (number, payload) in payloads.into_iter().enumerate() {
            let mut frame = Map::new();
            frame.insert("type".into(), message.name.into());
            for member in &message.members {
                frame.extend(member.example.clone().map(|example| (member.name.to_owned(), example)));
            }
            let takes_it = payload.as_ref().is_none_or(is_valid);
            frame.extend(payload.map(|payload| ("payload".to_owned(), payload)));
            let frame = Value::Object(frame);
            if !takes_it || !self.accepts(schema, &components, &frame) {
                tracing::warn!(
                    message = message.name,
                    "no example could be made of the schema; give one with `example = …`"
                );
                continue;
            }
            let (name, summary) = match number {
                0 => ("example".to_owned(), "Example"),
                _ => (format!("example-{}", number + 1), "Another example"),
            };
            written.push(json!({ "name": name, "summary": summary, "payload": frame }));
        }
        written
    }

    fn accepts(&self, schema: &Value, components: &Map<String, Value>, frame: &Value) -> bool {
        fastws_core::validator(schema, components).is_ok_and(|validator| validator.is_valid(frame))
    }

    /// Adds a component, with its name as its title, and returns a reference to it.
    fn named(&mut self, name: &str, mut schema: Value) -> Value {
        if let Value::Object(object) = &mut schema
            && !object.contains_key("title")
        {
            object.shift_insert(0, "title".into(), name.into());
        }
        self.schemas.insert(name.into(), schema);
        json!({ "$ref": format!("{COMPONENTS}{name}") })
    }

    /// An object or an enum without a name gets one, so that generated code does not have to invent it.
    fn lift(&mut self, pascal: &str, schema: Value) -> Value {
        let is_object = schema.get("type").is_some_and(|kind| kind == "object") || schema.get("enum").is_some();
        if !is_object {
            return schema;
        }
        let name = self.free_name(format!("{pascal}Payload"));
        self.named(&name, schema)
    }

    /// The name itself, or with a number where an application's type is called so.
    fn free_name(&self, name: String) -> String {
        let taken = |name: &str| self.schemas.contains_key(name);
        if !taken(&name) {
            return name;
        }
        (2..).map(|number| format!("{name}{number}")).find(|name| !taken(name)).unwrap_or(name)
    }

    /// Whether the operation refuses a message without a payload.
    fn requires_payload(&self, operation: &Operation) -> bool {
        operation.direction == Direction::Recv || self.ws.check_payload(&operation.name, &Value::Null).is_err()
    }

    /// What the reply to a topic's subscribe or unsubscribe says.
    fn example_confirmation(&self, operation: &Operation) -> Option<Value> {
        let role = operation.topic.as_ref()?;
        let components: Map<_, _> = self.schemas.clone().into_iter().collect();
        let mut example = examples(&operation.reply.as_ref()?.payload, &components).into_iter().next()?;
        let topic = self.example_topic(&role.template);
        let done = if role.part == TopicPart::Subscribe { "Subscribed to" } else { "Unsubscribed from" };
        let said = [
            ("message", format!("{done} {topic}").into()),
            ("topics", json!([topic])),
            ("topic", topic.as_str().into()),
        ];
        for (field, value) in said {
            if let Some(shown) = example.get_mut(field) {
                *shown = value;
            }
        }
        Some(example)
    }

    /// The request that ends what this one begins: of the same topic, with the same payload.
    fn ending(&self, operation: &Operation) -> Option<&'a str> {
        let template = &operation.topic.as_ref()?.template;
        let ends = |other: &&Operation| {
            let role = other.topic.as_ref();
            role.is_some_and(|role| role.part == TopicPart::Unsubscribe && role.template == *template)
                && other.payload == operation.payload
        };
        self.ws.operations().iter().find(ends).map(|other| other.name.as_str())
    }

    /// A topic with its fields filled in from the subscribe request's example.
    fn example_topic(&self, template: &str) -> String {
        let components: Map<_, _> = self.schemas.clone().into_iter().collect();
        let is_reply = |operation: &&Operation| {
            operation
                .topic
                .as_ref()
                .is_some_and(|topic| topic.template == template && topic.part == TopicPart::Subscribe)
        };
        let reply = self.ws.operations().iter().find(is_reply).and_then(|operation| operation.reply.as_ref());
        let fields =
            reply.and_then(|reply| examples(&reply.payload, &components).into_iter().next()).unwrap_or_default();
        let Value::Object(fields) = fields else { return template.to_owned() };
        fields.iter().fold(template.to_owned(), |topic, (name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            topic.replace(&format!("{{{name}}}"), &text)
        })
    }
}

/// The schema of a message's frame.
fn frame(message: &Message<'_>, payload: Option<&Value>) -> Value {
    let mut properties = Map::new();
    let kind = json!({ "type": "string", "const": message.name, "description": "Names the operation." });
    properties.insert("type".into(), kind);
    let mut required = vec!["type"];
    for Member { name, schema, is_required, .. } in &message.members {
        properties.insert((*name).into(), schema.clone());
        if *is_required {
            required.push(name);
        }
    }
    if let Some(payload) = payload {
        properties.insert("payload".into(), payload.clone());
        if message.needs_payload {
            required.push("payload");
        }
    }
    let mut frame = json!({
        "description": format!("Frame of `{}`.", message.name),
        "type": "object",
        "required": required,
        "properties": properties,
    });
    if message.is_deprecated {
        frame["deprecated"] = true.into();
    }
    frame
}

/// What stands before the first dot, as a tag of operations that have none.
fn group(name: &str) -> String {
    name.split('.').next().unwrap_or(name).to_owned()
}

/// `bars.subscribe` as a type is called: `BarsSubscribe`.
fn pascal_case(name: &str) -> String {
    name.split(['.', '_', '-'])
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
        })
        .collect()
}
