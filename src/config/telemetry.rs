//! Settings of logs and traces.

use tracing_subscriber::EnvFilter;

use super::{flags, otlp, otlp::TraceExporter, settings::SettingsReader, value};

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// What to log, as a filter of `tracing-subscriber` that parses.
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
}

impl LogSettings {
    /// The filter without any setting.
    pub const INFO: &str = "info";
    /// What is logged where progress is shown otherwise: trouble.
    pub const WARN: &str = "warn";
    /// The filter of `--debug`: the agent's own crates, not every library's frames.
    pub const DEBUG: &str = "info,stackherd=debug,shards=debug";

    pub(super) fn read(settings: &mut SettingsReader<'_>, usual: &str) -> Self {
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
pub struct TraceSettings {
    /// Where they go.
    pub exporter: TraceExporter,
    /// Sent in batches.
    pub batch: bool,
    /// The service's name.
    pub service_name: String,
    /// Resource attributes.
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum ExporterKind {
    Otlp,
    Stdout,
    Off,
}

const KINDS: [(&str, ExporterKind); 5] = [
    ("otlp", ExporterKind::Otlp),
    ("stdout", ExporterKind::Stdout),
    ("console", ExporterKind::Stdout),
    ("logging", ExporterKind::Stdout),
    ("none", ExporterKind::Off),
];

impl TraceSettings {
    /// Nothing where tracing is off. Charts render the exporter's other settings even then, out
    /// of empty parts (`:` for an endpoint), so these are looked at only when they count.
    ///
    /// Whatever is wrong here is one note: no setting of traces stops the start.
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let traces = Self::read_on(settings);
        settings.note_unusable("traces");
        traces
    }

    fn read_on(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let disabled = settings.variable("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        let words = settings.try_read(&flags::OTEL_TRACES_EXPORTER, |text| Ok(text.to_ascii_lowercase()))?;
        let exporter = match kind(settings, &words) {
            ExporterKind::Off => return None,
            ExporterKind::Stdout => TraceExporter::Stdout,
            ExporterKind::Otlp => otlp::exporter(settings)?,
        };
        let attributes = attributes(settings);
        let batch = settings.try_switch(&flags::OTEL_TRACES_BATCH);
        // Which of the two wins is OpenTelemetry's rule.
        let named = attributes.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.clone());
        let given = settings.is_given(&flags::OTEL_SERVICE_NAME);
        let name = settings.try_read(&flags::OTEL_SERVICE_NAME, |text| Ok(text.to_owned()));
        let service_name = named.filter(|_| !given).or(name)?;
        settings.note("traces are not exported yet: the settings otel-* were read and have no effect");
        Some(Self { exporter, batch, service_name, attributes })
    }
}

/// The first exporter of a list that can be used.
fn kind(settings: &mut SettingsReader<'_>, words: &str) -> ExporterKind {
    let mut chosen: Option<ExporterKind> = None;
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match (value::choice(word, &KINDS), chosen) {
            (Ok(ExporterKind::Off), _) => {}
            (Ok(kind), None) => chosen = Some(kind),
            (Ok(_), Some(_)) => {
                settings.unusable("more than one of --otel-traces-exporter: the first one is used");
            }
            (Err(_), _) => {
                let shown: String = word.chars().take(40).collect();
                settings.unusable(format!(
                    "--otel-traces-exporter (variable OTEL_TRACES_EXPORTER) {shown:?}: give one of otlp, \
                     stdout, console, none"
                ));
            }
        }
    }
    chosen.unwrap_or(ExporterKind::Off)
}

/// Resource attributes. In the environment they are OpenTelemetry's `a=b,c=d e`, and, as all lists, may
/// be divided by blanks where each part is an attribute.
fn attributes(settings: &mut SettingsReader<'_>) -> Vec<(String, String)> {
    let mut items = settings.flagged(&flags::OTEL_RESOURCE_ATTRIBUTES);
    if items.is_empty() {
        let text = settings.try_read(&flags::OTEL_RESOURCE_ATTRIBUTES, |text| Ok(text.to_owned()));
        for item in text.unwrap_or_default().split(',') {
            let parts: Vec<&str> = item.split_whitespace().collect();
            match parts.iter().all(|part| attribute(part).is_some()) {
                true => items.extend(parts.into_iter().map(str::to_owned)),
                false => items.push(item.to_owned()),
            }
        }
    }
    let mut attributes = Vec::with_capacity(items.len());
    let mut wrong = 0;
    for item in items.iter().filter(|item| !item.trim().is_empty()) {
        match attribute(item) {
            Some(attribute) => attributes.push(attribute),
            None => wrong += 1,
        }
    }
    if wrong > 0 {
        settings.unusable(format!(
            "{wrong} of --otel-resource-attributes (variable OTEL_RESOURCE_ATTRIBUTES): give key=value"
        ));
    }
    attributes
}

fn attribute(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (otlp::decoded(key.trim()), otlp::decoded(value.trim()));
    (!key.is_empty()).then_some((key, value))
}
