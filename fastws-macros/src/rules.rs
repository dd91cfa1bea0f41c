//! Constraints: what stands in `#[garde(…)]`, and the calls that check it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, Ident, Path, Type};

use crate::args::Mistakes;

/// This is one constraint of a field, and where it stands.
struct Rule {
    kind: Kind,
    span: Span,
}

enum Kind {
    Length {
        min: Option<Expr>,
        max: Option<Expr>,
    },
    Range {
        min: Option<Expr>,
        max: Option<Expr>,
    },
    Pattern(Expr),
    Contains(Expr),
    Prefix(Expr),
    Suffix(Expr),
    /// One of garde's rules without arguments.
    Plain(Ident),
    /// An IP address: `Any`, `V4` or `V6`.
    Ip(Ident),
    Custom(Path),
    Inner(Vec<Rule>),
}

const KNOWN: &str = "length, range, pattern, contains, prefix, suffix, email, url, ip, ipv4, ipv6, ascii, alphanumeric, \
                     required, inner, custom, skip, dive";

/// These are all constraints of a field.
#[derive(Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the `#[garde(…)]` attributes of a field.
    pub(crate) fn read(attributes: &[Attribute], mistakes: &mut Mistakes) -> Self {
        let mut rules = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("garde")) {
            if let Err(error) = attribute.parse_nested_meta(|meta| read_rule(&meta, &mut rules)) {
                mistakes.add(error);
            }
        }
        Self(rules)
    }

    /// Statements that check `value`, a reference, at `path`, a closure that makes the path.
    pub(crate) fn checks(&self, value: &Ident, of: &Type, root: &TokenStream) -> TokenStream {
        let check = |rule: &Rule| match rule.kind {
            // As in the schema, the items of an optional list are the list's.
            Kind::Inner(_) if is_option(of) => {
                let check = rule.check(value, root);
                quote! { if let ::core::option::Option::Some(#value) = #value { #check } }
            }
            _ => rule.check(value, root),
        };
        self.0.iter().map(check).collect()
    }
}

/// Whether a type is written as an `Option`, which is also how serde's derive tells.
fn is_option(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

fn read_rule(meta: &ParseNestedMeta<'_>, rules: &mut Vec<Rule>) -> syn::Result<()> {
    let name = meta.path.require_ident()?.clone();
    let kind = match name.to_string().as_str() {
        "length" => {
            let (min, max) = bounds(meta, &["chars"])?;
            Kind::Length { min, max }
        }
        "range" => {
            let (min, max) = bounds(meta, &[])?;
            Kind::Range { min, max }
        }
        "pattern" => Kind::Pattern(argument(meta)?),
        "contains" => Kind::Contains(argument(meta)?),
        "prefix" => Kind::Prefix(argument(meta)?),
        "suffix" => Kind::Suffix(argument(meta)?),
        "email" | "url" | "ascii" | "alphanumeric" | "required" => Kind::Plain(name.clone()),
        "ip" => Kind::Ip(Ident::new("Any", name.span())),
        "ipv4" => Kind::Ip(Ident::new("V4", name.span())),
        "ipv6" => Kind::Ip(Ident::new("V6", name.span())),
        "custom" => {
            let content;
            syn::parenthesized!(content in meta.input);
            Kind::Custom(content.parse()?)
        }
        "inner" => {
            let mut inner = Vec::new();
            meta.parse_nested_meta(|meta| read_rule(&meta, &mut inner))?;
            Kind::Inner(inner)
        }
        // Nested payloads are always checked, and fields without a rule never are.
        "skip" | "dive" => return Ok(()),
        other => return Err(meta.error(format!("there is no rule `{other}`; there are: {KNOWN}"))),
    };
    rules.push(Rule { kind, span: name.span() });
    Ok(())
}

/// `min`, `max` or `equal`.
fn bounds(meta: &ParseNestedMeta<'_>, flags: &[&str]) -> syn::Result<(Option<Expr>, Option<Expr>)> {
    let (mut min, mut max) = (None, None);
    meta.parse_nested_meta(|bound| {
        let name = bound.path.require_ident()?.to_string();
        match name.as_str() {
            "min" => min = Some(bound.value()?.parse()?),
            "max" => max = Some(bound.value()?.parse()?),
            "equal" => {
                let value: Expr = bound.value()?.parse()?;
                (min, max) = (Some(value.clone()), Some(value));
            }
            flag if flags.contains(&flag) => {}
            _ => return Err(bound.error("a bound is `min`, `max` or `equal`")),
        }
        Ok(())
    })?;
    Ok((min, max))
}

fn argument(meta: &ParseNestedMeta<'_>) -> syn::Result<Expr> {
    let content;
    syn::parenthesized!(content in meta.input);
    content.parse()
}

impl Rule {
    /// What does not fit the field's type is reported at the rule.
    fn check(&self, value: &Ident, root: &TokenStream) -> TokenStream {
        let span = self.span;
        let rules = quote! { #root::garde::rules };
        let mut value = value.clone();
        value.set_span(span.resolved_at(Span::mixed_site()));
        let verdict = match &self.kind {
            Kind::Length { min, max } => {
                let min = min.as_ref().map_or_else(|| quote! { 0 }, |min| quote! { #min });
                let max = max.as_ref().map_or_else(|| quote! { usize::MAX }, |max| quote! { #max });
                quote_spanned! { span => (&&#root::Measured(#value)).within(#min, #max) }
            }
            Kind::Range { min, max } => {
                let bound = |bound: &Option<Expr>| match bound {
                    Some(bound) => quote! { ::core::option::Option::Some(#bound) },
                    None => quote! { ::core::option::Option::None },
                };
                let (min, max) = (bound(min), bound(max));
                quote_spanned! { span => #rules::range::apply(#value, (#min, #max)) }
            }
            Kind::Pattern(pattern) => {
                quote_spanned! { span => {
                    static PATTERN: ::std::sync::LazyLock<#rules::pattern::regex::Regex> = ::std::sync::LazyLock::new(|| {
                        #rules::pattern::regex::Regex::new(#pattern).expect("start-up has compiled the pattern")
                    });
                    #rules::pattern::apply(#value, (&PATTERN,))
                } }
            }
            Kind::Contains(part) => quote_spanned! { span => #rules::contains::apply(#value, (#part,)) },
            Kind::Prefix(part) => quote_spanned! { span => #rules::prefix::apply(#value, (#part,)) },
            Kind::Suffix(part) => quote_spanned! { span => #rules::suffix::apply(#value, (#part,)) },
            Kind::Plain(name) => quote_spanned! { span => #rules::#name::apply(#value, ()) },
            Kind::Ip(kind) => quote_spanned! { span => #rules::ip::apply(#value, (#rules::ip::IpKind::#kind,)) },
            Kind::Custom(function) => quote_spanned! { span => #function(#value, &()) },
            Kind::Inner(inner) => {
                let item = Ident::new("item", span.resolved_at(Span::mixed_site()));
                let checks: TokenStream = inner.iter().map(|rule| rule.check(&item, root)).collect();
                return quote_spanned! { span =>
                    #rules::inner::apply(#value, |#item, key| {
                        let mut path = || path().join(key);
                        #checks
                    });
                };
            }
        };
        quote_spanned! { span => #root::note(#verdict, &mut path, report); }
    }
}
