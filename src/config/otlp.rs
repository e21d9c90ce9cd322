//! The collector of traces, by the project's own settings and by OpenTelemetry's.
//!
//! The project's own win. Source of the others:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    flag::Flag,
    flags,
    settings::SettingsReader,
    url::{AddressError, HostPort},
    value::{self, ValueError},
};

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceExporter {
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
        /// What is asked for over HTTP.
        path: String,
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

const MODES: [(&str, OtlpMode); 4] = [
    ("grpc", OtlpMode::Grpc),
    ("http", OtlpMode::Http),
    ("http/protobuf", OtlpMode::Http),
    ("http/json", OtlpMode::Http),
];

/// Where traces go over HTTP.
const PATH: &str = "/v1/traces";

/// A collector as a setting names it.
struct Collector {
    endpoint: HostPort,
    /// What the scheme says.
    insecure: Option<bool>,
    /// Where one is given.
    path: Option<String>,
}

/// The collector of exporter `otlp`; none where its endpoint cannot be used.
pub(super) fn exporter(settings: &mut SettingsReader<'_>) -> Option<TraceExporter> {
    const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    const INSECURE: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"];
    let mode = setting(settings, &flags::OTEL_TRACES_EXPORTER_OTLP_MODE, &PROTOCOL, |text| {
        value::choice(&text.to_ascii_lowercase(), &MODES)
    })?;
    let collector = collector(settings, mode)?;
    let insecure = setting(settings, &flags::OTEL_TRACES_EXPORTER_OTLP_INSECURE, &INSECURE, value::boolean);
    Some(TraceExporter::Otlp {
        mode,
        endpoint: collector.endpoint,
        insecure: collector.insecure.or(insecure).unwrap_or(false),
        path: collector.path.unwrap_or_else(|| PATH.to_owned()),
    })
}

fn collector(settings: &mut SettingsReader<'_>, mode: OtlpMode) -> Option<Collector> {
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let flag = &flags::OTEL_TRACES_EXPORTER_OTLP_ENDPOINT;
    let parse = |text: &str| Ok(endpoint(text, mode)?);
    let own = settings.is_given(flag);
    let mut found = setting(settings, flag, &[TRACES, ALL], parse)?;
    // The endpoint of all signals is where their own paths begin.
    if !own && settings.variable(TRACES).is_none() && settings.variable(ALL).is_some() {
        found.path = found.path.map(|path| format!("{}{PATH}", path.trim_end_matches('/')));
    }
    Some(found)
}

/// The project's own setting, or the first of these variables that is set; else the default.
fn setting<T>(
    settings: &mut SettingsReader<'_>,
    flag: &Flag,
    variables: &[&str],
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Option<T> {
    if !settings.is_given(flag) {
        for name in variables {
            let Some(text) = settings.variable(name) else { continue };
            match parse(&text) {
                Ok(value) => return Some(value),
                // The value may hold a password.
                Err(why) => settings.unusable(format!("{name}: {why}")),
            }
        }
    }
    settings.try_read(flag, parse)
}

/// `host:port`, or a URL whose scheme says whether TLS is spoken.
fn endpoint(text: &str, mode: OtlpMode) -> Result<Collector, AddressError> {
    let port = match mode {
        OtlpMode::Grpc => 4317,
        OtlpMode::Http => 4318,
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        let (address, path) = parts(text);
        return Ok(Collector { endpoint: HostPort::parse(address, port)?, insecure: None, path });
    };
    let insecure = match &*scheme.to_ascii_lowercase() {
        "http" | "grpc" | "tcp" => true,
        "https" | "grpcs" => false,
        _ => return Err(AddressError::Scheme),
    };
    let (address, path) = parts(rest);
    Ok(Collector { endpoint: HostPort::parse(address, port)?, insecure: Some(insecure), path })
}

/// The address and the path, where there is one.
fn parts(text: &str) -> (&str, Option<String>) {
    let (address, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let path = Some(path).filter(|path| path.starts_with('/') && *path != "/");
    (address, path.map(str::to_owned))
}

/// Text in which `%20` stands for a blank, as OpenTelemetry writes attributes. What is no such
/// sequence, or would be no text, stays as it is.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_or_a_url() {
        let read = |text, mode| endpoint(text, mode).map(|c| (c.endpoint.to_string(), c.insecure, c.path));
        let some = |address: &str, insecure, path: Option<&str>| {
            Ok((address.to_owned(), insecure, path.map(str::to_owned)))
        };
        assert_eq!(read("c", OtlpMode::Grpc), some("c:4317", None, None));
        assert_eq!(read("http://c:4317", OtlpMode::Grpc), some("c:4317", Some(true), None));
        assert_eq!(read("https://c/", OtlpMode::Http), some("c:4318", Some(false), None));
        let path = Some("/otlp/v1/traces");
        assert_eq!(read("https://c:9/otlp/v1/traces", OtlpMode::Http), some("c:9", Some(false), path));
        assert_eq!(read("http://[::1]:4317", OtlpMode::Grpc), some("[::1]:4317", Some(true), None));
        for wrong in [":", "ftp://c", "http://", "http://u:p@c:1", "a b", "c:99999"] {
            assert!(read(wrong, OtlpMode::Grpc).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percents_are_decoded_where_that_is_text() {
        for (text, expected) in [
            ("team%20a", "team a"),
            ("100%", "100%"),
            ("%zz%41", "%zzA"),
            ("%ff", "%ff"),
            ("%C3%A9", "\u{e9}"),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }
}
