//! Flags and variables, whatever stands in them.

use std::collections::BTreeMap;

use crate::config::{CliCommand, CliError, Config};

/// Entries that NULs divide: one that begins with a dash is an argument, any other `NAME=value`. What
/// is read is fit for what it is for, and no secret shows in it, in a fault or in a note.
pub fn settings(data: &[u8]) {
    const MARK: &str = "zq-s3cr3t-zq";
    let text = String::from_utf8_lossy(data);
    let marked = !text.contains(MARK);
    let mut args = vec!["stackherd".to_owned()];
    let mut env = BTreeMap::new();
    for entry in text.split('\0') {
        if entry.starts_with('-') {
            args.push(entry.to_owned());
        } else if let Some((name, value)) = entry.split_once('=') {
            let secret = ["TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.ends_with(word));
            let mark = if secret && marked { MARK } else { "" };
            env.insert(name.to_owned(), format!("{mark}{value}"));
        }
    }
    let read = || CliCommand::parse(&args, &env);
    let shown = match read() {
        Ok(CliCommand::Agent(config)) => {
            check(&config);
            assert_eq!(CliCommand::Agent(config.clone()), read().expect("as before"));
            format!("{config:?}\n{}", config.notes.join("\n"))
        }
        Ok(other) => format!("{other:?}"),
        Err(CliError::Settings(faults)) => {
            assert!(!faults.0.is_empty());
            faults.to_string()
        }
        Err(usage) => usage.to_string(),
    };
    assert!(!marked || !shown.contains(MARK), "{shown}");
}

fn check(config: &Config) {
    let identity = &config.identity;
    let told = [&identity.id, &identity.base_url.text].into_iter().chain(&identity.additional_base_urls);
    for text in told {
        assert_eq!(text, text.trim());
        // It travels as metadata.
        http::HeaderValue::from_str(text).expect("a header");
    }
    assert!(!identity.base_url.text.contains('\u{fffd}'));
    assert!(!config.membership.server.host.is_empty() && config.membership.server.port != 0);
    assert!(config.cluster.qps.is_finite() && config.cluster.qps >= 0.0);
    assert!(!config.cluster.request_timeout.is_zero());
    tracing_subscriber::EnvFilter::try_new(&config.log.filter).expect("a filter");
    for (key, _) in config.traces.iter().flat_map(|traces| &traces.attributes) {
        assert!(!key.is_empty());
    }
}
