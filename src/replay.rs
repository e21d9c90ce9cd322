//! `stackherd replay FILE|-`: orders from JSON Lines, applied to the cluster.

pub mod lines;
mod printer;

use std::{
    pin::pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{Either, select},
};
use tracing::{error, info};

use crate::{
    agent::{self, Agent, Counters, OrderSource, RunError, Setup, SourceHandle},
    cluster::ClusterConfig,
    config::{ReplayConfig, ReplayInput},
    membership::{
        report_channel::{ReportChannel, ReportScope},
        wire,
    },
    net, output,
    stack::desired::StackBaseUrl,
    time,
};
use printer::{PrintProgress, Printer};

/// Replays a file; the exit code is that of the process: 1 where a line is no order, or an
/// order could not be applied as it stands, or a report not be printed.
pub fn run(config: &ReplayConfig) -> ExitCode {
    for note in &config.notes {
        info!("{note}");
    }
    let began = time::now();
    let (bad_lines, progress) = (Arc::<AtomicU64>::default(), Arc::<PrintProgress>::default());
    let agent = match start(
        config,
        source(config.input.clone(), config.max_message_bytes, Arc::clone(&bad_lines), Arc::clone(&progress)),
    ) {
        Ok(agent) => agent,
        Err(failure) => {
            error!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let counters = agent.counters();
    let whole = agent.run_until_stopped();
    let bad_lines = bad_lines.load(Relaxed);
    output::complain(summary(&counters, bad_lines, time::now().duration_since(began)));
    let spoiled = bad_lines + counters.failed.get() + counters.faulty.get() + counters.pending();
    if whole && spoiled == 0 && !progress.failed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(config: &ReplayConfig, source: OrderSource) -> Result<Agent, RunError> {
    let setup = Setup {
        engine: config.engine,
        cluster: ClusterConfig::load(config.cluster.kube_config.as_deref())?,
        limits: agent::limits(&config.cluster),
        max_list_items: config.cluster.max_list_items,
        base_url: StackBaseUrl::from(&config.base_url),
        grace_period: config.grace_period,
        resync_period: None,
        report_qps: 0.0,
        says_all: true,
        source,
    };
    Ok(Agent::start(setup)?)
}

fn summary(counters: &Counters, bad_lines: u64, elapsed: Duration) -> String {
    let mut parts = vec![
        format!("{} orders", counters.accepted.get()),
        format!("{} applied", counters.applied.get()),
        format!("{} superseded", counters.superseded.get()),
    ];
    let mut add = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    add(counters.failed.get(), "refused");
    add(counters.faulty.get(), "applied in part");
    add(counters.pending(), "not finished");
    add(bad_lines, if bad_lines == 1 { "line that is no order" } else { "lines that are no order" });
    let (requests, writes) = (counters.requests.get(), counters.writes.get());
    format!("{}; {requests} API requests, {writes} of them writes; {elapsed:.1?}", parts.join(", "))
}

/// How long nothing may happen to the last reports, before they are given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Orders out of `input`. Lines that are no order are told on stderr and counted; how far the reports
/// are is in `progress`.
fn source(
    input: ReplayInput,
    longest: usize,
    bad_lines: Arc<AtomicU64>,
    progress: Arc<PrintProgress>,
) -> OrderSource {
    Arc::new(move |agent| {
        let (bad_lines, progress) = (Arc::clone(&bad_lines), Arc::clone(&progress));
        feed(input.clone(), longest, agent, bad_lines, progress).boxed_local()
    })
}

async fn feed(
    input: ReplayInput,
    longest: usize,
    agent: SourceHandle,
    bad_lines: Arc<AtomicU64>,
    progress: Arc<PrintProgress>,
) {
    let reports = agent.reports();
    // What stood before is not told: the file's orders are what this is about.
    reports.open(ReportScope::Changes);
    let printer = Printer::start(Arc::clone(&progress), |line| output::print(line));
    let printing = print_all(&reports, printer);
    let feeding = async {
        // Who types orders may take for ever over the next line.
        select(pin!(submit_all(input, longest, &agent, &bad_lines)), pin!(agent.stop().wait())).await;
        agent.settled().await;
        select(pin!(reported(&agent, &reports, &progress)), pin!(agent.stop().wait())).await;
        agent.stop().request();
        agent.drained().await;
        last_reports(&reports, &progress).await;
    };
    select(pin!(feeding), pin!(printing)).await;
}

async fn submit_all(input: ReplayInput, longest: usize, agent: &SourceHandle, bad_lines: &AtomicU64) {
    let mut lines = lines::read(input, longest);
    while let Some(line) = lines.next().await {
        if agent.stop().requested() {
            break;
        }
        match line {
            Ok(line) => match lines::order(&line.text, &|name| agent.is_module(name)) {
                Ok((order, trace)) => agent.submit(order, trace).await,
                Err(error) => {
                    bad_lines.fetch_add(1, Relaxed);
                    output::complain(format_args!("line {}: {error}", line.number));
                }
            },
            Err(error) => {
                bad_lines.fetch_add(1, Relaxed);
                output::complain(error);
            }
        }
    }
}

/// Waits for the reports of all orders, as long as somebody may still read them: what never comes to
/// an end must not keep a file from coming to its own.
async fn reported(agent: &SourceHandle, reports: &ReportChannel, progress: &PrintProgress) {
    let mut flushed = pin!(agent.flushed());
    while let Either::Right(_) = select(flushed.as_mut(), pin!(net::sleep(PATIENCE))).await {
        if unread(reports, progress) == 0 {
            return;
        }
    }
    progress.until(|| unread(reports, progress) == 0).await;
}

/// Waits until all are printed, or until none was for so long.
async fn last_reports(reports: &ReportChannel, progress: &PrintProgress) {
    loop {
        let printed = progress.printed();
        let done = progress.until(|| unread(reports, progress) == 0);
        if let Either::Left(_) = select(pin!(done), pin!(net::sleep(PATIENCE))).await {
            return;
        }
        if progress.printed() == printed {
            let left = unread(reports, progress);
            return progress.fail(format_args!("nobody reads standard output, {left} are left"));
        }
    }
}

/// Reports that wait for the reader.
fn unread(reports: &ReportChannel, progress: &PrintProgress) -> u64 {
    progress.waiting() + reports.waiting() as u64
}

async fn print_all(reports: &ReportChannel, mut printer: Printer) {
    loop {
        reports.not_empty().await;
        let Some(report) = reports.take() else { continue };
        match serde_json::to_string(&wire::message(&report)) {
            Ok(line) => printer.print(line + "\n").await,
            Err(error) => output::complain(format_args!("a report could not be written as JSON: {error}")),
        }
    }
}
