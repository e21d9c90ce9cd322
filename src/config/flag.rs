//! A flag as data: one value says its name, variable, default and purpose, so the command line,
//! `--help`, the environment, error messages and the README's table cannot disagree.

use clap::{Arg, ArgAction};

/// What a flag's value looks like on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagShape {
    /// `--name VALUE`; given twice, the last one counts.
    One,
    /// `--name`, `--name=true`, `--name=false`.
    Switch,
    /// `--name a,b`, repeatable.
    Many,
}

/// One flag, which is an environment variable as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes: `server-address`.
    pub name: &'static str,
    /// What `--help` calls its value: `HOST:PORT`.
    pub value: &'static str,
    /// What it is for, in one sentence.
    pub help: &'static str,
    /// The text that stands in where neither flag nor variable is set.
    pub default: Option<&'static str>,
    /// What the command line takes.
    pub shape: FlagShape,
    /// Its value is never shown.
    pub secret: bool,
    /// It takes URLs or addresses, so what looks like the link to a service is meant as one.
    pub address: bool,
    /// The letter that stands for it.
    pub short: Option<char>,
}

impl Flag {
    /// A flag with one value.
    pub const fn one(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value,
            help,
            default: None,
            shape: FlagShape::One,
            secret: false,
            address: false,
            short: None,
        }
    }

    /// A flag that is on or off, off by default.
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        let off = Some("false");
        Self {
            name,
            value: "BOOL",
            help,
            default: off,
            shape: FlagShape::Switch,
            secret: false,
            address: false,
            short: None,
        }
    }

    /// A flag with a list of values.
    pub const fn many(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value,
            help,
            default: None,
            shape: FlagShape::Many,
            secret: false,
            address: false,
            short: None,
        }
    }

    /// With this default.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// With a value that is never shown.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// With a value that is a URL or an address.
    pub const fn address(self) -> Self {
        Self { address: true, ..self }
    }

    /// With a letter that stands for it.
    pub const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    /// Its environment variable: `SERVER_ADDRESS`.
    pub fn variable(&self) -> String {
        self.name.to_ascii_uppercase().replace('-', "_")
    }

    /// The flag as clap knows it. Every value is text here, for clap stops at the first fault
    /// it finds and `SettingsReader` collects them all.
    pub fn arg(&self, heading: &'static str) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.name)
            .value_name(self.value)
            .help_heading(heading)
            .help(self.text());
        let arg = match self.short {
            Some(letter) => arg.short(letter),
            None => arg,
        };
        match self.shape {
            // As with the Go agent the next argument is the value, whatever it looks like: PEM
            // begins with dashes, and a secret may.
            FlagShape::One => arg.action(ArgAction::Set).allow_hyphen_values(true),
            FlagShape::Many => arg.action(ArgAction::Append).allow_hyphen_values(true),
            FlagShape::Switch => {
                arg.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true")
            }
        }
    }

    fn text(&self) -> String {
        let default = match self.default {
            Some(default) if self.shape != FlagShape::Switch => format!(" [default: {default}]"),
            _ => String::new(),
        };
        format!("{}{default} [env: {}]", self.help, self.variable())
    }
}

/// Flags that belong together, under one heading of `--help`.
#[derive(Debug, Clone, Copy)]
pub struct FlagGroup {
    /// The heading.
    pub heading: &'static str,
    /// Its flags, in the order of `--help`.
    pub flags: &'static [&'static Flag],
}
