//! The annotated function, checked.

use std::fmt;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, FnArg, GenericArgument, Ident, ItemFn, Lit, LitStr, Meta, PathArguments, ReturnType, Type};

use crate::args::{Args, Mistakes};

/// This is which attribute was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Send,
    Recv,
    Topic,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "send",
            Self::Recv => "recv",
            Self::Topic => "topic",
        })
    }
}

impl Kind {
    /// Arguments to show in a message.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Send => "\"simple.ping\", reply = \"simple.pong\"",
            Self::Recv => "\"alerts.alert\"",
            Self::Topic => "\"bars:{symbol}:{resolution}\"",
        }
    }
}

/// This is a function that can be expanded.
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) args: Args,
    pub(crate) function: ItemFn,
    pub(crate) name: LitStr,
    pub(crate) arguments: Vec<Type>,
    pub(crate) summary: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) is_deprecated: bool,
    /// The type within `Params<…>` and within `Updates<…>`, of a topic.
    pub(crate) params: Option<Type>,
    pub(crate) updates: Option<Type>,
    /// The fields of a topic's template.
    pub(crate) fields: Vec<String>,
}

/// Checks a function with its attribute; `None` when a mistake was noted.
pub(crate) fn check(kind: Kind, args: Args, function: ItemFn, mistakes: &mut Mistakes) -> Option<Operation> {
    let before = mistakes.count();
    check_signature(kind, &function, mistakes);
    if let Some(reply) = &args.reply {
        check_name(reply, mistakes);
    }
    let mut operation = Operation {
        kind,
        name: args.name.clone().unwrap_or_else(|| LitStr::new("", Span::call_site())),
        arguments: Vec::new(),
        summary: args.summary.as_ref().map(|summary| summary.value().replace('`', "")),
        description: args.description.as_ref().map(LitStr::value),
        is_deprecated: function.attrs.iter().any(|attribute| attribute.path().is_ident("deprecated")),
        params: None,
        updates: None,
        fields: Vec::new(),
        args,
        function,
    };
    operation.arguments = operation.function.sig.inputs.iter().filter_map(argument_type).collect();
    operation.read_documentation();
    match kind {
        Kind::Send => operation.check_send(mistakes),
        Kind::Recv => operation.check_recv(mistakes),
        Kind::Topic => operation.check_topic(mistakes),
    }
    (mistakes.count() == before && operation.args.name.is_some()).then_some(operation)
}

fn check_signature(kind: Kind, function: &ItemFn, mistakes: &mut Mistakes) {
    let signature = &function.sig;
    match (kind, &signature.asyncness) {
        (Kind::Recv, Some(asyncness)) => {
            mistakes
                .at(asyncness.span(), "a `#[recv]` function is the view of a value and is not async: remove `async`");
        }
        (Kind::Send | Kind::Topic, None) => mistakes.at(
            signature.fn_token.span(),
            format!("a `#[{kind}]` function is async: write `async fn {}`", signature.ident),
        ),
        _ => {}
    }
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        mistakes.on(receiver, "an operation is a free function and has no `self`: take what it needs as `State<T>`");
    }
    if !signature.generics.params.is_empty() {
        mistakes.on(&signature.generics, "an operation has one type on the wire, so its function is not generic");
    }
    for argument in signature.inputs.iter().filter_map(argument_type) {
        if let Type::ImplTrait(argument) = argument {
            mistakes.on(argument, "an operation has one type on the wire: name the argument's type");
        }
    }
    if signature.inputs.len() > MAX_ARGUMENTS {
        mistakes.on(
            &signature.inputs,
            format!("an operation takes at most {MAX_ARGUMENTS} arguments: put some together in one `State<T>`"),
        );
    }
}

const MAX_ARGUMENTS: usize = 8;

fn argument_type(argument: &FnArg) -> Option<Type> {
    match argument {
        FnArg::Typed(typed) => Some((*typed.ty).clone()),
        FnArg::Receiver(_) => None,
    }
}

/// Names are what the protocol allows.
fn check_name(name: &LitStr, mistakes: &mut Mistakes) {
    let text = name.value();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 128 {
        mistakes.at(name.span(), "a name has 1 to 128 characters");
    } else if let Some(wrong) = text.chars().find(|c| !is_allowed(*c)) {
        mistakes.at(name.span(), format!("a name has letters, digits, `.`, `_` and `-`, but not `{wrong}`"));
    }
}

impl Operation {
    fn check_subscription(&self, mistakes: &mut Mistakes) {
        let Args { subscribes, unsubscribes, updates, .. } = &self.args;
        updates.iter().for_each(|update| check_name(update, mistakes));
        match (subscribes, unsubscribes, updates.first()) {
            (Some(_), Some(both), _) => {
                mistakes.at(both.span(), "one request either subscribes or unsubscribes: remove one");
            }
            (Some(alone), None, None) if !self.args.has_updates => mistakes.at(
                alone.span(),
                "say which operations bring what it subscribes to: add `updates = [\"alerts.alert\"]`",
            ),
            (None, _, Some(update)) => {
                mistakes.at(update.span(), "`updates` come of a subscription: add `subscribes = \"alerts\"`");
            }
            _ => {}
        }
    }

    fn check_send(&self, mistakes: &mut Mistakes) {
        if let Some(name) = &self.args.name {
            check_name(name, mistakes);
        }
        self.check_subscription(mistakes);
        match (&self.args.reply, returned(&self.function.sig.output)) {
            (Some(reply), Returned::Nothing) => mistakes.at(
                reply.span(),
                format!(
                    "`{}` has a reply but returns nothing: return the reply, or remove `reply`",
                    self.function.sig.ident
                ),
            ),
            (None, Returned::Something(value)) if !self.args.has_reply => mistakes
                .on(value, "what this function returns needs a name on the wire: add `reply = \"…\"` to the attribute"),
            _ => {}
        }
        if let (None, Some(example)) = (&self.args.reply, &self.args.reply_example) {
            mistakes.on(example, "an operation without `reply` has no `reply_example`");
        }
    }

    fn check_recv(&self, mistakes: &mut Mistakes) {
        if let Some(name) = &self.args.name {
            check_name(name, mistakes);
        }
        if self.arguments.len() != 1 {
            mistakes.at(
                self.function.sig.paren_token.span.join(),
                "a `#[recv]` function takes one argument, the value that is published",
            );
        }
        if let Returned::Nothing = returned(&self.function.sig.output) {
            mistakes.at(self.function.sig.ident.span(), "a `#[recv]` function returns what goes on the wire");
        }
    }

    fn check_topic(&mut self, mistakes: &mut Mistakes) {
        let mut is_template = false;
        if let Some(template) = &self.args.name {
            match template_fields(&template.value()) {
                Ok(fields) => (self.fields, is_template) = (fields, true),
                Err(sentence) => mistakes.at(template.span(), sentence),
            }
        }
        self.params = self.arguments.iter().find_map(|argument| within(argument, "Params"));
        self.updates = self.arguments.iter().find_map(|argument| within(argument, "Updates"));
        if self.updates.is_none() {
            mistakes
                .at(self.function.sig.paren_token.span.join(), "a topic takes `Updates<T>`, where it puts its updates");
        }
        match (&self.params, self.fields.is_empty(), &self.args.name) {
            (None, false, Some(name)) => mistakes.at(
                name.span(),
                format!("this template has fields, so the function takes `Params<T>` with: {}", self.fields.join(", ")),
            ),
            (Some(params), true, Some(_)) if is_template => mistakes.on(
                params,
                "this template has no fields, so there is nothing to take: remove `Params`, or add `{…}` to the template",
            ),
            _ => {}
        }
    }

    /// Takes summary and description from the doc comment, where the attribute does not give them.
    fn read_documentation(&mut self) {
        let text = doc_comment(&self.function.attrs);
        let (summary, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let summary = summary.lines().map(str::trim).collect::<Vec<_>>().join(" ").replace('`', "");
        if !summary.is_empty() {
            self.summary.get_or_insert(summary);
        }
        if !rest.trim().is_empty() {
            self.description.get_or_insert(rest.trim().to_owned());
        }
    }
}

/// The doc comment's text, up to a form feed, as FastWS reads it.
fn doc_comment(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .collect();
    let text = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
    text.split('\u{c}').next().unwrap_or_default().trim().to_owned()
}

/// This is what can be told of a return type from the way in which it is written.
enum Returned<'a> {
    /// `()`, or a `Result` of it.
    Nothing,
    Something(&'a Type),
    /// A name such as `DeskResult`, which may stand for either: the compiler knows.
    Unknown,
}

fn returned(output: &ReturnType) -> Returned<'_> {
    let ReturnType::Type(_, output) = output else { return Returned::Nothing };
    let is_unit = |candidate: &Type| matches!(candidate, Type::Tuple(tuple) if tuple.elems.is_empty());
    if is_unit(output) {
        return Returned::Nothing;
    }
    let Type::Path(path) = &**output else { return Returned::Something(output) };
    match path.path.segments.last() {
        Some(last) if last.ident.to_string().ends_with("Result") => match type_arguments(&last.arguments).first() {
            Some(ok) if is_unit(ok) => Returned::Nothing,
            Some(_) => Returned::Something(output),
            None => Returned::Unknown,
        },
        _ => Returned::Something(output),
    }
}

/// Whether a type is certainly the `Result` that may fail. Of others, such as `DeskResult`, the compiler knows.
pub(crate) fn is_result(output: &Type) -> bool {
    let Type::Path(path) = output else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result" && !last.arguments.is_empty())
}

fn type_arguments(arguments: &PathArguments) -> Vec<Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return Vec::new() };
    arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(argument) => Some(argument.clone()),
            _ => None,
        })
        .collect()
}

/// The `T` of `Params<T>`, however the path to `Params` is written.
fn within(argument: &Type, wrapper: &str) -> Option<Type> {
    let Type::Path(path) = argument else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == wrapper)?;
    type_arguments(&last.arguments).into_iter().next()
}

/// The field of a struct that a placeholder names.
pub(crate) fn member(field: &str, span: Span) -> Option<Ident> {
    let is_field = !["self", "Self", "super", "crate", "_"].contains(&field);
    let mut member = Ident::parse_any.parse_str(field).ok().filter(|_| is_field)?;
    if syn::parse_str::<Ident>(field).is_err() {
        member = Ident::new_raw(field, span);
    }
    member.set_span(span);
    Some(member)
}

/// The names between braces. The whole template is checked again when the service is assembled.
fn template_fields(template: &str) -> Result<Vec<String>, String> {
    let mut fields: Vec<String> = Vec::new();
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (field, after) = tail.split_once('}').ok_or("a `{` has no `}`")?;
        if member(field, Span::call_site()).is_none() {
            return Err(format!(
                "`{{{field}}}` names no field: write `{{symbol}}`, where the parameters have a field `symbol`"
            ));
        }
        if !fields.is_empty() && !literal.contains(':') {
            return Err("placeholders are separated by `:`, or two topics could share one name".into());
        }
        if fields.iter().any(|known| known == field) {
            return Err(format!("the template names `{field}` twice"));
        }
        fields.push(field.to_owned());
        rest = after;
    }
    if rest.contains('}') {
        return Err("a `}` has no `{`".into());
    }
    let route = template.split([':', '{']).next().unwrap_or_default();
    let is_name = !route.is_empty() && route.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !is_name {
        let found = if route.is_empty() { String::new() } else { format!("; `{route}` is none") };
        return Err(format!("a topic begins with a name, as in `bars:{{symbol}}`{found}"));
    }
    Ok(fields)
}

impl Mistakes {
    /// How many there are.
    fn count(&self) -> usize {
        self.iter().count()
    }

    fn iter(&self) -> impl Iterator<Item = syn::Error> {
        self.0.iter().flat_map(|error| error.clone().into_iter())
    }
}

/// What is emitted in place of an item that is no function.
pub(crate) fn parse(kind: Kind, item: TokenStream, mistakes: &mut Mistakes) -> Option<ItemFn> {
    match syn::parse2(item) {
        Ok(function) => Some(function),
        Err(error) => {
            mistakes.at(error.span(), format!("`#[{kind}]` stands before a function with a body"));
            None
        }
    }
}
