//! The reading half of the tests' membership: what an agent says, message by message.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::Sender,
};

use prost::Message as _;
use stackherd::membership::wire::server::{Message, message};

use super::{
    frames,
    lapses::{Lapse, Lapses},
};

/// How an agent's side of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UplinkEnd {
    /// It closed its side of the stream, as a client does that leaves.
    Closed,
    /// It reset the stream, or only the connection ended.
    Broken,
}

/// What comes over a stream.
pub enum StreamItem {
    Report(Box<Message>),
    End(UplinkEnd),
}

/// The stream of a connection as its reader sees it.
pub struct OpenStream {
    pub stream: u32,
    pub pongs: Arc<AtomicUsize>,
    pub tell: Sender<StreamItem>,
    pub bytes: Vec<u8>,
    pub lapses: Lapses,
    pub hears: Sender<Message>,
}

impl OpenStream {
    /// `None`: the connection is to be cut here.
    pub fn take(&mut self, payload: &[u8]) -> Option<()> {
        self.bytes.extend_from_slice(payload);
        while let Some(bytes) = frames::take_message(&mut self.bytes) {
            let report = Message::decode(bytes.as_slice()).expect("agents send messages");
            if matches!(report.message, Some(message::Message::Pong(_))) {
                self.pongs.fetch_add(1, Ordering::AcqRel);
                continue;
            }
            let lapse = self.lapses.next();
            if lapse != Lapse::Lost {
                // The test may have ended.
                let _ = self.hears.send(report.clone());
                let _ = self.tell.send(StreamItem::Report(Box::new(report)));
            }
            if lapse == Lapse::Cut {
                return None;
            }
        }
        Some(())
    }
}
