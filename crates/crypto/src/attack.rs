//! `attack`: Alice and Bob stand still, and fresh Eves learn to read them, each from nothing.
//!
//! The Eve of a training has learned against an Alice who changed all the time. Whether a cipher that stays as it is
//! hides anything, only an Eve can tell who has all the time that she wants: the authors retrain five of them.

use crate::config::Config;
use crate::data::Messages;
use crate::discriminator;
use crate::evaluate::{heading, line};
use crate::generate::{WeightArguments, check_together};
use crate::loss::{alone, distance};
use crate::measure::{Bits, errors, eve_errors, is_secret, is_understood, tensors};
use crate::mix::MixTransform;
use crate::plot::{Curve, plot};
use crate::train::learner;
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use gan_core::command::{print, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::device;
use gan_core::failure::{Kind, failure};
use gan_core::random::Stream;
use gan_core::stage::At;
use gan_core::weights::write_atomically;
use image::Rgb;
use std::path::PathBuf;

/// `attack`.
#[derive(Debug, Clone, clap::Args)]
pub struct AttackCommand {
    /// A run or a step folder; the newest run without it.
    #[arg(value_name = "RUN", conflicts_with = "checkpoint")]
    pub run: Option<PathBuf>,
    /// Which weights.
    #[command(flatten)]
    pub weights: WeightArguments,
    /// Eves, one after the other.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub eves: u32,
    /// Steps of each; the authors took 250,000.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Adam's learning rate; that of the training without it.
    #[arg(long)]
    pub lr: Option<f64>,
    /// Messages a step; as many as in the training without it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub batch_size: Option<u32>,
    /// Fresh messages on which each is measured at her end.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub messages: u32,
    /// What first weights and messages are drawn from.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a picture of the errors over steps to this PNG file.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// How often an Eve is measured on her way, and on how many messages.
const LOOKS: u64 = 20;
const LOOKED_AT: usize = 16_384;

/// What an Eve achieved.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Attempt {
    /// Her errors after the last step, on messages that nobody saw before.
    pub end: Bits,
    /// The smallest of either count that was measured on the way or at the end: her best moment.
    pub lowest: f64,
    /// Her distance over steps.
    pub way: Vec<(u64, f64)>,
}

/// Trains one fresh Eve, number `number`, against an Alice that stands still.
pub fn attempt(
    alice: &MixTransform,
    config: &Config,
    command: &AttackCommand,
    number: u32,
    console: &Console,
    device: &Device,
) -> Attempt {
    let name = format!("attack/{number}");
    let autodiff = device.clone().autodiff();
    let network = discriminator::new(config, &autodiff);
    let mut eve = learner(network, config, command.seed, &name);
    let every = command.steps.div_ceil(LOOKS);
    let mut way = Vec::new();
    let mut lowest = f64::INFINITY;
    for step in 0..command.steps {
        let mut stream = Stream::new(command.seed, &name, step);
        let messages = Messages::draw(config, config.training.batch_size, &mut stream);
        let (plain, key) = tensors(&messages, device);
        let cipher = alice.with_key(plain.clone(), key);
        let on_graph = |tensor| Tensor::<2>::from_inner(tensor);
        let guess = eve.network().forward(on_graph(cipher));
        let loss = alone(distance(guess, on_graph(plain)), config.message_bits);
        eve.descend(loss, &At::new(command.seed, step, command.steps));
        console.tick(u64::from(number) * command.steps + step + 1);
        if (step + 1).is_multiple_of(every) {
            let mut stream = Stream::new(command.seed, &format!("{name}/look"), step);
            let players = [alice, &eve.snapshot()];
            let bits = eve_errors(players, config, LOOKED_AT, &mut stream, device);
            lowest = lowest.min(bits.least());
            way.push((step + 1, bits.distance));
        }
    }
    let mut stream = Stream::new(command.seed, &format!("{name}/end"), 0);
    let players = [alice, &eve.snapshot()];
    let count = command.messages as usize;
    let end = eve_errors(players, config, count, &mut stream, device);
    Attempt {
        end,
        lowest: lowest.min(end.least()),
        way,
    }
}

/// Reds, from dark to light, one an Eve.
fn colour(number: usize, count: usize) -> Rgb<u8> {
    let share = number as f32 / count.max(2) as f32;
    Rgb([
        150.0 + 80.0 * share,
        20.0 + 130.0 * share,
        20.0 + 100.0 * share,
    ]
    .map(|part| part as u8))
}

/// `crypto attack`.
///
/// # Errors
/// When the checkpoint cannot be used, a flag is wrong, or a file cannot be written.
pub fn attack(command: &AttackCommand) -> Result<()> {
    let place = command.run.clone().or(command.weights.checkpoint.clone());
    let weights = WeightArguments {
        checkpoint: place,
        ..command.weights.clone()
    };
    let device = device::parse(&weights.device)?;
    let open = |name| weights.open(name, &device);
    let (alice, bob, eve) = (open("alice")?, open("bob")?, open("eve")?);
    check_together(&[&alice, &bob, &eve])?;
    let mut config = alice.config.clone();
    if let Some(size) = command.batch_size {
        config.training.batch_size = size as usize;
    }
    config.lr = command.lr.unwrap_or(config.lr);
    if !(config.lr > 0.0 && config.lr.is_finite()) {
        return Err(failure(
            Kind::Usage,
            format!(
                "--lr {} is not legal: it must be above 0 and finite",
                config.lr
            ),
        ));
    }
    let bits = config.message_bits;
    let mut stream = Stream::new(command.seed, "attack", 0);
    let players = [&alice.network, &bob.network, &eve.network];
    let before = errors(
        players,
        &config,
        command.messages as usize,
        &mut stream,
        &device,
    );
    let mut lines = vec![
        heading() + "    lowest",
        line("Bob", before.bob),
        line("Eve of the training", before.eve),
    ];
    let mut console = Console::new(Voice::Normal);
    let mut attempts = Vec::new();
    console.count(u64::from(command.eves) * command.steps, "steps");
    for number in 0..command.eves {
        let attempt = attempt(&alice.network, &config, command, number, &console, &device);
        console.say(&format!(
            "Eve {} of {}: {:.3} bits wrong",
            number + 1,
            command.eves,
            attempt.end.distance
        ));
        let row = line(&format!("fresh Eve {}", number + 1), attempt.end);
        lines.push(format!("{row}{:>10.4}", attempt.lowest));
        attempts.push(attempt);
    }
    console.finish();
    let understood = is_understood(before.bob, bits);
    let was_secret = is_secret(before.eve, bits);
    let is_lowest_secret = |attempt: &Attempt| {
        let lowest = Bits {
            distance: attempt.lowest,
            wrong: attempt.lowest,
        };
        is_secret(lowest, bits)
    };
    let secret = attempts.iter().filter(|one| is_lowest_secret(one)).count();
    let succeeded = understood && was_secret && secret == attempts.len();
    lines.push(format!(
        "{} steps of {} messages each; guessing gets {} bits wrong. Bob understands: {}; Eves who do not: {secret} of {} \
         fresh ones, and {} of the training. {}",
        command.steps,
        config.training.batch_size,
        bits as f64 / 2.0,
        if understood { "yes" } else { "no" },
        attempts.len(),
        if was_secret { "that" } else { "not that" },
        if succeeded { "It withstood." } else { "It did not withstand." }
    ));
    if let Some(path) = &command.json {
        let report = serde_json::json!({
            "message_bits": bits,
            "messages": command.messages,
            "steps": command.steps,
            "batch_size": config.training.batch_size,
            "lr": config.lr,
            "seed": command.seed,
            "before": before,
            "eves": attempts,
            "withstood": succeeded,
        });
        write_atomically(path, &serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(path) = &command.plot {
        let curves: Vec<Curve> = attempts
            .iter()
            .enumerate()
            .map(|(number, attempt)| Curve {
                colour: colour(number, attempts.len()),
                points: attempt
                    .way
                    .iter()
                    .map(|(step, bits)| [*step as f32, *bits as f32])
                    .collect(),
            })
            .collect();
        let caption = format!("bits wrong of {} fresh Eves over steps", attempts.len());
        let guess = bits as f32 / 2.0;
        let picture = plot(&curves, command.steps as f32, guess, &caption);
        save_picture(path, &picture)?;
    }
    print(&lines.join("\n"));
    Ok(())
}
