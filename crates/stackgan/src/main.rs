//! The `stackgan` binary.

use gan_core::command::{self, *};
use stackgan::train::Verb;
use stackgan::{config::Flags, data, evaluate, generate, train};
use std::process::ExitCode;

/// StackGAN: from a sentence to a picture, in two stages.
#[derive(clap::Parser)]
#[command(name = "stackgan", version, after_help = EXIT_CODES)]
enum Stackgan {
    /// Train text encoder, first and second stage; without data on drawn birds.
    Train(TrainCommand<Flags>),
    /// Train the text encoder alone, on captions and pictures.
    TrainText(TrainCommand<Flags>),
    /// Train a judge of attributes on drawn birds, which evaluate asks.
    TrainJudge(TrainCommand<Flags>),
    /// Make pictures of sentences from a checkpoint.
    Generate(generate::GenerateCommand),
    /// Let one sentence become another, as an animation.
    Interpolate(generate::InterpolateCommand),
    /// Measure on drawn birds whether pictures show what their captions say.
    Evaluate(evaluate::EvaluateCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Stackgan| match command {
        Stackgan::Train(command) => train::train(&command, Verb::Train),
        Stackgan::TrainText(command) => train::train(&command, Verb::Text),
        Stackgan::TrainJudge(command) => train::train(&command, Verb::Judge),
        Stackgan::Generate(command) => generate::generate(&command),
        Stackgan::Interpolate(command) => generate::interpolate(&command),
        Stackgan::Evaluate(command) => evaluate::evaluate(&command),
        Stackgan::Shared(command) => command.run(&train::STAGES, &data::DATASETS),
    })
}
