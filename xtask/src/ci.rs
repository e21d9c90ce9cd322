//! Everything that has to pass before a merge, one step after the other.

use std::process::Command;

use crate::{
    envtest, grpcio, house, safeguards, simulation,
    step::{self, cargo},
};

/// `cargo xtask ci`.
pub(crate) fn command() -> Result<(), String> {
    let start = step::now();
    step::run("format", cargo().args(["fmt", "--all", "--check"]))?;
    house::command()?;
    // The fixtures come before anything that cargo builds, so that the two compilers do not
    // fight for the same cores, and a missing Go or Python shows within seconds.
    let python = grpcio::python()?;
    openssl()?;
    let assets = envtest::assets()?;
    let mut clippy = cargo();
    step::run("clippy", clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut test = cargo();
    test.args(["test", "--workspace"]);
    test.env("KUBEBUILDER_ASSETS", assets).env("STACKHERD_GRPCIO_PYTHON", python);
    // With this a test that lacks its fixture fails instead of saying that it was not run.
    test.env("STACKHERD_REQUIRE_FIXTURES", "1");
    step::run("test", &mut test)?;
    // Some minutes each, so `cargo test` leaves them out.
    let mut interleavings = cargo();
    interleavings.args(["test", "--lib", "exhaustive", "--", "--ignored", "--nocapture"]);
    step::run("interleavings", &mut interleavings)?;
    safeguards::command(None)?;
    simulation::short()?;
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    step::run("docs", &mut doc)?;
    eprintln!("all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Certificates that no Rust library makes come from it.
fn openssl() -> Result<(), String> {
    step::output(Command::new("openssl").arg("version")).map(drop).map_err(|fault| {
        format!(
            "{fault}\nthe tests of TLS need the openssl command: on Debian and Ubuntu apt-get install openssl"
        )
    })
}
