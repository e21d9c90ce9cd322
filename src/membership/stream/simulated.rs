//! What stands in for a connection to membership where a simulation runs on this thread.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, future::LocalBoxFuture, stream::LocalBoxStream};
use tonic::{Status, metadata::MetadataMap};

use crate::membership::{
    downlink::{Inbound, LONGEST},
    wire::server::Message,
};

/// A join as membership sees it.
pub(crate) struct SimulatedJoin {
    /// Who joins.
    #[allow(dead_code, reason = "no test has looked at it yet")]
    pub(crate) metadata: MetadataMap,
    /// What the agent says. Dropped, the stream is cut.
    pub(crate) uplink: LocalBoxStream<'static, Message>,
}

/// What the agent hears: encoded orders, then perhaps why there are no more.
pub(crate) type SimulatedDownlink = mpsc::UnboundedReceiver<Result<Bytes, Status>>;

/// Membership.
pub(crate) trait SimulatedPeer {
    /// Answers a join, once there is an answer.
    fn join(&self, join: SimulatedJoin) -> LocalBoxFuture<'static, Result<SimulatedDownlink, Status>>;
}

thread_local! {
    static PEER: RefCell<Option<Rc<dyn SimulatedPeer>>> = const { RefCell::new(None) };
}

/// Sessions on this thread join this one from now on.
pub(crate) fn install(peer: Option<Rc<dyn SimulatedPeer>>) {
    PEER.set(peer);
}

pub(in crate::membership) fn installed() -> Option<Rc<dyn SimulatedPeer>> {
    PEER.with_borrow(Option::clone)
}

/// The next message.
pub(super) async fn message(downlink: &mut SimulatedDownlink) -> Result<Option<Inbound>, Status> {
    Ok(downlink.next().await.transpose()?.map(|bytes| match bytes.len() {
        0..=LONGEST => Inbound::Message(bytes),
        bytes => Inbound::TooLong { bytes, longest: LONGEST },
    }))
}
