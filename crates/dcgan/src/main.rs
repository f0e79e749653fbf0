//! The `dcgan` binary.

use dcgan::{complete, config::Flags, data, features, generate, sweep, train};
use gan_core::command::{self, *};
use std::process::ExitCode;

/// Deep convolutional GAN: pictures from noise, learned from any folder of pictures.
#[derive(clap::Parser)]
#[command(name = "dcgan", version, after_help = EXIT_CODES)]
enum Dcgan {
    /// Train; without data on procedural faces.
    Train(TrainCommand<Flags>),
    /// Make pictures from a checkpoint.
    Generate(GenerateCommand),
    /// Walk through the latent space, or do arithmetic in it, as an animation.
    Interpolate(InterpolateCommand),
    /// Fill in what pictures lack.
    Complete(complete::CompleteCommand),
    /// Write the discriminator's pooled activations, or compare a linear classifier on them.
    Features(features::FeaturesCommand),
    /// Train with one technique after the other, and compare them in one table.
    Sweep(gan_core::sweep::SweepCommand<Flags>),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Dcgan| match command {
        Dcgan::Train(command) => train::train(&command),
        Dcgan::Generate(command) => generate::generate(&command),
        Dcgan::Interpolate(command) => generate::interpolate(&command),
        Dcgan::Complete(command) => complete::complete(&command),
        Dcgan::Features(command) => features::features(&command),
        Dcgan::Sweep(command) => sweep::sweep(&command),
        Dcgan::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
