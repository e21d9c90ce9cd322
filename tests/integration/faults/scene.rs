//! An agent between a membership and a real API server, and a network that can be told to fail.

use std::time::Duration;

use serde_json::Value;
use stackherd::membership::wire::server::order;

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    api_server::RealApiServer,
    crds::Crds,
    deeds::{create, delete},
    eventually,
    holdback::{Holdback, SeenRequest},
    membership::{Joined, TestMembership},
    now,
    objects::{KINDS, find, stargate_spec},
    rest::Rest,
    view::{Believed, plain},
};

pub const WITHIN: Duration = Duration::from_secs(60);
/// How long the agent waits for an answer here.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// The whole of it.
pub struct FaultScene {
    /// Past the network.
    pub rest: Rest,
    pub network: Holdback,
    pub membership: TestMembership,
    pub agent: AgentProcess,
    pub joined: Joined,
}

/// A network in front of the shared API server; `None` where there is no server to test against.
#[track_caller]
pub fn network() -> Option<(Rest, Holdback)> {
    let server = RealApiServer::shared(Crds::Ours)?;
    let rest = server.rest();
    server.warm.call_once(|| warm_up(&rest));
    Some((rest.clone(), Holdback::before(rest)))
}

/// A server that has just started takes more than [`DEADLINE`] for its first writes of a kind, which
/// would be faults that no test asked for.
fn warm_up(rest: &Rest) {
    // Whatever a kind requires; what it does not know is not stored.
    let mut spec = stargate_spec("warm-up", "warm", "up", false);
    spec["id"] = "warm-up".into();
    for (kind, plural) in KINDS {
        eventually(&format!("{plural} are written fast"), WITHIN, || {
            let start = now();
            create(rest, plural, kind, "warm-up", &spec);
            delete(rest, plural, "warm-up");
            (start.elapsed() < DEADLINE / 5).then_some(())
        });
    }
}

/// The agent as these tests run it.
pub fn invocation(membership: &str, network: &Holdback) -> Invocation {
    Invocation::agent(membership, &network.kubeconfig()).args(["--kube-request-timeout", "1s"])
}

impl FaultScene {
    /// With these flags more.
    #[track_caller]
    pub fn set(flags: &[&str]) -> Option<Self> {
        let (rest, network) = network()?;
        Some(Self::on(rest, network, flags))
    }

    /// The same on a network that has its rules already.
    pub fn on(rest: Rest, network: Holdback, flags: &[&str]) -> Self {
        let membership = TestMembership::start();
        let agent = invocation(&membership.address(), &network).args(flags);
        Self::with(rest, network, membership, agent)
    }

    /// The same with this agent.
    pub fn with(rest: Rest, network: Holdback, membership: TestMembership, agent: Invocation) -> Self {
        let agent = agent.start();
        let joined = membership.joined(WITHIN);
        agent.says(WITHIN, &["orders are taken up"]);
        Self { rest, network, membership, agent, joined }
    }

    pub fn order(&self, order: order::Message) {
        self.joined.order(order);
    }

    /// Waits until this holds.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&Rest) -> Option<T>) -> T {
        let rest = &self.rest;
        while_it_lives(&mut self.agent, what, WITHIN, || ask(rest))
    }

    /// Waits until an object is as it shall be; `Null` stands for an absent one.
    #[track_caller]
    pub fn until_object(&mut self, plural: &str, name: &str, shall: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("{plural}/{name}"), |rest| {
            let object = find(rest, plural, name).unwrap_or_default();
            shall(&object).then_some(object)
        })
    }

    /// How often this kind was watched so far, as the server knows.
    pub fn watched(&self, plural: &str) -> usize {
        watched(&self.network, plural)
    }

    /// Waits until it was watched so often.
    #[track_caller]
    pub fn until_watched(&mut self, plural: &str, times: usize) {
        let network = &self.network;
        while_it_lives(&mut self.agent, &format!("{plural} are watched {times} times"), WITHIN, || {
            (watched(network, plural) >= times).then_some(())
        });
    }

    /// Waits until membership believes this of a Stack's status; `Null` stands for none.
    #[track_caller]
    pub fn until_told(&mut self, name: &str, status: &Value, within: Duration) {
        self.until_module_told("Stack", name, status, within);
    }

    /// The same of any kind.
    #[track_caller]
    pub fn until_module_told(&mut self, kind: &str, name: &str, status: &Value, within: Duration) {
        let (membership, status) = (&mut self.membership, plain(status.clone()));
        let key = (kind.to_owned(), name.to_owned());
        while_it_lives(&mut self.agent, &format!("{kind} {name} is told to be {status}"), within, || {
            let believed = Believed::of(membership.heard()).statuses.remove(&key);
            (believed.unwrap_or_default() == status).then_some(())
        });
    }
}

fn watched(network: &Holdback, plural: &str) -> usize {
    let is = |seen: &&SeenRequest| seen.request.watches(plural) && seen.status == Some(200);
    network.log().iter().filter(is).count()
}

pub fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

pub fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}
