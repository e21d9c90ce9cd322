//! What membership is told, and what it costs: the agent between a membership and clusters whose
//! objects others change.

mod again;
mod definitions;
mod lost;
mod once;
mod prompt;
mod rights;
mod severed;
mod statuses;
mod terminating;
mod trace;
mod unchanged;
mod versions;

use std::{thread, time::Duration};

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Message, Stack, message::Message as Said, order};

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    orders::StackExt,
    rest::Rest,
    view::plain,
};

const WITHIN: Duration = Duration::from_secs(30);
/// As long as a report that must not come is waited for.
const NEVER: Duration = Duration::from_millis(700);

/// An agent between a membership and a cluster, and a client of that cluster.
struct ReportScene {
    rest: Rest,
    membership: TestMembership,
    agent: AgentProcess,
    joined: Joined,
    /// Messages that were dealt with already.
    read: usize,
    /// Ends with the scene.
    _cluster: Option<TestCluster>,
}

impl ReportScene {
    /// On an embedded cluster of its own.
    fn set() -> Self {
        let cluster = TestCluster::start();
        let (rest, membership) = (cluster.rest(), TestMembership::start());
        let invocation = cluster.agent(&membership);
        Self::start(rest, membership, invocation, Some(cluster))
    }

    /// Starts the agent and waits until it has joined.
    fn start(
        rest: Rest,
        membership: TestMembership,
        agent: Invocation,
        cluster: Option<TestCluster>,
    ) -> Self {
        let agent = agent.start();
        let joined = membership.joined(WITHIN);
        // What is seen before that is told with everything else, perhaps twice.
        agent.says(WITHIN, &["orders are taken up"]);
        Self { rest, membership, agent, joined, read: 0, _cluster: cluster }
    }

    fn order(&self, order: order::Message) {
        self.joined.order(order);
    }

    /// Orders this stack and waits until it has objects of these kinds and all is said about them.
    #[track_caller]
    fn given(&mut self, stack: Stack, plurals: &[&str]) {
        let name = stack.cluster_name.clone();
        self.order(stack.order());
        for plural in plurals {
            self.until_there(plural, &name, true);
        }
        self.settle();
    }

    /// What came since the last [`ReportScene::forget`].
    fn news(&mut self) -> &[Message] {
        &self.membership.heard()[self.read..]
    }

    /// Lets everything that came so far be dealt with.
    fn forget(&mut self) {
        self.read = self.membership.heard().len();
    }

    /// Waits until news has so many messages of this kind about this name; all of them, those that
    /// are too many, too, after [`NEVER`].
    #[track_caller]
    fn exactly(&mut self, times: usize, what: &str, name: &str) -> Vec<Message> {
        let about = |message: &&Message| is(message, what, name);
        while_it_lives(&mut self.agent, &format!("{times} {what} of {name}"), WITHIN, || {
            let count = self.membership.heard()[self.read..].iter().filter(about).count();
            (count >= times).then_some(())
        });
        thread::sleep(NEVER);
        let found: Vec<Message> = self.news().iter().filter(about).cloned().collect();
        assert_eq!(found.len(), times, "{what} of {name}: {found:#?}");
        found
    }

    /// Waits until news has a message of this kind about this name, and deals with none.
    #[track_caller]
    fn has(&mut self, what: &str, name: &str) -> Message {
        while_it_lives(&mut self.agent, &format!("{what} of {name}"), WITHIN, || {
            let news = &self.membership.heard()[self.read..];
            news.iter().find(|message| is(message, what, name)).cloned()
        })
    }

    /// Waits for the next message of this kind about this name, and lets all up to it be dealt with.
    #[track_caller]
    fn next(&mut self, what: &str, name: &str) -> Message {
        let (at, message) = while_it_lives(&mut self.agent, &format!("{what} of {name}"), WITHIN, || {
            let news = self.membership.heard()[self.read..].iter().enumerate();
            news.map(|(at, message)| (at, message.clone())).find(|(_, message)| is(message, what, name))
        });
        self.read += at + 1;
        message
    }

    /// Waits for the next status of this object, in the form of JSON.
    #[track_caller]
    fn next_status(&mut self, what: &str, name: &str) -> Value {
        status(&self.next(what, name))
    }

    /// Nothing is told of this name for a while.
    #[track_caller]
    fn hears_nothing_of(&mut self, name: &str) {
        thread::sleep(NEVER);
        self.agent.lives();
        let heard: Vec<Message> =
            self.news().iter().filter(|message| named(message).1 == name).cloned().collect();
        assert!(heard.is_empty(), "{heard:#?}");
    }

    /// Takes in what still comes of what was done.
    fn settle(&mut self) {
        thread::sleep(NEVER);
        self.forget();
    }

    /// Waits until this object is there, or (`false`) is not.
    #[track_caller]
    fn until_there(&mut self, plural: &str, name: &str, there: bool) {
        let rest = &self.rest;
        while_it_lives(&mut self.agent, &format!("{plural}/{name}: {there}"), WITHIN, || {
            (crate::support::objects::find(rest, plural, name).is_some() == there).then_some(())
        });
    }
}

/// Which message it is (by its name on the wire), and whom it is about.
fn named(message: &Message) -> (&'static str, &str) {
    match message.message.as_ref().expect("a message says something") {
        Said::Pong(_) => ("pong", ""),
        Said::StatusChanged(told) => ("statusChanged", &told.cluster_name),
        Said::ModuleStatusChanged(told) => ("moduleStatusChanged", &told.cluster_name),
        Said::StackDeleted(told) => ("stackDeleted", &told.cluster_name),
        Said::ModuleDeleted(told) => ("moduleDeleted", &told.cluster_name),
        Said::AddedVersion(told) => ("addedVersion", &told.name),
        Said::UpdatedVersion(told) => ("updatedVersion", &told.name),
        Said::DeletedVersion(told) => ("deletedVersion", &told.name),
    }
}

fn is(message: &Message, what: &str, name: &str) -> bool {
    named(message) == (what, name)
}

/// The status that a message tells.
fn status(message: &Message) -> Value {
    match message.message.as_ref() {
        Some(Said::StatusChanged(told)) => plain(json!(told.statuses)),
        Some(Said::ModuleStatusChanged(told)) => plain(json!(told.status)),
        _ => Value::Null,
    }
}

/// The kind that a message about a module names.
fn kind(message: &Message) -> &str {
    let vk = match message.message.as_ref() {
        Some(Said::ModuleStatusChanged(told)) => &told.vk,
        Some(Said::ModuleDeleted(told)) => &told.vk,
        _ => &None,
    };
    let vk = vk.as_ref().expect("it is about a module");
    assert_eq!(vk.version, "v1beta1");
    &vk.kind
}
