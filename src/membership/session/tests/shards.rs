//! What stands in for the agent's shards: their outbox, and nothing that it reports on.

use futures::{
    StreamExt,
    channel::mpsc,
    future::{Either, select},
};
use std::pin::pin;

use super::{CurrentMetadata, ReportChannel, SessionCloser, SessionDeed, join_metadata};
use crate::{
    membership::{
        outbox::{Outbox, Pace, Present},
        report_channel::StreamGrant,
    },
    stack::{
        object::{Catalog, ObjectKey},
        report::ReportBody,
    },
    time,
};

/// A shard without objects.
struct NoObjects;

impl Present for NoObjects {
    type Cursor = ();

    fn say(&self, _: &ObjectKey, _: bool) -> Option<ReportBody> {
        None
    }

    fn stands(&self, _: &ObjectKey) -> bool {
        false
    }

    fn of_stack(&self, _: &str) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn begin(&self) {}

    fn next(&self, (): &mut (), _: usize) -> Vec<ObjectKey> {
        Vec::new()
    }
}

/// As fast as can be.
struct AtOnce;

impl Pace for AtOnce {
    fn take(&mut self, _: time::Instant) -> Result<(), time::Instant> {
        Ok(())
    }
}

/// What feeds the session, as shards do.
pub(super) async fn feed(
    mut told: mpsc::UnboundedReceiver<SessionDeed>,
    reports: ReportChannel,
    closer: SessionCloser,
    metadata: CurrentMetadata,
) {
    let (mut outbox, mut open, granted) = (Outbox::default(), None, reports.granted());
    loop {
        let grant = granted.until(|| reports.next_grant(0));
        match select(told.next(), pin!(grant)).await {
            Either::Left((None, _)) => return,
            Either::Left((Some(what), _)) => match what {
                SessionDeed::Report(name) => {
                    outbox.gone(ObjectKey::new(&Catalog::new(Vec::new()).stack, name), None);
                }
                SessionDeed::StopOrders => closer.stop_orders(),
                SessionDeed::Close => closer.close(),
                SessionDeed::Module(name) => metadata.change(&join_metadata(&[name])).unwrap(),
            },
            Either::Right((StreamGrant::Opened { stream, .. }, _)) => {
                open = Some(stream);
                outbox.joined(&NoObjects);
            }
            Either::Right((StreamGrant::Ended, _)) => open = None,
            Either::Right((StreamGrant::Credit { .. }, _)) => {}
        }
        if let Some(stream) = open {
            reports.push(0, stream, outbox.take(time::now(), usize::MAX, &NoObjects, &mut AtOnce).reports);
        }
    }
}
