//! Permits: the right to have one request in flight, given out in the order asked for.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use futures::channel::oneshot;

use super::limiter::TokenBucket;
use crate::{net, time};

/// The queue for permits: a [`TokenBucket`] says how fast, a bound how many at a time.
#[derive(Clone)]
pub struct Permits(Rc<PermitQueue>);

struct PermitQueue {
    bucket: RefCell<TokenBucket>,
    in_flight: Cell<usize>,
    max_in_flight: usize,
    /// Who waits, by ticket: the lowest is served first.
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<Permit>>>,
    next_ticket: Cell<u64>,
    /// Hands out permits once there is a token again.
    timer: RefCell<Option<net::Task<()>>>,
    timer_at: Cell<Option<Instant>>,
}

/// The right to one request. Dropped without having been [used](Permit::spend), its token goes back.
pub struct Permit {
    permits: Weak<PermitQueue>,
    spent: bool,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("spent", &self.spent).finish_non_exhaustive()
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits")
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Permits {
    /// A queue in front of `bucket`, with at most `max_in_flight` permits out (at least one).
    pub fn new(bucket: TokenBucket, max_in_flight: usize) -> Self {
        Self(Rc::new(PermitQueue {
            bucket: RefCell::new(bucket),
            in_flight: Cell::new(0),
            max_in_flight: max_in_flight.max(1),
            waiting: RefCell::default(),
            next_ticket: Cell::new(0),
            timer: RefCell::default(),
            timer_at: Cell::new(None),
        }))
    }

    /// Waits for its turn. Giving up (dropping the future) costs nobody anything.
    pub async fn acquire(&self) -> Permit {
        let ticket = self.0.next_ticket.get();
        self.0.next_ticket.set(ticket + 1);
        let (sender, receiver) = oneshot::channel();
        self.0.waiting.borrow_mut().insert(ticket, sender);
        let _leave = TicketGuard { permits: &self.0, ticket };
        serve(&self.0);
        match receiver.await {
            Ok(permit) => permit,
            // Only this future itself takes its ticket back.
            Err(oneshot::Canceled) => std::future::pending().await,
        }
    }

    /// Gives out nothing for this long.
    pub fn pause(&self, pause: Duration) {
        self.0.bucket.borrow_mut().pause(time::now(), pause);
    }

    /// Until when nothing is given out because of a [pause](Self::pause), if there is one.
    pub fn paused_until(&self) -> Option<Instant> {
        self.0.bucket.borrow().paused_until(time::now())
    }

    /// Permits that are out.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.get()
    }

    /// Those who wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.borrow().len()
    }
}

impl Permit {
    /// The request goes out: its token is gone, its place is held until the permit is dropped.
    pub fn spend(&mut self) {
        self.spent = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permits) = self.permits.upgrade() else { return };
        permits.in_flight.set(permits.in_flight.get() - 1);
        if !self.spent {
            permits.bucket.borrow_mut().put_back();
        }
        serve(&permits);
    }
}

/// Takes a ticket back when its waiter goes.
struct TicketGuard<'a> {
    permits: &'a Rc<PermitQueue>,
    ticket: u64,
}

impl Drop for TicketGuard<'_> {
    fn drop(&mut self) {
        self.permits.waiting.borrow_mut().remove(&self.ticket);
    }
}

/// Hands out what can be handed out now, and sets the timer for the rest.
fn serve(permits: &Rc<PermitQueue>) {
    while permits.in_flight.get() < permits.max_in_flight && !permits.waiting.borrow().is_empty() {
        let taken = permits.bucket.borrow_mut().take(time::now());
        if let Err(at) = taken {
            return wake_at(permits, at);
        }
        let Some((_, waiter)) = permits.waiting.borrow_mut().pop_first() else { return };
        permits.in_flight.set(permits.in_flight.get() + 1);
        // One who is gone drops the permit, and that comes back here.
        let _ = waiter.send(Permit { permits: Rc::downgrade(permits), spent: false });
    }
}

fn wake_at(permits: &Rc<PermitQueue>, at: Instant) {
    if permits.timer_at.get().is_some_and(|set| set <= at) {
        return;
    }
    permits.timer_at.set(Some(at));
    // The one that was set for later is cancelled.
    drop(permits.timer.take());
    let weak = Rc::downgrade(permits);
    let task = net::spawn(async move {
        net::sleep(at.saturating_duration_since(time::now())).await;
        if let Some(permits) = weak.upgrade() {
            permits.timer_at.set(None);
            // The handle of this very task: let go of, since dropping it would cancel what is
            // still to be done here.
            if let Some(this) = permits.timer.take() {
                this.detach();
            }
            serve(&permits);
        }
    });
    // A new task is polled at once, and where the time has come meanwhile it has ended by now:
    // the timer that is set then is the next one, which must not be cancelled for it.
    if permits.timer_at.get() == Some(at) {
        permits.timer.replace(Some(task));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::{FutureExt, poll};

    use super::*;
    use crate::net::testing::run;

    fn permits(rate: f64, burst: u32, max_in_flight: usize) -> Permits {
        Permits::new(TokenBucket::new(rate, burst, time::now()), max_in_flight)
    }

    #[test]
    fn are_given_in_the_order_asked_for() {
        run(async {
            let permits = permits(0.0, 1, 1);
            let held = permits.acquire().await;
            let mut first = Box::pin(permits.acquire());
            let mut second = Box::pin(permits.acquire());
            assert!(poll!(&mut second).is_pending() && poll!(&mut first).is_pending());
            // Tickets count from the first poll: `second` came first.
            drop(held);
            assert!(poll!(&mut first).is_pending());
            let Poll::Ready(permit) = poll!(&mut second) else { panic!() };
            drop(permit);
            assert!(poll!(&mut first).is_ready());
        });
    }

    #[test]
    fn no_more_are_out_than_the_bound() {
        run(async {
            let permits = permits(0.0, 1, 3);
            let held: Vec<_> = (0..3).map(|_| permits.acquire().now_or_never().unwrap()).collect();
            assert!(permits.acquire().now_or_never().is_none());
            assert_eq!(permits.in_flight(), 3);
            drop(held);
            assert_eq!(permits.in_flight(), 0);
        });
    }

    #[test]
    fn one_who_gives_up_leaves_no_trace() {
        run(async {
            let permits = permits(0.0, 1, 1);
            let held = permits.acquire().await;
            let mut waiting = Box::pin(permits.acquire());
            assert!(poll!(&mut waiting).is_pending());
            drop(waiting);
            assert_eq!(permits.waiting(), 0);
            // Given up after the permit was sent, before it was seen.
            let mut waiting = Box::pin(permits.acquire());
            assert!(poll!(&mut waiting).is_pending());
            drop(held);
            assert_eq!(permits.in_flight(), 1);
            drop(waiting);
            assert_eq!(permits.in_flight(), 0);
        });
    }

    #[test]
    fn an_unused_permit_costs_no_token() {
        run(async {
            let permits = permits(0.001, 1, 10);
            for _ in 0..5 {
                drop(permits.acquire().now_or_never().unwrap());
            }
            let mut permit = permits.acquire().now_or_never().unwrap();
            permit.spend();
            drop(permit);
            assert!(permits.acquire().now_or_never().is_none());
        });
    }

    #[test]
    fn are_given_at_the_rate_and_never_faster() {
        run(async {
            let permits = permits(200.0, 5, 100);
            let begun = time::now();
            let given = Rc::new(Cell::new(0u32));
            let tasks: Vec<_> = (0..40)
                .map(|_| {
                    let (permits, given) = (permits.clone(), given.clone());
                    net::spawn(async move {
                        permits.acquire().await.spend();
                        given.set(given.get() + 1);
                        let allowed = 5.0 + 200.0 * begun.elapsed().as_secs_f64();
                        assert!(f64::from(given.get()) <= allowed + 1e-3, "{} > {allowed}", given.get());
                    })
                })
                .collect();
            futures::future::join_all(tasks).await;
            assert!(begun.elapsed() >= Duration::from_millis(174), "{:?}", begun.elapsed());
        });
    }

    #[test]
    fn a_time_that_has_come_before_the_timer_is_set_stops_nobody() {
        run(async {
            // So often that now and then the next token is there before its timer is.
            for rate in [1e4, 3e4, 1e5, 3e5, 1e6] {
                let permits = permits(rate, 1, 10_000);
                let waiting = (0..1000).map(|_| async { permits.acquire().await.spend() });
                let all = futures::future::join_all(waiting);
                assert!(net::timeout(Duration::from_secs(5), all).await.is_ok(), "{permits:?}");
            }
        });
    }

    #[test]
    fn a_pause_holds_those_who_wait() {
        run(async {
            let permits = permits(0.0, 1, 100);
            permits.pause(Duration::from_millis(60));
            let begun = time::now();
            let (_one, _two) = futures::join!(permits.acquire(), permits.acquire());
            assert!(begun.elapsed() >= Duration::from_millis(60));
        });
    }
}
