//! The measures beside the reference tools: network, whole program, Fréchet step, kernel distance, balls.

use crate::Options;
use crate::table::{self, Kind, Row, median};
use anyhow::{Context, Result, bail};
use gan_core::weights;
use metrics::extractor::Extractor;
use metrics::features::Features;
use metrics::frechet::from_statistics;
use metrics::inception::{FeatureLayer, SIDE};
use metrics::kernel;
use metrics::prdc;
use metrics::statistics::{Mean, Moments};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A row: our work, the tool's, and what to call them.
struct Work {
    name: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

const WORKS: &[Work] = &[
    Work {
        name: "Inception, batch 32",
        ours: "inception",
        theirs: "inception",
    },
    Work {
        name: "eval fid, 2 x 1,000 of 64 x 64 (pytorch-fid)",
        ours: "fid",
        theirs: "fid",
    },
    Work {
        name: "Frechet, full rank 2048 (scipy's best way)",
        ours: "frechet",
        theirs: "frechet-cholesky",
    },
    Work {
        name: "Frechet, full rank 2048 (torch-fidelity)",
        ours: "frechet",
        theirs: "frechet-torch-fidelity",
    },
    Work {
        name: "Frechet, full rank 2048 (pytorch-fid)",
        ours: "frechet",
        theirs: "frechet-scipy",
    },
    Work {
        name: "KID 100 x 1,000 of 10,000 (torch-fidelity)",
        ours: "kid",
        theirs: "kid",
    },
    Work {
        name: "precision, recall of 10,000 (torch-fidelity)",
        ours: "prdc",
        theirs: "prdc",
    },
];

/// Times every row, each side in a process of its own.
pub(crate) fn measure(options: &Options, threads: usize) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("a folder for features and pictures")?;
    let place = folder.path().display().to_string();
    let rounds = options.rounds.min(5).to_string();
    let python = |work: &str| -> Result<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/metrics.py");
        let output = Command::new(&options.python)
            .args([script, &threads.to_string(), &rounds, work, &place])
            .env("OMP_NUM_THREADS", threads.to_string())
            .output()
            .with_context(|| format!("starting {}", options.python))?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                options.python,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    python("prepare").context("the reference tools are needed: --python names theirs")?;
    table::start();
    let mut rows = Vec::new();
    for work in WORKS
        .iter()
        .filter(|work| work.name.contains(&options.only))
    {
        let output = Command::new(std::env::current_exe()?)
            .args(["metric", work.ours, &place, "--rounds", &rounds])
            .args(["--threads", &threads.to_string()])
            .output()?;
        if !output.status.success() {
            bail!("{}: {}", work.name, String::from_utf8_lossy(&output.stderr));
        }
        let ours: Value = serde_json::from_slice(&output.stdout).context("our own answer")?;
        let theirs: Value =
            serde_json::from_str(python(work.theirs)?.lines().last().unwrap_or_default())
                .context("the tool's answer")?;
        let seconds = |answer: &Value| -> Result<Vec<f64>> {
            serde_json::from_value(answer["seconds"].clone()).context("times")
        };
        let mut row = Row::new(
            work.name,
            Kind::Metric,
            &seconds(&ours)?,
            Some(median(&seconds(&theirs)?)),
        );
        let mib = |answer: &Value| {
            answer["peak"]
                .as_f64()
                .map(|bytes| bytes / f64::from(1 << 20))
        };
        row.ours_mib = mib(&ours);
        row.torch_mib = mib(&theirs);
        if let (Some(ours), Some(theirs)) = (ours["value"].as_f64(), theirs["value"].as_f64())
            && work.ours != "inception"
        {
            row.difference = Some((ours - theirs).abs() / theirs.abs());
        }
        table::print(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// Does one piece of our work, and prints times, value and peak memory.
pub(crate) fn report(work: &str, folder: &Path, rounds: u32) -> Result<()> {
    let (seconds, value) = match work {
        "inception" => inception(folder, rounds)?,
        "fid" => return whole(folder),
        _ => on_features(work, folder, rounds)?,
    };
    let peak = gan_core::run::peak_memory();
    table::say(&json!({"seconds": seconds, "value": value, "peak": peak}).to_string());
    Ok(())
}

fn timed(rounds: u32, work: &mut dyn FnMut() -> Result<f64>) -> Result<(Vec<f64>, f64)> {
    let mut seconds = Vec::new();
    let mut value = f64::NAN;
    for _ in 0..rounds {
        let begin = Instant::now();
        value = work()?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok((seconds, value))
}

fn inception(folder: &Path, rounds: u32) -> Result<(Vec<f64>, f64)> {
    let console = gan_core::console::Console::new(gan_core::console::Voice::Quiet);
    let network = folder.join("network.pth").display().to_string();
    let extractor = Extractor::open(Some(&network), "cpu", &console)?;
    let values = (0..3 * SIDE * SIDE).map(|place| (place * 7919 % 1000) as f32 / 500.0 - 1.0);
    let pictures = vec![values.collect::<Vec<f32>>(); 32];
    let mut run = || {
        let found = extractor.run(&pictures, &[FeatureLayer::D2048]);
        Ok(f64::from(found[0].row(0)[0]))
    };
    run()?;
    timed(rounds, &mut run)
}

/// The program itself, from its start to its end.
fn whole(folder: &Path) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("eval");
    if !program.is_file() {
        bail!(
            "{} is not there: build it with `cargo build -p eval`",
            program.display()
        );
    }
    let place = |name: &str| folder.join(name).display().to_string();
    let begin = Instant::now();
    let output = Command::new(program)
        .args(["fid", "--real", &place("real"), "--fake", &place("fake")])
        .args(["--weights", &place("network.pth"), "--no-cache", "--json"])
        .output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    table::say(
        &json!({
            "seconds": [seconds],
            "value": answer["frechet_inception_distance"],
            "peak": answer["peak_memory"],
        })
        .to_string(),
    );
    Ok(())
}

fn on_features(work: &str, folder: &Path, rounds: u32) -> Result<(Vec<f64>, f64)> {
    let file = weights::read(&folder.join("features.safetensors"))?;
    let side = |name: &str| -> Result<Features> {
        let tensor = file.tensors.get(name).context("features of both sides")?;
        Ok(Features::new(2048, tensor.values.clone()))
    };
    let (fake, real) = (side("fake")?, side("real")?);
    drop(file);
    match work {
        "kid" => timed(rounds, &mut || {
            Ok(kernel::distance(&fake, &real, kernel::Settings::default())?.mean)
        }),
        "prdc" => timed(rounds, &mut || {
            Ok(prdc::coverage(&real, &fake, prdc::Settings::default())?.precision)
        }),
        "frechet" => {
            let statistics = |features: &Features| {
                let mut moments = Moments::new(2048);
                moments.push(features);
                moments.statistics(Mean::Float64)
            };
            let (real, fake) = (statistics(&real)?, statistics(&fake)?);
            timed(rounds, &mut || {
                Ok(from_statistics(&real, &fake, Mean::Float64)?.value)
            })
        }
        other => bail!("no such work: {other}"),
    }
}
