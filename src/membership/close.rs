//! Leaving in two steps: first no more orders are handed on while what is under way may end
//! and be reported, then the stream is closed.

use std::{cell::Cell, rc::Rc};

use shards::Wakeup;

/// How far the leaving is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CloseStage {
    /// Not leaving.
    #[default]
    Open,
    /// Orders are no longer handed on; Pings are answered, heartbeats and reports go out.
    NoOrders,
    /// What waits to be sent is sent, then the stream is closed.
    Close,
}

#[derive(Debug, Default)]
struct CloseState {
    stage: Cell<CloseStage>,
    changed: Wakeup,
}

/// Asks a session to leave. Belongs to one executor.
#[derive(Debug, Clone, Default)]
pub struct SessionCloser(Rc<CloseState>);

/// What a session looks at.
#[derive(Debug, Clone)]
pub struct CloseSignal(Rc<CloseState>);

impl SessionCloser {
    /// Nobody leaves yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For [`crate::membership::session::Session::run`].
    pub fn signal(&self) -> CloseSignal {
        CloseSignal(self.0.clone())
    }

    /// First step: no more orders.
    pub fn stop_orders(&self) {
        self.reach(CloseStage::NoOrders);
    }

    /// Second step: send what is left and close.
    pub fn close(&self) {
        self.reach(CloseStage::Close);
    }

    fn reach(&self, stage: CloseStage) {
        if self.0.stage.get() < stage {
            self.0.stage.set(stage);
            self.0.changed.notify();
        }
    }
}

impl CloseSignal {
    /// How far it is.
    pub fn stage(&self) -> CloseStage {
        self.0.stage.get()
    }

    /// Waits for a stage.
    pub async fn reached(&self, stage: CloseStage) {
        self.0.changed.until(|| (self.stage() >= stage).then_some(())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::{sleep, spawn, testing::run, timeout};

    #[test]
    fn a_stage_is_waited_for_and_never_taken_back() {
        run(async {
            let closer = SessionCloser::new();
            let closing = closer.signal();
            assert!(timeout(Duration::from_millis(2), closing.reached(CloseStage::NoOrders)).await.is_err());
            let waiting = spawn({
                let closing = closing.clone();
                async move { closing.reached(CloseStage::NoOrders).await }
            });
            sleep(Duration::from_millis(1)).await;
            closer.close();
            waiting.await;
            closer.stop_orders();
            assert_eq!(closing.stage(), CloseStage::Close);
        });
    }
}
