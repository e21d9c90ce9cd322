//! Compares the cluster with the last orders, by a reading of the contract of its own: it
//! shares no code with what the agent decides by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::membership::wire::server::{Order, Stack, order::Message};

/// What the cluster should hold of each stack that was ever ordered; `None` where it should be gone.
pub(crate) fn expected(orders: &[Order]) -> BTreeMap<String, Option<Stack>> {
    let mut fleet: BTreeMap<String, Option<Stack>> = BTreeMap::new();
    for order in orders {
        match order.message.as_ref() {
            Some(Message::ExistingStack(stack)) => {
                fleet.insert(stack.cluster_name.clone(), Some(stack.clone()));
            }
            Some(Message::DeletedStack(stack)) => {
                fleet.insert(stack.cluster_name.clone(), None);
            }
            Some(Message::DisabledStack(stack)) => set_disabled(&mut fleet, &stack.cluster_name, true),
            Some(Message::EnabledStack(stack)) => set_disabled(&mut fleet, &stack.cluster_name, false),
            _ => {}
        }
    }
    fleet
}

fn set_disabled(fleet: &mut BTreeMap<String, Option<Stack>>, name: &str, disabled: bool) {
    if let Some(Some(stack)) = fleet.get_mut(name) {
        stack.disabled = disabled;
    }
}

/// Every object of the cluster, by the plural of its kind and its name.
pub(crate) type Objects = BTreeMap<(String, String), Value>;

/// The stacks that are not as they should be, each with the first thing that is wrong.
pub(crate) fn stale(
    expected: &BTreeMap<String, Option<Stack>>,
    objects: &Objects,
) -> BTreeMap<String, String> {
    let mut held: BTreeMap<&str, BTreeMap<(&str, &str), &Value>> = BTreeMap::new();
    for ((plural, name), object) in objects {
        if let Some(stack) = object["metadata"]["labels"]["formance.com/stack"].as_str() {
            held.entry(stack).or_default().insert((plural, name), object);
        }
    }
    let none = BTreeMap::new();
    expected
        .iter()
        .filter_map(|(name, want)| {
            let held = held.get(name.as_str()).unwrap_or(&none);
            fault(want.as_ref(), held).map(|fault| (name.clone(), fault))
        })
        .collect()
}

/// The specs that the cluster should hold for an order, by the plural of their kind and by name.
pub(crate) fn wanted(stack: &Stack) -> BTreeMap<(String, String), Value> {
    let name = &stack.cluster_name;
    let mut wanted: BTreeMap<(String, String), Value> = BTreeMap::new();
    wanted.insert(
        ("stacks".into(), name.clone()),
        json!({"versionsFromFile": stack.versions, "disabled": stack.disabled}),
    );
    for module in &stack.modules {
        wanted.insert((plural(&module.name), name.clone()), module_spec(stack, &module.name));
    }
    for client in &stack.static_clients {
        wanted.insert(
            ("authclients".into(), format!("{name}-{}", client.id)),
            json!({"stack": name, "id": client.id, "public": client.public}),
        );
    }
    if let Some(stargate) = stack.stargate_config.as_ref().filter(|s| s.enabled) {
        let (organization, id) = name.split_once('-').unwrap_or((name, ""));
        wanted.insert(
            ("stargates".into(), name.clone()),
            json!({
                "stack": name, "organizationID": organization, "stackID": id, "serverURL": stargate.url,
                "auth": credentials(stack),
            }),
        );
    }
    wanted
}

fn fault(want: Option<&Stack>, held: &BTreeMap<(&str, &str), &Value>) -> Option<String> {
    let wanted = want.map(wanted).unwrap_or_default();
    let have: BTreeSet<_> = held.keys().map(|(p, n)| ((*p).to_owned(), (*n).to_owned())).collect();
    let want_keys: BTreeSet<_> = wanted.keys().cloned().collect();
    if let Some((plural, name)) = have.symmetric_difference(&want_keys).next() {
        let extra = have.contains(&(plural.clone(), name.clone()));
        return Some(format!("{plural}/{name} is {}", if extra { "left over" } else { "missing" }));
    }
    wanted.iter().find_map(|((plural, name), spec)| {
        let object = held[&(plural.as_str(), name.as_str())];
        if !contains(&object["spec"], spec) {
            return Some(format!("{plural}/{name} has spec {}, not {spec}", object["spec"]));
        }
        let labels = labels(want?);
        let has = &object["metadata"]["labels"];
        let same = has.as_object().is_some_and(|map| {
            map.iter().filter(|(key, _)| !key.ends_with("-fence")).count() == labels.len() + 2
        });
        (!same || !contains(has, &Value::Object(labels.clone())))
            .then(|| format!("{plural}/{name} has labels {has}, not {}", Value::Object(labels)))
    })
}

pub(crate) fn labels(stack: &Stack) -> serde_json::Map<String, Value> {
    stack.additional_labels.iter().map(|(k, v)| (format!("formance.com/{k}"), json!(v))).collect()
}

fn module_spec(stack: &Stack, module: &str) -> Value {
    let name = &stack.cluster_name;
    match module {
        "auth" => json!({"stack": name, "delegatedOIDCServer": credentials(stack)}),
        "gateway" => json!({
            "stack": name,
            "ingress": {"host": format!("{name}.{}", super::BASE_HOST), "scheme": "https"},
        }),
        _ => json!({"stack": name}),
    }
}

fn credentials(stack: &Stack) -> Value {
    match &stack.auth_config {
        Some(auth) => {
            json!({"issuer": auth.issuer, "clientID": auth.client_id, "clientSecret": auth.client_secret})
        }
        None => Value::Null,
    }
}

fn plural(module: &str) -> String {
    match module {
        "payments" | "wallets" | "webhooks" => module.to_owned(),
        "search" => "searches".to_owned(),
        _ => format!("{module}s"),
    }
}

/// Whether `have` holds everything that `want` says, at every depth.
pub(crate) fn contains(have: &Value, want: &Value) -> bool {
    match want {
        Value::Object(map) => map.iter().all(|(key, want)| contains(&have[key], want)),
        Value::Bool(false) => have.is_null() || have == want,
        _ => have == want,
    }
}
