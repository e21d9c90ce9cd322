//! Those who write to the cluster besides the agent, and what befalls the processes.

use std::{pin::pin, rc::Rc, time::Duration};

use futures::future::select;
use serde_json::{Value, json};

use super::World;
use crate::{
    demo::fleet,
    embedded::{
        cluster::{Caller, DeleteOptions, WriteEndpoint},
        garbage,
        operator::Operator,
    },
    net,
    simulation::api_server::wall,
    time,
};

const SOMEBODY: &str = "somebody";

impl World {
    /// The operator and the garbage collector, whenever there is something to do.
    pub(super) async fn operate(self: Rc<Self>) {
        let mut operator = Operator::new(self.options.seed, self.options.operator);
        loop {
            let seen = self.server.moves();
            self.server.with(|cluster| {
                operator.step(cluster, self.elapsed(), wall());
                while garbage::step(cluster, wall()) > 0 {}
            });
            if self.server.moves() != seen {
                continue;
            }
            let moved = pin!(self.server.moved.until(|| (self.server.moves() != seen).then_some(())));
            let pause = operator.due().map(|due| due.saturating_sub(self.elapsed()));
            let pause = pause.unwrap_or(Duration::from_secs(3600)) + Duration::from_millis(1);
            select(moved, pin!(net::sleep(pause))).await;
            net::sleep(self.random(Duration::from_millis(30))).await;
        }
    }

    /// Lets happen what happens every so often, until faults are over.
    pub(crate) fn let_happen(self: &Rc<Self>, until: time::Instant) {
        let faults = self.options.faults.clone();
        type Interference = fn(&Rc<World>) -> Option<Duration>;
        let deeds: [(Option<Duration>, Interference); 6] = [
            (faults.expire_every, |world| world.expire()),
            (faults.outage_every, |world| world.outage()),
            (faults.cut_every, |world| world.cut()),
            (faults.kill_every, |world| world.crash()),
            (faults.annotate_every, |world| world.annotate()),
            (faults.meddle_every, |world| world.meddle()),
        ];
        for (every, deed) in deeds {
            let Some(every) = every else { continue };
            let world = Rc::clone(self);
            net::spawn(async move {
                loop {
                    net::sleep(world.random(every * 2)).await;
                    if time::now() >= until {
                        return;
                    }
                    let pause = deed(&world);
                    if let Some(pause) = pause {
                        net::sleep(pause).await;
                        if !world.is_running() {
                            world.start();
                        }
                    }
                }
            })
            .detach();
        }
    }

    pub(crate) fn random(&self, most: Duration) -> Duration {
        crate::time::times(most, self.rng.borrow_mut().f64())
    }

    fn strike(&self, fault: &'static str) {
        self.struck.borrow_mut().count(fault);
    }

    fn expire(&self) -> Option<Duration> {
        self.strike("expire");
        self.server.cluster.borrow_mut().expire();
        self.server.stir();
        None
    }

    fn outage(&self) -> Option<Duration> {
        self.strike("outage");
        self.server.go_down(self.random(Duration::from_secs(30)));
        self.server.stir();
        None
    }

    fn cut(&self) -> Option<Duration> {
        self.strike("cut");
        self.membership.cut(self.random(Duration::from_secs(4)));
        None
    }

    /// Kills the agent; how long until it is back.
    fn crash(&self) -> Option<Duration> {
        self.strike("kill");
        self.kill();
        Some(self.random(Duration::from_secs(5)))
    }

    /// One of the fleet's objects.
    fn any_object(&self) -> Option<(String, String, Value)> {
        let objects = self.objects();
        let at = self.rng.borrow_mut().usize(..objects.len().max(1));
        let ((plural, name), object) = objects.into_iter().nth(at)?;
        Some((plural, name, object))
    }

    /// Somebody writes fields of his own.
    fn annotate(&self) -> Option<Duration> {
        let (plural, name, object) = self.any_object()?;
        self.strike("annotate");
        let note = self.rng.borrow_mut().u32(..).to_string();
        let patch = json!({"metadata": {"annotations": {"example.com/note": note}}});
        if self.patch(&plural, &name, &patch) {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            self.notes.borrow_mut().insert((plural, name), (uid, note));
        }
        None
    }

    /// Somebody changes or deletes what is the agent's.
    fn meddle(&self) -> Option<Duration> {
        let (plural, name, object) = self.any_object()?;
        self.strike("meddle");
        if self.rng.borrow_mut().u8(..4) == 0 {
            self.stray(&object);
            return None;
        }
        let deletes = plural != "stacks" || self.rng.borrow_mut().bool();
        self.trace.say(self.elapsed(), || format!("somebody meddles with {plural}/{name} ({deletes})"));
        if deletes {
            self.delete(&plural, &name);
        } else {
            let spec = json!({"spec": {"versionsFromFile": "meddled", "disabled": true}});
            self.patch(&plural, &name, &spec);
        }
        None
    }

    /// Somebody makes an object that is labelled as the stack's of another, and owned by that.
    fn stray(&self, of: &Value) -> Option<()> {
        let stack = of["metadata"]["labels"]["formance.com/stack"].as_str()?;
        let owner = self.server.get("stacks", stack)?;
        let (plural, kind, spec) = match self.rng.borrow_mut().u8(..3) {
            0 => ("ledgers", "Ledger", json!({"stack": stack})),
            1 => ("payments", "Payments", json!({"stack": "org-elsewhere"})),
            _ => ("authclients", "AuthClient", json!({"id": "stray"})),
        };
        let name = format!("stray-{}", self.rng.borrow_mut().u16(..));
        self.trace.say(self.elapsed(), || format!("somebody makes {plural}/{name} of {stack}"));
        let api = "formance.com/v1beta1";
        let owner =
            json!({"apiVersion": api, "kind": "Stack", "name": stack, "uid": owner["metadata"]["uid"]});
        let labels = json!({"formance.com/created-by-agent": "true", "formance.com/stack": stack});
        let metadata = json!({"name": name, "labels": labels, "ownerReferences": [owner]});
        let body = json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec});
        self.create(plural, body).then_some(())
    }

    /// Somebody patches an object.
    pub(crate) fn patch(&self, plural: &str, name: &str, patch: &Value) -> bool {
        self.server
            .with(|cluster| {
                let kind = cluster.kind("formance.com", "v1beta1", plural)?;
                cluster.patch(&kind, name, WriteEndpoint::Main, patch, Caller::new(SOMEBODY, wall())).ok()
            })
            .is_some()
    }

    /// Somebody deletes an object.
    pub(crate) fn delete(&self, plural: &str, name: &str) {
        self.server.with(|cluster| {
            let kind = cluster.kind("formance.com", "v1beta1", plural)?;
            cluster.delete(&kind, name, &DeleteOptions::default(), wall()).ok()
        });
    }

    /// Somebody makes an object.
    pub(crate) fn create(&self, plural: &str, body: Value) -> bool {
        self.server
            .with(|cluster| {
                let kind = cluster.kind("formance.com", "v1beta1", plural)?;
                cluster.create(&kind, body, Caller::new(SOMEBODY, wall())).ok()
            })
            .is_some()
    }

    /// Somebody sets a status.
    pub(crate) fn set_status(&self, plural: &str, name: &str, status: &Value) -> bool {
        self.server
            .with(|cluster| {
                let kind = cluster.kind("formance.com", "v1beta1", plural)?;
                let patch = json!({"status": status});
                cluster.patch(&kind, name, WriteEndpoint::Status, &patch, Caller::new(SOMEBODY, wall())).ok()
            })
            .is_some()
    }

    /// Orders for so many stacks, one at a time with pauses between, until all were given.
    pub(crate) async fn order_all(&self, stacks: usize, length: Duration) {
        let orders = fleet::orders(self.options.seed, stacks);
        let pause = length / u32::try_from(orders.len()).unwrap_or(1).max(1) * 2;
        for order in orders {
            // Now and then back to back.
            if self.rng.borrow_mut().u8(..4) > 0 {
                net::sleep(self.random(pause)).await;
            }
            self.membership.order(&order);
        }
    }
}
