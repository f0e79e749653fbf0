//! What Alice, Bob and Eve minimise.

use crate::config::Averaged;
use burn::tensor::Tensor;

/// How far guesses are from messages, in bits: the sum of the absolute differences, halved. A guess that says nothing (0
/// everywhere) is half of the bits away, and so is on average one of random bits.
///
/// # Shapes
/// - both: `[message_bits, batch]`; messages -1 or 1, guesses in [-1, 1]
/// - result: `[1, batch]`, each in [0, message_bits]
pub fn distance(guess: Tensor<2>, plain: Tensor<2>) -> Tensor<2> {
    (guess - plain).abs().sum_dim(0) / 2.0
}

/// The loss of Alice and Bob, `L_B / N + (N/2 - L_E)^2 / (N/2)^2`: 0 when Bob reads everything and Eve does no better than
/// guessing. To make Eve as wrong as possible would be no secrecy: she would only have to turn every bit round.
///
/// # Shapes
/// - `bob`, `eve`: distances `[1, batch]`
/// - result: `[1]`, in [0, 2]
pub fn together(bob: Tensor<2>, eve: Tensor<2>, bits: usize, averaged: Averaged) -> Tensor<1> {
    let half = bits as f64 / 2.0;
    let known = match averaged {
        Averaged::Message => {
            let away = (eve - half) / half;
            (away.clone() * away).mean()
        }
        Averaged::Batch => {
            let away = (eve.mean() - half) / half;
            away.clone() * away
        }
    };
    bob.mean() / bits as f64 + known
}

/// The loss of Eve, `L_E / N`: her mean distance as a share of the bits.
///
/// # Shapes
/// - `eve`: distances `[1, batch]`
/// - result: `[1]`, in [0, 1]
pub fn alone(eve: Tensor<2>, bits: usize) -> Tensor<1> {
    // The paper's loss is in bits; Adam does not notice the factor, and its sizes are those of the other loss.
    eve.mean() / bits as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use gan_core::weights::values;

    fn tensor<const R: usize, const C: usize>(rows: [[f32; C]; R]) -> Tensor<2> {
        Tensor::from_data(rows, &Device::flex())
    }

    fn value(tensor: Tensor<1>) -> f32 {
        values(tensor)[0]
    }

    #[test]
    fn distances_by_hand() {
        let plain = tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]);
        let guess = tensor([[1.0, 0.0, -1.0], [-0.5, 0.0, -1.0]]);
        assert_eq!(values(distance(guess, plain)), [0.25, 1.0, 2.0]);
    }

    #[test]
    fn losses_by_hand() {
        // Of 4 bits. Bob is 0.5 bits away on average; Eve 2, and on the messages 0 and 4.
        let (bob, eve) = (tensor([[1.0, 0.0]]), tensor([[0.0, 4.0]]));
        let of = |averaged| value(together(bob.clone(), eve.clone(), 4, averaged));
        // 0.5 / 4, and (2 - 0)^2 / 4 for each message, or nothing for their mean.
        assert_eq!(of(Averaged::Message), 1.125);
        assert_eq!(of(Averaged::Batch), 0.125);
        assert_eq!(value(alone(eve, 4)), 0.5);
        let knowing = value(together(
            tensor([[0.0]]),
            tensor([[1.0]]),
            4,
            Averaged::Batch,
        ));
        assert_eq!(knowing, 0.25);
    }
}
