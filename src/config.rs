//! Flags and environment, read once into one typed value.
//!
//! Whatever is missing or wrong is collected and told in one message before the process ends
//! with code 64; nothing later in the process looks at the environment again. [`flags`] lists
//! every flag; [`Command::parse`] is the door.

mod cli;
mod cluster;
mod duration;
mod engine;
mod env;
mod fault;
pub mod flag;
pub mod flags;
mod membership;
mod otlp;
mod secret;
mod settings;
mod share;
mod telemetry;
pub mod url;
mod value;

#[cfg(test)]
mod tests;

pub use self::{
    cli::{CliError, Command, DemoConfig, Format, Input, ReplayConfig, command},
    cluster::Cluster,
    engine::{Engine, Lifecycle},
    env::{Environment, Process},
    fault::{Fault, Faults, Source},
    membership::{Auth, Identity, Membership, Trust},
    otlp::{Exporter, OtlpMode},
    secret::Secret,
    share::share,
    telemetry::{Log, Traces},
    url::{BaseUrl, HostPort},
};

use self::settings::Settings;

/// The version of this agent, as people and scripts are told it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Settings of the agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who it is.
    pub identity: Identity,
    /// Where membership is.
    pub membership: Membership,
    /// How to log in there.
    pub auth: Auth,
    /// The API server.
    pub cluster: Cluster,
    /// How the work is divided.
    pub engine: Engine,
    /// What it does over time.
    pub lifecycle: Lifecycle,
    /// How to log.
    pub log: Log,
    /// Where traces go; nowhere where absent.
    pub traces: Option<Traces>,
    /// What to say once the log is up: settings without effect, one line each.
    pub notes: Vec<String>,
}

impl Config {
    fn read(mut settings: Settings<'_>) -> Result<Self, Faults> {
        let identity = Identity::read(&mut settings);
        let membership = Membership::read(&mut settings);
        let auth = Auth::read(&mut settings);
        let cluster = Cluster::read(&mut settings);
        let engine = Engine::read(&mut settings, cluster.as_ref());
        let lifecycle = Lifecycle::read(&mut settings);
        let log = Log::read(&mut settings, Log::INFO);
        let traces = Traces::read(&mut settings);
        settings.note_ignored();
        let config = || {
            Some(Self {
                identity: identity?,
                membership: membership?,
                auth: auth?,
                cluster: cluster?,
                engine: engine?,
                lifecycle: lifecycle?,
                log,
                traces,
                notes: Vec::new(),
            })
        };
        let (config, notes) = settings.finish(config())?;
        Ok(Self { notes, ..config })
    }
}
