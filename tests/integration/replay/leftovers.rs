//! Objects that carry the agent's labels for a stack, whatever their name or spec: the orders of that
//! stack are about them.

use serde_json::{Value, json};

use crate::{
    replay::on_each_server,
    support::{
        objects::{assert_has_exactly, find, get, object, of_stack, versions},
        orders::{StackExt, stack},
        rest::{GROUP_PATH, Rest},
    },
};

fn labels(created: &str, stack: &str) -> Value {
    json!({ "formance.com/created-by-agent": created, "formance.com/stack": stack })
}

fn make(rest: &Rest, kind: &str, plural: &str, name: &str, labels: Value, spec: Value) {
    rest.post(&format!("{GROUP_PATH}/{plural}"), &object(kind, name, labels, spec)).expect(201);
}

#[test]
fn what_is_labelled_as_a_stacks_and_not_wanted_goes_whatever_its_name_or_spec() {
    on_each_server(|rest, playback| {
        let name = "left-a";
        let ours = || labels("true", name);
        playback.applied([stack(name).modules(&["ledger"]).client("web", true).order()]);
        // Unwanted kinds, of other names, with and without a stack in their spec.
        make(rest, "Payments", "payments", "left-old", ours(), json!({ "stack": name }));
        make(rest, "Wallets", "wallets", "left-other", ours(), json!({ "stack": "left-elsewhere" }));
        make(rest, "Webhooks", "webhooks", "left-none", ours(), json!({}));
        make(
            rest,
            "Stargate",
            "stargates",
            "left-gate",
            ours(),
            json!({
                "stack": name, "organizationID": "left", "stackID": "a", "serverURL": "url",
                "auth": { "issuer": "i", "clientID": "c", "clientSecret": "s" },
            }),
        );
        // A second one of a wanted kind, on which the operator would fail.
        make(rest, "Ledger", "ledgers", "left-second", ours(), json!({ "stack": name }));
        // Clients, without a stack and with another one.
        make(rest, "AuthClient", "authclients", "left-client", ours(), json!({ "id": "client" }));
        let elsewhere = json!({ "id": "moved", "stack": "left-elsewhere" });
        make(rest, "AuthClient", "authclients", "left-moved", ours(), elsewhere);
        assert_eq!(of_stack(rest, name).len(), 10);

        let order = || stack(name).modules(&["ledger"]).client("web", true).order();
        playback.applied([order()]);
        let right = ["stacks/left-a", "ledgers/left-a", "authclients/left-a-web"];
        assert_has_exactly(rest, name, &right);
        // And that is that.
        let before = versions(&of_stack(rest, name));
        playback.applied([order(), order()]);
        assert_eq!(before, versions(&of_stack(rest, name)));
    });
}

#[test]
fn what_is_not_labelled_as_this_stacks_stays() {
    on_each_server(|rest, playback| {
        let name = "left-b";
        let theirs = [
            ("left-b-another", labels("true", "left-another")),
            ("left-b-theirs", labels("false", name)),
            ("left-b-stack", json!({ "formance.com/stack": name })),
            ("left-b-agent", json!({ "formance.com/created-by-agent": "true" })),
            ("left-b-nobody", json!({})),
        ];
        for (object, labels) in &theirs {
            make(rest, "Payments", "payments", object, labels.clone(), json!({ "stack": name }));
            let client = json!({ "id": "c", "stack": name });
            make(rest, "AuthClient", "authclients", object, labels.clone(), client);
        }
        let look = || {
            let of = |plural| theirs.iter().map(move |(name, _)| get(rest, plural, name)).collect::<Vec<_>>();
            [of("payments"), of("authclients")]
        };
        let before = look();
        playback.applied([stack(name).modules(&["ledger"]).order(), stack(name).order()]);
        assert_eq!(before, look());
        // Until an order for the stack that it is labelled for.
        playback.applied([stack("left-another").order()]);
        assert_eq!(find(rest, "payments", "left-b-another"), None);
        assert_eq!(find(rest, "authclients", "left-b-another"), None);
        assert!(find(rest, "payments", "left-b-nobody").is_some());
    });
}

#[test]
fn what_stands_in_the_name_of_another_stack_makes_room_for_its_own() {
    on_each_server(|rest, playback| {
        // Named as one stack, labelled as another's.
        make(
            rest,
            "Ledger",
            "ledgers",
            "left-named",
            labels("true", "left-of"),
            json!({ "stack": "left-of" }),
        );
        let named = || stack("left-named").modules(&["ledger"]).order();
        let outcome = playback.run([named()]);
        assert!(outcome.stderr.contains("left-of"), "a clash: {outcome:#?}");
        playback.applied([stack("left-of").order()]);
        assert_eq!(find(rest, "ledgers", "left-named"), None);
        playback.applied([named()]);
        assert_has_exactly(rest, "left-named", &["stacks/left-named", "ledgers/left-named"]);
    });
}
