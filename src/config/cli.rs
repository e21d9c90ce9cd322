//! The command line: which of the four things to do, and with which settings.

use std::{
    ffi::OsString,
    fmt,
    io::{self, IsTerminal},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::{Arg, ArgMatches};

use super::{
    Config,
    cluster::ClusterSettings,
    duration,
    engine::EngineSettings,
    fault::SettingFaults,
    flag::FlagGroup,
    flags,
    membership::max_message_bytes,
    settings::{Environment, SettingsReader},
    telemetry::LogSettings,
    url::BaseUrl,
    value,
};
use crate::output;

/// What the process is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum CliCommand {
    /// Join membership to the cluster.
    Agent(Box<Config>),
    /// Apply orders from a file.
    Replay(Box<ReplayConfig>),
    /// Run the agent between an embedded membership and an embedded cluster.
    Demo(DemoConfig),
    /// Say which version this is.
    Version,
}

/// Settings of `replay`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayConfig {
    /// Where the orders are.
    pub input: ReplayInput,
    /// Gateway hosts end in its host.
    pub base_url: BaseUrl,
    /// Longest line that is read, in bytes.
    pub max_message_bytes: usize,
    /// The API server.
    pub cluster: ClusterSettings,
    /// How the work is divided.
    pub engine: EngineSettings,
    /// How long writes in flight may take to end once a stop was asked for.
    pub grace_period: Duration,
    /// How to log.
    pub log: LogSettings,
    /// What to say once the log is up.
    pub notes: Vec<String>,
}

/// Where `replay` reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayInput {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// Settings of `demo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoConfig {
    /// How many stacks.
    pub stacks: NonZeroUsize,
    /// What the orders are drawn from.
    pub seed: u64,
    /// How the outcome is told.
    pub format: DemoFormat,
    /// How the work is divided.
    pub engine: EngineSettings,
    /// How to log.
    pub log: LogSettings,
}

/// How `demo` tells its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum CliError {
    /// Help or the version was asked for, or the command line does not parse.
    Usage(Box<clap::Error>),
    /// Settings are missing or wrong.
    Settings(SettingFaults),
}

/// More stacks than the embedded cluster holds in any sensible amount of memory.
const MOST_STACKS: usize = 100_000;

/// Exit code for wrong usage (`EX_USAGE` of sysexits.h).
const EX_USAGE: u8 = 64;

impl CliError {
    /// 0 where help or the version was asked for.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) | Self::Settings(_) => EX_USAGE,
        }
    }

    /// Says it: help to standard output, faults to standard error. Gives [`exit_code`], or 1 where
    /// help could not be written.
    ///
    /// [`exit_code`]: Self::exit_code
    pub fn tell(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => {
                if let Err(failure) = output::print(rendered(error, &io::stdout())) {
                    output::complain(format_args!("stackherd: standard output: {failure}"));
                    return 1;
                }
            }
            Self::Usage(error) => output::complain(rendered(error, &io::stderr()).trim_end()),
            Self::Settings(faults) => output::complain(faults),
        }
        self.exit_code()
    }
}

/// What clap has to say, as it is to look on this output.
fn rendered(error: &clap::Error, output: &impl IsTerminal) -> String {
    let text = error.render();
    if output::in_colours(output) { text.ansi().to_string() } else { text.to_string() }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Settings(faults) => faults.fmt(f),
        }
    }
}

impl std::error::Error for CliError {}

impl CliCommand {
    /// Reads the command line (the program's name first) and the environment.
    pub fn parse<A>(args: A, env: &dyn Environment) -> Result<Self, CliError>
    where
        A: IntoIterator,
        A::Item: Into<OsString> + Clone,
    {
        let matches = command().try_get_matches_from(args).map_err(|e| CliError::Usage(Box::new(e)))?;
        let command = match matches.subcommand() {
            None => {
                Config::read(SettingsReader::new(&matches, env)).map(|config| Self::Agent(Box::new(config)))
            }
            Some(("replay", matches)) => {
                ReplayConfig::read(matches, env).map(|config| Self::Replay(Box::new(config)))
            }
            Some(("demo", matches)) => DemoConfig::read(matches, env).map(Self::Demo),
            Some(_) => Ok(Self::Version),
        };
        command.map_err(CliError::Settings)
    }
}

/// The whole command line, for parsing and for whoever wants to list it.
pub fn command() -> clap::Command {
    let agent = clap::Command::new("stackherd")
        .about("Joins membership to a Kubernetes cluster and herds the stacks it orders")
        .after_help(
            "Every flag is an environment variable as well; a flag wins, and an empty one counts as \
             not set.\nDurations are Go's (300ms, 10s, 1h30m), booleans too (1, t, true, 0, f, false).",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .args_override_self(true)
        .disable_help_subcommand(true)
        .subcommand(replay())
        .subcommand(demo())
        .subcommand(clap::Command::new("version").about("Prints the version"));
    with_groups(agent, &flags::AGENT)
}

fn replay() -> clap::Command {
    let file = Arg::new("FILE").required(true).help("JSON Lines, one order each; `-` for standard input");
    let replay = clap::Command::new("replay")
        .about("Applies orders from a file to the cluster, prints reports, ends when all are applied")
        .args_override_self(true)
        .arg(file);
    with_groups(replay, &flags::REPLAY)
}

fn demo() -> clap::Command {
    let demo = clap::Command::new("demo")
        .about("Runs the agent between an embedded membership and an embedded cluster and checks the outcome")
        .args_override_self(true);
    with_groups(demo, &flags::DEMO)
}

fn with_groups(command: clap::Command, groups: &[FlagGroup]) -> clap::Command {
    let args = groups.iter().flat_map(|group| group.flags.iter().map(|flag| flag.arg(group.heading)));
    command.args(args)
}

impl ReplayConfig {
    fn read(matches: &ArgMatches, env: &dyn Environment) -> Result<Self, SettingFaults> {
        let mut settings = SettingsReader::new(matches, env);
        let input = match matches.get_one::<String>("FILE").map(String::as_str) {
            None | Some("-") => ReplayInput::Stdin,
            Some(file) => ReplayInput::File(file.into()),
        };
        let base_url = settings.read(&flags::REPLAY_BASE_URL, |text| Ok(BaseUrl::parse(text)?));
        if base_url.as_ref().is_some_and(|url| flags::REPLAY_BASE_URL.default == Some(&url.text)) {
            settings.note(format!("Gateway hosts end in the host of {}: see --base-url", flags::REPLAY_URL));
        }
        let max_message_bytes = max_message_bytes(&mut settings);
        let cluster = ClusterSettings::read(&mut settings);
        let engine = EngineSettings::read(&mut settings, cluster.as_ref());
        let grace_period = settings.read(&flags::GRACE_PERIOD, duration::duration);
        let log = LogSettings::read(&mut settings, LogSettings::INFO);
        let config = || {
            let notes = Vec::new();
            Some(Self {
                input,
                base_url: base_url?,
                max_message_bytes: max_message_bytes?,
                cluster: cluster?,
                engine: engine?,
                grace_period: grace_period?,
                log,
                notes,
            })
        };
        let (config, notes) = settings.finish(config())?;
        Ok(Self { notes, ..config })
    }
}

impl DemoConfig {
    fn read(matches: &ArgMatches, env: &dyn Environment) -> Result<Self, SettingFaults> {
        let mut settings = SettingsReader::new(matches, env);
        let stacks = settings.read(&flags::STACKS, |text| value::count(text, MOST_STACKS));
        let seed = settings.read(&flags::SEED, |text| value::whole(text, 0, u64::MAX));
        let formats = [("text", DemoFormat::Text), ("json", DemoFormat::Json)];
        let format = settings.read(&flags::FORMAT, |text| value::choice(text, &formats));
        let engine = EngineSettings::read(&mut settings, None);
        let log = LogSettings::read(&mut settings, LogSettings::WARN);
        let config = || Some(Self { stacks: stacks?, seed: seed?, format: format?, engine: engine?, log });
        Ok(settings.finish(config())?.0)
    }
}
