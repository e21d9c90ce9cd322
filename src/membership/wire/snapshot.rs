//! An ExistingStack as its fields come in, one at a time, to become a snapshot.
//!
//! What is kept is bounded whatever comes, and so is what is said about the rest: a message of a few
//! megabytes can hold millions of entries, and an entry of two bytes on the wire would become a
//! hundred in memory. Each entry is looked at once, in place.

use std::collections::BTreeMap;

use super::{
    pairs::{PairField, Pairs, Smallest, SortedPairs, shown},
    server,
};
use crate::order::{
    AuthConfig, OrderFault, Snapshot, Spares, StackName, Stargate, StargateWish, is_client_id,
    limits::{MAX_CLIENTS, MAX_MODULE_NAME, MAX_MODULES, NAMED},
};

/// Longest name of an object.
const MAX_NAME: usize = 253;

/// See the [module](self).
pub(super) struct SnapshotBuilder<'a> {
    /// Whether the cluster has a module of this name: one of those is wanted whatever stands beside it.
    is_module: &'a dyn Fn(&str) -> bool,
    pub(super) disabled: bool,
    pub(super) auth: Option<server::AuthConfig>,
    pub(super) stargate: Option<server::StargateConfig>,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    modules: ModuleEntries,
    clients: ClientEntries,
}

struct ModuleEntries {
    known: BTreeMap<String, ()>,
    others: Smallest<()>,
    seen: usize,
    bad: BadEntries,
}

struct ClientEntries {
    /// Whether each is public, and which entry it is.
    kept: Smallest<(bool, usize)>,
    seen: usize,
    bad: BadEntries,
    twice: BadEntries,
}

/// Entries of a list that cannot be used.
#[derive(Default)]
struct BadEntries {
    first: Vec<(usize, String)>,
    count: u64,
}

impl BadEntries {
    fn add(&mut self, index: usize, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push((index, reason()));
        }
    }
}

/// What is wrong with an order, a few lines for each field.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<OrderFault>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.0.push(OrderFault { field: field.into(), reason: reason.into() });
    }

    /// `total` entries of a field, of which the first few are named. `part` of an entry is at fault.
    pub(super) fn many(
        &mut self,
        field: &str,
        part: &str,
        named: impl Iterator<Item = (Option<String>, String)>,
        total: u64,
        what: &str,
    ) {
        let before = self.0.len();
        for (entry, reason) in named.take(NAMED) {
            let entry = entry.map(|entry| format!("[{entry}]")).unwrap_or_default();
            self.add(format!("{field}{entry}{part}"), reason);
        }
        let more = total.saturating_sub((self.0.len() - before) as u64);
        if more > 0 {
            self.add(field, format!("{more} more {what}"));
        }
    }

    /// So many entries beyond the most that an order may have.
    pub(super) fn beyond(&mut self, field: &str, beyond: u64, most: usize) {
        if beyond > 0 {
            self.add(
                field,
                format!(
                    "{beyond} beyond the {most} that an order may have are left out, and nothing of the kind is \
                     taken away for this order"
                ),
            );
        }
    }

    fn list(&mut self, field: &str, part: &str, bad: BadEntries, what: &str) {
        let named = bad.first.into_iter().map(|(index, reason)| (Some(index.to_string()), reason));
        self.many(field, part, named, bad.count, what);
    }
}

impl<'a> SnapshotBuilder<'a> {
    pub(super) fn new(is_module: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            is_module,
            disabled: false,
            auth: None,
            stargate: None,
            labels: Pairs::new(PairField::Labels),
            annotations: Pairs::new(PairField::Annotations),
            modules: ModuleEntries {
                known: BTreeMap::new(),
                others: Smallest::new(MAX_MODULES),
                seen: 0,
                bad: BadEntries::default(),
            },
            clients: ClientEntries {
                kept: Smallest::new(MAX_CLIENTS),
                seen: 0,
                bad: BadEntries::default(),
                twice: BadEntries::default(),
            },
        }
    }

    /// The same from the generated type.
    pub(super) fn of(stack: &server::Stack, is_module: &'a dyn Fn(&str) -> bool) -> Self {
        let mut builder = Self::new(is_module);
        builder.disabled = stack.disabled;
        builder.auth.clone_from(&stack.auth_config);
        builder.stargate.clone_from(&stack.stargate_config);
        stack.additional_labels.iter().for_each(|(key, value)| builder.labels.add(key, value));
        stack.additional_annotations.iter().for_each(|(key, value)| builder.annotations.add(key, value));
        stack.modules.iter().for_each(|module| builder.module(&module.name));
        stack.static_clients.iter().for_each(|client| builder.client(&client.id, client.public));
        builder
    }

    /// The next entry of `modules`.
    pub(super) fn module(&mut self, name: &str) {
        let ModuleEntries { known, others, seen, bad } = &mut self.modules;
        let index = std::mem::replace(seen, *seen + 1);
        if name.is_empty() {
            return bad.add(index, || "is empty; name a module".into());
        }
        if name.len() > MAX_MODULE_NAME {
            let reason = || {
                format!(
                    "{:?} has {} bytes, more than {MAX_MODULE_NAME}: no kind is called so",
                    shown(name),
                    name.len()
                )
            };
            return bad.add(index, reason);
        }
        let lower;
        let is_lower = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let name = if is_lower {
            name
        } else {
            lower = name.to_lowercase();
            lower.as_str()
        };
        if known.contains_key(name) {
        } else if (self.is_module)(name) {
            known.insert(name.to_owned(), ());
        } else {
            others.insert(name, ());
        }
    }

    /// The next entry of `staticClients`.
    pub(super) fn client(&mut self, id: &str, public: bool) {
        let ClientEntries { kept, seen, bad, twice } = &mut self.clients;
        let index = std::mem::replace(seen, *seen + 1);
        if id.is_empty() {
            bad.add(index, || "is empty; name the client".into());
        } else if id.len() > MAX_NAME || !is_client_id(id) {
            bad.add(index, || no_object_name(id));
        } else if kept.insert(id, (public, index)).is_some() {
            twice.add(index, || format!("{id:?} stands twice; the later one is taken"));
        }
    }

    /// All of it, for the stack of this name.
    pub(super) fn finish(self, name: &StackName, versions: &str) -> Snapshot {
        let mut findings = Findings::default();
        let labels = self.labels.finish(&mut findings);
        let annotations = self.annotations.finish(&mut findings);
        let (modules, spares_modules) = self.modules.finish(&mut findings);
        let stargate = stargate(name, self.stargate, &mut findings);
        let (clients, spares_clients) = self.clients.finish(name, &mut findings);
        let SortedPairs { used, mut spared, spares } = annotations;
        spared.extend(labels.spared);
        Snapshot {
            versions: if versions.is_empty() { "default" } else { versions }.to_owned(),
            disabled: self.disabled,
            labels: labels.used,
            annotations: used,
            modules,
            spared,
            spares: Spares {
                labels: labels.spares,
                annotations: spares,
                modules: spares_modules,
                clients: spares_clients,
            },
            auth: self.auth.map(|auth| AuthConfig {
                issuer: auth.issuer,
                client_id: auth.client_id,
                client_secret: auth.client_secret,
            }),
            stargate,
            clients,
            faults: findings.0,
        }
    }
}

impl ModuleEntries {
    /// The names, and whether one is missing that may have been any.
    fn finish(self, findings: &mut Findings) -> (std::collections::BTreeSet<String>, bool) {
        let Self { known, others, bad, .. } = self;
        let spares = bad.count + others.beyond > 0;
        findings.list("modules", ".name", bad, "name no module");
        findings.beyond("modules", others.beyond, MAX_MODULES);
        (known.into_keys().chain(others.into_kept().into_keys()).collect(), spares)
    }
}

impl ClientEntries {
    fn finish(self, name: &StackName, findings: &mut Findings) -> (BTreeMap<String, bool>, bool) {
        let Self { kept, mut bad, twice, .. } = self;
        let beyond = kept.beyond;
        let mut clients = BTreeMap::new();
        for (id, (public, index)) in kept.into_kept() {
            if name.as_str().len() + 1 + id.len() > MAX_NAME {
                bad.add(index, || no_object_name(&id));
            } else {
                clients.insert(id, public);
            }
        }
        let spares = bad.count + beyond > 0;
        findings.list("staticClients", ".id", bad, "make no object name");
        findings.list("staticClients", ".id", twice, "stand twice");
        findings.beyond("staticClients", beyond, MAX_CLIENTS);
        (clients, spares)
    }
}

fn no_object_name(id: &str) -> String {
    format!("{:?} makes no object name (a-z, 0-9, '-', '.'; {MAX_NAME} bytes with the stack's)", shown(id))
}

fn stargate(
    name: &StackName,
    given: Option<server::StargateConfig>,
    findings: &mut Findings,
) -> StargateWish {
    let Some(config) = given.filter(|config| config.enabled) else {
        return StargateWish::Off;
    };
    match name.as_str().split_once('-') {
        Some((organization, stack)) => StargateWish::On(Stargate {
            url: config.url,
            disable_tls: config.disable_tls,
            organization_id: organization.to_owned(),
            stack_id: stack.to_owned(),
        }),
        None => {
            findings.add(
                "stargateConfig",
                format!(
                    "Stargate needs a stack named <organization>-<stack>, and {name:?} has no '-'; \
                     the Stargate is left as it is"
                ),
            );
            StargateWish::Unusable
        }
    }
}
