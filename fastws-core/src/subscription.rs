//! The subscribe and unsubscribe operations of a topic.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::{Error, ErrorCode, Result};
use crate::extract::{Message, States};
use crate::handler::{BoxFuture, Callable, Outcome};
use crate::hub::{Hub, MakeTopic};
use crate::operation::TopicPart;
use crate::source::{Feed, Source, Start};
use crate::topic::{Template, Topic, TopicSpelling};
use crate::topic_function::{DeclaredTopic, Fields, Request};

/// This makes the topics of one `#[topic]` function.
pub(crate) struct TopicMaker {
    pub(crate) template: Template,
    pub(crate) spelling: TopicSpelling,
    pub(crate) declared: Arc<dyn DeclaredTopic>,
    pub(crate) update_name: Arc<str>,
    pub(crate) states: Arc<States>,
}

impl MakeTopic for TopicMaker {
    fn make(self: Arc<Self>, fields: Fields) -> Result<Topic> {
        let topic = self.template.topic(&fields, self.spelling)?;
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(topic.with_source(Arc::new(TopicSource { maker: self, fields: Value::Object(fields) })))
    }
}

/// This feeds one topic.
struct TopicSource {
    maker: Arc<TopicMaker>,
    fields: Value,
}

impl Source for TopicSource {
    fn start(&self, hub: Hub, updates: Feed) -> BoxFuture<Result<()>> {
        let states = Arc::clone(&self.maker.states);
        self.maker.declared.start(Start { fields: self.fields.clone(), updates, hub, states })
    }

    fn update_name(&self) -> &Arc<str> {
        &self.maker.update_name
    }
}

/// This is the subscribe or the unsubscribe operation of a topic.
pub(crate) struct TopicHandler {
    pub(crate) maker: Arc<TopicMaker>,
    pub(crate) part: TopicPart,
}

impl Callable for TopicHandler {
    fn call(&self, message: &Message<'_>) -> Result<BoxFuture<Outcome>> {
        let (maker, part) = (&self.maker, self.part);
        let request = maker.declared.read(message)?;
        let topics: Vec<Topic> = request
            .wanted
            .iter()
            .map(|wanted| Arc::clone(maker).make(wanted.params.clone()))
            .collect::<Result<_, _>>()?;
        let client = message.client().clone();
        Ok(Box::pin(async move {
            match part {
                TopicPart::Unsubscribe => unsubscribe(&client, &request, &topics),
                _ => subscribe(&client, request, topics).await,
            }
        }))
    }
}

/// The subscribe request of a topic: all of the topics that it names, or none.
async fn subscribe(client: &Client, request: Request, topics: Vec<Topic>) -> Outcome {
    let limit = client.hub.0.limits.topics_per_request;
    if topics.len() > limit {
        return Err(Error::new(ErrorCode::TOO_MANY_SUBSCRIPTIONS, format!("a request names at most {limit} topics")));
    }
    let shape = || request.shape.as_ref().map(|shape| shape());
    let Err(failures) = client.join_all(&topics, shape).await else {
        return Ok(Some(confirmation("Subscribed to", &request, &topics)));
    };
    let mut failures = failures.into_iter().map(|(at, error)| (request.wanted[at].path.clone(), error));
    let (path, first) = failures.next().expect("one of them failed");
    if path.is_empty() {
        return Err(first);
    }
    let message = first.message().to_owned();
    Err(failures.fold(first.detail(path, message), |answer, (path, error)| answer.detail(path, error.message())))
}

/// The unsubscribe request of a topic.
fn unsubscribe(client: &Client, request: &Request, topics: &[Topic]) -> Outcome {
    for topic in topics {
        client.unsubscribe(topic);
    }
    Ok(Some(confirmation("Unsubscribed from", request, topics)))
}

/// The reply's payload: status, message and topics, and with one topic its name and fields.
fn confirmation(done: &str, request: &Request, topics: &[Topic]) -> String {
    let names: Vec<_> = topics.iter().map(Topic::wire).collect();
    let mut reply = Map::new();
    reply.insert("status".into(), "ok".into());
    reply.insert("message".into(), format!("{done} {}", names.join(", ")).into());
    if let ([topic], [wanted]) = (names.as_slice(), request.wanted.as_slice()) {
        reply.insert("topic".into(), (*topic).into());
        reply.extend(wanted.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    if request.takes_several {
        reply.insert("topics".into(), json!(names));
    }
    Value::Object(reply).to_string()
}

/// The schema of the reply to subscribe and unsubscribe.
pub(crate) fn confirmation_schema(fields: &Map<String, Value>, takes_several: bool) -> Value {
    let mut properties = json!({
        "status": { "type": "string", "const": "ok", "description": "Always `ok`; a failure is an `error` frame." },
        "message": { "type": "string", "description": "What was done, for a person." },
        "topic": { "type": "string", "description": "The topic, as it stands on its updates." },
    });
    let mut required = vec!["status", "message"];
    let Value::Object(known) = &mut properties else { unreachable!("an object was written above") };
    for (name, schema) in fields {
        known.entry(name.clone()).or_insert_with(|| schema.clone());
    }
    if takes_several {
        let topics = json!({ "type": "array", "items": { "type": "string" }, "description": "All topics that the request named." });
        known.insert("topics".into(), topics);
        required.push("topics");
    } else {
        required.push("topic");
        required.extend(fields.keys().map(String::as_str));
    }
    required.dedup();
    json!({ "type": "object", "required": required, "properties": properties })
}
