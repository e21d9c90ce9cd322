//! Runs of tests with everything in place, which must pass, and without a safeguard, which must fail.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{LIST, Safeguard};
use crate::step;

/// No test takes nearly as long, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(600);

/// A test that must fail without a safeguard, by its full name, and what it says then.
struct RedRun<'a> {
    safeguard: &'a Safeguard,
    test: String,
    says: &'static str,
}

/// The tests of some safeguards, in a build that can do without each of them.
pub(super) struct RedRuns<'a> {
    binary: &'a Path,
    copy: &'a Path,
    red_runs: Vec<RedRun<'a>>,
}

impl<'a> RedRuns<'a> {
    pub(super) fn new(binary: &'a Path, copy: &'a Path, chosen: &[&'a Safeguard]) -> Result<Self, String> {
        let mut all = Self { binary, copy, red_runs: Vec::new() };
        let listed = step::output(all.command().arg("--list"))?;
        for safeguard in chosen {
            for (test, says) in safeguard.tests {
                let Some(test) = full_name(&listed, test) else {
                    let name = safeguard.name;
                    return Err(format!(
                        "safeguard {name}: the lib has no test {test}: say in {LIST} what it is called now"
                    ));
                };
                all.red_runs.push(RedRun { safeguard, test: test.to_owned(), says });
            }
        }
        Ok(all)
    }

    /// As long as nothing is out. Otherwise the failures to come would show nothing.
    pub(super) fn pass_with_all(&self) -> Result<(), String> {
        let mut tests: Vec<_> = self.red_runs.iter().map(|red_run| &red_run.test).collect();
        tests.sort_unstable();
        tests.dedup();
        step::run("safeguards: all in place", self.command().arg("--exact").args(tests))
    }

    /// Says which did not fail as they should.
    pub(super) fn fail_without_theirs(&self) -> Vec<String> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut surprises = Vec::new();
            while let Some(red_run) = self.red_runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let RedRun { safeguard: Safeguard { name, file, .. }, test, .. } = red_run;
                match self.fails(red_run) {
                    Ok(reason) => eprintln!("without {name} fails {test}\n    {reason}"),
                    Err(surprise) => surprises.push(format!("without {name} ({file}) {test} {surprise}")),
                }
            }
            surprises
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
        })
    }

    /// How it failed, or what it did instead.
    fn fails(&self, RedRun { safeguard, test, says }: &RedRun<'_>) -> Result<String, String> {
        let (code, output) =
            run(self.command().args(["--exact", test]).env("STACKHERD_WITHOUT", safeguard.name))?;
        if code == Some(0) {
            return Err(format!(
                "passes as well: either it no longer shows what the safeguard is for, or its replacement in \
                 {LIST} takes nothing out"
            ));
        }
        if !output.contains("test result: FAILED. 0 passed; 1 failed") {
            return Err(format!("ends otherwise than by failing ({code:?}):\n{output}"));
        }
        let reason = reason(&output);
        if reason.contains(says) {
            Ok(reason.lines().next().unwrap_or_default().to_owned())
        } else {
            Err(format!("fails, but does not say {says:?}, as {LIST} has it: {reason}"))
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.binary);
        command.current_dir(self.copy).env_remove("STACKHERD_WITHOUT");
        command
    }
}

/// What the test's panic says: the last one, since some tests are about panics.
fn reason(output: &str) -> &str {
    let after = output.rsplit_once(" panicked at ").and_then(|(_, rest)| rest.split_once('\n'));
    let said = after.map_or(output, |(_, said)| said);
    said.split_once("\nnote: run with").map_or(said, |(said, _)| said)
}

/// Runs to the end; gives the code and what was written to stdout.
fn run(command: &mut Command) -> Result<(Option<i32>, String), String> {
    let start = step::now();
    let fault = |fault: std::io::Error| format!("cannot be run: {fault}");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(fault)?;
    let mut stdout = child.stdout.take().ok_or("has no output")?;
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        let _ = stdout.read_to_end(&mut output);
        String::from_utf8_lossy(&output).into_owned()
    });
    loop {
        if let Some(status) = child.try_wait().map_err(fault)? {
            return Ok((status.code(), reader.join().unwrap_or_default()));
        }
        if start.elapsed() > LONGEST {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(format!("does not end within {} s", LONGEST.as_secs()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The test whose name ends like this, if there is just one.
fn full_name<'a>(listed: &'a str, test: &str) -> Option<&'a str> {
    let mut found = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .filter(|name| name.rsplit("::").next() == Some(test));
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_the_last_part_of_its_name() {
        let listed = "a::one: test\na::b::one_more: test\nc::two: test\nd::two: test\n";
        assert_eq!(full_name(listed, "one"), Some("a::one"));
        assert_eq!(full_name(listed, "two"), None, "which of them?");
        assert_eq!(full_name(listed, "more"), None);
    }

    #[test]
    fn the_reason_is_what_the_panic_says() {
        let output =
            "---- x stdout ----\n\nthread 'x' (1) panicked at a.rs:1:1:\nrow 1: wrong\nnote: run with `R`";
        assert_eq!(reason(output), "row 1: wrong");
    }
}
