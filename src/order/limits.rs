//! What one order may ask for. Whatever is beyond is left out and told with a count, and since an
//! error takes nothing away, nothing of that kind is deleted for such an order.
//!
//! An order is held in memory while it waits, and decided upon at each of its steps, so these bound
//! both. They are far beyond what is in use (a dozen modules, a few labels and clients), and no
//! flags, since nobody has a use for more.

use crate::stack::labels;

/// Labels: with these, keys and values of the longest, an object has some 140 KB of them.
pub const MAX_LABELS: usize = 1_000;
/// Annotations: as many of the shortest as the API server takes on one object.
pub const MAX_ANNOTATIONS: usize = 20_000;
const _: () = assert!(MAX_ANNOTATIONS * (labels::PREFIX.len() + 1) >= labels::MAX_ANNOTATION_BYTES);
/// Modules that the cluster does not know; those that it knows always count.
pub const MAX_MODULES: usize = 1_000;
/// Longest name of a module, in bytes: it is a part of a CRD's name.
pub const MAX_MODULE_NAME: usize = 63;
/// Clients. Each is an object of its own: so many writes before the stack is right, and so many
/// objects to look at whenever it is decided upon.
pub const MAX_CLIENTS: usize = 1_000;
/// Longest trace context that is looked at, in bytes: more than its headers may have, and what
/// propagators put beside them.
pub const MAX_TRACE: usize = 16 << 10;
/// Of many faults of one field, so many are told one by one.
pub const NAMED: usize = 5;
