//! Which safeguard is out in this process. Only the copy of the tree that `cargo xtask safeguards` builds has this.

use std::{env, sync::LazyLock};

static OUT: LazyLock<Option<String>> = LazyLock::new(|| env::var("STACKHERD_WITHOUT").ok());

pub(crate) fn is_out(name: &str) -> bool {
    OUT.as_deref() == Some(name)
}
