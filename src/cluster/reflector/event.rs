//! What the machine asks of its driver, is told by it, and tells its consumer.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    cluster::response::ApiResponse,
    stack::{object::Object, write::Refusal},
};

/// What the consumer is told, in this order: objects of a list, that it is complete, changes since;
/// and all over again whenever the machine has to start afresh.
#[derive(Debug, PartialEq)]
pub enum ReflectorEvent {
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

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub enum ReflectorStep {
    /// To be handed to the consumer; then on.
    Tell(ReflectorEvent),
    /// To ask for a page of the list, the first one or the one that the token names. Answered by
    /// [`ReflectorInput::Page`], [`ReflectorInput::Begun`], [`ReflectorInput::Failed`] or [`ReflectorInput::Unusable`].
    List {
        /// Where the list goes on.
        token: Option<String>,
    },
    /// To wait for more of the page that has begun. Answered by [`ReflectorInput::Piece`], [`ReflectorInput::Ended`],
    /// [`ReflectorInput::Failed`] or [`ReflectorInput::Unusable`].
    More,
    /// To let others have their turn, where it is theirs, and step on.
    GoOn,
    /// To open a watch. Answered by [`ReflectorInput::Opened`], [`ReflectorInput::Answer`], [`ReflectorInput::Failed`] or
    /// [`ReflectorInput::Unusable`].
    Open {
        /// The version that it goes on from.
        version: String,
        /// What the server is asked to end it after.
        timeout: Duration,
    },
    /// To wait for more of the watch, until then at most. Answered by [`ReflectorInput::Heard`],
    /// [`ReflectorInput::Line`], [`ReflectorInput::Ended`], [`ReflectorInput::Failed`], [`ReflectorInput::Unusable`], or by nothing:
    /// then the next step has noticed.
    Read {
        /// Nothing is expected to take longer.
        until: Instant,
    },
    /// To do nothing until then.
    Wait {
        /// When to go on.
        until: Instant,
    },
}

/// What came of a step.
#[derive(Debug)]
pub enum ReflectorInput {
    /// Whatever was answered to a [`ReflectorStep::List`].
    Page {
        /// The answer.
        reply: ApiResponse,
        /// When the request was sent.
        asked: Instant,
    },
    /// A page has begun to come in; its pieces follow.
    Begun {
        /// When the request was sent.
        asked: Instant,
    },
    /// What came next of a page.
    Piece(Bytes),
    /// A watch has begun; its lines follow.
    Opened,
    /// No watch has begun; this was the answer.
    Answer(ApiResponse),
    /// Something came that is not a whole line yet.
    Heard,
    /// A line of the watch, without its end.
    Line(Bytes),
    /// The page or the watch has ended in order.
    Ended,
    /// There is no answer, or the watch broke.
    Failed(String),
    /// What came cannot be decoded.
    Unusable(String),
}
