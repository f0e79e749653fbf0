//! The first stage: the conditional GAN (Antipov et al. 2017, section 2).

use crate::config::Config;
use crate::data::{Batch, conditions, pictures};
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData, activation::sigmoid};
use gan_core::checkpoint::Checkpoint;
use gan_core::images::from_unit;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Gathered, Learner, begin_from};
use gan_core::loss::{GeneratorLoss, binary_cross_entropy};
use gan_core::picture;
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage};
use gan_core::technique::signals;
use gan_core::weights;
use image::RgbImage;
use std::path::Path;

/// Rows of a picture of samples: one latent vector each.
const ROWS: usize = 8;

/// Generator against discriminator, both told the condition.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    generator: Learner<Generator>,
    discriminator: Learner<Discriminator>,
    average: Ema<Generator>,
    device: Device,
}

impl Gan {
    /// Both players with fresh weights from the run's seed: N(0, 0.02), as in DCGAN.
    pub fn new(config: &Config, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let generator = Generator::new(config, &autodiff);
        let generator = initialise(generator, Initial::Dcgan, seed, "generator");
        let discriminator = Discriminator::new(config, &autodiff);
        let discriminator = initialise(discriminator, Initial::Dcgan, seed, "discriminator");
        let (rule, schedule) = (config.rule(), config.schedule());
        Self {
            average: Ema::new(&generator, config.ema_decay),
            generator: Learner::new(generator, rule, config.lr, schedule),
            discriminator: Learner::new(discriminator, rule, config.lr, schedule),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let (generator, discriminator) = (&mut self.generator, &mut self.discriminator);
        begin_from(place, out, ["cgan", Self::NAME], generator, discriminator)?;
        self.average.reset(self.generator.network());
        Ok(())
    }

    /// The generator that samples come from, without autodiff.
    pub fn sampler(&self) -> &Generator {
        self.average.network()
    }

    /// The printed networks.
    pub fn describe(&self) -> String {
        format!(
            "{}\n{}",
            self.generator.network(),
            self.discriminator.network()
        )
    }

    fn latent(&self, stream: &mut Stream, count: usize) -> Tensor<2> {
        let width = self.config.latent_dim;
        let values = self.config.prior().draw(stream, count * width);
        let data = TensorData::new(values, [count, width]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }
}

/// What one of `parts` parts of a batch adds to a loss that is a mean over the batch.
pub(crate) fn share(loss: Tensor<1>, parts: usize) -> Tensor<1> {
    match parts {
        1 => loss,
        parts => loss / parts as f64,
    }
}

/// A wrong class for each: any other, as likely as another.
fn wrong(classes: &[u8], count: usize, stream: &mut Stream) -> Vec<u8> {
    let steps = stream.integers(classes.len(), count - 1);
    let pairs = classes.iter().zip(steps);
    pairs
        .map(|(class, step)| ((usize::from(*class) + 1 + step) % count) as u8)
        .collect()
}

impl Stage for Gan {
    type Batch = Batch;
    const NAME: &'static str = "gan";

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        at.note("real", || batch.pixels.clone());
        at.note("classes", || {
            batch
                .classes
                .iter()
                .map(|class| f32::from(*class))
                .collect()
        });
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let classes = self.config.classes();
        let config = &self.config;
        let (augment, mismatch) = (config.augment, config.mismatch);
        let parts = config.training.accumulate;
        let mut for_latent = at.rng("latent");
        let mut for_classes = at.rng("classes");
        let mut for_wrong = at.rng("wrong");
        let (mut for_real, mut for_fake) = (at.rng("augment/real"), at.rng("augment/fake"));
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        let count = batch.classes.len() / parts;
        let whole = batch.pixels.chunks(count * config.pixels());
        for (pixels, told) in whole.zip(batch.classes.chunks(count)) {
            let real = pictures(pixels.to_vec(), config, &autodiff);
            let latent = self.latent(&mut for_latent, count);
            // Each class is asked for as often as the reals have it: else a rare one would give fakes away.
            let order = for_classes.permutation(count);
            let asked: Vec<u8> = order.iter().map(|place| told[*place as usize]).collect();
            let asked = conditions(&asked, &classes, &autodiff);
            let is_live = parts == 1;
            let network = if is_live {
                self.generator.network().clone()
            } else {
                // With several parts their graphs would not fit into memory together.
                self.generator.still()
            };
            let fake = network.forward(latent.clone(), asked.clone(), Statistics::Update);
            let judge = self.discriminator.network();
            let seen = judge.look(augment.apply(real.clone(), &mut for_real));
            let condition = conditions(told, &classes, &autodiff);
            let logits_real = judge.judge(seen.clone(), condition, Statistics::Update);
            let shown = augment.apply(fake.clone().detach(), &mut for_fake);
            let logits_fake = judge.forward(shown, asked.clone(), Statistics::Update);
            let logits = [&logits_real, &logits_fake];
            signals(&mut scalars, at, logits, Some(0.0), [&real, &fake]);
            scalars.add("d_real", sigmoid(logits_real.clone()).mean());
            scalars.add("d_fake", sigmoid(logits_fake.clone()).mean());
            let mut against = binary_cross_entropy(logits_fake, 0.0);
            if mismatch > 0.0 {
                let wrong = wrong(told, classes.count(), &mut for_wrong);
                let wrong = conditions(&wrong, &classes, &autodiff);
                let logits_wrong = judge.judge(seen, wrong, Statistics::Update);
                scalars.add("d_wrong", sigmoid(logits_wrong.clone()).mean());
                // Both are fakes, and together weigh as much as the reals (Reed et al. 2016, algorithm 1).
                against = (against + binary_cross_entropy(logits_wrong, 0.0) * mismatch)
                    / (1.0 + mismatch);
            }
            let loss = binary_cross_entropy(logits_real, config.label_smoothing) + against;
            scalars.add("loss_d", loss.clone());
            gathered = self.discriminator.gather(share(loss, parts), gathered);
            waiting.push((latent, asked, is_live.then_some(fake)));
        }
        let moved = self.discriminator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);

        let mut stream = at.rng("augment/generator");
        let judge = self.discriminator.still();
        let mut gathered = Gathered::default();
        for (latent, asked, fake) in waiting {
            // The running statistics have seen these fakes.
            let network = self.generator.network();
            let make = || network.forward(latent, asked.clone(), Statistics::Batch);
            let shown = augment.apply(fake.unwrap_or_else(make), &mut stream);
            let logits = judge.forward(shown, asked.clone(), Statistics::Update);
            let loss = GeneratorLoss::NonSaturating.of(logits);
            scalars.add("loss_g", loss.clone());
            gathered = self.generator.gather(share(loss, parts), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        let updates = self.generator.updates();
        self.average.follow(self.generator.network(), updates);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let classes = self.config.classes();
        let prior = self.config.prior();
        let width = self.config.latent_dim;
        let mut stream = Stream::new(at.seed, "preview", 0);
        let mut rows = Vec::new();
        for _ in 0..ROWS {
            let latent = prior.draw(&mut stream, width);
            rows.push(strip(self.sampler(), &latent, &self.config, &self.device));
        }
        let names = classes.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let panel = Panel {
            name: "step",
            picture: picture::table(&names, &rows),
        };
        Ok((vec![panel], Scalars::default()))
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        // Twice: what a convolution gives, and what normalisation and activation make of it.
        let layers = |width: usize| -> u64 {
            let mut total = 0;
            let (mut side, mut channels) = (config.image_size as u64 / 2, width as u64);
            while side >= 4 {
                total += 2 * channels * side.pow(2);
                (side, channels) = (side / 2, channels * 2);
            }
            total
        };
        // The generator's graph waits while the discriminator sees reals, fakes and wrong conditions.
        layers(config.width_g) + 3 * layers(config.width_d) + 4 * config.pixels() as u64
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let classes = self.config.classes();
        let shown: Vec<(String, RgbImage)> = batch
            .pixels
            .chunks_exact(self.config.pixels())
            .zip(&batch.classes)
            .take(ROWS)
            .map(|(values, class)| {
                let name = classes.name(usize::from(*class));
                (name, to_picture(values, &self.config))
            })
            .collect();
        Some(picture::labelled(&shown))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)?;
        let network = self.generator.network();
        self.average.visit("generator_ema", network, visit)
    }
}

/// A picture of values in [-1, 1].
pub(crate) fn to_picture(values: &[f32], config: &Config) -> RgbImage {
    from_unit(
        values,
        config.channels,
        config.image_size,
        config.image_size,
    )
}

/// Pictures for flat latent vectors and as many flat conditions. Running statistics make each one independent of the
/// others.
pub(crate) fn sample(
    generator: &Generator,
    latent: Vec<f32>,
    conditions: Vec<f32>,
    config: &Config,
    device: &Device,
) -> Vec<RgbImage> {
    let count = latent.len() / config.latent_dim;
    let width = conditions.len() / count.max(1);
    let latent = TensorData::new(latent, [count, config.latent_dim]);
    let conditions = TensorData::new(conditions, [count, width]);
    let made = generator.forward(
        Tensor::from_data(latent, device),
        Tensor::from_data(conditions, device),
        Statistics::Running,
    );
    weights::values(made)
        .chunks_exact(config.pixels())
        .map(|values| to_picture(values, config))
        .collect()
}

/// One latent vector in all classes.
pub(crate) fn strip(
    generator: &Generator,
    latent: &[f32],
    config: &Config,
    device: &Device,
) -> Vec<RgbImage> {
    let classes = config.classes();
    let count = classes.count();
    let told = (0..count)
        .flat_map(|class| classes.condition(class))
        .collect();
    sample(generator, latent.repeat(count), told, config, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_classes_are_wrong_and_any() {
        let classes: Vec<u8> = (0..600).map(|number| (number % 6) as u8).collect();
        let wrong = wrong(&classes, 6, &mut Stream::new(1, "wrong", 0));
        let mut pairs = std::collections::BTreeSet::new();
        for (class, wrong) in classes.iter().zip(&wrong) {
            assert!(class != wrong && *wrong < 6);
            pairs.insert((*class, *wrong));
        }
        assert_eq!(pairs.len(), 30);
    }
}
