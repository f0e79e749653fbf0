//! What one batch does to classifier and generator, and the losses (Salimans et al. 2016, sections 3.1 and 5).

use super::config::{Config, Flags, Method};
use super::data::{Batch, Data};
use super::evaluate::Mistakes;
use super::networks::{Classifier, Generator};
use crate::data::PROCEDURAL;
use anyhow::{Context, Result};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::command::{Launch, TrainCommand};
use gan_core::config::Configuration;
use gan_core::failure::{Kind, failure};
use gan_core::idx::Pictures;
use gan_core::layers::Statistics;
use gan_core::learner::{Ema, Learner};
use gan_core::located;
use gan_core::loss::{cross_entropy, discriminator_loss};
use gan_core::random::Stream;
use gan_core::stage::{At, Best, Panel, Scalars, Stage, fit};
use gan_core::weights::{self, Metadata};
use gan_core::{device, images, picture};
use image::RgbImage;
use std::path::Path;
use std::sync::Arc;

/// The name of the only stage.
pub const STAGE: &str = "semi";

/// `log Z`, the logit of "real": the logarithm of the sum of a picture's `exp l_k`, finite for any logits.
///
/// # Shapes
/// - `logits`: `[batch, classes]`; result `[batch, 1]`
pub fn log_z(logits: Tensor<2>) -> Tensor<2> {
    let most = logits.clone().detach().max_dim(1);
    (logits - most.clone()).exp().sum_dim(1).log() + most
}

/// The loss of pictures without labels: `-(E log D(x) + E log(1 - D(G(z)))) / 2` with `D = Z / (Z + 1)`. The paper's
/// equation has no half, the released code does.
///
/// # Shapes
/// - both: `[batch, classes]`, logits; result `[1]`
pub fn unlabelled_loss(real: Tensor<2>, fake: Tensor<2>) -> Tensor<1> {
    discriminator_loss(log_z(real), log_z(fake), 1.0) * 0.5
}

/// Feature matching: the mean squared difference of the features' means (section 3.1, divided by their number as in the
/// released code).
///
/// # Shapes
/// - both: `[batch, features]`; result `[1]`
pub fn feature_matching(real: Tensor<2>, fake: Tensor<2>) -> Tensor<1> {
    let away = fake.mean_dim(0) - real.mean_dim(0);
    (away.clone() * away).mean()
}

/// A classifier that learns from a few labels, with a generator beside it or alone.
#[derive(Debug)]
pub struct Semi {
    config: Config,
    size: (usize, usize),
    classifier: Learner<Classifier>,
    average: Ema<Classifier>,
    generator: Option<Learner<Generator>>,
    test: Arc<Pictures>,
    device: Device,
}

impl Semi {
    /// Fresh weights from the run's seed, fitted to pictures of `data`.
    pub fn new(config: &Config, data: &Data, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let size = data.size();
        let width = size.0 * size.1;
        let fitted = data.calibrating();
        let fitted = TensorData::new(fitted.clone(), [fitted.len() / width, width]);
        let classifier = Classifier::new(config, width, &autodiff);
        let classifier = classifier.fresh(seed, Tensor::from_data(fitted, device));
        let learner = |network| Learner::new(network, config.rule(), config.lr, config.schedule());
        let generator = (config.method == Method::Gan).then(|| {
            let network = Generator::new(config, width, &autodiff).fresh(seed);
            Learner::new(network, config.rule(), config.lr, config.schedule())
        });
        Self {
            average: Ema::new(&classifier, config.ema_decay),
            classifier: learner(classifier),
            generator,
            test: data.test(),
            config: config.clone(),
            size,
            device: device.clone(),
        }
    }

    /// Takes the weights of a checkpoint: of the classifier, and of the generator where both sides have one.
    ///
    /// # Errors
    /// When the file is missing or of another network.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        if located::is_single_file(place) {
            return Err(failure(
                Kind::Usage,
                format!("{} is a file: name a run or a step folder", place.display()),
            ));
        }
        let find =
            |networks: &[&str]| located::find(Some(place), out, Config::WORD, &[STAGE], networks);
        let found = find(&["classifier"])?;
        self.classifier.load_weights(&found.file.tensors)?;
        if let Some(generator) = &mut self.generator {
            // A classifier that learned from labels alone has none beside it.
            let found = find(&["generator", "classifier"])?;
            if found.path.ends_with("generator.safetensors") {
                generator.load_weights(&found.file.tensors)?;
            }
        }
        self.average.reset(self.classifier.network());
        Ok(())
    }

    /// The printed networks.
    pub fn describe(&self) -> String {
        let classifier = self.classifier.network();
        match &self.generator {
            Some(generator) => format!("{}\n{classifier}", generator.network()),
            None => classifier.to_string(),
        }
    }

    /// What the running average takes wrongly among the test pictures.
    ///
    /// # Errors
    /// As [`Mistakes::of`].
    pub fn mistakes(&self) -> Result<Mistakes> {
        Mistakes::of(self.average.network(), &self.test, &self.device)
    }

    fn pictures(&self, values: Vec<f32>) -> Tensor<2> {
        let width = self.size.0 * self.size.1;
        let data = TensorData::new(values.clone(), [values.len() / width, width]);
        Tensor::from_data(data, &self.device.clone().autodiff())
    }

    fn sheet(&self, values: &[f32], columns: usize) -> RgbImage {
        let (height, width) = self.size;
        let shown: Vec<RgbImage> = values
            .chunks_exact(height * width)
            .map(|values| {
                let unit: Vec<f32> = values.iter().map(|value| 2.0 * value - 1.0).collect();
                images::from_unit(&unit, 1, height, width)
            })
            .collect();
        picture::grid(&shown, columns, 2)
    }

    fn learn_from_labels(&mut self, batch: Batch, at: &At) -> Scalars {
        let mut scalars = Scalars::default();
        let shown = self.pictures(batch.labelled);
        let mut noise = at.rng("noise");
        let logits = self.classifier.network().forward(shown, Some(&mut noise));
        let loss = cross_entropy(logits, &batch.classes);
        scalars.add("loss_labelled", loss.clone());
        let moved = self.classifier.descend(loss, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);
        scalars
    }
}

impl Stage for Semi {
    type Batch = Batch;
    const NAME: &'static str = STAGE;
    // What is counted on test pictures must not choose the checkpoint: the last one counts.
    const BEST: Best = Best::Untold;

    fn step(&mut self, batch: Batch, at: &At) -> Result<Scalars> {
        let Some(mut generator) = self.generator.take() else {
            let scalars = self.learn_from_labels(batch, at);
            let updates = self.classifier.updates();
            self.average.follow(self.classifier.network(), updates);
            return Ok(scalars);
        };
        let mut scalars = Scalars::default();
        let labelled = self.pictures(batch.labelled);
        let real = self.pictures(batch.unlabelled);
        let ([told, _], [count, _]) = (labelled.dims(), real.dims());
        let width = self.config.latent_dim;
        let latent = self
            .config
            .prior()
            .draw(&mut at.rng("latent"), count * width);
        let latent = TensorData::new(latent, [count, width]);
        let latent = Tensor::from_data(latent, &self.device.clone().autodiff());
        let fake = generator.network().forward(latent, Statistics::Update);

        // No picture's logits depend on another's: the three kinds are one batch.
        let all = Tensor::cat(vec![labelled, real.clone(), fake.clone().detach()], 0);
        let mut noise = at.rng("noise");
        let logits = self.classifier.network().forward(all, Some(&mut noise));
        let labelled_logits = logits.clone().narrow(0, 0, told);
        let real_logits = logits.clone().narrow(0, told, count);
        let fake_logits = logits.narrow(0, told + count, count);
        scalars.add("d_real", sigmoid(log_z(real_logits.clone())).mean());
        scalars.add("d_fake", sigmoid(log_z(fake_logits.clone())).mean());
        let loss_labelled = cross_entropy(labelled_logits, &batch.classes);
        let loss_unlabelled = unlabelled_loss(real_logits, fake_logits);
        scalars.add("loss_labelled", loss_labelled.clone());
        scalars.add("loss_unlabelled", loss_unlabelled.clone());
        let loss = loss_labelled + loss_unlabelled * self.config.unlabelled_weight;
        let moved = self.classifier.descend(loss, at);
        moved.tell(&mut scalars, ["lr_d", "grad_norm_d"]);
        let updates = self.classifier.updates();
        self.average.follow(self.classifier.network(), updates);

        let judge = self.classifier.still();
        let mut noise = at.rng("noise/generator");
        let wanted = judge.features(real, Some(&mut noise)).detach();
        let found = judge.features(fake, Some(&mut noise));
        let loss = feature_matching(wanted, found);
        scalars.add("loss_g", loss.clone());
        let moved = generator.descend(loss, at);
        moved.tell(&mut scalars, ["lr_g", "grad_norm_g"]);
        self.generator = Some(generator);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let scalars = Scalars::default();
        let Some(generator) = &self.generator else {
            return Ok((Vec::new(), scalars));
        };
        let width = self.config.latent_dim;
        let mut stream = Stream::new(at.seed, "preview", 0);
        let latent = self.config.prior().draw(&mut stream, 64 * width);
        let latent = Tensor::from_data(TensorData::new(latent, [64, width]), &self.device);
        let made = generator.snapshot().forward(latent, Statistics::Running);
        let panel = Panel {
            name: "step",
            picture: self.sheet(&weights::values(made), 8),
        };
        Ok((vec![panel], scalars))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let mistakes = self.mistakes()?;
        let mut scalars = Scalars::default();
        scalars.put("errors", mistakes.errors() as f64);
        scalars.put("error_percent", mistakes.percent());
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let config = &self.config;
        let sum = |widths: &[usize]| widths.iter().sum::<usize>() as u64;
        let picture = (self.size.0 * self.size.1) as u64;
        // With noise and without.
        let classifier = 2 * (sum(&config.classifier_hidden) + picture);
        match config.method {
            Method::Gan => 3 * classifier + 3 * sum(&config.generator_hidden) + picture,
            Method::Labels => classifier,
        }
    }

    /// The labelled pictures.
    fn reals(&self, batch: &Batch) -> Option<RgbImage> {
        let size = self.size.0 * self.size.1;
        let mut order: Vec<usize> = (0..batch.classes.len()).collect();
        order.sort_by_key(|place| batch.classes[*place]);
        let sorted: Vec<f32> = order
            .into_iter()
            .take(200)
            .flat_map(|place| &batch.labelled[place * size..(place + 1) * size])
            .copied()
            .collect();
        Some(self.sheet(&sorted, 10))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("classifier", &mut self.classifier)?;
        if let Some(generator) = &mut self.generator {
            visit("generator", generator)?;
        }
        let network = self.classifier.network();
        self.average.visit("classifier_ema", network, visit)
    }
}

/// `vanilla semi train`.
///
/// # Errors
/// As [`gan_core::stage::fit`], and [`Kind::Usage`] for a wrong configuration.
pub fn train(command: &TrainCommand<Flags>) -> Result<()> {
    run(command).map(|_| ())
}

/// Trains, or goes on, and returns the stage; `None` with `--dry-run`.
pub(super) fn run(command: &TrainCommand<Flags>) -> Result<Option<Semi>> {
    let launch = Launch::<Config>::new(command)?;
    let config = &launch.config;
    let device = device::parse(&config.training.device)?;
    let source = Data::open(config)?;
    let mut semi = Semi::new(config, &source, &device);
    if let Some(place) = launch.init_from() {
        semi.init_from(place, launch.out())
            .with_context(|| format!("--init-from {}", place.display()))?;
    }
    if launch.is_dry(&semi.describe())? {
        return Ok(None);
    }
    let is_procedural = config.training.data.is_empty();
    let (height, width) = source.size();
    let extra = Metadata::from([
        ("value_range".to_owned(), "[0, 1]".to_owned()),
        ("sample_size".to_owned(), format!("{height}x{width}")),
    ]);
    let (mut run, plan) = launch.start(&source, is_procedural.then_some(PROCEDURAL), extra)?;
    fit(&mut semi, &source, &plan, &mut run)?;
    Ok(Some(semi))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
        Tensor::from_data(values, &Device::flex())
    }

    fn number(tensor: Tensor<1>) -> f64 {
        f64::from(weights::values(tensor)[0])
    }

    #[test]
    fn the_logit_of_real_by_hand() {
        // Z = 1 + 3 = 4, and Z = e^1000 + e^999.
        let found = weights::values(log_z(tensor([[0.0, 3f32.ln()], [1000.0, 999.0]])));
        assert!((f64::from(found[0]) - 4f64.ln()).abs() < 1e-6);
        assert!((f64::from(found[1]) - (1000.0 + (1.0 + (-1f64).exp()).ln())).abs() < 1e-3);
        // So D = Z / (Z + 1) = 0.8.
        let share = weights::values(sigmoid(log_z(tensor([[0.0, 3f32.ln()]]))));
        assert!((share[0] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn the_loss_without_labels_by_hand() {
        // Reals: Z = 4 and 1, D = 0.8 and 0.5. Fakes: Z = 1/2, D = 1/3.
        let half = 0.5f32.ln();
        let real = tensor([[0.0, 3f32.ln()], [half, half]]);
        let quarter = 0.25f32.ln();
        let fake = tensor([[quarter, quarter]]);
        let expected = -0.5 * ((0.8f64.ln() + 0.5f64.ln()) / 2.0 + (2.0f64 / 3.0).ln());
        assert!((number(unlabelled_loss(real, fake)) - expected).abs() < 1e-6);
    }

    #[test]
    fn feature_matching_by_hand() {
        // Means (2, 5) and (1, 1): (1 + 16) / 2.
        let real = tensor([[1.0, 4.0], [3.0, 6.0]]);
        let fake = tensor([[0.0, 0.0], [2.0, 2.0]]);
        assert!((number(feature_matching(real, fake)) - 8.5).abs() < 1e-6);
    }
}
