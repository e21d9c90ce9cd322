//! What is said of kinds that cannot be listed or watched.

use std::{sync::Arc, time::Duration};

use tracing::{error, info, warn};

use super::Trouble;
use crate::stack::object::{Resource, Role};

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) enum Saying {
    /// A kind is out of play, from now on or still.
    Out {
        /// The kind.
        kind: Arc<Resource>,
        /// Why.
        trouble: Trouble,
    },
    /// A kind that was out of play is in it.
    Back {
        /// The kind.
        kind: Arc<Resource>,
        /// How long it failed.
        lasted: Duration,
    },
    /// Kinds in play are not kept in view.
    Stale {
        /// The kinds.
        kinds: Vec<Arc<Resource>>,
        /// Why, of one of them.
        trouble: Trouble,
    },
    /// All that were told to be stale are kept in view again.
    Fresh {
        /// How long the last ones were not.
        lasted: Duration,
    },
    /// Nothing can be done without this kind.
    Needed {
        /// The kind.
        kind: Arc<Resource>,
        /// Why it is not there.
        trouble: Trouble,
    },
    /// Nobody knows which modules there are.
    Undefined(Trouble),
    /// They are known, after so long.
    Defined(Duration),
}

impl Saying {
    /// Of a kind that is not in play.
    pub(super) fn of(kind: &Arc<Resource>, trouble: Trouble) -> Self {
        let kind = Arc::clone(kind);
        match kind.role() {
            Role::Module | Role::AuthClient => Self::Out { kind, trouble },
            Role::Versions => Self::Stale { kinds: vec![kind], trouble },
            Role::Stack => Self::Needed { kind, trouble },
        }
    }

    /// To the log.
    pub(in crate::agent) fn say(&self) {
        match self {
            Self::Out { kind, trouble } => error!(
                kind = kind.plural, error = trouble.cause, failing_for = ?trouble.lasts(),
                "a kind cannot be listed and is out of play: nothing of it is made or deleted, orders \
                 that need it get all their other objects and are run again once it can be listed, \
                 all others are carried out as ever"
            ),
            Self::Back { kind, lasted } => info!(
                kind = kind.plural, after = ?lasted,
                "a kind can be listed again and is in play"
            ),
            Self::Stale { kinds, trouble } => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.plural.as_str()).collect();
                warn!(
                    kinds = kinds.join(","), error = trouble.cause, failing_for = ?trouble.lasts(),
                    "kinds are not kept in view: what others change of them is noticed late, or when a \
                     write is refused for it"
                );
            }
            Self::Fresh { lasted } => info!(after = ?lasted, "all kinds are kept in view again"),
            Self::Needed { kind, trouble } => error!(
                kind = kind.plural, error = trouble.cause, failing_for = ?trouble.lasts(),
                "no order is taken up as long as this kind cannot be listed, for it owns all others"
            ),
            Self::Undefined(trouble) => error!(
                error = trouble.cause, failing_for = ?trouble.lasts(),
                "membership is not joined as long as it is not known which modules there are: CRDs \
                 cannot be listed"
            ),
            Self::Defined(lasted) => info!(after = ?lasted, "CRDs can be listed"),
        }
    }
}
