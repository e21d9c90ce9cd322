//! An agent between a membership and an embedded cluster, with answers that are made up in between.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    cluster::TestCluster,
    holdback::Holdback,
    membership::{Joined, TestMembership},
    now,
    orders::{StackExt, stack},
};

pub(crate) const WITHIN: Duration = Duration::from_secs(120);
/// What one kind of misbehaviour may cost, beside what the agent needs at rest.
pub(crate) const MORE: u64 = 64 << 20;
/// Heartbeats come every 5 s; a machine that is busy with other tests may be late.
pub(crate) const PONG_GAP: Duration = Duration::from_secs(8);

pub(crate) struct MisbehavingScene {
    pub(crate) cluster: TestCluster,
    pub(crate) network: Holdback,
    pub(crate) agent: AgentProcess,
    pub(crate) joined: Joined,
    /// Kept, or the stream ends.
    _membership: TestMembership,
}

impl MisbehavingScene {
    /// What the network does is said before the agent starts.
    pub(crate) fn set(flags: &[&str], rules: impl FnOnce(&Holdback)) -> Self {
        let cluster = TestCluster::start();
        let network = Holdback::before(cluster.rest());
        rules(&network);
        let membership = TestMembership::start();
        let invocation = Invocation::agent(&membership.address(), &network.kubeconfig());
        let own = [["--shards", "2"], ["--kube-request-timeout", "5s"]];
        let own = own.into_iter().filter(|[flag, _]| !flags.contains(flag));
        let agent = invocation.args(own.flatten()).args(flags).start();
        let joined = membership.joined(WITHIN);
        Self { cluster, network, agent, joined, _membership: membership }
    }

    /// A stack with a ledger is made.
    #[track_caller]
    pub(crate) fn serves(&mut self, name: &str) {
        self.joined.order(stack(name).modules(&["ledger"]).order());
        let (cluster, key) = (&self.cluster, format!("ledgers/{name}"));
        while_it_lives(&mut self.agent, &key, WITHIN, || cluster.objects().contains_key(&key).then_some(()));
    }

    /// For this long Pongs come without a gap; says what the longest was.
    #[track_caller]
    pub(crate) fn keeps_answering(&mut self, time: Duration) -> Duration {
        let (begun, mut longest) = (now(), Duration::ZERO);
        while begun.elapsed() < time {
            longest = longest.max(self.joined.ping(WITHIN));
            thread::sleep(Duration::from_millis(100));
        }
        self.agent.lives();
        assert!(longest < PONG_GAP, "no Pong for {longest:?}");
        longest
    }

    /// What it costs beyond `before`.
    #[track_caller]
    pub(crate) fn costs_little(&self, before: u64, longest: Duration) {
        let more = self.agent.peak_memory().saturating_sub(before);
        println!("{} KiB more than {} KiB, longest Pong gap {longest:?}", more >> 10, before >> 10);
        assert!(more < MORE, "{} KiB more than {} KiB", more >> 10, before >> 10);
    }
}

pub(crate) fn head(to: &mut dyn Write, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
    write!(to, "HTTP/1.1 {status} as-told\r\nconnection: close\r\n")?;
    for (name, value) in headers {
        write!(to, "{name}: {value}\r\n")?;
    }
    to.write_all(b"\r\n")
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// So many bytes of the same, in gzip between what comes before and after.
pub(crate) fn bomb(before: &str, byte: u8, megabytes: usize, after: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(before.as_bytes()).expect("memory");
    let megabyte = vec![byte; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&megabyte).expect("memory");
    }
    encoder.write_all(after.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}
