//! Whatever comes late, twice or out of order: in the end the store shows what is there, and what
//! was reported adds up to it.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    cluster::store::{Store, StoreChange, Sweep},
    stack::{
        object::{Object, ObjectKey, Resource},
        report,
    },
    time::now,
};

fn kind(_: &str) -> Arc<Resource> {
    static KIND: OnceLock<Arc<Resource>> = OnceLock::new();
    Arc::clone(KIND.get_or_init(|| Resource::new("Ledger", "ledger", "ledgers")))
}

fn with_status(mut object: Object, status: Value) -> Object {
    object.status = report::reported_status(Some(status));
    object
}

const NAMES: u8 = 4;
const STEPS: u8 = 24;

/// An API server with objects of one kind, and all that is on its way from it to the store.
struct StoreWorld {
    store: Store,
    now: Instant,
    objects: BTreeMap<String, Object>,
    version: u64,
    uids: u64,
    /// Events, and whether each is a removal.
    log: Vec<(Object, bool)>,
    /// How many of them came.
    delivered: usize,
    list: Option<List>,
    sweeps: Vec<Sweep>,
    answers: Vec<LateAnswer>,
    backups: Vec<(BTreeMap<String, Object>, u64)>,
    restored: bool,
    /// What was reported.
    mirror: BTreeMap<String, Value>,
}

struct List {
    asked: Instant,
    /// What is still to come, the version of the list, and where the watch begins.
    rest: Option<(Vec<Object>, u64, usize)>,
}

enum LateAnswer {
    Shown(Object),
    Gone(Object),
    Absent(String, Option<String>),
}

impl StoreWorld {
    fn new() -> Self {
        let start = now();
        Self {
            store: Store::new(start),
            now: start,
            objects: BTreeMap::new(),
            version: 0,
            uids: 0,
            log: Vec::new(),
            delivered: 0,
            list: Some(List { asked: start, rest: None }),
            sweeps: Vec::new(),
            answers: Vec::new(),
            backups: Vec::new(),
            restored: false,
            mirror: BTreeMap::new(),
        }
    }

    fn step(&mut self, what: u8, which: u8, own: bool) {
        let name = format!("n{}", which % NAMES);
        self.now += Duration::from_nanos(1);
        match what {
            0..4 => self.write(&name, which, own),
            4..6 => self.delete(&name, own),
            6 => self.answers.push(match self.objects.get(&name) {
                Some(object) => LateAnswer::Shown(object.clone()),
                None => {
                    let uid = self.store.uid(&name, &ObjectKey::new(&kind(""), &name));
                    LateAnswer::Absent(name, uid)
                }
            }),
            7..12 => self.deliver(),
            12..15 => self.answer(which.into()),
            15..19 => self.go_on_listing(),
            19..21 => self.sweep(which.into()),
            21 => self.begin_list(),
            22 => self.backups.push((self.objects.clone(), self.version)),
            _ => self.restore(which.into()),
        }
    }

    fn write(&mut self, name: &str, which: u8, own: bool) {
        self.version += 1;
        let uid = self.objects.get(name).map(|object| object.uid.clone()).unwrap_or_else(|| {
            self.uids += 1;
            format!("u{}", self.uids)
        });
        let json =
            json!({"metadata": {"name": name, "uid": uid, "resourceVersion": self.version.to_string()}});
        let object = Object::from_json(&kind("ledgers"), json).expect("an object");
        let object = with_status(object, json!({"info": format!("{}", which % 3)}));
        self.objects.insert(name.into(), object.clone());
        self.log.push((object.clone(), false));
        if own {
            self.answers.push(LateAnswer::Shown(object));
        }
    }

    fn delete(&mut self, name: &str, own: bool) {
        let Some(mut object) = self.objects.remove(name) else { return };
        self.version += 1;
        object.resource_version = self.version.to_string();
        self.log.push((object.clone(), true));
        if own {
            self.answers.push(LateAnswer::Gone(object));
        }
    }

    /// The watch says one more thing, unless a list is being read.
    fn deliver(&mut self) {
        if !self.sweeps.is_empty() {
            return self.sweep(1);
        }
        let Some((object, removal)) = self.log.get(self.delivered).filter(|_| self.list.is_none()).cloned()
        else {
            return;
        };
        self.delivered += 1;
        let before = self.known(&object.key.name);
        let change = if removal {
            self.store.removed(&object, self.now)
        } else {
            self.store.changed(&object, self.now)
        };
        self.reported(&object.key, change, before.as_ref());
    }

    fn answer(&mut self, which: usize) {
        if self.answers.is_empty() {
            return;
        }
        let answer = self.answers.swap_remove(which % self.answers.len());
        let key = match &answer {
            LateAnswer::Shown(object) | LateAnswer::Gone(object) => object.key.clone(),
            LateAnswer::Absent(name, _) => ObjectKey::new(&kind("ledgers"), name),
        };
        let before = self.known(&key.name);
        let change = match answer {
            LateAnswer::Shown(object) => self.store.changed(&object, self.now),
            LateAnswer::Gone(object) => self.store.gone(&key.name, &key, &object.uid, self.now),
            LateAnswer::Absent(_, uid) => match uid {
                Some(uid) => self.store.gone(&key.name, &key, &uid, self.now),
                None => StoreChange::Nothing,
            },
        };
        self.reported(&key, change, before.as_ref());
    }

    /// A list is begun, also while another one is being read: that one is given up.
    fn begin_list(&mut self) {
        self.now += Duration::from_millis(1);
        self.list = Some(List { asked: self.now, rest: None });
    }

    fn go_on_listing(&mut self) {
        if !self.sweeps.is_empty() {
            return self.sweep(1);
        }
        let Some(mut list) = self.list.take() else { return };
        let (rest, version, watch_from) = list
            .rest
            .get_or_insert_with(|| (self.objects.values().cloned().collect(), self.version, self.log.len()));
        if let Some(object) = rest.pop() {
            let before = self.known(&object.key.name);
            let change = self.store.listed(&object, list.asked);
            self.list = Some(list);
            return self.reported(&object.key, change, before.as_ref());
        }
        self.delivered = *watch_from;
        self.sweeps.push(self.store.complete(&kind("ledgers"), list.asked, version.to_string()));
    }

    fn sweep(&mut self, stacks: usize) {
        let Some(mut sweep) = self.sweeps.pop() else { return };
        let known: BTreeMap<String, Option<String>> =
            (0..NAMES).map(|n| format!("n{n}")).map(|name| (name.clone(), self.known(&name))).collect();
        let (removed, done) = self.store.sweep(&mut sweep, stacks % 3);
        if !done {
            self.sweeps.push(sweep);
        }
        for key in removed {
            self.reported(&key, StoreChange::Removed, known[&*key.name].as_ref());
        }
    }

    /// A backup is restored: versions go back, answers on their way are lost, and the watch is
    /// of no use any more.
    fn restore(&mut self, which: usize) {
        if self.backups.is_empty() {
            return;
        }
        let (objects, version) = self.backups.swap_remove(which % self.backups.len());
        self.backups.retain(|(_, other)| *other <= version);
        (self.objects, self.version, self.restored) = (objects, version, true);
        self.answers.clear();
        self.log.clear();
        self.begin_list();
    }

    fn known(&self, name: &str) -> Option<String> {
        self.store.objects(name).first().map(|object| object.uid.clone())
    }

    /// `before`: the uid that was known. No removal is told of what is there.
    fn reported(&mut self, key: &ObjectKey, change: StoreChange, before: Option<&String>) {
        let name = key.name.to_string();
        match change {
            StoreChange::Removed => {
                let there = self.objects.get(&name).map(|object| &object.uid);
                assert!(before.is_some() && (self.restored || there != before), "{key}: {before:?} is there");
                self.mirror.remove(&name);
            }
            StoreChange::Status => drop(self.mirror.insert(name, self.store.status(key))),
            StoreChange::Replaced => {
                self.mirror.remove(&name);
                let status = self.store.status(key);
                if !status.is_null() {
                    self.mirror.insert(name, status);
                }
            }
            _ => {}
        }
    }

    /// All that is on its way comes in.
    fn settle(&mut self) {
        while self.list.is_some() {
            self.now += Duration::from_nanos(1);
            self.go_on_listing();
        }
        while !self.sweeps.is_empty() || !self.answers.is_empty() || self.delivered < self.log.len() {
            self.now += Duration::from_nanos(1);
            self.answer(0);
            self.deliver();
            self.sweep(1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20000, failure_persistence: None, max_shrink_iters: 20000, ..ProptestConfig::default() })]
    #[test]
    fn the_store_shows_what_is_there(
        steps in proptest::collection::vec((0u8..STEPS, any::<u8>(), any::<bool>()), 0..120),
    ) {
        let mut world = StoreWorld::new();
        for (what, which, own) in steps {
            world.step(what, which, own);
        }
        world.settle();
        let names = || (0..NAMES).map(|n| format!("n{n}"));
        let shown: Vec<Object> = names().flat_map(|name| world.store.objects(&name)).collect();
        let there: Vec<Object> = world.objects.values().cloned().collect();
        prop_assert_eq!(shown, there);
        let statuses: BTreeMap<String, Value> =
            world.objects.iter().map(|(name, object)| (name.clone(), object.status.clone())).collect();
        prop_assert_eq!(&world.mirror, &statuses);
        prop_assert_eq!(world.store.len().1, statuses.len());
    }
}
