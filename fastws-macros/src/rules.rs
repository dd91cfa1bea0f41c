//! Constraints: what stands in `#[garde(…)]`, and the calls that check it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Ident, Path};

use crate::args::Mistakes;

/// This is one constraint of a field.
enum Rule {
    Length { min: Option<Expr>, max: Option<Expr> },
    Range { min: Option<Expr>, max: Option<Expr> },
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
    pub(crate) fn checks(&self, value: &TokenStream, root: &TokenStream) -> TokenStream {
        self.0.iter().map(|rule| rule.check(value, root)).collect()
    }
}

fn read_rule(meta: &ParseNestedMeta<'_>, rules: &mut Vec<Rule>) -> syn::Result<()> {
    let name = meta.path.require_ident()?.clone();
    match name.to_string().as_str() {
        "length" => {
            let (min, max) = bounds(meta, &["chars"])?;
            rules.push(Rule::Length { min, max });
        }
        "range" => {
            let (min, max) = bounds(meta, &[])?;
            rules.push(Rule::Range { min, max });
        }
        "pattern" => rules.push(Rule::Pattern(argument(meta)?)),
        "contains" => rules.push(Rule::Contains(argument(meta)?)),
        "prefix" => rules.push(Rule::Prefix(argument(meta)?)),
        "suffix" => rules.push(Rule::Suffix(argument(meta)?)),
        "email" | "url" | "ascii" | "alphanumeric" | "required" => rules.push(Rule::Plain(name)),
        "ip" => rules.push(Rule::Ip(Ident::new("Any", name.span()))),
        "ipv4" => rules.push(Rule::Ip(Ident::new("V4", name.span()))),
        "ipv6" => rules.push(Rule::Ip(Ident::new("V6", name.span()))),
        "custom" => {
            let content;
            syn::parenthesized!(content in meta.input);
            rules.push(Rule::Custom(content.parse()?));
        }
        "inner" => {
            let mut inner = Vec::new();
            meta.parse_nested_meta(|meta| read_rule(&meta, &mut inner))?;
            rules.push(Rule::Inner(inner));
        }
        // Nested payloads are always checked, and fields without a rule never are.
        "skip" | "dive" => {}
        other => return Err(meta.error(format!("there is no rule `{other}`; there are: {KNOWN}"))),
    }
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
    fn check(&self, value: &TokenStream, root: &TokenStream) -> TokenStream {
        let rules = quote! { #root::garde::rules };
        let verdict = match self {
            Self::Length { min, max } => {
                let min = min.as_ref().map_or_else(|| quote! { 0 }, |min| quote! { #min });
                let max = max.as_ref().map_or_else(|| quote! { usize::MAX }, |max| quote! { #max });
                quote! { (&#root::Measured(#value)).within(#min, #max) }
            }
            Self::Range { min, max } => {
                let bound = |bound: &Option<Expr>| match bound {
                    Some(bound) => quote! { ::core::option::Option::Some(#bound) },
                    None => quote! { ::core::option::Option::None },
                };
                let (min, max) = (bound(min), bound(max));
                quote! { #rules::range::apply(#value, (#min, #max)) }
            }
            Self::Pattern(pattern) => {
                quote_spanned! { pattern.span() => {
                    static PATTERN: ::std::sync::LazyLock<#rules::pattern::regex::Regex> = ::std::sync::LazyLock::new(|| {
                        #rules::pattern::regex::Regex::new(#pattern).expect("the pattern is a regular expression")
                    });
                    #rules::pattern::apply(#value, (&PATTERN,))
                } }
            }
            Self::Contains(part) => quote! { #rules::contains::apply(#value, (#part,)) },
            Self::Prefix(part) => quote! { #rules::prefix::apply(#value, (#part,)) },
            Self::Suffix(part) => quote! { #rules::suffix::apply(#value, (#part,)) },
            Self::Plain(name) => quote! { #rules::#name::apply(#value, ()) },
            Self::Ip(kind) => quote! { #rules::ip::apply(#value, (#rules::ip::IpKind::#kind,)) },
            Self::Custom(function) => quote! { #function(#value, &()) },
            Self::Inner(inner) => {
                let item = quote! { item };
                let checks: TokenStream = inner.iter().map(|rule| rule.check(&item, root)).collect();
                return quote! {
                    #rules::inner::apply(#value, |item, key| {
                        let mut path = || path().join(key);
                        #checks
                    });
                };
            }
        };
        quote! { #root::note(#verdict, &mut path, report); }
    }
}
