//! From declarations to a service: prefixes, tags, every start-up check, and the way from a name to its handler.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use crate::error::Detail;
use crate::extract::{Message, States, complaints};
use crate::handler::{BoxFuture, Callable, NeededPayload, Needs, Outcome};
use crate::hub::{Catalogue, Hub, MakeTopic};
use crate::operation::{Declaration, Declared, Direction, Kind, Operation, Reply, TopicPart, TopicRole, TypeSchema};
use crate::schema::{Collector, Schemas};
use crate::source::{self, DeclaredTopic, Feed, Fields, Source, Start, TopicTypes};
use crate::topic::{Template, Topic, TopicSpelling, is_name};

/// This is a group of operations that share a prefix and tags, as FastWS's routers do.
///
/// ```
/// use fastws_core::OperationRouter;
///
/// let market = OperationRouter::new().prefix("market.").tags(["market data"]);
/// let router = OperationRouter::new().prefix("v1.").include(market);
/// ```
///
/// Prefixes are put together as they are written, outer ones first; so are tags. A topic's text has no prefix, only its
/// operations have.
#[derive(Clone, Debug, Default)]
pub struct OperationRouter {
    prefix: String,
    tags: Vec<String>,
    declarations: Vec<Prefixed>,
}

/// This is a declaration with what its routers add.
#[derive(Clone, Debug)]
pub(crate) struct Prefixed {
    prefix: String,
    tags: Vec<String>,
    declaration: Declaration,
}

impl OperationRouter {
    /// Makes a router without prefix or tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is put before every name, usually ending in a dot.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Groups that all its operations belong to.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an operation: the function's own name is its type.
    #[must_use]
    pub fn add<T: Declared>(mut self) -> Self {
        self.declarations.push(Prefixed::from(T::declaration()));
        self
    }

    /// Adds all operations of another router, below this one's prefix and tags.
    #[must_use]
    pub fn include(mut self, router: Self) -> Self {
        self.declarations.extend(router.flatten());
        self
    }

    pub(crate) fn flatten(self) -> impl Iterator<Item = Prefixed> {
        let Self { prefix, tags, declarations } = self;
        declarations.into_iter().map(move |inner| Prefixed {
            prefix: format!("{prefix}{}", inner.prefix),
            tags: tags.iter().chain(&inner.tags).cloned().collect(),
            declaration: inner.declaration,
        })
    }
}

impl From<Declaration> for Prefixed {
    fn from(declaration: Declaration) -> Self {
        Self { prefix: String::new(), tags: Vec::new(), declaration }
    }
}

/// This is one operation that clients can send, ready to be called.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) reply: Option<String>,
    pub(crate) is_concurrent: bool,
    handler: Arc<dyn Callable>,
    check: Option<Check>,
    /// The payload's schema, to explain what is wrong with one.
    schema: Option<(Value, Arc<OnceLock<Schemas>>)>,
    validator: OnceLock<Option<jsonschema::Validator>>,
}

/// Decodes and checks a payload, and lists what is wrong with it.
type Check = fn(Option<&str>) -> Result<(), Vec<Detail>>;

impl Route {
    /// Whether the handler would take this payload.
    pub(crate) fn check(&self, payload: &Value) -> Result<(), Vec<Detail>> {
        self.check.map_or(Ok(()), |check| check(Some(&payload.to_string())))
    }

    pub(crate) fn call(&self, message: Message) -> BoxFuture<Outcome> {
        self.handler.call(message)
    }

    /// Compiled when the first payload is wrong.
    pub(crate) fn validator(&self) -> Option<&jsonschema::Validator> {
        let compile = || {
            let (schema, schemas) = self.schema.as_ref()?;
            schemas.get()?.validator(schema).ok()
        };
        self.validator.get_or_init(compile).as_ref()
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({})", self.name)
    }
}

/// These are all operations that clients can send.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<String, Arc<Route>>);

impl Routes {
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Route>> {
        self.0.get(name)
    }

    /// Up to three names that `name` may have been meant to be.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        let longest = name.len().max(4) / 2;
        let mut near: Vec<_> = self
            .0
            .keys()
            .map(|known| (distance(name, known), known.as_str()))
            .filter(|(distance, _)| *distance <= longest)
            .collect();
        near.sort_unstable();
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

/// How many letters have to change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(MAX_COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(MAX_COMPARED).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const MAX_COMPARED: usize = 128;

/// This is what [`assemble`] makes.
pub(crate) struct Assembled {
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: Schemas,
    pub(crate) routes: Routes,
    pub(crate) catalogue: Catalogue,
}

/// Names that the framework itself writes.
const RESERVED: [&str; 3] = ["error", "draining", "unsubscribed"];

/// Puts a service together. Everything that is wrong with it becomes a sentence in `complaints`.
pub(crate) fn assemble(
    declarations: Vec<Prefixed>,
    states: &Arc<States>,
    spelling: TopicSpelling,
    complaints: &mut Vec<String>,
) -> Assembled {
    let mut assembly = Assembly {
        collector: Collector::new(),
        schemas: Arc::default(),
        drafts: Vec::new(),
        topics: Vec::new(),
        twins: HashMap::new(),
        routes: Routes::default(),
        catalogue: Catalogue::default(),
        spelling,
        states: Arc::clone(states),
    };
    let mut declarations = declarations;
    declarations.sort_by_key(|declared| (declared.name(), declared.declaration.about.place()));
    for declaration in declarations {
        assembly.add(declaration, complaints);
    }
    assembly.finish(complaints)
}

struct Assembly {
    collector: Collector,
    /// Filled in at the end, for the routes that explain payloads.
    schemas: Arc<OnceLock<Schemas>>,
    drafts: Vec<Draft>,
    topics: Vec<(Template, String)>,
    twins: HashMap<TypeId, String>,
    routes: Routes,
    catalogue: Catalogue,
    spelling: TopicSpelling,
    states: Arc<States>,
}

/// This is an operation whose schemas are not final yet.
struct Draft {
    operation: Operation,
    check: Option<Check>,
}

impl Prefixed {
    /// Whether it uses this name for itself or its reply.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let about = self.declaration.about;
        [Some(about.name), about.reply].into_iter().flatten().any(|own| format!("{}{own}", self.prefix) == name)
    }

    fn name(&self) -> String {
        format!("{}{}", self.prefix, self.declaration.about.name)
    }
}

impl Assembly {
    fn add(&mut self, prefixed: Prefixed, complaints: &mut Vec<String>) {
        let about = prefixed.declaration.about;
        let place = about.place();
        let name = prefixed.name();
        if let Some(earlier) = self.twins.insert(prefixed.declaration.twin, place.clone()) {
            complaints.push(format!("operation `{name}` is included twice ({earlier})"));
            return;
        }
        let operation = Operation {
            name: name.clone(),
            direction: Direction::Send,
            title: about.title(),
            summary: about.summary.map_or_else(|| about.title(), str::to_owned),
            description: about.description.map(str::to_owned),
            tags: prefixed.tags.iter().cloned().chain(about.tags.iter().map(|tag| (*tag).to_owned())).collect(),
            deprecated: about.deprecated,
            payload: None,
            example: about.example.map(|example| example()),
            reply: None,
            topic: None,
            place,
        };
        match prefixed.declaration.kind.clone() {
            Kind::Send { handler, needs, reply } => {
                self.require(&name, &needs, complaints);
                let reply_name = about.reply.map(|reply| format!("{}{reply}", prefixed.prefix));
                self.add_send(operation, handler, needs.payload, reply_name.zip(reply), &prefixed);
            }
            Kind::Recv { payload } => self.add_recv(operation, payload, prefixed.declaration.twin),
            Kind::Topic(topic) => {
                self.require(&name, topic.needs(), complaints);
                self.add_topic(operation, &topic, &prefixed, complaints);
            }
        }
    }

    /// Complains about states that nobody gave.
    fn require(&self, name: &str, needs: &Needs, complaints: &mut Vec<String>) {
        for (_, state) in needs.states.iter().filter(|(id, _)| !self.states.holds(*id)) {
            complaints
                .push(format!("operation `{name}` needs `State<{state}>`: give one to the builder with `.state(…)`"));
        }
    }

    fn add_send(
        &mut self,
        mut operation: Operation,
        handler: Arc<dyn Callable>,
        payload: Option<NeededPayload>,
        reply: Option<(String, TypeSchema)>,
        prefixed: &Prefixed,
    ) {
        operation.payload = payload.map(|payload| self.collector.inbound(payload.schema));
        operation.reply = reply.map(|(name, schema)| Reply {
            name,
            payload: self.collector.outbound(schema),
            example: prefixed.declaration.about.reply_example.map(|example| example()),
        });
        let check = payload.map(|payload| payload.check);
        self.push_route(&operation, handler, check, prefixed.declaration.about.concurrent);
        self.drafts.push(Draft { operation, check });
    }

    fn add_recv(&mut self, mut operation: Operation, payload: TypeSchema, twin: TypeId) {
        operation.direction = Direction::Recv;
        operation.payload = Some(self.collector.outbound(payload));
        self.catalogue.published.insert(twin, operation.name.as_str().into());
        self.drafts.push(Draft { operation, check: None });
    }

    fn add_topic(
        &mut self,
        base: Operation,
        topic: &Arc<dyn DeclaredTopic>,
        prefixed: &Prefixed,
        complaints: &mut Vec<String>,
    ) {
        let about = prefixed.declaration.about;
        let template = match Template::parse(about.name) {
            Ok(template) => template,
            Err(sentence) => return complaints.push(format!("{sentence} ({})", base.place)),
        };
        for (other, place) in &self.topics {
            if other.overlaps(&template) {
                let (this, other) = (template.as_str(), other.as_str());
                complaints
                    .push(format!("topics `{this}` ({}) and `{other}` ({place}) could share one name", base.place));
            }
        }
        self.topics.push((template.clone(), base.place.clone()));

        let TopicTypes { request, params, update, takes_several } = topic.types();
        let route = format!("{}{}", prefixed.prefix, template.route());
        let update_name: Arc<str> = format!("{route}.update").into();
        let request_schema = request.map(|request| self.collector.inbound(request.schema));
        let params_schema = self.collector.inbound(params);
        let maker = Arc::new(TopicMaker {
            template: template.clone(),
            spelling: self.spelling,
            declared: Arc::clone(topic),
            update_name: Arc::clone(&update_name),
            states: Arc::clone(&self.states),
        });
        let twin = prefixed.declaration.twin;
        self.catalogue.published.insert(twin, Arc::clone(&update_name));
        self.catalogue.topics.insert(twin, Arc::clone(&maker) as Arc<dyn MakeTopic>);

        let subject = about.title().to_lowercase();
        for part in [TopicPart::Subscribe, TopicPart::Unsubscribe, TopicPart::Update] {
            let role = TopicRole { template: template.as_str().into(), updates: update_name.to_string(), part };
            let (verb, title, summary) = match part {
                TopicPart::Subscribe => ("subscribe", format!("Subscribe to {subject}"), base.summary.clone()),
                TopicPart::Unsubscribe => (
                    "unsubscribe",
                    format!("Unsubscribe from {subject}"),
                    format!("Stops what `{route}.subscribe` began.").replace('`', ""),
                ),
                TopicPart::Update => ("update", format!("{} update", about.title()), base.summary.clone()),
            };
            let mut operation =
                Operation { name: format!("{route}.{verb}"), title, summary, topic: Some(role), ..base.clone() };
            if part == TopicPart::Update {
                operation.direction = Direction::Recv;
                operation.payload = Some(self.collector.outbound(update));
                operation.example = about.reply_example.map(|example| example());
                self.drafts.push(Draft { operation, check: None });
                continue;
            }
            operation.payload.clone_from(&request_schema);
            operation.reply = Some(Reply {
                name: format!("{route}.{verb}.response"),
                // Completed in `finish`, when the fields' schemas are final.
                payload: json!({ "params": params_schema, "several": takes_several }),
                example: None,
            });
            let handler = TopicHandler { maker: Arc::clone(&maker), part };
            let check = request.map(|request| request.check);
            self.push_route(&operation, Arc::new(handler), check, false);
            self.drafts.push(Draft { operation, check });
        }
    }

    fn push_route(
        &mut self,
        operation: &Operation,
        handler: Arc<dyn Callable>,
        check: Option<Check>,
        is_concurrent: bool,
    ) {
        let route = Route {
            name: operation.name.clone(),
            reply: operation.reply.as_ref().map(|reply| reply.name.clone()),
            is_concurrent,
            handler,
            check,
            schema: operation.payload.clone().map(|schema| (schema, Arc::clone(&self.schemas))),
            validator: OnceLock::new(),
        };
        self.routes.0.insert(route.name.clone(), Arc::new(route));
    }

    fn finish(mut self, complaints: &mut Vec<String>) -> Assembled {
        let (schemas, renames) = self.collector.finish(complaints);
        for Draft { operation, .. } in &mut self.drafts {
            if let (Direction::Send, Some(payload)) = (operation.direction, &mut operation.payload) {
                renames.apply(payload);
            }
            if let (Some(role), Some(reply)) = (&operation.topic, &mut operation.reply) {
                renames.apply(&mut reply.payload["params"]);
                let template = Template::parse(&role.template).expect("it was parsed when the topic was added");
                let (params, several) = (reply.payload["params"].take(), reply.payload["several"] == true);
                let fields = topic_fields(&template, &params, &schemas, &operation.place, complaints);
                reply.payload = confirmation_schema(&fields, several);
            }
        }
        for route in self.routes.0.values_mut() {
            if let Some((schema, _)) = &mut Arc::get_mut(route).expect("nobody else has it yet").schema {
                renames.apply(schema);
            }
        }
        check_names(&self.drafts, complaints);
        check_examples(&self.drafts, &schemas, complaints);
        for Draft { operation, .. } in &self.drafts {
            if operation.direction == Direction::Recv
                && let Some(Ok(validator)) = operation.payload.as_ref().map(|payload| schemas.validator(payload))
            {
                self.catalogue.by_name.insert(operation.name.as_str().into(), validator);
            }
        }
        self.schemas.set(schemas.clone()).expect("it is filled in once, here");
        let mut operations: Vec<_> = self.drafts.into_iter().map(|draft| draft.operation).collect();
        operations.sort_by(|a, b| a.name.cmp(&b.name));
        Assembled { operations, schemas, routes: self.routes, catalogue: self.catalogue }
    }
}

/// Every name is well formed, and no two messages share one.
fn check_names(drafts: &[Draft], complaints: &mut Vec<String>) {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Draft { operation, .. } in drafts {
        names.entry(&operation.name).or_default().push(&operation.place);
        if let Some(reply) = &operation.reply {
            names.entry(&reply.name).or_default().push(&operation.place);
        }
    }
    for (name, places) in names {
        let places = places.join(" and ");
        if !is_name(name) {
            complaints
                .push(format!("`{name}` is no operation name: 1 to 128 letters, digits, `.`, `_` or `-` ({places})"));
        }
        if RESERVED.contains(&name) {
            complaints.push(format!("the name `{name}` is the framework's own ({places})"));
        }
        if places.contains(" and ") {
            complaints.push(format!("the name `{name}` is declared more than once: {places}"));
        }
    }
}

/// Every given example is what its schema, and for requests the server itself, accepts.
fn check_examples(drafts: &[Draft], schemas: &Schemas, complaints: &mut Vec<String>) {
    for Draft { operation, check } in drafts {
        let mut examples = vec![(&operation.name, &operation.example, operation.payload.as_ref())];
        if let Some(reply) = &operation.reply {
            examples.push((&reply.name, &reply.example, Some(&reply.payload)));
        }
        for (name, example, schema) in examples {
            let Some(example) = example else { continue };
            let Some(schema) = schema else {
                complaints.push(format!("`{name}` has an example and no payload ({})", operation.place));
                continue;
            };
            let mut details =
                schemas.validator(schema).map(|validator| complaints_of(&validator, example)).unwrap_or_default();
            if details.is_empty()
                && *name == operation.name
                && let Some(Err(refused)) = check.map(|check| check(Some(&example.to_string())))
            {
                details = refused;
            }
            for Detail { path, message } in details {
                complaints
                    .push(format!("the example of `{name}` is not valid at `{path}`: {message} ({})", operation.place));
            }
        }
    }
}

fn complaints_of(validator: &jsonschema::Validator, value: &Value) -> Vec<Detail> {
    complaints(validator, value)
}

/// The schemas of a template's fields, which have to be plain values of one type.
fn topic_fields(
    template: &Template,
    params: &Value,
    schemas: &Schemas,
    place: &str,
    complaints: &mut Vec<String>,
) -> Map<String, Value> {
    let resolved = resolve(params, schemas);
    let mut fields = Map::new();
    for name in template.fields() {
        match resolved.pointer(&format!("/properties/{name}")) {
            None => complaints.push(format!(
                "topic `{}`: its parameters have no field that is called `{name}` in JSON ({place})",
                template.as_str()
            )),
            Some(field) => match plain(field, schemas) {
                Some(field) => drop(fields.insert(name.to_owned(), field)),
                None => complaints.push(format!(
                    "topic `{}`: field `{name}` is not plain text, a number or a boolean ({place})",
                    template.as_str()
                )),
            },
        }
    }
    let required = resolved.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| !fields.contains_key(*name)) {
        complaints.push(format!(
            "topic `{}`: field `{name}` is not in the template, so it needs a default ({place})",
            template.as_str()
        ));
    }
    fields
}

fn resolve<'a>(schema: &'a Value, schemas: &'a Schemas) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| schemas.components().get(name)).unwrap_or(schema)
}

/// The schema of a topic's field, if it is plain text, a number or a boolean. A request may leave a field out where it
/// has a default, but the topic has a value, so what remains is without `null` and `default`.
fn plain(schema: &Value, schemas: &Schemas) -> Option<Value> {
    let is_plain = |kind: &str| matches!(kind, "string" | "integer" | "number" | "boolean");
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    let mut field = schema.clone();
    if let Value::Object(field) = &mut field {
        field.shift_remove("default");
        if let Some(Value::Array(choices)) = field.shift_remove("anyOf") {
            let choices: Vec<_> = choices.into_iter().filter(|choice| !is_null(choice)).collect();
            field.insert("allOf".into(), choices.into());
        }
        if let Some(Value::Array(kinds)) = field.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                field.insert("type".into(), only);
            }
        }
    }
    let target = match field.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => resolve(only, schemas),
        Some(_) => return None,
        None => resolve(&field, schemas),
    };
    target.get("type").and_then(Value::as_str).is_some_and(is_plain).then_some(field)
}

/// The schema of the reply to subscribe and unsubscribe.
fn confirmation_schema(fields: &Map<String, Value>, takes_several: bool) -> Value {
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

/// This makes the topics of one `#[topic]` function.
struct TopicMaker {
    template: Template,
    spelling: TopicSpelling,
    declared: Arc<dyn DeclaredTopic>,
    update_name: Arc<str>,
    states: Arc<States>,
}

impl MakeTopic for TopicMaker {
    fn make(self: Arc<Self>, fields: Fields) -> crate::Result<Topic> {
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
    fn start(&self, hub: Hub, updates: Feed) -> BoxFuture<crate::Result<()>> {
        let states = Arc::clone(&self.maker.states);
        self.maker.declared.start(Start { fields: self.fields.clone(), updates, hub, states })
    }

    fn update_name(&self) -> &Arc<str> {
        &self.maker.update_name
    }
}

/// This is the subscribe or the unsubscribe operation of a topic.
struct TopicHandler {
    maker: Arc<TopicMaker>,
    part: TopicPart,
}

impl Callable for TopicHandler {
    fn call(&self, message: Message) -> BoxFuture<Outcome> {
        let (maker, part) = (Arc::clone(&self.maker), self.part);
        Box::pin(async move {
            let request = maker.declared.read(&message)?;
            let topics: Vec<Topic> = request
                .wanted
                .iter()
                .map(|wanted| Arc::clone(&maker).make(wanted.params.clone()))
                .collect::<Result<_, _>>()?;
            match part {
                TopicPart::Unsubscribe => source::unsubscribe(message.client(), &request, &topics),
                _ => source::subscribe(message.client(), request, topics).await,
            }
        })
    }
}
