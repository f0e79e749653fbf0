//! The second stage: the encoder learns to find the latent vectors of generated pictures (Antipov et al. 2017, section 3:
//! "initial latent vector approximation").

use crate::config::Config;
use crate::data::{Sample, conditions, pictures};
use crate::encoder::Encoder;
use crate::gan::{share, strip, to_picture};
use crate::generator::Generator;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::images::to_unit;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner};
use gan_core::picture;
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage};
use gan_core::weights;

/// Pictures on which the error is measured, none of which is trained on.
const MEASURED: usize = 256;

/// Faces in a picture of how it is doing.
const SHOWN: usize = 8;

/// The encoder against a generator that stands still.
#[derive(Debug)]
pub struct Encode {
    config: Config,
    encoder: Learner<Encoder>,
    generator: Generator,
    shown: Vec<Sample>,
    device: Device,
}

/// Pictures with what they were made from.
struct Made {
    pictures: Tensor<4>,
    latent: Tensor<2>,
}

impl Encode {
    /// An encoder with fresh weights from the run's seed, for `generator`; `shown` are held-out faces.
    pub fn new(config: &Config, generator: Generator, shown: Vec<Sample>, device: &Device) -> Self {
        let network = Encoder::new(config, &device.clone().autodiff());
        let network = initialise(network, Initial::FanIn, config.training.seed, "encoder");
        Self {
            encoder: Learner::new(
                network,
                Config::plain_rule(),
                config.encoder_lr,
                config.schedule(),
            ),
            generator,
            shown: shown.into_iter().take(SHOWN).collect(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// The encoder, without autodiff.
    pub fn network(&self) -> Encoder {
        self.encoder.snapshot()
    }

    /// The printed network.
    pub fn describe(&self) -> String {
        self.encoder.network().to_string()
    }

    /// Pictures of latent vectors and classes from two streams, without a graph.
    fn made(&self, count: usize, latents: &mut Stream, told: &mut Stream) -> Made {
        let classes = self.config.classes();
        let width = self.config.latent_dim;
        let latent = self.config.prior().draw(latents, count * width);
        let latent = Tensor::from_data(TensorData::new(latent, [count, width]), &self.device);
        let told: Vec<u8> = told
            .integers(count, classes.count())
            .into_iter()
            .map(|class| class as u8)
            .collect();
        let told = conditions(&told, &classes, &self.device);
        Made {
            pictures: self
                .generator
                .forward(latent.clone(), told, Statistics::Running),
            latent,
        }
    }
}

/// The mean over pictures of the Euclidean distance between latent vectors.
fn distance(found: Tensor<2>, latent: Tensor<2>) -> Tensor<1> {
    let away = found - latent;
    // The square root has no slope at 0.
    ((away.clone() * away).sum_dim(1) + 1e-12).sqrt().mean()
}

impl Stage for Encode {
    type Batch = ();
    const NAME: &'static str = "encoder";

    fn step(&mut self, _batch: (), at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let parts = self.config.training.accumulate;
        let count = self.config.training.batch_size / parts;
        let (mut latents, mut told) = (at.rng("latent"), at.rng("classes"));
        let mut gathered = Gathered::default();
        for _ in 0..parts {
            let made = self.made(count, &mut latents, &mut told);
            let network = self.encoder.network();
            let found = network.forward(Tensor::from_inner(made.pictures), Statistics::Update);
            let loss = distance(found, Tensor::from_inner(made.latent));
            scalars.add("distance", loss.clone());
            gathered = self.encoder.gather(share(loss, parts), gathered);
        }
        let moved = self.encoder.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_e", "grad_norm_e"]);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let mut scalars = Scalars::default();
        let mut latents = Stream::new(at.seed, "measured/latent", 0);
        let mut told = Stream::new(at.seed, "measured/classes", 0);
        let made = self.made(MEASURED, &mut latents, &mut told);
        let network = self.network();
        let found = network.forward(made.pictures, Statistics::Running);
        scalars.add("held_out_distance", distance(found, made.latent));
        if self.shown.is_empty() {
            return Ok((Vec::new(), scalars));
        }
        let classes = self.config.classes();
        let mut names = vec!["face".to_owned()];
        names.extend(classes.names());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let rows: Vec<_> = self
            .shown
            .iter()
            .map(|sample| {
                let values: Vec<f32> = sample.pixels.iter().copied().map(to_unit).collect();
                let mut row = vec![to_picture(&values, &self.config)];
                let face = pictures(values, &self.config, &self.device);
                let latent = weights::values(network.forward(face, Statistics::Running));
                row.extend(strip(&self.generator, &latent, &self.config, &self.device));
                row
            })
            .collect();
        let panel = Panel {
            name: Self::NAME,
            picture: picture::table(&names, &rows),
        };
        Ok((vec![panel], scalars))
    }

    fn activations(&self) -> u64 {
        let side = self.config.image_size as u64;
        // The first layer has the most, each later one half of the one before it.
        side * side / 4 * self.config.width_e as u64 * 4
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("encoder", &mut self.encoder)
    }
}
