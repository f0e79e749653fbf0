//! The stage before the first: the text encoder learns which caption belongs to which picture (Reed et al. 2016,
//! <https://arxiv.org/abs/1605.05395>: the symmetric joint embedding, as StackGAN's authors took it), and which captions
//! are of one picture. The second is ours: the first alone learns for long what most pictures differ in, which is their
//! colour, and a detail only when both networks happen to see it.

use crate::config::Config;
use crate::data::{Birds, Read, Texts};
use crate::text::{self, TextEncoder, letters, on_device};
use anyhow::{Context, Result};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::Checkpoint;
use gan_core::images::from_unit;
use gan_core::init::{Initial, initialise};
use gan_core::judge::{Judge, JudgeShape, normalised};
use gan_core::layers::Statistics;
use gan_core::learner::{Gathered, Learner};
use gan_core::located;
use gan_core::loss::cross_entropy;
use gan_core::optimizer::Schedule;
use gan_core::picture;
use gan_core::stage::{At, Best, Panel, Scalars, Stage};
use gan_core::weights::values;
use image::RgbImage;
use std::path::Path;

/// Captions and pictures that are embedded together where nothing is learned.
const TOGETHER: usize = 128;

/// Divides similarities of captions before the softmax (Chen et al. 2020, <https://arxiv.org/abs/2002.05709>, table 5).
const TEMPERATURE: f64 = 0.1;

/// Pairs in the picture of a batch.
const SHOWN: usize = 8;

/// Pictures that are kept out of training, with one caption each.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// In [-1, 1], planar.
    pub pictures: Vec<Vec<f32>>,
    /// A caption of each.
    pub captions: Vec<String>,
    /// Another one of each.
    pub others: Vec<String>,
    /// The class of each.
    pub classes: Vec<u32>,
}

impl Held {
    /// Up to `most` birds, with their first captions.
    ///
    /// # Errors
    /// When a picture cannot be read.
    pub fn new(birds: &Birds, most: usize) -> Result<Self> {
        let mut held = Self::default();
        for sample in birds.some(most)? {
            held.pictures.push(birds.middle(&sample));
            let captions = &birds.captions[sample.place as usize];
            held.captions.push(captions[0].clone());
            held.others.push(captions[captions.len() - 1].clone());
            held.classes.push(sample.class);
        }
        Ok(held)
    }
}

/// By how much captions fit pictures of other classes better than their own, and pictures such captions: the mean over
/// all pairs of different classes of `max(0, 1 - own + other)`, both ways (Reed et al. 2016, equation 4, with a batch in
/// place of the expectation).
///
/// # Shapes
/// - both: `[batch, width]`, partners at the same place; `classes`: `batch` of them, not all equal; result `[1]`
pub fn joint_loss(texts: Tensor<2>, pictures: Tensor<2>, classes: &[u32]) -> Tensor<1> {
    let others = others(classes, &texts.device());
    let number = (0..classes.len())
        .flat_map(|one| classes.iter().map(move |two| (one, two)))
        .filter(|(one, two)| classes[*one] != **two)
        .count()
        .max(1);
    let own = (texts.clone() * pictures.clone()).sum_dim(1);
    let scores = texts.matmul(pictures.transpose());
    let there = relu(scores.clone() - own.clone() + 1.0);
    let back = relu(scores.transpose() - own + 1.0);
    ((there + back) * others).sum() / number as f64
}

/// 1 for each pair of different classes, `[classes, classes]`, else 0.
fn others(classes: &[u32], device: &Device) -> Tensor<2> {
    let count = classes.len();
    let values: Vec<f32> = classes
        .iter()
        .flat_map(|one| {
            classes
                .iter()
                .map(move |two| f32::from(u8::from(one != two)))
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [count, count]), device)
}

/// How much less each caption is like another one of its picture than like captions of other classes: the mean over both
/// directions of the cross-entropy of similarities ([`gan_core::loss::contrast`], without pairs of one class).
///
/// # Shapes
/// - both: `[batch, width]`, captions of one picture at the same place; result `[1]`
pub fn agreement_loss(first: Tensor<2>, second: Tensor<2>, classes: &[u32]) -> Tensor<1> {
    let device = first.device();
    let count = classes.len();
    let own = Tensor::<2>::eye(count, &device);
    // Captions of another picture of the class say nothing wrong.
    let left_out = (others(classes, &device) + own - 1.0) * 1e4;
    let logits = normalised(first).matmul(normalised(second).transpose()) / TEMPERATURE + left_out;
    let partners: Vec<usize> = (0..count).collect();
    let there = cross_entropy(logits.clone(), &partners);
    (there + cross_entropy(logits.transpose(), &partners)) / 2.0
}

/// Text encoder and a network that looks at pictures, which learn one embedding for both.
#[derive(Debug)]
pub struct Reader {
    config: Config,
    text: Learner<TextEncoder>,
    eye: Learner<Judge>,
    held: Held,
    device: Device,
}

impl Reader {
    /// Both with fresh weights from the run's seed; `held` are birds that are kept out of training.
    pub fn new(config: &Config, held: Held, device: &Device) -> Self {
        let seed = config.training.seed;
        let autodiff = device.clone().autodiff();
        let text = TextEncoder::new(&text::Shape::new(config), &autodiff);
        let text = initialise(text, Initial::FanIn, seed, "text_encoder");
        let eye = Judge::new(&eye_shape(config), &autodiff);
        let eye = initialise(eye, Initial::FanIn, seed, "image_encoder");
        let (rule, decay) = (Config::plain_rule(), Schedule::LinearDecay { start: 0.5 });
        Self {
            text: Learner::new(text, rule, config.judge_lr, decay),
            eye: Learner::new(eye, rule, config.judge_lr, decay),
            held,
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Takes the weights of both networks from a run or a step folder of this stage.
    ///
    /// # Errors
    /// When they are missing or of another configuration.
    pub fn init_from(&mut self, place: &Path, out: &Path) -> Result<()> {
        let find = |part: &str| located::find(Some(place), out, "stackgan", &[Self::NAME], &[part]);
        let found = find("text_encoder")?;
        self.text
            .load_weights(&found.file.tensors)
            .with_context(|| format!("{} does not fit", found.path.display()))?;
        // A run that borrowed its encoder has no other network.
        if let Ok(found) = find("image_encoder") {
            self.eye
                .load_weights(&found.file.tensors)
                .with_context(|| format!("{} does not fit", found.path.display()))?;
        }
        Ok(())
    }

    /// The text encoder, without autodiff.
    pub fn encoder(&self) -> TextEncoder {
        self.text.snapshot()
    }

    /// The printed networks.
    pub fn describe(&self) -> String {
        format!("{}\n{}", self.text.network(), self.eye.network())
    }

    fn pictures(&self, values: Vec<f32>, device: &Device) -> Tensor<4> {
        let side = self.config.image_size;
        let count = values.len() / (3 * side * side);
        Tensor::from_data(TensorData::new(values, [count, 3, side, side]), device)
    }
}

fn eye_shape(config: &Config) -> JudgeShape {
    JudgeShape {
        channels: 3,
        side: config.image_size,
        width: config.width_judge,
        outputs: config.text_dim,
    }
}

/// The embedding of each sentence, brought to the length that N(0, 1) numbers have: what is learned from it should not
/// depend on how far the text encoder's numbers have grown.
pub fn embed(encoder: &TextEncoder, sentences: &[String], device: &Device) -> Vec<Vec<f32>> {
    let mut all = Vec::with_capacity(sentences.len());
    for some in sentences.chunks(TOGETHER) {
        let read: Vec<_> = some.iter().map(|sentence| letters(sentence)).collect();
        let found = encoder.forward(on_device(&read, device));
        let width = found.dims()[1];
        let found = normalised(found) * (width as f64).sqrt();
        all.extend(values(found).chunks_exact(width).map(<[f32]>::to_vec));
    }
    all
}

/// The embeddings of all captions of a dataset.
pub fn embed_all(encoder: &TextEncoder, captions: &[Vec<String>], device: &Device) -> Texts {
    let all: Vec<String> = captions.iter().flatten().cloned().collect();
    let mut embedded = embed(encoder, &all, device).into_iter();
    let mut texts = Texts::new(embedded.as_slice().first().map_or(0, Vec::len));
    for of_bird in captions {
        let found: Vec<_> = embedded.by_ref().take(of_bird.len()).collect();
        texts.push(found.iter().map(Vec::as_slice));
    }
    texts
}

impl Stage for Reader {
    type Batch = Read;
    const NAME: &'static str = "text";
    const BEST: Best = Best::Largest;

    fn step(&mut self, batch: Read, at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let autodiff = self.device.clone().autodiff();
        let [texts, again] = batch
            .letters
            .map(|letters| self.text.network().forward(on_device(&letters, &autodiff)));
        let pictures = self.pictures(batch.pixels, &autodiff);
        let seen = self.eye.network().forward(pictures, Statistics::Update);
        let joint = joint_loss(texts.clone(), seen, &batch.classes);
        let agreement = agreement_loss(texts, again, &batch.classes);
        scalars.add("joint_loss", joint.clone());
        scalars.add("agreement_loss", agreement.clone());
        let mut gradients = (joint + agreement).backward();
        let of_text = self.text.take(&mut gradients, Gathered::Nothing);
        let of_eye = self.eye.take(&mut gradients, Gathered::Nothing);
        let moved = self.text.apply(of_text, at);
        moved.tell(&mut scalars, ["lr", "grad_norm_text"]);
        let moved = self.eye.apply(of_eye, at);
        moved.tell(&mut scalars, ["lr_eye", "grad_norm_eye"]);
        Ok(scalars)
    }

    fn preview(&self, _at: &At) -> Result<(Vec<Panel>, Scalars)> {
        Ok((Vec::new(), Scalars::default()))
    }

    fn validate(&self, _at: &At) -> Result<Scalars> {
        let mut scalars = Scalars::default();
        let held = &self.held;
        if held.captions.is_empty() {
            return Ok(scalars);
        }
        let texts = embed(&self.encoder(), &held.captions, &self.device);
        let eye = self.eye.snapshot();
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for some in held.pictures.chunks(TOGETHER) {
            let found = eye.forward(
                self.pictures(some.concat(), &self.device),
                Statistics::Running,
            );
            let width = found.dims()[1];
            seen.extend(values(found).chunks_exact(width).map(<[f32]>::to_vec));
        }
        scalars.put(
            "caption_finds_class",
            found_share(&texts, &seen, &held.classes),
        );
        let others = embed(&self.encoder(), &held.others, &self.device);
        scalars.put(
            "caption_finds_caption",
            found_share(&texts, &others, &held.classes),
        );
        scalars.put(
            "picture_finds_class",
            found_share(&seen, &texts, &held.classes),
        );
        Ok(scalars)
    }

    fn activations(&self) -> u64 {
        let shape = text::Shape::new(&self.config);
        let letters = shape.channels[0] * 198 * 3 + shape.channels[1] * 63 * 3;
        // --accumulate, by which the estimate divides, leaves these batches whole: all pairs of one are compared.
        let whole = self.config.training.accumulate as u64;
        whole * (eye_shape(&self.config).activations() + letters as u64)
    }

    fn reals(&self, batch: &Read) -> Option<RgbImage> {
        let side = self.config.image_size;
        let alphabet: Vec<char> = text::ALPHABET.chars().collect();
        let shown = batch
            .pixels
            .chunks_exact(3 * side * side)
            .zip(&batch.letters[0]);
        let rows: Vec<(String, RgbImage)> = shown
            .take(SHOWN)
            .map(|(values, letters)| {
                let known = letters.iter().take_while(|letter| **letter > 0);
                let words = known
                    .map(|letter| alphabet[usize::from(*letter) - 1])
                    .collect();
                (words, from_unit(values, 3, side, side))
            })
            .collect();
        Some(picture::labelled(&rows))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("text_encoder", &mut self.text)?;
        visit("image_encoder", &mut self.eye)
    }
}

/// The share of rows whose best partner is of their class.
fn found_share(rows: &[Vec<f32>], partners: &[Vec<f32>], classes: &[u32]) -> f64 {
    let score = |one: &[f32], two: &[f32]| -> f32 { one.iter().zip(two).map(|(a, b)| a * b).sum() };
    let right = rows.iter().zip(classes).filter(|(row, class)| {
        let scored = partners.iter().zip(classes);
        let best = scored.max_by(|one, two| score(row, one.0).total_cmp(&score(row, two.0)));
        best.is_some_and(|(_, found)| found == *class)
    });
    right.count() as f64 / rows.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_joint_loss_by_hand() {
        let device = Device::flex();
        let rows =
            |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [3, 1]), &device);
        // Scores: rows 1, 2, 0 times 1, 0.5, 3.
        let loss = joint_loss(
            rows(vec![1.0, 2.0, 0.0]),
            rows(vec![1.0, 0.5, 3.0]),
            &[7, 7, 8],
        );
        // Pairs (0, 2), (1, 2), (2, 0), (2, 1); own 1, 1, 0.
        // Captions: 1 - 1 + 3, 1 - 1 + 6, 1 - 0 + 0, 1 - 0 + 0; pictures: 1 - 1 + 0, 1 - 1 + 0, 1 - 0 + 3, 1 - 0 + 6.
        let expected = (3.0 + 6.0 + 1.0 + 1.0 + 0.0 + 0.0 + 4.0 + 7.0) / 4.0;
        assert_eq!(values(loss), [expected]);
    }

    #[test]
    fn captions_of_one_picture_agree() {
        let device = Device::flex();
        let rows = |values: [[f32; 2]; 3]| {
            Tensor::<2>::from_data(TensorData::new(values.concat(), [3, 2]), &device)
        };
        // Directions count, lengths do not; the first two are of one class, and nothing to each other.
        let first = rows([[2.0, 0.0], [0.0, 3.0], [0.0, -1.0]]);
        let second = rows([[1.0, 0.0], [0.0, 1.0], [0.0, -5.0]]);
        let loss = values(agreement_loss(first, second, &[7, 7, 8]))[0];
        // Similarities 1 with the own, 0 of the first with the third and -1 of the second with it.
        let e = |similarity: f64| (similarity / TEMPERATURE).exp();
        let rows = [
            (e(0.0) / e(1.0)).ln_1p(),
            (e(-1.0) / e(1.0)).ln_1p(),
            ((e(0.0) + e(-1.0)) / e(1.0)).ln_1p(),
        ];
        let expected = rows.iter().sum::<f64>() / 3.0;
        assert!(
            (f64::from(loss) - expected).abs() < 1e-6,
            "{loss} {expected}"
        );
    }

    #[test]
    fn partners_are_found_by_their_products() {
        let rows = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        assert_eq!(found_share(&rows, &rows, &[0, 1, 2]), 1.0 / 3.0);
        assert_eq!(found_share(&rows, &rows, &[2, 2, 2]), 1.0);
    }
}
