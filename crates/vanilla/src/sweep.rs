//! `sweep`: what each technique does to the ring of Gaussians, or to digits.

use crate::config::{Config, Dataset, Flags};
use crate::coverage::{Coverage, pictures};
use crate::data::{PROCEDURAL_COUNT, procedural};
use crate::train::train;
use anyhow::Result;
use gan_core::config::{Layer, merge};
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::stage::Best;
use gan_core::sweep::{Measure, Row, Sweep, SweepCommand, write_pictures};
use image::RgbImage;
use metrics::fid::Fid;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const fn row(name: &'static str, about: &'static str, keys: &'static str) -> Row {
    Row { name, about, keys }
}

/// Every technique of the kit, each alone over the configuration.
pub const ROWS: [Row; 30] = [
    row("plain", "The configuration as it is.", ""),
    row(
        "saturating",
        "The minimax game itself (Goodfellow et al. 2014, section 3).",
        "loss = \"saturating\"",
    ),
    row(
        "lsgan",
        "Least squares (Mao et al. 2017).",
        "loss = \"lsgan\"",
    ),
    row(
        "hinge",
        "The hinge loss (Lim and Ye 2017).",
        "loss = \"hinge\"",
    ),
    row(
        "wasserstein-clipping",
        "The Wasserstein loss with clipped weights (Arjovsky et al. 2017), five steps of the critic a step.",
        "loss = \"wasserstein\"\nclip_weights = 0.03\nn_critic = 5",
    ),
    row(
        "wasserstein-spectral",
        "The Wasserstein loss with spectral normalisation (Miyato et al. 2018).",
        "loss = \"wasserstein\"\nspectral_norm = true",
    ),
    row(
        "relativistic",
        "Each fake against a real (Jolicoeur-Martineau 2018, RSGAN).",
        "loss = \"relativistic\"",
    ),
    row(
        "relativistic-average",
        "Each sample against the mean of the others (the same paper, RaSGAN).",
        "loss = \"relativistic-average\"",
    ),
    row(
        "feature-matching",
        "The generator matches the discriminator's mean features (Salimans et al. 2016, section 3.1).",
        "feature_matching = true",
    ),
    row(
        "minibatch-discrimination",
        "The discriminator sees how close samples are to each other (section 3.2).",
        "minibatch_kernels = 4\nminibatch_dims = 3",
    ),
    row(
        "historical-averaging",
        "Parameters are pulled towards their past (section 3.3).",
        "historical_averaging = 0.001",
    ),
    row(
        "one-sided-smoothing",
        "Reals are 0.9 (section 3.4).",
        "label_smoothing = 0.9",
    ),
    row(
        "two-sided-0.9-0.1",
        "Reals are 0.9 and fakes 0.1, as the book has it.",
        "label_smoothing = 0.9\nfake_label = 0.1",
    ),
    row(
        "two-sided-0.8-0.2",
        "Reals are 0.8 and fakes 0.2.",
        "label_smoothing = 0.8\nfake_label = 0.2",
    ),
    row(
        "two-sided-0.7-0.3",
        "Reals are 0.7 and fakes 0.3.",
        "label_smoothing = 0.7\nfake_label = 0.3",
    ),
    row(
        "batch-norm",
        "Batch normalisation in both players (Ioffe and Szegedy 2015).",
        "norm_g = \"batch\"\nnorm_d = \"batch\"",
    ),
    row(
        "batch-norm-g",
        "Batch normalisation in the generator alone.",
        "norm_g = \"batch\"",
    ),
    row(
        "instance-norm",
        "Each sample's hidden units normalised among themselves (Ulyanov et al. 2016).",
        "norm_g = \"instance\"\nnorm_d = \"instance\"",
    ),
    row(
        "virtual-batch-norm",
        "The generator normalised by a batch that is chosen once (Salimans et al. 2016, section 3.5).",
        "norm_g = \"virtual\"",
    ),
    row(
        "spectral-norm",
        "The discriminator's weights divided by their largest singular values (Miyato et al. 2018).",
        "spectral_norm = true",
    ),
    row(
        "r1",
        "The discriminator's slope at reals, by finite differences (Mescheder et al. 2018).",
        "gradient_penalty = 1.0",
    ),
    row(
        "r2",
        "The same at fakes.",
        "gradient_penalty = 1.0\npenalty_around = \"fake\"",
    ),
    row(
        "gradient-clipping",
        "No gradient is longer than 1.",
        "clip_gradients = 1.0",
    ),
    row(
        "instance-noise",
        "Noise on what the discriminator sees, fading (Sonderby et al. 2016).",
        "instance_noise = 0.2",
    ),
    row(
        "ema",
        "Samples come from a running average of the generator (Yazici et al. 2019).",
        "ema_decay = 0.99",
    ),
    row(
        "ttur",
        "The discriminator learns four times as fast as the generator (Heusel et al. 2017).",
        "lr_g = 0.0005\nlr_d = 0.002",
    ),
    row(
        "generators",
        "Eight generators share the noise and one discriminator.",
        "generators = 8",
    ),
    row(
        "subsets",
        "Eight generators, each with a part of the data and a discriminator of its own.",
        "generators = 8\nsubsets = true",
    ),
    row(
        "dropout",
        "Half of the discriminator's hidden units are dropped.",
        "keep_hidden = 0.5",
    ),
    row(
        "diffaugment",
        "Pictures are shifted and cut in front of the discriminator (Zhao et al. 2020); points cannot be.",
        "augment = \"translation-cutout\"",
    ),
];

/// What the table of a configuration has.
fn measures(config: &Config, fid: Option<&Fid>) -> Vec<Measure> {
    let measure = |name, title, best, decimals| Measure {
        name,
        title,
        best,
        decimals,
    };
    match config.dataset {
        Dataset::Ring => vec![
            measure("modes", "modes", Best::Largest, 1),
            measure("high_quality", "high quality", Best::Largest, 3),
            measure("js_divergence", "JS to uniform", Best::Smallest, 3),
        ],
        Dataset::Digits => {
            let mut all = vec![
                measure("digits", "digits of 10", Best::Largest, 1),
                measure("kl_divergence", "KL to the data", Best::Smallest, 3),
                measure("certainty", "certainty", Best::Largest, 3),
                measure("distance", "distance in a classifier", Best::Smallest, 2),
            ];
            all.extend(fid.map(|fid| measure("fid", fid.title(), Best::Smallest, 2)));
            all
        }
    }
}

/// `vanilla sweep`.
///
/// # Errors
/// As [`Sweep::run`].
pub fn sweep(command: &SweepCommand<Flags>) -> Result<()> {
    let is_ring = asks_for_ring(command);
    // Points are no pictures, and parts of the data are known on the ring alone.
    let apart = if is_ring { "diffaugment" } else { "subsets" };
    let rows: Vec<Row> = ROWS
        .iter()
        .copied()
        .filter(|row| row.name != apart)
        .collect();
    if is_ring && command.fid.is_some() {
        let what = "--fid is for pictures: points have modes";
        return Err(failure(Kind::Usage, what));
    }
    // What looks at digits is made when the first run is done, or is found: then its data can be read.
    let coverage = OnceCell::new();
    let fid = OnceCell::new();
    let console = Console::new(Voice::Normal);
    let with_fid = |config: &Config| -> Result<Option<&Fid>> {
        let Some(weights) = &command.fid else {
            return Ok(None);
        };
        if fid.get().is_none() {
            let reals = command
                .out
                .join("vanilla-sweeps")
                .join(&command.name)
                .join("reals");
            let files = write_reals(config, &reals, command.samples as usize)?;
            let _ = fid.set(Fid::new(weights, &config.training.device, files, &console)?);
        }
        Ok(fid.get())
    };
    if !command.list && command.fid.is_some() {
        let mut layers = Vec::new();
        if let Some(name) = &command.preset {
            layers.push(Layer::preset::<Config>(name)?);
        }
        if let Some(path) = &command.config {
            layers.push(Layer::read(path)?);
        }
        layers.push(Layer::flags(&command.flags)?);
        // The network and the reals are looked for before anything is trained.
        with_fid(&merge(&layers)?)?;
    }
    Sweep {
        rows: &rows,
        measures: &|config| measures(config, fid.get()),
        train: &train,
        finish: &|run, config: &Config| {
            if config.dataset == Dataset::Ring {
                return Ok(BTreeMap::new());
            }
            if coverage.get().is_none() {
                let made = Coverage::new(config, &device::parse(&config.training.device)?)?;
                console.say(&format!(
                    "the classifier of digits is right on {:.1} % of pictures that it has not seen",
                    100.0 * made.accuracy
                ));
                let _ = coverage.set(made);
            }
            let shown = pictures(run, command.samples as usize)?;
            let mut found = match coverage.get() {
                Some(coverage) => coverage.of(&shown)?,
                None => BTreeMap::new(),
            };
            if let Some(fid) = with_fid(config)? {
                let files = write_pictures(&shown, &run.join("measured"))?;
                found.insert("fid".to_owned(), fid.of(files)?);
            }
            Ok(found)
        },
    }
    .run(command)
}

/// Writes the first pictures of the data as PNG files, as they are.
fn write_reals(config: &Config, folder: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let place = &config.training.data;
    let data = if place.is_empty() {
        procedural(0, PROCEDURAL_COUNT)
    } else {
        Pictures::read(Path::new(place), "train")?
    };
    let (width, height) = (data.width as u32, data.height as u32);
    let all: Vec<RgbImage> = (0..count.min(data.len()))
        .map(|at| {
            let bytes = data.picture(at);
            RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([bytes[(y * width + x) as usize]; 3])
            })
        })
        .collect();
    write_pictures(&all, folder)
}

/// Whether the configuration is that of the ring, as far as the command line tells before it is read.
fn asks_for_ring(command: &SweepCommand<Flags>) -> bool {
    if let Some(dataset) = command.flags.dataset {
        return dataset == Dataset::Ring;
    }
    let text = match (&command.config, command.preset.as_deref()) {
        (Some(path), _) => std::fs::read_to_string(path).unwrap_or_default(),
        (None, Some(preset)) => return preset.starts_with("ring"),
        (None, None) => return false,
    };
    text.contains("\"ring\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_legal_on_the_ring_or_on_digits_and_changes_something() {
        for row in ROWS {
            let name = row.name;
            let keys = Layer::parse(name, row.keys).unwrap();
            let legal = ["ring", "quick"].map(|preset| {
                let base = Layer::preset::<Config>(preset).unwrap();
                let plain: Config = merge(std::slice::from_ref(&base)).unwrap();
                let config = merge::<Config>(&[base, keys.clone()]);
                if let Ok(config) = &config {
                    assert_eq!(*config == plain, name == "plain", "{name} on {preset}");
                }
                config.is_ok()
            });
            let expected = match name {
                "diffaugment" => [false, true],
                "subsets" => [true, false],
                _ => [true, true],
            };
            assert_eq!(legal, expected, "{name}");
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
            assert!(name.chars().all(is_plain));
        }
    }
}
