//! That an object went before the agent knew of it is never told: a known limit, and none that a run
//! is to find again and again.

use std::{
    collections::BTreeSet,
    rc::{Rc, Weak},
};

use super::World;
use crate::{agent::simulated, demo::fleet, embedded::kind::ServedKind, net, time::Duration};

/// Lets membership forget what an earlier process told of, and what went before this one knew of it.
pub(super) async fn forget(world: &Weak<World>) {
    let Some(mut inherited) = world.upgrade().map(|world| inherited(&world)) else { return };
    while !inherited.is_empty() {
        net::sleep(Duration::from_millis(100)).await;
        let Some(world) = world.upgrade() else { return };
        inherited.retain(|object| !is_known(&world, object));
        let gone = |object: &(String, String)| !is_there(&world, object);
        for object in inherited.extract_if(.., gone) {
            world.membership.mirror.borrow_mut().forget(&object);
        }
    }
}

/// What membership was told of so far, by kind and name.
fn inherited(world: &World) -> BTreeSet<(String, String)> {
    world.membership.mirror.borrow().objects().cloned().collect()
}

/// Whether the agent has it in view.
fn is_known(world: &World, (kind, name): &(String, String)) -> bool {
    kind_of(world, kind).is_some_and(|kind| simulated::knows(&kind.plural, name))
}

/// Whether it is in the cluster.
fn is_there(world: &World, (kind, name): &(String, String)) -> bool {
    let kind = kind_of(world, kind);
    kind.is_some_and(|kind| world.server.cluster.borrow().get(&kind, name).is_ok())
}

/// The kind of the fleet with this name.
fn kind_of(world: &World, kind: &str) -> Option<Rc<ServedKind>> {
    let cluster = world.server.cluster.borrow();
    let mut kinds =
        fleet::PLURALS.iter().filter_map(|plural| cluster.kind("formance.com", "v1beta1", plural));
    kinds.find(|known| known.kind == kind)
}
