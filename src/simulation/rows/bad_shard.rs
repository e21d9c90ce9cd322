//! Row 16: one shard panics. With real threads, since that is what it is about.

use std::{
    num::NonZeroUsize,
    sync::{Arc, mpsc},
};

use futures::FutureExt;

use crate::{
    agent::{Agent, Feed, Setup},
    cluster::{ClientLimits, ClusterConfig},
    config::EngineSettings,
    embedded::server::{self, EmbeddedServer},
    stack::desired::StackBaseUrl,
    time::Duration,
};

#[test]
fn row_16_a_shard_that_panics_ends_the_whole_agent_and_is_named() {
    shards::prepare_host().unwrap();
    let cluster = EmbeddedServer::start(server::ServerOptions::default()).unwrap();
    let nonzero = |n| NonZeroUsize::new(n).unwrap();
    let setup = Setup {
        engine: EngineSettings {
            shards: nonzero(3),
            max_in_flight_stacks: nonzero(8),
            max_stacks: nonzero(100),
        },
        says_all: false,
        cluster: ClusterConfig::plain(&cluster.url()).unwrap(),
        limits: ClientLimits { qps: 0.0, burst: 0, max_in_flight: 8, deadline: Duration::from_secs(5) },
        max_list_items: crate::cluster::reflector::MOST_ITEMS,
        base_url: StackBaseUrl { scheme: "https".into(), host: "demo.example".into() },
        grace_period: Duration::from_secs(1),
        resync_period: None,
        report_qps: 0.0,
        source: Arc::new(|_| Feed {
            run: async { panic!("on purpose") }.boxed_local(),
            report: std::rc::Rc::new(|_, _| ()),
        }),
    };
    let agent = Agent::start(setup).unwrap();
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || told.send(agent.join().map_err(|failures| failures[0].to_string())));
    let ended = ended.recv_timeout(Duration::from_secs(30)).expect("the other shards end as well");
    let failure = ended.expect_err("a failure");
    assert!(failure.contains("shard 0") && failure.contains("on purpose"), "{failure}");
}
