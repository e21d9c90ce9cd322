use super::*;

fn plugin(script: &str) -> ExecPlugin {
    let exec = ExecConfig {
        command: Some("/bin/sh".into()),
        args: Some(vec!["-c".into(), script.into()]),
        ..ExecConfig::default()
    };
    ExecPlugin::new(&exec, &Cluster::default(), "test").unwrap()
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
    let cluster = Cluster {
        server: Some("https://api.example:6443".into()),
        certificate_authority_data: Some(BASE64_STANDARD.encode("PEM\n")),
        ..Cluster::default()
    };
    let exec = ExecConfig { command: Some("x".into()), provide_cluster_info: true, ..ExecConfig::default() };
    let plugin = ExecPlugin::new(&exec, &cluster, "test").unwrap();
    let (_, info) = plugin.env.iter().find(|(name, _)| name == "KUBERNETES_EXEC_INFO").unwrap();
    let info: Value = serde_json::from_str(info).unwrap();
    assert_eq!(
        info["spec"]["cluster"],
        json!({"server": "https://api.example:6443", "certificate-authority-data": BASE64_STANDARD.encode("PEM\n")})
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
        command: Some("/nowhere/cloud-login".into()),
        install_hint: Some("install the cloud SDK".into()),
        ..ExecConfig::default()
    };
    let error = ExecPlugin::new(&exec, &Cluster::default(), "test").unwrap().run().unwrap_err();
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
        command: Some("x".into()),
        api_version: Some("client.authentication.k8s.io/v1alpha1".into()),
        ..ExecConfig::default()
    };
    let error = ExecPlugin::new(&exec, &Cluster::default(), "test").unwrap_err();
    assert!(error.contains("v1alpha1") && error.contains("v1beta1"), "{error}");
}
