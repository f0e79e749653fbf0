//! StackGAN (Zhang et al. 2017, <https://arxiv.org/abs/1612.03242>): from a sentence to a picture, in two stages.
//!
//! A text encoder makes an embedding `[batch, 1024]` of a sentence. The first stage draws a picture `[batch, 3, 64, 64]`
//! with the colours and the shape that it tells, from noise `[batch, 100]` and a condition `[batch, 128]` that is drawn
//! around what the sentence says; the second reads the sentence again and makes `[batch, 3, 256, 256]` of it, with detail.
//!
//! ```no_run
//! let sampler = stackgan::Sampler::open("runs/stackgan/001")?;
//! let texts = sampler.read(&["a small red bird with black wings".to_owned()])?;
//! sampler.sample(&texts, &[7])[0].save("bird.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod blocks;
pub mod config;
pub mod cub;
pub mod data;
pub mod discriminator;
pub mod drawn_birds;
pub mod embeddings;
pub mod evaluate;
pub mod gan;
pub mod generate;
pub mod generator;
pub mod judge;
pub mod pickle;
pub mod read;
pub mod recognise;
pub mod text;
pub mod train;

pub use config::Config;
pub use generate::Sampler;
