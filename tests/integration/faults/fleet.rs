//! Stacks as a membership knows them: what was ordered last, and whether the cluster is so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Stack, order};

use crate::{
    faults::form::fleet,
    support::{
        orders::{StackExt, deleted, disabled, enabled, stack},
        rest::Rest,
    },
};

/// The newest orders, and what draws further ones.
pub struct Fleet {
    prefix: &'static str,
    random: fastrand::Rng,
    /// `None` for a stack that was deleted.
    newest: BTreeMap<String, Option<Stack>>,
    /// How often each was ordered to be deleted, replays included.
    pub deletions: BTreeMap<String, usize>,
    drawn: usize,
}

impl Fleet {
    /// So many stacks, none of them ordered yet.
    pub fn new(prefix: &'static str, size: usize, seed: u64) -> Self {
        let name = |index| format!("{prefix}{index:03}");
        Self {
            prefix,
            random: fastrand::Rng::with_seed(seed),
            newest: (0..size).map(|index| (name(index), Some(first(&name(index))))).collect(),
            deletions: BTreeMap::new(),
            drawn: 0,
        }
    }

    pub fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// Those that no order ever deletes: every other one.
    pub fn is_kept(&self, name: &str) -> bool {
        name.ends_with(['0', '2', '4', '6', '8'])
    }

    /// What membership sends to an agent that has joined: the newest of everything.
    pub fn replay(&mut self) -> Vec<order::Message> {
        let mut orders = Vec::new();
        for (name, newest) in &self.newest {
            orders.push(match newest {
                Some(stack) => stack.clone().order(),
                None => {
                    *self.deletions.entry(name.clone()).or_default() += 1;
                    deleted(name)
                }
            });
        }
        orders
    }

    /// Another order for one of them, which is the newest from now on.
    pub fn draw(&mut self) -> order::Message {
        self.drawn += 1;
        let at = self.random.usize(..self.newest.len());
        let name = self.newest.keys().nth(at).expect("one of them").clone();
        let may_go = !self.is_kept(&name);
        let newest = self.newest.get_mut(&name).expect("one of them");
        match (self.random.u8(..10), newest.as_mut()) {
            (0..=1, _) if may_go => {
                *newest = None;
                *self.deletions.entry(name.clone()).or_default() += 1;
                deleted(&name)
            }
            (2..=3, known) => {
                known.into_iter().for_each(|stack| stack.disabled = true);
                disabled(&name)
            }
            (4..=5, known) => {
                known.into_iter().for_each(|stack| stack.disabled = false);
                enabled(&name)
            }
            (_, known) => {
                let off = known.is_some_and(|stack| stack.disabled);
                let mut order = first(&name).versions(&format!("v{}", self.drawn));
                if self.random.bool() {
                    order = order.modules(&["ledger", "payments"]);
                }
                if self.random.bool() {
                    order = order.client("web", true);
                }
                order.disabled = off;
                *newest = Some(order.clone());
                order.order()
            }
        }
    }

    /// Where the cluster is not as the newest orders say.
    pub fn differences(&self, rest: &Rest) -> Vec<String> {
        let found = fleet(rest, self.prefix);
        let none = BTreeMap::new();
        let differs = |(name, newest): (&String, &Option<Stack>)| {
            let objects = found.get(name).unwrap_or(&none);
            difference(name, newest.as_ref(), objects).map(|why| format!("{name}: {why}"))
        };
        self.newest.iter().filter_map(differs).collect()
    }
}

/// What every order of a stack has in it: a Ledger goes only with its Stack.
fn first(name: &str) -> Stack {
    stack(name).versions("v0").modules(&["ledger"])
}

fn difference(name: &str, newest: Option<&Stack>, objects: &BTreeMap<String, Value>) -> Option<String> {
    let place = format!("stacks/{name}");
    let Some(wanted) = newest else {
        // What else there is belongs to the garbage collector, which is not there.
        return objects.contains_key(&place).then(|| "is still there".to_owned());
    };
    let plural = |module: &str| if module == "ledger" { "ledgers" } else { "payments" };
    let mut keys: BTreeSet<String> =
        wanted.modules.iter().map(|module| format!("{}/{name}", plural(&module.name))).collect();
    keys.extend(wanted.static_clients.iter().map(|client| format!("authclients/{name}-{}", client.id)));
    keys.insert(place.clone());
    let there: BTreeSet<String> = objects.keys().cloned().collect();
    if there != keys {
        return Some(format!("has {there:?}, not {keys:?}"));
    }
    let stack = &objects[&place];
    let (spec, uid) = (&stack["spec"], &stack["metadata"]["uid"]);
    if spec["versionsFromFile"] != wanted.versions || spec["disabled"] != wanted.disabled {
        return Some(format!("has {spec}, not {} and {}", wanted.versions, wanted.disabled));
    }
    let owner = json!([{ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": name, "uid": uid }]);
    let astray =
        objects.iter().find(|(key, it)| **key != place && it["metadata"]["ownerReferences"] != owner);
    astray.map(|(key, _)| format!("{key} does not belong to it"))
}
