//! Sleeping, deadlines, and hyper's timer.

use std::{
    cell::RefCell,
    collections::HashMap,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use shards::engine::Timer;

use crate::time;

/// Waits.
pub async fn sleep(duration: Duration) {
    Timer::new(duration).await;
}

/// A deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no result within {0:?}")]
pub struct Elapsed(pub Duration);

/// Waits for `future`, at most for `limit`; then `future` is dropped.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut future = pin!(future);
    let mut timer = Timer::new(limit);
    std::future::poll_fn(|cx| {
        // The result wins where both are ready: it is there.
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut timer).poll(cx).map(|()| Err(Elapsed(limit)))
    })
    .await
}

/// hyper's timer over glommio's.
#[derive(Debug, Clone, Copy, Default)]
pub struct HyperTimer;

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(time::after(time::now(), duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), deadline })
    }

    fn now(&self) -> Instant {
        time::now()
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static TIMERS: RefCell<HashMap<u64, Timer>> = RefCell::new(HashMap::new());
}

/// hyper asks for `Send + Sync` sleeps though it never moves them off the executor, and
/// glommio's timers are neither. So this is a name and a deadline; the timer that it stands
/// for lies in a map of the thread that polls it.
#[derive(Debug)]
struct Sleep {
    id: u64,
    deadline: Instant,
}

impl hyper::rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        TIMERS.with_borrow_mut(|timers| {
            let timer = timers
                .entry(self.id)
                .or_insert_with(|| Timer::new(self.deadline.saturating_duration_since(time::now())));
            Pin::new(timer).poll(cx)
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Fails while the thread ends; then the map is gone as well.
        let _ = TIMERS.try_with(|timers| timers.borrow_mut().remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer as _;

    use super::*;
    use crate::testing::run;

    #[test]
    fn a_future_that_is_too_slow_is_dropped() {
        run(async {
            let limit = Duration::from_millis(5);
            assert_eq!(timeout(limit, std::future::pending::<()>()).await, Err(Elapsed(limit)));
            assert_eq!(timeout(limit, async { 3 }).await, Ok(3));
        });
    }

    #[test]
    fn a_limit_of_centuries_is_one() {
        run(async {
            for limit in [Duration::MAX, Duration::from_nanos(i64::MAX.unsigned_abs()), time::FOREVER] {
                let soon = sleep(Duration::from_millis(2));
                assert_eq!(timeout(limit, soon).await, Ok(()), "{limit:?}");
                assert!(timeout(Duration::from_millis(2), HyperTimer.sleep(limit)).await.is_err());
            }
        });
    }

    #[test]
    fn hypers_sleep_ends_at_its_deadline_and_leaves_nothing_behind() {
        run(async {
            let begun = time::now();
            HyperTimer.sleep(Duration::from_millis(10)).await;
            assert!(begun.elapsed() >= Duration::from_millis(10));
            assert_eq!(TIMERS.with_borrow(HashMap::len), 0);
        });
    }

    #[test]
    fn a_sleep_that_is_dropped_early_leaves_nothing_behind() {
        run(async {
            let long = HyperTimer.sleep(Duration::from_secs(60));
            assert!(timeout(Duration::from_millis(2), long).await.is_err());
            assert_eq!(TIMERS.with_borrow(HashMap::len), 0);
        });
    }
}
