//! What list and watch tell their consumer.

use std::time::Instant;

use crate::stack::{object::Object, write::Refusal};

/// What the consumer is told, in this order: objects of a list, that it is complete, changes since;
/// and all over again whenever the machine has to start afresh.
#[derive(Debug, PartialEq)]
pub enum News {
    /// An object of a fresh list.
    Listed {
        /// As it was at the list's version.
        object: Box<Object>,
        /// When the first page of this list was asked for.
        asked: Instant,
    },
    /// The list is complete: what it did not name and what was known before `asked` is gone, whatever
    /// versions say (a restored store goes back to smaller ones). What became known later is gone,
    /// too, if its resourceVersion is not above the list's.
    ///
    /// An item without a name, a uid or a version (see [`Object::from_json`]) is left out of the list
    /// with a log line, and the list is complete all the same. The API server gives all three to
    /// whatever it stores, so such an item is nothing that anybody was ever told of; were there no
    /// `Complete` on its account, the whole kind would be of no use for as long as it stands there.
    Complete {
        /// When the first page of this list was asked for.
        asked: Instant,
        /// The resourceVersion that the list shows.
        version: String,
    },
    /// ADDED or MODIFIED.
    Changed {
        /// As it is now.
        object: Box<Object>,
        /// When it was heard.
        at: Instant,
    },
    /// DELETED.
    Removed {
        /// Its last state, under the version of its removal.
        object: Box<Object>,
        /// When it was heard.
        at: Instant,
    },
    /// Listing or watching failed, and is tried again: said each time. Nothing follows from it about
    /// objects.
    Failing {
        /// The server's words, or what happened.
        cause: String,
    },
    /// A watch has begun, after failures or a refusal that were told.
    Recovered,
    /// The API server says no, or the kind is not there; it is tried again slowly. Said once per run
    /// of refusals, and again where `missing` changes. Nothing follows from it about objects: a
    /// server that has just started does not serve its custom kinds yet. Where only watching is
    /// refused, lists go on at the slow pace.
    Refused {
        /// The kind is not served, as opposed to a right that is not granted.
        missing: bool,
        /// The server's words.
        refusal: Refusal,
    },
}
