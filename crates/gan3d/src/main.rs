//! The `gan3d` binary.

use gan_core::command::{self, *};
use gan3d::{complete, config::Flags, data, features, generate, train};
use std::process::ExitCode;

/// 3D-GAN: shapes from noise, learned from voxels and meshes.
#[derive(clap::Parser)]
#[command(name = "gan3d", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Gan3d {
    /// Train; without data on procedural furniture.
    Train(TrainCommand<Flags>),
    /// Make shapes from a checkpoint: voxels, meshes, a sheet and a turntable.
    Generate(generate::GenerateCommand),
    /// Walk through the latent space, or do arithmetic in it, as an animation and a sequence of meshes.
    Interpolate(generate::WalkCommand),
    /// Fill in what a shape lacks.
    Complete(complete::CompleteCommand),
    /// Write the discriminator's pooled activations, or compare a linear classifier on them.
    Features(features::FeaturesCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Gan3d| match command {
        Gan3d::Train(command) => train::train(&command),
        Gan3d::Generate(command) => generate::generate(&command),
        Gan3d::Interpolate(command) => generate::interpolate(&command),
        Gan3d::Complete(command) => complete::run(&command),
        Gan3d::Features(command) => features::run(&command),
        Gan3d::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
