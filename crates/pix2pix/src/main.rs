//! The `pix2pix` binary.

use gan_core::command::{self, *};
use pix2pix::{config::Flags, data, train, translate};
use std::process::ExitCode;
use translation::translate::TranslateArguments;

/// Image-to-image translation from pairs: label maps to facades, edges to photographs, and any other pairs.
#[derive(clap::Parser)]
#[command(name = "pix2pix", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Pix2pix {
    /// Train; without data on procedural facades.
    Train(TrainCommand<Flags>),
    /// Translate pictures with a checkpoint.
    Translate(TranslateArguments),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Pix2pix| match command {
        Pix2pix::Train(command) => train::train(&command),
        Pix2pix::Translate(arguments) => translate::translate(&arguments),
        Pix2pix::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
