//! From the wire to the domain and back: the door behind which an order is valid.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::server::{self, Stack, message, order::Message};
use crate::{
    guard::{self, Guard},
    order::{
        AuthConfig, Change, Fault, Order, Snapshot, StackName, StackNameError, Stargate, StargateWish, Trace,
        is_dns1123_subdomain,
    },
    stack::{
        labels,
        object::VERSION,
        report::{News, Report, Versions},
    },
};

/// The key of a message's metadata under which its trace context stands.
const TRACE: &str = "_otelCtx";

/// Why an order is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It names no stack that there could be.
    #[error("{order}: {source}")]
    StackName {
        /// Which kind of order.
        order: &'static str,
        /// What is wrong with the name.
        source: StackNameError,
    },
}

/// Turns a message into an order. `Ok(None)`: it is about no stack (Connected, Ping, or one
/// that this version does not know).
pub fn order(message: server::Order) -> Result<Option<Order>, OrderError> {
    let name =
        |order, name: &str| StackName::new(name).map_err(|source| OrderError::StackName { order, source });
    Ok(match message.message {
        Some(Message::ExistingStack(stack)) => {
            let name = name("existingStack", &stack.cluster_name)?;
            let change = Change::Existing(Box::new(snapshot(&name, stack)));
            Some(Order { stack: name, change })
        }
        Some(Message::DeletedStack(stack)) => {
            Some(Order { stack: name("deletedStack", &stack.cluster_name)?, change: Change::Deleted })
        }
        Some(Message::DisabledStack(stack)) => {
            Some(Order { stack: name("disabledStack", &stack.cluster_name)?, change: Change::Disabled(true) })
        }
        Some(Message::EnabledStack(stack)) => {
            Some(Order { stack: name("enabledStack", &stack.cluster_name)?, change: Change::Disabled(false) })
        }
        Some(Message::Connected(_) | Message::Ping(_)) | None => None,
    })
}

/// The trace that an order belongs to, where it names one.
pub fn trace(message: &server::Order) -> Option<Trace> {
    message.metadata.get(TRACE).and_then(|text| Trace::read(text))
}

/// Turns a report into a message.
pub fn message(report: &Report) -> server::Message {
    use message::Message as M;
    let body = match &report.news {
        News::Stack { stack, status } => M::StatusChanged(server::StatusChanged {
            cluster_name: stack.to_string(),
            statuses: structure(status),
            ..server::StatusChanged::default()
        }),
        News::StackDeleted { stack } => {
            M::StackDeleted(server::DeletedStack { cluster_name: stack.to_string() })
        }
        News::Module { stack, kind, status } => M::ModuleStatusChanged(server::ModuleStatusChanged {
            cluster_name: stack.to_string(),
            status: structure(status),
            vk: Some(version_kind(kind)),
        }),
        News::ModuleDeleted { stack, kind } => M::ModuleDeleted(server::ModuleDeleted {
            cluster_name: stack.to_string(),
            vk: Some(version_kind(kind)),
        }),
        News::Versions { name, updated, versions: Versions { of_parts, deprecated } } => {
            let name = name.to_string();
            let versions = of_parts.clone().into_iter().collect();
            match updated {
                true => M::UpdatedVersion(server::UpdatedVersion { name, versions, deprecated: *deprecated }),
                false => M::AddedVersion(server::AddedVersion { name, versions, deprecated: *deprecated }),
            }
        }
        News::VersionsDeleted { name } => {
            M::DeletedVersion(server::DeletedVersion { name: name.to_string() })
        }
    };
    with_metadata(body, report.trace.as_ref())
}

fn version_kind(kind: &str) -> server::VersionKind {
    server::VersionKind { version: VERSION.to_owned(), kind: kind.to_owned() }
}

/// A status as protobuf has it. It is an object, as it is cut down at the door.
fn structure(status: &serde_json::Value) -> Option<pbjson_types::Struct> {
    serde_json::from_value(status.clone()).ok()
}

/// The answer to a Ping, and the heartbeat.
pub fn pong() -> server::Message {
    with_metadata(message::Message::Pong(server::Pong {}), None)
}

/// Every message carries the trace context's key, empty where there is no trace.
fn with_metadata(body: message::Message, trace: Option<&Trace>) -> server::Message {
    let context = trace.map_or("{}", Trace::as_str);
    server::Message { metadata: HashMap::from([(TRACE.to_owned(), context.to_owned())]), message: Some(body) }
}

fn snapshot(name: &StackName, stack: Stack) -> Snapshot {
    let mut faults = Faults::default();
    let versions = if stack.versions.is_empty() { "default".to_owned() } else { stack.versions };
    Snapshot {
        versions,
        disabled: stack.disabled,
        labels: additional_labels(stack.additional_labels, &mut faults),
        annotations: additional_annotations(stack.additional_annotations, &mut faults),
        modules: modules(stack.modules, &mut faults),
        auth: stack.auth_config.map(|auth| AuthConfig {
            issuer: auth.issuer,
            client_id: auth.client_id,
            client_secret: auth.client_secret,
        }),
        stargate: stargate(name, stack.stargate_config, &mut faults),
        clients: clients(name, stack.static_clients, &mut faults),
        spared: faults.spared,
        faults: faults.found,
    }
}

#[derive(Default)]
struct Faults {
    found: Vec<Fault>,
    /// Complete keys of labels and annotations among them.
    spared: BTreeSet<String>,
}

impl Faults {
    fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.found.push(Fault { field: field.into(), reason: reason.into() });
    }

    fn spare(&mut self, field: &str, key: &str, reason: String) {
        self.add(format!("{field}[{:?}]", shown(key)), reason);
        self.spared.insert(format!("{}{key}", labels::PREFIX));
    }
}

fn additional_labels(given: HashMap<String, String>, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (key, value) in given.into_iter().collect::<BTreeMap<_, _>>() {
        let full = format!("{}{key}", labels::PREFIX);
        // The agent's own two win, as the contract says: nothing is wrong with the order.
        if matches!(full.as_str(), labels::CREATED_BY_AGENT | labels::STACK) {
            continue;
        }
        match labels::label_fault(&key, &value).filter(|_| guard::stands(Guard::CheckLabels)) {
            Some(reason) => faults.spare("additionalLabels", &key, reason),
            None => {
                kept.insert(full, value);
            }
        }
    }
    kept
}

fn additional_annotations(given: HashMap<String, String>, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut bytes = 0;
    for (key, value) in given.into_iter().collect::<BTreeMap<_, _>>() {
        let full = format!("{}{key}", labels::PREFIX);
        let size = full.len() + value.len();
        let fault = labels::annotation_fault(&key, &value).or_else(|| {
            (bytes + size > labels::MAX_ANNOTATION_BYTES).then(|| {
                format!("with it the annotations have more than {} bytes", labels::MAX_ANNOTATION_BYTES)
            })
        });
        match fault {
            Some(reason) => faults.spare("additionalAnnotations", &key, reason),
            None => {
                bytes += size;
                kept.insert(full, value);
            }
        }
    }
    kept
}

fn modules(given: Vec<server::Module>, faults: &mut Faults) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for (i, module) in given.into_iter().enumerate() {
        if module.name.is_empty() {
            faults.add(format!("modules[{i}].name"), "is empty; name a module");
        } else {
            kept.insert(module.name.to_lowercase());
        }
    }
    kept
}

fn stargate(name: &StackName, given: Option<server::StargateConfig>, faults: &mut Faults) -> StargateWish {
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
            faults.add(
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

fn clients(name: &StackName, given: Vec<server::AuthClient>, faults: &mut Faults) -> BTreeMap<String, bool> {
    let mut kept = BTreeMap::new();
    for (i, client) in given.into_iter().enumerate() {
        if client.id.is_empty() {
            faults.add(format!("staticClients[{i}].id"), "is empty; name the client");
        } else if !is_dns1123_subdomain(&format!("{name}-{}", client.id)) {
            faults.add(
                format!("staticClients[{i}].id"),
                format!(
                    "{:?} makes no object name (a-z, 0-9, '-', '.'; 253 bytes with the stack's)",
                    shown(&client.id)
                ),
            );
        } else if kept.insert(client.id.clone(), client.public).is_some() {
            faults.add(
                format!("staticClients[{i}].id"),
                format!("{:?} stands twice; the later one is taken", client.id),
            );
        }
    }
    kept
}

/// The beginning of a text from outside, short enough for a log line.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
