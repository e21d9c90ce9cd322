//! Keyed mailboxes on a thread-per-core engine.
//!
//! Orders for the same key run one after the other; orders for different keys run side by side.
//! A key hashes to one shard ([`shard_of`]) for the life of the process. A shard is one executor
//! on one thread, pinned to a core where there are enough; it alone owns its keys, so nothing is
//! locked. What one shard wants of another it sends as a message over a link.
//!
//! | part | what it is |
//! |---|---|
//! | [`Table`] | pure: what waits for a key, and which key is next |
//! | [`Dispatcher`], [`Handler`], [`Slot`] | performs a table's orders, many keys at a time |
//! | [`Router`], [`Inbox`] | messages between shards, bounded, never deadlocking a drain |
//! | [`start`], [`Pool`], [`ShardContext`], [`Stop`] | the threads, their end, their failures |
//! | [`CoopBudget`], [`Wakeup`], [`yield_to_reactor`] | when work gives way to IO, and waits for other work |
//! | [engine] | tasks, timers and the clock: glommio's, or a simulation's |
//!
//! An order has an [`OrderClass`]: it says all about a key, says that the key shall not be, or changes
//! one thing about it. From that alone follows which waiting orders a newer one makes pointless
//! ([`Table::offer`]) and which may take the place of the one in flight ([`OrderClass::superseded_by`]).
//!
//! # Example
//!
//! A fleet of thermostats: each device has a set point, the newest wins, and devices are talked
//! to side by side.
//!
//! ```no_run
//! use shards::{ClassedOrder, Dispatcher, Handler, OrderClass, Outcome, PoolConfig, ShardContext, Slot, shard_of, start};
//!
//! enum Change { Target(f32), Forget }
//!
//! impl ClassedOrder for Change {
//!     fn class(&self) -> OrderClass {
//!         match self {
//!             Change::Target(_) => OrderClass::Snapshot,
//!             Change::Forget => OrderClass::Removal,
//!         }
//!     }
//! }
//!
//! struct Devices;
//!
//! impl Handler<String, Change> for Devices {
//!     async fn handle(&self, slot: Slot<String, Change>, change: Change) -> Outcome<Change> {
//!         let mut change = change;
//!         // Between two steps of work, a newer order may take the place of this one.
//!         while let Some(newer) = slot.successor() {
//!             change = newer;
//!         }
//!         match change {
//!             Change::Target(degrees) => println!("{} to {degrees}", slot.key()),
//!             Change::Forget => println!("{} forgotten", slot.key()),
//!         }
//!         Outcome::Done
//!     }
//! }
//!
//! async fn shard(mut context: ShardContext<(String, Change)>) {
//!     let dispatcher = Dispatcher::new(Devices, 64);
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
//!     context.router.close();
//!     while let Some((device, change)) = context.inbox.recv().await {
//!         let _displaced = dispatcher.offer(device, change);
//!     }
//!     dispatcher.idle().await;
//!     dispatcher.drain().await;
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
mod coop_budget;
mod dispatcher;
pub mod engine;
mod error;
mod hash;
mod host;
mod mailbox;
mod mesh;
mod order_class;
mod pool;
mod remote_wakeup;
mod shard;
mod shard_id;
#[cfg(feature = "simulation")]
pub mod simulation;
mod stop;
mod table;
#[cfg(test)]
mod testing;
pub mod time;
mod wakeup;

pub use contain::is_contained;
pub use coop_budget::{CoopBudget, yield_to_reactor};
pub use dispatcher::{Dispatcher, Handler, Outcome, Slot};
pub use error::{PoolStartError, ShardError};
pub use hash::shard_of;
pub use host::prepare_host;
pub use mailbox::Displaced;
pub use mesh::{Inbox, Rejected, Router};
pub use order_class::{ClassedOrder, OrderClass};
pub use pool::{Heartbeats, MAX_SHARDS, Pool, PoolConfig, ShardContext, start};
pub use shard_id::ShardId;
pub use stop::{Stop, Stopper};
pub use table::{RequeuePolicy, Stats, Table};
pub use wakeup::Wakeup;
