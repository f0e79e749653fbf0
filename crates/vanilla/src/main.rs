//! The `vanilla` binary.

use gan_core::command::{self, *};
use std::process::ExitCode;
use vanilla::{config::Flags, data, generate, train};

/// The first GAN: digits from noise, and a ring of Gaussians that shows mode collapse.
#[derive(clap::Parser)]
#[command(name = "vanilla", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Vanilla {
    /// Train; without data on procedural digits, in about five minutes.
    Train(TrainCommand<Flags>),
    /// Make samples from a checkpoint.
    Generate(GenerateCommand),
    /// Walk through the latent space, or do arithmetic in it, as an animation.
    Interpolate(InterpolateCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Vanilla| match command {
        Vanilla::Train(command) => train::train(&command),
        Vanilla::Generate(command) => generate::generate(&command),
        Vanilla::Interpolate(command) => generate::interpolate(&command),
        Vanilla::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
