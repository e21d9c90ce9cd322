use std::collections::HashMap;

use prost::Message as _;

use super::{super::server, *};
use crate::order::Change;
use crate::order::{
    Snapshot,
    limits::{MAX_CLIENTS, MAX_LABELS, MAX_MODULES, NAMED},
};

fn encoded(message: server::order::Message) -> Vec<u8> {
    server::Order { message: Some(message), metadata: HashMap::new() }.encode_to_vec()
}

fn existing(stack: server::Stack) -> Vec<u8> {
    encoded(server::order::Message::ExistingStack(stack))
}

fn stack() -> server::Stack {
    server::Stack { cluster_name: "org-a".into(), ..Default::default() }
}

fn snapshot(bytes: &[u8]) -> Snapshot {
    match decode(bytes, &|name| name == "ledger").unwrap().unwrap().0.unwrap().change {
        Change::Existing(snapshot) => *snapshot,
        change => panic!("{change:?}"),
    }
}

fn texts(snapshot: &Snapshot) -> Vec<String> {
    snapshot.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_read_in_place_is_what_the_generated_type_says() {
    let full = server::Stack {
        seed: "s".into(),
        versions: "v2".into(),
        disabled: true,
        auth_config: Some(server::AuthConfig { issuer: "i".into(), ..Default::default() }),
        static_clients: vec![
            server::AuthClient { id: "web".into(), public: true },
            server::AuthClient { id: "Bad One".into(), public: true },
            server::AuthClient { id: "web".into(), public: false },
        ],
        stargate_config: Some(server::StargateConfig { enabled: true, url: "u".into(), disable_tls: true }),
        additional_labels: [("a".into(), "1".into()), ("b".into(), "no good".into())].into(),
        additional_annotations: [("a".into(), "any text".into()), ("".into(), "".into())].into(),
        modules: ["Ledger", "", "wallets"].map(|name| server::Module { name: name.into() }).into(),
        ..stack()
    };
    let messages = [
        server::order::Message::ExistingStack(full),
        server::order::Message::ExistingStack(server::Stack::default()),
        server::order::Message::DeletedStack(server::DeletedStack { cluster_name: "a-b".into() }),
        server::order::Message::DisabledStack(server::DisabledStack { cluster_name: "A".into() }),
        server::order::Message::EnabledStack(server::EnabledStack { cluster_name: "a-b".into() }),
        server::order::Message::Ping(server::Ping {}),
        server::order::Message::Connected(server::Connected {}),
    ];
    let metadata = [("_otelCtx".into(), r#"{"b3":"64fe8b2a57d3eff7-e457b5a2e4d86bd1-1"}"#.into())];
    for message in messages {
        let order = server::Order { message: Some(message), metadata: metadata.clone().into() };
        let read = decode(&order.encode_to_vec(), &|_| false).unwrap();
        let trace = super::super::trace(&order);
        assert_eq!(read, super::super::order(&order).map(|order| (order, trace)));
    }
}

#[test]
fn the_kind_of_a_message_is_that_of_its_last_member() {
    let ping = encoded(server::order::Message::Ping(server::Ping {}));
    let connected = encoded(server::order::Message::Connected(server::Connected {}));
    let order = existing(stack());
    assert_eq!(message_kind(&ping), MessageKind::Ping);
    assert_eq!(message_kind(&connected), MessageKind::Connected);
    assert_eq!(message_kind(&order), MessageKind::Other);
    assert_eq!(message_kind(&[&order[..], &ping].concat()), MessageKind::Ping);
    assert_eq!(message_kind(&[&ping[..], &order].concat()), MessageKind::Other);
    for junk in [&b""[..], &[0xff; 20], &[0x22, 0x7f]] {
        assert_eq!(message_kind(junk), MessageKind::Other, "{junk:?}");
    }
}

#[test]
fn what_is_no_protobuf_is_refused() {
    for junk in [&[0x12, 0x7f, 1][..], &[0xff; 40], &[0x1b], &[0x12, 4, 0x0a, 2, 0xff, 0xfe], &[0x10, 1]] {
        assert!(decode(junk, &|_| false).is_err(), "{junk:?}");
        assert!(server::Order::decode(junk).is_err(), "{junk:?}");
    }
}

#[test]
fn of_empty_modules_without_end_a_few_are_named_and_none_is_deleted_for_them() {
    let mut modules = vec![server::Module::default(); 200_000];
    modules.push(server::Module { name: "ledger".into() });
    let snapshot = snapshot(&existing(server::Stack { modules, ..stack() }));
    assert_eq!(snapshot.modules, ["ledger".to_owned()].into());
    assert!(snapshot.spares.modules);
    let texts = texts(&snapshot);
    assert_eq!(texts.len(), NAMED + 1);
    assert_eq!(texts[0], "modules[0].name: is empty; name a module");
    assert_eq!(texts[NAMED], format!("modules: {} more name no module", 200_000 - NAMED));
}

#[test]
fn a_module_of_the_clusters_counts_whatever_stands_beside_it() {
    let mut names: Vec<String> = (0..200_000).map(|n| format!("a{n}")).collect();
    names.push("Ledger".into());
    let modules = names.into_iter().map(|name| server::Module { name }).collect();
    let snapshot = snapshot(&existing(server::Stack { modules, ..stack() }));
    assert!(snapshot.modules.contains("ledger"));
    assert_eq!(snapshot.modules.len(), MAX_MODULES + 1);
    assert!(snapshot.spares.modules);
    let texts = texts(&snapshot);
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with(&format!("modules: {} beyond", 200_000 - MAX_MODULES)), "{texts:?}");
}

#[test]
fn labels_beyond_the_most_are_left_out_and_none_is_taken_back() {
    let labels = (0..MAX_LABELS + 7).map(|n| (format!("k{n:05}"), "v".into())).collect();
    let snapshot = snapshot(&existing(server::Stack { additional_labels: labels, ..stack() }));
    assert_eq!(snapshot.labels.len(), MAX_LABELS);
    assert!(snapshot.spares.labels && !snapshot.spares.annotations);
    assert!(texts(&snapshot)[0].starts_with("additionalLabels: 7 beyond the 1000"));
}

#[test]
fn a_hundred_thousand_illegal_labels_are_a_few_words_and_the_good_one_stands() {
    let mut labels: HashMap<String, String> =
        (0..100_000).map(|n| (format!("k{n:06}"), "no good".into())).collect();
    labels.insert("z".into(), "good".into());
    let snapshot = snapshot(&existing(server::Stack { additional_labels: labels, ..stack() }));
    assert_eq!(snapshot.labels, [("formance.com/z".to_owned(), "good".to_owned())].into());
    assert!(snapshot.spares.labels, "there are too many to spare them by name");
    assert!(snapshot.spared.len() <= 1000);
    let texts = texts(&snapshot);
    assert_eq!(texts.len(), NAMED + 1);
    assert!(texts[0].contains("additionalLabels[\"k000000\"]"), "{texts:?}");
    assert_eq!(texts[NAMED], format!("additionalLabels: {} more cannot be used", 100_000 - NAMED));
    assert!(texts.concat().len() < 2_000, "short");
}

#[test]
fn clients_beyond_the_most_are_left_out_and_none_is_deleted() {
    let client = |id: String| server::AuthClient { id, public: true };
    let clients = (0..MAX_CLIENTS + 3).map(|n| client(format!("c{n:05}"))).collect();
    let many = snapshot(&existing(server::Stack { static_clients: clients, ..stack() }));
    assert_eq!(many.clients.len(), MAX_CLIENTS);
    assert!(many.spares.clients);
    assert!(texts(&many)[0].starts_with("staticClients: 3 beyond the 1000"));
    let bad = snapshot(&existing(server::Stack { static_clients: vec![client("A b".into())], ..stack() }));
    assert!(bad.spares.clients, "which one was meant is not known");
    let twice = vec![client("a".into()); 100_000];
    let twice = snapshot(&existing(server::Stack { static_clients: twice, ..stack() }));
    assert!(!twice.spares.clients, "nothing is left out");
    assert_eq!(texts(&twice).len(), NAMED + 1);
}

#[test]
fn a_label_that_is_bad_and_then_good_is_good_as_the_last_one_counts() {
    let label = |value: &str| {
        existing(server::Stack { additional_labels: [("a".into(), value.into())].into(), ..stack() })
    };
    let good = snapshot(&[label("no good"), label("good")].concat());
    assert_eq!((good.labels["formance.com/a"].as_str(), good.faults.len()), ("good", 0));
    let bad = snapshot(&[label("good"), label("no good")].concat());
    assert_eq!((bad.labels.len(), bad.faults.len()), (0, 1));
}

#[test]
fn so_many_fields_at_a_time_read_the_same() {
    let modules = (0..100).map(|n| server::Module { name: format!("m{n}") }).collect();
    let bytes = existing(server::Stack { modules, ..stack() });
    let is_module = |_: &str| false;
    let mut reading = OrderDecoder::new(&bytes, &is_module);
    let mut steps = 1;
    while !reading.step(10).unwrap() {
        steps += 1;
    }
    assert_eq!(steps, 11);
    assert_eq!(reading.finish(), decode(&bytes, &is_module).unwrap());
}
