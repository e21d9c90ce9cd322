//! What a file has for the product, and what only tests have.

use std::ops::RangeInclusive;

use syn::{Attribute, ImplItem, Item, Meta, spanned::Spanned};

/// Features that only tests and fuzzers ask for.
const TEST_FEATURES: [&str; 3] = ["\"simulation\"", "\"fuzzing\"", "\"testing\""];

/// Whether something with these attributes is compiled for tests only.
pub(super) fn is_for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition: String = list.tokens.to_string().split_whitespace().collect();
            let asks = |word: &str| condition.contains(word) && !condition.contains(&format!("not({word}"));
            asks("test") || TEST_FEATURES.iter().any(|feature| asks(&format!("feature={feature}")))
        }
        Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

/// What `#[path = "..."]` says.
pub(super) fn path_of(attrs: &[Attribute]) -> Option<String> {
    attrs.iter().find_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

/// Takes out what only tests have, and says which lines that was.
pub(super) fn strip(items: &mut Vec<Item>, lines: &mut Vec<RangeInclusive<usize>>) {
    let mut keep = |attrs: &[Attribute], span: proc_macro2::Span| {
        let is_product = !is_for_tests(attrs);
        if !is_product {
            lines.push(span.start().line..=span.end().line);
        }
        is_product
    };
    items.retain(|item| keep(attributes(item), item.span()));
    for item in items.iter_mut() {
        if let Item::Impl(block) = item {
            block.items.retain(|item| keep(impl_attributes(item), item.span()));
        }
    }
    for item in items {
        if let Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) = item {
            strip(items, lines);
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn impl_attributes(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Macro(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> (usize, Vec<RangeInclusive<usize>>) {
        let mut lines = Vec::new();
        let mut items = syn::parse_file(text).unwrap().items;
        strip(&mut items, &mut lines);
        (items.len(), lines)
    }

    #[test]
    fn what_only_tests_have_is_no_product() {
        assert_eq!(left("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), (1, vec![2..=4]));
        assert_eq!(left("#[cfg(any(test, feature = \"fuzzing\"))]\npub mod fuzzing;\n"), (0, vec![1..=2]));
        assert_eq!(left("#[cfg(feature = \"simulation\")]\npub mod simulation;\n"), (0, vec![1..=2]));
    }

    #[test]
    fn what_tests_do_not_have_is() {
        assert_eq!(left("#[cfg(not(test))]\nfn a() {}\n#[cfg(unix)]\nfn b() {}\n"), (2, vec![]));
    }
}
