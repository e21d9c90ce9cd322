//! Random stacks, random strangers, random mishaps: runs converge, and a second run writes nothing.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*};

use super::*;
use crate::order::{AuthConfig, Stargate, StargateWish};

fn some_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop::sample::select(vec!["formance.com/x", "formance.com/y"]).prop_map(String::from);
    collection::btree_map(key, prop::sample::select(vec!["1", "2"]).prop_map(String::from), 0..3)
}

fn some_auth() -> impl Strategy<Value = Option<AuthConfig>> {
    let text = |options: &'static [&str]| prop::sample::select(options).prop_map(String::from);
    let auth = (text(&["i", "j"]), text(&["c", ""])).prop_map(|(issuer, client_id)| AuthConfig {
        issuer,
        client_id,
        client_secret: "s".into(),
    });
    prop::option::of(auth)
}

fn some_stargate() -> impl Strategy<Value = StargateWish> {
    let on = any::<bool>().prop_map(|disable_tls| {
        StargateWish::On(Stargate {
            url: "u".into(),
            disable_tls,
            organization_id: "org".into(),
            stack_id: "stack".into(),
        })
    });
    prop_oneof![Just(StargateWish::Off), on, Just(StargateWish::Unusable)]
}

fn some_snapshot() -> impl Strategy<Value = Snapshot> {
    let module = prop::sample::select(vec!["auth", "gateway", "ledger", "payments"]).prop_map(String::from);
    let client = prop::sample::select(vec!["a", "b", "Bad"]).prop_map(String::from);
    (
        (some_labels(), some_labels(), some_auth(), some_stargate()),
        collection::btree_set(module, 0..5),
        collection::btree_map(client, any::<bool>(), 0..4),
        any::<bool>(),
        prop::sample::select(vec!["", "v1", "v2"]),
    )
        .prop_map(|((labels, annotations, auth, stargate), modules, clients, disabled, versions)| {
            Snapshot {
                versions: versions.into(),
                disabled,
                labels,
                annotations,
                modules,
                auth,
                stargate,
                clients,
                faults: Vec::new(),
                spared: BTreeSet::new(),
                spares: Default::default(),
            }
        })
}

fn some_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        5 => some_snapshot().prop_map(existing),
        1 => Just(deleted()),
        1 => any::<bool>().prop_map(toggle),
    ]
}

/// What befalls the nth write.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    None,
    AnswerLost,
    NotApplied,
    Held,
    Moved,
}

fn some_mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    use Mishap::{AnswerLost, Held, Moved, None, NotApplied};
    collection::vec(prop::sample::select(vec![None, None, None, AnswerLost, NotApplied, Held, Moved]), 0..40)
}

/// Others write whatever they like wherever the agent's objects stand.
fn strangers(world: &mut ModelCluster) {
    for text in world.keys() {
        let spec = match text.split('/').next() {
            Some("auths") => {
                json!({"signingKey": "theirs", "delegatedOIDCServer": {"clientSecretFromSecret": {"key": "k"}}})
            }
            Some("gateways") => json!({"ingress": {"annotations": {"a": "b"}}}),
            _ => json!({"debug": true}),
        };
        let metadata =
            json!({"annotations": {"formance.com/skip": "true"}, "labels": {"formance.com/theirs": "1"}});
        world.patch("kubectl-edit", &at_key(&text), &json!({"metadata": metadata, "spec": spec}));
    }
}

fn check_strangers_fields(world: &ModelCluster, text: &str) -> Result<(), TestCaseError> {
    let json = world.json(&at_key(text)).expect("there");
    prop_assert_eq!(&json["metadata"]["annotations"]["formance.com/skip"], "true");
    prop_assert_eq!(&json["metadata"]["labels"]["formance.com/theirs"], "1");
    let spec = &json["spec"];
    match text.split('/').next() {
        Some("auths") => {
            prop_assert_eq!(&spec["signingKey"], "theirs");
            prop_assert_eq!(&spec["delegatedOIDCServer"]["clientSecretFromSecret"]["key"], "k");
        }
        Some("gateways") => prop_assert_eq!(&spec["ingress"]["annotations"]["a"], "b"),
        _ => prop_assert_eq!(&spec["debug"], true),
    }
    Ok(())
}

/// What the agent set, without what depends on the world's history.
fn shape(world: &ModelCluster) -> Vec<(String, Value)> {
    let bare = |text: String| {
        let mut json = world.json(&at_key(&text)).expect("there").clone();
        let metadata = json["metadata"].as_object_mut().expect("metadata");
        metadata.retain(|name, _| matches!(name.as_str(), "labels" | "annotations"));
        metadata.retain(|_, value| value.as_object().is_some_and(|map| !map.is_empty()));
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove("formance.com/stackherd-fence");
        }
        drop_zeros(&mut json["spec"]);
        (text, json)
    };
    world.keys().into_iter().map(bare).collect()
}

/// Absent, false and empty are equal.
fn drop_zeros(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.values_mut().for_each(drop_zeros);
        fields.retain(|_, v| {
            !(v.is_null()
                || *v == json!(false)
                || *v == json!("")
                || v.as_object().is_some_and(|o| o.is_empty()))
        });
    }
}

impl StackRig {
    /// Runs an order to its end, through mishaps.
    fn struggle(&mut self, order: Order, mishaps: &mut dyn Iterator<Item = Mishap>, held: &mut Vec<Write>) {
        let mut order = order;
        for run in 0..60 {
            let mut answer =
                |world: &mut ModelCluster, write: &Write| match mishaps.next().unwrap_or(Mishap::None) {
                    Mishap::None => world.write(write),
                    Mishap::AnswerLost => {
                        world.write(write);
                        unknown()
                    }
                    Mishap::NotApplied => WriteAnswer::NotApplied { cause: "429".into(), retry_after: None },
                    Mishap::Held => {
                        held.push(write.clone());
                        unknown()
                    }
                    Mishap::Moved => {
                        if world.json(write.key()).is_some() {
                            world.touch(write.key());
                        }
                        world.write(write)
                    }
                };
            let (step, same) = match run {
                0 => self.run_with(order, &mut answer),
                _ => self.rerun_with(order, &mut answer),
            };
            order = same;
            match step {
                MachineStep::Retry { at } => self.now = at,
                MachineStep::Rejected { .. } => panic!("nothing is refused here: {:?}", self.notices),
                _ => return,
            }
        }
        panic!("never done: {order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the runs before it went, an order leaves what it leaves alone.
    #[test]
    fn any_orders_through_any_mishaps_end_where_the_last_one_alone_would(
        orders in collection::vec(some_order(), 1..4),
        last in some_snapshot(),
        mishaps in some_mishaps(),
        pace in collection::vec(0..4_usize, 0..200),
    ) {
        let mut rig = StackRig::new();
        // The store lags behind, and catches up only after everything was ordered.
        rig.pace = pace.into_iter();
        let (mut mishaps, mut held) = (mishaps.into_iter(), Vec::new());
        for order in orders {
            rig.struggle(order, &mut mishaps, &mut held);
        }
        // What a fault leaves as it is depends on what came before.
        let last = Snapshot {
            stargate: if matches!(last.stargate, StargateWish::On(_)) && last.auth.is_some() { last.stargate } else { StargateWish::Off },
            ..last
        };
        rig.struggle(existing(last.clone()), &mut mishaps, &mut held);

        let mut alone = StackRig::new();
        alone.run(existing(last.clone()));
        prop_assert_eq!(shape(&rig.world), shape(&alone.world));

        // Patches and deletes that were held back come too late.
        rig.world.log.clear();
        for late in held.iter().filter(|write| !matches!(write, Write::Create { .. })) {
            rig.world.write(late);
        }
        prop_assert!(rig.world.log.is_empty(), "{:?}", rig.world.log);

        rig.pace = Vec::new().into_iter();
        // A late create either finds its name taken or is put right by the next run.
        for late in held.iter().filter(|write| matches!(write, Write::Create { .. })) {
            rig.world.write(late);
        }
        rig.struggle(existing(last.clone()), &mut std::iter::empty(), &mut Vec::new());
        prop_assert_eq!(shape(&rig.world), shape(&alone.world));

        rig.count();
        rig.run(existing(last));
        prop_assert_eq!(rig.count().1, 0, "a replay writes nothing");
    }

    /// What others set on the agent's objects stays, whatever is ordered next.
    #[test]
    fn what_others_set_survives(first in some_snapshot(), second in some_snapshot()) {
        let mut rig = StackRig::new();
        rig.run(existing(first));
        strangers(&mut rig.world);
        let before: Vec<String> = rig.world.keys();
        rig.run(existing(second.clone()));
        for text in rig.world.keys().iter().filter(|text| before.contains(*text)) {
            check_strangers_fields(&rig.world, text)?;
        }
        rig.count();
        rig.run(existing(second));
        prop_assert_eq!(rig.count().1, 0, "a replay writes nothing");
    }
}
