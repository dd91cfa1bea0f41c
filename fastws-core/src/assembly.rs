//! From declarations to a service: names and tags put together, schemas named, and every start-up check.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::engine::watchdog;
use crate::error::Detail;
use crate::extract::{States, complaints};
use crate::handler::{Callable, NeededPayload, Needs};
use crate::hub::{Catalogue, MakeTopic};
use crate::operation::{Direction, Kind, Operation, Reply, TopicPart, TopicRole, TypeSchema};
use crate::router::{Check, Prefixed, Route, Routes};
use crate::schema::{Collector, Schemas};
use crate::subscription::{TopicHandler, TopicMaker, confirmation_schema};
use crate::topic::{Template, TopicSpelling, is_name};
use crate::topic_function::{DeclaredTopic, TopicTypes};

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
    confirmation: Option<Confirmation>,
}

/// This is what the reply to a topic's subscribe or unsubscribe will be made of.
struct Confirmation {
    /// The schema of the template's fields.
    params: Value,
    /// Whether a request may name several topics.
    several: bool,
}

impl Draft {
    fn new(operation: Operation, check: Option<Check>) -> Self {
        Self { operation, check, confirmation: None }
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
            topic: hand_written_role(&prefixed),
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
        self.drafts.push(Draft::new(operation, check));
    }

    fn add_recv(&mut self, mut operation: Operation, payload: TypeSchema, twin: TypeId) {
        operation.direction = Direction::Recv;
        operation.payload = Some(self.collector.outbound(payload));
        self.catalogue.published.insert(twin, operation.name.as_str().into());
        self.drafts.push(Draft::new(operation, None));
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
            let role = TopicRole { template: template.as_str().into(), updates: vec![update_name.to_string()], part };
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
                self.drafts.push(Draft::new(operation, None));
                continue;
            }
            operation.payload.clone_from(&request_schema);
            operation.reply = Some(Reply {
                name: format!("{route}.{verb}.response"),
                // Made in `finish`, when the fields' schemas are final.
                payload: Value::Null,
                example: None,
            });
            let confirmation = Some(Confirmation { params: params_schema.clone(), several: takes_several });
            let handler = TopicHandler { maker: Arc::clone(&maker), part };
            let check = request.map(|request| request.check);
            self.push_route(&operation, Arc::new(handler), check, false);
            self.drafts.push(Draft { operation, check, confirmation });
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
            watched: watchdog::name(&operation.name),
            handler,
            check,
            schema: operation.payload.clone().map(|schema| (schema, Arc::clone(&self.schemas))),
            validator: OnceLock::new(),
        };
        self.routes.add(route);
    }

    fn finish(mut self, complaints: &mut Vec<String>) -> Assembled {
        let (schemas, renames) = self.collector.finish(complaints);
        for Draft { operation, confirmation, .. } in &mut self.drafts {
            if let (Direction::Send, Some(payload)) = (operation.direction, &mut operation.payload) {
                renames.apply(payload);
            }
            if let (Some(role), Some(reply), Some(confirmation)) =
                (&operation.topic, &mut operation.reply, confirmation.take())
            {
                let Confirmation { mut params, several } = confirmation;
                renames.apply(&mut params);
                let template = Template::parse(&role.template).expect("it was parsed when the topic was added");
                let fields = topic_fields(&template, &params, &schemas, &operation.place, complaints);
                reply.payload = confirmation_schema(&fields, several);
            }
        }
        for route in self.routes.all_mut() {
            if let Some((schema, _)) = &mut route.schema {
                renames.apply(schema);
            }
        }
        check_names(&self.drafts, complaints);
        name_updates(&mut self.drafts, complaints);
        check_replies(&self.drafts, &schemas, complaints);
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

/// What an attribute says about a handler that subscribes or unsubscribes.
fn hand_written_role(prefixed: &Prefixed) -> Option<TopicRole> {
    let about = prefixed.declaration.about;
    let (template, part) = match (about.subscribes, about.unsubscribes) {
        (Some(template), _) => (template, TopicPart::Subscribe),
        (None, Some(template)) => (template, TopicPart::Unsubscribe),
        (None, None) => return None,
    };
    let updates = about.updates.iter().map(|update| format!("{}{update}", prefixed.prefix)).collect();
    Some(TopicRole { template: template.into(), updates, part })
}

/// What a hand-written subscription says that it brings is there, and knows its topic.
fn name_updates(drafts: &mut [Draft], complaints: &mut Vec<String>) {
    let subscriptions: Vec<_> = drafts
        .iter()
        .filter_map(|draft| Some((draft.operation.topic.clone()?, draft.operation.place.clone())))
        .filter(|(role, _)| role.part == TopicPart::Subscribe)
        .collect();
    for (role, place) in subscriptions {
        for name in &role.updates {
            let is_update =
                |draft: &&mut Draft| draft.operation.direction == Direction::Recv && draft.operation.name == *name;
            match drafts.iter_mut().find(is_update) {
                Some(Draft { operation, .. }) => {
                    operation.topic.get_or_insert_with(|| TopicRole { part: TopicPart::Update, ..role.clone() });
                }
                None => {
                    complaints.push(format!("`{name}` is to bring updates, and no operation is called so ({place})"))
                }
            }
        }
    }
}

/// The reply to a subscription names its topics: clients could not tell its updates from others'.
fn check_replies(drafts: &[Draft], schemas: &Schemas, complaints: &mut Vec<String>) {
    for Draft { operation, .. } in drafts {
        let Some(TopicRole { part: TopicPart::Subscribe, .. }) = &operation.topic else { continue };
        let names_topic = operation.reply.as_ref().is_some_and(|reply| {
            let fields = resolve(&reply.payload, schemas).get("properties");
            ["topic", "topics"].iter().any(|name| fields.is_some_and(|fields| fields.get(name).is_some()))
        });
        if !names_topic {
            complaints.push(format!(
                "operation `{}` subscribes, so its reply names what to: give it a field `topic`, or `topics` ({})",
                operation.name, operation.place
            ));
        }
    }
}

/// Every given example is what its schema, and for requests the server itself, accepts.
fn check_examples(drafts: &[Draft], schemas: &Schemas, complaints: &mut Vec<String>) {
    for Draft { operation, check, .. } in drafts {
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
