use super::*;
use crate::{
    OrderClass,
    testing::{Numbered, run},
    time::{Duration, now},
};
use glommio::timer::sleep;

fn snapshot(n: u32) -> Numbered {
    Numbered(OrderClass::Snapshot, n)
}

fn removal(n: u32) -> Numbered {
    Numbered(OrderClass::Removal, n)
}

type TestSlot = Slot<&'static str, Numbered>;

/// A handler out of a closure.
struct With<F>(F);

impl<F, Fut> Handler<&'static str, Numbered> for With<F>
where
    F: Fn(TestSlot, Numbered) -> Fut + 'static,
    Fut: Future<Output = Outcome<Numbered>>,
{
    async fn handle(&self, slot: TestSlot, order: Numbered) -> Outcome<Numbered> {
        (self.0)(slot, order).await
    }
}

/// What a handler saw, as (key, number).
type HandledLog = Rc<RefCell<Vec<(&'static str, u32)>>>;

#[test]
fn no_more_keys_are_in_flight_than_may_be() {
    run(async {
        let (flying, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let dispatcher = Dispatcher::new(
            With({
                let (flying, most) = (flying.clone(), most.clone());
                move |_, _| {
                    let (flying, most) = (flying.clone(), most.clone());
                    async move {
                        flying.set(flying.get() + 1);
                        most.set(flying.get().max(most.get()));
                        sleep(Duration::from_millis(1)).await;
                        flying.set(flying.get() - 1);
                        Outcome::Done
                    }
                }
            }),
            3,
        );
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert!(dispatcher.offer(key, snapshot(1)).is_empty());
        }
        dispatcher.idle().await;
        assert_eq!((most.get(), flying.get()), (3, 0));
        assert_eq!(dispatcher.stats(), Stats::default());
        dispatcher.drain().await;
    });
}

#[test]
fn a_hot_key_with_ten_thousand_orders_does_not_hold_up_others() {
    run(async {
        let log = HandledLog::default();
        // Follows every successor at once, with a pause in which the next can arrive.
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, mut order: Numbered| {
                let log = log.clone();
                async move {
                    loop {
                        sleep(Duration::from_micros(50)).await;
                        match slot.successor() {
                            Some(newer) => order = newer,
                            None => break,
                        }
                        if slot.should_yield() {
                            return Outcome::Requeue {
                                order,
                                at: now(),
                                policy: RequeuePolicy::UntilSuperseded,
                            };
                        }
                    }
                    log.borrow_mut().push((*slot.key(), order.1));
                    Outcome::Done
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 1);
        let mut budget = CoopBudget::new();
        for n in 1..=10_000 {
            let _ = dispatcher.offer("hot", snapshot(n));
            if n == 5_000 {
                let _ = dispatcher.offer("cold", snapshot(0));
            }
            budget.check().await;
            if n % 10 == 0 {
                sleep(Duration::from_micros(20)).await;
            }
        }
        let before_the_end = log.borrow().contains(&("cold", 0));
        dispatcher.idle().await;
        assert!(before_the_end, "the other key waited for the storm to end");
        assert_eq!(log.borrow().iter().rfind(|(key, _)| *key == "hot"), Some(&("hot", 10_000)));
        dispatcher.drain().await;
    });
}

#[test]
fn with_more_hot_keys_than_slots_others_get_turns() {
    run(async {
        let log = HandledLog::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    sleep(Duration::from_micros(100)).await;
                    Outcome::Done
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 2);
        for round in 1..=100 {
            // Removals do not give way, so each hot key always has one in flight and one waiting.
            for key in ["hot-1", "hot-2", "hot-3", "hot-4"] {
                let _ = dispatcher.offer(key, removal(round));
            }
            if round == 50 {
                let _ = dispatcher.offer("cold", snapshot(0));
            }
            sleep(Duration::from_micros(200)).await;
        }
        dispatcher.idle().await;
        let log = log.borrow().clone();
        let cold = log.iter().position(|(key, _)| *key == "cold").unwrap();
        let after = log[cold..].iter().filter(|(key, _)| *key == "hot-1").count();
        assert!(after > 3, "{after} turns of a hot key after the cold one's");
        dispatcher.drain().await;
    });
}

#[test]
fn an_order_put_off_holds_no_slot_and_comes_back_in_time() {
    run(async {
        let log = HandledLog::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    if *slot.key() == "later" && order.1 == 1 {
                        let at = now() + Duration::from_millis(30);
                        return Outcome::Requeue {
                            order: snapshot(2),
                            at,
                            policy: RequeuePolicy::UntilSuperseded,
                        };
                    }
                    Outcome::Done
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 1);
        let _ = dispatcher.offer("later", snapshot(1));
        dispatcher.idle().await;
        assert_eq!(dispatcher.stats().deferred, 1);
        let _ = dispatcher.offer("other", snapshot(1));
        dispatcher.idle().await;
        assert_eq!(*log.borrow(), [("later", 1), ("other", 1)]);
        sleep(Duration::from_millis(60)).await;
        assert_eq!(*log.borrow(), [("later", 1), ("other", 1), ("later", 2)]);
        dispatcher.drain().await;
    });
}

#[test]
fn earlier_and_later_deferrals_each_come_in_time() {
    run(async {
        let log = HandledLog::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    if order.1 == 0 {
                        log.borrow_mut().push((*slot.key(), 0));
                        return Outcome::Done;
                    }
                    let at = now() + Duration::from_millis(u64::from(order.1));
                    Outcome::Requeue { order: snapshot(0), at, policy: RequeuePolicy::UntilNewer }
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 4);
        let _ = dispatcher.offer("late", snapshot(60));
        dispatcher.idle().await;
        let _ = dispatcher.offer("soon", snapshot(20));
        sleep(Duration::from_millis(120)).await;
        assert_eq!(*log.borrow(), [("soon", 0), ("late", 0)]);
        dispatcher.drain().await;
    });
}

#[test]
fn a_wake_brings_an_order_back_at_once() {
    run(async {
        let log = HandledLog::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    if log.borrow().len() > 1 {
                        return Outcome::Done;
                    }
                    Outcome::Requeue {
                        order,
                        at: now() + Duration::from_secs(60),
                        policy: RequeuePolicy::UntilSuperseded,
                    }
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 1);
        let _ = dispatcher.offer("a", snapshot(1));
        dispatcher.idle().await;
        dispatcher.wake(&"a");
        dispatcher.idle().await;
        assert_eq!(*log.borrow(), [("a", 1), ("a", 1)]);
        dispatcher.drain().await;
    });
}

#[test]
fn a_drain_waits_for_orders_in_flight_and_takes_up_no_more() {
    run(async {
        let log = HandledLog::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    sleep(Duration::from_millis(10)).await;
                    assert!(slot.should_yield(), "a drain asks for the slot");
                    log.borrow_mut().push((*slot.key(), order.1));
                    Outcome::Done
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 1);
        let _ = dispatcher.offer("a", snapshot(1));
        let _ = dispatcher.offer("b", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        dispatcher.drain().await;
        assert_eq!(*log.borrow(), [("a", 1)]);
        assert_eq!(dispatcher.stats().ready, 1, "what was not taken up can be seen");
        dispatcher.idle().await;
    });
}

#[test]
fn an_abort_drops_orders_in_flight() {
    run(async {
        let alive = Rc::new(());
        let handler = With({
            let alive = alive.clone();
            move |_, _| {
                let alive = alive.clone();
                async move {
                    sleep(Duration::from_secs(60)).await;
                    drop(alive);
                    Outcome::Done
                }
            }
        });
        let dispatcher = Dispatcher::new(handler, 2);
        let _ = dispatcher.offer("a", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&alive), 3);
        dispatcher.abort();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&alive), 2, "only the handler itself is left");
    });
}

#[test]
fn orders_put_off_too_late_are_displaced_of() {
    struct DisplacedLog(RefCell<Vec<u32>>);
    impl Handler<&'static str, Numbered> for Rc<DisplacedLog> {
        async fn handle(&self, _: TestSlot, order: Numbered) -> Outcome<Numbered> {
            sleep(Duration::from_millis(2)).await;
            if order.1 == 2 {
                return Outcome::Done;
            }
            Outcome::Requeue {
                order,
                at: now() + Duration::from_secs(60),
                policy: RequeuePolicy::UntilSuperseded,
            }
        }

        fn displaced(&self, _: &&'static str, order: Numbered) {
            self.0.borrow_mut().push(order.1);
        }
    }
    run(async {
        let displaced = Rc::new(DisplacedLog(RefCell::default()));
        let dispatcher = Dispatcher::new(displaced.clone(), 1);
        let _ = dispatcher.offer("a", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        let _ = dispatcher.offer("a", snapshot(2));
        dispatcher.idle().await;
        assert_eq!((displaced.0.borrow().as_slice(), dispatcher.stats().keys), (&[1][..], 0));
        dispatcher.drain().await;
    });
}

#[test]
fn a_panic_in_a_handler_ends_the_shard_and_is_reported() {
    let pool =
        crate::start(crate::PoolConfig::new("handler", 2), |context: crate::ShardContext<()>| async move {
            let dispatcher = Dispatcher::new(With(|_, _| async { panic!("bad order") }), 1);
            if context.id.index() == 1 {
                let _ = dispatcher.offer("a", snapshot(1));
            }
            context.stop.wait().await;
            dispatcher.drain().await;
        });
    let errors: Vec<_> = pool.unwrap().join().into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shard 1 panicked: bad order"]);
}
