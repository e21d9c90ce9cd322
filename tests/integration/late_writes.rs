//! Writes that the network holds back past their deadline and delivers after a newer order is done,
//! on a real API server: the newer order's state stands (`late_writes`: class 8 of the faults).

mod creates;
mod removals;
mod updates;

use std::{thread, time::Duration};

use serde_json::Value;
use stackherd::membership::wire::server::order;

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    api_server::RealApiServer,
    crds::Crds,
    holdback::{HeldRequest, Holdback},
    membership::{Joined, TestMembership},
    now,
    objects::find,
    rest::Rest,
};

/// How long the agent waits for an answer here.
const DEADLINE: Duration = Duration::from_secs(1);
const WITHIN: Duration = Duration::from_secs(30);

/// An agent before a real API server, with a network between them that can be told to hold back.
struct LateWriteScene {
    rest: Rest,
    network: Holdback,
    agent: AgentProcess,
    joined: Joined,
    _membership: TestMembership,
}

impl LateWriteScene {
    /// `None` where there is no API server to test against.
    fn set() -> Option<Self> {
        let rest = RealApiServer::shared(Crds::Ours)?.rest();
        let network = Holdback::before(rest.clone());
        let membership = TestMembership::start();
        let agent = Invocation::agent(&membership.address(), &network.kubeconfig())
            .args(["--kube-request-timeout", "1s", "--shards", "1"])
            .start();
        let joined = membership.joined(WITHIN);
        Some(Self { rest, network, agent, joined, _membership: membership })
    }

    fn order(&self, order: order::Message) {
        self.joined.order(order);
    }

    /// The next request of this method on this path (its end) is held back.
    fn hold(&self, method: &'static str, path: impl Into<String>) -> HeldRequest {
        let path = path.into();
        self.network.hold(move |request| request.is(method, &path))
    }

    /// Waits until an object is as it shall be; `Null` stands for an absent one.
    #[track_caller]
    fn until(&mut self, plural: &str, name: &str, shall: impl Fn(&Value) -> bool) -> Value {
        let rest = &self.rest;
        while_it_lives(&mut self.agent, &format!("{plural}/{name}"), WITHIN, || {
            let object = find(rest, plural, name).unwrap_or_default();
            shall(&object).then_some(object)
        })
    }

    /// Looks on for as long as a late write's effect would take to show.
    #[track_caller]
    fn stands(&mut self, plural: &str, name: &str, shall: impl Fn(&Value) -> bool) {
        let start = now();
        while start.elapsed() < Duration::from_millis(1500) {
            let object = find(&self.rest, plural, name).unwrap_or_default();
            assert!(shall(&object), "{plural}/{name} is now {object:#}");
            self.agent.lives();
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The versions that a Stack says.
fn says<'a>(versions: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |stack| stack["spec"]["versionsFromFile"] == versions
}

fn is_there(object: &Value) -> bool {
    object.is_object()
}

fn is_gone(object: &Value) -> bool {
    object.is_null()
}

fn version(object: &Value) -> &Value {
    &object["metadata"]["resourceVersion"]
}
