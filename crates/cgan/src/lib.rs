//! Age-cGAN (Antipov, Baccouche and Dugelay 2017, <https://arxiv.org/abs/1702.01983>): a face at other ages.
//!
//! A conditional GAN learns faces `[batch, 3, 64, 64]` of a class of age from noise `[batch, 100]` and the class. An
//! encoder learns to find the noise that a picture may have been made from; for a given photograph that first guess is
//! then improved until a face embedding takes picture and photograph for the same person. The same noise under another
//! class is the person at another age.
//!
//! ```no_run
//! let sampler = cgan::Sampler::open("runs/cgan/001")?;
//! // Seed 7 at the ages 19 to 29, and at 60 and above.
//! let faces = sampler.sample(&[7, 7], &[1, 5]);
//! faces[0].save("young.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod age;
pub mod aged_faces;
pub mod classes;
pub mod config;
pub mod data;
pub mod discriminator;
pub mod embedding;
pub mod encode;
pub mod encoder;
pub mod evaluate;
pub mod gan;
pub mod generate;
pub mod generator;
pub mod inception_resnet;
pub mod latents;
pub mod recognise;
pub mod train;
pub mod views;

pub use config::Config;
pub use generate::Sampler;
