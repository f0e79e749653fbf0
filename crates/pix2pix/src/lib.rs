//! Image-to-image translation from pairs (Isola, Zhu, Zhou and Efros 2017, <https://arxiv.org/abs/1611.07004>).
//!
//! The generator, a U-Net, turns an input picture `[batch, 3, 256, 256]` into an output picture of the same size:
//! label maps into facades, edges into shoes, maps into aerial views. The discriminator sees both together,
//! `[batch, 6, 256, 256]`, and says of each of 30 x 30 overlapping patches whether the pair is real. The generator
//! also learns from its L1 distance to the right answer, which gives the large shapes; the discriminator gives the
//! sharpness that L1 alone would blur. The only noise is dropout, which stays on when pictures are translated.
//!
//! ```no_run
//! let translator = pix2pix::open("runs/pix2pix/001")?;
//! let picture = image::open("labels.png")?.to_rgb8();
//! translator.picture(&picture)?.save("facade.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod config;
pub mod data;
pub mod discriminator;
mod edges;
pub mod facades;
pub mod generator;
pub mod pairs;
pub mod train;
pub mod translate;

pub use config::Config;
pub use translate::open;
pub use translation::translator::{Inference, Translator};
