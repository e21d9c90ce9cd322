//! The binary as a shell sees it: help, faults, exit codes.

use std::process::{Command, Output, Stdio};

/// Runs the binary with these arguments and nothing but these variables.
fn stackherd(args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stackherd"))
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The agent's flags: what a deployment of the Go agent may set, and this agent's own.
const FLAGS: &str = "kube-config server-address tls-enabled tls-insecure-skip-verify tls-ca-cert id \
    authentication-mode authentication-token authentication-issuer authentication-client-secret base-url \
    additional-base-urls production outdated resync-period debug json-formatting-logger grace-period \
    otel-service-name otel-resource-attributes otel-traces-exporter otel-traces-batch \
    otel-traces-exporter-otlp-mode otel-traces-exporter-otlp-endpoint otel-traces-exporter-otlp-insecure \
    authentication-client-id tag logs-enabled logs-level licence-token licence-validate-tick \
    licence-cluster-id licence-expected-issuer shards max-in-flight-stacks kube-qps kube-burst \
    kube-max-in-flight kube-request-timeout kube-max-list-items";

#[test]
fn help_names_every_flag_with_its_variable_under_headings() {
    let output = stackherd(&["--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    // Wrapping may fall between the words of a sentence, never into a name.
    for flag in FLAGS.split_whitespace() {
        let spelled = |end| help.contains(&format!("--{flag}{end}"));
        assert!(spelled(" <") || spelled("[="), "no --{flag} in:\n{help}");
        let variable = flag.to_uppercase().replace('-', "_");
        assert!(help.contains(&format!("{variable}]")), "no {variable} in:\n{help}");
    }
    let headings = ["Membership:", "Authentication:", "Kubernetes:", "Engine:", "Logs:", "Traces:"];
    for heading in headings {
        assert!(help.lines().any(|line| line == heading), "no {heading} in:\n{help}");
    }
    assert!(help.contains("[default: localhost:8081]"), "{help}");
}

#[test]
fn subcommands_have_help_of_their_own() {
    for (subcommand, flag) in [("replay", "--kube-config"), ("demo", "--seed")] {
        let output = stackherd(&[subcommand, "--help"], &[]);
        let help = text(&output.stdout);
        assert!(output.status.success() && help.contains(flag), "{help}");
        assert!(!help.contains("--authentication-mode"), "{help}");
    }
}

#[test]
fn all_missing_settings_are_listed_in_one_message() {
    let output = stackherd(&[], &[]);
    assert_eq!(output.status.code(), Some(64));
    let message = text(&output.stderr);
    assert!(message.starts_with("stackherd: 3 settings are missing or wrong:"), "{message}");
    for name in ["--id (variable ID)", "--base-url (variable BASE_URL)", "--authentication-mode"] {
        assert!(message.contains(name), "{message}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn empty_variables_are_missing_ones() {
    let empty = [("ID", ""), ("BASE_URL", ""), ("AUTHENTICATION_MODE", ""), ("KUBE_QPS", "")];
    assert_eq!(stackherd(&[], &empty), stackherd(&[], &[]));
}

#[test]
fn wrong_values_are_told_with_their_source_and_what_would_do() {
    let env = [
        ("ID", "eu"),
        ("BASE_URL", "eu.example.com"),
        ("AUTHENTICATION_MODE", "password"),
        ("OTEL_TRACES", "true"),
        ("POD_NAME", "agent-0"),
    ];
    let output = stackherd(&["--kube-request-timeout=fast", "--production=perhaps"], &env);
    assert_eq!(output.status.code(), Some(64));
    let message = text(&output.stderr);
    assert!(message.contains("4 settings"), "{message}");
    assert!(message.contains("BASE_URL=\"eu.example.com\" (flag --base-url)"), "{message}");
    assert!(message.contains("token, bearer"), "{message}");
    assert!(message.contains("--kube-request-timeout=\"fast\""), "{message}");
    assert!(message.contains("--production=\"perhaps\""), "{message}");
}

#[test]
fn an_unknown_flag_or_subcommand_is_wrong_usage() {
    for args in [["--kube-qsp=1"], ["repaly"]] {
        let output = stackherd(&args, &[]);
        assert_eq!(output.status.code(), Some(64));
        let message = text(&output.stderr);
        assert!(message.contains("similar"), "no hint in: {message}");
    }
}

#[test]
fn replay_wants_a_file() {
    let output = stackherd(&["replay"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("<FILE>"));
}

#[test]
fn the_sample_for_replay_holds_orders() {
    use stackherd::membership::wire::server::Order;
    let sample = include_str!("../../examples/orders.jsonl");
    let orders: Vec<Order> = sample.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(orders.len() > 4 && orders.iter().all(|order| order.message.is_some()));
}

#[test]
fn version_prints_one_line() {
    let output = stackherd(&["version"], &[]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), format!("stackherd {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(stackherd(&["--version"], &[]).stdout, output.stdout);
}
