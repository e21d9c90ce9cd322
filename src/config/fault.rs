//! What is wrong with the settings, all of it.

use std::fmt;

use super::flag::Flag;

/// One setting that is missing or wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    /// A required setting that is not there. `remedy` continues "give ...".
    pub(super) fn missing(flag: &Flag, remedy: &str) -> Self {
        Self(format!("--{} (variable {}) is not set: give {remedy}", flag.name, flag.variable()))
    }

    /// A value that came from `source` and cannot be used.
    pub(super) fn wrong(flag: &Flag, source: Source, value: &str, why: &str) -> Self {
        // Before an @ there may be a password.
        let hidden = flag.secret || value.contains('@');
        let value = if hidden { "(not shown)".into() } else { shown(value) };
        Self(match source {
            Source::Variable => format!("{}={value} (flag --{}): {why}", flag.variable(), flag.name),
            Source::Flag | Source::Default => {
                format!("--{}={value} (variable {}): {why}", flag.name, flag.variable())
            }
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of a value, quoted.
fn shown(value: &str) -> String {
    const MOST: usize = 80;
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
