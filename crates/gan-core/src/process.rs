//! Other processes, whose unfinished files lie beside ours.

use std::path::Path;

/// Whether a process of this number may be running: known only on Linux, and only where /proc is mounted;
/// "yes" elsewhere, so that nobody's files are taken away.
pub(crate) fn may_be_alive(process: u32) -> bool {
    let tells = cfg!(target_os = "linux") && Path::new("/proc/self").exists();
    if !tells {
        return true;
    }
    let folder = Path::new("/proc").join(process.to_string());
    match std::fs::read_to_string(folder.join("stat")) {
        Ok(stat) => !has_ended(&stat),
        Err(_) => folder.exists(),
    }
}

/// Whether the line of /proc/PID/stat is of a zombie: a process that has ended, and whose parent did not ask how.
fn has_ended(stat: &str) -> bool {
    // The state follows the program's name, which may hold anything but is the last thing in brackets.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    matches!(state, Some('Z' | 'X' | 'x'))
}

/// The process whose unfinished file `name` is: those end in `.tmp-` and its number.
pub(crate) fn owner(name: &str) -> Option<u32> {
    let (_, digits) = name.rsplit_once(".tmp-")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_impossible_one_does_not() {
        assert!(may_be_alive(std::process::id()));
        // Linux gives no numbers beyond 2^22.
        assert_eq!(may_be_alive(u32::MAX), !cfg!(target_os = "linux"));
    }

    #[test]
    fn a_zombie_does_not_live() {
        assert!(has_ended("7 (a) R) x) Z 1 7 7 0 -1"));
        assert!(!has_ended("7 (Z) S 1 7 7 0 -1"));
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let began = std::time::Instant::now();
        // Nobody has asked how it ended, so its number stays taken.
        while may_be_alive(child.id()) {
            assert!(began.elapsed().as_secs() < 30, "it has long ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.wait().unwrap();
    }

    #[test]
    fn only_names_with_a_number_have_an_owner() {
        assert_eq!(owner(".step_00000007.tmp-123"), Some(123));
        for name in [
            "x.tmp-",
            "x.tmp-12a",
            "x.tmp-+5",
            "my.tmp-folder",
            "tmp-5",
            "x.tmp-99999999999",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
