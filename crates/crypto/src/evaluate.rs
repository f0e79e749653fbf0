//! `evaluate`: how many bits Bob and Eve get wrong of fresh messages.

use crate::generate::{WeightArguments, check_together};
use crate::measure::{Bits, errors, is_secret, is_understood};
use anyhow::Result;
use gan_core::command::print;
use gan_core::device;
use gan_core::random::Stream;
use gan_core::weights::write_atomically;
use std::path::PathBuf;

/// `evaluate`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: WeightArguments,
    /// Messages, each with a key of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// What the messages are drawn from.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One line of a table of errors.
pub(crate) fn line(who: &str, bits: Bits) -> String {
    format!("{who:<24}{:>10.4}{:>10.4}", bits.distance, bits.wrong)
}

/// The heading of such a table.
pub(crate) fn heading() -> String {
    format!(
        "{:<24}{:>10}{:>10}",
        "bits wrong a message", "distance", "by sign"
    )
}

/// `crypto evaluate`.
///
/// # Errors
/// When the checkpoint cannot be used or the file cannot be written.
pub fn evaluate(command: &EvaluateCommand) -> Result<()> {
    let device = device::parse(&command.weights.device)?;
    let open = |name| command.weights.open(name, &device);
    let (alice, bob, eve) = (open("alice")?, open("bob")?, open("eve")?);
    check_together(&[&alice, &bob, &eve])?;
    let config = &alice.config;
    let bits = config.message_bits;
    // Another name than that of the training's messages: equal seeds give other ones.
    let mut stream = Stream::new(command.seed, "evaluate", 0);
    let players = [&alice.network, &bob.network, &eve.network];
    let count = command.messages as usize;
    let found = errors(players, config, count, &mut stream, &device);
    let (understood, secret) = (is_understood(found.bob, bits), is_secret(found.eve, bits));
    if let Some(path) = &command.json {
        let report = serde_json::json!({
            "message_bits": bits,
            "messages": command.messages,
            "seed": command.seed,
            "errors": found,
            "understood": understood,
            "secret": secret,
        });
        write_atomically(path, &serde_json::to_vec_pretty(&report)?)?;
    }
    let say = |yes: bool| if yes { "yes" } else { "no" };
    print(
        &[
            heading(),
            line("Bob", found.bob),
            line("Bob with another key", found.bob_with_another_key),
            line("Eve of the training", found.eve),
            format!(
                "{count} messages of {bits} bits; guessing gets {} wrong. Bob understands: {}; this Eve does not: {}. What \
                 another Eve learns, `crypto attack` tells.",
                bits as f64 / 2.0,
                say(understood),
                say(secret)
            ),
        ]
        .join("\n"),
    );
    Ok(())
}
