//! The pure table: one order taken, finished, and the next one of its key offered, while this many
//! keys are busy.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shards::{ClassedOrder, OrderClass, Table};
use std::{hint::black_box, time::Duration};

/// As big as an order of the agent: a tag and a box.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "what an order would carry")]
enum BenchOrder {
    Set(u64),
    Forget,
}

impl ClassedOrder for BenchOrder {
    fn class(&self) -> OrderClass {
        match self {
            Self::Set(_) => OrderClass::Snapshot,
            Self::Forget => OrderClass::Removal,
        }
    }
}

/// A table in which each of `keys` keys has an order waiting. Keys are scattered over the number
/// space, as hashed names would be.
fn busy_table(keys: u64) -> Table<u64, BenchOrder> {
    let mut table = Table::new(64);
    for n in 0..keys {
        let none = table.offer(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), BenchOrder::Set(n));
        assert!(none.is_empty());
    }
    table
}

fn offer_and_finish(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    for keys in [1, 1_000, 1_000_000] {
        let mut table = busy_table(keys);
        group.bench_function(BenchmarkId::new("offer_finish", keys), |b| {
            b.iter(|| {
                if let Some((key, order)) = table.take() {
                    table.finish(key);
                    let _ = black_box(table.offer(key, order));
                }
            });
        });
        let mut table = busy_table(keys);
        group.bench_function(BenchmarkId::new("storm", keys), |b| {
            // Two more orders come in while one is in flight; the second displaces the first.
            b.iter(|| {
                if let Some((key, order)) = table.take() {
                    let _ = black_box(table.offer(key, order));
                    let _ = black_box(table.offer(key, BenchOrder::Forget));
                    let _ = black_box(table.offer(key, order));
                    table.finish(key);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, offer_and_finish);
criterion_main!(benches);
