//! Unpaired image-to-image translation (Zhu, Park, Isola and Efros 2017, <https://arxiv.org/abs/1703.10593>).
//!
//! Two generators learn the ways between two domains of pictures that nobody has paired: G_A turns
//! `[batch, 3, 256, 256]` of A into pictures of B, G_B goes back. Each has a discriminator that compares what it makes
//! with real pictures of its domain, patch by patch. What ties a result to its picture is the cycle: there and back
//! again should give the picture itself. An identity loss keeps colours, and a pool of 50 made pictures keeps the
//! discriminators from forgetting.
//!
//! ```no_run
//! let translator = cyclegan::open("runs/cyclegan/001", cyclegan::Direction::A2b)?;
//! let picture = image::open("painting.png")?.to_rgb8();
//! translator.picture(&picture)?.save("photograph.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod config;
pub mod data;
pub mod discriminator;
pub mod generator;
pub mod judge;
pub mod judging;
pub mod pool;
pub mod scenes;
pub mod train;
pub mod translate;

pub use config::Config;
pub use translate::{Direction, open};
pub use translation::translator::{Inference, Translator};
