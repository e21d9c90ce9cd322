//! A kind that the cluster serves, as its CustomResourceDefinition describes it.

use serde_json::Value;

use super::schema::Schema;

/// Group of definitions themselves.
pub const DEFINITIONS_GROUP: &str = "apiextensions.k8s.io";
/// Plural of definitions themselves.
pub const DEFINITIONS: &str = "customresourcedefinitions";

/// One served kind; every kind is cluster-scoped.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedKind {
    /// `formance.com`
    pub group: String,
    /// `v1beta1`
    pub version: String,
    /// `Stack`
    pub kind: String,
    /// `StackList`
    pub list_kind: String,
    /// `stack`
    pub singular: String,
    /// `stacks`
    pub plural: String,
    /// Has a status subresource.
    pub status: bool,
    /// What its objects look like.
    pub schema: Schema,
}

/// Why a definition cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// A field is missing.
    #[error("CustomResourceDefinition {name:?}: {field} is missing")]
    Missing {
        /// Of the definition.
        name: String,
        /// Path of the field.
        field: &'static str,
    },
    /// The embedded cluster knows cluster-scoped kinds only.
    #[error("CustomResourceDefinition {name:?}: scope {scope:?} is not served here, only Cluster")]
    Scope {
        /// Of the definition.
        name: String,
        /// What it says.
        scope: String,
    },
}

impl ServedKind {
    /// The kind that a definition describes: its storage version.
    pub fn from_definition(crd: &Value) -> Result<Self, KindError> {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_string();
        let spec = &crd["spec"];
        let text = |value: &Value, field| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_string()),
            _ => Err(KindError::Missing { name: name.clone(), field }),
        };
        let scope = text(&spec["scope"], "spec.scope")?;
        if scope != "Cluster" {
            return Err(KindError::Scope { name, scope });
        }
        let names = &spec["names"];
        let kind = text(&names["kind"], "spec.names.kind")?;
        let missing = || KindError::Missing { name: name.clone(), field: "spec.versions" };
        let versions = spec["versions"].as_array().ok_or_else(missing)?;
        let version = versions.iter().find(|v| v["storage"] == true).ok_or_else(missing)?;
        Ok(Self {
            group: text(&spec["group"], "spec.group")?,
            version: text(&version["name"], "spec.versions[].name")?,
            list_kind: names["listKind"].as_str().map_or_else(|| format!("{kind}List"), str::to_string),
            singular: names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_string),
            plural: text(&names["plural"], "spec.names.plural")?,
            kind,
            status: version["subresources"]["status"].is_object(),
            schema: Schema::read(&version["schema"]["openAPIV3Schema"]),
        })
    }

    /// The kind of definitions.
    pub fn definitions() -> Self {
        Self {
            group: DEFINITIONS_GROUP.into(),
            version: "v1".into(),
            kind: "CustomResourceDefinition".into(),
            list_kind: "CustomResourceDefinitionList".into(),
            singular: "customresourcedefinition".into(),
            plural: DEFINITIONS.into(),
            status: false,
            schema: Schema::anything(),
        }
    }

    /// Whether this is the kind of definitions.
    pub fn is_definitions(&self) -> bool {
        self.plural == DEFINITIONS && self.group == DEFINITIONS_GROUP
    }

    /// `stacks.formance.com`
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// `formance.com/v1beta1`
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crds;

    /// The kind of one of our own manifests.
    pub(crate) fn kind_of(file: &str) -> ServedKind {
        let (_, yaml) = crds::manifests().iter().find(|(name, _)| *name == file).expect("a manifest");
        let crd: Value = serde_saphyr::from_str(yaml).expect("YAML");
        ServedKind::from_definition(&crd).expect("a definition")
    }

    pub(crate) fn stack_kind() -> ServedKind {
        kind_of("stacks.yaml")
    }

    #[test]
    fn a_definition_gives_names_and_subresource() {
        let kind = stack_kind();
        assert_eq!(
            (kind.kind.as_str(), kind.plural.as_str(), kind.singular.as_str()),
            ("Stack", "stacks", "stack")
        );
        assert_eq!(kind.api_version(), "formance.com/v1beta1");
        assert!(kind.status);
    }

    #[test]
    fn a_namespaced_definition_is_refused_by_name() {
        let crd = serde_json::json!({"metadata": {"name": "x.y"}, "spec": {"scope": "Namespaced"}});
        let error = ServedKind::from_definition(&crd).expect_err("namespaced");
        assert_eq!(
            error.to_string(),
            r#"CustomResourceDefinition "x.y": scope "Namespaced" is not served here, only Cluster"#
        );
    }
}
