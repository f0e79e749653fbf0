//! Convolutions and their companions at the machine's speed.
//!
//! The functions of this module take slices: [`convolve`], [`transpose`] and [`weight_gradient`] with one
//! [`Geometry`], [`linear()`] and its gradients, [`normalise()`], [`activate`], [`pool()`], [`reflect`], [`adam`]. [`layers`] has them
//! as layers and functions of burn's tensors, with backward passes; [`Operators`] is what plugs them in.
//! Everything is in single precision; no result depends on the number of threads.

mod activation;
pub mod allocator;
mod backward;
mod descent;
mod extension;
mod flex;
mod geometry;
mod kernel;
pub mod layers;
mod linear;
mod multiply;
mod normalise;
mod operators;
mod picture;
mod pool;
mod reflection;
mod simd;
mod sum;
pub mod threads;
mod transposition;
mod weights;
mod winograd;
mod workspace;

pub use activation::{Activation, activate, activate_gradient};
pub use descent::{Adam, adam, average};
pub use extension::{Operators, PerChannel, Window};
pub use geometry::Geometry;
pub use linear::{linear, linear_input, linear_weight};
pub use normalise::{Groups, Normalised, NormalisedGradient, normalise, normalise_gradient, scale};
pub use operators::{
    bias_gradient, convolve, convolve_and, transpose, transpose_and, weight_gradient,
};
pub use pool::{Pool, Taken, pool, pool_gradient};
pub use reflection::{reflect, reflect_gradient};
pub use simd::Level;
pub use sum::sum;
