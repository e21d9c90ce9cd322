//! What a machine has to say besides its requests.

use std::{fmt, sync::Arc};

use crate::{
    order::{OrderFault, StackName},
    stack::{
        object::{ObjectKey, Resource},
        write::Rejection,
    },
};

/// Something to be logged or reported. Each is said once per order, however often the order is
/// tried again; [`Notice::Failed`] is said each time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Parts of the order cannot be used; the rest of it stands.
    Faults {
        /// Whose order.
        stack: StackName,
        /// Which parts, and why: the first few of each field, and how many more.
        faults: Vec<OrderFault>,
    },
    /// An object of a wanted name is somebody else's.
    Clash {
        /// Whose order.
        stack: StackName,
        /// The object.
        key: ObjectKey,
        /// By what it shows that it is somebody else's.
        reason: String,
    },
    /// The API server will not take it; tried again at a slow pace.
    Rejected {
        /// Whose order.
        stack: StackName,
        /// `patch ledgers/org-a`, or what was to be read.
        subject: String,
        /// The server's word.
        rejection: Rejection,
    },
    /// A request failed; tried again soon.
    Failed {
        /// Whose order.
        stack: StackName,
        /// `patch ledgers/org-a`, or what was to be read.
        subject: String,
        /// Why.
        cause: String,
        /// How often in a row.
        failures: u32,
    },
    /// The order has all its objects but those of kinds that are out of play. It is run again once
    /// they are back.
    Incomplete {
        /// Whose order.
        stack: StackName,
        /// Which kinds.
        kinds: Vec<Arc<Resource>>,
    },
    /// A stack was to be enabled or disabled, and there is none.
    NoStack {
        /// Whose order.
        stack: StackName,
        /// What `spec.disabled` was to be.
        disabled: bool,
    },
    /// A stack was to be enabled or disabled, and it is being deleted.
    Terminating {
        /// Whose order.
        stack: StackName,
        /// What `spec.disabled` was to be.
        disabled: bool,
    },
    /// A stack was to be deleted, and there never was one as far as the order saw. (That a Stack
    /// is gone which was there is the store's to tell.)
    NothingToDelete {
        /// Whose order.
        stack: StackName,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Faults { stack, faults } => {
                write!(f, "stack {stack}: ")?;
                let mut between = "";
                for fault in faults {
                    write!(f, "{between}{fault}")?;
                    between = "; ";
                }
                Ok(())
            }
            Notice::Clash { stack, key, reason } => {
                write!(f, "stack {stack}: {key} is somebody else's and stays as it is: {reason}")
            }
            Notice::Rejected { stack, subject, rejection } => {
                write!(f, "stack {stack}: the API server refuses {subject}: {rejection}")
            }
            Notice::Failed { stack, subject, cause, failures } => {
                write!(f, "stack {stack}: {subject} failed ({failures} in a row), to be tried again: {cause}")
            }
            Notice::Incomplete { stack, kinds } => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.plural.as_str()).collect();
                write!(
                    f,
                    "stack {stack}: incomplete, since these kinds cannot be listed: {}",
                    kinds.join(", ")
                )
            }
            Notice::NoStack { stack, disabled } => {
                write!(f, "stack {stack}: nothing to {}, there is no such Stack", verb(*disabled))
            }
            Notice::Terminating { stack, disabled } => {
                write!(f, "stack {stack}: nothing to {}, the Stack is being deleted", verb(*disabled))
            }
            Notice::NothingToDelete { stack } => {
                write!(f, "stack {stack}: nothing to delete, there is no such Stack")
            }
        }
    }
}

impl Notice {
    /// What it is about, for many that are about the same.
    pub fn kind(&self) -> &'static str {
        match self {
            Notice::Faults { .. } => "orders that are wrong in part",
            Notice::Clash { .. } => "objects that are somebody else's",
            Notice::Rejected { .. } => "requests that the API server refuses",
            Notice::Failed { .. } => "requests that failed",
            Notice::Incomplete { .. } => "orders that need kinds that are out of play",
            Notice::NoStack { .. } => "stacks that are not there",
            Notice::Terminating { .. } => "stacks that are being deleted",
            Notice::NothingToDelete { .. } => "stacks that were not there to be deleted",
        }
    }

    /// Whether the order, or what it asks for, is at fault.
    pub fn is_faulty(&self) -> bool {
        matches!(self, Notice::Faults { .. } | Notice::Clash { .. })
    }

    /// A number that two notices share only where they say the same, as far as anybody can tell.
    pub(super) fn fingerprint(&self) -> u64 {
        ahash::RandomState::with_seeds(0x2b1c, 0x77d0, 0x0e5a, 0xc3f8).hash_one(self)
    }
}

fn verb(disabled: bool) -> &'static str {
    if disabled { "disable" } else { "enable" }
}
