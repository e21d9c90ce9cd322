//! Manifests of the custom resources that the contract names: minimal shapes, good enough for a
//! real API server as well.

macro_rules! manifests {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("crds/", $name)))),*]
    };
}

const MANIFESTS: &[(&str, &str)] = manifests![
    "authclients.yaml",
    "auths.yaml",
    "gateways.yaml",
    "ledgers.yaml",
    "orchestrations.yaml",
    "payments.yaml",
    "reconciliations.yaml",
    "searches.yaml",
    "stacks.yaml",
    "stargates.yaml",
    "transactionplanes.yaml",
    "versions.yaml",
    "wallets.yaml",
    "webhooks.yaml",
];

/// Every manifest: its file's name and its YAML, one CustomResourceDefinition each.
pub fn manifests() -> &'static [(&'static str, &'static str)] {
    MANIFESTS
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_manifest_is_a_definition_named_after_its_plural() {
        for (file, yaml) in manifests() {
            let crd: Value = serde_saphyr::from_str(yaml).expect(file);
            let plural = crd["spec"]["names"]["plural"].as_str().expect(file);
            assert_eq!(crd["kind"], "CustomResourceDefinition", "{file}");
            assert_eq!(crd["metadata"]["name"], format!("{plural}.formance.com"), "{file}");
            assert_eq!(*file, format!("{plural}.yaml"));
        }
    }

    #[test]
    fn enterprise_modules_are_the_seven_of_the_contract() {
        let mut enterprise: Vec<&str> = manifests()
            .iter()
            .filter(|(_, yaml)| yaml.contains("formance.com/is-ee: \"true\""))
            .map(|(file, _)| file.trim_end_matches(".yaml"))
            .collect();
        enterprise.sort_unstable();
        assert_eq!(
            enterprise,
            [
                "auths",
                "orchestrations",
                "reconciliations",
                "searches",
                "transactionplanes",
                "wallets",
                "webhooks"
            ]
        );
    }
}
