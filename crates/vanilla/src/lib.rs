//! The first GAN (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>).
//!
//! A generator turns noise `[batch, 100]` into flat pictures `[batch, 784]`; a discriminator turns a
//! picture into one logit. The discriminator learns to tell real digits from generated ones, the
//! generator to make it fail, and at the equilibrium the generated digits are distributed as the
//! real ones. Both are multilayer perceptrons. On a ring of eight Gaussians the same code shows what
//! mode collapse is, and counts it.
//!
//! ```no_run
//! let sampler = vanilla::Sampler::open("runs/vanilla/001")?;
//! let pictures = sampler.sample(&[0, 1, 2]);
//! pictures[0].save("digit.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod config;
pub mod coverage;
pub mod data;
pub mod digits;
pub mod discriminator;
pub mod generate;
pub mod generator;
pub mod lab;
pub mod ring;
pub mod semi;
pub mod sweep;
pub mod train;

pub use config::Config;
pub use generate::Sampler;
