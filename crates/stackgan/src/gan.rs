//! Both stages of the adversarial training: the same step, for two makers of pictures.

use crate::config::{Config, Variant};
use crate::data::Batch;
use crate::discriminator::{self, Discriminator};
use crate::generator::{Condition, Shape, StageOne, StageTwo};
use crate::text::TextEncoder;
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::{Checkpoint, PartFile};
use gan_core::images::from_unit;
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Gathered, Learner, begin_from};
use gan_core::located;
use gan_core::loss::{GeneratorLoss, binary_cross_entropy};
use gan_core::picture;
use gan_core::random::Stream;
use gan_core::stage::{At, Panel, Scalars, Stage};
use gan_core::technique::signals;
use gan_core::weights::{self, Network, WeightFile, values};
use image::RgbImage;
use std::path::Path;
use std::sync::Arc;

/// Captions in a picture of samples, and samples of each.
const SHOWN: [usize; 2] = [8, 6];

/// What a picture is drawn from beside its caption: N(0, 1) numbers.
#[derive(Debug, Clone)]
pub struct Noise {
    /// z, `[batch, latent]`.
    pub latent: Tensor<2>,
    /// What moves the second stage's picture of the first stage within its caption, `[batch, condition]`.
    pub first: Option<Tensor<2>>,
    /// The same for the stage itself.
    pub own: Tensor<2>,
}

/// Values from N(0, 1). Those of the paper's program lie within two deviations: what does not is drawn again.
pub(crate) fn normal(stream: &mut Stream, count: usize, variant: Variant) -> Vec<f32> {
    let mut kept = stream.normal(count);
    if variant == Variant::Tf {
        kept.retain(|value| value.abs() <= 2.0);
        while kept.len() < count {
            let more = stream.normal(count - kept.len());
            kept.extend(more.into_iter().filter(|value| value.abs() <= 2.0));
        }
    }
    kept
}

impl Noise {
    /// The flat values of `count` pictures of the first (`is_second` false) or the second stage: z, then the conditions'.
    pub fn values(
        shape: &Shape,
        is_second: bool,
        count: usize,
        stream: &mut Stream,
    ) -> Vec<Vec<f32>> {
        let mut all = vec![stream.normal(count * shape.latent)];
        for _ in 0..1 + usize::from(is_second) {
            all.push(normal(stream, count * shape.condition, shape.variant));
        }
        all
    }

    /// Noise of [`Noise::values`] on a device.
    pub fn new(values: Vec<Vec<f32>>, shape: &Shape, device: &Device) -> Self {
        let count = values[0].len() / shape.latent;
        let on_device = |values: &[f32]| {
            let width = values.len() / count;
            Tensor::from_data(TensorData::new(values.to_vec(), [count, width]), device)
        };
        let own = values.last().map_or(&values[0], |own| own);
        Self {
            latent: on_device(&values[0]),
            first: (values.len() > 2).then(|| on_device(&values[1])),
            own: on_device(own),
        }
    }
}

/// What makes pictures of captions.
pub trait Maker: Network + std::fmt::Display {
    /// The name of its stage.
    const NAME: &'static str;
    /// Whether it is the second stage.
    const IS_SECOND: bool;

    /// A network of the shape, all weights zero.
    fn empty(shape: &Shape, device: &Device) -> Self;

    /// Pictures, and what their conditions were drawn from.
    ///
    /// # Shapes
    /// - `text`: `[batch, text]`
    /// - pictures: `[batch, 3, side, side]`, in [-1, 1]
    fn make(&self, text: Tensor<2>, noise: Noise, statistics: Statistics)
    -> (Tensor<4>, Condition);

    /// The first stage.
    fn first(&self) -> &StageOne;
}

impl Maker for StageOne {
    const NAME: &'static str = "one";
    const IS_SECOND: bool = false;

    fn empty(shape: &Shape, device: &Device) -> Self {
        Self::new(shape, device)
    }

    fn make(
        &self,
        text: Tensor<2>,
        noise: Noise,
        statistics: Statistics,
    ) -> (Tensor<4>, Condition) {
        let condition = self.condition(text);
        let drawn = condition.draw(noise.own);
        (self.forward(noise.latent, drawn, statistics), condition)
    }

    fn first(&self) -> &StageOne {
        self
    }
}

impl Maker for StageTwo {
    const NAME: &'static str = "two";
    const IS_SECOND: bool = true;

    fn empty(shape: &Shape, device: &Device) -> Self {
        Self::new(shape, device)
    }

    fn make(
        &self,
        text: Tensor<2>,
        noise: Noise,
        statistics: Statistics,
    ) -> (Tensor<4>, Condition) {
        let first = noise.first.unwrap_or_else(|| noise.own.clone());
        let small = Noise {
            latent: noise.latent,
            first: None,
            own: first,
        };
        // The first stage stands still (section 3.4), but for its running statistics: the authors leave it in training
        // mode.
        let (small, _) = StageTwo::first(self).make(text.clone(), small, statistics);
        let condition = self.condition(text);
        let drawn = condition.draw(noise.own);
        (self.forward(small.detach(), drawn, statistics), condition)
    }

    fn first(&self) -> &StageOne {
        StageTwo::first(self)
    }
}

/// How far conditions are from N(0, 1), as the variant's authors compute it: a mean over pictures and coordinates
/// (section 3.2, equation 2).
pub fn divergence(condition: &Condition) -> Tensor<1> {
    let (mean, spread) = (&condition.mean, &condition.spread);
    let squares = mean.clone() * mean.clone();
    match condition.variant() {
        Variant::Tf => {
            let variance = (spread.clone() * 2.0).exp();
            ((variance + squares - 1.0) * 0.5 - spread.clone()).mean()
        }
        Variant::Pytorch => (spread.clone().exp() + squares - spread.clone() - 1.0).mean() * 0.5,
    }
}

/// A caption that is shown, or measured: its words, and its embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The sentence.
    pub caption: String,
    /// `text_dim` numbers.
    pub text: Vec<f32>,
}

/// The run's text encoder, which lies in the checkpoints of its other stages so that they can be asked in words. Nothing
/// moves it, and nothing is restored: that the run has now is the one that its captions were read by.
#[derive(Debug)]
struct Beside(TextEncoder);

impl Checkpoint for Beside {
    fn files(&self) -> Vec<PartFile> {
        vec![PartFile::weights(weights::collect(&self.0))]
    }

    fn restore(&mut self, _read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        Ok(())
    }
}

/// A maker of pictures against a discriminator, both told the caption.
#[derive(Debug)]
pub struct Gan<M: Maker> {
    config: Config,
    generator: Learner<M>,
    discriminator: Learner<Discriminator>,
    average: Ema<M>,
    text: Option<Beside>,
    examples: Arc<Vec<Example>>,
    device: Device,
}

impl<M: Maker> Gan<M> {
    /// Both players with fresh weights from the run's seed: N(0, 0.02), as in DCGAN.
    pub fn new(config: &Config, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let named = |player: &str| format!("{player}_{}", M::NAME);
        let generator = M::empty(&Shape::new(config), &autodiff);
        let generator = initialise(generator, Initial::Dcgan, seed, &named("generator"));
        let shape = discriminator::Shape::new(config, M::IS_SECOND);
        let network = Discriminator::new(&shape, &autodiff);
        let network = initialise(network, Initial::Dcgan, seed, &named("discriminator"));
        let (rule, schedule) = (config.rule(), config.schedule(M::IS_SECOND));
        let (rate_g, rate_d) = config.learning_rates();
        Self {
            average: Ema::new(&generator, config.ema_decay),
            generator: Learner::new(generator, rule, rate_g, schedule),
            discriminator: Learner::new(network, rule, rate_d, schedule),
            text: None,
            examples: Arc::default(),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Keeps this text encoder in its checkpoints.
    #[must_use]
    pub fn with_text(mut self, encoder: Option<&TextEncoder>) -> Self {
        self.text = encoder.cloned().map(Beside);
        self
    }

    /// Shows what becomes of these captions.
    #[must_use]
    pub fn with_examples(mut self, examples: Arc<Vec<Example>>) -> Self {
        self.examples = examples;
        self
    }

    /// Takes the weights of both players, or of the generator alone, from a checkpoint.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let networks = ["generator", "generator_ema"];
        let found = located::find(Some(place), out, "stackgan", &[M::NAME], &networks)?;
        // A run that borrowed the stage has its generator alone.
        let has_both = found
            .path
            .with_file_name("discriminator.safetensors")
            .is_file();
        let from = if has_both { place } else { &found.path };
        let (generator, discriminator) = (&mut self.generator, &mut self.discriminator);
        begin_from(from, out, ["stackgan", M::NAME], generator, discriminator)?;
        self.average.reset(self.generator.network());
        Ok(())
    }

    /// The network that samples come from, without autodiff.
    pub fn sampler(&self) -> &M {
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

    fn side(&self) -> usize {
        self.config.side(M::IS_SECOND)
    }

    fn pictures(&self, values: &[f32], device: &Device) -> Tensor<4> {
        let side = self.side();
        let count = values.len() / (3 * side * side);
        Tensor::from_data(
            TensorData::new(values.to_vec(), [count, 3, side, side]),
            device,
        )
    }

    /// What the discriminator is told of captions.
    fn told(&self, text: &Tensor<2>, condition: &Condition) -> Tensor<2> {
        match self.config.variant {
            Variant::Tf => text.clone(),
            Variant::Pytorch => condition.mean.clone().detach(),
        }
    }

    /// The discriminator's loss for reals and fakes (section 3.3, equation 3, with wrong pairs as fakes: Reed et al. 2016, algorithm 1).
    fn judged(
        &self,
        pictures: [Tensor<4>; 2],
        wrong: Option<Tensor<4>>,
        told: &Tensor<2>,
        at: &At,
        scalars: &mut Scalars,
    ) -> Tensor<1> {
        let judge = self.discriminator.network();
        let update = Statistics::Update;
        let [seen, made] = pictures.clone().map(|shown| judge.look(shown, update));
        let smoothing = self.config.label_smoothing;
        let real = judge.judge(seen.clone(), told.clone(), update);
        let fake = judge.judge(made.clone(), told.clone(), update);
        signals(
            scalars,
            at,
            [&real, &fake],
            Some(0.0),
            [&pictures[0], &pictures[1]],
        );
        let real = binary_cross_entropy(real, smoothing);
        let fake = binary_cross_entropy(fake, 0.0);
        let wrong = match wrong {
            Some(wrong) => judge.judge(judge.look(wrong, update), told.clone(), update),
            // The next picture's caption.
            None => {
                let pairs = told.dims()[0] - 1;
                let seen = seen.clone().narrow(0, 0, pairs);
                judge.judge(seen, told.clone().narrow(0, 1, pairs), update)
            }
        };
        let wrong = binary_cross_entropy(wrong, 0.0);
        scalars.add("loss_real", real.clone());
        scalars.add("loss_fake", fake.clone());
        scalars.add("loss_wrong", wrong.clone());
        let (Some(alone), Some(made)) = (judge.judge_alone(seen), judge.judge_alone(made)) else {
            return real + (fake + wrong) / 2.0;
        };
        let alone = binary_cross_entropy(alone, smoothing);
        let made = binary_cross_entropy(made, 0.0);
        scalars.add("loss_real_alone", alone.clone());
        scalars.add("loss_fake_alone", made.clone());
        (real + alone) / 2.0 + (fake + wrong + made) / 3.0
    }
}

impl<M: Maker> Stage for Gan<M> {
    type Batch = Batch;
    const NAME: &'static str = M::NAME;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        at.note("real", || batch.pixels.clone());
        at.note("wrong", || batch.wrong.clone());
        at.note("text", || batch.text.clone());
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let shape = Shape::new(&self.config);
        let parts = self.config.training.accumulate;
        let share = |loss: Tensor<1>| match parts {
            1 => loss,
            parts => loss / parts as f64,
        };
        let count = batch.text.len() / shape.text / parts;
        let numbers = batch.pixels.len() / parts;
        let mut stream = at.rng("latent");
        let augment = self.config.diffaugment;
        let mut changes = at.rng("augment");
        let mut waiting = Vec::new();
        let mut gathered = Gathered::default();
        for part in 0..parts {
            let of_part = |values: &[f32], size: usize| values[part * size..][..size].to_vec();
            let real = self.pictures(&of_part(&batch.pixels, numbers), &autodiff);
            let wrong = (!batch.wrong.is_empty())
                .then(|| self.pictures(&of_part(&batch.wrong, numbers), &autodiff));
            let text = TensorData::new(
                of_part(&batch.text, count * shape.text),
                [count, shape.text],
            );
            let text = Tensor::<2>::from_data(text, &autodiff);
            let drawn = Noise::values(&shape, M::IS_SECOND, count, &mut stream);
            let noise = Noise::new(drawn, &shape, &autodiff);
            let is_live = parts == 1;
            // With several parts their graphs would not fit into memory together.
            let network = if is_live {
                self.generator.network().clone()
            } else {
                self.generator.still()
            };
            let (fake, condition) = network.make(text.clone(), noise.clone(), Statistics::Update);
            let told = self.told(&text, &condition);
            let shown = fake.clone().detach();
            let shown = [real, shown].map(|shown| augment.apply(shown, &mut changes));
            let wrong = wrong.map(|wrong| augment.apply(wrong, &mut changes));
            let loss = self.judged(shown, wrong, &told, at, &mut scalars);
            scalars.add("loss_d", loss.clone());
            gathered = self.discriminator.gather(share(loss), gathered);
            waiting.push((text, noise, is_live.then_some((fake, condition))));
        }
        let moved = self.discriminator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);

        let judge = self.discriminator.still();
        let mut gathered = Gathered::default();
        for (text, noise, made) in waiting {
            // The running statistics have seen these fakes.
            let network = self.generator.network();
            let make = || network.make(text.clone(), noise, Statistics::Batch);
            let (fake, condition) = made.unwrap_or_else(make);
            let shown = augment.apply(fake, &mut changes);
            let seen = judge.look(shown, Statistics::Update);
            let told = self.told(&text, &condition);
            let logits = judge.judge(seen.clone(), told, Statistics::Update);
            let mut convinced = GeneratorLoss::NonSaturating.of(logits);
            if let Some(alone) = judge.judge_alone(seen) {
                convinced = convinced + GeneratorLoss::NonSaturating.of(alone);
            }
            let distance = divergence(&condition);
            scalars.add("loss_g", convinced.clone());
            scalars.add("loss_kl", distance.clone());
            let loss = convinced + distance * self.config.kl_weight;
            gathered = self.generator.gather(share(loss), gathered);
        }
        let moved = self.generator.apply(gathered, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        let updates = self.generator.updates();
        self.average.follow(self.generator.network(), updates);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let mut rows = Vec::new();
        let shape = Shape::new(&self.config);
        let samples = if M::IS_SECOND { SHOWN[1] / 2 } else { SHOWN[1] };
        for (place, example) in self.examples.iter().take(SHOWN[0]).enumerate() {
            let mut stream = Stream::new(at.seed, "preview", place as u64);
            let noise = Noise::values(&shape, M::IS_SECOND, samples, &mut stream);
            let text = example.text.repeat(samples);
            let network = self.sampler();
            let mut shown = pictures(network, text.clone(), noise.clone(), &shape, &self.device);
            if M::IS_SECOND {
                let first = noise[..2].to_vec();
                let small = pictures(network.first(), text, first, &shape, &self.device);
                let pairs = small.into_iter().zip(shown);
                shown = pairs
                    .flat_map(|(small, large)| [picture::enlarge(&small, 4), large])
                    .collect();
            }
            let sheet = picture::grid(&shown, shown.len(), 2);
            rows.push((example.caption.clone(), sheet));
        }
        let panel = (!rows.is_empty()).then(|| Panel {
            name: if M::IS_SECOND { "step" } else { M::NAME },
            picture: picture::labelled(&rows),
        });
        Ok((panel.into_iter().collect(), Scalars::default()))
    }

    fn activations(&self) -> u64 {
        let side = self.side() as u64;
        let shape = discriminator::Shape::new(&self.config, M::IS_SECOND);
        // Real, fake and wrong pictures; and the generator, whose last layers are the largest: doubled, convolved and
        // normalised.
        let last = if M::IS_SECOND { 4 } else { 1 };
        3 * shape.activations() + side * side * (8 * self.config.width_g as u64 / last + 12)
    }

    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let side = self.side();
        let shown: Vec<(String, RgbImage)> = batch
            .pixels
            .chunks_exact(3 * side * side)
            .zip(&batch.captions)
            .take(SHOWN[0])
            .map(|(values, caption)| (caption.clone(), from_unit(values, 3, side, side)))
            .collect();
        Some(picture::labelled(&shown))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("generator", &mut self.generator)?;
        visit("discriminator", &mut self.discriminator)?;
        if let Some(text) = &mut self.text {
            visit("text_encoder", text)?;
        }
        let network = self.generator.network();
        self.average.visit("generator_ema", network, visit)
    }
}

impl Gan<StageTwo> {
    /// Goes on from the first stage's generator.
    ///
    /// # Errors
    /// When it is of another configuration.
    pub fn take_first(&mut self, first: &StageOne) -> Result<()> {
        let mut tensors = weights::collect(self.generator.network());
        for (name, tensor) in weights::collect(first) {
            tensors.insert(format!("STAGE1_G.{name}"), tensor);
        }
        self.generator
            .load_weights(&tensors)
            .context("the first stage's generator does not fit")?;
        self.average.reset(self.generator.network());
        Ok(())
    }
}

/// Pictures of flat embeddings and noise. Running statistics make each one independent of the others.
pub(crate) fn pictures<M: Maker>(
    network: &M,
    text: Vec<f32>,
    noise: Vec<Vec<f32>>,
    shape: &Shape,
    device: &Device,
) -> Vec<RgbImage> {
    let count = text.len() / shape.text;
    let text = Tensor::from_data(TensorData::new(text, [count, shape.text]), device);
    let noise = Noise::new(noise, shape, device);
    let (made, _) = network.make(text, noise, Statistics::Running);
    let side = made.dims()[2];
    values(made)
        .chunks_exact(3 * side * side)
        .map(|values| from_unit(values, 3, side, side))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_noise_stays_within_two_deviations() {
        let mut stream = Stream::new(3, "noise", 0);
        let kept = normal(&mut stream, 4000, Variant::Tf);
        assert_eq!(kept.len(), 4000);
        assert!(kept.iter().all(|value| value.abs() <= 2.0));
        // As if each had been drawn alone.
        let mut plain = Stream::new(3, "noise", 0).normal(5000);
        plain.retain(|value| value.abs() <= 2.0);
        assert_eq!(kept, plain[..4000]);
        let free = normal(&mut Stream::new(3, "noise", 0), 4000, Variant::Pytorch);
        assert!(free.iter().any(|value| value.abs() > 2.0));
    }
}
