//! The `crypto` binary.

use crypto::{attack, config::Flags, data, evaluate, generate, train};
use gan_core::command::{self, *};
use std::process::ExitCode;

/// Adversarial neural cryptography: Alice and Bob learn to hide messages from Eve.
#[derive(clap::Parser)]
#[command(name = "crypto", version, after_help = EXIT_CODES)]
#[expect(clippy::large_enum_variant, reason = "one command a process")]
enum Crypto {
    /// Train Alice, Bob and Eve on random messages.
    Train(TrainCommand<Flags>),
    /// Train fresh Eves against an Alice and a Bob that stand still.
    Attack(attack::AttackCommand),
    /// Count the bits that Bob and Eve get wrong.
    Evaluate(evaluate::EvaluateCommand),
    /// Let Alice encrypt a text. A demonstration, which protects nothing.
    Encrypt(generate::EncryptCommand),
    /// Let Bob read what Alice encrypted.
    Decrypt(generate::DecryptCommand),
    /// Data, weights, devices, checkpoints and runs.
    #[command(flatten)]
    Shared(SharedCommand),
}

fn main() -> ExitCode {
    command::run(|command: Crypto| match command {
        Crypto::Train(command) => train::train(&command),
        Crypto::Attack(command) => attack::attack(&command),
        Crypto::Evaluate(command) => evaluate::evaluate(&command),
        Crypto::Encrypt(command) => generate::encrypt(&command),
        Crypto::Decrypt(command) => generate::decrypt(&command),
        Crypto::Shared(command) => command.run(&[train::STAGE], &data::DATASETS),
    })
}
