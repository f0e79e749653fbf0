//! What must hold for every architecture, as functions that each architecture's tests call.
//!
//! They panic with a description when the promise is broken, as tests do.

use crate::stage::{At, Stage, collect_parts};
use crate::weights::Tensors;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The tensors of every part of a stage, by `<part><suffix>`.
pub fn snapshot<S: Stage>(stage: &mut S) -> BTreeMap<String, Tensors> {
    let parts = collect_parts(stage).expect("collecting the parts");
    parts
        .into_iter()
        .flat_map(|(part, files)| {
            files
                .into_iter()
                .map(move |file| (format!("{part}{}", file.suffix), file.tensors))
        })
        .collect()
}

/// The names in `before` whose tensors differ in `after`.
pub fn moved(before: &BTreeMap<String, Tensors>, after: &BTreeMap<String, Tensors>) -> Vec<String> {
    before
        .iter()
        .filter(|(name, tensors)| after.get(*name) != Some(tensors))
        .map(|(name, _)| (*name).clone())
        .collect()
}

/// Losses stay finite over `steps`; every learner moves; a second stage that takes over the first
/// one's checkpoint continues bit for bit; equal seeds give equal tensors.
///
/// `make` builds a fresh stage, `batch` the batch of a step.
pub fn holds<S: Stage>(
    mut make: impl FnMut() -> S,
    mut batch: impl FnMut(u64) -> S::Batch,
    steps: u64,
) {
    let at = |step| At::new(7, step, steps);
    let mut straight = make();
    let start = snapshot(&mut straight);
    assert_eq!(start, snapshot(&mut make()), "equal seeds start equal");
    for step in 0..steps {
        let scalars = straight.step(batch(step), &at(step)).expect("a step");
        for (name, value) in scalars.read() {
            assert!(value.is_finite(), "{name} is {value} at step {step}");
        }
    }
    let end = snapshot(&mut straight);
    let weights = start.keys().filter(|name| !name.ends_with("_optimizer"));
    for name in weights {
        assert_ne!(
            start[name], end[name],
            "{name} did not move in {steps} steps"
        );
    }

    // Half of the steps in one stage, the rest in another that only got the checkpoint.
    let mut first = make();
    for step in 0..steps / 2 {
        first.step(batch(step), &at(step)).expect("a step");
    }
    let saved = collect_parts(&mut first).expect("collecting the parts");
    let mut second = make();
    second
        .parts(&mut |name, part| {
            let (_, files) = saved
                .iter()
                .find(|(saved, _)| saved == name)
                .expect("the same parts");
            part.restore(&mut |suffix| {
                let file = files
                    .iter()
                    .find(|file| file.suffix == suffix)
                    .expect("the same files");
                Ok(crate::weights::WeightFile {
                    tensors: file.tensors.clone(),
                    metadata: file.metadata.clone(),
                })
            })
        })
        .expect("restoring");
    for step in steps / 2..steps {
        second.step(batch(step), &at(step)).expect("a step");
    }
    assert_eq!(
        moved(&end, &snapshot(&mut second)),
        [""; 0],
        "a resumed stage is the same run"
    );
}

/// Every device that is compiled in and works gives what the CPU gives: the first generator's samples, the losses
/// of one training step and the gradients in it (as Adam's first moments keep them), each within 1e-3 of
/// its largest value. Returns a line for each device.
///
/// `make` builds a fresh stage on a device, `forward` the samples of a generator with the given weights.
pub fn devices_agree<S: Stage>(
    make: impl Fn(&Device) -> S,
    batch: impl Fn() -> S::Batch,
    forward: impl Fn(&Device, &Tensors) -> Vec<f32>,
) -> Vec<String> {
    let measure = |device: &Device| {
        let mut stage = make(device);
        let start = snapshot(&mut stage);
        let mut parts = start.iter();
        let (_, generator) = parts
            .find(|(name, _)| name.starts_with("generator") && !name.ends_with("_optimizer"))
            .expect("a generator");
        let mut values = BTreeMap::from([("samples".to_owned(), forward(device, generator))]);
        let scalars = stage.step(batch(), &At::new(7, 0, 1)).expect("a step");
        let losses = scalars.read();
        let losses = losses.iter().map(|(_, value)| *value as f32).collect();
        values.insert("losses".to_owned(), losses);
        for (part, tensors) in snapshot(&mut stage) {
            for (name, tensor) in tensors {
                if part.ends_with("_optimizer") && name.ends_with(".exp_avg") {
                    values.insert(format!("{part} {name}"), tensor.values);
                }
            }
        }
        values
    };
    let reference = measure(&Device::flex());
    assert!(reference.len() > 3, "no moments in {:?}", reference.keys());
    let mut lines = Vec::new();
    for name in crate::device::names() {
        if ["auto", "cpu"].contains(&name) {
            continue;
        }
        let device = match crate::device::parse(name) {
            Ok(device) => device,
            Err(why) => {
                lines.push(format!("{name}: not here ({why})"));
                continue;
            }
        };
        let mut furthest = (0.0_f32, "");
        let found = measure(&device);
        for (what, ours) in &reference {
            let largest = ours
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            for (a, b) in ours.iter().zip(&found[what]) {
                let away = (a - b).abs() / largest.max(1e-12);
                // No comparison holds for a value that is no number.
                if away > furthest.0 || away.is_nan() {
                    furthest = (away, what);
                }
            }
        }
        assert!(
            furthest.0 <= 1e-3,
            "{name}: {} differs by {:.1e} of its largest value",
            furthest.1,
            furthest.0
        );
        lines.push(format!("{name}: {:.1e} ({})", furthest.0, furthest.1));
    }
    lines
}

/// Runs `binary` with `arguments` and returns (exit code, standard output, standard error).
pub fn call(binary: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    call_with(binary, arguments, &[])
}

/// As [`call`], with environment variables.
pub fn call_with(
    binary: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let output = Command::new(binary)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("starting the binary");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Runs `binary` and insists on exit code 0; returns both outputs joined.
pub fn succeed(binary: &str, arguments: &[&str]) -> String {
    let (code, out, error) = call(binary, arguments);
    assert_eq!(code, Some(0), "{arguments:?}\n{out}\n{error}");
    out + &error
}

/// Runs `binary`, insists on an exit code and that nothing panicked, and returns the standard error.
pub fn fail(binary: &str, arguments: &[&str], expected: i32) -> String {
    let (code, out, error) = call(binary, arguments);
    assert_eq!(code, Some(expected), "{arguments:?}\n{out}\n{error}");
    assert!(!error.contains("panicked"), "{arguments:?}\n{error}");
    error
}

/// The files of the newest step folder of a run's stage, by name.
pub fn newest_files(run: &Path, stage: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = run.join("checkpoints").join(stage);
    let (_, newest) = crate::checkpoint::steps(&folder)
        .expect("listing the checkpoints")
        .pop()
        .unwrap_or_else(|| panic!("{} holds no checkpoint", folder.display()));
    std::fs::read_dir(newest)
        .expect("listing the checkpoint")
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("reading a file"))
        })
        .collect()
}

fn assert_equal_files(a: &Path, b: &Path, stage: &str, what: &str) {
    let (a, b) = (newest_files(a, stage), newest_files(b, stage));
    assert_eq!(
        a.keys().collect::<Vec<_>>(),
        b.keys().collect::<Vec<_>>(),
        "{what}"
    );
    for (name, bytes) in &a {
        assert!(bytes == &b[name], "{what}: {name} differs");
    }
}

/// Trains twice with `arguments` (which begin with `train`): once straight, and once killed with
/// SIGKILL at three random moments and resumed each time, with another number of data workers.
/// Every file of the last checkpoint must be equal.
pub fn resume_is_the_same_run(
    binary: &str,
    word: &str,
    stage: &str,
    arguments: &[&str],
    folder: &Path,
) {
    let out = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (straight, killed) = (out("straight"), out("killed"));
    let with = |out: &str, more: &[&str]| -> Vec<String> {
        let shared = ["--name", "run", "--quiet", "--out", out];
        arguments
            .iter()
            .chain(&shared)
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect()
    };
    let began = SystemTime::now();
    let command = with(&straight, &["--workers", "0"]);
    succeed(
        binary,
        &command.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let whole = began.elapsed().unwrap_or(Duration::from_secs(1));
    let run = |out: &str| PathBuf::from(out).join(word).join("run");
    let mut delays = Vec::new();
    for attempt in 0..4 {
        let has_config = run(&killed).join("config.toml").is_file();
        let command: Vec<String> = if has_config {
            let out = ["train", "--resume", "run", "--quiet", "--out", &killed];
            let workers = if attempt % 2 == 0 { "0" } else { "2" };
            let rest = ["--workers", workers];
            out.iter()
                .chain(&rest)
                .map(|text| (*text).to_owned())
                .collect()
        } else {
            with(&killed, &["--workers", "2"])
        };
        let mut child: Child = Command::new(binary)
            .args(&command)
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting the binary");
        if attempt < 3 {
            // A third of a straight run at most, so that three kills fall inside one run.
            let nanos = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| now.subsec_nanos());
            let share = f64::from(nanos % 1000) / 1000.0 * 0.33 + 0.1;
            let delay = whole.mul_f64(share);
            delays.push(delay);
            std::thread::sleep(delay);
            let _ = child.kill();
            let _ = child.wait();
        } else {
            let output = child.wait_with_output().expect("waiting");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "after kills at {delays:?}: {error}"
            );
        }
    }
    let what = format!("{arguments:?} killed after {delays:?}");
    assert_equal_files(&run(&straight), &run(&killed), stage, &what);
    let leftovers: Vec<_> = walk(&run(&killed))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".tmp-"))
        .collect();
    assert!(leftovers.is_empty(), "{what}: left behind {leftovers:?}");
}

/// Trains with 1, 2 and 4 threads; the last checkpoints must be equal.
pub fn threads_do_not_matter(
    binary: &str,
    word: &str,
    stage: &str,
    arguments: &[&str],
    folder: &Path,
) {
    let mut runs = Vec::new();
    for threads in ["1", "2", "4"] {
        let out = folder.join(format!("threads-{threads}"));
        let out_text = out.to_string_lossy().into_owned();
        let mut command = arguments.to_vec();
        command.extend(["--name", "run", "--quiet", "--out", &out_text]);
        let environment = [("RAYON_NUM_THREADS", threads)];
        let (code, _, error) = call_with(binary, &command, &environment);
        assert_eq!(code, Some(0), "{error}");
        runs.push(out.join(word).join("run"));
    }
    assert_equal_files(&runs[0], &runs[1], stage, "1 and 2 threads");
    assert_equal_files(&runs[0], &runs[2], stage, "1 and 4 threads");
}

/// Every file under a folder.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
