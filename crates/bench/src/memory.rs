//! The peak memory of a process that trains, with all that it loads: one of its own on each side.

use crate::Options;
use crate::networks::{SUBJECTS, Subject};
use crate::peer::Peer;
use crate::table;
use anyhow::{Context, Result};
use serde_json::json;
use std::process::Command;

/// Steps after which a process has grown to its full size.
const STEPS: u32 = 4;

fn status(field: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Prints the KiB that this process holds at most while it takes some steps of the row called `name`.
pub(crate) fn report(name: &str) -> Result<()> {
    let subject = SUBJECTS
        .iter()
        .find(|subject| subject.name == name)
        .context("no such row")?;
    let mut ready = subject.ready()?;
    for _ in 0..STEPS {
        (ready.run)()?;
    }
    let peak = status("VmHWM").unwrap_or(f64::NAN);
    table::say(&format!("{peak}"));
    Ok(())
}

/// MiB of our side of a row at its peak, where the system tells.
pub(crate) fn ours(name: &str, threads: usize) -> Result<Option<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["memory", name, "--threads", &threads.to_string()])
        .output()?;
    let kib: Option<f64> = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    Ok(kib.filter(|kib| kib.is_finite()).map(|kib| kib / 1024.0))
}

/// MiB of PyTorch's side of a row at its peak, in the smaller of its layouts.
pub(crate) fn torch(subject: &Subject, options: &Options, threads: usize) -> Result<Option<f64>> {
    let ready = subject.ready()?;
    let mut least: Option<f64> = None;
    for layout in 0..2 {
        let Some(mut peer) = Peer::start(&options.python, threads)? else {
            return Ok(None);
        };
        let mut request = ready.request.clone();
        request["layout"] = json!(layout);
        peer.ask(&request)?;
        if peer.times(STEPS)?.is_empty() {
            // No such layout: this process built no network.
            continue;
        }
        let peak = peer.ask(&json!({"do": "peak"}))?["bytes"].as_f64();
        if let Some(peak) = peak {
            let mib = peak / 1024.0 / 1024.0;
            least = Some(least.map_or(mib, |least| least.min(mib)));
        }
    }
    Ok(least)
}
