//! What tests of several modules need.

use crate::{ClassedOrder, OrderClass};

/// A class and a serial number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbered(pub(crate) OrderClass, pub(crate) u32);

impl ClassedOrder for Numbered {
    fn class(&self) -> OrderClass {
        self.0
    }
}

/// Runs a test on an executor of its own.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    glommio::LocalExecutorBuilder::default().io_memory(65536).make().unwrap().run(test)
}
