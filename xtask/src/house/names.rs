//! No name of a type stands for two things.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::{Finding, tree::Tree};

const REMEDY: &str = "name one of them after what it is (docs/glossary.md has the words)";

/// Types of the whole workspace, tests and tools included, that have a name which another one has.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut types: BTreeMap<String, Vec<(&std::path::Path, usize)>> = BTreeMap::new();
    for source in tree.sources.values() {
        let mut found = Types::default();
        found.visit_file(&source.ast);
        for ident in found.0 {
            types.entry(ident.to_string()).or_default().push((&source.path, ident.span().start().line));
        }
    }
    let mut findings = Vec::new();
    for (name, places) in types.iter().filter(|(_, places)| places.len() > 1) {
        for (file, line) in &places[1..] {
            let (first, at) = places[0];
            let what = format!("there is a type {name} in {}:{at} already", first.display());
            findings.push(Finding { file: file.to_path_buf(), line: *line, what, remedy: REMEDY });
        }
    }
    findings
}

/// The types that product code declares.
pub(super) fn of_product(tree: &Tree) -> BTreeSet<String> {
    let mut types = Types::default();
    for product in tree.products() {
        types.visit_file(&product.ast);
    }
    types.0.iter().map(ToString::to_string).collect()
}

#[derive(Default)]
struct Types(Vec<syn::Ident>);

impl<'a> Visit<'a> for Types {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.0.push(item.ident.clone());
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.0.push(item.ident.clone());
    }

    fn visit_item_union(&mut self, item: &'a syn::ItemUnion) {
        self.0.push(item.ident.clone());
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.0.push(item.ident.clone());
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.0.push(item.ident.clone());
        visit::visit_item_trait(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_wherever_they_are_declared() {
        let text = "struct A; mod m { enum B {} fn f() { type C = u8; struct D; } } trait E { type Not; fn g() { struct F; } }
            impl E for A { type Not = u8; }";
        let mut types = Types::default();
        types.visit_file(&syn::parse_file(text).unwrap());
        let names: Vec<_> = types.0.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["A", "B", "C", "D", "E", "F"]);
    }
}
