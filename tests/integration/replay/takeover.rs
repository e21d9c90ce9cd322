//! A cluster that the Go agent wrote is taken over.

use serde_json::{Value, json};

use crate::{
    replay::on_each_server,
    support::{
        objects::{
            Expected, assert_has_exactly, auth_spec, client_spec, gateway_spec, get, module_spec, object,
            path, stack_spec, stargate_spec, versions,
        },
        orders::{StackExt, stack},
        rest::{GROUP_PATH, Rest},
    },
};

/// Writes as the Go agent does: no field manager named, so that the server takes it from the User-Agent.
struct GoAgent<'a> {
    rest: Rest,
    stack: &'a str,
    /// `None` before the Stack is there.
    uid: Option<String>,
}

impl<'a> GoAgent<'a> {
    fn new(rest: &Rest, stack: &'a str) -> Self {
        Self { rest: rest.as_agent("Go-http-client/2.0"), stack, uid: None }
    }

    fn create(&mut self, kind: &str, plural: &str, name: &str, spec: Value) {
        let labels = json!({
            "formance.com/created-by-agent": "true", "formance.com/stack": self.stack,
            "formance.com/dropped": "1", "formance.com/stays": "1",
        });
        let mut object = object(kind, name, labels, spec);
        object["metadata"]["annotations"] = json!({ "formance.com/dropped": "1" });
        if let Some(uid) = &self.uid {
            object["metadata"]["ownerReferences"] = json!([
                { "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": self.stack, "uid": uid }
            ]);
        }
        let stored = self.rest.post(&format!("{GROUP_PATH}/{plural}"), &object).expect(201).json;
        let entry = &stored["metadata"]["managedFields"][0];
        assert_eq!((&entry["manager"], &entry["operation"]), (&json!("Go-http-client"), &json!("Update")));
        if kind == "Stack" {
            self.uid = stored["metadata"]["uid"].as_str().map(str::to_owned);
        }
    }
}

fn written_by_the_go_agent(rest: &Rest, name: &str) {
    let mut go = GoAgent::new(rest, name);
    go.create("Stack", "stacks", name, json!({ "versionsFromFile": "v1", "disabled": false }));
    go.create("Ledger", "ledgers", name, json!({ "stack": name }));
    go.create("Payments", "payments", name, json!({ "stack": name }));
    let mut login = auth_spec(name, true);
    login.as_object_mut().unwrap().retain(|key, _| key == "stack" || key == "delegatedOIDCServer");
    go.create("Auth", "auths", name, login);
    let mut gateway = gateway_spec(name);
    gateway.as_object_mut().unwrap().retain(|key, _| key == "stack" || key == "ingress");
    go.create("Gateway", "gateways", name, gateway);
    let (organization, id) = name.split_once('-').unwrap();
    go.create("Stargate", "stargates", name, stargate_spec(name, organization, id, true));
    for id in ["web", "surplus"] {
        go.create("AuthClient", "authclients", &format!("{name}-{id}"), client_spec(name, id, false));
    }
}

#[test]
fn what_the_go_agent_wrote_and_the_order_dropped_goes() {
    on_each_server(|rest, playback| {
        let name = "go-dropped";
        written_by_the_go_agent(rest, name);
        let skip = json!({ "metadata": { "annotations": { "formance.com/skip": "true" } } });
        rest.as_agent("kubectl-stacks/1").patch(&path("stacks", name), &skip).expect(200);

        let order = stack(name)
            .versions("v2")
            .modules(&["ledger", "gateway", "auth"])
            .client("web", true)
            .label("stays", "1")
            .order();
        // The login that is dropped is told as a fault.
        playback.run([order]);

        assert_has_exactly(
            rest,
            name,
            &[
                "stacks/go-dropped",
                "ledgers/go-dropped",
                "gateways/go-dropped",
                "auths/go-dropped",
                "authclients/go-dropped-web",
            ],
        );
        let expected = Expected { labels: &[("formance.com/stays", "1")], ..Expected::of(name) };
        Expected { annotations: &[("formance.com/skip", "true")], ..expected }
            .stack(rest, stack_spec("v2", false));
        let expected = Expected { labels: &[("formance.com/stays", "1")], ..Expected::of(name) };
        expected.child(rest, "ledgers", name, module_spec(name));
        expected.child(rest, "gateways", name, gateway_spec(name));
        expected.child(rest, "auths", name, auth_spec(name, false));
        expected.child(rest, "authclients", "go-dropped-web", client_spec(name, "web", true));
    });
}

#[test]
fn tls_that_the_go_agent_disabled_is_enabled_again() {
    on_each_server(|rest, playback| {
        let name = "go-tls";
        written_by_the_go_agent(rest, name);
        playback.applied([stack(name).auth().stargate(false).label("stays", "1").order()]);
        let expected = Expected { labels: &[("formance.com/stays", "1")], ..Expected::of(name) };
        expected.child(rest, "stargates", name, stargate_spec(name, "go", "tls", false));
    });
}

#[test]
fn what_the_go_agent_left_right_is_not_written_again() {
    on_each_server(|rest, playback| {
        let name = "go-right";
        written_by_the_go_agent(rest, name);
        let before = versions(&crate::support::objects::of_stack(rest, name));
        let order = stack(name)
            .versions("v1")
            .modules(&["ledger", "payments", "gateway", "auth"])
            .auth()
            .stargate(true)
            .client("web", false)
            .client("surplus", false)
            .label("stays", "1")
            .label("dropped", "1")
            .annotation("dropped", "1")
            .order();
        playback.applied([order]);
        assert_eq!(before, versions(&crate::support::objects::of_stack(rest, name)));
        assert_eq!(get(rest, "stacks", name)["spec"], stack_spec("v1", false));
    });
}

/// What the Go agent's branch with server-side apply wrote, under its two managers.
#[test]
fn what_the_go_agent_applied_and_the_order_dropped_goes() {
    on_each_server(|rest, playback| {
        let name = "go-applied";
        let apply = |manager: &str, labels: Value, spec: Value| {
            let mut stack = object("Stack", name, labels, spec);
            stack["apiVersion"] = "formance.com/v1beta1".into();
            let path = format!("{}?fieldManager={manager}&force=true", path("stacks", name));
            rest.send("PATCH", &path, "application/apply-patch+yaml", Some(stack.to_string().into()))
        };
        let labels = json!({
            "formance.com/created-by-agent": "true", "formance.com/stack": name,
            "formance.com/dropped": "1", "formance.com/stays": "1",
        });
        apply("formance-agent", labels, json!({ "versionsFromFile": "v1" })).expect(201);
        let other = json!({ "formance.com/switched": "off" });
        apply("formance-agent:disable", other, json!({ "disabled": true })).expect(200);
        let theirs = json!({ "formance.com/theirs": "1" });
        let stored = apply("somebody", theirs, json!({ "debug": true })).expect(200).json;
        assert_eq!(stored["metadata"]["labels"].as_object().unwrap().len(), 6);

        playback.applied([stack(name).versions("v2").label("stays", "1").order()]);
        let labels = [("formance.com/stays", "1"), ("formance.com/theirs", "1")];
        let mut spec = stack_spec("v2", false);
        spec["debug"] = true.into();
        Expected { labels: &labels, ..Expected::of(name) }.stack(rest, spec);
    });
}
