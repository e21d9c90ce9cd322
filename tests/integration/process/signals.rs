//! Which signals end it, and how.

use std::sync::Arc;

use rustix::process::Signal;
use signal_hook::{consts::SIGQUIT, flag};

use crate::process::{ProcessScene, WITHIN};

#[test]
fn a_hangup_is_a_clean_stop() {
    let mut scene = ProcessScene::start(|agent| agent);
    scene.goes_on();
    scene.agent.signal(Signal::HUP);
    let outcome = scene.agent.outcome(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(outcome.stderr.contains("SIGHUP: no more orders are taken"), "{outcome:#?}");
}

#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_so() {
    let mut scene = ProcessScene::start(|agent| agent.after("trap '' HUP"));
    scene.agent.signal(Signal::HUP);
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn signals_that_mean_nothing_here_do_nothing() {
    let mut scene = ProcessScene::start(|agent| agent);
    let stray = [
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::PIPE,
        Signal::WINCH,
        Signal::URG,
        Signal::CHILD,
        Signal::CONT,
    ];
    for signal in stray {
        scene.agent.signal(signal);
    }
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn a_quit_ends_it_as_it_ends_any_process() {
    // A shell without job control has its background jobs ignore it, and so would all that we start. What is
    // handled here is at its default there.
    flag::register(SIGQUIT, Arc::default()).unwrap();
    let scene = ProcessScene::start(|agent| agent.after("ulimit -c 0"));
    scene.agent.signal(Signal::QUIT);
    assert_eq!(scene.agent.outcome(WITHIN).code, None, "the signal ended it");
}
