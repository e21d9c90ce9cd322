use crate::{
    PoolConfig, Rejected, ShardContext, ShardId, start,
    time::{Duration, now},
};
use futures::future::join;

/// Small queues, so that they are full at once.
fn narrow(shards: usize) -> PoolConfig {
    PoolConfig { mesh_capacity: 4, linger: Duration::from_millis(200), ..PoolConfig::new("mesh", shards) }
}

/// Runs a pool whose shards all end well.
fn run<M, T, F, Fut>(config: PoolConfig, f: F) -> Vec<T>
where
    M: Send + 'static,
    T: Send + 'static,
    F: Fn(ShardContext<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    start(config, f).unwrap().join().into_iter().map(Result::unwrap).collect()
}

/// Every shard sends `each` numbered messages to every shard, itself included, while it receives;
/// returns what it got, in order, by sender.
async fn everyone_to_everyone(context: ShardContext<(usize, u32)>, each: u32) -> Vec<Vec<u32>> {
    let ShardContext { id, shards, router, mut inbox, stop } = context;
    let senders = (0..shards).map(|to| {
        let router = router.clone();
        glommio::spawn_local(async move {
            for n in 0..each {
                router.send(ShardId::new(to), (id.index(), n)).await.unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let sending = async {
        for sender in senders {
            sender.await;
        }
        router.close();
    };
    let receiving = async {
        let mut got = vec![Vec::new(); shards];
        while let Some((from, n)) = inbox.recv().await {
            got[from].push(n);
        }
        stop.request();
        got
    };
    join(sending, receiving).await.1
}

#[test]
fn all_messages_arrive_in_order_with_all_queues_full_in_all_directions() {
    for shards in [1, 2, 4] {
        let each = 3_000;
        let got = run(narrow(shards), move |context| everyone_to_everyone(context, each));
        for (to, by_sender) in got.into_iter().enumerate() {
            for (from, numbers) in by_sender.into_iter().enumerate() {
                assert!(numbers.into_iter().eq(0..each), "{from} to {to} of {shards}");
            }
        }
    }
}

#[test]
fn wide_queues_carry_a_hundred_thousand_messages_from_each_to_each() {
    let each = 100_000;
    let got = run(PoolConfig::new("mesh", 2), move |context| everyone_to_everyone(context, each));
    assert!(got.iter().flatten().all(|numbers| numbers.len() == each as usize));
}

#[test]
fn a_full_queue_hands_the_message_back() {
    let refused = run(narrow(2), |context: ShardContext<u32>| async move {
        if context.id.index() == 1 {
            // Receives nothing until the other is done, then ends.
            let _unread = context.inbox;
            context.stop.wait().await;
            return 0;
        }
        let (mut sent, other) = (0, ShardId::new(1));
        let refused = loop {
            match context.router.try_send(other, sent) {
                Ok(()) => sent += 1,
                Err(Rejected::Full { to, message }) => break (to, message),
                Err(closed) => panic!("{closed}"),
            }
        };
        context.stop.request();
        assert_eq!(refused, (other, sent));
        sent
    });
    assert_eq!(refused, [4, 0], "as many as the queue has room for");
}

#[test]
fn a_shard_that_has_ended_hands_the_message_back() {
    run(narrow(2), |context: ShardContext<u32>| async move {
        if context.id.index() == 1 {
            return;
        }
        let other = ShardId::new(1);
        // A message or two may go to the channel before the other's end shows.
        let rejected = loop {
            if let Err(rejected) = context.router.send(other, 7).await {
                break rejected;
            }
            glommio::timer::sleep(Duration::from_millis(1)).await;
        };
        assert!(matches!(rejected, Rejected::Closed { message: 7, .. }), "{rejected}");
    });
}

#[test]
fn an_inbox_that_is_dropped_closes_its_shard_to_messages() {
    run(narrow(1), |context: ShardContext<u32>| async move {
        let home = context.id;
        context.router.try_send(home, 1).unwrap();
        drop(context.inbox);
        assert!(matches!(context.router.try_send(home, 2), Err(Rejected::Closed { message: 2, .. })));
    });
}

#[test]
fn a_stop_while_all_is_full_ends_every_wait() {
    let began = now();
    let outcomes = run(narrow(2), |context: ShardContext<u32>| async move {
        let (other, _unread) = (ShardId::new(1 - context.id.index()), context.inbox);
        // Nobody receives: both come to wait for room, for ever but for the stop.
        let filling = async {
            loop {
                if let Err(rejected) = context.router.send(other, 1).await {
                    let (Rejected::Full { message, .. } | Rejected::Closed { message, .. }) = rejected;
                    return message == 1;
                }
            }
        };
        let stopping = async {
            glommio::timer::sleep(Duration::from_millis(50)).await;
            context.stop.request();
        };
        let (handed_back, ()) = join(filling, stopping).await;
        handed_back
    });
    assert_eq!(outcomes, [true, true]);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_closed_router_refuses_and_what_it_took_arrives() {
    let got = run(narrow(2), |mut context: ShardContext<u32>| async move {
        let other = ShardId::new(1 - context.id.index());
        for n in 0..4 {
            context.router.try_send(other, n).unwrap();
        }
        let router = context.router.clone();
        let receiving = async {
            let mut got = Vec::new();
            while let Some(n) = context.inbox.recv().await {
                got.push(n);
            }
            got
        };
        router.close();
        let got = receiving.await;
        assert!(matches!(router.try_send(other, 9), Err(Rejected::Closed { .. })));
        context.stop.request();
        got
    });
    assert_eq!(got, [[0, 1, 2, 3], [0, 1, 2, 3]]);
}

#[test]
fn an_unknown_shard_takes_nothing() {
    run(narrow(1), |context: ShardContext<u32>| async move {
        let rejected = context.router.try_send(ShardId::new(9), 3).unwrap_err();
        assert_eq!(rejected.to_string(), "shard 9 takes no more messages");
        assert!(matches!(rejected, Rejected::Closed { message: 3, .. }));
    });
}

#[test]
fn an_inbox_under_a_flood_lets_timers_run() {
    let ticks = run(PoolConfig::new("mesh", 1), |mut context: ShardContext<u32>| async move {
        let (router, home) = (context.router.clone(), context.id);
        // Each message received sends the next: there is always one more.
        router.try_send(home, 0).unwrap();
        let began = now();
        let flood = async {
            while let Some(n) = context.inbox.recv().await {
                if began.elapsed() > Duration::from_millis(300) {
                    return;
                }
                router.try_send(home, n + 1).unwrap();
            }
        };
        let mut ticks = 0;
        let ticking = async {
            while began.elapsed() < Duration::from_millis(300) {
                glommio::timer::sleep(Duration::from_millis(2)).await;
                ticks += 1;
            }
        };
        join(flood, ticking).await;
        ticks
    });
    assert!(ticks[0] > 15, "{} ticks", ticks[0]);
}
