//! Settings of logs and traces.

use tracing_subscriber::EnvFilter;

use super::{flags, settings::Settings, url::HostPort, value};

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What to log, as a filter of `tracing-subscriber` that parses.
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
}

impl Log {
    /// The filter without any setting.
    pub const INFO: &str = "info";
    /// What is logged where progress is shown otherwise: trouble.
    pub const WARN: &str = "warn";
    /// The filter of `--debug`: the agent's own crates, not every library's frames.
    pub const DEBUG: &str = "info,stackherd=debug,shards=debug";

    pub(super) fn read(settings: &mut Settings<'_>, usual: &str) -> Self {
        let debug = settings.switch(&flags::DEBUG);
        let json = settings.switch(&flags::JSON_FORMATTING_LOGGER);
        let level = if debug { Self::DEBUG } else { usual };
        let filter = match settings.variable("RUST_LOG") {
            None => level.to_owned(),
            Some(directives) => match EnvFilter::try_new(&directives) {
                Ok(_) => directives,
                Err(fault) => {
                    settings.note(format!("RUST_LOG is ignored, for it does not parse: {fault}"));
                    level.to_owned()
                }
            },
        };
        Self { filter, json }
    }
}

/// Where traces go and what they say of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where they go.
    pub exporter: Exporter,
    /// Sent in batches.
    pub batch: bool,
    /// The service's name.
    pub service_name: String,
    /// Resource attributes.
    pub attributes: Vec<(String, String)>,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exporter {
    /// To standard output.
    Stdout,
    /// To a collector.
    Otlp {
        /// Its protocol.
        mode: OtlpMode,
        /// Its address.
        endpoint: HostPort,
        /// Without TLS.
        insecure: bool,
    },
}

/// Protocol of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpMode {
    /// gRPC
    Grpc,
    /// HTTP
    Http,
}

#[derive(Clone, Copy)]
enum Kind {
    Otlp,
    Stdout,
}

impl Traces {
    /// Nothing where tracing is off. Charts render the exporter's other settings even then, out
    /// of empty parts (`:` for an endpoint), so these are looked at only when they count.
    pub(super) fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let kinds = [("otlp", Kind::Otlp), ("stdout", Kind::Stdout)];
        let kind = settings.read(&flags::OTEL_TRACES_EXPORTER, |text| value::choice(text, &kinds));
        let attributes = settings.list(&flags::OTEL_RESOURCE_ATTRIBUTES, attribute);
        let exporter = match kind? {
            Kind::Stdout => Some(Exporter::Stdout),
            Kind::Otlp => Exporter::otlp(settings),
        };
        let batch = settings.switch(&flags::OTEL_TRACES_BATCH);
        let service_name = settings.read(&flags::OTEL_SERVICE_NAME, |text| Ok(text.to_owned()));
        settings.note("traces are not exported yet: the settings otel-* were read and have no effect");
        Some(Self { exporter: exporter?, batch, service_name: service_name?, attributes })
    }
}

impl Exporter {
    fn otlp(settings: &mut Settings<'_>) -> Option<Self> {
        let modes = [("grpc", OtlpMode::Grpc), ("http", OtlpMode::Http)];
        let mode = settings.read(&flags::OTEL_TRACES_EXPORTER_OTLP_MODE, |text| value::choice(text, &modes));
        let port = if mode == Some(OtlpMode::Http) { 4318 } else { 4317 };
        let endpoint =
            settings.read(&flags::OTEL_TRACES_EXPORTER_OTLP_ENDPOINT, |text| HostPort::parse(text, port));
        let insecure = settings.switch(&flags::OTEL_TRACES_EXPORTER_OTLP_INSECURE);
        Some(Self::Otlp { mode: mode?, endpoint: endpoint?, insecure })
    }
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("no attribute: give key=value".into()),
    }
}
