//! What must hold of every request, however things go. Apart from the server that it watches.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use serde_json::Value;

use super::{ApiServer, Call};
use crate::{simulation::wishes::Wishes, time};

/// The plural of a kind, and a name.
type Key = (String, String);
type WriteCounts = BTreeMap<Key, usize>;

/// What the agent may do, over all its shards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LimitsSeen {
    pub(crate) qps: f64,
    pub(crate) burst: f64,
    pub(crate) in_flight: usize,
}

/// See the [module](self).
pub(crate) struct Guards {
    wishes: Rc<Wishes>,
    /// What was found to be wrong, with the time.
    violations: RefCell<Vec<String>>,
    limits: Cell<Option<LimitsSeen>>,
    /// Requests that may be sent at this time.
    bucket: Cell<(f64, Option<time::Instant>)>,
    in_flight: Rc<Cell<usize>>,
    /// Writes to one object that somebody waits for.
    writing: Rc<RefCell<WriteCounts>>,
    /// The wish that an object was made for, by uid.
    made_for: RefCell<BTreeMap<String, usize>>,
    /// How often objects were made, by kind and name.
    created: RefCell<WriteCounts>,
}

/// A request that somebody waits for.
pub(super) struct Pass {
    in_flight: Option<Rc<Cell<usize>>>,
    writing: Option<(Rc<RefCell<WriteCounts>>, Key)>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.set(in_flight.get() - 1);
        }
        if let Some((writing, key)) = &self.writing
            && let Some(count) = writing.borrow_mut().get_mut(key)
        {
            *count -= 1;
        }
    }
}

impl Guards {
    pub(super) fn new(wishes: Rc<Wishes>) -> Self {
        Self {
            wishes,
            violations: RefCell::default(),
            limits: Cell::default(),
            bucket: Cell::new((0.0, None)),
            in_flight: Rc::default(),
            writing: Rc::default(),
            made_for: RefCell::default(),
            created: RefCell::default(),
        }
    }

    /// An agent begins, with full hands.
    pub(crate) fn begin(&self, limits: LimitsSeen) {
        self.limits.set(Some(limits));
        self.bucket.set((limits.burst, None));
    }

    /// The first thing that was wrong.
    pub(crate) fn violation(&self) -> Option<String> {
        self.violations.borrow().first().cloned()
    }

    fn complain(&self, at: Duration, what: &str) {
        self.violations.borrow_mut().push(format!("at {:.3} s: {what}", at.as_secs_f64()));
    }

    /// How often an object was made.
    pub(crate) fn creations(&self, plural: &str, name: &str) -> usize {
        self.created.borrow().get(&(plural.to_owned(), name.to_owned())).copied().unwrap_or_default()
    }

    /// A request is sent.
    pub(super) fn sent(&self, server: &ApiServer, call: &Call) -> Pass {
        let Some(limits) = self.limits.get() else { return Pass { in_flight: None, writing: None } };
        self.spend(server, limits);
        let mut pass = Pass { in_flight: None, writing: None };
        if call.verb != "watch" {
            self.in_flight.set(self.in_flight.get() + 1);
            if self.in_flight.get() > limits.in_flight {
                self.complain(server.elapsed(), &format!("{} requests in flight", self.in_flight.get()));
            }
            pass.in_flight = Some(Rc::clone(&self.in_flight));
        }
        if call.write.is_some() {
            let key = (call.plural.clone(), call.name.clone());
            let mut writing = self.writing.borrow_mut();
            let count = writing.entry(key.clone()).or_default();
            *count += 1;
            if *count > 1 {
                self.complain(server.elapsed(), &format!("two writes to {}/{} at a time", key.0, key.1));
            }
            pass.writing = Some((Rc::clone(&self.writing), key));
        }
        pass
    }

    fn spend(&self, server: &ApiServer, limits: LimitsSeen) {
        if limits.qps <= 0.0 {
            return;
        }
        let (tokens, last) = self.bucket.get();
        let now = time::now();
        let since = last.map_or(Duration::ZERO, |last| now - last);
        let tokens = (tokens + limits.qps * since.as_secs_f64()).min(limits.burst) - 1.0;
        // A permit may be used a moment after it was given.
        if tokens < -2.0 {
            self.complain(server.elapsed(), "requests come faster than the limiter lets them");
        }
        self.bucket.set((tokens, Some(now)));
    }

    /// A deletion is about to be carried out: of what.
    pub(super) fn before(&self, server: &ApiServer, call: &Call) -> Option<Value> {
        (call.verb == "delete").then(|| server.get(&call.plural, &call.name)).flatten()
    }

    /// A write was carried out.
    pub(super) fn written(&self, server: &ApiServer, call: &Call, doomed: Option<Value>) {
        let key = (call.plural.clone(), call.name.clone());
        if call.verb == "create" {
            if let Some(object) = server.get(&call.plural, &call.name) {
                let uid = text(&object["metadata"]["uid"]);
                let wish = self.wishes.made_for(&stack_of(call, &object), &key, &object);
                self.made_for.borrow_mut().insert(uid, wish);
            }
            *self.created.borrow_mut().entry(key).or_default() += 1;
        } else if let Some(object) = doomed
            && object["metadata"]["deletionTimestamp"].is_null()
        {
            self.judge(server, call, &object);
        }
    }

    /// A deletion is right only if at some time since the object was made it was not wanted, or if
    /// its owner is gone.
    fn judge(&self, server: &ApiServer, call: &Call, object: &Value) {
        let made_for = self.made_for.borrow().get(&text(&object["metadata"]["uid"])).copied();
        let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let orphan = call.plural != "stacks"
            && !owners.any(|owner| {
                let owned_by = server.get("stacks", owner["name"].as_str().unwrap_or_default());
                owned_by.is_some_and(|stack| stack["metadata"]["uid"] == owner["uid"])
            });
        let key = (call.plural.clone(), call.name.clone());
        if !orphan && self.wishes.always(&stack_of(call, object), &key, made_for.unwrap_or_default()) {
            let (plural, name) = (&call.plural, &call.name);
            let what = format!("{plural}/{name} was deleted, and nobody ever wanted it gone");
            self.complain(server.elapsed(), &what);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The stack that an object is of.
fn stack_of(call: &Call, object: &Value) -> String {
    match call.plural.as_str() {
        "stacks" => call.name.clone(),
        _ => text(&object["metadata"]["labels"]["formance.com/stack"]),
    }
}
