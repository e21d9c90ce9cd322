//! The right to send requests: how fast (a token bucket, pure), and how many at a time (permits, given
//! out in the order asked for).

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use futures::channel::oneshot;

use crate::{
    net,
    time::{self, after, seconds},
};

/// The longest that one `Retry-After` may hold everything back.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A token bucket: `rate` tokens a second, at most `burst` saved up.
///
/// Over any stretch of `t` seconds it grants at most `burst + rate * t`. A pause (the server
/// sent `Retry-After`) grants nothing until it is over and saves nothing up meanwhile, so that
/// no burst follows it.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    /// What `tokens` is true of. In the future while paused.
    counted_at: Instant,
}

impl TokenBucket {
    /// A full bucket. `rate` 0 (or less) means unlimited; `burst` is at least one, or nothing
    /// would ever be granted.
    pub fn new(rate: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        let rate = if rate.is_finite() && rate > 0.0 { rate } else { 0.0 };
        Self { rate, burst, tokens: burst, counted_at: now }
    }

    /// Takes a token, or says from when on there may be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if now < self.counted_at {
            return Err(self.ready_at());
        }
        if self.rate == 0.0 {
            return Ok(());
        }
        self.refill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(self.ready_at())
    }

    /// Puts back a token that was taken and not used.
    pub fn put_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Grants nothing for this long (bounded by [`LONGEST_PAUSE`]), and starts slowly afterwards.
    pub fn pause(&mut self, now: Instant, pause: Duration) {
        let until = after(now, pause.min(LONGEST_PAUSE));
        if until > self.counted_at {
            self.refill(now);
            self.counted_at = until;
            self.tokens = self.tokens.min(1.0);
        }
    }

    /// When a pause that lasts will be over.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        Some(self.counted_at).filter(|until| *until > now)
    }

    fn refill(&mut self, now: Instant) {
        if let Some(passed) = now.checked_duration_since(self.counted_at) {
            self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.burst);
            self.counted_at = now;
        }
    }

    fn ready_at(&self) -> Instant {
        if self.rate == 0.0 || self.tokens >= 1.0 {
            return self.counted_at;
        }
        // A nanosecond more than the division says, so that rounding never wakes anybody early.
        let missing = (1.0 - self.tokens) / self.rate;
        // No shorter wait than a timer is good for, no longer one than an hour (rates near zero).
        after(self.counted_at, seconds(missing.min(3600.0)).saturating_add(Duration::from_nanos(1)))
    }
}

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
mod tests;
