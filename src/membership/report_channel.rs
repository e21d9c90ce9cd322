//! Reports on their way from the shards to the stream that is open: one bounded channel, in which each
//! shard has a credit of its own.
//!
//! A stream that opens grants each shard [`CREDIT`] reports, and what the stream takes is granted
//! again. So a stream that takes nothing costs no memory: what there is to tell waits with the objects
//! that it is about. What was not sent when a stream ends is dropped, since on the next one everything
//! is told anew.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use shards::Wakeup;

use crate::stack::report::Report;

/// Reports of one shard that may be on their way to a stream.
pub const CREDIT: usize = 256;
/// Credit is granted again in pieces of this many reports.
const CREDIT_STEP: usize = 64;
const _: () = assert!(2 * CREDIT_STEP <= CREDIT, "a shard must not wait for credit that is not granted");

/// What is told on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportScope {
    /// All there is.
    Everything,
    /// What changes from then on, and what orders lead to.
    Changes,
}

/// What a shard has to know of the stream that its reports are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamGrant {
    /// A stream was opened, with [`CREDIT`] for the shard.
    Opened {
        /// Which one, counted from 1.
        stream: u64,
        /// What is told on it.
        scope: ReportScope,
    },
    /// So many more may be sent.
    Credit {
        /// On which stream.
        stream: u64,
        /// How many.
        reports: usize,
    },
    /// The stream is over.
    Ended,
}

/// Both ends of the channel; clones are the same. Belongs to one executor.
#[derive(Clone)]
pub struct ReportChannel(Rc<ReportQueue>);

struct ReportQueue {
    /// Each with the number of its shard.
    reports: RefCell<VecDeque<(usize, Report)>>,
    arrived: Wakeup,
    /// The stream that is open, if one is.
    stream: Cell<Option<(u64, ReportScope)>>,
    streams: Cell<u64>,
    credits: RefCell<Vec<ShardCredit>>,
    /// There may be a [`StreamGrant`] to be told.
    granted: Rc<Wakeup>,
}

#[derive(Clone, Default)]
struct ShardCredit {
    /// The stream that the shard knows of.
    told: Option<u64>,
    /// Reports that the stream has taken and that were not granted again.
    taken: usize,
}

impl std::fmt::Debug for ReportChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportChannel").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl ReportChannel {
    /// An empty channel without a stream.
    pub fn new(shards: usize) -> Self {
        Self(Rc::new(ReportQueue {
            reports: RefCell::default(),
            arrived: Wakeup::default(),
            stream: Cell::default(),
            streams: Cell::default(),
            credits: RefCell::new(vec![ShardCredit::default(); shards]),
            granted: Rc::default(),
        }))
    }

    /// Notified whenever there may be a [grant](Self::next_grant).
    pub(crate) fn granted(&self) -> Rc<Wakeup> {
        Rc::clone(&self.0.granted)
    }

    /// A stream was opened.
    pub fn open(&self, scope: ReportScope) {
        let stream = self.0.streams.get() + 1;
        self.0.streams.set(stream);
        self.0.stream.set(Some((stream, scope)));
        // What is left was meant for another stream.
        self.0.reports.borrow_mut().clear();
        self.0.credits.borrow_mut().iter_mut().for_each(|credit| credit.taken = 0);
        self.0.granted.notify();
    }

    /// The stream is over.
    pub fn close(&self) {
        self.0.stream.set(None);
        self.0.granted.notify();
    }

    /// How many reports wait for the stream.
    pub fn waiting(&self) -> usize {
        self.0.reports.borrow().len()
    }

    /// Waits until there is a report.
    pub async fn not_empty(&self) {
        self.0.arrived.until(|| (self.waiting() > 0).then_some(())).await;
    }

    /// Takes a report for the stream.
    pub fn take(&self) -> Option<Report> {
        let (shard, report) = self.0.reports.borrow_mut().pop_front()?;
        if let Some(credit) = self.0.credits.borrow_mut().get_mut(shard) {
            credit.taken += 1;
            if credit.taken == CREDIT_STEP {
                self.0.granted.notify();
            }
        }
        Some(report)
    }

    /// Reports of a shard, in the order in which they are to be sent. Those for a stream that is over
    /// are dropped.
    pub fn push(&self, shard: usize, stream: u64, reports: Vec<Report>) {
        if self.0.stream.get().is_some_and(|(open, _)| open == stream) {
            self.0.reports.borrow_mut().extend(reports.into_iter().map(|report| (shard, report)));
            self.0.arrived.notify();
        }
    }

    /// What a shard is to be told, where it does not know that yet.
    pub fn next_grant(&self, shard: usize) -> Option<StreamGrant> {
        let mut credits = self.0.credits.borrow_mut();
        let credit = credits.get_mut(shard)?;
        let open = self.0.stream.get();
        let told = std::mem::replace(&mut credit.told, open.map(|(stream, _)| stream));
        match open {
            Some((stream, scope)) if told != Some(stream) => Some(StreamGrant::Opened { stream, scope }),
            Some((stream, _)) if credit.taken >= CREDIT_STEP => {
                Some(StreamGrant::Credit { stream, reports: std::mem::take(&mut credit.taken) })
            }
            None if told.is_some() => Some(StreamGrant::Ended),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{
        object::{Catalog, ObjectKey},
        report::ReportBody,
    };

    fn reports(n: usize) -> Vec<Report> {
        let stack = Catalog::new(Vec::new()).stack;
        let report = |n| Report {
            body: ReportBody::gone(&ObjectKey::new(&stack, &format!("s-{n}"))).unwrap(),
            trace: None,
        };
        (0..n).map(report).collect()
    }

    #[test]
    fn what_the_stream_takes_is_granted_again_to_the_shard_that_it_was_of() {
        let channel = ReportChannel::new(2);
        assert_eq!(channel.next_grant(0), None);
        channel.open(ReportScope::Everything);
        let opened = StreamGrant::Opened { stream: 1, scope: ReportScope::Everything };
        assert_eq!((channel.next_grant(0), channel.next_grant(1)), (Some(opened), Some(opened)));
        channel.push(0, 1, reports(CREDIT));
        assert_eq!(channel.next_grant(0), None, "nothing was taken yet");
        (0..CREDIT_STEP).for_each(|_| drop(channel.take().unwrap()));
        assert_eq!(channel.next_grant(1), None);
        assert_eq!(channel.next_grant(0), Some(StreamGrant::Credit { stream: 1, reports: CREDIT_STEP }));
        assert_eq!(channel.next_grant(0), None, "it was told");
    }

    #[test]
    fn what_was_for_a_stream_that_is_over_is_dropped() {
        let channel = ReportChannel::new(1);
        channel.open(ReportScope::Everything);
        channel.push(0, 1, reports(3));
        channel.close();
        assert_eq!((channel.waiting(), channel.next_grant(0)), (3, None), "it never knew of the stream");
        channel.open(ReportScope::Changes);
        assert_eq!(channel.waiting(), 0);
        channel.push(0, 1, reports(3));
        assert_eq!(channel.waiting(), 0);
        assert!(matches!(channel.next_grant(0), Some(StreamGrant::Opened { stream: 2, .. })));
        channel.close();
        assert_eq!((channel.next_grant(0), channel.next_grant(0)), (Some(StreamGrant::Ended), None));
    }
}
