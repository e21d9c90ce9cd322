//! Kinds that come and go while the agent runs.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use stackherd::{
    embedded::membership::{EmbeddedMembership, JoinRequest, MembershipEvent, MembershipOptions},
    membership::wire::server::{Message, Order, message::Message as Said},
};

use crate::{
    reports::{WITHIN, kind},
    support::{
        agent::{AgentProcess, Invocation, while_it_lives},
        api_server::RealApiServer,
        crds::Crds,
        deeds::{await_there, set_status},
        orders::{StackExt, stack},
        rest::Rest,
    },
};

const DEFINITIONS: &str = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The definition of a module that nobody knows yet.
fn beacons() -> Value {
    let mut definition = Crds::Ours.manifests().expect("our own").into_iter();
    let ledgers = definition.find(|it| it["spec"]["names"]["plural"] == "ledgers").expect("ledgers");
    let text = ledgers.to_string().replace("Ledger", "Beacon").replace("ledger", "beacon");
    serde_json::from_str(&text).expect("JSON as before")
}

/// An agent before a real API server, joined to a membership that sees what a join says.
pub(crate) struct DefinedRegion {
    pub(crate) rest: Rest,
    membership: EmbeddedMembership,
    pub(crate) agent: AgentProcess,
    /// The last join.
    join: JoinRequest,
}

impl DefinedRegion {
    pub(crate) fn start(rest: Rest, kubeconfig: &Path, arguments: &[&str]) -> Self {
        let membership = EmbeddedMembership::start(MembershipOptions::default()).expect("a membership");
        let agent = Invocation::agent(&membership.server_address(), kubeconfig).args(arguments).start();
        let join = membership.wait_joined(WITHIN).expect("the agent joins");
        Self { rest, membership, agent, join }
    }

    pub(crate) fn modules(&self) -> Vec<&str> {
        self.join.all("module_list")
    }

    /// Installs a new module's definition, and waits for the join that names it.
    #[track_caller]
    pub(crate) fn gets_beacons(&mut self) {
        self.rest.post(DEFINITIONS, &beacons()).expect(201);
        self.rejoins(true);
    }

    /// Waits until the last join names the new module, or (`false`) does not.
    #[track_caller]
    fn rejoins(&mut self, with_it: bool) {
        while_it_lives(&mut self.agent, "a join with other modules", WITHIN, || {
            if let Some(join) = self.membership.wait_joined(Duration::from_millis(100)) {
                self.join = join;
            }
            (self.join.all("module_list").contains(&"beacon") == with_it).then_some(())
        });
        let mut sorted = self.modules();
        sorted.sort_unstable();
        assert_eq!(self.modules(), sorted, "sorted");
    }

    pub(crate) fn order(&self, name: &str, modules: &[&str]) {
        let order = stack(name).modules(modules).order();
        self.membership.send(Order { message: Some(order), ..Order::default() });
    }

    /// Waits for the status of this module of this kind.
    #[track_caller]
    pub(crate) fn hears_of(&mut self, word: &str, name: &str) -> Message {
        while_it_lives(&mut self.agent, &format!("a status of {word} {name}"), WITHIN, || {
            self.membership.wait_for(Duration::from_millis(100), |event| match event {
                MembershipEvent::Message { message, .. } => {
                    is_status(&message, word, name).then_some(message)
                }
                _ => None,
            })
        })
    }
}

fn is_status(message: &Message, word: &str, name: &str) -> bool {
    match &message.message {
        Some(Said::ModuleStatusChanged(told)) => told.cluster_name == name && kind(message) == word,
        _ => false,
    }
}

#[test]
fn a_module_that_is_installed_is_joined_with_and_applied_and_goes_again() {
    let Some(server) = RealApiServer::start(Crds::Ours) else { return };
    let mut region = DefinedRegion::start(server.rest(), &server.kubeconfig(), &[]);
    assert_eq!(region.modules().len(), 11, "{:?}", region.modules());
    region.gets_beacons();
    assert_eq!(region.modules().len(), 12, "{:?}", region.modules());
    region.order("lit", &["ledger", "beacon"]);
    let rest = region.rest.clone();
    await_there(&rest, "beacons", "lit");
    set_status(&rest, "beacons", "lit", &json!({"ready": true}));
    region.hears_of("Beacon", "lit");

    region.rest.delete(&format!("{DEFINITIONS}/beacons.formance.com")).expect(200);
    region.rejoins(false);
    assert_eq!(region.modules().len(), 11, "{:?}", region.modules());
    // All else goes on.
    region.order("unlit", &["ledger", "beacon"]);
    await_there(&rest, "ledgers", "unlit");
    set_status(&rest, "ledgers", "unlit", &json!({"ready": true}));
    region.hears_of("Ledger", "unlit");
}
