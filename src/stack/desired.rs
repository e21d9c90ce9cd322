//! From an order to the objects that shall be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ahash::AHashMap;
use serde_json::{Value, json};

use super::{
    labels,
    object::{Catalog, ObjectKey, Resource, Role},
};
use crate::order::{
    AuthConfig, Fault, Snapshot, Spares, StackName, Stargate, StargateWish, is_dns1123_subdomain,
    limits::NAMED,
};

/// Singular names of the module kinds that carry more than `spec.stack`.
const AUTH: &str = "auth";
const GATEWAY: &str = "gateway";
const STARGATE: &str = "stargate";

/// Where the stacks of this region are served; both parts stay as they were configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https`
    pub scheme: String,
    /// Host, with the port where one was given.
    pub host: String,
}

/// One object that shall be. Labels, annotations and the owner are the same for all objects of
/// a stack and stand in [`Desired`].
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which one.
    pub key: ObjectKey,
    /// The fields of `spec` that the agent sets; what it does not name is somebody else's.
    pub spec: Value,
}

/// Everything that an ExistingStack asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Labels of every object: the agent's two and the order's.
    pub labels: BTreeMap<String, String>,
    /// Annotations of every object.
    pub annotations: BTreeMap<String, String>,
    /// Labels and annotations that stay as they are, since the order got them wrong.
    pub spared: BTreeSet<String>,
    /// Of what, besides, nothing is taken away.
    pub spares: Spares,
    /// The Stack, which owns the others.
    pub stack: Wanted,
    /// Modules and clients.
    pub children: Vec<Wanted>,
    /// Module kinds of which nothing is wanted, so that what the agent made of them goes.
    pub unwanted: Vec<Arc<Resource>>,
    /// Kinds that the order needs and that are out of play ([`Catalog::withheld`]): the rest of it
    /// stands, and it is not done before they are back.
    pub withheld: Vec<Arc<Resource>>,
    /// AuthClients are out of play: what is known of them is not all there is, and none goes.
    pub spares_clients: bool,
    /// What of the order could not be used, the door's findings first.
    pub faults: Vec<Fault>,
    /// Where each child stands: an order with many clients asks for each of them.
    places: AHashMap<ObjectKey, usize>,
}

impl Desired {
    /// The wanted child with this key.
    pub fn child(&self, key: &ObjectKey) -> Option<&Wanted> {
        self.places.get(key).and_then(|at| self.children.get(*at))
    }
}

/// A number that two snapshots share only where they are the same, as far as anybody can tell.
pub fn fingerprint(snapshot: &Snapshot) -> u64 {
    ahash::RandomState::with_seeds(0x57ac, 0x4e8d, 0xf1d9, 0x0af3).hash_one(snapshot)
}

/// The objects of a stack, and what of the order could not be used.
pub fn desired(stack: &StackName, snapshot: &Snapshot, catalog: &Catalog, base: &BaseUrl) -> Desired {
    let mut labels = snapshot.labels.clone();
    labels.insert(labels::CREATED_BY_AGENT.into(), labels::CREATED_BY_AGENT_VALUE.into());
    labels.insert(labels::STACK.into(), stack.as_str().into());
    let versions = if snapshot.versions.is_empty() { "default" } else { &snapshot.versions };
    let mut desired = Desired {
        labels,
        annotations: snapshot.annotations.clone(),
        spared: snapshot.spared.clone(),
        spares: snapshot.spares,
        stack: Wanted {
            key: ObjectKey::new(&catalog.stack, stack.as_str()),
            spec: json!({"versionsFromFile": versions, "disabled": snapshot.disabled}),
        },
        children: Vec::new(),
        unwanted: Vec::new(),
        withheld: Vec::new(),
        spares_clients: catalog.withholds(&catalog.auth_client),
        faults: snapshot.faults.clone(),
        places: AHashMap::new(),
    };
    desired.add_modules(stack, snapshot, catalog, base);
    desired.add_stargate(stack, snapshot, catalog);
    desired.add_clients(stack, snapshot, catalog);
    let places = desired.children.iter().enumerate().map(|(at, child)| (child.key.clone(), at));
    desired.places = places.collect();
    desired
}

impl Desired {
    fn add_modules(&mut self, stack: &StackName, snapshot: &Snapshot, catalog: &Catalog, base: &BaseUrl) {
        for module in catalog.modules.iter().filter(|module| module.singular != STARGATE) {
            if !snapshot.modules.contains(&module.singular) {
                if !snapshot.spares.modules {
                    self.unwanted.push(Arc::clone(module));
                }
                continue;
            }
            let mut spec = json!({"stack": stack.as_str()});
            match (module.singular.as_str(), &snapshot.auth) {
                (AUTH, Some(auth)) => spec["delegatedOIDCServer"] = credentials(auth),
                (AUTH, None) => self.fault("authConfig", "absent, so Auth delegates to no OpenID server"),
                (GATEWAY, _) => {
                    let host = format!("{stack}.{}", base.host);
                    spec["ingress"] = json!({"host": host, "scheme": base.scheme});
                }
                _ => {}
            }
            self.children.push(Wanted { key: ObjectKey::new(module, stack.as_str()), spec });
        }
        let (mut named, mut more) = (0, 0);
        for unknown in snapshot.modules.iter().filter(|name| catalog.module(name).is_none()) {
            // Stargate follows from its own config.
            if let Some(kind) = withheld(catalog, unknown) {
                self.withheld.extend((kind.singular != STARGATE).then(|| Arc::clone(kind)));
                continue;
            }
            named += 1;
            if named > NAMED {
                more += 1;
                continue;
            }
            let shown: String = unknown.chars().take(80).collect();
            self.fault(
                // As it is told in a line of a log, whatever it holds.
                &format!("modules[{}]", shown.escape_debug()),
                "the cluster has no module CRD of this name; install it or drop the module",
            );
        }
        if more > 0 {
            self.fault("modules", &format!("{more} more that the cluster has no module CRD of"));
        }
    }

    fn add_stargate(&mut self, stack: &StackName, snapshot: &Snapshot, catalog: &Catalog) {
        let module = catalog.module(STARGATE);
        match (&snapshot.stargate, &snapshot.auth, module) {
            (StargateWish::Off, _, Some(module)) => self.unwanted.push(Arc::clone(module)),
            // The door has said why.
            (StargateWish::Off, _, None) | (StargateWish::Unusable, _, _) => {}
            (StargateWish::On(_), _, None) => match withheld(catalog, STARGATE) {
                Some(kind) => self.withheld.push(Arc::clone(kind)),
                None => self.fault(
                    "stargateConfig",
                    "the cluster has no CRD for Stargate; install it or disable Stargate",
                ),
            },
            (StargateWish::On(_), None, Some(_)) => self.fault(
                "authConfig",
                "absent, and Stargate cannot do without; what stands in the cluster is left as it is",
            ),
            (StargateWish::On(stargate), Some(auth), Some(module)) => {
                let spec = stargate_spec(stack, stargate, auth);
                self.children.push(Wanted { key: ObjectKey::new(module, stack.as_str()), spec });
            }
        }
    }

    fn add_clients(&mut self, stack: &StackName, snapshot: &Snapshot, catalog: &Catalog) {
        if self.spares_clients {
            if !snapshot.clients.is_empty() {
                self.withheld.push(Arc::clone(&catalog.auth_client));
            }
            return;
        }
        for (id, public) in &snapshot.clients {
            let name = format!("{stack}-{id}");
            if !is_dns1123_subdomain(&name) {
                let shown: String = id.chars().take(80).collect();
                self.fault(
                    &format!("staticClients[{shown:?}].id"),
                    "with the stack's name before it, it is no DNS-1123 subdomain of at most 253 bytes; the client is left out",
                );
                continue;
            }
            let spec = json!({"stack": stack.as_str(), "id": id, "public": public});
            self.children.push(Wanted { key: ObjectKey::new(&catalog.auth_client, &name), spec });
        }
    }

    fn fault(&mut self, field: &str, reason: &str) {
        self.faults.push(Fault { field: field.into(), reason: reason.into() });
    }
}

/// The module of this name, where it is out of play.
fn withheld<'a>(catalog: &'a Catalog, singular: &str) -> Option<&'a Arc<Resource>> {
    catalog.withheld.iter().find(|kind| kind.role() == Role::Module && kind.singular == singular)
}

/// What of an object's spec is ever compared with what is wanted: all that [`desired`] may set,
/// and `delegatedOIDCServer` as a whole, since it goes only where nobody else has a key in it.
pub fn compared(spec: &Value) -> Value {
    const WHOLE: [&str; 9] = [
        "versionsFromFile",
        "disabled",
        "stack",
        "delegatedOIDCServer",
        "organizationID",
        "stackID",
        "serverURL",
        "id",
        "public",
    ];
    const PARTS: [(&str, &[&str]); 3] = [
        ("ingress", &["host", "scheme"]),
        ("auth", &["issuer", "clientID", "clientSecret"]),
        ("tls", &["disable"]),
    ];
    let Some(spec) = spec.as_object() else { return Value::Null };
    let part = |name: &str, value: &Value| -> Option<Value> {
        if WHOLE.contains(&name) {
            return Some(value.clone());
        }
        let (_, fields) = PARTS.iter().find(|(part, _)| *part == name)?;
        let Some(map) = value.as_object() else { return Some(value.clone()) };
        let kept = map.iter().filter(|(field, _)| fields.contains(&field.as_str()));
        Some(Value::Object(kept.map(|(field, value)| (field.clone(), value.clone())).collect()))
    };
    spec.iter().filter_map(|(name, value)| Some((name.clone(), part(name, value)?))).collect()
}

fn credentials(auth: &AuthConfig) -> Value {
    json!({"issuer": auth.issuer, "clientID": auth.client_id, "clientSecret": auth.client_secret})
}

fn stargate_spec(stack: &StackName, stargate: &Stargate, auth: &AuthConfig) -> Value {
    json!({
        "stack": stack.as_str(),
        "organizationID": stargate.organization_id,
        "stackID": stargate.stack_id,
        "serverURL": stargate.url,
        "auth": credentials(auth),
        "tls": {"disable": stargate.disable_tls},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::testing::{base_url, catalog, snapshot, stack_name};

    fn wanted(snapshot: &Snapshot) -> Desired {
        desired(&stack_name(), snapshot, &catalog(), &base_url())
    }

    fn spec_of(desired: &Desired, key: &str) -> Option<Value> {
        desired.children.iter().find(|w| w.key.to_string() == key).map(|w| w.spec.clone())
    }

    fn unwanted(desired: &Desired) -> Vec<&str> {
        desired.unwanted.iter().map(|r| r.singular.as_str()).collect()
    }

    fn faults(desired: &Desired) -> Vec<&str> {
        desired.faults.iter().map(|f| f.field.as_str()).collect()
    }

    #[test]
    fn the_stack_carries_versions_and_disabled() {
        let stack = wanted(&Snapshot { versions: "v3".into(), disabled: true, ..snapshot() }).stack;
        assert_eq!(stack.key.to_string(), "stacks/org-stack");
        assert_eq!(stack.spec, json!({"versionsFromFile": "v3", "disabled": true}));
    }

    #[test]
    fn no_versions_means_the_default_ones() {
        let stack = wanted(&Snapshot { versions: String::new(), ..snapshot() }).stack;
        assert_eq!(stack.spec["versionsFromFile"], "default");
    }

    #[test]
    fn the_agents_two_labels_win_over_additional_ones() {
        let mut snapshot = snapshot();
        snapshot.labels.insert("formance.com/stack".into(), "other".into());
        snapshot.labels.insert("formance.com/team".into(), "a".into());
        let labels = wanted(&snapshot).labels;
        assert_eq!(labels["formance.com/stack"], "org-stack");
        assert_eq!(labels["formance.com/created-by-agent"], "true");
        assert_eq!(labels["formance.com/team"], "a");
    }

    #[test]
    fn a_plain_module_carries_the_stacks_name_alone() {
        let desired = wanted(&snapshot());
        assert_eq!(spec_of(&desired, "ledgers/org-stack"), Some(json!({"stack": "org-stack"})));
        assert_eq!(unwanted(&desired), ["payments", "stargate"]);
        assert!(desired.faults.is_empty());
    }

    #[test]
    fn auth_delegates_to_the_orders_server() {
        let spec = spec_of(&wanted(&snapshot()), "auths/org-stack").expect("auth");
        assert_eq!(
            spec["delegatedOIDCServer"],
            json!({"issuer": "https://id.example", "clientID": "cid", "clientSecret": "hush"})
        );
    }

    #[test]
    fn auth_without_auth_config_stands_alone_and_is_a_fault() {
        let desired = wanted(&Snapshot { auth: None, ..snapshot() });
        assert_eq!(spec_of(&desired, "auths/org-stack"), Some(json!({"stack": "org-stack"})));
        assert_eq!(faults(&desired), ["authConfig"]);
    }

    #[test]
    fn without_auth_and_stargate_nobody_misses_the_auth_config() {
        let desired = wanted(&Snapshot { auth: None, modules: ["ledger".into()].into(), ..snapshot() });
        assert!(desired.faults.is_empty());
    }

    #[test]
    fn the_gateways_host_keeps_port_and_case_of_the_base_url() {
        let spec = spec_of(&wanted(&snapshot()), "gateways/org-stack").expect("gateway");
        assert_eq!(spec["ingress"], json!({"host": "org-stack.Eu.Example.com:8443", "scheme": "https"}));
    }

    #[test]
    fn an_unknown_module_is_a_fault_by_name_and_the_rest_stands() {
        let mut snapshot = snapshot();
        snapshot.modules.insert("leger".into());
        let desired = wanted(&snapshot);
        assert_eq!(faults(&desired), ["modules[leger]"]);
        assert_eq!(desired.children.len(), 4);
    }

    #[test]
    fn the_name_of_an_unknown_module_stays_on_its_line() {
        let desired = wanted(&Snapshot { modules: ["a\n\u{1b}[31m".into()].into(), ..snapshot() });
        assert_eq!(faults(&desired), ["modules[a\\n\\u{1b}[31m]"]);
    }

    fn stargate() -> StargateWish {
        StargateWish::On(Stargate {
            url: "grpc.example:443".into(),
            disable_tls: true,
            organization_id: "org".into(),
            stack_id: "stack".into(),
        })
    }

    #[test]
    fn stargate_is_made_of_its_config_and_the_auth_config() {
        let desired = wanted(&Snapshot { stargate: stargate(), ..snapshot() });
        assert_eq!(
            spec_of(&desired, "stargates/org-stack"),
            Some(json!({
                "stack": "org-stack", "organizationID": "org", "stackID": "stack",
                "serverURL": "grpc.example:443", "tls": {"disable": true},
                "auth": {"issuer": "https://id.example", "clientID": "cid", "clientSecret": "hush"},
            }))
        );
        assert!(!unwanted(&desired).contains(&"stargate"));
    }

    #[test]
    fn a_stargate_that_cannot_be_had_is_neither_wanted_nor_unwanted() {
        for snapshot in [
            Snapshot { stargate: StargateWish::Unusable, ..snapshot() },
            Snapshot { stargate: stargate(), auth: None, ..snapshot() },
        ] {
            let desired = wanted(&snapshot);
            assert_eq!(spec_of(&desired, "stargates/org-stack"), None);
            assert!(!unwanted(&desired).contains(&"stargate"));
        }
    }

    #[test]
    fn stargate_among_the_modules_says_nothing() {
        let mut snapshot = snapshot();
        snapshot.modules.insert("stargate".into());
        let desired = wanted(&snapshot);
        assert!(desired.faults.is_empty());
        assert!(unwanted(&desired).contains(&"stargate"));
    }

    fn withholding(kinds: &[&str]) -> Catalog {
        let all = catalog();
        let (out, modules) = all.modules.into_iter().partition(|kind| kinds.contains(&&*kind.singular));
        Catalog::new(modules).withholding(out)
    }

    fn withheld(desired: &Desired) -> Vec<&str> {
        desired.withheld.iter().map(|kind| kind.singular.as_str()).collect()
    }

    #[test]
    fn a_kind_out_of_play_is_no_fault_and_the_rest_stands() {
        let order = Snapshot { stargate: stargate(), ..snapshot() };
        let desired = desired(&stack_name(), &order, &withholding(&["ledger", "stargate"]), &base_url());
        assert_eq!(withheld(&desired), ["ledger", "stargate"]);
        assert!(desired.faults.is_empty(), "{:?}", desired.faults);
        assert!(spec_of(&desired, "auths/org-stack").is_some());
        assert_eq!(spec_of(&desired, "ledgers/org-stack"), None);
        assert_eq!(unwanted(&desired), ["payments"], "neither wanted nor unwanted");
    }

    #[test]
    fn a_kind_out_of_play_that_is_not_wanted_leaves_the_order_whole() {
        let catalog = withholding(&["payments", "stargate"]);
        let order = Snapshot { modules: ["ledger".into(), "stargate".into()].into(), ..snapshot() };
        let desired = desired(&stack_name(), &order, &catalog, &base_url());
        assert_eq!(withheld(&desired), Vec::<&str>::new());
        assert_eq!(unwanted(&desired), ["auth", "gateway"], "nothing of the two goes");
        assert!(desired.faults.is_empty(), "{:?}", desired.faults);
    }

    #[test]
    fn clients_out_of_play_are_neither_made_nor_deleted() {
        let all = catalog();
        let catalog = Catalog::clone(&all).withholding(vec![Arc::clone(&all.auth_client)]);
        let desired = desired(&stack_name(), &snapshot(), &catalog, &base_url());
        assert_eq!(withheld(&desired), ["authclient"]);
        assert_eq!(spec_of(&desired, "authclients/org-stack-web"), None);
        let other = ObjectKey::new(&all.auth_client, "org-stack-old");
        assert!(!crate::stack::plan::is_unwanted(&desired, &other, &all.auth_client.plural));
        let none = Snapshot { clients: [].into(), ..snapshot() };
        let desired = super::desired(&stack_name(), &none, &catalog, &base_url());
        assert_eq!(withheld(&desired), Vec::<&str>::new(), "an order without clients lacks nothing");
    }

    #[test]
    fn a_client_is_named_after_stack_and_id() {
        let desired = wanted(&snapshot());
        assert_eq!(
            spec_of(&desired, "authclients/org-stack-web"),
            Some(json!({"stack": "org-stack", "id": "web", "public": true}))
        );
    }

    #[test]
    fn a_client_whose_name_cannot_be_is_a_fault_and_left_out() {
        for id in ["Upper", "", "a/b", "a_b", &"x".repeat(250)] {
            let desired = wanted(&Snapshot { clients: [(id.to_owned(), false)].into(), ..snapshot() });
            assert_eq!(desired.faults.len(), 1, "{id}");
            assert!(desired.faults[0].field.starts_with("staticClients["), "{id}");
            assert_eq!(desired.children.len(), 3, "{id}");
        }
    }

    #[test]
    fn everything_that_is_wanted_is_compared_and_what_others_set_is_not() {
        let desired = wanted(&Snapshot { stargate: stargate(), ..snapshot() });
        for wanted in desired.children.iter().chain([&desired.stack]) {
            let mut spec = wanted.spec.clone();
            spec["debug"] = true.into();
            if let Some(ingress) = spec.get_mut("ingress") {
                ingress["annotations"] = json!({"a": "b"});
            }
            assert_eq!(compared(&spec), wanted.spec, "{}", wanted.key);
        }
        assert_eq!(compared(&Value::Null), Value::Null);
        assert_eq!(compared(&json!({"tls": "odd"})), json!({"tls": "odd"}));
    }

    #[test]
    fn the_doors_findings_come_first() {
        let door = Fault { field: "additionalLabels[x]".into(), reason: "bad".into() };
        let desired = wanted(&Snapshot { faults: vec![door.clone()], auth: None, ..snapshot() });
        assert_eq!(desired.faults[0], door);
        assert_eq!(desired.faults.len(), 2);
    }
}
