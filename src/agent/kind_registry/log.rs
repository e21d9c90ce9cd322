//! What is logged of kinds.

use std::{fmt::Display, sync::Arc, time::Duration};

use tracing::{error, info, warn};

use super::KindOutage;
use crate::stack::object::{Resource, Role};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) enum KindLog {
    /// A kind is out of play, from now on or still.
    Out { kind: Arc<Resource>, outage: KindOutage },
    /// A kind that was out of play is in it, after so long.
    Back { kind: Arc<Resource>, lasted: Duration },
    /// Kinds in play are not kept in view; why, of one of them.
    Stale { kinds: Vec<Arc<Resource>>, outage: KindOutage },
    /// All that were told to be stale are kept in view again, the last ones after so long.
    Fresh { lasted: Duration },
    /// Nothing can be done without this kind.
    Needed { kind: Arc<Resource>, outage: KindOutage },
    /// Nobody knows which modules there are.
    Undefined(KindOutage),
    /// They are known, after so long.
    Defined(Duration),
    /// Orders run from now on, with these kinds out of play.
    Ready { without: Vec<Arc<Resource>> },
    /// So many more orders lack these kinds.
    Incomplete { orders: u64, kinds: Vec<Arc<Resource>> },
}

impl KindLog {
    /// Of a kind that is not in play.
    pub(super) fn of(kind: &Arc<Resource>, outage: KindOutage) -> Self {
        let kind = Arc::clone(kind);
        match kind.role() {
            Role::Module | Role::AuthClient => Self::Out { kind, outage },
            Role::Versions => Self::Stale { kinds: vec![kind], outage },
            Role::Stack => Self::Needed { kind, outage },
        }
    }

    /// Writes it; `server` is the API server.
    pub(in crate::agent) fn write(&self, server: &impl Display) {
        match self {
            Self::Out { kind, outage } => error!(
                kind = kind.plural, error = outage.cause, failing_for = ?outage.lasts(),
                "a kind cannot be listed and is out of play: nothing of it is made or deleted, orders \
                 that need it get all their other objects and are run again once it can be listed, \
                 all others are carried out as ever"
            ),
            Self::Back { kind, lasted } => info!(
                kind = kind.plural, after = ?lasted,
                "a kind can be listed again and is in play"
            ),
            Self::Stale { kinds, outage } => warn!(
                kinds = plurals(kinds), error = outage.cause, failing_for = ?outage.lasts(),
                "kinds are not kept in view: what others change of them is noticed late, or when a \
                 write is refused for it"
            ),
            Self::Fresh { lasted } => info!(after = ?lasted, "all kinds are kept in view again"),
            Self::Needed { kind, outage } => error!(
                kind = kind.plural, error = outage.cause, failing_for = ?outage.lasts(),
                "no order is taken up as long as this kind cannot be listed, for it owns all others"
            ),
            Self::Undefined(outage) => error!(
                error = outage.cause, failing_for = ?outage.lasts(),
                "membership is not joined as long as it is not known which modules there are: CRDs \
                 cannot be listed"
            ),
            Self::Defined(lasted) => info!(after = ?lasted, "CRDs can be listed"),
            Self::Ready { without } if without.is_empty() => {
                info!(%server, "all objects are known, orders are taken up");
            }
            Self::Ready { without } => warn!(
                %server, without = plurals(without),
                "all other objects are known, orders are taken up"
            ),
            Self::Incomplete { orders, kinds } => warn!(
                orders,
                kinds = plurals(kinds),
                "orders have all their objects but those of kinds that cannot be listed; they are run \
                 again once these can be"
            ),
        }
    }
}

fn plurals(kinds: &[Arc<Resource>]) -> String {
    let plurals: Vec<_> = kinds.iter().map(|kind| kind.plural.as_str()).collect();
    plurals.join(",")
}
