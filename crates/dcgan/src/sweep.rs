//! `sweep`: what each technique does to pictures.

use crate::config::{Config, Flags};
use crate::data::Data;
use crate::generate::Sampler;
use crate::train::train;
use anyhow::Result;
use gan_core::config::{Configuration, Layer, merge};
use gan_core::console::{Console, Voice};
use gan_core::stage::{Best, Source};
use gan_core::sweep::{Measure, Row, Sweep, SweepCommand, write_pictures};
use metrics::fid::Fid;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const fn row(name: &'static str, about: &'static str, keys: &'static str) -> Row {
    Row { name, about, keys }
}

/// Every technique of the kit, each alone over the configuration.
pub const ROWS: [Row; 25] = [
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
        "loss = \"wasserstein\"\nclip_weights = 0.01\nn_critic = 5",
    ),
    row(
        "relativistic",
        "Each fake against a real (Jolicoeur-Martineau 2018, RSGAN).",
        "loss = \"relativistic\"",
    ),
    row(
        "relativistic-average",
        "Each picture against the mean of the others (the same paper, RaSGAN).",
        "loss = \"relativistic-average\"",
    ),
    row(
        "feature-matching",
        "The generator matches the discriminator's mean features (Salimans et al. 2016, section 3.1).",
        "feature_matching = true",
    ),
    row(
        "minibatch-discrimination",
        "The discriminator sees how close pictures are to each other (section 3.2).",
        "minibatch_kernels = 32",
    ),
    row(
        "historical-averaging",
        "Parameters are pulled towards their past (section 3.3).",
        "historical_averaging = 0.0001",
    ),
    row(
        "one-sided-smoothing",
        "Reals are 0.9 (section 3.4).",
        "label_smoothing = 0.9",
    ),
    row(
        "two-sided-smoothing",
        "Reals are 0.9 and fakes 0.1, as the book has it.",
        "label_smoothing = 0.9\nfake_label = 0.1",
    ),
    row(
        "no-norm",
        "No normalisation in either player.",
        "norm_g = \"none\"\nnorm_d = \"none\"",
    ),
    row(
        "instance-norm",
        "Each picture normalised by itself (Ulyanov et al. 2016).",
        "norm_g = \"instance\"\nnorm_d = \"instance\"",
    ),
    row(
        "virtual-batch-norm",
        "The generator normalised by a batch that is chosen once (Salimans et al. 2016, section 3.5).",
        "norm_g = \"virtual\"",
    ),
    row(
        "spectral-norm",
        "The discriminator's weights divided by their largest singular values, in place of batch normalisation \
         (Miyato et al. 2018).",
        "spectral_norm = true\nnorm_d = \"none\"",
    ),
    row(
        "r1",
        "The discriminator's slope at reals, by finite differences (Mescheder et al. 2018).",
        "gradient_penalty = 10.0",
    ),
    row(
        "r2",
        "The same at fakes.",
        "gradient_penalty = 10.0\npenalty_around = \"fake\"",
    ),
    row(
        "gradient-clipping",
        "No gradient is longer than 1.",
        "clip_gradients = 1.0",
    ),
    row(
        "instance-noise",
        "Noise on what the discriminator sees, fading (Sonderby et al. 2016).",
        "instance_noise = 0.1",
    ),
    row(
        "no-diffaugment",
        "Pictures are shown as they are.",
        "augment = \"none\"",
    ),
    row(
        "diffaugment-color",
        "Brightness, saturation and contrast are changed in front of the discriminator (Zhao et al. 2020).",
        "augment = \"color\"",
    ),
    row(
        "diffaugment-all",
        "Colour, translation and cutout.",
        "augment = \"color-translation-cutout\"",
    ),
    row(
        "no-ema",
        "Samples come from the newest generator.",
        "ema_decay = 0.0",
    ),
    row(
        "ttur",
        "The discriminator learns four times as fast as the generator (Heusel et al. 2017).",
        "lr_g = 0.0001\nlr_d = 0.0004",
    ),
];

fn measures(fid: Option<&Fid>) -> Vec<Measure> {
    let measure = |name, title, best, decimals| Measure {
        name,
        title,
        best,
        decimals,
    };
    let mut all = vec![
        measure("diversity", "diversity of the data's", Best::Untold, 3),
        measure("accuracy_real", "accuracy on reals", Best::Untold, 2),
        measure("accuracy_fake", "accuracy on fakes", Best::Untold, 2),
    ];
    if let Some(fid) = fid {
        all.insert(0, measure("fid", fid.title(), Best::Smallest, 2));
    }
    all
}

/// `dcgan sweep`.
///
/// # Errors
/// As [`Sweep::run`].
pub fn sweep(command: &SweepCommand<Flags>) -> Result<()> {
    let fid = OnceCell::new();
    if let (Some(weights), false) = (&command.fid, command.list) {
        let mut layers = Vec::new();
        match &command.preset {
            Some(name) => layers.push(Layer::preset::<Config>(name)?),
            None if command.config.is_none() => layers.push(Layer::preset::<Config>("quick")?),
            None => {}
        }
        if let Some(path) = &command.config {
            layers.push(Layer::read(path)?);
        }
        layers.push(Layer::flags(&command.flags)?);
        let config: Config = merge(&layers)?;
        let home = command.out.join(format!("{}-sweeps", Config::WORD));
        let reals = home.join(&command.name).join("reals");
        // The network and the reals are looked for before anything is trained.
        let files = write_reals(&config, &reals, command.samples as usize)?;
        let console = Console::new(Voice::Normal);
        let _ = fid.set(Fid::new(weights, &config.training.device, files, &console)?);
    }
    Sweep {
        rows: &ROWS,
        measures: &|_: &Config| measures(fid.get()),
        train: &train,
        finish: &|run, _| {
            let mut found = BTreeMap::new();
            if let Some(fid) = fid.get() {
                let sampler = Sampler::open(run)?;
                let seeds: Vec<u64> = (0..u64::from(command.samples)).collect();
                let shown: Vec<_> = seeds
                    .chunks(64)
                    .flat_map(|some| sampler.sample(some))
                    .collect();
                let files = write_pictures(&shown, &run.join("measured"))?;
                found.insert("fid".to_owned(), fid.of(files)?);
            }
            Ok(found)
        },
    }
    .run(command)
}

/// Writes pictures of the data as training sees them, but for the mirroring.
fn write_reals(config: &Config, folder: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let mut config = config.clone();
    config.flip = false;
    let data = Data::open(&config)?;
    let mut shown = Vec::new();
    for index in 0..data.len() {
        if shown.len() >= count {
            break;
        }
        shown.extend(crate::train::to_pictures(&data.batch(0, index)?, &config));
    }
    shown.truncate(count);
    write_pictures(&shown, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_legal_and_changes_something() {
        let base = Layer::preset::<Config>("quick").unwrap();
        let plain: Config = merge(std::slice::from_ref(&base)).unwrap();
        for row in ROWS {
            let keys = Layer::parse(row.name, row.keys).unwrap();
            let config: Config = merge(&[base.clone(), keys]).unwrap();
            assert_eq!(config == plain, row.name == "plain", "{}", row.name);
        }
    }
}
