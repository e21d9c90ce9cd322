//! A server process that never outlives the test process.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The server runs under a shell whose stdin is a pipe that we hold. However we end, the kernel
/// closes it, and the shell's watcher kills the server (with -9, which shows as 137) and removes
/// its files. A server that ends by itself ends the shell.
const SCRIPT: &str = r#"
exec 3<&0
files=$1
shift
"$@" </dev/null 3<&- &
server=$!
(while read -r _ <&3; do :; done; kill -9 $server) 2>/dev/null &
watcher=$!
wait $server
status=$?
kill $watcher 2>/dev/null
[ $status = 137 ] && [ -n "$files" ] && rm -rf "$files"
exit $status
"#;

/// A running server.
pub struct Guarded {
    shell: Child,
    log: PathBuf,
}

impl Guarded {
    /// Starts a program; both of its outputs go to the file `log`. When it was killed, the folder
    /// `files` is removed (an empty path: nothing is).
    pub fn start(program: &Path, arguments: &[impl AsRef<OsStr>], log: PathBuf, files: &Path) -> Self {
        let out = File::create(&log).expect("log file");
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guarded"])
            .arg(files)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(out.try_clone().expect("log file"))
            .stdout(out)
            .spawn()
            .expect("/bin/sh");
        Self { shell, log }
    }

    /// The server has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.shell.try_wait().expect("our own child").is_some()
    }

    /// The end of what it said, for a failure's message.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Kills the server and waits until it is gone.
    pub fn stop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop();
    }
}
