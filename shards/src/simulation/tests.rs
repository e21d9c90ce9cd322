//! What a simulation promises.

use super::*;
use crate::{
    PoolConfig, ShardId, engine,
    simulation::{SimGroup, Simulation, contexts},
};
use std::time::Duration;

/// The order in which some tasks that sleep and yield came to their steps.
fn steps_of(seed: u64) -> Vec<(u32, Duration)> {
    let simulation = Simulation::new(seed);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    simulation.run(async move {
        let begun = engine::now();
        let tasks: Vec<_> = (0..5)
            .map(|task| {
                let log = Rc::clone(&log);
                engine::spawn(async move {
                    for step in 0..4 {
                        log.borrow_mut().push((task, engine::now() - begun));
                        match (task + step) % 2 {
                            0 => engine::next_turn().await,
                            _ => engine::sleep(Duration::from_millis(u64::from(task) * 10)).await,
                        }
                    }
                })
            })
            .collect();
        futures::future::join_all(tasks).await;
    });
    seen.take()
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    assert_eq!(steps_of(1), steps_of(1));
    assert_ne!(steps_of(1), steps_of(2));
}

#[test]
fn an_hour_passes_at_once() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let begun = engine::now();
        engine::sleep(Duration::from_secs(3600)).await;
        assert!(engine::now() - begun >= Duration::from_secs(3600));
    });
    assert!(simulation.steps() < 10);
}

#[test]
fn a_killed_group_drops_what_it_held_and_leaves_the_others() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let held = Rc::new(());
        let (group, other) = (SimGroup::new(), SimGroup::new());
        for group in [group, other] {
            let held = Rc::clone(&held);
            group
                .spawn(async move {
                    let inner = engine::spawn({
                        let held = Rc::clone(&held);
                        async move {
                            std::future::pending::<()>().await;
                            drop(held);
                        }
                    });
                    inner.await;
                    drop(held);
                })
                .detach();
        }
        engine::sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&held), 5);
        group.kill();
        assert_eq!(Rc::strong_count(&held), 3);
        other.kill();
        assert_eq!(Rc::strong_count(&held), 1);
    });
}

#[test]
fn a_dropped_task_is_cancelled_and_a_detached_one_goes_on() {
    let simulation = Simulation::new(1);
    simulation.run(async {
        let ran = Rc::new(Cell::new(0));
        let task = |by| {
            let ran = Rc::clone(&ran);
            engine::spawn(async move {
                engine::sleep(Duration::from_millis(1)).await;
                ran.set(ran.get() + by);
            })
        };
        drop(task(1));
        task(10).detach();
        assert_eq!(task(100).cancel().await, None);
        engine::sleep(Duration::from_millis(5)).await;
        assert_eq!(ran.get(), 10);
    });
}

#[test]
fn shards_send_to_each_other() {
    let simulation = Simulation::new(7);
    simulation.run(async {
        let (shards, _stopper) = contexts::<usize>(&PoolConfig::new("simulated", 3));
        let sums = shards.into_iter().map(|mut shard| {
            engine::spawn(async move {
                for to in 0..shard.shards {
                    for n in 1..=100 {
                        assert!(shard.router.send(ShardId::new(to), n).await.is_ok());
                    }
                }
                shard.router.close();
                let mut sum = 0;
                while let Some(n) = shard.inbox.recv().await {
                    sum += n;
                }
                sum
            })
        });
        let sums: Vec<usize> = futures::future::join_all(sums).await;
        assert_eq!(sums, [15150, 15150, 15150]);
    });
}
