//! A stack that is ordered again while the old one is still on its way out.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    reports::{NEVER, ReportScene, WITHIN, is},
    support::{
        agent::{Invocation, while_it_lives},
        api_server::RealApiServer,
        crds::Crds,
        deeds::{delete, hold, let_go, set_status},
        membership::TestMembership,
        now,
        objects::{find, get, of_stack},
        orders::{StackExt, deleted, stack},
    },
};

/// A stack whose deletion a finalizer holds. Its module is gone: the operator's part is the test's.
struct Dying {
    scene: ReportScene,
    name: &'static str,
    stack: Value,
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().expect("a uid")
}

impl Dying {
    /// `None` where there is no API server to test against.
    fn set(name: &'static str) -> Option<Self> {
        let server = RealApiServer::shared(Crds::Ours)?;
        let membership = TestMembership::start();
        let agent = Invocation::agent(&membership.address(), &server.kubeconfig());
        let mut scene = ReportScene::start(server.rest(), membership, agent, None);
        scene.given(stack(name).versions("v1").modules(&["ledger"]), &["stacks", "ledgers"]);
        hold(&scene.rest, "stacks", name);
        scene.order(deleted(name));
        let rest = scene.rest.clone();
        let stack = while_it_lives(&mut scene.agent, "it is terminating", WITHIN, || {
            Some(get(&rest, "stacks", name))
                .filter(|stack| stack["metadata"]["deletionTimestamp"].is_string())
        });
        delete(&scene.rest, "ledgers", name);
        Some(Self { scene, name, stack })
    }

    /// Orders it again, with more in it, and looks on while the old one is dying: it is left as it
    /// is, and nothing else is there.
    #[track_caller]
    fn order_in_vain(&mut self) {
        let order = stack(self.name).versions("v2").modules(&["ledger", "payments"]).client("web", true);
        self.scene.order(order.order());
        let (start, place) = (now(), format!("stacks/{}", self.name));
        while start.elapsed() < Duration::from_secs(2) {
            let objects = of_stack(&self.scene.rest, self.name);
            assert_eq!(objects.keys().collect::<Vec<_>>(), [&place], "under the dying Stack");
            let stack = &objects[&place];
            assert_eq!((uid(stack), &stack["spec"]), (uid(&self.stack), &self.stack["spec"]));
            self.scene.agent.lives();
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets the old one go and sees to it that the ordered one comes whole, under a uid of its own.
    #[track_caller]
    fn comes_anew(&mut self) {
        let (rest, name, old) = (self.scene.rest.clone(), self.name, uid(&self.stack));
        let client = format!("{name}-web");
        let children = [("ledgers", name), ("payments", name), ("authclients", &client)];
        let_go(&rest, "stacks", name);
        let new = while_it_lives(&mut self.scene.agent, "a new Stack", WITHIN, || {
            find(&rest, "stacks", name).filter(|stack| uid(stack) != old)
        });
        assert_eq!(new["spec"]["versionsFromFile"], "v2");
        for (plural, name) in children {
            let child = while_it_lives(&mut self.scene.agent, &format!("{plural}/{name}"), WITHIN, || {
                find(&rest, plural, name)
            });
            let owners = child["metadata"]["ownerReferences"].as_array().expect("it is owned");
            let owners: Vec<&Value> = owners.iter().map(|owner| &owner["uid"]).collect();
            assert_eq!(owners, [uid(&new)], "{plural}/{name}");
        }
    }
}

#[test]
fn it_is_made_under_a_uid_of_its_own_when_the_old_one_is_gone() {
    let Some(mut dying) = Dying::set("born-again") else { return };
    dying.order_in_vain();
    dying.comes_anew();
}

#[test]
fn the_end_of_the_old_one_is_told_once_and_in_between() {
    let Some(mut dying) = Dying::set("told-again") else { return };
    let name = dying.name;
    set_status(&dying.scene.rest, "stacks", name, &json!({"ready": false}));
    dying.scene.next("statusChanged", name);
    dying.order_in_vain();
    assert!(!dying.scene.news().iter().any(|message| is(message, "stackDeleted", name)), "it is there yet");
    dying.comes_anew();
    dying.scene.next("stackDeleted", name);
    set_status(&dying.scene.rest, "stacks", name, &json!({"ready": true}));
    assert_eq!(dying.scene.next_status("statusChanged", name), json!({"ready": true}));
    thread::sleep(NEVER);
    let heard = dying.scene.membership.heard().iter();
    assert_eq!(heard.filter(|message| is(message, "stackDeleted", name)).count(), 1);
}
