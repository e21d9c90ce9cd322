//! What membership must believe of the cluster, having heard every message so far. Like `check` it
//! is a reading of the contract of its own, and shares no code with what the agent reports by.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check::Objects;
use crate::membership::wire::server::{Message, VersionKind, message::Message as Said};

const STACK: &str = "Stack";

/// The last status of every object that was told of and not told to be gone, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct MembershipMirror {
    told: BTreeMap<(String, String), Value>,
    heard: u64,
}

impl MembershipMirror {
    /// Takes in a message.
    pub(crate) fn hear(&mut self, message: &Message) {
        let of_kind = |vk: &Option<VersionKind>| vk.as_ref().map(|vk| vk.kind.clone());
        match &message.message {
            None | Some(Said::Pong(_)) => return,
            Some(Said::StatusChanged(told)) => {
                self.told.insert((STACK.into(), told.cluster_name.clone()), json!(told.statuses));
            }
            Some(Said::ModuleStatusChanged(told)) => {
                let kind = of_kind(&told.vk).unwrap_or_default();
                self.told.insert((kind, told.cluster_name.clone()), json!(told.status));
            }
            Some(Said::StackDeleted(told)) => {
                self.told.remove(&(STACK.to_owned(), told.cluster_name.clone()));
            }
            Some(Said::ModuleDeleted(told)) => {
                self.told.remove(&(of_kind(&told.vk).unwrap_or_default(), told.cluster_name.clone()));
            }
            // There are no Versions in the demo.
            Some(Said::AddedVersion(_) | Said::UpdatedVersion(_) | Said::DeletedVersion(_)) => {}
        }
        self.heard += 1;
    }

    /// What it believes to be there, by kind and name.
    #[cfg(test)]
    pub(crate) fn objects(&self) -> impl Iterator<Item = &(String, String)> {
        self.told.keys()
    }

    /// Believes no longer that something is there.
    #[cfg(test)]
    pub(crate) fn forget(&mut self, object: &(String, String)) {
        self.told.remove(object);
    }

    /// Messages so far, Pongs aside.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// The objects whose status is not what membership was told last, each with what is wrong.
    pub(crate) fn stale(&self, objects: &Objects) -> BTreeMap<String, String> {
        let mut stale = BTreeMap::new();
        let mut gone: BTreeMap<_, _> = self.told.iter().collect();
        for ((plural, name), object) in objects {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let told = gone.remove(&(kind, name.clone()));
            let Some(status) = reported(&object["status"]) else { continue };
            // AuthClients are nobody's business but the agent's.
            if plural != "authclients" && !told.is_some_and(|told| same(told, &status)) {
                let told = told.map_or("nothing".to_owned(), Value::to_string);
                stale.insert(format!("{plural}/{name}"), format!("told {told}, is {status}"));
            }
        }
        for ((kind, name), told) in gone {
            stale.insert(format!("{kind}/{name}"), format!("told {told}, is gone"));
        }
        stale
    }
}

/// What is told of a status; `None` where nothing is.
fn reported(status: &Value) -> Option<Value> {
    let status = status.as_object().filter(|status| !status.is_empty())?;
    let field = |name: &str| status.get(name).filter(|value| !value.is_null());
    let mut told = json!({"ready": false});
    if let Some(ready) = field("ready") {
        told["ready"] = ready.as_bool()?.into();
    }
    if let Some(info) = field("info") {
        match info.as_str()? {
            "" => {}
            info => told["info"] = info.into(),
        }
    }
    if let Some(conditions) = field("conditions") {
        told["conditions"] = conditions.clone();
    }
    Some(told)
}

/// Equality of what went through a Struct, where every number is a float.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::wire::server::{DeletedStack, ModuleStatusChanged, StatusChanged};

    fn said(message: Said) -> Message {
        Message { message: Some(message), ..Message::default() }
    }

    fn ready(ready: bool) -> Option<pbjson_types::Struct> {
        let status = json!({"ready": ready, "conditions": [{"observedGeneration": 1}]});
        serde_json::from_value(status).ok()
    }

    fn mirror() -> MembershipMirror {
        let mut mirror = MembershipMirror::default();
        let vk = Some(VersionKind { version: "v1beta1".into(), kind: "Ledger".into() });
        let stack =
            StatusChanged { cluster_name: "a".into(), statuses: ready(true), ..StatusChanged::default() };
        mirror.hear(&said(Said::StatusChanged(stack)));
        let ledger = ModuleStatusChanged { cluster_name: "a".into(), status: ready(false), vk };
        mirror.hear(&said(Said::ModuleStatusChanged(ledger)));
        mirror.hear(&said(Said::Pong(Default::default())));
        mirror
    }

    fn objects(ledger_ready: bool) -> Objects {
        let object = |kind: &str, ready: bool| json!({"kind": kind, "status": {"ready": ready, "conditions": [{"observedGeneration": 1}], "uri": "x"}});
        let mut objects = Objects::new();
        objects.insert(("stacks".into(), "a".into()), object("Stack", true));
        objects.insert(("ledgers".into(), "a".into()), object("Ledger", ledger_ready));
        objects.insert(("authclients".into(), "a-b".into()), object("AuthClient", true));
        objects.insert(("wallets".into(), "a".into()), json!({"kind": "Wallets", "status": {}}));
        objects
    }

    #[test]
    fn what_was_told_last_is_compared_without_what_is_never_told() {
        assert_eq!(mirror().heard(), 2);
        assert_eq!(mirror().stale(&objects(false)), BTreeMap::new());
        assert_eq!(mirror().stale(&objects(true)).into_keys().collect::<Vec<_>>(), ["ledgers/a"]);
    }

    #[test]
    fn what_is_gone_must_have_been_told_and_what_was_never_told_need_not() {
        let mut mirror = mirror();
        assert_eq!(mirror.stale(&Objects::new()).into_keys().collect::<Vec<_>>(), ["Ledger/a", "Stack/a"]);
        mirror.hear(&said(Said::StackDeleted(DeletedStack { cluster_name: "a".into() })));
        assert_eq!(mirror.stale(&Objects::new()).into_keys().collect::<Vec<_>>(), ["Ledger/a"]);
    }

    #[test]
    fn an_object_that_was_never_told_of_is_stale() {
        assert_eq!(MembershipMirror::default().stale(&objects(true)).len(), 2);
    }
}
