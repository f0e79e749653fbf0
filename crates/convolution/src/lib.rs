//! Convolutions and their companions at the machine's speed.

mod geometry;
mod kernel;
mod multiply;
mod operators;
mod picture;
mod simd;
mod sum;
mod weights;
mod workspace;

pub use geometry::Geometry;
pub use operators::{bias_gradient, convolve, transpose, weight_gradient};
pub use simd::Level;
pub use sum::sum;
