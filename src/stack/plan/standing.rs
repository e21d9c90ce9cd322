//! Whose an object is.
//!
//! Names are ambiguous (client `c` of stack `a-b` is named as client `b-c` of stack `a`, and the
//! operator names its own clients likewise), so a name alone gives the agent no right.

use crate::stack::{
    labels,
    object::{GROUP, Object, Owner},
};

/// Whose an object is, seen from one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It carries the agent's labels for this stack.
    Ours,
    /// It carries them, and belongs to a Stack of another uid: an earlier one of this name.
    Orphan,
    /// Nobody claims it: it is taken over.
    Free,
    /// It is somebody else's, and is never touched.
    Foreign(String),
}

impl Standing {
    /// Whose `object` is. `owner` is the uid of the stack's Stack where the object is to be
    /// owned by it, `None` for the Stack itself.
    pub fn of(object: &Object, stack: &str, owner: Option<&str>) -> Self {
        if let Some(other) = object.label(labels::STACK).filter(|name| *name != stack) {
            return Standing::Foreign(format!("it carries the label {}={other}", labels::STACK));
        }
        let labelled = is_labelled(object, stack);
        let is_owner = |o: &&Owner| Some(o.uid.as_str()) == owner;
        let other_stack = match owner {
            Some(_) if object.owners.iter().any(|o| is_owner(&o)) => None,
            Some(_) => object.owners.iter().find(|o| is_stack(o)),
            None => None,
        };
        match (labelled, other_stack) {
            (true, Some(_)) => Standing::Orphan,
            (true, None) => Standing::Ours,
            (false, Some(o)) => Standing::Foreign(format!("it belongs to the Stack of uid {}", o.uid)),
            (false, None) => match object.owners.iter().find(|o| o.controller && !is_owner(o)) {
                Some(o) => Standing::Foreign(format!("it is controlled by {} {}", o.kind, o.name)),
                None => Standing::Free,
            },
        }
    }
}

/// Whether `object` carries the agent's labels for this stack.
pub fn is_labelled(object: &Object, stack: &str) -> bool {
    object.label(labels::CREATED_BY_AGENT) == Some(labels::CREATED_BY_AGENT_VALUE)
        && object.label(labels::STACK) == Some(stack)
}

fn is_stack(owner: &Owner) -> bool {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    owner.kind == "Stack" && group == Some(GROUP)
}
