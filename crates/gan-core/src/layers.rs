//! Layers that burn has in a form which does not fit a GAN: batch normalisation with three modes
//! and PyTorch's running variance, and dropout that is fed from a named stream; and the convolutions
//! and activations of the `convolution` crate.

pub use convolution::layers::{
    Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvTranspose2d, ConvTranspose2dConfig,
    ConvTranspose3d, ConvTranspose3dConfig, Layer, Linear, activation, pool, reflect,
};
pub use convolution::{Activation, Pool, Taken};

mod batch_norm;
mod dropout;
mod instance_norm;
mod minibatch;
mod norm;
mod spectral_norm;
mod virtual_batch_norm;

pub use batch_norm::{BatchNorm, Statistics};
pub use dropout::Dropout;
pub use instance_norm::InstanceNorm;
pub use minibatch::MinibatchDiscrimination;
pub use norm::{Norm, NormLayer};
pub use spectral_norm::SpectralNorm;
pub use virtual_batch_norm::VirtualBatchNorm;
