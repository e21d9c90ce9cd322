//! Flags and environment, read once into one typed value.
//!
//! Whatever is missing or wrong is collected and told in one message before the process ends
//! with code 64; nothing later in the process looks at the environment again. [`flags`] lists
//! every flag; [`CliCommand::parse`] is the door.

mod cli;
mod cluster;
mod duration;
mod engine;
mod fault;
pub mod flag;
pub mod flags;
mod membership;
mod otlp;
mod settings;
mod share;
mod telemetry;
pub mod url;
mod value;

#[cfg(test)]
mod tests;

pub use self::{
    cli::{CliCommand, CliError, DemoConfig, DemoFormat, ReplayConfig, ReplayInput, command},
    cluster::ClusterSettings,
    duration::DurationError,
    engine::{EngineSettings, LifecycleSettings},
    fault::{SettingFault, SettingFaults, SettingSource},
    membership::{AuthSettings, IdentitySettings, MembershipSettings, Secret, Trust},
    otlp::{OtlpMode, TraceExporter},
    settings::{Environment, ProcessEnvironment},
    share::share,
    telemetry::{LogSettings, TraceSettings},
    url::{AddressError, BaseUrl, HostPort},
    value::ValueError,
};

use self::settings::SettingsReader;

/// The version of this agent, as people and scripts are told it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Settings of the agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who it is.
    pub identity: IdentitySettings,
    /// Where membership is.
    pub membership: MembershipSettings,
    /// How to log in there.
    pub auth: AuthSettings,
    /// The API server.
    pub cluster: ClusterSettings,
    /// How the work is divided.
    pub engine: EngineSettings,
    /// What it does over time.
    pub lifecycle: LifecycleSettings,
    /// How to log.
    pub log: LogSettings,
    /// Where traces go; nowhere where absent.
    pub traces: Option<TraceSettings>,
    /// What to say once the log is up: settings without effect, one line each.
    pub notes: Vec<String>,
}

impl Config {
    fn read(mut settings: SettingsReader<'_>) -> Result<Self, SettingFaults> {
        let identity = IdentitySettings::read(&mut settings);
        let membership = MembershipSettings::read(&mut settings);
        let auth = AuthSettings::read(&mut settings);
        let cluster = ClusterSettings::read(&mut settings);
        let engine = EngineSettings::read(&mut settings, cluster.as_ref());
        let lifecycle = LifecycleSettings::read(&mut settings);
        let log = LogSettings::read(&mut settings, LogSettings::INFO);
        let traces = TraceSettings::read(&mut settings);
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
