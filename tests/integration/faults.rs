//! Faults between the agent and its two servers, over real sockets: the built agent, a real API
//! server, and networks in between that hold back, cut, swallow, refuse and throttle.
//!
//! Each test begins with the number of the fault that it belongs to, and
//! fails where its fault never fired. Row 8 is `late_writes`.

mod dead_watches;
mod errors;
mod fleet;
mod form;
mod kills;
mod orders;
mod overload;
pub mod scene;
mod slow;
mod stale;
mod storm;
mod terminating;
mod watches;
