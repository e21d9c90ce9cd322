//! Objects without what differs from one stack to another that was ordered to be the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    objects::{KINDS, of_stack},
    rest::{GROUP_PATH, Rest},
};

/// The label that moves an object and means nothing.
const FENCE: &str = "formance.com/stackherd-fence";

/// Everything that the agent keeps in an object, the stack's name and the Stack's uid replaced.
fn form(object: &Value, stack: &str, uid: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut labels = metadata["labels"].clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.remove(FENCE);
    }
    let form = json!({
        "kind": object["kind"], "name": metadata["name"], "spec": object["spec"],
        "labels": labels, "annotations": metadata["annotations"], "owners": metadata["ownerReferences"],
    });
    let text = form.to_string().replace(stack, "STACK");
    let uid = uid.as_str().filter(|uid| !uid.is_empty()).unwrap_or("none");
    serde_json::from_str(&text.replace(uid, "UID")).expect("it was JSON")
}

/// The whole of a stack in that form, by `plural/name`.
pub fn of(rest: &Rest, stack: &str) -> BTreeMap<String, Value> {
    forms(&of_stack(rest, stack), stack)
}

/// The same of objects by `plural/name`.
pub fn forms(objects: &BTreeMap<String, Value>, stack: &str) -> BTreeMap<String, Value> {
    let uid = objects.get(&format!("stacks/{stack}")).map_or(&Value::Null, |it| &it["metadata"]["uid"]);
    let form = |(key, object): (&String, &Value)| (key.replace(stack, "STACK"), form(object, stack, uid));
    objects.iter().map(form).collect()
}

/// Everything that agents wrote for stacks of this prefix, by stack and `plural/name`.
pub fn fleet(rest: &Rest, prefix: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut fleet: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (_, plural) in KINDS {
        let list = rest.get(&format!("{GROUP_PATH}/{plural}")).expect(200);
        for item in list.json["items"].as_array().expect("a list") {
            let stack = item["metadata"]["labels"]["formance.com/stack"].as_str().unwrap_or_default();
            if stack.starts_with(prefix) {
                let name = item["metadata"]["name"].as_str().expect("a name");
                fleet.entry(stack.to_owned()).or_default().insert(format!("{plural}/{name}"), item.clone());
            }
        }
    }
    fleet
}
