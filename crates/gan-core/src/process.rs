//! Other processes, whose unfinished files lie beside ours.

use std::path::Path;

/// Whether a process of this number may be running: known only on Linux, and only where /proc is mounted;
/// "yes" elsewhere, so that nobody's files are taken away.
pub(crate) fn may_be_alive(process: u32) -> bool {
    let tells = cfg!(target_os = "linux") && Path::new("/proc/self").exists();
    !tells || Path::new("/proc").join(process.to_string()).exists()
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
}
