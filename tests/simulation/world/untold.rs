//! That an object went before the agent knew of it is never told: a known limit, and none that a run
//! is to find again and again.

use std::{
    collections::BTreeSet,
    rc::{Rc, Weak},
};

use super::World;
use crate::{
    agent::simulated,
    demo::fleet,
    embedded::{cluster::Cluster, kind::Kind},
    net,
    time::Duration,
};

/// Lets membership forget what went of kinds whose objects the agent does not all know yet, until it
/// does.
pub(super) async fn forget(world: &Weak<World>) {
    let mut before = BTreeSet::new();
    loop {
        let Some(world) = world.upgrade() else { return };
        let all = simulated::loads().len() == world.options.shards;
        let known = if all { simulated::known_kinds() } else { BTreeSet::new() };
        let cluster = world.server.cluster.borrow();
        // As they were known a moment ago: what went in between, no list may have shown.
        world.membership.belief.borrow_mut().forget_gone(&there(&cluster), &before);
        if kinds(&cluster).all(|kind| before.contains(&kind.kind)) {
            return;
        }
        before = known;
        drop(cluster);
        drop(world);
        net::sleep(Duration::from_millis(100)).await;
    }
}

/// Kinds and names of everything that the fleet has in the cluster.
fn there(cluster: &Cluster) -> BTreeSet<(String, String)> {
    let of_kind = |kind: Rc<Kind>| {
        let names = cluster.objects(&kind).map(|object| object.name().to_owned());
        names.map(|name| (kind.kind.clone(), name)).collect::<Vec<_>>()
    };
    kinds(cluster).flat_map(of_kind).collect()
}

/// Every kind of which the fleet may have objects.
fn kinds(cluster: &Cluster) -> impl Iterator<Item = Rc<Kind>> {
    fleet::PLURALS.iter().filter_map(|plural| cluster.kind("formance.com", "v1beta1", plural))
}
