//! What the configurations of pix2pix and CycleGAN share: a type, checks, and what moves the networks.

use crate::{discriminator, generator};
use anyhow::Result;
use gan_core::config::illegal;
use gan_core::optimizer::{Rule, Schedule};

/// Which way pictures are translated.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
pub enum Direction {
    /// From A to B: the left picture of a pair, or domain A, into the other.
    #[default]
    #[serde(rename = "a2b", alias = "AtoB")]
    #[value(name = "a2b", alias = "AtoB")]
    A2b,
    /// From B to A: facades from their label maps, photographs to paintings.
    #[serde(rename = "b2a", alias = "BtoA")]
    #[value(name = "b2a", alias = "BtoA")]
    B2a,
}

/// Most pixels of a side.
const MOST_SIDE: usize = 2048;
/// Most channels of a first layer.
const MOST_WIDTH: usize = 512;

/// Checks widths and depths.
///
/// # Errors
/// [`gan_core::failure::Kind::Usage`] that names the key.
pub fn check_networks(
    generator: &generator::Shape,
    discriminator: &discriminator::Shape,
) -> Result<()> {
    for (key, width) in [
        ("width_g", generator.width),
        ("width_d", discriminator.width),
    ] {
        if !(1..=MOST_WIDTH).contains(&width) {
            let rule = format!("it must be from 1 to {MOST_WIDTH}");
            return Err(illegal(key, width, &rule));
        }
    }
    match discriminator.layers {
        Some(layers) if !(1..=6).contains(&layers) => {
            Err(illegal("layers_d", layers, "it must be from 1 to 6"))
        }
        _ => Ok(()),
    }
}

/// Checks the sides of the pictures against the networks.
///
/// # Errors
/// [`gan_core::failure::Kind::Usage`] that names the key.
pub fn check_sizes(
    load: usize,
    crop: usize,
    generator: &generator::Shape,
    discriminator: &discriminator::Shape,
) -> Result<()> {
    let multiple = generator.multiple();
    let shortest = generator.shortest().max(discriminator.shortest());
    if !crop.is_multiple_of(multiple) || !(shortest..=MOST_SIDE).contains(&crop) {
        let rule = format!(
            "these networks need a multiple of {multiple} pixels from {shortest} to {MOST_SIDE}; a generator of \
             fewer halvings (--net-g) or a discriminator of fewer (--net-d n_layers --layers-d) takes smaller ones"
        );
        return Err(illegal("crop_size", crop, &rule));
    }
    if !(crop..=MOST_SIDE).contains(&load) {
        let rule = format!("it must be from crop_size, {crop}, to {MOST_SIDE}");
        return Err(illegal("load_size", load, &rule));
    }
    Ok(())
}

/// Checks that pictures of so many channels can be read and written.
///
/// # Errors
/// [`gan_core::failure::Kind::Usage`] that names the key.
pub fn check_channels(input: usize, output: usize) -> Result<()> {
    for (key, channels) in [("input_channels", input), ("output_channels", output)] {
        if ![1, 3].contains(&channels) {
            return Err(illegal(key, channels, "1 or 3"));
        }
    }
    Ok(())
}

/// Checks the weights of losses.
///
/// # Errors
/// [`gan_core::failure::Kind::Usage`] that names the key.
pub fn check_weights(weights: &[(&str, f64)]) -> Result<()> {
    for (key, weight) in weights {
        if !(*weight >= 0.0 && weight.is_finite()) {
            return Err(illegal(key, weight, "it must be at least 0 and finite"));
        }
    }
    Ok(())
}

/// Checks what moves the networks.
///
/// # Errors
/// [`gan_core::failure::Kind::Usage`] that names the key.
pub fn check_descent(lr: f64, beta1: f64, beta2: f64, decay_start: f64) -> Result<()> {
    if !(lr > 0.0 && lr.is_finite()) {
        return Err(illegal("lr", lr, "it must be above 0 and finite"));
    }
    for (key, value) in [("beta1", beta1), ("beta2", beta2)] {
        if !(0.0..1.0).contains(&value) {
            return Err(illegal(key, value, "it must be in [0, 1)"));
        }
    }
    if !(0.0..=1.0).contains(&decay_start) {
        return Err(illegal("decay_start", decay_start, "it must be in [0, 1]"));
    }
    Ok(())
}

/// Adam, as every optimizer of both papers.
pub fn rule(beta1: f64, beta2: f64) -> Rule {
    Rule::Adam {
        beta1,
        beta2,
        epsilon: 1e-8,
    }
}

/// A constant learning rate up to a share of the run, and a linear fall to 0 from there on.
pub fn schedule(decay_start: f64) -> Schedule {
    if decay_start < 1.0 {
        Schedule::LinearDecay { start: decay_start }
    } else {
        Schedule::Constant
    }
}
