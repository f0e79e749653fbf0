//! The `srgan` binary.

use gan_core::command::{self, *};
use srgan::{config::Flags, data, evaluate, train, upscale};
use std::process::ExitCode;

/// Super-resolution: photographs upscaled by 2, 4 or 8.
#[derive(clap::Parser)]
#[command(name = "srgan", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Srgan {
    /// Train, first by the squared error alone, then against a discriminator; without data on procedural scenes.
    Train(TrainCommand<Flags>),
    /// Upscale pictures with a checkpoint.
    Upscale(upscale::UpscaleCommand),
    /// Measure PSNR and SSIM of upscaled pictures, beside bicubic resizing.
    Evaluate(evaluate::EvaluateCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Srgan| match command {
        Srgan::Train(command) => train::train(&command),
        Srgan::Upscale(command) => upscale::upscale(&command),
        Srgan::Evaluate(command) => evaluate::evaluate(&command),
        Srgan::Shared(command) => command.run(&train::STAGES, &data::DATASETS),
    })
}
