//! An operator, as far as an agent can tell: it gives Stacks and modules their statuses, and holds
//! a deleted Stack until its modules are gone.
//!
//! Pure like the model: [`Operator::step`] is told what time it is and changes the cluster. It reads
//! the cluster's log, so that a step costs what happened since the last one.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    cluster::{Caller, DeleteOptions, EmbeddedCluster, WriteEndpoint},
    kind::{DEFINITIONS, DEFINITIONS_GROUP, ServedKind},
    object::ServedObject,
    store::ObjectPlace,
};
use shards::time::times;

/// The manager that the operator's writes are booked on.
pub const MANAGER: &str = "embedded-operator";
/// What holds a deleted Stack, where the options say so.
pub const FINALIZER: &str = "operator.formance.com/modules";

const GROUP: &str = "formance.com";
const STACKS: &str = "stacks";

/// What the operator is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorOptions {
    /// Everything takes at least this long.
    pub least: Duration,
    /// And at most this long; drawn from the seed.
    pub most: Duration,
    /// Holds deleted Stacks while it removes their modules.
    pub finalizer: bool,
}

impl Default for OperatorOptions {
    fn default() -> Self {
        Self { least: Duration::from_millis(50), most: Duration::from_millis(300), finalizer: false }
    }
}

/// The operator. It does all that is due when it is stepped.
#[derive(Debug)]
pub struct Operator {
    options: OperatorOptions,
    random: Rng,
    /// The log was read up to this version.
    read: u64,
    known: BTreeMap<ObjectPlace, LastSeen>,
    /// By time, then in the order in which it was planned.
    due: BTreeMap<(Duration, u64), OperatorTask>,
    planned: u64,
}

/// What was last seen of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LastSeen {
    uid: String,
    generation: i64,
    ending: bool,
}

#[derive(Debug)]
struct OperatorTask {
    place: ObjectPlace,
    uid: String,
    job: OperatorJob,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OperatorJob {
    /// What this generation asks for is there.
    Ready { generation: i64 },
    /// A deleted Stack's modules go.
    Clean,
    /// The Stack follows, unless a module is left.
    Release,
}

impl Operator {
    /// An operator that has seen nothing yet.
    pub fn new(seed: u64, options: OperatorOptions) -> Self {
        Self {
            options,
            random: Rng::with_seed(seed),
            read: 0,
            known: BTreeMap::new(),
            due: BTreeMap::new(),
            planned: 0,
        }
    }

    /// Looks at what changed and does what is due. `at` is the time since any fixed moment, `now` is
    /// what objects are stamped with.
    pub fn step(&mut self, cluster: &mut EmbeddedCluster, at: Duration, now: Timestamp) {
        // What it writes itself is read at the next step, and brings nothing new.
        let version = cluster.version();
        for (kind, name) in self.changed(cluster) {
            self.look(cluster, &kind, &name, at, now);
        }
        self.read = version;
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > at {
                break;
            }
            let task = entry.remove();
            self.perform(cluster, task, at, now);
        }
    }

    /// When it has something to do next, if nothing changes before; in the terms of [`Operator::step`].
    pub fn due(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Objects about which something is new, each once.
    fn changed(&self, cluster: &EmbeddedCluster) -> Vec<(Rc<ServedKind>, String)> {
        let mut changed = Vec::new();
        for kind in kinds(cluster) {
            let mut names: Vec<String> = match cluster.log().after(&kind.full_name(), self.read) {
                Ok(events) => events.map(|event| event.object.name().to_owned()).collect(),
                Err(_) => cluster.objects(&kind).map(|object| object.name().to_owned()).collect(),
            };
            names.sort();
            names.dedup();
            changed.extend(names.into_iter().map(|name| (Rc::clone(&kind), name)));
        }
        changed
    }

    fn look(
        &mut self,
        cluster: &mut EmbeddedCluster,
        kind: &Rc<ServedKind>,
        name: &str,
        at: Duration,
        now: Timestamp,
    ) {
        let place = (kind.full_name(), name.to_owned());
        let Ok(object) = cluster.get(kind, name) else {
            self.known.remove(&place);
            return;
        };
        let generation = object.value()["metadata"]["generation"].as_i64().unwrap_or_default();
        let seen = LastSeen { uid: object.uid().to_owned(), generation, ending: object.terminating() };
        let before = self.known.insert(place.clone(), seen.clone());
        if before.as_ref() == Some(&seen) {
            return;
        }
        if seen.ending {
            // Its status has nobody to wait for it any more.
            let known = before.is_some_and(|before| before.uid == seen.uid && before.ending);
            if !known && object.held_by(FINALIZER) {
                self.plan(at, OperatorTask { place, uid: seen.uid, job: OperatorJob::Clean });
            }
            return;
        }
        if self.options.finalizer && is_stack(kind) && !object.held_by(FINALIZER) {
            let mut finalizers = object.finalizers().to_vec();
            finalizers.push(FINALIZER.into());
            set_finalizers(cluster, kind, name, finalizers, now);
        }
        set_status(cluster, kind, &object, false, now);
        self.plan(at, OperatorTask { place, uid: seen.uid, job: OperatorJob::Ready { generation } });
    }

    fn plan(&mut self, at: Duration, task: OperatorTask) {
        let range = self.options.most.saturating_sub(self.options.least);
        let delay = self.options.least.saturating_add(times(range, self.random.f64()));
        self.planned += 1;
        self.due.insert((at.saturating_add(delay), self.planned), task);
    }

    fn perform(&mut self, cluster: &mut EmbeddedCluster, task: OperatorTask, at: Duration, now: Timestamp) {
        let Some(kind) = cluster.kind_by_full_name(&task.place.0) else { return };
        let Ok(object) = cluster.get(&kind, &task.place.1) else { return };
        if object.uid() != task.uid {
            return;
        }
        match task.job {
            OperatorJob::Ready { generation } => {
                let asked = object.value()["metadata"]["generation"] == generation;
                if asked && !object.terminating() {
                    set_status(cluster, &kind, &object, true, now);
                }
            }
            OperatorJob::Clean => {
                delete_modules(cluster, &object, now);
                self.plan(at, OperatorTask { job: OperatorJob::Release, ..task });
            }
            OperatorJob::Release if delete_modules(cluster, &object, now) > 0 => self.plan(at, task),
            OperatorJob::Release => {
                let rest = object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
                set_finalizers(cluster, &kind, object.name(), rest, now);
            }
        }
    }
}

fn is_stack(kind: &ServedKind) -> bool {
    kind.group == GROUP && kind.plural == STACKS
}

/// Stacks, and whatever is labelled as a module now.
fn kinds(cluster: &EmbeddedCluster) -> Vec<Rc<ServedKind>> {
    cluster
        .kinds()
        .filter(|kind| kind.status && (is_stack(kind) || is_module(cluster, kind)))
        .cloned()
        .collect()
}

fn is_module(cluster: &EmbeddedCluster, kind: &ServedKind) -> bool {
    let definitions = cluster.kind_by_full_name(&format!("{DEFINITIONS}.{DEFINITIONS_GROUP}"));
    let definition = definitions.and_then(|kinds| cluster.get(&kinds, &kind.full_name()).ok());
    definition.is_some_and(|it| it.value()["metadata"]["labels"]["formance.com/kind"] == "module")
}

/// Deletes a Stack's modules; returns how many were left.
fn delete_modules(cluster: &mut EmbeddedCluster, stack: &ServedObject, now: Timestamp) -> usize {
    let mut left = 0;
    for (full_name, name) in cluster.store_ref().dependents(stack.uid()) {
        let Some(kind) = cluster.kind_by_full_name(&full_name) else { continue };
        if is_module(cluster, &kind) {
            left += 1;
            // One that somebody else holds is asked to go again and again: no harm.
            let _ = cluster.delete(&kind, &name, &DeleteOptions::default(), now);
        }
    }
    left
}

fn set_finalizers(
    cluster: &mut EmbeddedCluster,
    kind: &Rc<ServedKind>,
    name: &str,
    list: Vec<Value>,
    now: Timestamp,
) {
    let list = if list.is_empty() { Value::Null } else { list.into() };
    let patch = json!({"metadata": {"finalizers": list}});
    // It was there a moment ago, and nobody else has the cluster meanwhile.
    let _ = cluster.patch(kind, name, WriteEndpoint::Main, &patch, Caller::new(MANAGER, now));
}

fn set_status(
    cluster: &mut EmbeddedCluster,
    kind: &Rc<ServedKind>,
    object: &ServedObject,
    ready: bool,
    now: Timestamp,
) {
    let generation = &object.value()["metadata"]["generation"];
    let before = object.value()["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let types =
        if is_stack(kind) { ["ModulesReady", "VersionsFound"] } else { ["DatabaseReady", "Deployed"] };
    let (status, reason) = if ready { ("True", "Done") } else { ("False", "InProgress") };
    let conditions = types.map(|name| {
        // The time is that of the last change of the condition's status.
        let same = before.iter().find(|condition| condition["type"] == name && condition["status"] == status);
        let since = same.map(|condition| condition["lastTransitionTime"].clone());
        json!({
            "type": name, "status": status, "reason": reason,
            "message": format!("generation {generation} of {}", object.name()),
            "lastTransitionTime": since.unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()),
            "observedGeneration": generation,
        })
    });
    let patch = json!({"status": {"ready": ready, "conditions": conditions}});
    let _ = cluster.patch(kind, object.name(), WriteEndpoint::Status, &patch, Caller::new(MANAGER, now));
}

#[cfg(test)]
mod tests;
