//! The `cyclegan` binary.

use cyclegan::{config::Flags, data, judging, train, translate};
use gan_core::command::{self, *};
use std::process::ExitCode;

/// Unpaired image-to-image translation: paintings to photographs, and any other two domains.
#[derive(clap::Parser)]
#[command(name = "cyclegan", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Cyclegan {
    /// Train; without data on procedural landscapes.
    Train(TrainCommand<Flags>),
    /// Translate pictures with a checkpoint.
    Translate(translate::TranslateCommand),
    /// Say of translations whose right answers are known whether colour and texture changed and shapes stayed.
    Judge(judging::JudgeCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Cyclegan| match command {
        Cyclegan::Train(command) => train::train(&command),
        Cyclegan::Translate(command) => translate::translate(&command),
        Cyclegan::Judge(command) => judging::judge_folders(&command),
        Cyclegan::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
