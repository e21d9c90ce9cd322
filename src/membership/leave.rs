//! Leaving in two steps: first no more orders are handed on while what is under way may end
//! and be reported, then the stream is closed.

use std::{cell::Cell, rc::Rc};

use shards::Wakeup;

/// How far the leaving is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stage {
    /// Not leaving.
    #[default]
    Stay,
    /// Orders are no longer handed on; Pings are answered, heartbeats and reports go out.
    NoOrders,
    /// What waits to be sent is sent, then the stream is closed.
    Close,
}

#[derive(Debug, Default)]
struct Shared {
    stage: Cell<Stage>,
    changed: Wakeup,
}

/// Asks a session to leave. Belongs to one executor.
#[derive(Debug, Clone, Default)]
pub struct Leaver(Rc<Shared>);

/// What a session looks at.
#[derive(Debug, Clone)]
pub struct Leave(Rc<Shared>);

impl Leaver {
    /// Nobody leaves yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For [`crate::membership::session::Session::run`].
    pub fn leave(&self) -> Leave {
        Leave(self.0.clone())
    }

    /// First step: no more orders.
    pub fn stop_orders(&self) {
        self.reach(Stage::NoOrders);
    }

    /// Second step: send what is left and close.
    pub fn close(&self) {
        self.reach(Stage::Close);
    }

    fn reach(&self, stage: Stage) {
        if self.0.stage.get() < stage {
            self.0.stage.set(stage);
            self.0.changed.notify();
        }
    }
}

impl Leave {
    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.0.stage.get()
    }

    /// Waits for a stage.
    pub async fn reached(&self, stage: Stage) {
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
            let leaver = Leaver::new();
            let leave = leaver.leave();
            assert!(timeout(Duration::from_millis(2), leave.reached(Stage::NoOrders)).await.is_err());
            let waiting = spawn({
                let leave = leave.clone();
                async move { leave.reached(Stage::NoOrders).await }
            });
            sleep(Duration::from_millis(1)).await;
            leaver.close();
            waiting.await;
            leaver.stop_orders();
            assert_eq!(leave.stage(), Stage::Close);
        });
    }
}
