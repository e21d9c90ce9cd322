//! What product code does without.

use syn::visit::{self, Visit};

use super::{
    Finding,
    lines::AROUND,
    paths::{self, Named},
    source::ProductFile,
    tree::Tree,
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.products()
        .filter(|product| !AROUND.contains(&product.place.area()))
        .flat_map(|product| of(&product))
        .collect()
}

fn of(product: &ProductFile<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut ban = |line: usize, what: String, remedy: &'static str| {
        found.push(Finding { file: product.source.path.clone(), line, what, remedy });
    };
    let named = paths::named(product);
    let std_mpsc =
        named.iter().any(|path| path.segments.starts_with(&["std", "sync", "mpsc"].map(str::to_owned)));
    for Named { segments, line } in &named {
        let ends =
            |end: &[&str]| segments.len() >= end.len() && segments[segments.len() - end.len()..] == *end;
        if ends(&["mpsc", "channel"]) && std_mpsc {
            let remedy = "std's sync_channel has a bound; say there why it is enough";
            ban(*line, "a channel without a bound: std::sync::mpsc::channel".into(), remedy);
        }
        if let Some(name) = segments.last().filter(|name| name.contains("unbounded")) {
            let remedy = "give the queue a bound, and say why it is enough";
            ban(*line, format!("a channel without a bound: {name}"), remedy);
        }
        if segments.iter().any(|segment| segment == "safeguards") {
            let remedy = "a safeguard is taken out by a replacement in tests/safeguards/list.rs";
            ban(*line, format!("the product asks for a safeguard: {}", segments.join("::")), remedy);
        }
    }
    if product.place.area() != "main" {
        let mut results = Results(Vec::new());
        results.visit_file(&product.ast);
        for line in results.0 {
            let remedy = "an error is an enum that names the subject and the remedy";
            ban(line, "an error that is a String".into(), remedy);
        }
    }
    found
}

/// Lines with a `Result<_, String>`.
struct Results(Vec<usize>);

impl<'a> Visit<'a> for Results {
    fn visit_path_segment(&mut self, segment: &'a syn::PathSegment) {
        if segment.ident == "Result"
            && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
            && let Some(syn::GenericArgument::Type(syn::Type::Path(error))) = arguments.args.iter().nth(1)
            && error.path.is_ident("String")
        {
            self.0.push(segment.ident.span().start().line);
        }
        visit::visit_path_segment(self, segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::source::{ModulePath, SourceFile};

    fn faults(area: &str, text: &str) -> Vec<String> {
        let source = SourceFile {
            path: "x.rs".into(),
            text: text.into(),
            ast: syn::parse_file(text).unwrap(),
            place: Some(ModulePath { package: "stackherd".into(), module: vec![area.into()] }),
        };
        of(&source.product().unwrap()).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn channels_have_a_bound() {
        assert_eq!(faults("net", "use futures::channel::mpsc; fn f() { mpsc::channel(1) }"), [""; 0]);
        assert_eq!(faults("net", "use std::sync::mpsc; fn f() { mpsc::sync_channel(1) }"), [""; 0]);
        assert_eq!(faults("net", "use std::sync::mpsc; fn f() { mpsc::channel() }").len(), 1);
        assert_eq!(faults("net", "fn f() { mpsc::unbounded() }"), ["a channel without a bound: unbounded"]);
    }

    #[test]
    fn errors_are_no_strings() {
        let text = "fn f() -> Result<Vec<u8>, String> {}";
        assert_eq!(faults("net", text), ["an error that is a String"]);
        assert_eq!(faults("main", text), [""; 0]);
        assert_eq!(faults("net", "fn f() -> Result<String, Fault> {}"), [""; 0]);
    }
}
