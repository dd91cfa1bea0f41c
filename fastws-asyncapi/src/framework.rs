//! The messages that the framework itself writes: errors, and notices about subscriptions and the connection.

use fastws_core::{ErrorCode, TopicPart};
use serde_json::{Map, Value, json};

use crate::messages::{Draft, Member, Messages};

impl Messages<'_> {
    /// Adds the framework's own messages, as far as this service can send them.
    pub(crate) fn framework(&mut self) {
        self.error();
        let subscribe = self
            .ws
            .operations()
            .iter()
            .find_map(|operation| operation.topic.as_ref().filter(|topic| topic.part == TopicPart::Subscribe));
        if let Some(role) = subscribe {
            self.unsubscribed(&role.template);
        }
        if self.ws.timeouts().lifespan.is_some() {
            self.draining();
        }
    }

    fn error(&mut self) {
        let payload = self.error_payload();
        let example = json!({
            "code": "unknown_operation",
            "message": "no operation is called `pin`; did you mean `ping`?",
            "operation": "pin",
        });
        let summary = "A request was refused, or something that the client subscribed to failed.";
        let topic = Member::optional_topic("The topic that failed, if the error is about one.");
        let members = vec![self.id_member(), topic];
        self.notice("error", "Error", summary, payload, example, members);
    }

    fn unsubscribed(&mut self, template: &str) {
        let payload = self.framework_schema(
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
        let topic = Member::topic("The topic.", self.example_topic(template));
        let summary = "The server has ended a subscription.";
        self.notice("unsubscribed", "Unsubscribed", summary, payload, example, vec![topic]);
    }

    fn draining(&mut self) {
        let payload = self.framework_schema(
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
        self.notice("draining", "Draining", summary, payload, example, Vec::new());
    }

    fn notice(&mut self, name: &str, title: &str, summary: &str, payload: Value, example: Value, members: Vec<Member>) {
        let message = Draft {
            name,
            title: title.into(),
            summary: summary.into(),
            description: None,
            tags: vec!["session".into()],
            is_deprecated: false,
            payload: Some(payload),
            needs_payload: true,
            example: Some(example),
            members,
            extensions: Vec::new(),
        };
        self.message(message, &|_| true);
        self.from_server.push(name.into());
    }

    fn error_payload(&mut self) -> Value {
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|(code, _)| code.as_str()).collect();
        let meanings: Map<_, _> =
            ErrorCode::ALL.iter().map(|(code, meaning)| (code.to_string(), meaning.trim().into())).collect();
        let framework = self.framework_schema(
            "ErrorCode",
            json!({
                "description": "Why a request was refused, in one stable word.",
                "type": "string",
                "enum": codes,
                "x-enum-descriptions": meanings,
            }),
        );
        let application = self.framework_schema(
            "ApplicationErrorCode",
            json!({
                "description": "An error code of this application's own.",
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]*$",
            }),
        );
        let code = self.framework_schema(
            "AnyErrorCode",
            json!({ "description": "A stable word for programs.", "anyOf": [framework, application] }),
        );
        let detail = self.framework_schema(
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
        self.framework_schema(
            "ErrorPayload",
            json!({
                "description": "Why a request was refused.",
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": code,
                    "message": { "type": "string", "description": "A sentence for a person." },
                    "operation": { "type": "string", "description": "The operation that was asked for." },
                    "details": {
                        "type": "array",
                        "items": detail,
                        "description": "What is wrong, field by field.",
                    },
                    "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When to try again, in milliseconds." },
                },
            }),
        )
    }
}
