//! Training steps and inference of the architectures' own networks.

use crate::Options;
use crate::machine::{self, time};
use crate::memory;
use crate::peer::Peer;
use crate::table::{self, Kind, Row, median};
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::config::{Configuration, Layer, merge};
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::stage::{At, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Tensors};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A row: a network and what is done with it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    word: &'static str,
    kind: Kind,
    preset: &'static str,
    batch: usize,
}

const fn subject(
    name: &'static str,
    word: &'static str,
    kind: Kind,
    preset: &'static str,
    batch: usize,
) -> Subject {
    Subject {
        name,
        word,
        kind,
        preset,
        batch,
    }
}

/// Each architecture adds its rows here.
pub(crate) const SUBJECTS: &[Subject] = &[
    subject(
        "vanilla train, paper, batch 64",
        "vanilla",
        Kind::Train,
        "paper",
        64,
    ),
    subject(
        "vanilla train, paper, batch 128",
        "vanilla",
        Kind::Train,
        "paper",
        128,
    ),
    subject(
        "vanilla infer, paper, batch 64",
        "vanilla",
        Kind::Infer,
        "paper",
        64,
    ),
    subject(
        "dcgan train, paper, batch 32",
        "dcgan",
        Kind::Train,
        "paper",
        32,
    ),
    subject(
        "dcgan train, paper, batch 64",
        "dcgan",
        Kind::Train,
        "paper",
        64,
    ),
    subject(
        "dcgan infer, paper, batch 16",
        "dcgan",
        Kind::Infer,
        "paper",
        16,
    ),
    subject(
        "dcgan infer, paper, batch 64",
        "dcgan",
        Kind::Infer,
        "paper",
        64,
    ),
];

/// A row made ready: our side as a function, PyTorch's as a request.
pub(crate) struct Ready {
    /// One step or one batch. A training step gives its losses.
    pub(crate) run: Box<dyn FnMut() -> Result<Vec<f32>>>,
    pub(crate) request: Value,
    // Holds the files that the request names.
    pub(crate) folder: TempDir,
}

fn configuration<C: Configuration>(subject: &Subject) -> Result<C> {
    let text = format!("batch_size = {}\n", subject.batch);
    merge(&[
        Layer::preset::<C>(subject.preset)?,
        Layer::parse("bench", &text)?,
    ])
}

impl Subject {
    /// Draws weights and inputs, writes them for PyTorch, and makes our side ready.
    pub(crate) fn ready(&self) -> Result<Ready> {
        let folder = tempfile::tempdir().context("a folder for the weights")?;
        match self.word {
            "vanilla" => self.vanilla(folder),
            _ => self.dcgan(folder),
        }
    }

    fn vanilla(&self, folder: TempDir) -> Result<Ready> {
        let config: vanilla::Config = configuration(self)?;
        let (size, device) = ((28, 28), Device::flex());
        let pixels = size.0 * size.1;
        let mut gan = vanilla::train::Gan::new(&config, size, None, 100, &device);
        let files = weights_of(&mut gan)?;
        let latent = config.prior.draw(
            &mut Stream::new(config.training.seed, "latent", 0),
            self.batch * config.latent_dim,
        );
        let real = Stream::new(0, "real", 0).uniform(self.batch * pixels, -1.0, 1.0);
        let mut request = self.request(
            &folder,
            &config,
            &files,
            &[&[self.batch, config.latent_dim], &[self.batch, pixels]],
            &latent,
            &real,
        )?;
        request["outputs"] = json!(pixels);
        let run: Box<dyn FnMut() -> Result<Vec<f32>>> = if self.kind == Kind::Train {
            training(gan, real, config.training.seed)
        } else {
            let network = weights::apply(
                vanilla::generator::Generator::new(&config, pixels, &device),
                &files[0],
            )?;
            let (batch, width) = (self.batch, config.latent_dim);
            Box::new(move || {
                let latent =
                    Tensor::from_data(TensorData::new(latent.clone(), [batch, width]), &device);
                Ok(weights::values(network.forward(latent)))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn dcgan(&self, folder: TempDir) -> Result<Ready> {
        let config: dcgan::Config = configuration(self)?;
        let device = Device::flex();
        let mut gan = dcgan::train::Gan::new(&config, &device);
        let files = weights_of(&mut gan)?;
        let latent = config.prior().draw(
            &mut Stream::new(config.training.seed, "latent", 0),
            self.batch * config.latent_dim,
        );
        let shape = [
            self.batch,
            config.channels,
            config.image_size,
            config.image_size,
        ];
        let real = Stream::new(0, "real", 0).uniform(shape.iter().product(), -1.0, 1.0);
        let request = self.request(
            &folder,
            &config,
            &files,
            &[&[self.batch, config.latent_dim], &shape],
            &latent,
            &real,
        )?;
        let run: Box<dyn FnMut() -> Result<Vec<f32>>> = if self.kind == Kind::Train {
            training(gan, real, config.training.seed)
        } else {
            let network = weights::apply(
                dcgan::generator::Generator::new(&config, &device),
                &files[0],
            )?;
            let (batch, width) = (self.batch, config.latent_dim);
            Box::new(move || {
                let latent =
                    Tensor::from_data(TensorData::new(latent.clone(), [batch, width]), &device);
                let pictures = network.forward(latent, Statistics::Running);
                Ok(weights::values(pictures))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    /// Writes weights and inputs, and says to PyTorch where they are.
    fn request(
        &self,
        folder: &TempDir,
        config: &impl Configuration,
        files: &[Tensors],
        shapes: &[&[usize]; 2],
        latent: &[f32],
        real: &[f32],
    ) -> Result<Value> {
        let write = |name: &str, tensors: &Tensors| -> Result<String> {
            let path = folder.path().join(name);
            weights::write(&path, tensors, &Metadata::new())?;
            Ok(path.display().to_string())
        };
        let host = |values: &[f32], shape: &[usize]| {
            let mut tensor = HostTensor::vector(values.to_vec());
            tensor.shape = shape.to_vec();
            tensor
        };
        let inputs = Tensors::from([
            ("latent".to_owned(), host(latent, shapes[0])),
            ("real".to_owned(), host(real, shapes[1])),
        ]);
        Ok(json!({
            "do": self.kind,
            "word": self.word,
            "config": serde_json::to_value(config)?,
            "weights_g": write("generator.safetensors", &files[0])?,
            "weights_d": write("discriminator.safetensors", &files[1])?,
            "inputs": write("inputs.safetensors", &inputs)?,
            "outputs_to": folder.path().join("outputs.safetensors"),
        }))
    }
}

/// The weights of the first two parts: generator and discriminator.
fn weights_of(gan: &mut impl Stage) -> Result<Vec<Tensors>> {
    let mut files = Vec::new();
    gan.parts(&mut |_, part| {
        files.extend(
            part.files()
                .into_iter()
                .filter(|file| file.suffix.is_empty())
                .map(|file| file.tensors),
        );
        Ok(())
    })?;
    Ok(files)
}

fn training<S: Stage<Batch = Vec<f32>> + 'static>(
    mut gan: S,
    real: Vec<f32>,
    seed: u64,
) -> Box<dyn FnMut() -> Result<Vec<f32>>> {
    let mut step = 0;
    Box::new(move || {
        let scalars = gan.step(real.clone(), &At::new(seed, step, 1_000_000_000))?;
        step += 1;
        let losses = scalars
            .read()
            .into_iter()
            .filter(|(name, _)| name.starts_with("loss_"));
        Ok(losses.map(|(_, value)| value as f32).collect())
    })
}

pub(crate) fn measure(options: &Options, threads: usize) -> Result<Vec<Row>> {
    let mut peer = Peer::start(&options.python, threads)?;
    match &peer {
        Some(peer) => table::say(&format!("{threads} threads; PyTorch {}", peer.version)),
        None => table::say(&format!(
            "{threads} threads; no PyTorch in {:?} (--python PATH): our times alone",
            options.python
        )),
    }
    table::start();
    let mut rows = Vec::new();
    for subject in SUBJECTS
        .iter()
        .filter(|subject| subject.name.contains(&options.only))
    {
        let Ready {
            mut run,
            request,
            folder,
        } = subject.ready()?;
        let first = run()?;
        let mut difference = None;
        if let Some(peer) = &mut peer {
            peer.ask(&request)?;
            peer.times(1)?;
            difference = Some(difference_of(subject.kind, &first, peer, folder.path())?);
        }
        let mut ours = Vec::new();
        let mut torch: Vec<Vec<f64>> = Vec::new();
        // Some steps a turn.
        let turn = if subject.kind == Kind::Train { 3 } else { 10 };
        for _ in 0..options.rounds {
            machine::settle(&mut || run().map(drop))?;
            for _ in 0..turn {
                ours.push(time(&mut || run().map(drop))?);
            }
            if let Some(peer) = &mut peer {
                let times = peer.times(turn)?;
                torch.resize(times.len(), Vec::new());
                torch
                    .iter_mut()
                    .zip(times)
                    .for_each(|(all, times)| all.extend(times));
            }
        }
        drop(run);
        let best = torch
            .iter()
            .map(|times| median(times))
            .min_by(f64::total_cmp);
        let mut row = Row::new(subject.name, subject.kind, &ours, best);
        row.difference = difference;
        if subject.kind == Kind::Train {
            row.ours_mib = memory::ours(subject.name, threads)?;
            if peer.is_some() {
                row.torch_mib = memory::torch(subject, options, threads)?;
            }
        }
        table::print(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// The largest difference between both sides' results, as a share of the largest result.
fn difference_of(kind: Kind, ours: &[f32], peer: &mut Peer, folder: &Path) -> Result<f64> {
    let theirs: Vec<f32> = if kind == Kind::Train {
        serde_json::from_value(peer.ask(&json!({"do": "losses"}))?["losses"].clone())?
    } else {
        let file = weights::read(&folder.join("outputs.safetensors"))?;
        file.tensors
            .into_values()
            .next()
            .map(|tensor| tensor.values)
            .unwrap_or_default()
    };
    anyhow::ensure!(
        ours.len() == theirs.len(),
        "{} results beside {} of PyTorch",
        ours.len(),
        theirs.len()
    );
    let largest = theirs
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| (ours - theirs).abs())
        // `max` would lose a value that is no number.
        .fold(0.0_f32, |most, away| {
            if away.is_nan() {
                f32::INFINITY
            } else {
                most.max(away)
            }
        });
    Ok(f64::from(difference / largest))
}
