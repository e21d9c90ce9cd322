//! A pool's shards without their threads.

use crate::{PoolConfig, ShardContext, ShardId, Stop, Stopper, engine, mesh, stop::StopFlag};
use std::sync::Arc;

/// What the shards of a pool begin with, in their order, and what stops them. To be called within a
/// task of the group that the shards are to belong to.
pub fn contexts<M>(config: &PoolConfig) -> (Vec<ShardContext<M>>, Stopper) {
    let flag = Arc::new(StopFlag::new(config.shards));
    let endpoints = mesh::endpoints(config.shards, config.mesh_capacity).into_iter();
    let contexts = endpoints.enumerate().map(|(index, endpoint)| {
        let id = ShardId::new(index);
        let stop = Stop::new(id, Arc::clone(&flag));
        let (router, inbox) = endpoint.open(config, stop.clone());
        let relaying = stop.clone();
        engine::spawn(async move { relaying.relay().await }).detach();
        ShardContext { id, shards: config.shards, router, inbox, stop }
    });
    (contexts.collect(), Stopper(flag))
}
