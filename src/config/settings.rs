//! Reads settings one after the other and keeps what is wrong with them, so that all faults are
//! told at once.

use clap::ArgMatches;

use super::{
    env::Environment,
    fault::{Fault, Faults, Source},
    flag::Flag,
    flags::{IGNORED, IGNORED_VARIABLES},
    value,
};

/// The settings of one run: flags over environment over defaults. An empty flag or variable
/// counts as not set, since charts render empty strings.
pub(super) struct Settings<'a> {
    matches: &'a ArgMatches,
    env: &'a dyn Environment,
    faults: Vec<Fault>,
    notes: Vec<String>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(matches: &'a ArgMatches, env: &'a dyn Environment) -> Self {
        Self { matches, env, faults: Vec::new(), notes: Vec::new() }
    }

    /// A flag's text and where it came from.
    fn given(&self, flag: &Flag) -> Option<(String, Source)> {
        let set = |text: &String| !text.is_empty();
        let flagged = || self.command_line(flag).into_iter().rfind(set).map(|text| (text, Source::Flag));
        let variable = || self.variable(&flag.variable()).map(|text| (text, Source::Variable));
        let default = || flag.default.map(|text| (text.to_owned(), Source::Default));
        flagged().or_else(variable).or_else(default)
    }

    /// What stands on the command line. A flag that the subcommand does not have is not given.
    fn command_line(&self, flag: &Flag) -> Vec<String> {
        match self.matches.try_get_many::<String>(flag.name) {
            Ok(Some(values)) => values.cloned().collect(),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|text| !text.is_empty())
    }

    /// A setting that may be left out, parsed.
    pub(super) fn read<T>(
        &mut self,
        flag: &Flag,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, source) = self.given(flag)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push(Fault::wrong(flag, source, &text, &why));
                None
            }
        }
    }

    /// A setting that must be there. `remedy` continues "give ...".
    pub(super) fn require<T>(
        &mut self,
        flag: &Flag,
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if self.given(flag).is_none() {
            self.faults.push(Fault::missing(flag, remedy));
        }
        self.read(flag, parse)
    }

    /// Whether a switch is on. A fault counts as off.
    pub(super) fn switch(&mut self, flag: &Flag) -> bool {
        self.read(flag, value::boolean).unwrap_or(false)
    }

    /// A list: commas divide it, in the environment blanks as well.
    pub(super) fn list<T>(&mut self, flag: &Flag, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items = |text: &str, divides: fn(char) -> bool| -> Vec<String> {
            text.split(divides).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let mut source = Source::Flag;
        let mut texts = items(&self.command_line(flag).join(","), |c| c == ',');
        if texts.is_empty() {
            source = Source::Variable;
            texts = items(&self.variable(&flag.variable()).unwrap_or_default(), |c| {
                c == ',' || c.is_whitespace()
            });
        }
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(why) => self.faults.push(Fault::wrong(flag, source, text, &why)),
            }
        }
        values
    }

    /// Something to say once the log is up.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Notes what is set and has no effect.
    pub(super) fn note_ignored(&mut self) {
        for flag in IGNORED.flags {
            match self.given(flag) {
                Some((_, Source::Variable)) => self.note(format!("{} is ignored", flag.variable())),
                Some(_) => self.note(format!("--{} is ignored", flag.name)),
                None => {}
            }
        }
        let mut names = self.env.names();
        names.sort();
        for name in names {
            let ignored = IGNORED_VARIABLES.iter().any(|known| match known.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *known,
            });
            if ignored && self.variable(&name).is_some() {
                self.note(format!("{name} is ignored"));
            }
        }
    }

    /// The value that was built, with the notes; or every fault there was. `value` may be
    /// missing only where there was a fault.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<String>), Faults> {
        match value {
            Some(value) if self.faults.is_empty() => Ok((value, self.notes)),
            _ => Err(Faults(self.faults)),
        }
    }
}
