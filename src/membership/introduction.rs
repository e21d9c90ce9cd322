//! Joining anew because the agent has something else to say about itself.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use shards::Wakeup;
use tonic::metadata::MetadataMap;

use crate::membership::hello::{Hello, NotAscii};

#[derive(Debug, Default)]
struct Shared {
    metadata: RefCell<MetadataMap>,
    version: Cell<u64>,
    changed: Wakeup,
}

/// Who the agent says it is; a session that is joined under an older introduction leaves and
/// joins again. Clones are the same.
#[derive(Debug, Clone)]
pub struct Introduction(Rc<Shared>);

impl Introduction {
    /// Fails where something cannot be sent as metadata.
    pub fn new(hello: &Hello) -> Result<Self, NotAscii> {
        let introduction = Self(Rc::default());
        introduction.change(hello)?;
        Ok(introduction)
    }

    /// From now on the agent introduces itself like this.
    pub fn change(&self, hello: &Hello) -> Result<(), NotAscii> {
        self.0.metadata.replace(hello.metadata()?);
        self.0.version.set(self.0.version.get() + 1);
        self.0.changed.notify();
        Ok(())
    }

    /// The metadata of a join, and which version of it.
    pub(super) fn current(&self) -> (MetadataMap, u64) {
        (self.0.metadata.borrow().clone(), self.0.version.get())
    }

    /// Waits until a join under this version is out of date.
    pub(super) async fn newer_than(&self, version: u64) {
        self.0.changed.until(|| (self.0.version.get() > version).then_some(())).await;
    }
}
