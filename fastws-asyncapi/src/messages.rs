//! The messages of a document: each operation's frame with its schema and its examples.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fastws_core::{Direction, FastWs, Operation, TopicPart};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::example::examples;
use crate::shape::{free, pascal_case, used, with_names};

/// Where references to schemas point to.
pub(crate) const COMPONENTS: &str = "#/components/schemas/";

/// These are all messages of a service and the schemas of their frames, as a document has them.
pub(crate) struct Messages<'a> {
    pub(crate) ws: &'a FastWs,
    /// By name, sorted; all of them are used.
    pub(crate) schemas: Map<String, Value>,
    /// By name, as 2.4.0 writes them.
    pub(crate) messages: BTreeMap<String, Value>,
    /// Names, sorted.
    pub(crate) from_client: Vec<String>,
    pub(crate) from_server: Vec<String>,
    /// What the messages are tagged with.
    pub(crate) tags: BTreeSet<String>,
    /// The `id` of requests and answers.
    id: Value,
    /// By reference.
    validators: HashMap<String, Option<Validator>>,
}

/// This is a message in the making.
pub(crate) struct Draft<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) description: Option<&'a str>,
    pub(crate) tags: Vec<String>,
    pub(crate) is_deprecated: bool,
    /// The payload's schema.
    pub(crate) payload: Option<Value>,
    pub(crate) needs_payload: bool,
    pub(crate) example: Option<Value>,
    pub(crate) members: Vec<Member>,
    pub(crate) extensions: Vec<(&'static str, Value)>,
}

/// This is a member of the frame beside `type` and `payload`.
pub(crate) struct Member {
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

    pub(crate) fn topic(description: &str, example: impl Into<Value>) -> Self {
        Self { example: Some(example.into()), is_required: true, ..Self::optional_topic(description) }
    }

    pub(crate) fn optional_topic(description: &str) -> Self {
        Self::optional("topic", json!({ "type": "string", "description": description }))
    }
}

impl<'a> Messages<'a> {
    /// Writes the messages of a service, and those of the framework itself.
    pub(crate) fn of(ws: &'a FastWs) -> Self {
        let mut messages = Self {
            ws,
            schemas: ws.schemas().components().clone(),
            messages: BTreeMap::new(),
            from_client: Vec::new(),
            from_server: Vec::new(),
            tags: BTreeSet::new(),
            id: Value::Null,
            validators: HashMap::new(),
        };
        messages.id = messages.framework_schema("RequestId", request_id());
        for operation in ws.operations() {
            messages.operation(operation);
        }
        messages.framework();
        messages.from_client.sort();
        messages.from_server.sort();
        messages.schemas = used(with_names(messages.schemas), &messages.messages);
        messages
    }

    fn operation(&mut self, operation: &Operation) {
        let tags = if operation.tags.is_empty() { vec![group(&operation.name)] } else { operation.tags.clone() };
        let mut message = Draft {
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
            let message = Draft {
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

    /// The `id` of a request or an answer.
    pub(crate) fn id_member(&self) -> Member {
        Member { example: Some("req-1".into()), ..Member::optional("id", self.id.clone()) }
    }

    /// Writes a message with the schema of its frame and its examples.
    pub(crate) fn message(&mut self, mut message: Draft<'_>, is_valid: &dyn Fn(&Value) -> bool) {
        let pascal = pascal_case(message.name);
        let payload = message.payload.take().map(|payload| self.lift(message.name, &pascal, payload));
        let frame = frame(&message, payload.as_ref());
        let frame_name = self.free_name(&format!("{pascal}Message"));
        let schema = self.named(&frame_name, frame);
        let examples = self.examples(&message, payload.as_ref(), is_valid);

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

    /// Frames that show the message. One whose payload its own schema or the server would refuse is left out, and logged.
    fn examples(
        &mut self,
        message: &Draft<'_>,
        payload: Option<&Value>,
        is_valid: &dyn Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let payloads = match (&message.example, payload) {
            (Some(given), _) => vec![Some(given.clone())],
            (None, Some(payload)) => examples(payload, &self.schemas).into_iter().map(Some).collect(),
            (None, None) => vec![None],
        };
        let mut written = Vec::new();
        for (number, example) in payloads.into_iter().enumerate() {
            let mut frame = Map::new();
            frame.insert("type".into(), message.name.into());
            for member in &message.members {
                frame.extend(member.example.clone().map(|example| (member.name.to_owned(), example)));
            }
            let mut is_true =
                |example: &Value| payload.is_some_and(|payload| self.accepts(payload, example)) && is_valid(example);
            if !example.as_ref().is_none_or(&mut is_true) {
                tracing::warn!(
                    message = message.name,
                    "no example could be made of the schema; give one with `example = …`"
                );
                continue;
            }
            frame.extend(example.map(|example| ("payload".to_owned(), example)));
            let (name, summary) = match number {
                0 => ("example".to_owned(), "Example"),
                _ => (format!("example-{}", number + 1), "Another example"),
            };
            let mut shown = json!({ "name": name, "summary": summary });
            shown["payload"] = frame.into();
            written.push(shown);
        }
        written
    }

    /// Whether a value is of a payload's schema. Compiling one takes longer than all else, so it is done once for a type.
    fn accepts(&mut self, payload: &Value, value: &Value) -> bool {
        let compile = || fastws_core::validator(payload, &self.schemas).ok();
        let validator = match payload.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.validators.entry(reference.to_owned()).or_insert_with(compile),
            None => &mut compile(),
        };
        validator.as_ref().is_some_and(|validator| validator.is_valid(value))
    }

    /// Adds a schema of the framework's own, beside an application's type that is called the same.
    pub(crate) fn framework_schema(&mut self, name: &str, schema: Value) -> Value {
        let name = self.free_name(name);
        self.named(&name, schema)
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
    fn lift(&mut self, of: &str, pascal: &str, mut schema: Value) -> Value {
        let is_object = schema.get("type").is_some_and(|kind| kind == "object") || schema.get("enum").is_some();
        if !is_object {
            return schema;
        }
        if let Value::Object(schema) = &mut schema
            && !schema.contains_key("description")
        {
            schema.shift_insert(0, "description".into(), format!("Payload of `{of}`.").into());
        }
        let name = self.free_name(&format!("{pascal}Payload"));
        self.named(&name, schema)
    }

    /// The name itself, or with a number where an application's type is called so.
    fn free_name(&self, name: &str) -> String {
        free(name, |name| self.schemas.contains_key(name))
    }

    /// Whether the operation refuses a message without a payload.
    fn requires_payload(&self, operation: &Operation) -> bool {
        operation.direction == Direction::Recv || self.ws.check_payload(&operation.name, &Value::Null).is_err()
    }

    /// What the reply to a topic's subscribe or unsubscribe says.
    fn example_confirmation(&self, operation: &Operation) -> Option<Value> {
        let role = operation.topic.as_ref()?;
        let mut example = examples(&operation.reply.as_ref()?.payload, &self.schemas).into_iter().next()?;
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
    pub(crate) fn example_topic(&self, template: &str) -> String {
        let is_reply = |operation: &&Operation| {
            operation
                .topic
                .as_ref()
                .is_some_and(|topic| topic.template == template && topic.part == TopicPart::Subscribe)
        };
        let reply = self.ws.operations().iter().find(is_reply).and_then(|operation| operation.reply.as_ref());
        let fields =
            reply.and_then(|reply| examples(&reply.payload, &self.schemas).into_iter().next()).unwrap_or_default();
        let Value::Object(fields) = fields else { return template.to_owned() };
        fields.iter().fold(template.to_owned(), |topic, (name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            topic.replace(&format!("{{{name}}}"), &text)
        })
    }
}

/// The schema of a message's frame.
fn frame(message: &Draft<'_>, payload: Option<&Value>) -> Value {
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
    });
    frame["properties"] = properties.into();
    if message.is_deprecated {
        frame["deprecated"] = true.into();
    }
    frame
}

/// What stands before the first dot, as a tag of operations that have none.
fn group(name: &str) -> String {
    name.split('.').next().unwrap_or(name).to_owned()
}

/// What an `id` may be: protocol, section 1, rule 3.
fn request_id() -> Value {
    const EXACT: i64 = (1 << 53) - 1;
    json!({
        "description": "The client's own id of a request, at most 64 bytes or an exact integer; echoed in the one answer.",
        "type": ["string", "integer"],
        "maxLength": 64,
        "minimum": -EXACT,
        "maximum": EXACT,
    })
}
