//! What membership has ever wanted, and when.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{
    demo::check,
    membership::wire::server::{Order, Stack, order::Message},
};

/// By stack: what was wanted of it, and since when.
type Histories = BTreeMap<String, Vec<(Duration, Option<Stack>)>>;

/// The history of every stack that was ever ordered; `None` where it was to be gone.
#[derive(Debug, Default)]
pub(crate) struct Wishes(RefCell<Histories>);

impl Wishes {
    /// An order is given now. False where it says nothing new: its stack is not there.
    pub(crate) fn give(&self, at: Duration, order: &Order) -> bool {
        let mut all = self.0.borrow_mut();
        let mut wish = |name: &String, wish| all.entry(name.clone()).or_default().push((at, wish));
        match &order.message {
            Some(Message::ExistingStack(stack)) => wish(&stack.cluster_name, Some(stack.clone())),
            Some(Message::DeletedStack(stack)) => wish(&stack.cluster_name, None),
            Some(Message::DisabledStack(stack)) => return toggle(&mut all, at, &stack.cluster_name, true),
            Some(Message::EnabledStack(stack)) => return toggle(&mut all, at, &stack.cluster_name, false),
            _ => return false,
        }
        true
    }

    /// What is wanted now.
    pub(crate) fn now(&self) -> BTreeMap<String, Option<Stack>> {
        let all = self.0.borrow();
        all.iter().filter_map(|(name, wishes)| Some((name.clone(), wishes.last()?.1.clone()))).collect()
    }

    /// The earliest wish that a body like this can have been made for; the last where there is none.
    pub(crate) fn made_for(&self, stack: &str, key: &(String, String), body: &Value) -> usize {
        let all = self.0.borrow();
        let Some(wishes) = all.get(stack) else { return 0 };
        let like = |wish: &Option<Stack>| {
            let Some(wish) = wish else { return false };
            let labels = Value::Object(check::labels(wish));
            let spec = check::wanted(wish).remove(key);
            spec.is_some_and(|spec| check::contains(&body["spec"], &spec))
                && check::contains(&body["metadata"]["labels"], &labels)
        };
        wishes.iter().position(|(_, wish)| like(wish)).unwrap_or_else(|| wishes.len().saturating_sub(1))
    }

    /// Whether an object of this stack was wanted ever since that wish.
    pub(crate) fn always(&self, stack: &str, key: &(String, String), since: usize) -> bool {
        let all = self.0.borrow();
        let Some(wishes) = all.get(stack) else { return true };
        wishes.iter().skip(since).all(|(_, wish)| wants(wish.as_ref(), key))
    }
}

fn wants(wish: Option<&Stack>, key: &(String, String)) -> bool {
    wish.is_some_and(|stack| check::wanted(stack).contains_key(key))
}

fn toggle(all: &mut Histories, at: Duration, name: &str, disabled: bool) -> bool {
    let Some(wishes) = all.get_mut(name) else { return false };
    let Some((_, Some(stack))) = wishes.last() else { return false };
    let stack = Stack { disabled, ..stack.clone() };
    wishes.push((at, Some(stack)));
    true
}
