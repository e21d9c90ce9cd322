//! Orders from the wire to the domain, and reports from the domain to the wire. An order that comes
//! out of here is valid.

use std::collections::HashMap;

use super::{
    server::{self, message, order::Message},
    snapshot::SnapshotBuilder,
};
use crate::{
    order::{Change, Order, StackName, StackNameError, Trace},
    stack::{
        object::VERSION,
        report::{Report, ReportBody, Versions},
    },
};

/// The key of a message's metadata under which its trace context stands.
pub(super) const TRACE: &str = "_otelCtx";

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

impl OrderError {
    /// Errors of one kind are told together where there are many.
    pub fn kind(&self) -> (&'static str, &'static str) {
        let Self::StackName { order, source } = self;
        let kind = match source {
            StackNameError::Empty => "empty clusterName",
            StackNameError::TooLong { .. } => "clusterName too long",
            StackNameError::NotDns { .. } => "clusterName no DNS name",
        };
        (order, kind)
    }
}

/// Turns a message into an order. `Ok(None)`: it is about no stack (Connected, Ping, or one
/// that this version does not know).
pub fn order(message: &server::Order) -> Result<Option<Order>, OrderError> {
    order_with(message, &|_| false)
}

/// The same where it is known which modules the cluster has: see [`super::OrderDecoder`], which reads the
/// bytes of such a message.
pub fn order_with(
    message: &server::Order,
    is_module: &dyn Fn(&str) -> bool,
) -> Result<Option<Order>, OrderError> {
    match &message.message {
        Some(Message::ExistingStack(stack)) => OrderBody::Existing {
            builder: Box::new(SnapshotBuilder::of(stack, is_module)),
            name: &stack.cluster_name,
            versions: &stack.versions,
        },
        Some(Message::DeletedStack(stack)) => OrderBody::Deleted(&stack.cluster_name),
        Some(Message::DisabledStack(stack)) => OrderBody::Disabled(&stack.cluster_name),
        Some(Message::EnabledStack(stack)) => OrderBody::Enabled(&stack.cluster_name),
        Some(Message::Connected(_) | Message::Ping(_)) | None => OrderBody::Nothing,
    }
    .order()
}

/// What a message is about, its texts where they stand.
pub(super) enum OrderBody<'a> {
    /// No stack.
    Nothing,
    Existing {
        builder: Box<SnapshotBuilder<'a>>,
        name: &'a str,
        versions: &'a str,
    },
    Deleted(&'a str),
    Disabled(&'a str),
    Enabled(&'a str),
}

impl OrderBody<'_> {
    pub(super) fn order(self) -> Result<Option<Order>, OrderError> {
        let named = |order, name: &str| {
            StackName::new(name).map_err(|source| OrderError::StackName { order, source })
        };
        let (stack, change) = match self {
            Self::Nothing => return Ok(None),
            Self::Existing { builder, name, versions } => {
                let stack = named("existingStack", name)?;
                let snapshot = builder.finish(&stack, versions);
                (stack, Change::Existing(Box::new(snapshot)))
            }
            Self::Deleted(name) => (named("deletedStack", name)?, Change::Deleted),
            Self::Disabled(name) => (named("disabledStack", name)?, Change::Disabled(true)),
            Self::Enabled(name) => (named("enabledStack", name)?, Change::Disabled(false)),
        };
        Ok(Some(Order { stack, change }))
    }
}

/// The trace that an order belongs to, where it names one.
pub fn trace(message: &server::Order) -> Option<Trace> {
    message.metadata.get(TRACE).and_then(|text| Trace::read(text))
}

/// Turns a report into a message.
pub fn message(report: &Report) -> server::Message {
    use message::Message as M;
    let body = match &report.body {
        ReportBody::Stack { stack, status } => M::StatusChanged(server::StatusChanged {
            cluster_name: stack.to_string(),
            statuses: structure(status),
            ..server::StatusChanged::default()
        }),
        ReportBody::StackDeleted { stack } => {
            M::StackDeleted(server::DeletedStack { cluster_name: stack.to_string() })
        }
        ReportBody::Module { stack, kind, status } => M::ModuleStatusChanged(server::ModuleStatusChanged {
            cluster_name: stack.to_string(),
            status: structure(status),
            vk: Some(version_kind(kind)),
        }),
        ReportBody::ModuleDeleted { stack, kind } => M::ModuleDeleted(server::ModuleDeleted {
            cluster_name: stack.to_string(),
            vk: Some(version_kind(kind)),
        }),
        ReportBody::Versions { name, updated, versions: Versions { of_parts, deprecated } } => {
            let name = name.to_string();
            let versions = of_parts.clone().into_iter().collect();
            match updated {
                true => M::UpdatedVersion(server::UpdatedVersion { name, versions, deprecated: *deprecated }),
                false => M::AddedVersion(server::AddedVersion { name, versions, deprecated: *deprecated }),
            }
        }
        ReportBody::VersionsDeleted { name } => {
            M::DeletedVersion(server::DeletedVersion { name: name.to_string() })
        }
    };
    with_metadata(body, report.trace.as_ref())
}

fn version_kind(kind: &str) -> server::VersionKind {
    server::VersionKind { version: VERSION.to_owned(), kind: kind.to_owned() }
}

/// A status as protobuf has it. It is an object: [`crate::stack::report::reported_status`] sees to that.
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

#[cfg(test)]
mod tests;
