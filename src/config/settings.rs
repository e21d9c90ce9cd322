//! Reads settings one after the other and keeps what is wrong with them, so that all faults are
//! told at once.

use std::collections::BTreeMap;

use clap::ArgMatches;

use super::{
    fault::{SettingFault, SettingFaults, SettingSource},
    flag::Flag,
    flags::{IGNORED, IGNORED_VARIABLES},
    value::{self, ValueError},
};

/// Where variables come from.
pub trait Environment {
    /// The variable's value, where it is set.
    fn get(&self, name: &str) -> Option<String>;
    /// All names, in any order.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process. Bytes that are no UTF-8 show as U+FFFD, which no setting
/// takes for valid.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// The settings of one run: flags over environment over defaults. Blanks around a value go (a secret
/// that was read from a file ends in a line break), and an empty one counts as not set, since charts
/// render empty strings.
pub(super) struct SettingsReader<'a> {
    matches: &'a ArgMatches,
    env: &'a dyn Environment,
    faults: Vec<SettingFault>,
    notes: Vec<String>,
    /// Settings that cannot be used and do not matter so much that they would stop the start.
    unusable: Vec<String>,
}

/// What is found where a setting may stand.
struct FoundText {
    text: Option<(String, SettingSource)>,
    odd: Option<OddVariable>,
}

/// A variable that does not count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OddVariable {
    /// Kubernetes and Docker set it, for a service that is called so.
    Link,
    /// It is no text.
    Bytes,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(matches: &'a ArgMatches, env: &'a dyn Environment) -> Self {
        Self { matches, env, faults: Vec::new(), notes: Vec::new(), unusable: Vec::new() }
    }

    /// A flag's text and where it came from, and what is odd about its variable where that would count.
    fn find(&self, flag: &Flag) -> FoundText {
        let default = || flag.default.map(|text| (text.to_owned(), SettingSource::Default));
        let texts = self.command_line(flag).into_iter().map(|text| bare(&text).to_owned());
        if let Some(text) = texts.rev().find(|text| !text.is_empty()) {
            return FoundText { text: Some((text, SettingSource::Flag)), odd: None };
        }
        let (text, odd) = match self.variable(&flag.variable()) {
            None => (default(), None),
            Some(text) if text.contains(char::REPLACEMENT_CHARACTER) => (None, Some(OddVariable::Bytes)),
            Some(text) if !flag.address && is_service_link(&text) => (default(), Some(OddVariable::Link)),
            Some(text) => (Some((text, SettingSource::Variable)), None),
        };
        FoundText { text, odd }
    }

    /// What stands on the command line. A flag that the subcommand does not have is not given.
    fn command_line(&self, flag: &Flag) -> Vec<String> {
        match self.matches.try_get_many::<String>(flag.name) {
            Ok(Some(values)) => values.cloned().collect(),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// A variable that is set and not empty, without blanks around it. What in it is no UTF-8 shows as
    /// U+FFFD.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|text| bare(&text).to_owned()).filter(|text| !text.is_empty())
    }

    /// A setting that may be left out, parsed.
    pub(super) fn read<T>(
        &mut self,
        flag: &Flag,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let FoundText { text, odd } = self.find(flag);
        match odd {
            Some(OddVariable::Link) => self.note_link(flag),
            Some(OddVariable::Bytes) => self.faults.push(SettingFault::NotText { flag: *flag }),
            None => {}
        }
        let (text, source) = text?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push(SettingFault::wrong(flag, source, &text, why));
                None
            }
        }
    }

    /// A setting that does not matter so much that it would stop the start: where it cannot be used,
    /// the default stands in, and [`note_unusable`](Self::note_unusable) says so.
    pub(super) fn try_read<T>(
        &mut self,
        flag: &Flag,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let FoundText { text, odd } = self.find(flag);
        match odd {
            Some(OddVariable::Link) => self.note_link(flag),
            Some(OddVariable::Bytes) => self.unusable.push(SettingFault::NotText { flag: *flag }.to_string()),
            None => {}
        }
        let default = || flag.default.and_then(|text| parse(text).ok());
        let Some((text, source)) = text else { return default() };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.unusable.push(SettingFault::wrong(flag, source, &text, why).to_string());
                default()
            }
        }
    }

    /// Something to be said with what [`try_read`](Self::try_read) could not use.
    pub(super) fn unusable(&mut self, what: impl Into<String>) {
        self.unusable.push(what.into());
    }

    /// Says in one line what could not be used.
    pub(super) fn note_unusable(&mut self, of: &str) {
        let unusable = std::mem::take(&mut self.unusable);
        if !unusable.is_empty() {
            self.note(format!("settings of {of} that cannot be used: {}", unusable.join("; ")));
        }
    }

    /// Whether a flag or its variable is set.
    pub(super) fn is_given(&self, flag: &Flag) -> bool {
        self.find(flag).text.is_some_and(|(_, source)| source != SettingSource::Default)
    }

    fn note_link(&mut self, flag: &Flag) {
        let note = format!(
            "{} is ignored: its value is the link to a service that happens to be called so (Kubernetes \
             and Docker set those; see enableServiceLinks)",
            flag.variable()
        );
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A setting that must be there. `remedy` continues "give ...".
    pub(super) fn require<T>(
        &mut self,
        flag: &Flag,
        remedy: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let FoundText { text, odd } = self.find(flag);
        if text.is_none() && odd != Some(OddVariable::Bytes) {
            let link = odd == Some(OddVariable::Link);
            self.faults.push(SettingFault::Missing { flag: *flag, remedy, link });
        }
        self.read(flag, parse)
    }

    /// Whether a switch is on. A fault counts as off.
    pub(super) fn switch(&mut self, flag: &Flag) -> bool {
        self.read(flag, value::boolean).unwrap_or(false)
    }

    /// Whether a switch is on that has no effect where it cannot be read.
    pub(super) fn try_switch(&mut self, flag: &Flag) -> bool {
        self.try_read(flag, value::boolean).unwrap_or(false)
    }

    /// A list: commas divide it, in the environment blanks as well. On the command line an item may stand
    /// in quotation marks, as in CSV.
    pub(super) fn list<T>(&mut self, flag: &Flag, parse: impl Fn(&str) -> Result<T, ValueError>) -> Vec<T> {
        let (texts, source) = match self.flagged(flag) {
            texts if !texts.is_empty() => (texts, SettingSource::Flag),
            _ => {
                let text = self.read(flag, |text| Ok(text.to_owned())).unwrap_or_default();
                let divides = |c: char| c == ',' || c.is_whitespace();
                (text.split(divides).map(str::to_owned).collect(), SettingSource::Variable)
            }
        };
        let mut values = Vec::with_capacity(texts.len());
        for text in texts.iter().map(|text| bare(text)).filter(|text| !text.is_empty()) {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(why) => self.faults.push(SettingFault::wrong(flag, source, text, why)),
            }
        }
        values
    }

    /// The items of a list on the command line; none where it is not given or holds none.
    pub(super) fn flagged(&self, flag: &Flag) -> Vec<String> {
        let lines = self.command_line(flag);
        let items = lines.iter().flat_map(|line| value::items(line));
        items.filter(|item| !bare(item).is_empty()).collect()
    }

    /// Something to say once the log is up.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Notes what is set and has no effect.
    pub(super) fn note_ignored(&mut self) {
        for flag in IGNORED.flags {
            match self.find(flag).text {
                Some((_, SettingSource::Variable)) => self.note(format!("{} is ignored", flag.variable())),
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
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<String>), SettingFaults> {
        match value {
            Some(value) if self.faults.is_empty() => Ok((value, self.notes)),
            _ => Err(SettingFaults(self.faults)),
        }
    }
}

/// Text without blanks around it, and without the mark that some editors begin a file with.
pub(super) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// Whether a value is of the kind that kubelet and Docker set for services: `tcp://10.0.0.1:80`,
/// `udp://[fd00::1]:53`.
fn is_service_link(text: &str) -> bool {
    let Some((protocol, address)) = text.split_once("://") else { return false };
    matches!(protocol, "tcp" | "udp" | "sctp")
        && address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.port() != 0)
}
