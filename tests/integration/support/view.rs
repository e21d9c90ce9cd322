//! What membership believes after some messages, and whether the cluster is so. A reading of the
//! contract of its own: it shares no code with the agent but the generated messages.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Message, VersionKind, message::Message as Said};

use super::objects::KINDS;
use crate::support::rest::{GROUP_PATH, Rest};

/// The sum of all messages so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Believed {
    /// Statuses by kind and name; the kind of a Stack is `Stack`.
    pub statuses: BTreeMap<(String, String), Value>,
    /// Entries and whether it is deprecated, by name.
    pub versions: BTreeMap<String, (BTreeMap<String, String>, bool)>,
}

impl Believed {
    pub fn of(messages: &[Message]) -> Self {
        let mut believed = Self::default();
        messages.iter().for_each(|message| believed.hear(message));
        believed
    }

    pub fn hear(&mut self, message: &Message) {
        let key = |kind: &str, name: &String| (kind.to_owned(), name.clone());
        match message.message.as_ref().expect("a message says something") {
            Said::Pong(_) => {}
            Said::StatusChanged(told) => {
                self.statuses.insert(key("Stack", &told.cluster_name), plain(json!(told.statuses)));
            }
            Said::ModuleStatusChanged(told) => {
                self.statuses.insert(key(kind(&told.vk), &told.cluster_name), plain(json!(told.status)));
            }
            Said::StackDeleted(told) => {
                self.statuses.remove(&key("Stack", &told.cluster_name));
            }
            Said::ModuleDeleted(told) => {
                self.statuses.remove(&key(kind(&told.vk), &told.cluster_name));
            }
            Said::AddedVersion(told) => {
                let versions = told.versions.clone().into_iter().collect();
                self.versions.insert(told.name.clone(), (versions, told.deprecated));
            }
            Said::UpdatedVersion(told) => {
                let versions = told.versions.clone().into_iter().collect();
                self.versions.insert(told.name.clone(), (versions, told.deprecated));
            }
            Said::DeletedVersion(told) => {
                self.versions.remove(&told.name);
            }
        }
    }

    /// Where the cluster is not as membership believes; objects by `plural/name`.
    pub fn differences(&self, objects: &BTreeMap<String, Value>) -> Vec<String> {
        let mut found = Vec::new();
        let mut statuses: BTreeMap<_, _> = self.statuses.iter().collect();
        let mut versions: BTreeMap<_, _> = self.versions.iter().collect();
        for (place, object) in objects {
            let (plural, name) = place.split_once('/').expect("plural/name");
            let word = object["kind"].as_str().expect("a kind").to_owned();
            match plural {
                "authclients" => {}
                "versions" => {
                    let (told, is) = (versions.remove(&name.to_owned()), entries(object));
                    if told != Some(&is) {
                        found.push(format!("{place}: told {told:?}, is {is:?}"));
                    }
                }
                _ => {
                    let told = statuses.remove(&(word, name.to_owned()));
                    // What has no status any more may have had one that was told.
                    let Some(is) = reported(&object["status"]) else { continue };
                    if told != Some(&is) {
                        let told = told.map_or("nothing".into(), Value::to_string);
                        found.push(format!("{place}: told {told}, is {is}"));
                    }
                }
            }
        }
        found.extend(statuses.into_iter().map(|(place, told)| format!("{place:?}: told {told}, is gone")));
        found.extend(
            versions.into_iter().map(|(name, told)| format!("versions/{name}: told {told:?}, is gone")),
        );
        found
    }
}

fn kind(vk: &Option<VersionKind>) -> &str {
    let vk = vk.as_ref().expect("what is said of a module names its kind");
    assert_eq!(vk.version, "v1beta1", "of {vk:?}");
    &vk.kind
}

/// What is told of a status; `None` where nothing is.
pub fn reported(status: &Value) -> Option<Value> {
    let status = status.as_object().filter(|status| !status.is_empty())?;
    let field = |name: &str| status.get(name).filter(|value| !value.is_null());
    let mut told = json!({ "ready": field("ready").map_or(Some(false), Value::as_bool)? });
    let info = field("info").map_or(Some(""), Value::as_str)?;
    if !info.is_empty() {
        told["info"] = info.into();
    }
    if let Some(conditions) = field("conditions") {
        told["conditions"] = conditions.clone();
    }
    Some(plain(told))
}

/// A value as it is behind a Struct, where every number is a float.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

fn entries(object: &Value) -> (BTreeMap<String, String>, bool) {
    let spec = object["spec"].as_object().into_iter().flatten();
    let texts = spec.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    (texts.collect(), object["metadata"]["annotations"]["formance.com/deprecated"] == "true")
}

/// Every object of a server that agents report about, by `plural/name`.
pub fn objects(rest: &Rest) -> BTreeMap<String, Value> {
    let kinds = KINDS.into_iter().filter(|(kind, _)| *kind != "AuthClient").chain([("Versions", "versions")]);
    let mut objects = BTreeMap::new();
    for (_, plural) in kinds {
        let list = rest.get(&format!("{GROUP_PATH}/{plural}")).expect(200);
        for item in list.json["items"].as_array().expect("a list") {
            let name = item["metadata"]["name"].as_str().expect("a name");
            objects.insert(format!("{plural}/{name}"), item.clone());
        }
    }
    objects
}
