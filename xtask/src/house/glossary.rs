//! What the glossary names is there.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Finding, names, tree::Tree};

const PAGE: &str = "docs/glossary.md";
const REMEDY: &str = "say what it is called now, or take the word out";

pub(super) fn check(tree: &Tree, root: &Path) -> Result<Vec<Finding>, String> {
    let page = fs::read_to_string(root.join(PAGE)).map_err(|fault| format!("{PAGE}: {fault}"))?;
    let types = names::of_product(tree);
    let absent = |name: &str| is_absent(name, &types, |path| root.join(path).exists());
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(page.lines()).filter(|(_, line)| line.starts_with('|')) {
        for name in text.split('`').skip(1).step_by(2).filter(|name| absent(name)) {
            let what = format!("there is no {name}");
            findings.push(Finding { file: PAGE.into(), line, what, remedy: REMEDY });
        }
    }
    Ok(findings)
}

/// Paths have a slash, types begin with a capital.
fn is_absent(name: &str, types: &BTreeSet<String>, exists: impl Fn(&str) -> bool) -> bool {
    let first = name.split("::").next().unwrap_or_default();
    if name.contains('/') {
        !exists(name)
    } else {
        first.starts_with(char::is_uppercase) && !types.contains(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_types_have_to_be_there() {
        let types = BTreeSet::from(["Order".to_owned()]);
        let absent = |name: &str| is_absent(name, &types, |path| path == "src/order.rs");
        assert!(!absent("src/order.rs") && absent("src/orders.rs"));
        assert!(!absent("Order") && !absent("Order::class") && absent("Orders"));
        assert!(!absent("stackherd"));
    }
}
