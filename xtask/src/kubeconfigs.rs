//! What kubectl makes of the kubeconfigs in `tests/kubeconfigs`, stored beside each of them.

use std::process::Command;

use crate::step::{self, cargo};

/// `cargo xtask kubeconfigs`
pub(crate) fn command() -> Result<(), String> {
    let version = Command::new("kubectl").args(["version", "--client"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Err("kubectl does not run: install it (on Debian the package kubernetes-client)".into());
    }
    let mut test = cargo();
    test.args(["test", "--test", "integration", "kubeconfigs::ask_kubectl", "--", "--ignored"]);
    step::run("kubeconfigs", &mut test)
}
