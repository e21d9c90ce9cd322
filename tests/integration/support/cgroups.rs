//! Control groups with limits on CPU and memory, of version 1 or 2.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::eventually;

const ROOT: &str = "/sys/fs/cgroup";
const PERIOD_MICROS: u32 = 100_000;

/// A group; it is removed when dropped, for which its processes must have ended.
pub struct Cgroup {
    /// One folder per hierarchy.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// A group that gets `cpus` of a CPU and so many bytes of memory.
    pub fn new(name: &str, cpus: f64, memory: u64) -> Result<Self, String> {
        let name = format!("{name}-{}", std::process::id());
        let quota = (f64::from(PERIOD_MICROS) * cpus).round();
        let root = Path::new(ROOT);
        let two = root.join("cgroup.controllers");
        let (folders, limits) = if two.exists() {
            // Whoever may not hand controllers down finds that out at the limits below.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu +memory");
            let folder = root.join(name);
            let limits = vec![
                (folder.join("cpu.max"), format!("{quota} {PERIOD_MICROS}")),
                (folder.join("memory.max"), memory.to_string()),
            ];
            (vec![folder], limits)
        } else {
            let (cpu, bytes) = (root.join("cpu").join(&name), root.join("memory").join(&name));
            let limits = vec![
                (cpu.join("cpu.cfs_period_us"), PERIOD_MICROS.to_string()),
                (cpu.join("cpu.cfs_quota_us"), quota.to_string()),
                (bytes.join("memory.limit_in_bytes"), memory.to_string()),
            ];
            (vec![cpu, bytes], limits)
        };
        let mut cgroup = Self { folders: Vec::new() };
        for folder in folders {
            fs::create_dir(&folder).map_err(|fault| told(&folder, &fault))?;
            cgroup.folders.push(folder);
        }
        for (file, limit) in limits {
            fs::write(&file, limit).map_err(|fault| told(&file, &fault))?;
        }
        Ok(cgroup)
    }

    /// Shell commands by which a process enters it.
    pub fn enter(&self) -> String {
        let enter = |folder: &PathBuf| format!("echo $$ > '{}/cgroup.procs' || exit 99", folder.display());
        self.folders.iter().map(enter).collect::<Vec<_>>().join("\n")
    }

    /// In how many periods it had used up its CPU time.
    pub fn throttled(&self) -> u64 {
        let text = fs::read_to_string(self.folders[0].join("cpu.stat")).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Processes leave it when they are reaped, which takes the kernel a moment.
            if !std::thread::panicking() {
                let what = format!("removing {}", folder.display());
                eventually(&what, Duration::from_secs(5), || fs::remove_dir(folder).ok());
            } else {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

fn told(path: &Path, fault: &io::Error) -> String {
    format!("{}: {fault}", path.display())
}
