//! Safeguards that tests can take out, to see that they would notice.
//!
//! Each fault that the agent must survive has its family of tests, and each family fails without the
//! safeguard that it is there for. Outside of tests every safeguard stands, and asking costs nothing.

/// A safeguard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "asked for by name"))]
pub(crate) enum Guard {
    /// No order is taken up before all objects are known.
    LearnFirst,
    /// What is written follows from the order that is the newest once the permit is there.
    NewestOrder,
    /// A deletion names the uid and the version that it means.
    Preconditions,
    /// An older version of an object does not replace a newer one.
    NewerWins,
    /// What a complete list does not name is gone.
    ListsRemove,
    /// What such a list made seem gone is there when events show it again.
    MayReturn,
    /// A read that failed does not mean that nothing is there.
    NoAbsence,
    /// A write of unknown outcome is looked after at once.
    LookAfter,
    /// A lost write that could still take effect is fenced off.
    Fence,
    /// A lost create that could still arrive is waited for.
    AwaitCreates,
    /// Only what the agent alone owns is taken back.
    OthersStay,
    /// An object that keeps moving is left alone for a while.
    ConflictsPause,
    /// What is terminating is waited for.
    AwaitEnd,
    /// A deletion is not overtaken by what comes after it.
    KeepRemovals,
    /// A stack with ever more orders gives its slot back.
    YieldSlot,
    /// When the API server asks to be left alone, it is.
    HeedPause,
    /// What an outage kept waiting is run again when it is over.
    EndOutage,
    /// Requests come no faster than they may.
    Limiter,
    /// What the API server would refuse of an order is left out.
    CheckLabels,
    /// A watch that says nothing for long is given up.
    NoticeSilence,
    /// A kind that cannot be listed is done without.
    StartWithout,
}

/// Whether a safeguard stands.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn stands(_guard: Guard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use switches::{stands, without};

#[cfg(test)]
mod switches {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        static OUT: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    pub(crate) fn stands(guard: Guard) -> bool {
        OUT.get() != Some(guard)
    }

    /// Does something on this thread without a safeguard.
    pub(crate) fn without<T>(guard: Guard, deed: impl FnOnce() -> T) -> T {
        struct Back;
        impl Drop for Back {
            fn drop(&mut self) {
                OUT.set(None);
            }
        }
        OUT.set(Some(guard));
        let _back = Back;
        deed()
    }
}
