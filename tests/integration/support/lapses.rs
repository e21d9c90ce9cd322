//! What a network does to a membership's inbox: the connection breaks behind a message, or a message
//! never arrives.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts messages (Pongs aside) from 1 on, over all streams of a membership. Clones are the same.
#[derive(Clone, Default)]
pub struct Lapses {
    came: Arc<AtomicUsize>,
    /// 0: none.
    cut_after: Arc<AtomicUsize>,
    /// 0: none.
    lost: Arc<AtomicUsize>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// It is heard.
    None,
    /// It is heard, and nothing behind it.
    Cut,
    /// It is not heard; all else is.
    Lost,
}

impl Lapses {
    pub fn cut_after(&self, nth: usize) {
        self.cut_after.store(nth, Ordering::Release);
    }

    pub fn lose(&self, nth: usize) {
        self.lost.store(nth, Ordering::Release);
    }

    /// Messages that came, the lost one included.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::Acquire)
    }

    /// One more message came.
    pub fn next(&self) -> Lapse {
        let nth = self.came.fetch_add(1, Ordering::AcqRel) + 1;
        if nth == self.lost.load(Ordering::Acquire) {
            Lapse::Lost
        } else if nth == self.cut_after.load(Ordering::Acquire) {
            Lapse::Cut
        } else {
            Lapse::None
        }
    }
}
