//! Layers that burn has in a form which does not fit a GAN: batch normalisation with three modes
//! and PyTorch's running variance, and dropout that is fed from a named stream.

mod batch_norm;
mod dropout;

pub use batch_norm::{BatchNorm, Statistics};
pub use dropout::Dropout;
