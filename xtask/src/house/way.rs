//! The way of one order, as docs/architecture.md tells it: what it names is there, and it stays short.
//!
//! The section may have a second table, under a heading of its own: what lies underneath, which runs as well and
//! need not be read to follow an order. What it names has to be there, too; only its files are counted. So has what
//! another section names: where to change what.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use syn::visit::{self, Visit};

use super::{Finding, names, tree::Tree};

const PAGE: &str = "docs/architecture.md";
const HEADING: &str = "## The way of one order and its report";
const PLACES: &str = "## Where to change what";
const MOST_FILES: usize = 45;
const MOST_TYPES: usize = 100;

/// A line of the table, as far as it names code.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    line: usize,
    underneath: bool,
    files: Vec<&'a str>,
    functions: Vec<&'a str>,
    types: Vec<&'a str>,
}

pub(super) fn check(tree: &Tree, root: &Path) -> Result<Vec<Finding>, String> {
    let page = fs::read_to_string(root.join(PAGE)).map_err(|fault| format!("{PAGE}: {fault}"))?;
    let (rows, places) = (rows(&page, HEADING), rows(&page, PLACES));
    for (rows, heading) in [(&rows, HEADING), (&places, PLACES)] {
        if rows.is_empty() {
            let what = format!("no table under {heading:?}");
            return Ok(vec![finding(1, what, "it has four columns: what, files, functions, types")]);
        }
    }
    let types = names::of_product(tree);
    let mut findings: Vec<_> =
        rows.iter().chain(&places).flat_map(|row| row.findings(tree, &types)).collect();
    let way = || rows.iter().filter(|row| !row.underneath);
    let files: BTreeSet<_> = way().flat_map(|row| &row.files).collect();
    let entered: BTreeSet<_> = way().flat_map(|row| &row.types).collect();
    let all: BTreeSet<_> = rows.iter().flat_map(|row| &row.files).collect();
    for (number, most, what) in [(files.len(), MOST_FILES, "files"), (entered.len(), MOST_TYPES, "types")] {
        if number > most {
            let what = format!("an order enters {number} {what} on its way, {most} at most");
            findings.push(finding(rows[0].line, what, "find what can be one thing, or none"));
        }
    }
    let (files, types, all) = (files.len(), entered.len(), all.len());
    println!("the way of one order: {files} files, {types} types; {all} files with what lies underneath");
    Ok(findings)
}

fn finding(line: usize, what: String, remedy: &'static str) -> Finding {
    Finding { file: PAGE.into(), line, what, remedy }
}

impl Row<'_> {
    fn findings(&self, tree: &Tree, types: &BTreeSet<String>) -> Vec<Finding> {
        const REMEDY: &str = "say where an order goes instead";
        let mut findings = Vec::new();
        let mut functions = Functions::default();
        for file in &self.files {
            match tree.sources.get(&PathBuf::from(file)) {
                Some(source) => functions.visit_file(&source.ast),
                None => findings.push(finding(self.line, format!("there is no file {file}"), REMEDY)),
            }
        }
        for name in self.functions.iter().filter(|name| !functions.found.contains(**name)) {
            findings.push(finding(
                self.line,
                format!("there is no function {name} in {:?}", self.files),
                REMEDY,
            ));
        }
        for name in self.types.iter().filter(|name| !types.contains(**name)) {
            findings.push(finding(self.line, format!("there is no type {name}"), REMEDY));
        }
        findings
    }
}

/// The lines of a section's tables, without their heads.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Row<'a>> {
    let lines = (1..).zip(page.lines()).skip_while(|(_, line)| *line != heading).skip(1);
    let mut rows = Vec::new();
    let (mut underneath, mut of_table) = (false, 0);
    for (number, line) in lines.take_while(|(_, line)| !line.starts_with("## ")) {
        underneath |= line.starts_with("### ");
        of_table = if line.starts_with('|') { of_table + 1 } else { 0 };
        // The first two are the head.
        if of_table > 2 {
            let mut cells = line.split('|').skip(2).map(code);
            let mut next = || cells.next().unwrap_or_default();
            rows.push(Row { line: number, underneath, files: next(), functions: next(), types: next() });
        }
    }
    rows
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The functions of a file: `name`, and `Type::name` where it has one.
#[derive(Default)]
struct Functions {
    found: BTreeSet<String>,
    of: Option<String>,
}

impl Functions {
    fn add(&mut self, name: &syn::Ident) {
        if let Some(of) = &self.of {
            self.found.insert(format!("{of}::{name}"));
        }
        self.found.insert(name.to_string());
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.add(&item.sig.ident);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        if let syn::Type::Path(of) = &*item.self_ty {
            self.of = of.path.segments.last().map(|segment| segment.ident.to_string());
        }
        visit::visit_item_impl(self, item);
        self.of = None;
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.add(&item.sig.ident);
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.of = Some(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.of = None;
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.add(&item.sig.ident);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let head = "| Step | File | Functions | Types |\n|---|---|---|---|\n";
        let page = format!(
            "# A\n\n| a | `b` |\n\n{HEADING}\n\nWords.\n\n{head}| 1 | `src/a.rs` | `A::f`, `g` | `A`, `B` |\n\n\
             ### Underneath\n\n{head}| | `src/b.rs` | `h` | |\n\n## Next\n\n| x | `y` | | |\n"
        );
        let rows = rows(&page, HEADING);
        let (files, functions, types) = (vec!["src/a.rs"], vec!["A::f", "g"], vec!["A", "B"]);
        let first = Row { line: 11, underneath: false, files, functions, types };
        let (files, functions) = (vec!["src/b.rs"], vec!["h"]);
        let second = Row { line: 17, underneath: true, files, functions, types: Vec::new() };
        assert_eq!(rows, [first, second]);
    }

    #[test]
    fn functions_are_known_with_their_type() {
        let text = "fn a() {} struct S; impl S { fn b() {} } trait T { fn c(); } impl T for S { fn c() {} }";
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(text).unwrap());
        let found: Vec<_> = functions.found.iter().map(String::as_str).collect();
        assert_eq!(found, ["S::b", "S::c", "T::c", "a", "b", "c"]);
    }
}
