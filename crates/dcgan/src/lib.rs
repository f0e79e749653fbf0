//! Deep convolutional GAN (Radford, Metz and Chintala 2016, <https://arxiv.org/abs/1511.06434>).
//!
//! The generator turns noise `[batch, 100]` into pictures `[batch, 3, 64, 64]` by strided transposed
//! convolutions; the discriminator mirrors it with strided convolutions and ends in one logit. Batch
//! normalisation, ReLU in one and LeakyReLU in the other, no pooling and no dense layers: the recipe
//! that made convolutional GANs train. A trained discriminator is also a feature extractor.
//!
//! ```no_run
//! let sampler = dcgan::Sampler::open("runs/dcgan/001")?;
//! let pictures = sampler.sample(&[0, 1, 2]);
//! pictures[0].save("face.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod complete;
pub mod config;
pub mod data;
pub mod discriminator;
pub mod faces;
pub mod features;
pub mod generate;
pub mod generator;
pub mod sweep;
pub mod train;

pub use config::Config;
pub use generate::Sampler;
