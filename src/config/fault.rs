//! What is wrong with the settings, all of it.

use std::fmt;

use super::{flag::Flag, value::ValueError};

/// One setting that is missing or wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingFault {
    /// A required setting that is not there.
    #[error("--{} (variable {}) is not set{}: give {remedy}", flag.name, flag.variable(), linked(*link))]
    Missing {
        /// Which one.
        flag: Flag,
        /// Continues "give ...".
        remedy: &'static str,
        /// Its variable is there, and says where a service is.
        link: bool,
    },
    /// A variable that holds bytes which are no text.
    #[error("{} (flag --{}) holds bytes that are no UTF-8: give text", flag.variable(), flag.name)]
    NotText {
        /// Whose.
        flag: Flag,
    },
    /// A value that cannot be used.
    #[error("{}: {why}{}", assigned(flag, *from, shown), quotes(*quoted))]
    Wrong {
        /// Of which flag.
        flag: Flag,
        /// Where it came from.
        from: SettingSource,
        /// As much of it as may be shown.
        shown: String,
        /// What is wrong with it.
        why: ValueError,
        /// It has quotation marks around it.
        quoted: bool,
    },
}

impl SettingFault {
    /// A value that came from `source` and cannot be used.
    pub(super) fn wrong(flag: &Flag, source: SettingSource, value: &str, why: ValueError) -> Self {
        let shown = if flag.secret { "(not shown)".into() } else { shown(value) };
        Self::Wrong { flag: *flag, from: source, shown, why, quoted: is_quoted(value) }
    }
}

fn linked(link: bool) -> &'static str {
    if link { " (its variable holds the link to a service that is called so)" } else { "" }
}

fn quotes(quoted: bool) -> &'static str {
    if quoted { " (the quotation marks around it are part of the value: leave them out)" } else { "" }
}

/// The setting as it was written.
fn assigned(flag: &Flag, source: SettingSource, shown: &str) -> String {
    let (name, variable) = (flag.name, flag.variable());
    match source {
        SettingSource::Variable => format!("{variable}={shown} (flag --{name})"),
        SettingSource::Flag | SettingSource::Default => format!("--{name}={shown} (variable {variable})"),
    }
}

/// As they come from `docker run --env-file`, and from YAML that was quoted twice.
fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|mark| value.len() > 1 && value.starts_with(*mark) && value.ends_with(*mark))
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
pub enum SettingSource {
    /// The command line.
    Flag,
    /// The environment.
    Variable,
    /// Neither; it is the default.
    Default,
}

/// Every fault of one command line and environment; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingFaults(pub Vec<SettingFault>);

impl fmt::Display for SettingFaults {
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
