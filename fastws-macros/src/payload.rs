//! `#[payload]`: the derives, and a check over garde's rules.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr, parse_quote};

use crate::args::Mistakes;
use crate::expand::root;
use crate::rules::Rules;

/// Expands `#[payload]`.
pub(crate) fn expand(arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    if !arguments.is_empty() {
        mistakes.add(syn::Error::new_spanned(
            arguments,
            "`#[payload]` takes no arguments; constraints stand on the fields",
        ));
    }
    let mut input: DeriveInput = match syn::parse2(item.clone()) {
        Ok(input) => input,
        Err(error) => {
            mistakes.at(error.span(), "`#[payload]` stands before a struct or an enum");
            let errors = mistakes.into_tokens();
            return quote! { #item #errors };
        }
    };
    if let Data::Union(data) = &input.data {
        mistakes.at(data.union_token.span, "`#[payload]` stands before a struct or an enum");
        let errors = mistakes.into_tokens();
        return quote! { #item #errors };
    }
    let root = root();
    let body = body(&input, &root, &mut mistakes);
    let check = implementation(&input, &body, &root);
    if let Some(variants) = unit_variants(&input) {
        input.attrs.push(parse_quote! { #[schemars(extend("x-variants" = [#(#variants),*]))] });
    }
    let errors = mistakes.into_tokens();
    let (serde, schemars) = (format!("{root}::serde").replace(' ', ""), format!("{root}::schemars").replace(' ', ""));
    quote! {
        #[derive(#root::serde::Serialize, #root::serde::Deserialize, #root::schemars::JsonSchema)]
        #[serde(crate = #serde)]
        #[schemars(crate = #schemars)]
        #input

        #check

        #errors
    }
}

fn implementation(input: &DeriveInput, body: &TokenStream, root: &TokenStream) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in input.generics.type_params() {
        let parameter = &parameter.ident;
        generics.make_where_clause().predicates.push(parse_quote! { #parameter: #root::garde::Validate<Context = ()> });
    }
    let (generics, arguments, bounds) = generics.split_for_impl();
    quote! {
        impl #generics #root::garde::Validate for #name #arguments #bounds {
            type Context = ();

            #[allow(unused_imports, unused_variables, unused_mut, clippy::needless_borrow)]
            fn validate_into(
                &self,
                _: &(),
                parent: &mut dyn FnMut() -> #root::garde::Path,
                report: &mut #root::garde::Report,
            ) {
                use #root::{CheckNested as _, CheckNothing as _, MeasureItems as _, MeasureNothing as _, MeasureText as _};
                #body
            }
        }
    }
}

fn body(input: &DeriveInput, root: &TokenStream, mistakes: &mut Mistakes) -> TokenStream {
    let serde = Serde::read(&input.attrs, mistakes);
    match &input.data {
        Data::Struct(data) => {
            let rule = serde.rename_all.as_deref();
            let (pattern, checks) = fields(&data.fields, rule, serde.is_flat, &quote! { parent() }, root, mistakes);
            quote! { let Self #pattern = self; #checks }
        }
        Data::Enum(data) => {
            let arms: Vec<_> = data
                .variants
                .iter()
                .map(|variant| {
                    let own = Serde::read(&variant.attrs, mistakes);
                    let name =
                        own.name_or(|| case(&variant.ident.to_string(), serde.rename_all.as_deref(), Word::Variant));
                    let base = serde.variant_path(&name, own.is_untagged);
                    let rule = own.rename_all.as_deref().or(serde.rename_all_fields.as_deref());
                    let (pattern, checks) = fields(&variant.fields, rule, false, &base, root, mistakes);
                    let variant = &variant.ident;
                    quote! { Self::#variant #pattern => { #checks } }
                })
                .collect();
            // An enum without variants has no values to check.
            if arms.is_empty() {
                quote! { match *self {} }
            } else {
                quote! { match self { #(#arms)* } }
            }
        }
        Data::Union(_) => unreachable!("it was refused before"),
    }
}

/// A pattern that binds all fields, and the checks of each.
fn fields(
    fields: &Fields,
    rename_all: Option<&str>,
    is_transparent: bool,
    base: &TokenStream,
    root: &TokenStream,
    mistakes: &mut Mistakes,
) -> (TokenStream, TokenStream) {
    let is_newtype = matches!(fields, Fields::Unnamed(unnamed) if unnamed.unnamed.len() == 1);
    let mut bindings = Vec::new();
    let mut checks = TokenStream::new();
    for (index, field) in fields.iter().enumerate() {
        let serde = Serde::read(&field.attrs, mistakes);
        let rules = Rules::read(&field.attrs, mistakes);
        // A name of its own, which no field's, function's or constant's name can meet.
        let binding = Ident::new(&format!("field{index}"), Span::mixed_site());
        let path = match &field.ident {
            _ if serde.is_flat || is_newtype || is_transparent => base.clone(),
            Some(name) => {
                let name = serde.name_or(|| case(name.to_string().trim_start_matches("r#"), rename_all, Word::Field));
                quote! { #base.join(#name) }
            }
            None => quote! { #base.join(#index) },
        };
        let own = rules.checks(&binding, &field.ty, root);
        checks.extend(quote! {{
            let mut path = || #path;
            #own
            (&#root::Nested(#binding)).check(&mut path, report);
        }});
        bindings.push(match &field.ident {
            Some(name) => quote! { #name: #binding },
            None => quote! { #binding },
        });
    }
    let pattern = match fields {
        Fields::Named(_) => quote! { { #(#bindings),* } },
        Fields::Unnamed(_) => quote! { ( #(#bindings),* ) },
        Fields::Unit => TokenStream::new(),
    };
    (pattern, checks)
}

/// The names on the wire of an enum without any data, in their order.
fn unit_variants(input: &DeriveInput) -> Option<Vec<String>> {
    let Data::Enum(data) = &input.data else { return None };
    let mut ignored = Mistakes::default();
    let serde = Serde::read(&input.attrs, &mut ignored);
    if serde.tag.is_some() || serde.is_untagged || data.variants.is_empty() {
        return None;
    }
    let name = |variant: &syn::Variant| {
        let own = Serde::read(&variant.attrs, &mut Mistakes::default());
        let name = own.name_or(|| case(&variant.ident.to_string(), serde.rename_all.as_deref(), Word::Variant));
        matches!(variant.fields, Fields::Unit).then_some(name)
    };
    data.variants.iter().map(name).collect()
}

/// This is what serde's attributes say about names on the wire.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    rename_all_fields: Option<String>,
    tag: Option<String>,
    content: Option<String>,
    is_untagged: bool,
    is_flat: bool,
}

impl Serde {
    fn read(attributes: &[Attribute], mistakes: &mut Mistakes) -> Self {
        let mut serde = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            let read = attribute.parse_nested_meta(|meta| {
                let text = |into: &mut Option<String>| -> syn::Result<()> {
                    if meta.input.peek(syn::token::Paren) {
                        return meta.parse_nested_meta(|side| {
                            let value: LitStr = side.value()?.parse()?;
                            if side.path.is_ident("deserialize") {
                                *into = Some(value.value());
                            }
                            Ok(())
                        });
                    }
                    *into = Some(meta.value()?.parse::<LitStr>()?.value());
                    Ok(())
                };
                match meta.path.get_ident().map(Ident::to_string).as_deref() {
                    Some("rename") => text(&mut serde.rename),
                    Some("rename_all") => text(&mut serde.rename_all),
                    Some("rename_all_fields") => text(&mut serde.rename_all_fields),
                    Some("tag") => text(&mut serde.tag),
                    Some("content") => text(&mut serde.content),
                    Some("untagged") => {
                        serde.is_untagged = true;
                        Ok(())
                    }
                    Some("flatten" | "transparent") => {
                        serde.is_flat = true;
                        Ok(())
                    }
                    _ => skip(&meta),
                }
            });
            if let Err(error) = read {
                mistakes.add(error);
            }
        }
        serde
    }

    fn name_or(&self, other: impl FnOnce() -> String) -> String {
        self.rename.clone().unwrap_or_else(other)
    }

    /// Where the fields of a variant are.
    fn variant_path(&self, variant: &str, is_untagged: bool) -> TokenStream {
        match (&self.tag, &self.content) {
            _ if self.is_untagged || is_untagged => quote! { parent() },
            (Some(_), Some(content)) => quote! { parent().join(#content) },
            (Some(_), None) => quote! { parent() },
            (None, _) => quote! { parent().join(#variant) },
        }
    }
}

/// Passes over a serde attribute that has nothing to do with names.
fn skip(meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Field,
    Variant,
}

/// Renames as serde's `rename_all` does (<https://serde.rs/container-attrs.html#rename_all>).
fn case(name: &str, rule: Option<&str>, word: Word) -> String {
    let Some(rule) = rule else { return name.to_owned() };
    let words: Vec<String> = match word {
        Word::Field => name.split('_').filter(|part| !part.is_empty()).map(str::to_lowercase).collect(),
        Word::Variant => split_at_capitals(name),
    };
    let capital = |word: &String| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
    };
    match rule {
        "lowercase" if word == Word::Variant => name.to_lowercase(),
        "UPPERCASE" => name.to_uppercase(),
        "PascalCase" => words.iter().map(capital).collect(),
        "camelCase" => words.iter().take(1).cloned().chain(words.iter().skip(1).map(capital)).collect(),
        "snake_case" => words.join("_"),
        "SCREAMING_SNAKE_CASE" => words.join("_").to_uppercase(),
        "kebab-case" => words.join("-"),
        "SCREAMING-KEBAB-CASE" => words.join("-").to_uppercase(),
        _ => name.to_owned(),
    }
}

fn split_at_capitals(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_lowercase().collect()),
        }
    }
    words
}
