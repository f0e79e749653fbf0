//! How much memory this process may still take: of the machine, of its container, and under its own limits.

use std::path::{Component, Path, PathBuf};

/// Bytes of memory that this process may still take, where the system tells: the least of what the machine has
/// free, what its control groups leave (containers, `systemd-run -p MemoryMax`), and what is left of its limit
/// on address space (`ulimit -v`).
pub(crate) fn free() -> Option<u64> {
    free_under(Path::new("/"))
}

fn free_under(root: &Path) -> Option<u64> {
    [machine(root), groups(root), address_space(root)]
        .into_iter()
        .flatten()
        .min()
}

fn read(root: &Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join(path)).ok()
}

/// The number behind `key`, in KiB as /proc has it, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    let count: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    count.checked_mul(1024)
}

fn machine(root: &Path) -> Option<u64> {
    kibibytes(&read(root, "proc/meminfo")?, "MemAvailable:")
}

fn address_space(root: &Path) -> Option<u64> {
    let limits = read(root, "proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    // "unlimited" is no number.
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let taken = kibibytes(&read(root, "proc/self/status")?, "VmSize:")?;
    Some(limit.saturating_sub(taken))
}

/// The least that any control group around this process leaves.
fn groups(root: &Path) -> Option<u64> {
    let own = read(root, "proc/self/cgroup")?;
    own.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let files = if controllers.is_empty() {
                [
                    "sys/fs/cgroup",
                    "memory.max",
                    "memory.current",
                    "inactive_file",
                ]
            } else if controllers.split(',').any(|name| name == "memory") {
                [
                    "sys/fs/cgroup/memory",
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file",
                ]
            } else {
                return None;
            };
            Some((path, files))
        })
        .flat_map(|(path, [mount, limit, usage, cached])| {
            // A container sees its own group as the mount's root, whatever its path is called outside.
            let plain = Path::new(path).components();
            let inner: PathBuf = plain
                .filter(|part| matches!(part, Component::Normal(_)))
                .collect();
            let places: Vec<_> = inner.ancestors().map(Path::to_owned).collect();
            places.into_iter().filter_map(move |place| {
                let folder = root.join(mount).join(place);
                let number = |name: &str| -> Option<u64> {
                    let text = std::fs::read_to_string(folder.join(name)).ok()?;
                    text.trim().parse().ok()
                };
                let (limit, usage) = (number(limit)?, number(usage)?);
                // Pages of files that the system gives up when memory is short.
                let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let spare = stat.lines().find_map(|line| {
                    let (name, count) = line.split_once(' ')?;
                    count.trim().parse::<u64>().ok().filter(|_| name == cached)
                });
                Some(limit.saturating_sub(usage.saturating_sub(spare.unwrap_or(0))))
            })
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let place = root.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    #[test]
    fn the_least_of_all_limits_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(free_under(root), None);
        write(
            root,
            "proc/meminfo",
            "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n",
        );
        assert_eq!(free_under(root), Some(8_192_000));

        let limits = |limit: &str| {
            let text = format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax address space  {limit}  unlimited  bytes\n"
            );
            write(root, "proc/self/limits", &text);
        };
        write(
            root,
            "proc/self/status",
            "VmPeak: 99 kB\nVmSize:     1000 kB\n",
        );
        limits("unlimited");
        assert_eq!(free_under(root), Some(8_192_000));
        limits("5024000");
        assert_eq!(free_under(root), Some(4_000_000));

        // Version 2: the inner group has no limit, the one around it has.
        write(root, "proc/self/cgroup", "0::/work/job\n");
        write(root, "sys/fs/cgroup/work/job/memory.max", "max\n");
        write(root, "sys/fs/cgroup/work/job/memory.current", "5\n");
        assert_eq!(free_under(root), Some(4_000_000));
        write(root, "sys/fs/cgroup/work/memory.max", "3000000\n");
        write(root, "sys/fs/cgroup/work/memory.current", "1500000\n");
        assert_eq!(free_under(root), Some(1_500_000));
        write(
            root,
            "sys/fs/cgroup/work/memory.stat",
            "anon 7\ninactive_file 400000\n",
        );
        assert_eq!(free_under(root), Some(1_900_000));

        // Version 1, in a container that calls its group otherwise.
        write(
            root,
            "proc/self/cgroup",
            "5:cpu,cpuacct:/\n4:memory:/docker/3f\n0::/\n",
        );
        write(
            root,
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "700000\n",
        );
        write(
            root,
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
            "800000\n",
        );
        assert_eq!(free_under(root), Some(0));
    }

    #[test]
    fn this_machine_tells() {
        if cfg!(target_os = "linux") {
            assert!(free().is_some());
        }
    }
}
