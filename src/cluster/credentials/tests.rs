use super::*;
use crate::net;

fn with_source(source: CredentialSource) -> Credentials {
    Credentials::new(source, None, IdentityFiles::default())
}

fn header(token: &str) -> HeaderValue {
    bearer(token).unwrap()
}

fn credential(token: &str, expires: Option<i64>) -> Result<Credential, ExecError> {
    Ok(Credential { header: Some(header(token)), identity: None, expires })
}

#[test]
fn a_token_file_is_read_again_after_a_minute() {
    let t0 = time::now();
    let mut file = FileState::default();
    assert!(file.is_due(t0));
    file.learn(t0, Ok(header("a"))).unwrap();
    assert!(!file.is_due(t0 + Duration::from_secs(59)));
    assert!(file.is_due(t0 + Duration::from_secs(60)));
}

#[test]
fn a_refused_token_has_the_file_read_again_soon() {
    let t0 = time::now();
    let mut file = FileState::default();
    file.learn(t0, Ok(header("a"))).unwrap();
    file.refuse(file.edition);
    assert!(!file.is_due(t0));
    assert!(file.is_due(t0 + Duration::from_secs(1)));
    file.learn(t0 + Duration::from_secs(1), Ok(header("b"))).unwrap();
    assert!(!file.is_due(t0 + Duration::from_secs(3)));
}

#[test]
fn a_late_refusal_of_an_older_token_does_not_count_against_the_newer() {
    let t0 = time::now();
    let mut file = FileState::default();
    file.learn(t0, Ok(header("a"))).unwrap();
    let old = file.edition;
    file.learn(t0, Ok(header("b"))).unwrap();
    file.refuse(old);
    assert!(!file.is_due(t0 + Duration::from_secs(30)));
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_leaves_the_old_token_in_use() {
    let t0 = time::now();
    let mut file = FileState::default();
    file.learn(t0, Ok(header("a"))).unwrap();
    assert!(file.learn(t0, Err(RenewalError::Mismatch)).is_err());
    assert_eq!(file.value, Some(header("a")));
}

#[test]
fn what_a_plugin_brought_is_used_until_shortly_before_it_expires() {
    let mut cache = PluginCache::default();
    assert!(cache.usable(1_000).is_none());
    cache.learn(1_000, credential("a", Some(4_600))).unwrap();
    assert!(cache.usable(4_589).is_some());
    assert!(cache.usable(4_590).is_none());
}

#[test]
fn a_short_lived_credential_is_not_fetched_for_every_request() {
    let mut cache = PluginCache::default();
    cache.learn(1_000, credential("a", Some(1_010))).unwrap();
    assert!(cache.usable(1_005).is_some());
    assert!(cache.usable(1_009).is_none());
}

#[test]
fn without_an_expiry_it_is_used_until_it_is_refused() {
    let mut cache = PluginCache::default();
    let presented = cache.learn(1_000, credential("a", None)).unwrap();
    assert!(cache.usable(9_999_999).is_some());
    cache.refuse(presented.edition);
    assert!(cache.usable(1_009).is_some(), "no two runs within ten seconds");
    assert!(cache.usable(1_010).is_none());
    cache.learn(1_010, credential("b", None)).unwrap();
    cache.refuse(presented.edition);
    assert!(cache.usable(9_999_999).is_some(), "an old refusal counts for nothing");
}

#[test]
fn a_failing_plugin_is_not_run_for_every_request() {
    let mut cache = PluginCache::default();
    assert!(cache.learn(1_000, Err(ExecError::BrokeOff)).is_err());
    assert!(matches!(cache.usable(1_009), Some(Err(_))));
    assert!(cache.usable(1_010).is_none());
}

#[test]
fn headers_are_marked_as_secret() {
    assert!(header("a").is_sensitive());
    let basic = basic("me", "pass").unwrap();
    assert!(basic.is_sensitive());
    assert_eq!(basic, "Basic bWU6cGFzcw==");
    assert!(bearer("").is_err() && bearer("a\nb").is_err());
}

#[test]
fn a_plugin_is_run_once_for_all_who_come_together() {
    use crate::cluster::kubeconfig::{ExecConfig, KubeconfigCluster};
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let output =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}"#;
    let exec = ExecConfig {
        command: "/bin/sh".into(),
        args: vec!["-c".into(), format!("echo x >>{}; sleep 0.05; echo '{output}'", runs.display())],
        ..ExecConfig::default()
    };
    let plugin = Arc::new(ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap());
    let one = with_source(CredentialSource::Exec(plugin.clone()));
    let other_shard = with_source(CredentialSource::Exec(plugin));
    net::testing::run(async {
        let all = futures::join!(one.present(), one.present(), other_shard.present());
        for presented in [all.0, all.1, all.2] {
            assert_eq!(presented.unwrap().header, Some(header("t")));
        }
    });
    assert_eq!(std::fs::read_to_string(runs).unwrap().lines().count(), 1);
}

#[test]
fn a_token_that_changes_is_picked_up_after_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "one\n").unwrap();
    let credentials = with_source(CredentialSource::TokenFile { path: path.clone(), until_read: None });
    net::testing::run(async {
        let first = credentials.present().await.unwrap();
        assert_eq!(first.header, Some(header("one")));
        std::fs::write(&path, "two\n").unwrap();
        assert_eq!(credentials.present().await.unwrap().header, Some(header("one")));
        credentials.refused(&first).await;
        net::sleep(RECHECK_REFUSED).await;
        assert_eq!(credentials.present().await.unwrap().header, Some(header("two")));
    });
}

#[test]
fn a_token_file_that_is_missing_is_named() {
    let credentials =
        with_source(CredentialSource::TokenFile { path: "/nowhere/token".into(), until_read: None });
    let error = net::testing::run(credentials.present()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
}

#[test]
fn a_token_stands_in_until_its_file_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let source = CredentialSource::TokenFile { path: path.clone(), until_read: Some(header("given")) };
    let credentials = with_source(source);
    net::testing::run(async {
        let first = credentials.present().await.unwrap();
        assert_eq!(first.header, Some(header("given")));
        std::fs::write(&path, "read\n").unwrap();
        credentials.refused(&first).await;
        net::sleep(RECHECK_REFUSED).await;
        assert_eq!(credentials.present().await.unwrap().header, Some(header("read")));
    });
}

fn threads() -> usize {
    let named = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.ok()?.path().join("comm")).ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(named).filter(|name| ["blocking", "plugin"].contains(&name.trim())).count()
}

#[test]
fn a_token_file_that_becomes_a_pipe_costs_one_thread_and_no_request_its_token() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "one").unwrap();
    let credentials = with_source(CredentialSource::TokenFile { path: path.clone(), until_read: None });
    net::testing::run(async {
        let first = credentials.present().await.unwrap();
        std::fs::remove_file(&path).unwrap();
        mkfifoat(CWD, &path, Mode::from_bits_truncate(0o600)).unwrap();
        let before = threads();
        for _ in 0..6 {
            credentials.refused(&first).await;
            credentials.token.lock().await.kept.read_at = None;
            let presented = credentials.present().await.unwrap();
            assert_eq!(presented.header, Some(header("one")));
            // Other tests of this process have threads of this name as well, a few.
            assert!(threads() < before + 6, "{} threads, {before} before", threads());
        }
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "two")
        });
        credentials.token.lock().await.kept.read_at = None;
        let mut last = credentials.present().await.unwrap();
        while last.header != Some(header("two")) {
            credentials.refused(&last).await;
            net::sleep(Duration::from_millis(100)).await;
            last = credentials.present().await.unwrap();
        }
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn who_gives_up_on_a_plugin_leaves_its_run_to_the_next_one() {
    use crate::cluster::kubeconfig::{ExecConfig, KubeconfigCluster};
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let go = dir.path().join("go");
    let output =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}"#;
    let script = format!(
        "echo x >>{}; while ! test -e {}; do sleep 0.02; done; echo '{output}'",
        runs.display(),
        go.display()
    );
    let exec =
        ExecConfig { command: "/bin/sh".into(), args: vec!["-c".into(), script], ..ExecConfig::default() };
    let plugin = Arc::new(ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap());
    let credentials = with_source(CredentialSource::Exec(plugin));
    net::testing::run(async {
        for _ in 0..5 {
            assert!(net::timeout(Duration::from_millis(20), credentials.present()).await.is_err());
        }
        std::fs::write(&go, "").unwrap();
        assert_eq!(credentials.present().await.unwrap().header, Some(header("t")));
    });
    assert_eq!(std::fs::read_to_string(runs).unwrap().lines().count(), 1);
}
