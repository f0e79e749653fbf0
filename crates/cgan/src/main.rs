//! The `cgan` binary.

use cgan::train::Verb;
use cgan::{age, config::Flags, data, evaluate, generate, train};
use gan_core::command::{self, EXIT_CODES, TrainCommand};
use std::process::ExitCode;

/// Age-cGAN: faces of an asked age, and a given face at other ages.
#[derive(clap::Parser)]
#[command(name = "cgan", version, after_help = EXIT_CODES)]
enum Cgan {
    /// Train embedding, conditional GAN and encoder, and seek latent vectors; without data on drawn faces.
    Train(TrainCommand<Flags>),
    /// Train the small embedding alone, which tells persons apart.
    TrainEmbedding(TrainCommand<Flags>),
    /// Train a classifier of age (or of digits), which evaluate judges by.
    TrainClassifier(TrainCommand<Flags>),
    /// Make faces of an asked age from a checkpoint.
    Generate(generate::GenerateCommand),
    /// Let faces grow older, as an animation.
    Interpolate(generate::InterpolateCommand),
    /// Show a given face at other ages.
    Age(age::AgeCommand),
    /// Measure whether faces have the asked age, and whether they stay the same person.
    Evaluate(evaluate::EvaluateCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(data::Shared),
}

fn main() -> ExitCode {
    command::run(|command: Cgan| match command {
        Cgan::Train(command) => train::train(&command, Verb::Train),
        Cgan::TrainEmbedding(command) => train::train(&command, Verb::Embedding),
        Cgan::TrainClassifier(command) => train::train(&command, Verb::Classifier),
        Cgan::Generate(command) => generate::generate(&command),
        Cgan::Interpolate(command) => generate::interpolate(&command),
        Cgan::Age(command) => age::age(&command),
        Cgan::Evaluate(command) => evaluate::evaluate(&command),
        Cgan::Shared(command) => command.run(),
    })
}
