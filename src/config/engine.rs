//! Settings of the process itself.

use std::{num::NonZeroUsize, thread, time::Duration};

use super::{ClusterSettings, duration, flags, settings::SettingsReader, share, value};

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Threads that share the stacks.
    pub shards: NonZeroUsize,
    /// Stacks worked on at the same time, for the whole process.
    pub max_in_flight_stacks: NonZeroUsize,
    /// Stacks of which something is known at most, for the whole process.
    pub max_stacks: NonZeroUsize,
}

/// More shards than any machine has cores; beyond it somebody mistyped.
const MOST_SHARDS: usize = shards::MAX_SHARDS;
const MOST_STACKS: usize = 1_000_000;
/// A hundred times the largest fleet that the agent is made for.
const MOST_KNOWN: usize = 100_000_000;

impl EngineSettings {
    /// With the limits that are divided over the shards: those of the `cluster`, where there is one.
    pub(super) fn read(settings: &mut SettingsReader<'_>, cluster: Option<&ClusterSettings>) -> Option<Self> {
        let given = settings.read(&flags::SHARDS, |text| value::count(text, MOST_SHARDS));
        // The affinity mask and the cgroup's quota count, not the machine's cores.
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let stacks = settings.read(&flags::MAX_IN_FLIGHT_STACKS, |text| value::count(text, MOST_STACKS));
        let known = settings.read(&flags::MAX_STACKS, |text| value::count(text, MOST_KNOWN));
        let mut limits = vec![(&flags::MAX_IN_FLIGHT_STACKS, stacks?)];
        if let Some(cluster) = cluster {
            limits.push((&flags::KUBE_MAX_IN_FLIGHT, cluster.max_in_flight));
            let burst = NonZeroUsize::new(cluster.burst as usize);
            limits.extend(burst.map(|burst| (&flags::KUBE_BURST, burst)));
        }
        let (shards, note) = share::fitting(given.unwrap_or(cores), &limits);
        if let Some(note) = note {
            settings.note(note);
        }
        Some(Self { shards, max_in_flight_stacks: stacks?, max_stacks: known? })
    }
}

/// What the agent does over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LifecycleSettings {
    /// How often reports are said again; never where absent.
    pub resync_period: Option<Duration>,
    /// Reports a second that repeat what was told before; 0 is unlimited.
    pub report_qps: f64,
    /// How long writes in flight may take to end once a stop was asked for.
    pub grace_period: Duration,
}

impl LifecycleSettings {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let resync = settings.read(&flags::RESYNC_PERIOD, duration::duration);
        let report_qps = settings.read(&flags::REPORT_QPS, value::rate);
        let grace_period = settings.read(&flags::GRACE_PERIOD, duration::duration);
        Some(Self {
            resync_period: resync.filter(|period| !period.is_zero()),
            report_qps: report_qps?,
            grace_period: grace_period?,
        })
    }
}
