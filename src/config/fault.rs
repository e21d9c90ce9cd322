//! What is wrong with the settings, all of it.

use std::fmt;

use super::flag::Flag;

/// One setting that is missing or wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    /// A required setting that is not there. `remedy` continues "give ...". `link`: its variable is
    /// there, and says where a service is.
    pub(super) fn missing(flag: &Flag, remedy: &str, link: bool) -> Self {
        let link = if link { " (its variable holds the link to a service that is called so)" } else { "" };
        Self(format!("--{} (variable {}) is not set{link}: give {remedy}", flag.name, flag.variable()))
    }

    /// A variable that holds bytes which are no text.
    pub(super) fn bytes(flag: &Flag) -> Self {
        Self(format!("{} (flag --{}) holds bytes that are no UTF-8: give text", flag.variable(), flag.name))
    }

    /// A value that came from `source` and cannot be used.
    pub(super) fn wrong(flag: &Flag, source: Source, value: &str, why: &str) -> Self {
        let shown = if flag.secret { "(not shown)".into() } else { shown(value) };
        let quotes = match is_quoted(value) {
            true => " (the quotation marks around it are part of the value: leave them out)",
            false => "",
        };
        Self(match source {
            Source::Variable => format!("{}={shown} (flag --{}): {why}{quotes}", flag.variable(), flag.name),
            Source::Flag | Source::Default => {
                format!("--{}={shown} (variable {}): {why}{quotes}", flag.name, flag.variable())
            }
        })
    }
}

/// As they come from `docker run --env-file`, and from YAML that was quoted twice.
fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|mark| value.len() > 1 && value.starts_with(*mark) && value.ends_with(*mark))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of a value, quoted. What stands before an `@` may be a user with a password.
fn shown(value: &str) -> String {
    const MOST: usize = 80;
    let value = match value.rsplit_once('@') {
        None => value.to_owned(),
        Some((_, rest)) => format!("(not shown)@{rest}"),
    };
    match value.char_indices().nth(MOST) {
        None => format!("{value:?}"),
        Some((end, _)) => format!("{:?}...", &value[..end]),
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Variable,
    /// Neither; it is the default.
    Default,
}

/// Every fault of one command line and environment; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "stackherd: 1 setting is missing or wrong:")?,
            n => writeln!(f, "stackherd: {n} settings are missing or wrong:")?,
        }
        for fault in &self.0 {
            writeln!(f, "  {fault}")?;
        }
        f.write_str("`stackherd --help` says what each is for.")
    }
}
