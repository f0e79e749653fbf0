//! How good generated pictures are, measured as the reference tools measure it.

pub mod compat;
pub mod decode;
pub mod divergence;
mod eigenvalues;
pub mod extractor;
mod failure;
pub mod features;
pub mod fid;
pub mod files;
pub mod frechet;
pub mod inception;
pub mod inception_score;
pub mod kernel;
pub mod neighbours;
pub mod npz;
pub mod paired;
pub mod parallel;
pub mod parzen;
pub mod prdc;
pub mod random;
pub mod resize;
mod rows;
#[cfg(test)]
mod samples;
pub mod sets;
pub mod source;
pub mod statistics;
