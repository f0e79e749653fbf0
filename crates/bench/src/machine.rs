//! The machine that measures: its threads, and whether others use it.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Busy and all time of all cores since the start, in ticks.
fn ticks() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let numbers: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all: u64 = numbers.iter().take(8).sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}

/// # Errors
/// If other programs use more than 8 % of the machine during a second. Where that cannot be seen (not on
/// Linux), nothing is checked.
pub(crate) fn check_idle() -> Result<()> {
    let begin = Instant::now();
    let mut share = 0.0;
    while begin.elapsed() < Duration::from_secs(8) {
        let Some(before) = ticks() else { return Ok(()) };
        std::thread::sleep(Duration::from_secs(1));
        let Some(after) = ticks() else { return Ok(()) };
        share = (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64;
        if share < 0.08 {
            return Ok(());
        }
    }
    bail!(
        "other programs use {:.0} % of this machine: times taken beside them mean nothing (PyTorch's threads \
         spin and lose most). Stop them, or measure all the same with --busy",
        share * 100.0
    )
}

/// Waits until PyTorch's threads have stopped spinning for more work, which they do for some milliseconds
/// after their turn, on the cores that we are about to use. Then calls `run` uncounted until our own
/// threads are awake, each on its core, and the caches are ours: PyTorch's side does the same.
pub(crate) fn settle(run: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    std::thread::sleep(Duration::from_millis(15));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(20) {
        run()?;
    }
    Ok(())
}

/// The time of one call, in seconds.
pub(crate) fn time(work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}
