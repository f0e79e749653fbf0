//! What every GAN of the workspace shares.
//!
//! The border between this crate and an architecture is one batch: [`stage::fit`] decides when
//! things happen and what is kept, a [`stage::Stage`] decides what one batch does to which network,
//! and a [`stage::Source`] what a batch is. A [`learner::Learner`] is a network with the optimizer
//! that moves it. Nothing here names an architecture.

pub mod animation;
pub mod archive;
pub mod augment;
pub mod checkpoint;
pub mod command;
pub mod config;
pub mod console;
pub mod contract;
pub mod conversion;
pub mod dataset;
pub mod device;
pub mod doctor;
pub mod download;
pub mod drawing;
pub mod failure;
pub mod files;
pub mod folder;
pub mod history;
pub mod idx;
pub mod images;
pub mod init;
pub mod judge;
pub mod latent;
pub mod layers;
pub mod learner;
pub mod located;
pub mod loss;
pub mod matlab;
mod memory;
pub mod npz;
pub mod optimizer;
pub mod picture;
pub mod plot;
pub mod probe;
mod process;
pub mod published;
pub mod random;
pub mod regular;
pub mod report;
pub mod run;
pub mod samples;
pub mod stage;
pub mod state_dict;
pub mod sweep;
pub mod technique;
pub mod tensorboard;
pub mod tiles;
pub mod weights;

#[global_allocator]
static ALLOCATOR: convolution::allocator::Allocator = convolution::allocator::Allocator;
