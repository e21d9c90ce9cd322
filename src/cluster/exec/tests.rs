use super::*;

fn plugin(script: &str) -> ExecPlugin {
    let exec = ExecConfig {
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        ..ExecConfig::default()
    };
    ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap()
}

fn printing(status: &Value) -> ExecPlugin {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
    });
    plugin(&format!("echo '{credential}'"))
}

#[test]
fn a_token_and_its_expiry_are_read() {
    let plugin = printing(&json!({"token": "t-1", "expirationTimestamp": "2026-01-02T03:04:05Z"}));
    let credential = plugin.run().unwrap();
    assert_eq!(credential.header.unwrap(), "Bearer t-1");
    assert_eq!(credential.expires, Some(1_767_323_045));
    assert!(credential.identity.is_none());
}

#[test]
fn a_client_certificate_is_read() {
    let plugin = printing(&json!({"clientCertificateData": "CERT", "clientKeyData": "KEY"}));
    let identity = plugin.run().unwrap().identity.unwrap();
    assert_eq!((&*identity.certificates, &*identity.key), (&b"CERT"[..], &b"KEY"[..]));
}

#[test]
fn the_plugin_is_told_what_is_expected_of_it() {
    let mut plugin = plugin(
        r#"echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"$(printf %s "$KUBERNETES_EXEC_INFO" | base64 -w0)-$REGION\"}}""#,
    );
    plugin.env.push(("REGION".into(), "eu".into()));
    let header = plugin.run().unwrap().header.unwrap();
    let token = header.to_str().unwrap().strip_prefix("Bearer ").unwrap().strip_suffix("-eu").unwrap();
    let info: Value = serde_json::from_slice(&BASE64_STANDARD.decode(token).unwrap()).unwrap();
    assert_eq!(
        info,
        json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "spec": {"interactive": false},
        })
    );
}

#[test]
fn the_cluster_is_told_where_the_kubeconfig_wants_it() {
    let cluster = KubeconfigCluster {
        server: "https://api.example:6443".into(),
        disable_compression: true,
        extension: Some(json!({"audience": "a"})),
        ..KubeconfigCluster::default()
    };
    let exec = ExecConfig { command: "x".into(), provide_cluster_info: true, ..ExecConfig::default() };
    let plugin = ExecPlugin::new(&exec, &cluster, Some(b"PEM\n".to_vec())).unwrap();
    let (_, info) = plugin.env.iter().find(|(name, _)| name == "KUBERNETES_EXEC_INFO").unwrap();
    let info: Value = serde_json::from_str(info).unwrap();
    assert_eq!(
        info["spec"]["cluster"],
        json!({
            "server": "https://api.example:6443", "certificate-authority-data": BASE64_STANDARD.encode("PEM\n"),
            "disable-compression": true, "config": {"audience": "a"},
        })
    );
}

#[test]
fn a_failing_plugin_says_what_it_said() {
    let error = plugin("echo 'session expired' >&2; exit 3").run().unwrap_err();
    assert!(error.to_string().contains("session expired"), "{error}");
}

#[test]
fn a_missing_plugin_names_the_hint() {
    let exec = ExecConfig {
        command: "/nowhere/cloud-login".into(),
        install_hint: "install the cloud SDK".into(),
        ..ExecConfig::default()
    };
    let error = ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap().run().unwrap_err();
    assert!(error.to_string().contains("/nowhere/cloud-login"), "{error}");
    assert!(error.to_string().ends_with(": install the cloud SDK"), "{error}");
}

#[test]
fn a_plugin_that_hangs_is_ended() {
    let mut plugin = plugin("exec sleep 30");
    plugin.timeout = Duration::from_millis(50);
    let error = plugin.run().unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
}

#[test]
fn output_that_is_no_credential_is_refused_without_showing_it() {
    for script in [
        "echo s3cret",
        "true",
        r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"s3cret"}}'"#,
        r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}'"#,
        r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}}'"#,
        r#"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"s3cret","expirationTimestamp":"soon"}}'"#,
    ] {
        let error = plugin(script).run().unwrap_err();
        assert!(matches!(error, ExecError::Output { .. }), "{script}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn an_api_version_of_old_is_refused_by_name() {
    let exec = ExecConfig {
        command: "x".into(),
        api_version: "client.authentication.k8s.io/v1alpha1".into(),
        ..ExecConfig::default()
    };
    let error = ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap_err().to_string();
    assert!(error.contains("v1alpha1") && error.contains("v1beta1"), "{error}");
}

#[test]
fn a_plugin_that_wants_to_ask_somebody_is_refused() {
    let exec = ExecConfig { command: "x".into(), interactive_mode: "Always".into(), ..ExecConfig::default() };
    let error = ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap_err().to_string();
    assert!(error.contains("interactiveMode Always"), "{error}");
}

#[test]
fn a_child_that_keeps_the_pipe_is_not_waited_for() {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"},
    });
    let mut plugin = plugin(&format!("sleep 30 & echo '{credential}'"));
    plugin.timeout = Duration::from_secs(20);
    let began = crate::time::now();
    assert_eq!(plugin.run().unwrap().header.unwrap(), "Bearer t");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_empty_is_not_set() {
    let status = json!({
        "token": "t", "clientCertificateData": "", "clientKeyData": "", "expirationTimestamp": "",
    });
    let credential = printing(&status).run().unwrap();
    assert_eq!(credential.header.unwrap(), "Bearer t");
    assert!(credential.identity.is_none() && credential.expires.is_none());
    let half = json!({"token": "t", "clientCertificateData": "CERT", "clientKeyData": ""});
    assert!(printing(&half).run().unwrap_err().to_string().contains("needs a key"));
}

#[test]
fn a_plugin_that_hangs_is_ended_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let mut plugin = plugin(&format!("sleep 60 & echo $! >{}; wait", pid.display()));
    plugin.timeout = Duration::from_millis(500);
    plugin.run().unwrap_err();
    let pid = std::fs::read_to_string(pid).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    // Gone, or a zombie that nobody has buried yet.
    let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    for _ in 0..200 {
        if !alive() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("its child lives");
}

#[test]
fn a_plugin_that_prints_without_end_is_ended() {
    let mut plugin = plugin("yes");
    plugin.timeout = Duration::from_secs(60);
    let error = plugin.run().unwrap_err();
    assert!(error.to_string().contains("printed more than"), "{error}");
}

#[test]
fn last_words_are_shown_in_a_line_and_without_what_may_be_a_secret() {
    let mut plugin = plugin(
        "echo 'token-in-output'; echo '$ cannot log in' >&2; echo '{\"token\": \"s3cret\"}' >&2; \
         echo \"with $KEY and token-in-output\" >&2; printf 'at last \\033[31m' >&2; exit 7",
    );
    plugin.env.push(("KEY".into(), "s3cret-key".into()));
    let error = plugin.run().unwrap_err().to_string();
    assert!(error.contains("exit status: 7") && error.contains("$ cannot log in"), "{error}");
    assert!(error.contains("at last ?[31m"), "{error}");
    assert!(!error.contains("s3cret\"") && !error.contains("s3cret-key"), "{error}");
    assert!(!error.contains("token-in-output") && !error.contains('\n'), "{error}");
    assert_eq!(said(&[b'x'; 1 << 20], &[]), "[...]");
    assert!(said("word ".repeat(10_000).as_bytes(), &[]).len() < MAX_SAID + 10);
}
