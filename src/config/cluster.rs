//! Settings of the Kubernetes side.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{duration, flags, settings::SettingsReader, value};

/// Which API server, and how much of it to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSettings {
    /// The kubeconfig that was named, if one was; in a pod the service account wins.
    pub kube_config: Option<PathBuf>,
    /// Requests per second, for the whole process; 0 for no limit.
    pub qps: f64,
    /// Requests that may go out at once, for the whole process; 0 for one at a time on each shard.
    pub burst: u32,
    /// Requests that may await their answer, for the whole process.
    pub max_in_flight: NonZeroUsize,
    /// Objects of one kind that may be listed.
    pub max_list_items: u64,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
}

impl ClusterSettings {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let home = settings.variable("HOME");
        let below_home = |text: &str| Ok(below_home(text, home.as_deref()));
        // What the default means is `ClusterConfig`'s to say.
        let named = settings.is_given(&flags::KUBE_CONFIG);
        let kube_config = settings.read(&flags::KUBE_CONFIG, below_home).filter(|_| named);
        let qps = settings.read(&flags::KUBE_QPS, value::rate);
        let burst = settings.read(&flags::KUBE_BURST, |text| value::whole(text, 0, 1_000_000));
        let max_in_flight = settings.read(&flags::KUBE_MAX_IN_FLIGHT, |text| value::count(text, 100_000));
        let max_list_items =
            settings.read(&flags::KUBE_MAX_LIST_ITEMS, |text| value::whole(text, 1, 1_000_000_000));
        let request_timeout = settings.read(&flags::KUBE_REQUEST_TIMEOUT, duration::positive);
        Some(Self {
            kube_config,
            qps: qps?,
            burst: burst?,
            max_in_flight: max_in_flight?,
            max_list_items: max_list_items?,
            request_timeout: request_timeout?,
        })
    }
}

/// A path; one that begins with `~/` lies below the home folder.
fn below_home(text: &str, home: Option<&str>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => text.into(),
    }
}
