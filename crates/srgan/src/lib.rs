//! Single-image super-resolution (Ledig et al. 2017, <https://arxiv.org/abs/1609.04802>).

pub mod config;
pub mod data;
pub mod degrade;
pub mod discriminator;
pub mod generator;
mod msrresnet;
mod prelu;
pub mod recognise;
pub mod scenes;
mod shuffle;
mod srresnet;
pub mod train;
mod validation;
pub mod vgg;

pub use config::Config;
