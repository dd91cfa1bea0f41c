//! Tokens, and nothing but tokens: the function as written, its twin type, and its registration.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, ItemFn, LitStr, ReturnType, Type};

use crate::args::{Args, Mistakes};
use crate::item::{self, Kind, Operation, is_result};

/// Expands `#[send]`, `#[recv]` or `#[topic]`.
pub(crate) fn operation(kind: Kind, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let args = Args::parse(kind, arguments, &mut mistakes);
    let had_mistakes = mistakes.0.is_some();
    let function = item::parse(kind, item.clone(), &mut mistakes);
    let checked = match function.clone() {
        Some(function) => item::check(kind, args, function, &mut mistakes).filter(|_| !had_mistakes),
        None => None,
    };
    match (checked, mistakes.into_tokens()) {
        (Some(operation), None) => declare(&operation),
        (_, errors) => {
            let twin = function.as_ref().map(stand_in);
            quote! { #item #twin #errors }
        }
    }
}

/// The twin of a function with mistakes, so that naming it elsewhere is not one more. It cannot run: nothing compiles.
fn stand_in(function: &ItemFn) -> TokenStream {
    if function.sig.receiver().is_some() {
        return TokenStream::new();
    }
    let root = root();
    let (visibility, twin) = (&function.vis, &function.sig.ident);
    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #visibility enum #twin {}

        impl #root::Declared for #twin {
            fn declaration() -> #root::Declaration {
                ::core::panic!()
            }
        }
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
    let checks = checks(operation, &root);
    let (declaration, traits) = match operation.kind {
        Kind::Send => (send(operation, &root), TokenStream::new()),
        Kind::Recv => (quote! { #root::recv::<Self>(#about) }, recv(operation, &root)),
        Kind::Topic => (topic(operation, &root), topic_traits(operation, &root)),
    };
    let declaration = match operation.kind {
        Kind::Send => quote! { #root::send::<Self>(#about, #declaration) },
        Kind::Recv => declaration,
        Kind::Topic => topic_declaration(operation, &about, &declaration, &root),
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
                #checks
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
    let (tags, updates, is_concurrent) = (&args.tags, &args.updates, args.is_concurrent);
    let subscribes = text(args.subscribes.as_ref().map(LitStr::value));
    let unsubscribes = text(args.unsubscribes.as_ref().map(LitStr::value));
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
            subscribes: #subscribes,
            updates: &[#(#updates),*],
            unsubscribes: #unsubscribes,
            example: #example,
            reply_example: #reply_example,
            ..#root::About::new(#name, #function, ::core::file!(), ::core::line!())
        }
    }
}

/// Calls that compile only where each type is what it has to be, so that the compiler points at the one that is not.
fn checks(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { arguments, args, params, .. } = operation;
    match operation.kind {
        Kind::Send => {
            let (output, kind) = output(operation, root);
            let check = match args.reply {
                Some(_) => quote! { #root::output::<#output, #kind>(); },
                None => quote! { #root::no_output::<#output>(); },
            };
            // `impl Trait` cannot be written here.
            let check = if is_opaque(&operation.function.sig.output) { TokenStream::new() } else { check };
            quote! { #(#root::argument::<#arguments>();)* #check }
        }
        Kind::Recv => TokenStream::new(),
        Kind::Topic => {
            let request =
                args.request.as_ref().or(params.as_ref()).map(|request| quote! { #root::request::<#request>(); });
            quote! { #(#root::topic_argument::<#arguments>();)* #request }
        }
    }
}

/// What the function returns, and the marker that tells a reply from a `Result` of one.
fn output(operation: &Operation, root: &TokenStream) -> (TokenStream, TokenStream) {
    match &operation.function.sig.output {
        opaque if is_opaque(opaque) => (quote! { _ }, quote! { _ }),
        ReturnType::Type(_, output) if is_result(output) => (quote! { #output }, quote! { #root::Fallible }),
        ReturnType::Type(_, output) => (quote! { #output }, quote! { _ }),
        ReturnType::Default => (quote! { () }, quote! { _ }),
    }
}

fn is_opaque(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, output) if matches!(**output, Type::ImplTrait(_)))
}

/// The call that turns a function into a handler.
fn send(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, arguments, args, .. } = operation;
    let name = &function.sig.ident;
    let (output, kind) = output(operation, root);
    let (call, kind) = match args.reply {
        Some(_) => (format_ident!("send{}", arguments.len()), quote! { #kind, }),
        None => (format_ident!("notify{}", arguments.len()), TokenStream::new()),
    };
    // What is wrong with the future, such as that it is not `Send`, is reported at the function's name.
    quote_spanned! { name.span().resolved_at(Span::mixed_site()) => #root::#call::<#(#arguments,)* #output, #kind _, _>(#name) }
}

/// What can be published: a value, its view, and what goes on the wire. All of it stands where the wire's type does, so
/// that a type that cannot be sent is reported once, and there.
fn published(twin: &Ident, value: &Type, wire: &Type, view: &TokenStream, root: &TokenStream) -> TokenStream {
    quote_spanned! { wire.span() =>
        impl #root::Published for #twin {
            type Value = #value;
            type Wire = <#wire as #root::Sent>::Wire;

            fn view(value: Self::Value) -> Self::Wire {
                #view
            }
        }
    }
}

fn recv(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, arguments, is_deprecated, .. } = operation;
    let twin = &function.sig.ident;
    let ReturnType::Type(_, wire) = &function.sig.output else { return TokenStream::new() };
    let [value] = arguments.as_slice() else { return TokenStream::new() };
    let published = published(twin, value, wire, &quote! { #twin(value) }, root);
    let allow_deprecated = is_deprecated.then(|| quote! { #[allow(deprecated)] });
    quote! { #allow_deprecated #published }
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

fn topic_declaration(
    operation: &Operation,
    about: &TokenStream,
    function: &TokenStream,
    root: &TokenStream,
) -> TokenStream {
    let Operation { args, params, .. } = operation;
    let params = params.as_ref().map_or_else(|| quote! { () }, |params| quote! { #params });
    let request = match (&args.request, &operation.params) {
        (Some(request), _) => quote! { #request },
        (None, Some(_)) => params.clone(),
        (None, None) => quote! { #root::NoPayload },
    };
    quote! { #root::topic::<Self, #params, #request>(#about, #function) }
}

fn topic_traits(operation: &Operation, root: &TokenStream) -> TokenStream {
    let Operation { function, params, updates, fields, name, .. } = operation;
    let twin = &function.sig.ident;
    let params = params.as_ref().map_or_else(|| quote! { () }, |params| quote! { #params });
    // A field that does not exist is reported at the template.
    let fields = fields.iter().map(|field| {
        let member = item::member(field, Span::call_site().located_at(name.span()));
        quote! { #root::topic_field(#field, &params.#member) }
    });
    let published = updates.as_ref().map(|updates| published(twin, updates, updates, &quote! { value }, root));
    quote! {
        impl #root::TopicDeclared for #twin {
            type Params = #params;

            fn fields(params: &Self::Params) -> #root::Fields {
                let _ = params;
                ::std::vec![#(#fields),*]
            }
        }

        #published
    }
}
