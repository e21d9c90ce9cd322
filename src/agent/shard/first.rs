//! What the first shard does besides: it carries the source of orders, and knows which kinds are in
//! play.

use std::{cell::OnceCell, pin::pin, rc::Rc, sync::Arc};

use futures::{
    channel::mpsc,
    future::{Either, select},
};
use shards::Stop;
use tracing::error;

use super::Shard;
use crate::{
    agent::{
        conductor::{Conductor, Event},
        front::{Feed, Front, Shared, Tell},
        mail::Mail,
    },
    cluster::KubeClient,
    net,
};

/// What the front shard has besides.
pub(super) struct AtFront {
    pub(super) shared: Rc<Shared>,
    /// Where reports go, once there is a source.
    report: OnceCell<Tell>,
    /// What the conductor is told.
    events: mpsc::UnboundedSender<Event>,
}

impl AtFront {
    /// Takes mail that is for the front alone.
    pub(super) fn take(&self, mail: Mail) {
        // The conductor is there as long as the agent is not stopping.
        let conduct = |event| drop(self.events.unbounded_send(event));
        match mail {
            Mail::Looked { kind, look } => conduct(Event::Looked(kind, look)),
            Mail::TakenUp(catalog) => conduct(Event::TakenUp(catalog)),
            Mail::Reports { from, stream, reports } => {
                if let Some(tell) = self.report.get().filter(|_| self.shared.is_open(stream)) {
                    reports.into_iter().for_each(|report| tell(from.index(), report));
                }
            }
            Mail::Drained => self.shared.drained(),
            Mail::Flushed => self.shared.flushed(),
            mail => error!(?mail, "mail that nobody takes"),
        }
    }
}

impl Shard {
    /// What the front shard does besides: the task that carries what is sent to others, and the one
    /// that carries the source of orders.
    pub(super) fn begin_front(
        self: &Rc<Self>,
        client: &KubeClient,
        shards: usize,
    ) -> (net::Task<()>, net::Task<()>) {
        let (events, conducted) = mpsc::unbounded();
        let (shared, carrier) = Shared::start(&self.router, shards);
        let conductor =
            Conductor::new(Rc::clone(&shared), client.clone(), &self.setup, events.clone(), conducted)
                .counting(Arc::clone(&self.counters));
        let front = AtFront { shared, report: OnceCell::new(), events };
        if self.front.set(front).is_err() {
            error!("the front shard was started twice");
        }
        (carrier, net::spawn(Rc::clone(self).carry(conductor)))
    }

    /// On the front shard: learns what there is, and carries the source of orders from start to
    /// end.
    async fn carry(self: Rc<Self>, mut conductor: Conductor) {
        let Some(front) = self.front.get() else { return };
        if unless_stopped(&self.stop, conductor.defined()).await.is_some() {
            let source = Front::new(Rc::clone(&front.shared), Arc::clone(&self.counters), self.stop.clone());
            let Feed { run, report } = (self.setup.source)(source);
            if front.report.set(report).is_err() {
                error!("the source was started twice");
            }
            let conducting = pin!(conductor.run());
            select(run, conducting).await;
        }
        // A source that came to its end is the end of the agent.
        self.stop.request();
        conductor.end().await;
        front.shared.all_drained(&self.stop).await;
        self.router.close();
    }
}

/// Awaits `future`, or gives it up when the agent is stopped.
async fn unless_stopped<T>(stop: &Stop, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(stop.wait())).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
