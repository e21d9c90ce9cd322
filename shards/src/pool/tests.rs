use super::*;

#[test]
fn every_shard_runs_once_on_its_own_thread() {
    let pool = start(PoolConfig::new("each", 4), |context: ShardContext<()>| async move {
        context.stop.request();
        (context.id.index(), context.shards, std::thread::current().name().map(str::to_owned))
    });
    let outcomes: Vec<_> = pool.unwrap().join().into_iter().map(Result::unwrap).collect();
    let expected: Vec<_> = (0..4).map(|n| (n, 4, Some(format!("each-{n}")))).collect();
    assert_eq!(outcomes, expected);
}

#[test]
fn a_stop_from_another_thread_reaches_all_shards() {
    let pool =
        start(
            PoolConfig::new("stop", 2),
            |context: ShardContext<()>| async move { context.stop.wait().await },
        )
        .unwrap();
    pool.stopper().stop();
    let stopper = pool.stopper();
    assert_eq!(pool.join(), [Ok(()), Ok(())]);
    assert_eq!(stopper.failed(), None);
}

/// Starts three shards of which the second panics as `how` says, and checks that this is seen.
fn one_of_three_panics<Fut: Future<Output = ()> + 'static>(how: fn() -> Fut, message: &str) {
    let pool = start(PoolConfig::new("panic", 3), move |context: ShardContext<()>| async move {
        if context.id.index() == 1 {
            how().await;
        }
        context.stop.wait().await;
        context.stop.wait_failed().await
    })
    .unwrap();
    let blamed = ShardId::new(1);
    let error = ShardError::Panicked { shard: blamed, message: message.to_owned() };
    let told = Ok(blamed);
    assert_eq!(pool.join(), [told.clone(), Err(error), told]);
}

#[test]
fn a_panic_is_reported_with_its_shard_and_ends_the_others() {
    one_of_three_panics(|| async { panic!("no {}", "way") }, "no way");
}

/// Whoever sees the pool stop finds the one to blame already told of: in this order they are done
/// by the thread that ends, so a second thread that looks as fast as it can never finds it otherwise.
#[test]
fn a_panic_is_told_before_the_others_can_see_it() {
    for round in 0..2_000 {
        let stop = Arc::new(StopFlag::new(1));
        let (id, heartbeats) = (ShardId::new(0), Heartbeats::new(1));
        let seen = Arc::clone(&stop);
        let ending = shard::Ending::new(id, stop, heartbeats);
        let ends = move || {
            let mut ending = ending;
            ending.report(true);
        };
        std::thread::scope(|scope| {
            scope.spawn(ends);
            while !seen.is_stopping() {
                std::hint::spin_loop();
            }
            assert_eq!(seen.failed(), Some(id), "round {round}");
        });
    }
}

/// A panic whose payload panics in its turn, once the pool's own code drops it.
struct PanicBomb;

impl Drop for PanicBomb {
    fn drop(&mut self) {
        panic!("in the pool");
    }
}

#[test]
fn a_panic_in_the_pools_own_code_ends_the_others_and_is_reported() {
    let pool = start(PoolConfig::new("bomb", 3), |context: ShardContext<()>| async move {
        if context.id.index() == 1 {
            std::panic::panic_any(PanicBomb);
        }
        context.stop.wait().await;
        context.stop.wait_failed().await
    });
    let pool = pool.unwrap();
    let (blamed, heartbeats) = (ShardId::new(1), pool.heartbeats());
    let told = Ok(blamed);
    let error = ShardError::Panicked { shard: blamed, message: "in the pool".to_owned() };
    assert_eq!(pool.join(), [told.clone(), Err(error), told]);
    assert_eq!(heartbeats.silent_for(Duration::from_millis(1)), []);
}

#[test]
fn a_panic_in_a_detached_task_is_reported_too() {
    let how = || async {
        glommio::spawn_local(async {
            glommio::timer::sleep(Duration::from_millis(5)).await;
            panic!("in the background")
        })
        .detach();
    };
    one_of_three_panics(how, "in the background");
}

#[test]
fn messages_to_a_shard_that_panicked_come_back_and_inboxes_end() {
    let pool = start(PoolConfig::new("gone", 2), |mut context: ShardContext<u32>| async move {
        if context.id.index() == 1 {
            panic!("gone");
        }
        let failed = context.stop.wait_failed().await;
        glommio::timer::sleep(Duration::from_millis(20)).await;
        let rejected = context.router.send(ShardId::new(1), 5).await;
        context.router.close();
        (failed, rejected.is_err(), context.inbox.recv().await)
    })
    .unwrap();
    let outcomes = pool.join();
    assert_eq!(outcomes[0], Ok((ShardId::new(1), true, None)));
}

#[test]
fn a_shard_that_ends_unasked_ends_the_pool() {
    let pool = start(PoolConfig::new("early", 2), |context: ShardContext<()>| async move {
        if context.id.index() == 0 { None } else { Some(context.stop.wait_failed().await) }
    })
    .unwrap();
    assert_eq!(pool.join(), [Ok(None), Ok(Some(ShardId::new(0)))]);
}

#[test]
fn a_shard_that_hangs_is_silent() {
    let config = PoolConfig { heartbeat: Duration::from_millis(5), ..PoolConfig::new("hang", 2) };
    let pool = start(config, |context: ShardContext<()>| async move {
        if context.id.index() == 1 {
            std::thread::sleep(Duration::from_millis(700));
        }
        context.stop.wait().await;
    })
    .unwrap();
    let heartbeats = pool.heartbeats();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(heartbeats.silent_for(Duration::from_millis(300)), [ShardId::new(1)]);
    pool.stopper().stop();
    assert!(pool.join().iter().all(Result::is_ok));
}

#[test]
fn a_shard_that_has_ended_is_not_one_that_hangs() {
    let config = PoolConfig { heartbeat: Duration::from_millis(5), ..PoolConfig::new("ends", 2) };
    let pool = start(config, |context: ShardContext<()>| async move {
        context.stop.wait().await;
        if context.id.index() == 1 {
            // What a long grace period looks like to the other.
            glommio::timer::sleep(Duration::from_millis(600)).await;
        }
    })
    .unwrap();
    let heartbeats = pool.heartbeats();
    pool.stopper().stop();
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(heartbeats.silent_for(Duration::from_millis(300)), []);
    assert!(pool.join().iter().all(Result::is_ok));
}

#[test]
fn a_pool_has_at_least_one_shard_and_not_too_many() {
    for shards in [0, MAX_SHARDS + 1] {
        let error = start(PoolConfig::new("none", shards), |_: ShardContext<()>| async {}).unwrap_err();
        assert_eq!(error.to_string(), format!("a pool has 1 to 256 shards, not {shards}"));
    }
}

#[test]
fn more_shards_than_cores_run_unpinned() {
    let shards = host::allowed_cores().len() + 1;
    let pool = start(PoolConfig::new("many", shards), |context: ShardContext<()>| async move {
        context.stop.request();
        host::allowed_cores().len()
    });
    assert_eq!(pool.unwrap().join(), vec![Ok(shards - 1); shards]);
}

#[test]
fn the_channels_of_a_shard_have_room_for_a_bounded_number_of_messages() {
    let capacity = |shards| PoolConfig::new("room", shards).mesh_capacity;
    assert_eq!([1, 2, 4, 8, 16, 100, 256].map(capacity), [2048, 2048, 2048, 1024, 512, 81, 32]);
    assert!((1..=MAX_SHARDS).all(|shards| capacity(shards) * shards <= 8192.max(16 * shards)));
}
