//! The end of a run: nothing to read, nothing to write, nothing in flight.

use std::{ops::ControlFlow::Continue, time::Instant};

use super::{Machine, Notice, Step, memory::Peek};
use crate::{
    order::Change,
    stack::{object::ObjectKey, plan::Action, report::Report, view::Known},
};

/// What keeps a run from being the last one of its order.
#[derive(Default)]
struct Obstacles {
    waiting: Vec<ObjectKey>,
    refused: bool,
}

impl Machine {
    pub(super) fn conclude(&mut self, now: Instant) -> Step {
        self.unsettled.expire(now, self.context.options.create_may_arrive);
        if self.idle {
            return self.conclude_look(now);
        }
        let obstacles = self.obstacles();
        self.tell_end();
        let watched = self.watched();
        if !obstacles.waiting.is_empty() {
            return self.wait(now, obstacles.waiting, watched);
        }
        if obstacles.refused {
            let slow = now + self.context.delay(self.context.options.park, self.progress.parks);
            self.progress.parks = self.progress.parks.saturating_add(1);
            return self.park(now, slow, watched);
        }
        self.attend(now, watched)
    }

    /// A look showed what the last one had shown.
    fn conclude_look(&mut self, now: Instant) -> Step {
        self.idle = false;
        let Some(mut peek) = self.progress.peek.take() else { return self.attend(now, Vec::new()) };
        peek.watched.retain(|key| self.unsettled.may_appear(key));
        match peek {
            Peek { waiting, watched, .. } if !waiting.is_empty() => self.wait(now, waiting, watched),
            Peek { full_at: Some(slow), watched, .. } => self.park(now, slow, watched),
            Peek { watched, .. } => self.attend(now, watched),
        }
    }

    fn wait(&mut self, now: Instant, waiting: Vec<ObjectKey>, watched: Vec<ObjectKey>) -> Step {
        let at = now + self.context.delay(self.context.options.wait, self.progress.waits);
        self.progress.waits = self.progress.waits.saturating_add(1);
        self.progress.peek = Some(Peek { at, full_at: None, waiting, watched });
        self.failures = 0;
        Step::Later { at, refused: false }
    }

    fn park(&mut self, now: Instant, slow: Instant, watched: Vec<ObjectKey>) -> Step {
        self.failures = 0;
        let at = self.next_look(now, &watched).map_or(slow, |look| look.min(slow));
        self.progress.peek =
            (at < slow).then(|| Peek { at, full_at: Some(slow), waiting: Vec::new(), watched });
        Step::Later { at, refused: true }
    }

    fn attend(&mut self, now: Instant, watched: Vec<ObjectKey>) -> Step {
        self.failures = 0;
        match self.next_look(now, &watched) {
            Some(at) if self.context.options.watches_creates() => {
                self.progress.peek = Some(Peek { at, full_at: None, waiting: Vec::new(), watched });
                Step::Attend { at }
            }
            _ => {
                self.finished = true;
                Step::Done
            }
        }
    }

    /// When to look at the objects of lost creates again: soon at first, at a growing pace
    /// later. Where the object stands as it shall be, a late create finds its name taken; then
    /// there is nothing to look at, only something to remember until it cannot arrive any more.
    fn next_look(&self, now: Instant, watched: &[ObjectKey]) -> Option<Instant> {
        let options = &self.context.options;
        let looks = watched.iter().filter_map(|key| {
            let age = self.unsettled.create_lost_for(now, key)?;
            let (first, longest) = options.watch;
            let steady = (age / 8).min(longest);
            let expiry = now + options.create_may_arrive.saturating_sub(age);
            Some((now + steady.max(self.context.delay((first, first), 0))).min(expiry))
        });
        let expiries = self.unsettled.keys().filter_map(|key| {
            let age = self.unsettled.create_lost_for(now, key)?;
            Some(now + options.create_may_arrive.saturating_sub(age))
        });
        looks.chain(expiries).min()
    }

    /// Objects that a lost create could bring back: those that are not there, or soon will not be.
    fn watched(&self) -> Vec<ObjectKey> {
        let gone = |key: &&ObjectKey| match self.view.get(key) {
            Known::Present(object) => object.terminating,
            Known::Absent | Known::Unknown => true,
        };
        self.unsettled.keys().filter(|key| self.unsettled.may_appear(key)).filter(gone).cloned().collect()
    }

    fn obstacles(&mut self) -> Obstacles {
        let mut obstacles = Obstacles { refused: self.read_refused, ..Obstacles::default() };
        if self.read_refused {
            return obstacles;
        }
        obstacles.refused = !self.parked.is_empty();
        let mut clashes = Vec::new();
        let _ = self.each(&mut |key, action| {
            match action {
                Action::Wait => obstacles.waiting.push(key.clone()),
                Action::Clash(reason) => clashes.push((key.clone(), reason)),
                Action::Nothing | Action::Write(_) => {}
            }
            Continue(())
        });
        obstacles.refused |= !clashes.is_empty();
        for (key, reason) in clashes {
            self.say(Notice::Clash { stack: self.order.stack.clone(), key, reason });
        }
        obstacles
    }

    /// What the end of an order has to tell besides what kept it from being applied.
    fn tell_end(&mut self) {
        let stack = self.order.stack.clone();
        let notice = match (&self.order.change, self.view.get(&self.stack)) {
            (Change::Deleted, Known::Absent) => Notice::Report(Report::StackDeleted { stack }),
            (Change::Disabled(disabled), Known::Absent) => Notice::NoStack { stack, disabled: *disabled },
            (Change::Disabled(disabled), Known::Present(object)) if object.terminating => {
                Notice::Terminating { stack, disabled: *disabled }
            }
            _ => return,
        };
        self.say(notice);
    }
}
