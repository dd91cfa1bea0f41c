//! What stands within the parentheses of an attribute, with the place of each word.

use proc_macro2::{Span, TokenStream, TokenTree};
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
    /// Whether a reply was named at all, be it wrongly.
    pub(crate) has_reply: bool,
    pub(crate) service: Option<LitStr>,
    pub(crate) summary: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) subscribes: Option<LitStr>,
    pub(crate) unsubscribes: Option<LitStr>,
    pub(crate) updates: Vec<LitStr>,
    /// Whether updates were named at all, be it wrongly.
    pub(crate) has_updates: bool,
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

    /// Notes a mistake that spans all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl quote::ToTokens, sentence: impl std::fmt::Display) {
        self.add(syn::Error::new_spanned(tokens, sentence));
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
            Self::Send => &[
                "reply",
                "tags",
                "summary",
                "description",
                "service",
                "concurrent",
                "subscribes",
                "updates",
                "unsubscribes",
                "example",
                "reply_example",
            ],
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
        let is_pair = input.peek(Ident::peek_any) && input.peek2(Token![=]);
        if input.peek(LitStr) {
            self.name = input.parse().ok();
        } else {
            let example = kind.example();
            mistakes.at(input.span(), format!("the first argument is the name, as in `#[{kind}({example})]`"));
            if !is_pair {
                skip_to_comma(input);
            }
        }
        let mut seen: Vec<Ident> = Vec::new();
        let mut is_first = self.name.is_none() && is_pair;
        while !input.is_empty() {
            if !std::mem::take(&mut is_first) && input.parse::<Option<Token![,]>>().is_ok_and(|comma| comma.is_none()) {
                mistakes.add(input.error("expected `,`"));
                if !input.peek(Ident::peek_any) {
                    skip_to_comma(input);
                    continue;
                }
            }
            if input.is_empty() {
                return;
            }
            if let Err(error) = self.read_pair(kind, &mut seen, input) {
                mistakes.add(error);
                skip_to_comma(input);
            }
        }
    }

    fn read_pair(&mut self, kind: Kind, seen: &mut Vec<Ident>, input: ParseStream<'_>) -> syn::Result<()> {
        let keys = kind.keys().join(", ");
        let key = input.call(Ident::parse_any).map_err(|_| input.error(format!("expected one of: {keys}")))?;
        let word = key.to_string();
        if !kind.keys().contains(&word.as_str()) {
            return Err(syn::Error::new(key.span(), format!("`#[{kind}]` has no key `{word}`; it has: {keys}")));
        }
        if seen.contains(&key) {
            return Err(syn::Error::new(key.span(), format!("`{word}` is given twice: remove one")));
        }
        seen.push(key.clone());
        if word == "concurrent" {
            self.is_concurrent = true;
            return match input.peek(Token![=]) {
                true => Err(input.error("`concurrent` stands alone, without a value")),
                false => Ok(()),
            };
        }
        self.has_reply |= word == "reply";
        self.has_updates |= word == "updates";
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(key.span(), format!("`{word}` has a value: write `{}`", sample(&word))));
        }
        let equals = input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(equals.span, format!("a value is missing: write `{}`", sample(&word))));
        }
        let text = || input.parse().map_err(|_| input.error(format!("expected text: write `{}`", sample(&word))));
        match word.as_str() {
            "reply" => self.reply = Some(text()?),
            "service" => self.service = Some(text()?),
            "summary" => self.summary = Some(text()?),
            "description" => self.description = Some(text()?),
            "subscribes" => self.subscribes = Some(text()?),
            "unsubscribes" => self.unsubscribes = Some(text()?),
            "tags" | "updates" => {
                if !input.peek(syn::token::Bracket) {
                    return Err(input.error(format!("`{word}` is a list: `{}`", sample(&word))));
                }
                let list = input.parse::<List>()?.0;
                if word == "tags" { self.tags = list } else { self.updates = list }
            }
            "request" => self.request = Some(input.parse()?),
            "shape" => self.shape = Some(input.parse()?),
            "example" => self.example = Some(json(input)?),
            _ => self.reply_example = Some(json(input)?),
        }
        Ok(())
    }
}

/// How a key is written.
fn sample(key: &str) -> String {
    match key {
        "tags" => "tags = [\"market data\"]".into(),
        "updates" => "updates = [\"alerts.alert\"]".into(),
        "subscribes" | "unsubscribes" => format!("{key} = \"alerts\""),
        "request" => "request = Subscriptions".into(),
        "shape" => "shape = wanted_by".into(),
        "example" | "reply_example" | "update_example" => format!("{key} = {{\"symbol\": \"AAPL\"}}"),
        _ => format!("{key} = \"…\""),
    }
}

/// Passes over what belongs to a mistake that was noted.
fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // One token can be read where there is one.
        let _ = input.parse::<TokenTree>();
    }
}

/// The tokens up to the next comma: JSON in the form of `serde_json::json!`.
fn json(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

struct List(Vec<LitStr>);

impl Parse for List {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let list;
        syn::bracketed!(list in input);
        Ok(Self(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect()))
    }
}
