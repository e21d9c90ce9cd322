//! Settings of traces, the project's own and OpenTelemetry's: none of them ever stops the start.

use super::*;

/// The traces of this environment, and what is said beside that they are not exported.
fn read(pairs: &[(&str, &str)]) -> (Option<TraceSettings>, Vec<String>) {
    let mut config = agent(&[], &enough(pairs)).expect("it starts");
    config.notes.retain(|note| !note.starts_with("traces are not exported yet"));
    (config.traces, config.notes)
}

/// Mode, address, without TLS, path.
fn otlp(pairs: &[(&str, &str)]) -> (OtlpMode, String, bool, String) {
    let pairs = [&[("OTEL_TRACES_EXPORTER", "otlp")], pairs].concat();
    match read(&pairs) {
        (
            Some(TraceSettings { exporter: TraceExporter::Otlp { mode, endpoint, insecure, path }, .. }),
            notes,
        ) => {
            assert_eq!(notes, Vec::<String>::new(), "{pairs:?}");
            (mode, endpoint.to_string(), insecure, path)
        }
        other => panic!("{pairs:?}: {other:?}"),
    }
}

fn attributes(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (traces, notes) = read(&[("OTEL_TRACES_EXPORTER", "console"), ("OTEL_RESOURCE_ATTRIBUTES", text)]);
    (traces.expect("on").attributes, notes)
}

#[test]
fn traces_are_off_and_their_settings_not_looked_at_unless_an_exporter_is_set() {
    let junk = [
        ("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", ":"),
        ("OTEL_TRACES_EXPORTER_OTLP_MODE", "x"),
        ("OTEL_TRACES_BATCH", "maybe"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
    ];
    for off in ["", "none", "None", " none "] {
        let pairs = [&[("OTEL_TRACES_EXPORTER", off)][..], &junk].concat();
        assert_eq!(read(&pairs), (None, vec![]), "{off:?}");
    }
    let disabled = [("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SDK_DISABLED", "true")];
    assert_eq!(read(&[&disabled[..], &junk].concat()), (None, vec![]));
}

#[test]
fn exporters_are_called_as_opentelemetry_calls_them() {
    for console in ["stdout", "console", "logging", "Console", "console,none"] {
        let (traces, notes) = read(&[("OTEL_TRACES_EXPORTER", console)]);
        assert_eq!((traces.map(|t| t.exporter), notes), (Some(TraceExporter::Stdout), vec![]), "{console}");
    }
    let (traces, notes) = read(&[("OTEL_TRACES_EXPORTER", "otlp, console")]);
    assert!(matches!(traces.map(|t| t.exporter), Some(TraceExporter::Otlp { .. })));
    assert!(notes.len() == 1 && notes[0].contains("the first one"), "{notes:?}");
    for unknown in ["jaeger", "zipkin,nonsense"] {
        let (traces, notes) = read(&[("OTEL_TRACES_EXPORTER", unknown)]);
        assert_eq!((traces, notes.len()), (None, 1), "{notes:?}");
        assert!(notes[0].contains("give one of otlp"), "{notes:?}");
    }
}

#[test]
fn a_collector_is_an_address_or_a_url_by_whichever_name() {
    let (grpc, http, path) = (OtlpMode::Grpc, OtlpMode::Http, "/v1/traces".to_owned());
    assert_eq!(otlp(&[]), (grpc, "localhost:4317".into(), false, path.clone()));
    let own = ("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", "collector");
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:1/base/");
    assert_eq!(otlp(&[own, standard]), (grpc, "collector:4317".into(), false, path.clone()));
    assert_eq!(otlp(&[standard]), (grpc, "other:1".into(), true, "/base/v1/traces".into()));
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/v2");
    assert_eq!(otlp(&[standard, traces]), (grpc, "t:4317".into(), false, "/v2".into()));
    for mode in ["http", "http/protobuf", "http/json", "HTTP"] {
        let set = otlp(&[("OTEL_TRACES_EXPORTER_OTLP_MODE", mode)]);
        assert_eq!(set, (http, "localhost:4318".into(), false, path.clone()), "{mode}");
    }
    assert_eq!(otlp(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).0, http);
    assert!(otlp(&[own, ("OTEL_TRACES_EXPORTER_OTLP_INSECURE", "true")]).2);
    assert!(otlp(&[("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", "http://c:4317")]).2);
}

#[test]
fn attributes_are_written_as_opentelemetry_writes_them() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    for (text, expected) in [
        ("team.name=team a", vec![pair("team.name", "team a")]),
        ("a=b, c=d,", vec![pair("a", "b"), pair("c", "d")]),
        ("a=b c=d=e", vec![pair("a", "b"), pair("c", "d=e")]),
        ("a=team%20a,b=100%", vec![pair("a", "team a"), pair("b", "100%")]),
        ("a=", vec![pair("a", "")]),
    ] {
        assert_eq!(attributes(text), (expected, vec![]), "{text}");
    }
    let (some, notes) = attributes("a=b, c, =d");
    assert_eq!(some, [pair("a", "b")]);
    assert!(notes.len() == 1 && notes[0].contains("2 of --otel-resource-attributes"), "{notes:?}");
}

#[test]
fn whatever_cannot_be_used_is_one_warning() {
    let (traces, notes) = read(&[
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_TRACES_BATCH", "maybe"),
        ("OTEL_TRACES_EXPORTER_OTLP_MODE", "x"),
        ("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", "http://me:s3cret@c:1"),
        ("OTEL_TRACES_EXPORTER_OTLP_INSECURE", "x"),
        ("OTEL_RESOURCE_ATTRIBUTES", "c\u{fffd}"),
    ]);
    assert!(traces.is_some(), "the defaults stand in");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("no UTF-8") && !notes[0].contains("s3cret"), "{notes:?}");
}

#[test]
fn the_services_name_is_its_own_setting_or_the_attribute() {
    let named = |pairs: &[(&str, &str)]| {
        read(&[&[("OTEL_TRACES_EXPORTER", "stdout")], pairs].concat()).0.expect("on").service_name
    };
    let attribute = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=by attribute");
    assert_eq!(named(&[]), "stackherd");
    assert_eq!(named(&[attribute]), "by attribute");
    assert_eq!(named(&[attribute, ("OTEL_SERVICE_NAME", "own")]), "own");
}
