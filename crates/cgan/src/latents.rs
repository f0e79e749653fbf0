//! The third stage: for each face the latent vector whose picture is most like it, sought from where the encoder points
//! (Antipov et al. 2017, section 3: "latent vector optimization").

use crate::config::Config;
use crate::data::{Sample, conditions, pictures};
use crate::embedding::Embedding;
use crate::encoder::Encoder;
use crate::gan::{sample, to_picture};
use crate::generator::Generator;
use anyhow::Result;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::{Checkpoint, PartFile, sha256};
use gan_core::failure::{Kind, failure};
use gan_core::images::to_unit;
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::optimizer::Schedule;
use gan_core::picture;
use gan_core::samples::Content;
use gan_core::stage::{At, Panel, Scalars, Stage};
use gan_core::weights::{HostTensor, Network, Tensors, WeightFile, values};
use std::collections::BTreeMap;

/// Faces whose latent vectors are sought together.
const TOGETHER: usize = 16;

/// Faces in a picture of how it is doing.
const SHOWN: usize = 8;

/// Which latent vectors of a face there are, in their order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Latent {
    /// z0: where the encoder points.
    Initial,
    /// Optimised so that pixels are alike: what the paper compares with.
    Pixels,
    /// Optimised so that the person is the same: the paper's.
    Identity,
}

impl Latent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Initial, Self::Pixels, Self::Identity];

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Pixels => "pixels",
            Self::Identity => "identity",
        }
    }
}

/// Latent vectors that learn.
#[derive(Module, Debug)]
struct Sought {
    latents: Param<Tensor<2>>,
}

impl Network for Sought {}

/// What finds latent vectors: a generator that stands still, and what compares pictures.
#[derive(Debug)]
pub struct Seeker {
    generator: Generator,
    encoder: Encoder,
    embedding: Option<Embedding>,
    config: Config,
    device: Device,
}

impl Seeker {
    /// One from networks without autodiff. Without an embedding, persons cannot be compared.
    pub fn new(
        config: &Config,
        generator: Generator,
        encoder: Encoder,
        embedding: Option<Embedding>,
        device: &Device,
    ) -> Self {
        Self {
            generator: generator.train().no_grad(),
            encoder,
            embedding: embedding.map(Embedding::still),
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// The generator, as it is sampled from.
    pub fn generator(&self) -> Generator {
        self.generator.valid()
    }

    /// The latent vectors of some faces of some classes: `[faces, latent_dim]`, flat.
    ///
    /// `faces` are pictures in [-1, 1], planar, one after the other.
    ///
    /// # Panics
    /// For [`Latent::Identity`], without an embedding.
    pub fn seek(&self, faces: &[f32], classes: &[u8], which: Latent) -> Vec<f32> {
        // No face depends on another: a few at a time take less memory.
        let some = faces.chunks(TOGETHER * self.config.pixels());
        let all = some.zip(classes.chunks(TOGETHER));
        all.flat_map(|(faces, classes)| self.seek_some(faces, classes, which))
            .collect()
    }

    fn seek_some(&self, faces: &[f32], classes: &[u8], which: Latent) -> Vec<f32> {
        let seen = pictures(faces.to_vec(), &self.config, &self.device);
        let start = values(self.encoder.forward(seen, Statistics::Running));
        match which {
            Latent::Initial => start,
            Latent::Pixels => {
                let target = self.still(faces);
                let distance = |made: Tensor<4>| lengths((made - target.clone()).flatten(1, 3));
                self.optimise(start, classes, &distance)
            }
            Latent::Identity => {
                let embedding = self
                    .embedding
                    .as_ref()
                    .expect("an embedding to compare with");
                let target = embedding.embed(self.still(faces)).detach();
                let distance = |made: Tensor<4>| lengths(embedding.embed(made) - target.clone());
                self.optimise(start, classes, &distance)
            }
        }
    }

    fn still(&self, faces: &[f32]) -> Tensor<4> {
        pictures(
            faces.to_vec(),
            &self.config,
            &self.device.clone().autodiff(),
        )
    }

    /// Lessens the sum of the distances of all pictures; since no picture's distance depends on another's latent vector,
    /// and Adam looks at each number alone, each face is sought as if it were the only one.
    fn optimise(
        &self,
        start: Vec<f32>,
        classes: &[u8],
        distance: &dyn Fn(Tensor<4>) -> Tensor<1>,
    ) -> Vec<f32> {
        let config = &self.config;
        let autodiff = self.device.clone().autodiff();
        let count = classes.len();
        let conditions = conditions(classes, &config.classes(), &autodiff);
        let data = TensorData::new(start, [count, config.latent_dim]);
        let sought = Sought {
            latents: Param::from_tensor(Tensor::from_data(data, &autodiff)),
        };
        let (rule, rate) = (Config::plain_rule(), config.latent_lr);
        let mut learner = Learner::new(sought, rule, rate, Schedule::Constant);
        for step in 0..config.latent_steps {
            let latents = learner.network().latents.val();
            let made = self
                .generator
                .forward(latents, conditions.clone(), Statistics::Running);
            learner.descend(distance(made), &At::new(0, step, config.latent_steps));
        }
        values(learner.network().latents.val())
    }
}

/// The sum over rows of their Euclidean lengths, `[1]`.
fn lengths(rows: Tensor<2>) -> Tensor<1> {
    // The square root has no slope at 0.
    ((rows.clone() * rows).sum_dim(1) + 1e-12).sqrt().sum()
}

/// A sum over faces, so that latent vectors are never taken for those of others.
pub fn sum_of(faces: &[Sample]) -> String {
    let sums: String = faces.iter().map(Content::sum).collect();
    sha256(sums.as_bytes())
}

/// The key of [`sum_of`] in the metadata of latent vectors.
pub const FACES: &str = "faces";

/// The key of how many faces have their latent vectors.
pub const FOUND: &str = "found";

/// What was found so far.
#[derive(Debug, Clone, Default)]
struct Table {
    count: usize,
    width: usize,
    faces: String,
    /// The first so many faces have their latent vectors.
    done: usize,
    found: BTreeMap<Latent, Vec<f32>>,
}

impl Checkpoint for Table {
    fn files(&self) -> Vec<PartFile> {
        let tensors = Latent::ALL.map(|which| {
            let mut values = self.found.get(&which).cloned().unwrap_or_default();
            values.resize(self.count * self.width, 0.0);
            let shape = vec![self.count, self.width];
            (which.name().to_owned(), HostTensor { shape, values })
        });
        let mut file = PartFile::weights(Tensors::from(tensors));
        file.metadata = BTreeMap::from([
            (FACES.to_owned(), self.faces.clone()),
            (FOUND.to_owned(), self.done.to_string()),
        ]);
        vec![file]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let WeightFile {
            mut tensors,
            metadata,
        } = read("")?;
        if metadata.get(FACES) != Some(&self.faces) {
            return Err(failure(
                Kind::Checkpoint,
                "the latent vectors are those of other faces: what is held out has changed",
            ));
        }
        let done = metadata.get(FOUND).and_then(|text| text.parse().ok());
        self.done = done.filter(|done| *done <= self.count).ok_or_else(|| {
            failure(
                Kind::Checkpoint,
                "the latent vectors do not say how many were found",
            )
        })?;
        for which in Latent::ALL {
            let shape = [self.count, self.width];
            let tensor = tensors.remove(which.name());
            let Some(tensor) = tensor.filter(|tensor| tensor.shape == shape) else {
                return Err(failure(
                    Kind::Checkpoint,
                    format!(
                        "tensor {} of the latent vectors is not {shape:?}",
                        which.name()
                    ),
                ));
            };
            self.found.insert(which, tensor.values);
        }
        Ok(())
    }
}

/// Seeks the latent vectors of held-out faces, a batch of them each step.
#[derive(Debug)]
pub struct Latents {
    config: Config,
    seeker: Seeker,
    faces: Vec<Sample>,
    table: Table,
    device: Device,
}

impl Latents {
    /// The stage for these held-out faces.
    pub fn new(config: &Config, seeker: Seeker, faces: Vec<Sample>, device: &Device) -> Self {
        Self {
            table: Table {
                count: faces.len(),
                width: config.latent_dim,
                faces: sum_of(&faces),
                done: 0,
                found: BTreeMap::new(),
            },
            config: config.clone(),
            seeker,
            faces,
            device: device.clone(),
        }
    }

    /// Steps until every face has been looked at.
    pub fn steps(&self) -> usize {
        self.faces.len().div_ceil(self.config.training.batch_size)
    }

    /// The latent vectors of one kind, `[faces, latent_dim]`, flat.
    pub fn found(&self, which: Latent) -> &[f32] {
        self.table.found.get(&which).map_or(&[], Vec::as_slice)
    }

    /// The faces, in the order of their latent vectors.
    pub fn faces(&self) -> &[Sample] {
        &self.faces
    }
}

impl Stage for Latents {
    type Batch = ();
    const NAME: &'static str = "latent";

    fn step(&mut self, _batch: (), at: &At) -> Result<Scalars> {
        let size = self.config.training.batch_size;
        let first = at.step as usize * size;
        let some = &self.faces[first..(first + size).min(self.faces.len())];
        let bytes = some.iter().flat_map(|sample| &sample.pixels);
        let faces: Vec<f32> = bytes.copied().map(to_unit).collect();
        let classes: Vec<u8> = some.iter().map(|sample| sample.class).collect();
        let width = self.config.latent_dim;
        for which in Latent::ALL {
            let latents = self.seeker.seek(&faces, &classes, which);
            let table = self.table.found.entry(which).or_default();
            table.resize(self.table.count * width, 0.0);
            table[first * width..][..latents.len()].copy_from_slice(&latents);
        }
        self.table.done = first + some.len();
        let mut scalars = Scalars::default();
        scalars.put("faces", self.table.done as f64);
        Ok(scalars)
    }

    fn preview(&self, at: &At) -> Result<(Vec<Panel>, Scalars)> {
        let scalars = Scalars::default();
        if at.step == 0 {
            return Ok((Vec::new(), scalars));
        }
        let config = &self.config;
        let generator = self.seeker.generator();
        let shown = self.faces.len().min(SHOWN);
        let rows: Vec<_> = (0..shown)
            .map(|place| {
                let face = &self.faces[place];
                let values: Vec<f32> = face.pixels.iter().copied().map(to_unit).collect();
                let mut row = vec![to_picture(&values, config)];
                let width = config.latent_dim;
                for which in Latent::ALL {
                    let latent = self.found(which)[place * width..][..width].to_vec();
                    let told = config.classes().condition(usize::from(face.class));
                    row.extend(sample(&generator, latent, told, config, &self.device));
                }
                row
            })
            .collect();
        let names: Vec<&str> = std::iter::once("face")
            .chain(Latent::ALL.map(Latent::name))
            .collect();
        let panel = Panel {
            name: Self::NAME,
            picture: picture::table(&names, &rows),
        };
        Ok((vec![panel], scalars))
    }

    fn parts(
        &mut self,
        visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> Result<()>,
    ) -> Result<()> {
        visit("latents", &mut self.table)
    }
}
