//! Panics that are taken for what they are: an answer of a library that has no other way to say no.
//!
//! A process that ends on any panic needs to know which ones are meant to be survived. A panic hook
//! runs before any `catch_unwind` has its say, so it asks here.

use crate::error::panic_message;
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// What a panic said that was contained.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ContainedPanic(String);

/// Runs `f` on this thread; a panic in it comes back as its message. Whatever `f` left half done
/// is not to be looked at again.
pub(crate) fn contain<T>(f: impl FnOnce() -> T) -> Result<T, ContainedPanic> {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
    }
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _inside = Inside;
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| ContainedPanic(panic_message(&*payload)))
}

/// Whether a panic on this thread now would be survived, and become an error with its message.
pub fn is_contained() -> bool {
    // Fails while the thread ends, where nothing is contained any more.
    DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_panic_is_its_message() {
        assert_eq!(contain(|| 7), Ok(7));
        assert_eq!(contain(|| panic!("no {}", "way")), Err::<(), _>(ContainedPanic("no way".to_owned())));
        assert!(contain(is_contained).unwrap() && !is_contained());
    }
}
