//! What the agent has to tell membership about a stack.

use crate::order::StackName;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// `stackDeleted`: there is no such Stack any more.
    StackDeleted {
        /// Its name.
        stack: StackName,
    },
}
