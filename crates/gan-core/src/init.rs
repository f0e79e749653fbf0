//! Initial weights, drawn from named streams so that they depend on the run's seed alone.

use crate::random::Stream;
use crate::weights::rebuild;
use burn::module::Module;

/// A rule for initial weights. Running statistics of batch normalisation are never touched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Convolutions and linear weights N(0, 0.02), scales of batch normalisation N(1, 0.02), every
    /// bias 0 (Radford et al. 2016, section 4; pytorch/examples `weights_init`).
    Dcgan,
    /// PyTorch's default: weights and biases U(-1/sqrt(fan_in), 1/sqrt(fan_in)), scales 1, shifts 0.
    FanIn,
    /// Weights U(-range, range), biases 0 (pylearn2's `irange`, as in Goodfellow et al. 2014).
    Uniform {
        /// Half the width of the interval.
        range: f32,
    },
}

/// Draws every parameter of `network` from the streams `initial/<name>/<path>` of `seed`.
pub fn initialise<M: Module>(network: M, rule: Initial, seed: u64, name: &str) -> M {
    // A bias follows its weight in every layer of burn, so the fan-in seen last is its own.
    let mut fan_in = 1usize;
    rebuild(network, &mut |path, container, shape| {
        let leaf = path.rsplit('.').next().unwrap_or(path);
        if leaf.starts_with("running_") {
            return None;
        }
        let count = shape.iter().product();
        let mut stream = Stream::new(seed, &format!("initial/{name}/{path}"), 0);
        let is_norm = matches!(container, "Struct:BatchNorm" | "Struct:VirtualBatchNorm");
        if leaf == "weight" && !is_norm {
            fan_in = match container {
                // burn keeps linear weights as [in, out].
                "Struct:Linear" | "Struct:MinibatchDiscrimination" => shape[0],
                // Transposed convolutions are [in, out, ...]; PyTorch counts their fan-in so too.
                _ => shape[1..].iter().product(),
            };
        }
        let limit = 1.0 / (fan_in as f32).sqrt();
        Some(match (rule, is_norm, leaf) {
            (Initial::Dcgan, true, "weight") => {
                let draws = stream.normal(count);
                draws.into_iter().map(|v| 1.0 + 0.02 * v).collect()
            }
            (Initial::Dcgan, false, "weight") => {
                let draws = stream.normal(count);
                draws.into_iter().map(|v| 0.02 * v).collect()
            }
            (_, true, "weight") => vec![1.0; count],
            (Initial::FanIn, false, _) => stream.uniform(count, -limit, limit),
            (Initial::Uniform { range }, false, "weight") => stream.uniform(count, -range, range),
            _ => vec![0.0; count],
        })
    })
}
