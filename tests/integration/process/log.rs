//! The log is best effort: nothing waits for it, nothing fails for it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};

use crate::{
    process::{ProcessScene, WITHIN},
    support::now,
};

/// What the issue asks for.
const RUNS: usize = 20;
/// Enough lines for any pipe and disk.
const EVERYTHING: (&str, &str) = ("RUST_LOG", "trace");

fn pipe(flags: PipeFlags) -> (OwnedFd, OwnedFd) {
    pipe_with(flags | PipeFlags::CLOEXEC).unwrap()
}

/// A pipe that has no room any more.
fn full_pipe(flags: PipeFlags) -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe(flags);
    let size = fcntl_getpipe_size(&writer).unwrap();
    let mut writer = File::from(writer);
    writer.write_all(&vec![b'.'; size]).unwrap();
    (reader, writer.into())
}

#[test]
fn a_reader_that_goes_away_costs_lines_and_nothing_else() {
    for run in 0..RUNS {
        let (reader, writer) = pipe(PipeFlags::empty());
        let mut scene = ProcessScene::start(|agent| agent.env(EVERYTHING.0, EVERYTHING.1).stderr(writer));
        let mut reader = File::from(reader);
        let mut some = [0; 4096];
        assert!(reader.read(&mut some).unwrap() > 0, "run {run}");
        // At another moment in each run.
        thread::sleep(Duration::from_millis(run as u64));
        drop(reader);
        scene.goes_on();
        scene.ends_well();
    }
}

#[test]
fn a_disk_that_fills_up_costs_lines_and_nothing_else() {
    for run in 0..RUNS {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        // The size that a file may have stands for a disk's: another error by which a write fails in
        // its middle. In blocks of 512 bytes.
        let blocks = 8 + run;
        let limited = format!("ulimit -f {blocks} && exec 2>'{}'", log.display());
        let mut scene = ProcessScene::start(|agent| agent.env(EVERYTHING.0, EVERYTHING.1).after(&limited));
        scene.goes_on();
        assert_eq!(fs::metadata(&log).unwrap().len(), 512 * blocks as u64, "run {run}: it is full");
        scene.ends_well();
    }
}

#[test]
fn a_disk_that_is_full_from_the_start_costs_lines_and_nothing_else() {
    let mut scene =
        ProcessScene::start(|agent| agent.env(EVERYTHING.0, EVERYTHING.1).after("exec 2>/dev/full"));
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn a_pipe_that_is_closed_from_the_start_costs_lines_and_nothing_else() {
    let (reader, writer) = pipe(PipeFlags::empty());
    drop(reader);
    let mut scene = ProcessScene::start(|agent| agent.stderr(writer));
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn no_outputs_at_all_cost_lines_and_nothing_else() {
    let mut scene = ProcessScene::start(|agent| agent.after("exec 2>&- >&-"));
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn a_full_pipe_that_does_not_block_costs_lines_and_nothing_else() {
    let (_reader, writer) = full_pipe(PipeFlags::NONBLOCK);
    let mut scene = ProcessScene::start(|agent| agent.stderr(writer));
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nothing() {
    let (_reader, writer) = full_pipe(PipeFlags::empty());
    let mut scene = ProcessScene::start(|agent| agent.env(EVERYTHING.0, EVERYTHING.1).stderr(writer));
    for _ in 0..5 {
        scene.goes_on();
    }
    let start = now();
    scene.ends_well();
    assert!(start.elapsed() < Duration::from_secs(10), "its end waits for a second at most");
}

#[test]
fn what_was_lost_is_said_as_soon_as_somebody_reads() {
    let (reader, writer) = full_pipe(PipeFlags::empty());
    let mut scene = ProcessScene::start(|agent| agent.env(EVERYTHING.0, EVERYTHING.1).stderr(writer));
    // Each is several lines of h2's, and no more than so many wait.
    for _ in 0..4_000 {
        scene.joined.ping(WITHIN);
    }
    let (said, heard) = std::sync::mpsc::channel();
    let reading = thread::spawn(move || {
        for line in BufReader::new(File::from(reader)).split(b'\n') {
            let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
            if line.contains("lines of the log were lost") {
                let _ = said.send(line);
            }
        }
    });
    let line = heard.recv_timeout(WITHIN).unwrap();
    assert!(line.chars().any(|c| c.is_ascii_digit()), "{line}");
    scene.goes_on();
    scene.ends_well();
    reading.join().unwrap();
}
