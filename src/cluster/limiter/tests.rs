use std::task::Poll;

use futures::{FutureExt, poll};
use proptest::prelude::*;

use super::*;
use crate::net::testing::run;

fn start() -> Instant {
    crate::time::now()
}

#[test]
fn grants_the_burst_at_once_and_then_the_rate() {
    let t0 = start();
    let mut bucket = TokenBucket::new(10.0, 3, t0);
    for _ in 0..3 {
        assert_eq!(bucket.take(t0), Ok(()));
    }
    let at = bucket.take(t0).unwrap_err();
    assert!(at > t0 + Duration::from_millis(99) && at < t0 + Duration::from_millis(101));
    assert_eq!(bucket.take(at), Ok(()));
    assert!(bucket.take(at).is_err());
}

#[test]
fn rate_zero_is_unlimited() {
    let t0 = start();
    let mut bucket = TokenBucket::new(0.0, 1, t0);
    assert!((0..10_000).all(|_| bucket.take(t0).is_ok()));
}

#[test]
fn a_burst_of_zero_still_lets_one_through() {
    let t0 = start();
    let mut bucket = TokenBucket::new(5.0, 0, t0);
    assert_eq!(bucket.take(t0), Ok(()));
}

#[test]
fn a_pause_holds_everything_back_and_no_burst_follows_it() {
    let t0 = start();
    let mut bucket = TokenBucket::new(10.0, 100, t0);
    bucket.pause(t0, Duration::from_secs(5));
    assert_eq!(bucket.take(t0 + Duration::from_secs(4)), Err(t0 + Duration::from_secs(5)));
    let after = t0 + Duration::from_secs(5);
    let granted = (0..100).filter(|_| bucket.take(after).is_ok()).count();
    assert_eq!(granted, 1);
}

#[test]
fn a_pause_holds_an_unlimited_bucket_too() {
    let t0 = start();
    let mut bucket = TokenBucket::new(0.0, 1, t0);
    bucket.pause(t0, Duration::from_secs(1));
    assert_eq!(bucket.take(t0), Err(t0 + Duration::from_secs(1)));
    assert_eq!(bucket.take(t0 + Duration::from_secs(1)), Ok(()));
}

#[test]
fn a_shorter_pause_does_not_cut_a_longer_one_and_none_lasts_for_ever() {
    let t0 = start();
    let mut bucket = TokenBucket::new(10.0, 1, t0);
    bucket.pause(t0, Duration::from_secs(86_400));
    bucket.pause(t0, Duration::from_secs(1));
    assert!(bucket.take(t0 + LONGEST_PAUSE - Duration::from_millis(1)).is_err());
    assert_eq!(bucket.take(t0 + LONGEST_PAUSE), Ok(()));
}

#[test]
fn a_pause_of_any_length_is_over_after_a_minute() {
    for pause in [Duration::from_secs(99_999_999), Duration::from_secs(u64::MAX), Duration::MAX] {
        let t0 = start();
        let mut bucket = TokenBucket::new(10.0, 1, t0);
        bucket.pause(t0, pause);
        assert_eq!(bucket.take(t0 + LONGEST_PAUSE), Ok(()), "{pause:?}");
    }
}

#[test]
fn a_rate_of_any_size_is_one() {
    let t0 = start();
    for rate in [f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, -1.0] {
        let mut bucket = TokenBucket::new(rate, u32::MAX, t0);
        assert_eq!(bucket.take(t0), Ok(()), "{rate}");
        let mut bucket = TokenBucket::new(rate, 1, t0);
        let _ = bucket.take(t0);
        if let Err(at) = bucket.take(t0) {
            assert!(at > t0 && at <= t0 + Duration::from_secs(3601), "{rate}");
            assert!(bucket.take(t0 + Duration::from_secs(86_400)).is_ok() || rate < 1e-6, "{rate}");
        }
    }
}

#[test]
fn an_unused_token_goes_back() {
    let t0 = start();
    let mut bucket = TokenBucket::new(1.0, 1, t0);
    assert_eq!(bucket.take(t0), Ok(()));
    bucket.put_back();
    bucket.put_back();
    assert_eq!(bucket.take(t0), Ok(()));
    assert!(bucket.take(t0).is_err());
}

proptest! {
    #[test]
    fn never_grants_more_than_burst_and_rate_allow(
        rate in 0.5f64..500.0,
        burst in 1u32..50,
        steps in prop::collection::vec(0u64..20_000, 1..300),
    ) {
        let t0 = start();
        let mut bucket = TokenBucket::new(rate, burst, t0);
        let (mut now, mut granted) = (t0, 0u32);
        for micros in steps {
            now += Duration::from_micros(micros);
            while bucket.take(now).is_ok() {
                granted += 1;
            }
            let allowed = f64::from(burst) + rate * (now - t0).as_secs_f64();
            prop_assert!(f64::from(granted) <= allowed + 1e-6);
        }
    }

    #[test]
    fn at_the_time_it_names_there_is_a_token(rate in 0.5f64..500.0, offset in 0u64..5_000) {
        let t0 = start();
        let mut bucket = TokenBucket::new(rate, 1, t0);
        prop_assert!(bucket.take(t0 + Duration::from_micros(offset)).is_ok());
        let at = bucket.take(t0 + Duration::from_micros(offset)).unwrap_err();
        prop_assert!(bucket.take(at).is_ok());
    }
}

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
