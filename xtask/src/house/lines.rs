//! How long files are, and how much product there is.

use std::{collections::BTreeMap, fmt};

use super::{Finding, source::ProductFile, tree::Tree};

const MOST: usize = 400;
/// Half of all files have fewer lines than this that are neither blank nor a comment.
const HALF: usize = 120;

/// Not the agent itself, but what it is tried with.
pub(super) const AROUND: [&str; 3] = ["embedded", "demo", "fuzzing"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let length = |text: &str| text.lines().count();
    let mut findings: Vec<_> = tree
        .sources
        .values()
        .map(|source| (source, length(&source.text)))
        .filter(|(_, lines)| *lines > MOST)
        .map(|(source, lines)| Finding {
            file: source.path.clone(),
            line: MOST + 1,
            what: format!("{lines} lines: no file has more than {MOST}"),
            remedy: "it holds two nouns: make the second one a file of its own",
        })
        .collect();
    let code = |text: &str| text.lines().filter(|line| is_code(line)).count();
    let mut lengths: Vec<_> = tree.sources.values().map(|source| code(&source.text)).collect();
    lengths.sort_unstable();
    if let Some(median) = lengths.get(lengths.len() / 2).filter(|median| **median >= HALF) {
        findings.push(Finding {
            file: ".".into(),
            line: 0,
            what: format!("half of the files have {median} lines of code or more"),
            remedy: "half of all files stay under 120: split the long ones",
        });
    }
    findings
}

/// Lines of product code.
#[derive(Default)]
pub(super) struct Count {
    /// By area: files, lines, and lines that are neither blank nor a comment.
    areas: BTreeMap<String, [usize; 3]>,
}

impl Count {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut count = Self::default();
        for product in tree.products().filter(|product| !AROUND.contains(&product.place.area())) {
            let (lines, code) = lines(&product);
            let area = count.areas.entry(product.place.area().to_owned()).or_default();
            for (sum, more) in area.iter_mut().zip([1, lines, code]) {
                *sum += more;
            }
        }
        count
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "product code, without {}      files  lines  of code", AROUND.join(", "))?;
        let mut sum = [0; 3];
        for (area, counts) in &self.areas {
            writeln!(f, "  {area:<45} {:>6} {:>6} {:>8}", counts[0], counts[1], counts[2])?;
            for (sum, more) in sum.iter_mut().zip(counts) {
                *sum += more;
            }
        }
        write!(f, "  {:<45} {:>6} {:>6} {:>8}", "all", sum[0], sum[1], sum[2])
    }
}

/// Neither blank nor a comment.
fn is_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

/// Lines of a file that are not for tests, and how many of them are code.
fn lines(product: &ProductFile<'_>) -> (usize, usize) {
    let is_product = |line: usize| !product.test_lines.iter().any(|lines| lines.contains(&line));
    let lines: Vec<_> =
        (1..).zip(product.source.text.lines()).filter(|(number, _)| is_product(*number)).collect();
    (lines.len(), lines.iter().filter(|(_, line)| is_code(line)).count())
}
