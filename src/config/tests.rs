//! Command line and environment to settings.

mod traces;

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

fn agent(args: &[&str], env: &Env) -> Result<Config, SettingFaults> {
    match CliCommand::parse([&["stackherd"], args].concat(), env) {
        Ok(CliCommand::Agent(config)) => Ok(*config),
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
    assert_eq!(config.auth, AuthSettings::Token(Secret::new("t0ken")));
    assert_eq!(config.cluster.kube_config, None);
    assert_eq!((config.cluster.qps, config.cluster.burst), (200.0, 400));
    assert_eq!(config.cluster.request_timeout, Duration::from_secs(10));
    assert_eq!(config.engine.max_in_flight_stacks.get(), 256);
    assert_eq!(config.lifecycle.resync_period, Some(Duration::from_secs(300)));
    assert_eq!(config.log, LogSettings { filter: LogSettings::INFO.into(), json: false });
    assert_eq!(config.traces, None);
    assert_eq!(config.notes, Vec::<String>::new());
}

#[test]
fn a_kubeconfig_that_is_named_lies_below_the_home_folder_where_it_says_so() {
    for (named, path) in [("~/k", "/home/me/k"), ("k", "k"), ("~/.kube/config", "/home/me/.kube/config")] {
        let config = agent(&["--kube-config", named], &enough(&[])).unwrap();
        assert_eq!(config.cluster.kube_config.as_deref(), Some(Path::new(path)));
    }
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
    assert_eq!(config.auth, AuthSettings::Bearer { issuer, client_secret: Secret::new("s") });
}

#[test]
fn wrong_values_are_told_together_with_what_is_missing() {
    let args = ["--kube-qps=-1", "--shards=0", "--resync-period=5", "--debug=maybe"];
    let env =
        enough(&[("ID", ""), ("OTEL_TRACES_EXPORTER", "jaeger"), ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")]);
    let faults = faults(&args, &env);
    assert_eq!(faults.len(), 5, "no setting of traces is among them: {faults:#?}");
    let all = faults.join("\n");
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
    let texts = |args: &[&str], env: &Env| agent(args, env).unwrap().identity.additional_base_urls;
    let env = enough(&[("ADDITIONAL_BASE_URLS", "http://a http://b,\n http://c, ")]);
    assert_eq!(texts(&[], &env), ["http://a", "http://b", "http://c"]);
    let args = ["--additional-base-urls", "http://d,http://e", "--additional-base-urls=http://f"];
    assert_eq!(texts(&args, &env), ["http://d", "http://e", "http://f"]);
    assert_eq!(texts(&["--additional-base-urls", "\"x,y\",not a URL"], &env), ["x,y", "not a URL"]);
    assert_eq!(texts(&["--additional-base-urls="], &env).len(), 3, "an empty flag is not set");
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
fn the_go_agents_flags_without_effect_are_taken_whatever_they_say() {
    let args = [
        "--licence-issuer=https://l",
        "--licence-expected-issuer",
        "https://l",
        "--licence-validate-tick=often",
        "--otel-traces-exporter-jaeger-endpoint=http://j:14268",
        "--otel-traces-exporter-jaeger-user",
        "u",
        "--otel-traces-exporter-jaeger-password=p",
        "-t",
        "--logs-enabled=maybe",
    ];
    let config = agent(&args, &enough(&[("LICENCE_ISSUER", ""), ("TOGGLE", "x")])).unwrap();
    let ignored = config.notes.iter().filter(|note| note.ends_with(" is ignored")).count();
    assert_eq!(ignored, 8, "{:?}", config.notes);
    for form in ["-t=false", "--toggle", "--toggle=true"] {
        assert_eq!(agent(&[form], &enough(&[])).unwrap().notes, ["--toggle is ignored"], "{form}");
    }
}

#[test]
fn a_flag_that_nobody_knows_is_an_error_and_a_variable_is_not() {
    agent(&[], &enough(&[("LICENCE_SERVER", "x"), ("KUBERNETES_PORT", "tcp://10.0.0.1:443")])).unwrap();
    for args in [&["--licence-server=x"][..], &["--debug", "false"], &["-x"], &["false"]] {
        let error = CliCommand::parse([&["stackherd"], args].concat(), &enough(&[])).unwrap_err();
        assert_eq!(error.exit_code(), 64, "{args:?}");
    }
}

#[test]
fn blanks_around_a_value_are_no_part_of_it() {
    let env = enough(&[
        ("ID", " eu-1\n"),
        ("BASE_URL", "\u{feff}https://eu.example.com\r\n"),
        ("AUTHENTICATION_MODE", "bearer\n"),
        ("AUTHENTICATION_ISSUER", "\thttps://idp/x/ "),
        ("AUTHENTICATION_CLIENT_SECRET", "a b\n"),
        ("KUBE_QPS", " 7 "),
        ("RESYNC_PERIOD", "5m\n"),
        ("PRODUCTION", "true\n"),
        ("OUTDATED", " \n"),
        ("TAG", " "),
    ]);
    let config = agent(&["--server-address", " m:1\n", "--kube-burst=\n"], &env).unwrap();
    assert_eq!((&*config.identity.id, &*config.identity.base_url.text), ("eu-1", "https://eu.example.com"));
    let issuer = "https://idp/x/".to_owned();
    assert_eq!(config.auth, AuthSettings::Bearer { issuer, client_secret: Secret::new("a b") });
    assert_eq!((config.cluster.qps, config.cluster.burst), (7.0, 400));
    assert!(config.identity.production && !config.identity.outdated);
    assert_eq!(config.membership.server.to_string(), "m:1");
    assert_eq!(config.notes, Vec::<String>::new());
    let token = agent(&[], &enough(&[("AUTHENTICATION_TOKEN", "\n t0ken\r\n")])).unwrap().auth;
    assert_eq!(token, AuthSettings::Token(Secret::new("t0ken")));
}

/// As kubelet and Docker write them.
const LINKS: [&str; 5] = [
    "tcp://10.0.0.1:80",
    "udp://10.0.0.1:53",
    "sctp://10.0.0.1:9",
    "tcp://[fd00::1]:443",
    "tcp://172.17.0.5:5432",
];

#[test]
fn the_link_to_a_service_is_no_value_of_a_flag_of_that_name() {
    for link in LINKS {
        let env = enough(&[("SHARDS", link), ("KUBE_QPS", link), ("DEBUG", link), ("TLS_CA_CERT", link)]);
        let config = agent(&["--tls-enabled"], &env).unwrap();
        assert_eq!((config.cluster.qps, config.membership.tls), (200.0, Some(Trust::System)));
        let told = |note: &&String| note.contains("link to a service");
        assert_eq!(config.notes.iter().filter(told).count(), 4, "{:?}", config.notes);
        let demo = env
            .into_iter()
            .chain(self::env(&[("SEED", link), ("STACKS", link), ("FORMAT", link)]))
            .collect::<Env>();
        let Ok(CliCommand::Demo(config)) = CliCommand::parse(["stackherd", "demo"], &demo) else {
            panic!("{link}")
        };
        assert_eq!((config.stacks.get(), config.seed, config.format), (500, 1, DemoFormat::Text));
        let missing = faults(&[], &enough(&[("ID", link)]));
        assert!(missing.len() == 1 && missing[0].contains("link to a service"), "{missing:?}");
    }
    // On the command line it is what somebody wrote, and so it is where an address belongs.
    assert_eq!(faults(&["--shards", LINKS[0]], &enough(&[])).len(), 1);
    let address = faults(&[], &enough(&[("SERVER_ADDRESS", LINKS[0])]));
    assert!(address[0].contains("give host:port alone"), "{address:?}");
    for no_link in
        ["tcp://10.0.0.1", "http://10.0.0.1:80", "tcp://service:80", "tcp://10.0.0.1:0", "TCP://10.0.0.1:80"]
    {
        assert_eq!(faults(&[], &enough(&[("SHARDS", no_link)])).len(), 1, "{no_link}");
    }
}

#[test]
fn what_has_no_effect_stops_nothing() {
    let without_tls = enough(&[("TLS_CA_CERT", "garbage"), ("TLS_INSECURE_SKIP_VERIFY", "maybe")]);
    assert_eq!(agent(&[], &without_tls).unwrap().membership.tls, None);
    let unverified =
        enough(&[("TLS_ENABLED", "1"), ("TLS_CA_CERT", "garbage"), ("TLS_INSECURE_SKIP_VERIFY", "1")]);
    assert_eq!(agent(&[], &unverified).unwrap().membership.tls, Some(Trust::Nothing));
    // Nor does what belongs to the other way to log in.
    let odd = "\u{fffd}";
    agent(&[], &enough(&[("AUTHENTICATION_ISSUER", "not a URL"), ("AUTHENTICATION_CLIENT_SECRET", odd)]))
        .unwrap();
    let bearer = [
        ("AUTHENTICATION_MODE", "bearer"),
        ("AUTHENTICATION_TOKEN", odd),
        ("AUTHENTICATION_ISSUER", "https://i"),
        ("AUTHENTICATION_CLIENT_SECRET", "s"),
    ];
    agent(&[], &enough(&bearer)).unwrap();
}

#[test]
fn a_variable_that_is_no_text_is_named_where_it_counts() {
    let env = enough(&[("KUBE_QPS", "7\u{fffd}"), ("AUTHENTICATION_TOKEN", "s3cret\u{fffd}")]);
    let faults = faults(&[], &env);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("no UTF-8") && !fault.contains("s3cret")), "{faults:?}");
    assert!(faults[1].starts_with("KUBE_QPS "), "{faults:?}");
    agent(&["--kube-qps=7", "--authentication-token=t"], &env).unwrap();
}

#[test]
fn quotation_marks_are_part_of_a_value_and_the_error_says_so() {
    for (name, value) in
        [("PRODUCTION", "\"true\""), ("BASE_URL", "'https://x'"), ("RESYNC_PERIOD", "\"5m\"")]
    {
        let faults = faults(&[], &enough(&[(name, value)]));
        assert!(faults.len() == 1 && faults[0].contains("quotation marks"), "{faults:?}");
    }
}

#[test]
fn tls_trusts_the_system_or_the_given_authorities_or_anybody() {
    let key = rcgen::generate_simple_self_signed(["m".to_owned()]).unwrap();
    let pem = key.cert.pem().trim_end().to_owned();
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
    let shown = faults(&["--authentication-token", "s3cret\u{e9}"], &enough(&[])).join("\n");
    assert!(shown.contains("printable ASCII") && !shown.contains("s3cret"), "{shown}");
    let shown = faults(&["--base-url", "https://me:s3cret@host"], &enough(&[])).join("\n");
    assert!(shown.contains("(not shown)@host") && !shown.contains("s3cret"), "{shown}");
    let config = agent(&["--authentication-token", "s3cret"], &enough(&[])).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_broken_rust_log_is_noted_and_passed_over() {
    let config = agent(&["--debug"], &enough(&[("RUST_LOG", "stackherd=loud")])).unwrap();
    assert_eq!(config.log.filter, LogSettings::DEBUG);
    assert!(config.notes.iter().any(|note| note.starts_with("RUST_LOG is ignored")), "{:?}", config.notes);
}

#[test]
fn replay_needs_no_membership() {
    let parse = |args: &[&str]| CliCommand::parse([&["stackherd", "replay"], args].concat(), &env(&[]));
    let Ok(CliCommand::Replay(config)) = parse(&["-", "--kube-qps=0"]) else { panic!("no replay") };
    assert_eq!((config.input, config.cluster.qps), (ReplayInput::Stdin, 0.0));
    assert_eq!(config.base_url.host_port, "localhost");
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    let Ok(CliCommand::Replay(config)) = parse(&["o.jsonl", "--base-url=https://x"]) else {
        panic!("no replay")
    };
    assert_eq!((config.input, config.notes), (ReplayInput::File("o.jsonl".into()), Vec::new()));
    assert_eq!(parse(&[]).unwrap_err().exit_code(), 64);
}

#[test]
fn demo_has_defaults_for_everything() {
    let parse = |args: &[&str]| CliCommand::parse([&["stackherd", "demo"], args].concat(), &env(&[]));
    let Ok(CliCommand::Demo(config)) = parse(&[]) else { panic!("no demo") };
    assert_eq!((config.stacks.get(), config.seed, config.format), (500, 1, DemoFormat::Text));
    let args = ["--stacks=3", "--shards=2", "--seed=7", "--format=json"];
    let Ok(CliCommand::Demo(config)) = parse(&args) else { panic!("no demo") };
    assert_eq!((config.stacks.get(), config.seed, config.format), (3, 7, DemoFormat::Json));
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
