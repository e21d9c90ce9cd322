//! Orders as the agent thinks of them: an order that is here is valid.
//!
//! The wire's messages are turned into these in [`crate::membership::wire`]. What in an order
//! cannot be used without spoiling the rest of it (one bad label, one bad client id) is left
//! out there and kept as a [`OrderFault`], to be told with the stack's name.

mod trace;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

pub use trace::Trace;

/// The name of a stack: a DNS-1123 subdomain of at most 63 bytes, since it is an object's
/// name as well as a label's value. Cheap to clone; crosses cores.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackName(Arc<str>);

/// Why a text is no stack name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackNameError {
    /// No name at all.
    #[error("clusterName is empty")]
    Empty,
    /// Longer than a label value may be.
    #[error("clusterName {name:?} has {len} bytes, more than the 63 that a label value may have")]
    TooLong {
        /// The beginning of the name.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// Something else than lower-case letters, digits, `-` and `.`, or one of the last two at an edge.
    #[error(
        "clusterName {name:?} is no DNS-1123 subdomain (a-z, 0-9, '-' and '.', each part beginning and ending with a letter or digit)"
    )]
    NotDns {
        /// The beginning of the name.
        name: String,
    },
}

impl StackName {
    /// Longest name in bytes: that of a label's value.
    pub const MAX_LEN: usize = 63;

    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, StackNameError> {
        let shown = || name.chars().take(80).collect::<String>();
        if name.is_empty() {
            return Err(StackNameError::Empty);
        }
        if name.len() > Self::MAX_LEN {
            return Err(StackNameError::TooLong { name: shown(), len: name.len() });
        }
        if !is_dns1123_subdomain(name) {
            return Err(StackNameError::NotDns { name: shown() });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Whether `name` may name a Kubernetes object (RFC 1123 subdomain, at most 253 bytes).
pub fn is_dns1123_subdomain(name: &str) -> bool {
    let part = |p: &str| {
        let b = p.as_bytes();
        let alnum = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        !b.is_empty() && alnum(b[0]) && alnum(b[b.len() - 1]) && b.iter().all(|&c| alnum(c) || c == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// Whether `id` makes the name of an object with a stack's name and a dash before it, its length
/// aside.
pub fn is_client_id(id: &str) -> bool {
    let (first, rest) = id.split_once('.').map_or((id, None), |(first, rest)| (first, Some(rest)));
    let alnum = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    // What comes before it begins the first part.
    let begins = first.bytes().all(|c| alnum(c) || c == b'-') && first.bytes().last().is_some_and(alnum);
    begins && rest.is_none_or(is_dns1123_subdomain)
}

/// What membership wants of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whose order it is.
    pub stack: StackName,
    /// What is to be done.
    pub change: Change,
}

/// The four things that membership orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// ExistingStack: a full snapshot of what the stack shall be.
    Existing(Box<Snapshot>),
    /// DeletedStack: the stack shall not be.
    Deleted,
    /// EnabledStack / DisabledStack: only `spec.disabled` of the Stack changes, to this value.
    Disabled(bool),
}

/// The whole desired state of a stack, valid field by field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Snapshot {
    /// `spec.versionsFromFile`; `default` where membership named none.
    pub versions: String,
    /// `spec.disabled`.
    pub disabled: bool,
    /// Additional labels, keys complete with `formance.com/`, without the agent's own two.
    pub labels: BTreeMap<String, String>,
    /// Additional annotations, keys complete with `formance.com/`.
    pub annotations: BTreeMap<String, String>,
    /// Singular names of the wanted modules, lower case.
    pub modules: BTreeSet<String>,
    /// Complete keys of labels and annotations that the order got wrong: what the cluster has of
    /// them stays, since an error takes nothing away.
    pub spared: BTreeSet<String>,
    /// Of what, besides, nothing is taken away, since a part of it was left out.
    pub spares: Spares,
    /// The delegated OpenID server.
    pub auth: Option<AuthConfig>,
    /// Whether there shall be a Stargate.
    pub stargate: StargateWish,
    /// Wanted clients by id; the value says whether the client is public.
    pub clients: BTreeMap<String, bool>,
    /// What was left out of the order and why. A field with many of them has the first few one by
    /// one, and then one that says how many more there are.
    pub faults: Vec<OrderFault>,
}

/// Kinds of things of which an order left something out that has no name, or too many to name them:
/// what the cluster has of these stays for this order, wanted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Spares {
    /// Additional labels.
    pub labels: bool,
    /// Additional annotations.
    pub annotations: bool,
    /// Modules, Stargate aside, which is asked for in another way.
    pub modules: bool,
    /// Clients.
    pub clients: bool,
}

/// An OpenID server and the client to use with it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AuthConfig {
    /// Issuer URL.
    pub issuer: String,
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: String,
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What an order says about Stargate. One that is asked for and cannot be had is not the same
/// as one that is not wanted: an existing Stargate is deleted for the latter alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum StargateWish {
    /// Not wanted.
    #[default]
    Off,
    /// Wanted.
    On(Stargate),
    /// Wanted, but the order cannot be used (no `-` in the stack's name, say): a fault of the
    /// snapshot says why, and what stands in the cluster is left as it is.
    Unusable,
}

/// The Stargate of a stack; its credentials are the snapshot's `auth`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stargate {
    /// `spec.serverURL`.
    pub url: String,
    /// `spec.tls.disable`.
    pub disable_tls: bool,
    /// The stack name before its first `-`.
    pub organization_id: String,
    /// The stack name after its first `-`.
    pub stack_id: String,
}

/// A part of an order that could not be used; the rest of the order stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct OrderFault {
    /// The field of the order, as it is called on the wire.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl shards::ClassedOrder for Order {
    fn class(&self) -> shards::OrderClass {
        match self.change {
            Change::Existing(_) => shards::OrderClass::Snapshot,
            Change::Deleted => shards::OrderClass::Removal,
            Change::Disabled(_) => shards::OrderClass::Toggle,
        }
    }
}

/// What one order may ask for. Whatever is beyond is left out and told with a count, and since an
/// error takes nothing away, nothing of that kind is deleted for such an order.
///
/// An order is held in memory while it waits, and decided upon at each of its steps, so these bound
/// both. They are far beyond what is in use (a dozen modules, a few labels and clients), and no
/// flags, since nobody has a use for more.
pub mod limits {
    use crate::stack::labels;

    /// Labels: with these, keys and values of the longest, an object has some 140 KB of them.
    pub const MAX_LABELS: usize = 1_000;
    /// Annotations: as many of the shortest as the API server takes on one object.
    pub const MAX_ANNOTATIONS: usize = 20_000;
    const _: () = assert!(MAX_ANNOTATIONS * (labels::PREFIX.len() + 1) >= labels::MAX_ANNOTATION_BYTES);
    /// Modules that the cluster does not know; those that it knows always count.
    pub const MAX_MODULES: usize = 1_000;
    /// Longest name of a module, in bytes: it is a part of a CRD's name.
    pub const MAX_MODULE_NAME: usize = 63;
    /// Clients. Each is an object of its own: so many writes before the stack is right, and so many
    /// objects to look at whenever it is decided upon.
    pub const MAX_CLIENTS: usize = 1_000;
    /// Longest trace context that is looked at, in bytes: more than its headers may have, and what
    /// propagators put beside them.
    pub const MAX_TRACE: usize = 16 << 10;
    /// Of many faults of one field, so many are told one by one.
    pub const NAMED: usize = 5;
}
