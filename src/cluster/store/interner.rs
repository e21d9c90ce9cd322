//! Texts that come again and again, each kept once.

use std::sync::Arc;

use ahash::{AHashMap, RandomState};

/// So many texts, of so many bytes at most: what a store spends on them is bounded.
const MOST: usize = 4096;
const LONGEST: usize = 96;
/// Texts of which it is remembered that they were seen.
const SEEN: usize = 4096;

/// Numbers for frequent texts. A text gets one when it is seen for the second time within
/// memory: names and secrets that are one stack's alone mostly do not.
#[derive(Debug)]
pub(super) struct Interner {
    numbers: AHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// Hashes of texts seen of late, each in the one place that it can have.
    seen: Vec<u32>,
    hasher: RandomState,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            numbers: AHashMap::new(),
            texts: Vec::new(),
            seen: vec![0; SEEN],
            hasher: RandomState::with_seeds(1, 2, 3, 4),
        }
    }
}

impl Interner {
    /// The number of a text, if it has one or gets one.
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        if text.len() > LONGEST {
            return None;
        }
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        if self.texts.len() >= MOST {
            return None;
        }
        let hash = self.hasher.hash_one(text);
        let (place, mark) = (hash as usize % SEEN, (hash >> 32) as u32 | 1);
        if std::mem::replace(&mut self.seen[place], mark) != mark {
            return None;
        }
        let (number, text) = (self.texts.len() as u32, Arc::<str>::from(text));
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Some(number)
    }

    pub(super) fn text(&self, number: u32) -> Option<&str> {
        self.texts.get(number as usize).map(|text| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gets_a_number_when_it_is_seen_again() {
        let mut names = Interner::default();
        assert_eq!(names.number("ready"), None);
        let number = names.number("ready").unwrap();
        assert_eq!(names.number("ready"), Some(number));
        assert_eq!(names.text(number), Some("ready"));
        assert_eq!(names.text(number + 1), None);
    }

    #[test]
    fn long_texts_get_none_and_there_is_an_end() {
        let mut names = Interner::default();
        let long = "x".repeat(LONGEST + 1);
        assert_eq!((names.number(&long), names.number(&long)), (None, None));
        for n in 0..2 * MOST {
            let text = n.to_string();
            names.number(&text);
            names.number(&text);
        }
        assert_eq!(names.texts.len(), MOST);
        assert!(names.number("0").is_some(), "those that have one keep it");
    }
}
