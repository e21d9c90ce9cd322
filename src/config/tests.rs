//! Command line and environment to settings.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::*;

type Env = BTreeMap<String, String>;

fn env(pairs: &[(&str, &str)]) -> Env {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An environment that has what is required, and these.
fn enough(pairs: &[(&str, &str)]) -> Env {
    let mut enough = env(&[
        ("ID", "eu-1"),
        ("BASE_URL", "https://eu.example.com"),
        ("AUTHENTICATION_MODE", "token"),
        ("AUTHENTICATION_TOKEN", "t0ken"),
        ("HOME", "/home/me"),
    ]);
    enough.extend(env(pairs));
    enough
}

fn agent(args: &[&str], env: &Env) -> Result<Config, Faults> {
    match Command::parse([&["stackherd"], args].concat(), env) {
        Ok(Command::Agent(config)) => Ok(*config),
        Ok(other) => panic!("another command: {other:?}"),
        Err(CliError::Settings(faults)) => Err(faults),
        Err(CliError::Usage(error)) => panic!("{error}"),
    }
}

fn faults(args: &[&str], env: &Env) -> Vec<String> {
    agent(args, env).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_set_has_the_documented_default() {
    let config = agent(&[], &enough(&[])).unwrap();
    assert_eq!(config.identity.id, "eu-1");
    assert_eq!(config.identity.base_url.host_port, "eu.example.com");
    assert_eq!(config.membership.server.to_string(), "localhost:8081");
    assert_eq!(config.membership.tls, None);
    assert_eq!(config.auth, Auth::Token(Secret::new("t0ken")));
    assert_eq!(config.cluster.kube_config.as_deref(), Some(Path::new("/home/me/.kube/config")));
    assert_eq!((config.cluster.qps, config.cluster.burst), (200.0, 400));
    assert_eq!(config.cluster.request_timeout, Duration::from_secs(10));
    assert_eq!(config.engine.max_in_flight_stacks.get(), 256);
    assert_eq!(config.lifecycle.resync_period, Some(Duration::from_secs(300)));
    assert_eq!(config.log, Log { filter: Log::INFO.into(), json: false });
    assert_eq!(config.traces, None);
    assert_eq!(config.notes, Vec::<String>::new());
}

#[test]
fn every_missing_setting_is_named_with_its_variable() {
    let faults = faults(&[], &env(&[]));
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, name) in faults.iter().zip(["--id (variable ID)", "--base-url", "--authentication-mode"]) {
        assert!(fault.starts_with(name), "{fault}");
    }
}

#[test]
fn each_mode_requires_its_own_secrets() {
    let token = faults(&[], &enough(&[("AUTHENTICATION_TOKEN", "")]));
    assert!(token.len() == 1 && token[0].starts_with("--authentication-token"), "{token:?}");
    let bearer = faults(&["--authentication-mode", "bearer"], &enough(&[]));
    assert_eq!(bearer.len(), 2, "{bearer:?}");
    let both = ["--authentication-issuer=https://idp/x/", "--authentication-client-secret=s"];
    let config = agent(&[&["--authentication-mode=bearer"][..], &both].concat(), &enough(&[])).unwrap();
    let issuer = "https://idp/x/".to_owned();
    assert_eq!(config.auth, Auth::Bearer { issuer, client_secret: Secret::new("s") });
}

#[test]
fn wrong_values_are_told_together_with_what_is_missing() {
    let args = ["--kube-qps=-1", "--shards=0", "--resync-period=5", "--debug=maybe"];
    let env =
        enough(&[("ID", ""), ("OTEL_TRACES_EXPORTER", "jaeger"), ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")]);
    let faults = faults(&args, &env);
    assert_eq!(faults.len(), 7, "{faults:#?}");
    let all = faults.join("\n");
    assert!(all.contains("OTEL_TRACES_EXPORTER=\"jaeger\" (flag --otel-traces-exporter)"), "{all}");
    assert!(all.contains("otlp, stdout"), "{all}");
    assert!(all.contains("--shards=\"0\" (variable SHARDS)"), "{all}");
}

#[test]
fn a_flag_wins_over_the_environment_and_the_last_flag_over_the_first() {
    let env = enough(&[("KUBE_QPS", "7"), ("PRODUCTION", "true")]);
    let config = agent(&["--kube-qps=8", "--kube-qps", "9", "--production=false"], &env).unwrap();
    assert_eq!(config.cluster.qps, 9.0);
    assert!(!config.identity.production);
}

#[test]
fn what_is_empty_is_not_set() {
    let env = enough(&[("KUBE_QPS", ""), ("PRODUCTION", ""), ("OUTDATED", "1"), ("TLS_ENABLED", "")]);
    let config = agent(&["--server-address", "", "--outdated="], &env).unwrap();
    assert_eq!(config.cluster.qps, 200.0);
    assert_eq!(config.membership.server.to_string(), "localhost:8081");
    assert!(config.identity.outdated && !config.identity.production);
}

#[test]
fn a_switch_needs_no_value() {
    assert!(agent(&["--production", "--debug"], &enough(&[])).unwrap().identity.production);
}

#[test]
fn lists_take_commas_and_in_the_environment_blanks() {
    let texts = |config: &Config| -> Vec<String> {
        config.identity.additional_base_urls.iter().map(|url| url.text.clone()).collect()
    };
    let env = enough(&[("ADDITIONAL_BASE_URLS", "http://a http://b,http://c, ")]);
    assert_eq!(texts(&agent(&[], &env).unwrap()), ["http://a", "http://b", "http://c"]);
    let args = ["--additional-base-urls", "http://d,http://e", "--additional-base-urls=http://f"];
    assert_eq!(texts(&agent(&args, &env).unwrap()), ["http://d", "http://e", "http://f"]);
}

#[test]
fn what_charts_set_and_nothing_reads_is_noted_once_each() {
    let env = enough(&[
        ("OTEL_TRACES", "true"),
        ("OTEL_METRICS_ON", "x"),
        ("POD_NAME", "p"),
        ("OTEL_TRACES_PORT", ""),
        ("LICENCE_TOKEN", "l"),
    ]);
    let config = agent(&["--tag=a", "--logs-enabled"], &env).unwrap();
    let ignored: Vec<&str> = config.notes.iter().filter_map(|n| n.strip_suffix(" is ignored")).collect();
    let expected = ["--tag", "--logs-enabled", "LICENCE_TOKEN", "OTEL_METRICS_ON", "OTEL_TRACES", "POD_NAME"];
    assert_eq!(ignored, expected, "{:?}", config.notes);
}

#[test]
fn tls_trusts_the_system_or_the_given_authorities_or_anybody() {
    let key = rcgen::generate_simple_self_signed(["m".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let tls = |pairs: &[(&str, &str)]| agent(&[], &enough(pairs)).map(|config| config.membership.tls);
    assert_eq!(tls(&[("TLS_ENABLED", "true")]), Ok(Some(Trust::System)));
    assert_eq!(tls(&[("TLS_ENABLED", "true"), ("TLS_CA_CERT", &pem)]), Ok(Some(Trust::pem(pem.clone()))));
    let anybody = [("TLS_ENABLED", "true"), ("TLS_INSECURE_SKIP_VERIFY", "true")];
    assert_eq!(tls(&anybody), Ok(Some(Trust::Nothing)));
    assert_eq!(tls(&[("TLS_CA_CERT", &pem)]), Ok(None));
}

#[test]
fn an_authority_that_is_no_certificate_is_a_fault() {
    for text in [
        "/etc/ca.pem",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let faults = faults(&["--tls-enabled", "--tls-ca-cert", text], &enough(&[]));
        assert!(faults.len() == 1 && faults[0].contains("give PEM text"), "{faults:?}");
    }
}

#[test]
fn secrets_show_neither_in_faults_nor_in_debug_output() {
    let shown = faults(&["--authentication-token", "s3cret\n"], &enough(&[])).join("\n");
    assert!(shown.contains("line break") && !shown.contains("s3cret"), "{shown}");
    let config = agent(&["--authentication-token", "s3cret"], &enough(&[])).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn traces_are_on_exactly_when_an_exporter_is_set() {
    let junk = [("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", ":"), ("OTEL_TRACES_EXPORTER_OTLP_MODE", "x")];
    assert_eq!(agent(&[], &enough(&junk)).unwrap().traces, None);
    assert_eq!(faults(&["--otel-traces-exporter=otlp"], &enough(&junk)).len(), 2);
    let endpoint = ("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", "collector");
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=b c=d=e");
    let traces =
        agent(&["--otel-traces-exporter=otlp"], &enough(&[endpoint, attributes])).unwrap().traces.unwrap();
    let Exporter::Otlp { mode, endpoint, insecure } = traces.exporter else { panic!("not otlp") };
    assert_eq!((mode, endpoint.to_string().as_str(), insecure), (OtlpMode::Grpc, "collector:4317", false));
    let attributes: Vec<_> = traces.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(attributes, [("a", "b"), ("c", "d=e")]);
}

#[test]
fn a_broken_rust_log_is_noted_and_passed_over() {
    let config = agent(&["--debug"], &enough(&[("RUST_LOG", "stackherd=loud")])).unwrap();
    assert_eq!(config.log.filter, Log::DEBUG);
    assert!(config.notes.iter().any(|note| note.starts_with("RUST_LOG is ignored")), "{:?}", config.notes);
}

#[test]
fn replay_needs_no_membership() {
    let parse = |args: &[&str]| Command::parse([&["stackherd", "replay"], args].concat(), &env(&[]));
    let Ok(Command::Replay(config)) = parse(&["-", "--kube-qps=0"]) else { panic!("no replay") };
    assert_eq!((config.input, config.cluster.qps), (Input::Stdin, 0.0));
    assert_eq!(config.base_url.host_port, "localhost");
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    let Ok(Command::Replay(config)) = parse(&["o.jsonl", "--base-url=https://x"]) else {
        panic!("no replay")
    };
    assert_eq!((config.input, config.notes), (Input::File("o.jsonl".into()), Vec::new()));
    assert_eq!(parse(&[]).unwrap_err().exit_code(), 64);
}

#[test]
fn demo_has_defaults_for_everything() {
    let parse = |args: &[&str]| Command::parse([&["stackherd", "demo"], args].concat(), &env(&[]));
    let Ok(Command::Demo(config)) = parse(&[]) else { panic!("no demo") };
    assert_eq!((config.stacks.get(), config.seed, config.format), (500, 1, Format::Text));
    let args = ["--stacks=3", "--shards=2", "--seed=7", "--format=json"];
    let Ok(Command::Demo(config)) = parse(&args) else { panic!("no demo") };
    assert_eq!((config.stacks.get(), config.seed, config.format), (3, 7, Format::Json));
    assert_eq!(config.engine.shards.get(), 2);
    assert_eq!(parse(&["--format=xml"]).unwrap_err().exit_code(), 64);
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn the_readme_lists_every_flag_with_its_default() {
    let readme = include_str!("../../README.md");
    for flag in flags::AGENT.iter().flat_map(|group| group.flags) {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `--{}`", flag.name)));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for --{}", flag.name));
        if let Some(default) = flag.default {
            assert!(row.contains(&format!("`{default}`")), "not the default of --{}: {row}", flag.name);
        }
    }
}
