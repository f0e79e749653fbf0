//! 3D-GAN (Wu et al. 2016, <https://arxiv.org/abs/1610.07584>): shapes from noise.
//!
//! The generator turns noise `[batch, 200]` into volumes `[batch, 1, 64, 64, 64]` by transposed 3-D convolutions; the
//! discriminator mirrors it and ends in one logit. The discriminator learns faster than the generator, so it moves only
//! while its accuracy on the last batch is at most 80 %.
//!
//! ```no_run
//! let sampler = gan3d::Sampler::open("runs/gan3d/001")?;
//! let shapes = sampler.sample(&[0, 1, 2]);
//! let mesh = gan3d::picture::mesh(&shapes[0].voxels(0.5));
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod complete;
pub mod config;
pub mod data;
pub mod discriminator;
pub mod features;
pub mod generate;
pub mod generator;
pub mod picture;
pub mod train;
pub mod volume;

pub use config::Config;
pub use generate::Sampler;
