//! Who the agent says it is when it joins: the metadata of the request, and that it has changed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use shards::Wakeup;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// The agent's version as membership shows it.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The agent as it presents itself. URLs go out exactly as they are here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinMetadata {
    /// The agent's id, which is the region's.
    pub id: String,
    /// Where the region's stacks are reached.
    pub base_url: String,
    /// Where else.
    pub additional_base_urls: Vec<String>,
    /// Whether this region serves production.
    pub production: bool,
    /// Whether this region takes no new stacks.
    pub outdated: bool,
    /// [`VERSION`], unless a test says otherwise.
    pub version: String,
    /// Singular names of all modules.
    pub modules: Vec<String>,
    /// Singular names of the enterprise modules.
    pub enterprise_modules: Vec<String>,
}

/// A value cannot travel as metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be sent to membership: only printable ASCII can")]
pub struct NotAscii {
    /// Which value.
    pub what: &'static str,
}

impl JoinMetadata {
    /// The request metadata of a join, without authentication. gRPC has lower-case keys only.
    pub fn metadata(&self) -> Result<MetadataMap, NotAscii> {
        let mut metadata = MetadataMap::new();
        let mut add = |key: &'static str, text: &str, what: &'static str| {
            metadata.append(key, ascii(text, what)?);
            Ok(())
        };
        add("id", &self.id, "the id")?;
        add("baseurl", &self.base_url, "the base URL")?;
        for url in &self.additional_base_urls {
            add("additionalbaseurls", url, "an additional base URL")?;
        }
        add("production", if self.production { "true" } else { "false" }, "production")?;
        add("outdated", if self.outdated { "true" } else { "false" }, "outdated")?;
        add("version", &self.version, "the version")?;
        for capability in ["EE", "MODULE_LIST"] {
            add("capabilities", capability, "a capability")?;
        }
        for module in sorted(&self.modules) {
            add("module_list", module, "a module's name")?;
        }
        for module in sorted(&self.enterprise_modules) {
            add("ee", module, "a module's name")?;
        }
        Ok(metadata)
    }
}

/// A metadata value; spaces around it would be lost on the way.
pub(crate) fn ascii(text: &str, what: &'static str) -> Result<MetadataValue<Ascii>, NotAscii> {
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(NotAscii { what });
    }
    MetadataValue::try_from(text).map_err(|_| NotAscii { what })
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The metadata of the next join; a session that has joined with older metadata closes its stream and joins
/// again. Clones are the same.
#[derive(Debug, Clone)]
pub struct CurrentMetadata(Rc<MetadataState>);

#[derive(Debug, Default)]
struct MetadataState {
    metadata: RefCell<MetadataMap>,
    version: Cell<u64>,
    changed: Wakeup,
}

impl CurrentMetadata {
    /// Fails where something cannot be sent as metadata.
    pub fn new(metadata: &JoinMetadata) -> Result<Self, NotAscii> {
        let current = Self(Rc::default());
        current.change(metadata)?;
        Ok(current)
    }

    /// From now on the agent joins with this.
    pub fn change(&self, metadata: &JoinMetadata) -> Result<(), NotAscii> {
        self.0.metadata.replace(metadata.metadata()?);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn all<'a>(metadata: &'a MetadataMap, key: &str) -> Vec<&'a str> {
        metadata.get_all(key).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn says_everything_that_membership_asks_for() {
        let join_metadata = JoinMetadata {
            id: "region-1".into(),
            base_url: "https://Region.Example.com:443/x".into(),
            additional_base_urls: vec!["http://b".into(), "http://a".into()],
            production: true,
            outdated: false,
            version: "v1.2.3".into(),
            modules: vec!["wallets".into(), "auth".into(), "stargate".into()],
            enterprise_modules: vec!["wallets".into(), "auth".into()],
        };
        let metadata = join_metadata.metadata().unwrap();
        assert_eq!(all(&metadata, "id"), ["region-1"]);
        assert_eq!(all(&metadata, "baseurl"), ["https://Region.Example.com:443/x"]);
        assert_eq!(all(&metadata, "additionalbaseurls"), ["http://b", "http://a"]);
        assert_eq!(all(&metadata, "production"), ["true"]);
        assert_eq!(all(&metadata, "outdated"), ["false"]);
        assert_eq!(all(&metadata, "version"), ["v1.2.3"]);
        assert_eq!(all(&metadata, "capabilities"), ["EE", "MODULE_LIST"]);
        assert_eq!(all(&metadata, "module_list"), ["auth", "stargate", "wallets"]);
        assert_eq!(all(&metadata, "ee"), ["auth", "wallets"]);
    }

    #[test]
    fn what_cannot_be_metadata_is_named() {
        let join_metadata = JoinMetadata { base_url: "https://bücher".into(), ..JoinMetadata::default() };
        assert_eq!(join_metadata.metadata().unwrap_err(), NotAscii { what: "the base URL" });
        let join_metadata = JoinMetadata { id: "a\nb".into(), ..JoinMetadata::default() };
        assert_eq!(join_metadata.metadata().unwrap_err(), NotAscii { what: "the id" });
    }
}
