//! What a real API server counted of the requests that agents make.

use std::collections::BTreeMap;

use crate::support::rest::Rest;

const GROUPS: [&str; 2] = ["formance.com", "apiextensions.k8s.io"];
const NAME: &str = "apiserver_request_total{";

/// Requests about custom resources and their definitions by verb, as `GET`, `LIST`, `WATCH`, `POST`,
/// `PATCH`, ... A watch is counted when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics(BTreeMap<String, u64>);

impl Metrics {
    /// Reads them; that request is not among them.
    pub fn read(rest: &Rest) -> Self {
        Self::parse(&rest.get("metrics").expect(200).text)
    }

    fn parse(text: &str) -> Self {
        let mut verbs = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(NAME)) {
            let Some((labels, count)) = line.rsplit_once("} ") else { continue };
            let label = |name: &str| {
                labels
                    .split(',')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
            };
            if label("group").is_some_and(|group| GROUPS.contains(&group)) {
                let verb = label("verb").expect("every request has a verb").to_owned();
                *verbs.entry(verb).or_default() += count.parse::<f64>().expect("a number") as u64;
            }
        }
        Self(verbs)
    }

    /// How much each verb grew; verbs that did not are left out.
    pub fn since(&self, before: &Self) -> BTreeMap<String, u64> {
        let old = |verb: &String| before.0.get(verb).copied().unwrap_or_default();
        let grown = self.0.iter().map(|(verb, count)| (verb.clone(), count - old(verb)));
        grown.filter(|(_, more)| *more > 0).collect()
    }

    /// All of them, watches aside.
    pub fn but_watches(&self) -> u64 {
        self.0.iter().filter(|(verb, _)| *verb != "WATCH").map(|(_, count)| count).sum()
    }
}
