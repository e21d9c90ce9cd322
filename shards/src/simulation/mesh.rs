//! A pool's shards without their threads.

use crate::{PoolConfig, ShardContext, ShardId, Stop, Stopper, engine, mesh, stop::StopFlag};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

/// What the shards of a pool begin with, in their order, and what stops them. To be called within a
/// task of the group that the shards are to belong to.
pub async fn contexts<M: Send + 'static>(config: &PoolConfig) -> (Vec<ShardContext<M>>, Stopper) {
    let flag = Arc::new(StopFlag::default());
    let endpoints = mesh::endpoints(config.shards, config.mesh_capacity).into_iter();
    let contexts = endpoints.enumerate().map(async |(index, endpoint)| {
        let stop = Stop::new(Arc::clone(&flag));
        let (router, inbox) = endpoint.open(config, stop.clone());
        engine::spawn(look(stop.clone(), config.heartbeat)).detach();
        ShardContext { id: ShardId::new(index), shards: config.shards, router, inbox, stop }
    });
    (join_all(contexts).await, Stopper(flag))
}

/// The part of a shard's heartbeat that notices a stop.
async fn look(stop: Stop, every: Duration) {
    while !stop.requested() {
        engine::sleep(every).await;
        stop.look();
    }
}
