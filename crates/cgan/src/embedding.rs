//! What tells how alike two faces are: a network that others trained on millions of photographs, or the small one that
//! is trained here.

use crate::config::Config;
use crate::inception_resnet::{self, InceptionResnet};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::config::from_identity;
use gan_core::failure::{Kind, failure};
use gan_core::judge::Judge;
use gan_core::layers::Statistics;
use gan_core::located;
use gan_core::weights;
use std::path::Path;

/// Numbers of the small embedding.
pub const EMBEDDING: usize = 128;

/// A face embedding.
#[derive(Debug)]
pub enum Embedding {
    /// Inception-ResNet-V1 as facenet-pytorch has it.
    Facenet(Box<InceptionResnet>),
    /// That of `cgan train-embedding`.
    Small(Box<Judge>),
}

impl Embedding {
    /// Loads one for pictures of `config`: a file in facenet-pytorch's layout, or a run, a step folder or a file of
    /// `cgan train-embedding`.
    ///
    /// # Errors
    /// [`Kind::Checkpoint`] when it is neither, or was trained on pictures of another size.
    pub fn open(place: &Path, out: &Path, config: &Config, device: &Device) -> Result<Self> {
        if located::is_single_file(place) {
            let file = weights::read(place)?;
            if inception_resnet::is_one(&file.tensors) {
                let network = InceptionResnet::load(file.tensors, device)
                    .with_context(|| format!("loading {}", place.display()))?;
                return Ok(Self::Facenet(Box::new(network)));
            }
        }
        let found = located::find(Some(place), out, "cgan", &["embedding"], &["embedding"])?;
        let path = found.path.display().to_string();
        let Some(text) = found.config() else {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{path} is neither an embedding of `cgan train-embedding` nor in the layout of facenet-pytorch's \
                     Inception-ResNet-V1"
                ),
            ));
        };
        let trained: Config = from_identity(&path, text)?;
        let sizes = |config: &Config| [config.image_size, config.channels];
        if sizes(&trained) != sizes(config) {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{path} looks at pictures of {} pixels and {} channels, not of {} and {}: train one with the same \
                     --image-size and --channels",
                    trained.image_size, trained.channels, config.image_size, config.channels
                ),
            ));
        }
        let shape = trained.judge(trained.width_embedding, EMBEDDING);
        weights::check_size(shape.least_size(), &found.file.tensors)
            .with_context(|| format!("reading {path}"))?;
        let network = Judge::new(&shape, device);
        let network = weights::apply(network, &found.file.tensors)
            .with_context(|| format!("loading {path}"))?;
        Ok(Self::Small(Box::new(network.valid())))
    }

    /// What it is, in a few words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Facenet(_) => "Inception-ResNet-V1 (FaceNet)",
            Self::Small(_) => "the small embedding of this project",
        }
    }

    /// Whether another is the same network with the same weights.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Facenet(one), Self::Facenet(two)) => {
                weights::collect(&**one) == weights::collect(&**two)
            }
            (Self::Small(one), Self::Small(two)) => {
                weights::collect(&**one) == weights::collect(&**two)
            }
            _ => false,
        }
    }

    /// The same network on another device, through which gradients flow to the pictures and which stands still.
    #[must_use]
    pub fn still(self) -> Self {
        match self {
            Self::Facenet(network) => Self::Facenet(Box::new(network.train().no_grad())),
            Self::Small(network) => Self::Small(Box::new(network.train().no_grad())),
        }
    }

    /// Rows of length 1, whose products tell how alike faces are.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, channels, side, side]`, in [-1, 1]
    /// - result: `[batch, 512]` or `[batch, 128]`
    pub fn embed(&self, pictures: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Facenet(network) => network.embed(pictures),
            Self::Small(network) => network.embed(pictures, Statistics::Running),
        }
    }
}
