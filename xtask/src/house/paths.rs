//! The paths that a piece of product code names, resolved as far as that goes without a compiler.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    UseTree,
    visit::{self, Visit},
};

use super::source::{ModulePath, ProductFile};

/// A path as it is written, and where. From `crate`, `self` and `super` on it is resolved: it begins with
/// the package.
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// All paths of at least two segments, and all that is imported.
pub(super) fn named(product: &ProductFile<'_>) -> Vec<Named> {
    let mut paths = Paths { place: product.place.clone(), named: Vec::new() };
    paths.visit_file(&product.ast);
    paths.named
}

struct Paths {
    /// The module that is being read.
    place: ModulePath,
    named: Vec<Named>,
}

impl Paths {
    fn add(&mut self, segments: &[String], line: usize) {
        let ModulePath { package, module } = &self.place;
        let mut base: Vec<String> = Vec::new();
        let mut rest = segments;
        let of_binary = module.first().is_some_and(|first| first == "main");
        match rest.first().map(String::as_str) {
            Some("crate") => {
                base.push(package.clone());
                base.extend(of_binary.then(|| "main".to_owned()));
                rest = &rest[1..];
            }
            Some("self" | "super") => {
                base.push(package.clone());
                base.extend(module.iter().cloned());
                while let Some("self" | "super") = rest.first().map(String::as_str) {
                    if rest[0] == "super" {
                        base.pop();
                    }
                    rest = &rest[1..];
                }
            }
            _ => {}
        }
        let segments = [&base[..], rest].concat();
        self.named.push(Named { segments, line });
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        let leaf = |paths: &mut Self, ident: &syn::Ident| {
            let mut segments = before.clone();
            segments.push(ident.to_string());
            paths.add(&segments, ident.span().start().line);
        };
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) => leaf(self, &name.ident),
            UseTree::Rename(rename) => leaf(self, &rename.ident),
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.add(&before.clone(), line);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before);
                }
            }
        }
    }

    /// Macros' arguments are not parsed: whatever looks like a path in them is taken for one.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path, line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.end(&mut path, line);
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.end(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.end(&mut path, line);
    }

    fn end(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.add(path, line);
        }
        path.clear();
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.place.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.place.module.pop();
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let (Some(first), true) = (path.segments.first(), segments.len() > 1) {
            self.add(&segments, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'a syn::Macro) {
        visit::visit_macro(self, mac);
        self.tokens(mac.tokens.clone());
    }
}
