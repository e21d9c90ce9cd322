//! What goes up the stream: Pongs and reports.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    channel::mpsc,
    future::{poll_fn, select},
};

use crate::{
    membership::{
        joining::Heartbeat,
        leave::{Leave, Stage},
        report_channel::ReportChannel,
        wire::{self, server::Message},
    },
    net::sleep,
    time,
};

/// Pongs that wait to be sent. One more says nothing new.
const PONGS: usize = 64;

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
pub(super) async fn pump(mut messages: mpsc::Sender<Message>, reports: ReportChannel, leave: Leave) {
    loop {
        select(pin!(reports.not_empty()), pin!(leave.reached(Stage::Close))).await;
        if leave.stage() == Stage::Close && reports.waiting() == 0 {
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
