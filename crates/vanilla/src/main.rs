//! The `vanilla` binary.

use gan_core::command::{self, *};
use std::process::ExitCode;
use vanilla::{config::Flags, data, generate, lab, semi, sweep, train};

/// The first GAN: digits from noise, and a ring of Gaussians that shows mode collapse.
#[derive(clap::Parser)]
#[command(name = "vanilla", version, after_help = EXIT_CODES)]
enum Vanilla {
    /// Train; without data on procedural digits, in about five minutes.
    Train(TrainCommand<Flags>),
    /// Make samples from a checkpoint.
    Generate(GenerateCommand),
    /// Walk through the latent space, or do arithmetic in it, as an animation.
    Interpolate(InterpolateCommand),
    /// Learn the classes of digits from a few labels and many pictures without.
    #[command(subcommand)]
    Semi(semi::SemiCommand),
    /// See the theory: experiments that compute, print and plot.
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// Train with one technique after the other, and compare them in one table.
    Sweep(gan_core::sweep::SweepCommand<Flags>),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Vanilla| match command {
        Vanilla::Train(command) => train::train(&command),
        Vanilla::Generate(command) => generate::generate(&command),
        Vanilla::Interpolate(command) => generate::interpolate(&command),
        Vanilla::Semi(command) => command.run(),
        Vanilla::Lab(command) => command.run(),
        Vanilla::Sweep(command) => sweep::sweep(&command),
        Vanilla::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
