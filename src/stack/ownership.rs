//! Who owns what: `metadata.managedFields`, read once at the door.

use std::collections::BTreeSet;

/// What the agent may take back from an object: keys that it (or the Go agent before it) alone owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removable {
    /// Label keys under `formance.com/`.
    pub labels: BTreeSet<String>,
    /// Annotation keys under `formance.com/`, never `formance.com/skip`.
    pub annotations: BTreeSet<String>,
    /// Keys below `spec.delegatedOIDCServer` that are ours alone.
    pub oidc: BTreeSet<String>,
    /// `spec.delegatedOIDCServer` holds no key of anybody else.
    pub oidc_whole: bool,
    /// `spec.tls.disable`
    pub tls_disable: bool,
}
