use super::*;

fn header(token: &str) -> HeaderValue {
    bearer(token).unwrap()
}

fn credential(token: &str, expires: Option<i64>) -> Result<Credential, String> {
    Ok(Credential { header: Some(header(token)), identity: None, expires })
}

#[test]
fn a_token_file_is_read_again_after_a_minute() {
    let t0 = time::now();
    let mut file = TokenFile::default();
    assert!(file.is_due(t0));
    file.learn(t0, Ok(header("a"))).unwrap();
    assert!(!file.is_due(t0 + Duration::from_secs(59)));
    assert!(file.is_due(t0 + Duration::from_secs(60)));
}

#[test]
fn a_refused_token_has_the_file_read_again_soon() {
    let t0 = time::now();
    let mut file = TokenFile::default();
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
    let mut file = TokenFile::default();
    file.learn(t0, Ok(header("a"))).unwrap();
    let old = file.edition;
    file.learn(t0, Ok(header("b"))).unwrap();
    file.refuse(old);
    assert!(!file.is_due(t0 + Duration::from_secs(30)));
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_leaves_the_old_token_in_use() {
    let t0 = time::now();
    let mut file = TokenFile::default();
    file.learn(t0, Ok(header("a"))).unwrap();
    assert!(file.learn(t0, Err("gone".into())).is_err());
    assert_eq!(file.token, Some(header("a")));
}

#[test]
fn what_a_plugin_brought_is_used_until_shortly_before_it_expires() {
    let mut cache = Cache::default();
    assert!(cache.usable(1_000).is_none());
    cache.learn(1_000, credential("a", Some(4_600))).unwrap();
    assert!(cache.usable(4_589).is_some());
    assert!(cache.usable(4_590).is_none());
}

#[test]
fn a_short_lived_credential_is_not_fetched_for_every_request() {
    let mut cache = Cache::default();
    cache.learn(1_000, credential("a", Some(1_010))).unwrap();
    assert!(cache.usable(1_005).is_some());
    assert!(cache.usable(1_009).is_none());
}

#[test]
fn without_an_expiry_it_is_used_until_it_is_refused() {
    let mut cache = Cache::default();
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
    let mut cache = Cache::default();
    assert!(cache.learn(1_000, Err("no session".into())).is_err());
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
    use kube::config::{Cluster, ExecConfig};
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let output =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}"#;
    let exec = ExecConfig {
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), format!("echo x >>{}; sleep 0.05; echo '{output}'", runs.display())]),
        ..ExecConfig::default()
    };
    let plugin = Arc::new(ExecPlugin::new(&exec, &Cluster::default(), "test").unwrap());
    let one = Credentials::new(Source::Exec(plugin.clone()));
    let other_shard = Credentials::new(Source::Exec(plugin));
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
    let credentials = Credentials::new(Source::TokenFile(path.clone()));
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
    let credentials = Credentials::new(Source::TokenFile("/nowhere/token".into()));
    let error = net::testing::run(credentials.present()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/token"), "{error}");
}
