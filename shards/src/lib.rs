//! Keyed mailboxes on a thread-per-core engine.
//!
//! Orders for the same key run one after the other; orders for different keys run side by side.
//! A key hashes to one shard ([`shard_of`]) for the life of the process. A shard is one executor
//! on one thread, pinned to a core where there are enough; it alone owns its keys, so nothing is
//! locked. What one shard wants of another it sends as a message over the [mesh].
//!
//! | part | what it is |
//! |---|---|
//! | [`Mailbox`], [`Table`] | pure: what waits for a key, and which key is next |
//! | [`Runner`], [`Handler`], [`Slot`] | performs a table's orders, many keys at a time |
//! | [`Router`], [`Inbox`] | messages between shards, bounded, never deadlocking a drain |
//! | [`start`], [`Pool`], [`Context`], [`Stop`] | the threads, their end, their failures |
//! | [`Turn`], [`yield_to_reactor`] | how long work gives way to IO |
//! | [engine] | tasks, timers and the clock: glommio's, or a simulation's |
//!
//! An order has a [`Class`]: it says all about a key, says that the key shall not be, or changes
//! one thing about it. From that alone follows which waiting orders a newer one makes pointless
//! ([`Mailbox`]) and which may take the place of the one in flight ([`Class::superseded_by`]).
//!
//! # Example
//!
//! A fleet of thermostats: each device has a set point, the newest wins, and devices are talked
//! to side by side.
//!
//! ```no_run
//! use shards::{Class, Context, Handler, Order, PoolConfig, Runner, Slot, Verdict, shard_of, start};
//!
//! enum Change { Target(f32), Forget }
//!
//! impl Order for Change {
//!     fn class(&self) -> Class {
//!         match self {
//!             Change::Target(_) => Class::Snapshot,
//!             Change::Forget => Class::Removal,
//!         }
//!     }
//! }
//!
//! struct Devices;
//!
//! impl Handler<String, Change> for Devices {
//!     async fn handle(&self, slot: Slot<String, Change>, change: Change) -> Verdict<Change> {
//!         let mut change = change;
//!         // Between two steps of work, a newer order may take the place of this one.
//!         while let Some(newer) = slot.successor() {
//!             change = newer;
//!         }
//!         match change {
//!             Change::Target(degrees) => println!("{} to {degrees}", slot.key()),
//!             Change::Forget => println!("{} forgotten", slot.key()),
//!         }
//!         Verdict::Done
//!     }
//! }
//!
//! async fn shard(mut context: Context<(String, Change)>) {
//!     let runner = Runner::new(Devices, 64);
//!     if context.id.index() == 0 {
//!         for n in 0..1000 {
//!             let device = format!("hall-{n}");
//!             let home = shard_of(device.as_bytes(), context.shards);
//!             let order = (device, Change::Target(20.5));
//!             // Not the task that drains the inbox: that one must never wait for room.
//!             if let Err(rejected) = context.router.send(home, order).await {
//!                 eprintln!("{rejected}");
//!             }
//!         }
//!         context.stop.request();
//!     }
//!     // Whoever has nothing more to send says so; when all have, `recv` ends.
//!     context.router.close().await;
//!     while let Some((device, change)) = context.inbox.recv().await {
//!         let _displaced = runner.offer(device, change);
//!     }
//!     runner.idle().await;
//!     runner.drain().await;
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = start(PoolConfig::new("thermostats", 2), shard)?;
//! for outcome in pool.join() {
//!     outcome?;
//! }
//! # Ok(())
//! # }
//! ```

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod contain;
pub mod engine;
pub mod error;
pub mod hash;
mod host;
pub mod mailbox;
pub mod mesh;
pub mod notify;
pub mod order;
pub mod pool;
pub mod runner;
mod shard;
pub mod shard_id;
mod signal;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod stop;
pub mod table;
pub mod time;
pub mod turn;

pub use contain::is_contained;
pub use error::{ShardError, StartError};
pub use hash::shard_of;
pub use host::prepare_host;
pub use mailbox::{Displaced, Mailbox};
pub use mesh::{Inbox, Rejected, Router};
pub use order::{Class, Order};
pub use pool::{Context, Exit, Health, Pool, PoolConfig, start};
pub use runner::{Handler, Runner, Slot, Verdict};
pub use shard_id::ShardId;
pub use stop::{Stop, StopReason, Stopper};
pub use table::{Keep, Stats, Table};
pub use turn::{Turn, yield_to_reactor};
