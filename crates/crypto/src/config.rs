//! What `crypto train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::optimizer::Rule;

/// Whose structure the networks have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// The paper's: a sigmoid follows the fully connected layers, then four convolutions of up to four channels; Eve has
    /// one fully connected layer more.
    Paper,
    /// That of the authors' program, which trains more reliably by their own account: no sigmoid before the
    /// convolutions, three of them of up to two channels, and the same layers for Eve.
    Released,
}

/// Over what Eve's error is averaged before its distance from guessing is squared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Averaged {
    /// Over nothing: each message by itself, as in the authors' program.
    Message,
    /// Over the messages of the batch, as the paper's formula says, whose errors are expectations.
    Batch,
}

/// How weights start.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// U(-a, a) with a = sqrt(6 / (fan_in + fan_out)), biases 0 (Glorot and Bengio 2010), as in the authors' program.
    Glorot,
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default.
    FanIn,
}

gan_core::configuration! {
    /// The three networks and their training. The defaults are the paper's.
    Config, Flags, training = Training {
        batch_size: 4096,
        steps: 20_000,
        log_every: 100,
        sample_every: 1000,
        save_every: 5000,
        ..Training::default()
    };
    /// Whose structure the networks have.
    structure: Structure = Structure::Paper;
    /// Bits of a message, and numbers of a ciphertext.
    message_bits: usize = 16;
    /// Bits of a key.
    key_bits: usize = 16;
    /// Steps of Eve after each step of Alice and Bob; two give her an advantage.
    eve_steps: usize = 2;
    /// Over what Eve's error is averaged before Alice and Bob are held to it: each message or the batch.
    #[arg(value_enum)]
    averaged: Averaged = Averaged::Message;
    /// How weights start.
    #[arg(value_enum)]
    start: Start = Start::Glorot;
    /// Adam's learning rate of all three, which never falls, so that nobody stops to respond to the others.
    lr: f64 = 8e-4;
    /// Adam's first decay.
    beta1: f64 = 0.9;
    /// Adam's second decay.
    beta2: f64 = 0.999;
}

/// More bits than this would make a product of matrices the size of all bits by all bits large.
const MOST_BITS: usize = 256;

impl Configuration for Config {
    const WORD: &'static str = "crypto";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/crypto/quick.toml")),
        ("paper", include_str!("../../../configs/crypto/paper.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        for (key, value, most) in [
            ("message_bits", self.message_bits, MOST_BITS),
            ("key_bits", self.key_bits, MOST_BITS),
            ("eve_steps", self.eve_steps, 100),
        ] {
            if !(1..=most).contains(&value) {
                return Err(illegal(key, value, &format!("it must be from 1 to {most}")));
            }
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(illegal("lr", self.lr, "it must be above 0 and finite"));
        }
        for (key, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(illegal(key, value, "it must be in [0, 1)"));
            }
        }
        let training = &self.training;
        if !training.data.is_empty() {
            let rule = "messages and keys are drawn, not read: leave it out";
            return Err(illegal("data", &training.data, rule));
        }
        if self.averaged == Averaged::Batch && training.accumulate > 1 {
            let rule = "with averaged = batch the loss of a batch is not the sum of its parts: 1";
            return Err(illegal("accumulate", training.accumulate, rule));
        }
        Ok(())
    }
}

impl Config {
    /// The rule of all optimizers.
    pub fn rule(&self) -> Rule {
        Rule::Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: 1e-8,
        }
    }
}
