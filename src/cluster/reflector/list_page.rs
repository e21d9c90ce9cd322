//! A list that is read out, page after page, and where it is given up.

use std::time::Instant;

use super::{Listing, Reflector, ReflectorEvent, ReflectorInput, ReflectorState, ReflectorStep, RetryEarly};
use crate::{
    cluster::list_reader::{ListItem, ListReader},
    stack::object::Object,
};

/// Items that are read in one go, where none of them is of use. Others are told one by one.
const AT_A_TIME: u32 = 64;
/// Empty pages in a row, and pages that a list of few items may have. An API server sends full ones,
/// but for the last.
const EMPTY: u64 = 100;
/// A list of many pages has so many items on each, on average.
const TO_A_PAGE: u64 = 10;

/// A page that is being read.
#[derive(Debug)]
pub(super) struct PageProgress {
    /// The list as it was before this page.
    listing: Listing,
    /// When its first page was asked for.
    asked: Instant,
    page: ListReader,
    items: u64,
    left_out: UnreadableItems,
}

/// Items that could not be read.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadableItems {
    count: u64,
    /// The first of them, and why.
    example: Option<String>,
}

impl UnreadableItems {
    fn add(&mut self, name: Option<&str>, why: &dyn std::fmt::Display) {
        self.count = self.count.saturating_add(1);
        if self.example.is_none() {
            let name: String = name.unwrap_or("one without a name").chars().take(260).collect();
            self.example = Some(format!("{name}: {why}"));
        }
    }

    fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.example = self.example.take().or(other.example);
    }
}

impl Reflector {
    /// Bytes of a list that came and are not read yet.
    pub fn unread(&self) -> usize {
        match &self.state {
            ReflectorState::Reading(reading) => reading.page.held(),
            _ => 0,
        }
    }

    pub(super) fn begin_page(&mut self, listing: Listing, asked: Instant) {
        self.stumbles = 0;
        let asked = listing.asked.unwrap_or(asked);
        let (page, left_out) = (ListReader::default(), UnreadableItems::default());
        self.state =
            ReflectorState::Reading(Box::new(PageProgress { listing, asked, page, items: 0, left_out }));
    }

    pub(super) fn reading(&mut self, mut reading: Box<PageProgress>, input: ReflectorInput, now: Instant) {
        match input {
            ReflectorInput::Piece(piece) => reading.page.push(&piece),
            ReflectorInput::Ended => reading.page.finish(),
            // The page is asked for again; what was told of it will be told again.
            ReflectorInput::Failed(cause) => {
                return self.stumble(&cause, ReflectorState::Listing(reading.listing), now);
            }
            ReflectorInput::Unusable(cause) => return self.unusable(&cause, now),
            // Nothing of that was asked for.
            _ => {}
        }
        self.state = ReflectorState::Reading(reading);
    }

    /// To the next object of a page, the next page, or the end of the list. `None` where the next
    /// step follows from that.
    pub(super) fn read_on(&mut self, now: Instant) -> Option<ReflectorStep> {
        for _ in 0..AT_A_TIME {
            let ReflectorState::Reading(reading) = &mut self.state else { return None };
            let item = match reading.page.next() {
                Ok(ListItem::Item(item)) => item,
                Ok(ListItem::More) => return Some(ReflectorStep::More),
                Ok(ListItem::End) => {
                    self.end_page(now);
                    return None;
                }
                Err(error) => {
                    self.unusable(&error.to_string(), now);
                    return None;
                }
            };
            reading.items = reading.items.saturating_add(1);
            if reading.listing.items.saturating_add(reading.items) > self.most_items {
                self.endless(&format!("has more than {} items", self.most_items), now);
                return None;
            }
            let name = item.pointer("/metadata/name").and_then(|name| name.as_str()).map(str::to_owned);
            match Object::from_json(self.target.resource(), item) {
                Ok(object) => {
                    self.news =
                        Some(ReflectorEvent::Listed { object: Box::new(object), asked: reading.asked });
                    return None;
                }
                // See `ReflectorEvent::Complete`.
                Err(error) => reading.left_out.add(name.as_deref(), &error),
            }
        }
        Some(ReflectorStep::GoOn)
    }

    fn end_page(&mut self, now: Instant) {
        let ReflectorState::Reading(reading) = std::mem::take(&mut self.state) else { return };
        let PageProgress { listing, asked, page, items, left_out } = *reading;
        if page.version().is_empty() {
            return self.unusable("the list says no version", now);
        }
        let mut all_left_out = listing.left_out;
        all_left_out.join(left_out);
        let token = page.token().map(str::to_owned);
        let repeats = token == listing.token;
        let listing = Listing {
            asked: Some(asked),
            token,
            items: listing.items.saturating_add(items),
            left_out: all_left_out,
            pages: listing.pages.saturating_add(1),
            empty: if items == 0 { listing.empty.saturating_add(1) } else { 0 },
        };
        if listing.token.is_none() {
            self.say_left_out(&listing.left_out);
            self.hurry = RetryEarly::May;
            let version = page.version().to_owned();
            self.news = Some(ReflectorEvent::Complete { asked, version: version.clone() });
            self.state = ReflectorState::Opening { version };
            return;
        }
        let few = EMPTY.saturating_add(listing.items / TO_A_PAGE);
        if repeats {
            self.endless("goes on with the page that it has just been at", now);
        } else if listing.empty >= EMPTY {
            self.endless(&format!("goes on after {EMPTY} empty pages in a row"), now);
        } else if listing.pages >= few {
            let (pages, items) = (listing.pages, listing.items);
            self.endless(&format!("goes on after {pages} pages with {items} items"), now);
        } else {
            self.state = ReflectorState::Listing(listing);
        }
    }

    /// A list that does not end, or has more than there can be, is a failure of the kind.
    fn endless(&mut self, what: &str, now: Instant) {
        let left_out = match std::mem::take(&mut self.state) {
            ReflectorState::Reading(reading) => {
                let mut left_out = reading.listing.left_out;
                left_out.join(reading.left_out);
                left_out
            }
            _ => UnreadableItems::default(),
        };
        self.say_left_out(&left_out);
        self.unusable(
            &format!("the list of {} {what} (--kube-max-list-items sets how many may be)", self.target),
            now,
        );
    }

    fn say_left_out(&self, left_out: &UnreadableItems) {
        if let Some(example) = &left_out.example {
            tracing::error!(kind = %self.target, items = left_out.count, example,
                "items of the list could not be read and were left out");
        }
    }
}
