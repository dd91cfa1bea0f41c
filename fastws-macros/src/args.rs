//! What stands within the parentheses of an attribute, with the place of each word.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Path, Token, Type};

use crate::item::Kind;

/// These are the parsed arguments. What is missing or wrong has been noted as an error, once.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<LitStr>,
    pub(crate) reply: Option<LitStr>,
    pub(crate) service: Option<LitStr>,
    pub(crate) summary: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) is_concurrent: bool,
    pub(crate) request: Option<Type>,
    pub(crate) shape: Option<Path>,
    pub(crate) example: Option<TokenStream>,
    pub(crate) reply_example: Option<TokenStream>,
}

/// These are all mistakes of one attribute.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Option<syn::Error>);

impl Mistakes {
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn at(&mut self, span: Span, sentence: impl std::fmt::Display) {
        self.add(syn::Error::new(span, sentence));
    }

    /// The mistakes as `compile_error!`s; `None` when there are none.
    pub(crate) fn into_tokens(self) -> Option<TokenStream> {
        self.0.map(|error| error.to_compile_error())
    }
}

impl Kind {
    /// The attribute's keys.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Send => {
                &["reply", "tags", "summary", "description", "service", "concurrent", "example", "reply_example"]
            }
            Self::Recv => &["tags", "summary", "description", "service", "example"],
            Self::Topic => {
                &["request", "shape", "tags", "summary", "description", "service", "example", "update_example"]
            }
        }
    }
}

impl Args {
    /// Reads the arguments of an attribute of this kind.
    pub(crate) fn parse(kind: Kind, tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut args = Self::default();
        let parser = |input: ParseStream<'_>| {
            args.read(kind, input, mistakes);
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            mistakes.add(error);
        }
        args
    }

    fn read(&mut self, kind: Kind, input: ParseStream<'_>, mistakes: &mut Mistakes) {
        if input.peek(LitStr) {
            self.name = input.parse().ok();
        } else {
            let example = kind.example();
            mistakes.at(input.span(), format!("the first argument is the name, for example `#[{kind}({example})]`"));
        }
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            if self.name.is_some() || !seen.is_empty() {
                if let Err(error) = input.parse::<Token![,]>() {
                    return skip(input, mistakes, error);
                }
                if input.is_empty() {
                    return;
                }
            }
            match input.call(Ident::parse_any) {
                Ok(key) => {
                    if seen.contains(&key) {
                        mistakes.at(key.span(), format!("`{key}` is given twice"));
                    }
                    seen.push(key.clone());
                    if let Err(error) = self.read_value(kind, &key, input) {
                        return skip(input, mistakes, error);
                    }
                }
                Err(_) => return skip(input, mistakes, input.error(format!("expected one of: {}", kind.keys().join(", ")))),
            }
        }
    }

    fn read_value(&mut self, kind: Kind, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let word = key.to_string();
        if !kind.keys().contains(&word.as_str()) {
            let keys = kind.keys().join(", ");
            return Err(syn::Error::new(key.span(), format!("`#[{kind}]` has no key `{word}`; it has: {keys}")));
        }
        if word == "concurrent" {
            self.is_concurrent = true;
            return Ok(());
        }
        input.parse::<Token![=]>()?;
        match word.as_str() {
            "reply" => self.reply = Some(input.parse()?),
            "service" => self.service = Some(input.parse()?),
            "summary" => self.summary = Some(input.parse()?),
            "description" => self.description = Some(input.parse()?),
            "tags" => self.tags = input.parse::<Tags>()?.0,
            "request" => self.request = Some(input.parse()?),
            "shape" => self.shape = Some(input.parse()?),
            "example" => self.example = Some(json(input)?),
            _ => self.reply_example = Some(json(input)?),
        }
        Ok(())
    }
}

/// Notes an error and passes over the rest, which would only repeat it.
fn skip(input: ParseStream<'_>, mistakes: &mut Mistakes, error: syn::Error) {
    mistakes.add(error);
    // Reading whatever is left as tokens cannot fail.
    let _ = input.parse::<TokenStream>();
}

/// The tokens up to the next comma: JSON in the form of `serde_json::json!`.
fn json(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(input.error("expected JSON, for example `{\"symbol\": \"AAPL\"}`"));
    }
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<proc_macro2::TokenTree>()?]);
    }
    Ok(tokens)
}

struct Tags(Vec<LitStr>);

impl Parse for Tags {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(syn::token::Bracket) {
            return Err(input.error("tags are a list: `tags = [\"market data\"]`"));
        }
        let list;
        syn::bracketed!(list in input);
        Ok(Self(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect()))
    }
}
