//! The generator's two losses and their slopes (Goodfellow et al. 2014, section 3).
//!
//! For the logit `a` of a sample, the saturating loss `log(1 - sigmoid(a))` has the slope `-sigmoid(a)`, which is almost 0
//! where the discriminator is sure that the sample is not real; the non-saturating one, `-log sigmoid(a)`, has the slope
//! `-(1 - sigmoid(a))`, which is almost -1 there. Both are found by automatic differentiation here.

use super::perceptron::{device, sigmoid};
use super::{Experiment, Report, check, evenly};
use anyhow::Result;
use burn::tensor::{Tensor, TensorData};
use gan_core::loss::GeneratorLoss;
use gan_core::plot::{BLUE, GREY, Plot, Style, VERMILION, panels};
use gan_core::weights::values;
use serde::Serialize;
use std::fmt::Write as _;

/// `lab gradients`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct LossSlopes {
    /// Logits from minus this to this.
    #[arg(long, default_value_t = 8.0)]
    pub limit: f64,
}

impl Default for LossSlopes {
    fn default() -> Self {
        Self { limit: 8.0 }
    }
}

/// One logit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct At {
    /// The logit `a`.
    pub logit: f64,
    /// `D(G(z)) = sigmoid(a)`.
    pub probability: f64,
    /// The saturating loss and its slope.
    pub saturating: [f64; 2],
    /// The non-saturating loss and its slope.
    pub non_saturating: [f64; 2],
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Slopes {
    /// Logits in ascending order.
    pub at: Vec<At>,
    /// The largest distance of a slope from its formula.
    pub largest_error: f64,
}

/// A loss and its slope, by automatic differentiation, at each of some logits.
fn slopes(loss: GeneratorLoss, logits: &[f64]) -> Vec<[f64; 2]> {
    let device = device();
    logits
        .iter()
        .map(|logit| {
            let data = TensorData::new(vec![*logit as f32], [1]);
            let input = Tensor::<1>::from_data(data, &device).require_grad();
            let value = loss.of(input.clone());
            let gradients = value.backward();
            // A loss that does not depend on the logit would have no slope at all.
            let slope = input.grad(&gradients).map_or(0.0, |slope| values(slope)[0]);
            [f64::from(values(value)[0]), f64::from(slope)]
        })
        .collect()
}

impl LossSlopes {
    /// Computes losses and slopes at 161 logits.
    pub fn observe(&self) -> Slopes {
        let logits: Vec<f64> = evenly(-self.limit, self.limit, 161).collect();
        let saturating = slopes(GeneratorLoss::Saturating, &logits);
        let non_saturating = slopes(GeneratorLoss::NonSaturating, &logits);
        let at: Vec<At> = (0..logits.len())
            .map(|index| At {
                logit: logits[index],
                probability: sigmoid(logits[index]),
                saturating: saturating[index],
                non_saturating: non_saturating[index],
            })
            .collect();
        let error = |at: &At| {
            let first = at.saturating[1] + at.probability;
            let second = at.non_saturating[1] + 1.0 - at.probability;
            first.abs().max(second.abs())
        };
        let largest_error = at.iter().map(error).fold(0.0, f64::max);
        Slopes { at, largest_error }
    }
}

impl Experiment for LossSlopes {
    const WORD: &'static str = "gradients";

    fn with(self, _: Option<u64>, _: u64) -> Self {
        self
    }

    fn check(&self) -> Result<()> {
        check("limit", self.limit, 0.1..=80.0)
    }

    fn report(&self) -> Result<Report> {
        let found = self.observe();
        let mut text = String::from(
            "                     saturating: log(1 - D)   non-saturating: -log D\n   logit  D(G(z))       loss      slope           loss      slope\n",
        );
        for at in found.at.iter().step_by(20) {
            let _ = writeln!(
                text,
                "{:8.2} {:8.4} {:10.4} {:10.4}     {:10.4} {:10.4}",
                at.logit,
                at.probability,
                at.saturating[0],
                at.saturating[1],
                at.non_saturating[0],
                at.non_saturating[1]
            );
        }
        let _ = writeln!(
            text,
            "largest distance of a slope from -sigmoid(a) and -(1 - sigmoid(a)): {:.1e}",
            found.largest_error
        );
        let curve = |of: fn(&At) -> f64| -> Vec<[f64; 2]> {
            found.at.iter().map(|at| [at.logit, of(at)]).collect()
        };
        let zero = [[-self.limit, 0.0], [self.limit, 0.0]];
        let losses = Plot::new(
            "What the generator minimises",
            "logit a of a sample",
            "loss",
        )
        .line("", zero, Style::solid(GREY).width(1.0))
        .line(
            "saturating: log(1 - D)",
            curve(|at| at.saturating[0]),
            Style::solid(VERMILION),
        )
        .line(
            "non-saturating: -log D",
            curve(|at| at.non_saturating[0]),
            Style::dashed(BLUE),
        );
        let slopes = Plot::new(
            "Its slope, by autodiff",
            "logit a of a sample",
            "d loss / d a",
        )
        .y_range(-1.05, 0.25)
        .line("", zero, Style::solid(GREY).width(1.0))
        .line(
            "saturating: -sigmoid(a)",
            curve(|at| at.saturating[1]),
            Style::solid(VERMILION),
        )
        .line(
            "non-saturating: -(1 - sigmoid(a))",
            curve(|at| at.non_saturating[1]),
            Style::dashed(BLUE),
        );
        Ok(Report {
            text,
            numbers: serde_json::to_value(&found)?,
            plot: panels(&[losses, slopes], 2, 600, 440),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_formulas() {
        let found = LossSlopes::default().observe();
        assert!(found.largest_error < 1e-6, "{}", found.largest_error);
        let sure = &found.at[0];
        // The discriminator is sure, and only one of the losses says so to the generator.
        assert!(sure.saturating[1].abs() < 4e-4 && sure.non_saturating[1] < -0.999);
        let even = &found.at[80];
        assert!((even.saturating[1] + 0.5).abs() < 1e-6);
        assert!((even.non_saturating[1] + 0.5).abs() < 1e-6);
        assert!((even.saturating[0] + 2f64.ln()).abs() < 1e-6);
        assert!((even.non_saturating[0] - 2f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn slopes_are_those_of_differences() {
        let found = LossSlopes { limit: 4.0 }.observe();
        for triple in found.at.windows(3) {
            let width = triple[2].logit - triple[0].logit;
            for of in [|at: &At| at.saturating, |at: &At| at.non_saturating] {
                let difference = (of(&triple[2])[0] - of(&triple[0])[0]) / width;
                assert!((difference - of(&triple[1])[1]).abs() < 1e-3);
            }
        }
    }
}
