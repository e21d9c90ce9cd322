//! Orders on their way through the engine: shard 0 routes each by its key over the mesh, and the
//! owner offers it to its dispatcher, whose handler does nothing.

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use shards::{
    ClassedOrder, CoopBudget, Dispatcher, Handler, OrderClass, Outcome, PoolConfig, PoolStartError,
    ShardContext, ShardError, Slot, shard_of,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const KEYS: u32 = 10_000;
const ORDERS: usize = 200_000;

/// An order with something in it.
struct Noted(#[allow(dead_code, reason = "what an order would carry")] u64);

impl ClassedOrder for Noted {
    fn class(&self) -> OrderClass {
        OrderClass::Snapshot
    }
}

struct NoHandler;

impl Handler<u32, Noted> for NoHandler {
    async fn handle(&self, _: Slot<u32, Noted>, _: Noted) -> Outcome<Noted> {
        Outcome::Done
    }
}

/// What is sent: the names, and whose turn it is.
struct DispatchLoad {
    names: Vec<String>,
    sequence: Vec<u32>,
}

/// Draws numbers from 0 to `KEYS` less one, the n-th with a weight of 1/(n+1).
struct Zipf {
    /// Sums of the weights.
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let add = |n: u32| {
            sum += 1.0 / f64::from(n + 1);
            sum
        };
        Self { cumulative: (0..KEYS).map(add).collect() }
    }

    fn draw(&self, random: &mut fastrand::Rng) -> u32 {
        let all = self.cumulative.last().copied().unwrap_or_default();
        let point = random.f64() * all;
        (self.cumulative.partition_point(|sum| *sum <= point) as u32).min(KEYS - 1)
    }
}

impl DispatchLoad {
    fn new(keys: &str) -> Self {
        let (mut random, zipf) = (fastrand::Rng::with_seed(7), Zipf::new());
        let draw = |_| if keys == "zipf" { zipf.draw(&mut random) } else { random.u32(0..KEYS) };
        let sequence = (0..ORDERS).map(draw).collect();
        Self { names: (0..KEYS).map(|n| format!("org{:04}-stack{n:05}", n / 3)).collect(), sequence }
    }
}

/// One shard: the first sends all orders, and each handles its own.
async fn shard(context: ShardContext<(u32, Noted)>, load: Arc<DispatchLoad>, rounds: u64) {
    let ShardContext { id, shards, router, mut inbox, stop } = context;
    let dispatcher = Dispatcher::new(NoHandler, 64);
    let sending = async {
        if id.index() == 0 {
            let mut budget = CoopBudget::of_small_steps(64);
            for round in 0..rounds {
                for key in &load.sequence {
                    let home = shard_of(load.names[*key as usize].as_bytes(), shards);
                    if let Err(rejected) = router.send(home, (*key, Noted(round))).await {
                        eprintln!("{rejected}");
                    }
                    budget.check().await;
                }
            }
            stop.request();
        }
        router.close();
    };
    let receiving = async {
        while let Some((key, order)) = inbox.recv().await {
            let _ = dispatcher.offer(key, order);
        }
        dispatcher.idle().await;
    };
    futures::future::join(sending, receiving).await;
    dispatcher.drain().await;
}

#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error(transparent)]
    Start(#[from] PoolStartError),
    #[error(transparent)]
    Shard(#[from] ShardError),
}

#[allow(clippy::disallowed_methods, reason = "the clock of a benchmark")]
fn dispatch(shards: usize, load: &Arc<DispatchLoad>, rounds: u64) -> Result<Duration, BenchError> {
    let load = Arc::clone(load);
    // The orders of a round wait for room; that nothing is lost at the end wants patience.
    let config = PoolConfig { linger: Duration::from_secs(60), ..PoolConfig::new("bench", shards) };
    let pool = shards::start(config, move |context| shard(context, Arc::clone(&load), rounds))?;
    let began = Instant::now();
    for outcome in pool.join() {
        outcome?;
    }
    Ok(began.elapsed())
}

fn route_and_handle(c: &mut Criterion) {
    let mut group = c.benchmark_group("dispatch");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(ORDERS as u64)).sampling_mode(SamplingMode::Flat);
    for keys in ["uniform", "zipf"] {
        let load = Arc::new(DispatchLoad::new(keys));
        for shards in [1, 2, 4] {
            group.bench_function(BenchmarkId::new(keys, shards), |b| {
                b.iter_custom(|rounds| match dispatch(shards, &load, rounds) {
                    Ok(elapsed) => elapsed,
                    Err(failure) => {
                        eprintln!("{failure}");
                        std::process::exit(1)
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, route_and_handle);
criterion_main!(benches);
