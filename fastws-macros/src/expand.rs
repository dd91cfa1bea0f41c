//! Tokens, and nothing but tokens: the function as written, its twin type, and its registration.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, LitStr};

use crate::args::{Args, Mistakes};
use crate::item::{self, Kind, Operation, is_result};

/// Expands `#[send]`, `#[recv]` or `#[topic]`.
pub(crate) fn operation(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let args = Args::parse(kind, arguments, &mut mistakes);
    let had_mistakes = mistakes.0.is_some();
    let checked = match item::parse(kind, item.clone(), &mut mistakes) {
        Some(function) => item::check(kind, args, function, &mut mistakes).filter(|_| !had_mistakes),
        None => None,
    };
    match (checked, mistakes.into_tokens()) {
        (Some(operation), None) => declare(&operation),
        (_, errors) => quote! { #item #errors },
    }
}

/// The path to what generated code calls, wherever the user has put the crate.
pub(crate) fn root() -> TokenStream {
    for name in ["fastws", "fastws-core"] {
        match crate_name(name) {
            Ok(FoundCrate::Name(found)) => {
                let found = Ident::new(&found, Span::call_site());
                return quote! { ::#found::private };
            }
            // The package's own tests, examples and documentation see it by its name.
            Ok(FoundCrate::Itself) => {
                let found = Ident::new(&name.replace('-', "_"), Span::call_site());
                return quote! { ::#found::private };
            }
            Err(_) => {}
        }
    }
    quote! { ::fastws::private }
}

fn declare(operation: &Operation) -> TokenStream {
    let root = root();
    let Operation { function, is_deprecated, .. } = operation;
    let (visibility, twin) = (&function.vis, &function.sig.ident);
    let about = about(operation, &root);
    let (declaration, traits) = match operation.kind {
        Kind::Send => (send(operation, &root), TokenStream::new()),
        Kind::Recv => (quote! { #root::recv::<Self>(#about) }, recv(operation, &root)),
        Kind::Topic => (topic(operation, &root), topic_traits(operation, &root)),
    };
    let declaration = match operation.kind {
        Kind::Send => quote! { #root::send::<Self>(#about, #declaration) },
        Kind::Recv => declaration,
        Kind::Topic => quote! { #root::topic(#about, #declaration) },
    };
    let allow_deprecated = is_deprecated.then(|| quote! { #[allow(deprecated)] });
    quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #visibility enum #twin {}

        #allow_deprecated
        impl #root::Declared for #twin {
            fn declaration() -> #root::Declaration {
                #declaration
            }
        }

        #traits

        #root::inventory::submit! {
            #root::Registration(<#twin as #root::Declared>::declaration)
        }
    }
}

/// What the attribute says, as data.
fn about(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { args, name, is_deprecated, .. } = operation;
    let function = operation.function.sig.ident.to_string();
    let text = |text: Option<String>| match text {
        Some(text) => quote! { ::core::option::Option::Some(#text) },
        None => quote! { ::core::option::Option::None },
    };
    let reply = text(args.reply.as_ref().map(LitStr::value));
    let service = text(args.service.as_ref().map(LitStr::value));
    let summary = text(operation.summary.clone());
    let description = text(operation.description.clone());
    let (tags, is_concurrent) = (&args.tags, args.is_concurrent);
    let json = |example: &Option<TokenStream>| match example {
        Some(example) => quote! { ::core::option::Option::Some(|| #root::serde_json::json!(#example)) },
        None => quote! { ::core::option::Option::None },
    };
    let (example, reply_example) = (json(&args.example), json(&args.reply_example));
    quote! {
        #root::About {
            reply: #reply,
            service: #service,
            tags: &[#(#tags),*],
            summary: #summary,
            description: #description,
            deprecated: #is_deprecated,
            concurrent: #is_concurrent,
            example: #example,
            reply_example: #reply_example,
            ..#root::About::new(#name, #function, ::core::file!(), ::core::line!())
        }
    }
}

/// The call that turns a function into a handler, with its arguments' types written out so that a wrong one is pointed
/// at.
fn send(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, arguments, args, .. } = operation;
    let name = &function.sig.ident;
    if args.reply.is_none() {
        let notify = format_ident!("notify{}", arguments.len());
        return quote! { #root::#notify::<#(#arguments,)* _, _>(#name) };
    }
    let send = format_ident!("send{}", arguments.len());
    let output = match &function.sig.output {
        syn::ReturnType::Type(_, output) => syn::spanned::Spanned::span(&**output),
        syn::ReturnType::Default => name.span(),
    };
    let kind = if is_result(&function.sig.output) { format_ident!("Fallible") } else { format_ident!("Plain") };
    let kind = quote_spanned! { output => #root::#kind };
    quote! { #root::#send::<#(#arguments,)* _, _, #kind>(#name) }
}

fn recv(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, arguments, is_deprecated, .. } = operation;
    let twin = &function.sig.ident;
    let syn::ReturnType::Type(_, wire) = &function.sig.output else { return TokenStream::new() };
    let allow_deprecated = is_deprecated.then(|| quote! { #[allow(deprecated)] });
    quote! {
        #allow_deprecated
        impl #root::Published for #twin {
            type Value = #(#arguments)*;
            type Wire = #wire;

            fn view(value: Self::Value) -> Self::Wire {
                #twin(value)
            }
        }
    }
}

fn topic(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, arguments, args, params, updates, .. } = operation;
    let (name, source) = (&function.sig.ident, format_ident!("source{}", arguments.len()));
    let (request, wanted) = match (&args.request, params) {
        (Some(request), _) => (quote! { #request }, quote! { several }),
        (None, Some(params)) => (quote! { #params }, quote! { one }),
        (None, None) => (quote! { #root::NoPayload }, quote! { only }),
    };
    let takes_several = args.request.is_some();
    let shape = match &args.shape {
        Some(shape) => quote! { ::core::option::Option::Some(|request| ::std::boxed::Box::new(#shape(request))) },
        None => quote! { ::core::option::Option::None },
    };
    quote! {
        #root::TopicFunction::<Self, #request, #updates> {
            wanted: #root::TopicFunction::<Self, #request, #updates>::#wanted,
            shape: #shape,
            takes_several: #takes_several,
            source: #root::#source::<#(#arguments,)* _, _>(#name),
            twin: ::core::marker::PhantomData,
        }
    }
}

fn topic_traits(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, params, updates, fields, name, .. } = operation;
    let twin = &function.sig.ident;
    let params = params.as_ref().map_or_else(|| quote! { () }, |params| quote! { #params });
    // A field that does not exist is reported at the template.
    let fields = fields.iter().map(|field| {
        let member = Ident::new(field, name.span());
        quote! { #root::topic_field(#field, &params.#member) }
    });
    quote! {
        impl #root::TopicDeclared for #twin {
            type Params = #params;

            fn fields(params: &Self::Params) -> #root::Fields {
                let _ = params;
                ::std::vec![#(#fields),*]
            }
        }

        impl #root::Published for #twin {
            type Value = #updates;
            type Wire = #updates;

            fn view(value: Self::Value) -> Self::Wire {
                value
            }
        }
    }
}
