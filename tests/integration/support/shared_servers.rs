//! API servers that tests share. A real one costs seconds of CPU to start and hundreds of MiB, so a group of
//! tests has one together; groups have one each, since they count and redefine what is on theirs.

#![allow(clippy::disallowed_types, reason = "tests share the servers")]

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use super::{api_server::RealApiServer, crds::Crds};

/// The group and what its server knows.
type SharedServerKey = (String, Crds);
/// Whoever is the first starts it, and the others wait for that.
type Started = Arc<OnceLock<Option<Arc<RealApiServer>>>>;

static SERVERS: LazyLock<Mutex<HashMap<SharedServerKey, Started>>> = LazyLock::new(Mutex::default);

/// The group's server. Those of other groups that nobody uses any more are stopped.
pub(super) fn get(
    key: SharedServerKey,
    start: impl FnOnce() -> Option<RealApiServer>,
) -> Option<Arc<RealApiServer>> {
    let server = {
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|(group, _), server| *group == key.0 || is_used(server));
        Arc::clone(servers.entry(key).or_default())
    };
    server.get_or_init(|| start().map(Arc::new)).clone()
}

/// Somebody has it, or waits for it.
fn is_used(server: &Started) -> bool {
    let has =
        |server: &Option<Arc<RealApiServer>>| server.as_ref().is_none_or(|it| Arc::strong_count(it) > 1);
    Arc::strong_count(server) > 1 || server.get().is_none_or(has)
}
