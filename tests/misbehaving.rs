//! API servers, or what stands before them, that answer what no API server answers: without end, of
//! absurd size, again and again, in other formats. Whatever it is costs bounded memory, holds up
//! nothing else and ends nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "misbehaving/lists.rs"]
mod lists;
#[path = "misbehaving/scene.rs"]
mod scene;
#[path = "support/support.rs"]
mod support;
#[path = "misbehaving/waits.rs"]
mod waits;
#[path = "misbehaving/watches.rs"]
mod watches;
#[path = "misbehaving/writes.rs"]
mod writes;
