use super::*;
use crate::{
    Class,
    time::{Duration, now},
};
use glommio::timer::sleep;

/// A class and a number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbered(Class, u32);

impl Order for Numbered {
    fn class(&self) -> Class {
        self.0
    }
}

fn snapshot(n: u32) -> Numbered {
    Numbered(Class::Snapshot, n)
}

fn removal(n: u32) -> Numbered {
    Numbered(Class::Removal, n)
}

type TestSlot = Slot<&'static str, Numbered>;

/// A handler out of a closure.
struct With<F>(F);

impl<F, Fut> Handler<&'static str, Numbered> for With<F>
where
    F: Fn(TestSlot, Numbered) -> Fut + 'static,
    Fut: Future<Output = Verdict<Numbered>>,
{
    async fn handle(&self, slot: TestSlot, order: Numbered) -> Verdict<Numbered> {
        (self.0)(slot, order).await
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    glommio::LocalExecutorBuilder::default().io_memory(65536).make().unwrap().run(test)
}

/// What a handler saw, as (key, number).
type Log = Rc<RefCell<Vec<(&'static str, u32)>>>;

#[test]
fn no_more_keys_are_in_flight_than_may_be() {
    run(async {
        let (flying, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let runner = Runner::new(
            With({
                let (flying, most) = (flying.clone(), most.clone());
                move |_, _| {
                    let (flying, most) = (flying.clone(), most.clone());
                    async move {
                        flying.set(flying.get() + 1);
                        most.set(flying.get().max(most.get()));
                        sleep(Duration::from_millis(1)).await;
                        flying.set(flying.get() - 1);
                        Verdict::Done
                    }
                }
            }),
            3,
        );
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            assert!(runner.offer(key, snapshot(1)).is_empty());
        }
        runner.idle().await;
        assert_eq!((most.get(), flying.get()), (3, 0));
        assert_eq!(runner.stats(), Stats::default());
        runner.drain().await;
    });
}

#[test]
fn a_hot_key_with_ten_thousand_orders_does_not_hold_up_others() {
    run(async {
        let log = Log::default();
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
                            return Verdict::Later { order, at: now(), keep: Keep::UntilSuperseded };
                        }
                    }
                    log.borrow_mut().push((*slot.key(), order.1));
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 1);
        let mut turn = Turn::new();
        for n in 1..=10_000 {
            let _ = runner.offer("hot", snapshot(n));
            if n == 5_000 {
                let _ = runner.offer("cold", snapshot(0));
            }
            turn.check().await;
            if n % 10 == 0 {
                sleep(Duration::from_micros(20)).await;
            }
        }
        let before_the_end = log.borrow().contains(&("cold", 0));
        runner.idle().await;
        assert!(before_the_end, "the other key waited for the storm to end");
        assert_eq!(log.borrow().iter().rfind(|(key, _)| *key == "hot"), Some(&("hot", 10_000)));
        runner.drain().await;
    });
}

#[test]
fn with_more_hot_keys_than_slots_others_get_turns() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    sleep(Duration::from_micros(100)).await;
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 2);
        for round in 1..=100 {
            // Removals do not give way, so each hot key always has one in flight and one waiting.
            for key in ["hot-1", "hot-2", "hot-3", "hot-4"] {
                let _ = runner.offer(key, removal(round));
            }
            if round == 50 {
                let _ = runner.offer("cold", snapshot(0));
            }
            sleep(Duration::from_micros(200)).await;
        }
        runner.idle().await;
        let log = log.borrow().clone();
        let cold = log.iter().position(|(key, _)| *key == "cold").unwrap();
        let after = log[cold..].iter().filter(|(key, _)| *key == "hot-1").count();
        assert!(after > 3, "{after} turns of a hot key after the cold one's");
        runner.drain().await;
    });
}

#[test]
fn an_order_put_off_holds_no_slot_and_comes_back_in_time() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    if *slot.key() == "later" && order.1 == 1 {
                        let at = now() + Duration::from_millis(30);
                        return Verdict::Later { order: snapshot(2), at, keep: Keep::UntilSuperseded };
                    }
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 1);
        let _ = runner.offer("later", snapshot(1));
        runner.idle().await;
        assert_eq!(runner.stats().deferred, 1);
        let _ = runner.offer("other", snapshot(1));
        runner.idle().await;
        assert_eq!(*log.borrow(), [("later", 1), ("other", 1)]);
        sleep(Duration::from_millis(60)).await;
        assert_eq!(*log.borrow(), [("later", 1), ("other", 1), ("later", 2)]);
        runner.drain().await;
    });
}

#[test]
fn earlier_and_later_deferrals_each_come_in_time() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    if order.1 == 0 {
                        log.borrow_mut().push((*slot.key(), 0));
                        return Verdict::Done;
                    }
                    let at = now() + Duration::from_millis(u64::from(order.1));
                    Verdict::Later { order: snapshot(0), at, keep: Keep::UntilAnything }
                }
            }
        });
        let runner = Runner::new(handler, 4);
        let _ = runner.offer("late", snapshot(60));
        runner.idle().await;
        let _ = runner.offer("soon", snapshot(20));
        sleep(Duration::from_millis(120)).await;
        assert_eq!(*log.borrow(), [("soon", 0), ("late", 0)]);
        runner.drain().await;
    });
}

#[test]
fn a_wake_brings_an_order_back_at_once() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    log.borrow_mut().push((*slot.key(), order.1));
                    if log.borrow().len() > 1 {
                        return Verdict::Done;
                    }
                    Verdict::Later { order, at: now() + Duration::from_secs(60), keep: Keep::UntilSuperseded }
                }
            }
        });
        let runner = Runner::new(handler, 1);
        let _ = runner.offer("a", snapshot(1));
        runner.idle().await;
        runner.wake(&"a");
        runner.idle().await;
        assert_eq!(*log.borrow(), [("a", 1), ("a", 1)]);
        runner.drain().await;
    });
}

#[test]
fn a_handler_can_wait_to_be_superseded() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, mut order: Numbered| {
                let log = log.clone();
                async move {
                    while order.1 < 3 {
                        slot.wait_superseded().await;
                        order = slot.successor().unwrap();
                        log.borrow_mut().push((*slot.key(), order.1));
                    }
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 1);
        for n in 1..=3 {
            let _ = runner.offer("a", snapshot(n));
            sleep(Duration::from_millis(2)).await;
        }
        runner.idle().await;
        assert_eq!(*log.borrow(), [("a", 2), ("a", 3)]);
        runner.drain().await;
    });
}

#[test]
fn a_drain_waits_for_orders_in_flight_and_takes_up_no_more() {
    run(async {
        let log = Log::default();
        let handler = With({
            let log = log.clone();
            move |slot: TestSlot, order: Numbered| {
                let log = log.clone();
                async move {
                    sleep(Duration::from_millis(10)).await;
                    assert!(slot.should_yield(), "a drain asks for the slot");
                    log.borrow_mut().push((*slot.key(), order.1));
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 1);
        let _ = runner.offer("a", snapshot(1));
        let _ = runner.offer("b", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        runner.drain().await;
        assert_eq!(*log.borrow(), [("a", 1)]);
        assert_eq!(runner.stats().ready, 1, "what was not taken up can be seen");
        runner.idle().await;
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
                    Verdict::Done
                }
            }
        });
        let runner = Runner::new(handler, 2);
        let _ = runner.offer("a", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&alive), 3);
        runner.abort();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&alive), 2, "only the handler itself is left");
    });
}

#[test]
fn orders_put_off_too_late_are_told_of() {
    struct Told(RefCell<Vec<u32>>);
    impl Handler<&'static str, Numbered> for Rc<Told> {
        async fn handle(&self, _: TestSlot, order: Numbered) -> Verdict<Numbered> {
            sleep(Duration::from_millis(2)).await;
            if order.1 == 2 {
                return Verdict::Done;
            }
            Verdict::Later { order, at: now() + Duration::from_secs(60), keep: Keep::UntilSuperseded }
        }

        fn displaced(&self, _: &&'static str, order: Numbered) {
            self.0.borrow_mut().push(order.1);
        }
    }
    run(async {
        let told = Rc::new(Told(RefCell::default()));
        let runner = Runner::new(told.clone(), 1);
        let _ = runner.offer("a", snapshot(1));
        sleep(Duration::from_millis(1)).await;
        let _ = runner.offer("a", snapshot(2));
        runner.idle().await;
        assert_eq!((told.0.borrow().as_slice(), runner.stats().keys), (&[1][..], 0));
        runner.drain().await;
    });
}

#[test]
fn a_panic_in_a_handler_ends_the_shard_and_is_reported() {
    let pool = crate::start(crate::PoolConfig::new("handler", 2), |context: crate::Context<()>| async move {
        let runner = Runner::new(With(|_, _| async { panic!("bad order") }), 1);
        if context.id.index() == 1 {
            let _ = runner.offer("a", snapshot(1));
        }
        context.stop.wait().await;
        runner.drain().await;
    });
    let errors: Vec<_> = pool.unwrap().join().into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shard 1 panicked: bad order"]);
}
