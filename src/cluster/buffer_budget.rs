//! How much of what has begun to come in is held, over all lists and watches of a client.
//!
//! An event or an item of a list may be as large as an object, and there is a watch for each kind.
//! A server whose lines never end must not cost that many times as much: they share what there is.

use std::{cell::Cell, rc::Rc};

/// Bytes of lines and items that are not whole yet, at most, for one client.
pub(crate) const MOST: usize = 16 << 20;

/// What is held, over all.
#[derive(Debug, Clone, Default)]
pub(crate) struct BufferBudget(Rc<Cell<usize>>);

/// What one of them holds. Dropped, it holds nothing.
#[derive(Debug)]
pub(crate) struct BudgetShare {
    all: BufferBudget,
    held: usize,
}

/// There is no room for more. What asked for it is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what has begun to come in for all kinds together is larger than {} MiB", MOST >> 20)]
pub(crate) struct BudgetExhausted;

impl BufferBudget {
    /// A share that holds nothing yet.
    pub(crate) fn share(&self) -> BudgetShare {
        BudgetShare { all: self.clone(), held: 0 }
    }

    /// What all of them hold.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.0.get()
    }
}

impl BudgetShare {
    /// Holds so many bytes from now on; refused where it would be more than before, and too much.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let all = self.all.0.get().saturating_sub(self.held).saturating_add(bytes);
        if all > MOST && bytes > self.held {
            return Err(BudgetExhausted);
        }
        self.all.0.set(all);
        self.held = bytes;
        Ok(())
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.all.0.set(self.all.0.get().saturating_sub(self.held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_hold_no_more_than_there_is() {
        let all = BufferBudget::default();
        let mut shares: Vec<BudgetShare> = (0..8).map(|_| all.share()).collect();
        for share in &mut shares {
            let _ = share.hold(4 << 20);
        }
        assert_eq!(all.held(), MOST);
        assert_eq!(shares[7].hold(1), Err(BudgetExhausted));
        assert_eq!(shares[0].hold(100), Ok(()), "less is never refused");
        assert_eq!(shares[7].hold(1), Ok(()));
        drop(shares);
        assert_eq!(all.held(), 0);
    }
}
