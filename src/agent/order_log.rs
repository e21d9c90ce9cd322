//! What a shard logs of its orders, without repeating itself for each of a million.

use std::cell::RefCell;

use tracing::{debug, error, info, warn};

use crate::{log_throttle::LogThrottle, order::StackName, stack::machine::Notice, time::now};

/// See the [module](self).
pub(super) struct OrderLog(RefCell<LogThrottle<&'static str>>);

impl OrderLog {
    pub(super) fn new(throttle: LogThrottle<&'static str>) -> Self {
        Self(RefCell::new(throttle))
    }

    /// What the machine noticed.
    pub(super) fn notice(&self, notice: &Notice) {
        // Kinds out of play are named once, by the coordinator, with the number of such orders.
        let quiet = matches!(notice, Notice::Incomplete { .. });
        let say = || self.0.borrow_mut().say(now(), notice.kind());
        let Some(unsaid) = (!quiet).then(say).flatten() else {
            debug!("{notice}");
            return;
        };
        match notice {
            Notice::Faults { .. } | Notice::Clash { .. } | Notice::Rejected { .. } => {
                error!("{notice}{unsaid}");
            }
            Notice::Failed { .. } => warn!("{notice}{unsaid}"),
            Notice::NoStack { .. }
            | Notice::Terminating { .. }
            | Notice::NothingToDelete { .. }
            | Notice::Incomplete { .. } => info!("{notice}{unsaid}"),
        }
    }

    /// There is no room for another stack.
    pub(super) fn beyond_limit(&self, stack: &StackName, most: usize) {
        if let Some(unsaid) = self.0.borrow_mut().say(now(), "orders beyond --max-stacks") {
            error!(
                "stack {stack}: an order is refused, since {most} stacks are known, as many as --max-stacks \
                 allows, and nothing is known of this one; raise it if the fleet is as large{unsaid}"
            );
        }
    }

    /// Says how many lines were left out, though nothing of their kind follows.
    pub(super) fn rest(&self) {
        for (kind, unsaid) in self.0.borrow_mut().overdue(now()) {
            let kind = kind.unwrap_or("others");
            warn!("{unsaid} more lines about {kind} were not logged");
        }
    }
}
