//! What goes up the stream: Pongs and reports.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{
    StreamExt,
    channel::mpsc,
    future::{poll_fn, select},
};

use crate::{
    membership::{
        close::{CloseSignal, CloseStage},
        report_channel::ReportChannel,
        wire::{self, server::Message},
    },
    net::sleep,
    time,
};

/// Pongs that wait to be sent. One more says nothing new.
const PONGS: usize = 64;

/// How often an unasked Pong is sent.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// An unasked Pong every few seconds, on a task of its own so that nothing delays it.
pub(super) async fn heartbeats(mut pongs: mpsc::Sender<()>) {
    let mut heartbeat = Heartbeat::new(time::now());
    loop {
        sleep(heartbeat.wait(time::now())).await;
        if heartbeat.due(time::now()) {
            let _ = pongs.try_send(());
        }
    }
}

/// Hands reports to the stream as fast as it takes them; once leaving, ends our half of it
/// behind the last.
pub(super) async fn pump(mut messages: mpsc::Sender<Message>, reports: ReportChannel, closing: CloseSignal) {
    loop {
        select(pin!(reports.not_empty()), pin!(closing.reached(CloseStage::Close))).await;
        if closing.stage() == CloseStage::Close && reports.waiting() == 0 {
            return;
        }
        if poll_fn(|cx| messages.poll_ready(cx)).await.is_err() {
            return;
        }
        let Some(report) = reports.take() else { continue };
        if messages.start_send(wire::message(&report)).is_err() {
            return;
        }
    }
}

/// What is to be sent, and the ends that it is put into. There is no buffer but the sender's own
/// slot: what waits should wait in the outbox, where it survives a break.
pub(super) fn uplink() -> (mpsc::Sender<()>, mpsc::Sender<Message>, Uplink) {
    let (messages, from_messages) = mpsc::channel(0);
    let (pongs, from_pongs) = mpsc::channel(PONGS);
    (pongs, messages, Uplink { pongs: from_pongs, messages: from_messages })
}

/// What is sent: Pongs first, then reports. Ends with the reports. tonic wants it `Send`, so it
/// holds nothing of this thread's.
pub(super) struct Uplink {
    pongs: mpsc::Receiver<()>,
    messages: mpsc::Receiver<Message>,
}

impl futures::Stream for Uplink {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if let Poll::Ready(Some(())) = self.pongs.poll_next_unpin(cx) {
            return Poll::Ready(Some(wire::pong()));
        }
        self.messages.poll_next_unpin(cx)
    }
}

/// The rhythm of heartbeats: a late one moves the later ones, none is made up for.
#[derive(Debug)]
struct Heartbeat {
    next: Instant,
}

impl Heartbeat {
    fn new(now: Instant) -> Self {
        Self { next: time::after(now, HEARTBEAT) }
    }

    /// How long until the next one is due.
    fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Whether one is due; if so, the next is a whole interval away.
    fn due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = time::after(now, HEARTBEAT);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_due_every_five_seconds_and_once_after_a_stall() {
        let mut now = time::now();
        let mut heartbeat = Heartbeat::new(now);
        assert!(!heartbeat.due(now + Duration::from_secs(4)));
        assert_eq!(heartbeat.wait(now + Duration::from_secs(4)), Duration::from_secs(1));
        now += Duration::from_secs(60);
        assert!(heartbeat.due(now));
        assert!(!heartbeat.due(now));
        assert_eq!(heartbeat.wait(now), Duration::from_secs(5));
    }
}
