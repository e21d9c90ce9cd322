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
    AuthConfig, OrderFault, Snapshot, Spares, StackName, Stargate, StargateWish, is_dns1123_subdomain,
    limits::NAMED,
};

/// Singular names of the module kinds that carry more than `spec.stack`.
const AUTH: &str = "auth";
const GATEWAY: &str = "gateway";
const STARGATE: &str = "stargate";

/// Where the stacks of this region are served; both parts stay as they were configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackBaseUrl {
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
    pub faults: Vec<OrderFault>,
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
pub fn desired(stack: &StackName, snapshot: &Snapshot, catalog: &Catalog, base: &StackBaseUrl) -> Desired {
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
    fn add_modules(
        &mut self,
        stack: &StackName,
        snapshot: &Snapshot,
        catalog: &Catalog,
        base: &StackBaseUrl,
    ) {
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
        self.faults.push(OrderFault { field: field.into(), reason: reason.into() });
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
mod tests;
