//! How many bits Bob and Eve get wrong.

use crate::config::Config;
use crate::data::Messages;
use crate::loss::distance;
use crate::mix::MixTransform;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::random::Stream;
use gan_core::weights::values;

/// Messages that are measured at once.
const TOGETHER: usize = 8192;

/// Of 16 bits, how many Bob may get wrong on average for a training to have succeeded.
pub const BOB_MOST: f64 = 0.05;
/// Of 16 bits, how many Eve has to get wrong on average; by guessing, it would be 8.
pub const EVE_LEAST: f64 = 7.0;
/// The bits that the two numbers are meant for.
const OF: f64 = 16.0;

/// A mean error over messages, in bits of a message, counted in two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Bits {
    /// The distance that is trained: half of the sum of absolute differences. Doubt counts: 0 is half a bit wrong.
    pub distance: f64,
    /// Bits on the wrong side of 0. A 0 is read as -1.
    pub wrong: f64,
}

impl Bits {
    /// The larger of both.
    pub fn most(self) -> f64 {
        self.distance.max(self.wrong)
    }

    /// The smaller of both.
    pub fn least(self) -> f64 {
        self.distance.min(self.wrong)
    }
}

/// Whether Bob reads messages of so many bits, however his errors are counted.
pub fn is_understood(bob: Bits, bits: usize) -> bool {
    bob.most() <= BOB_MOST / OF * bits as f64
}

/// Whether Eve does not read them, however her errors are counted.
pub fn is_secret(eve: Bits, bits: usize) -> bool {
    eve.least() >= EVE_LEAST / OF * bits as f64
}

/// Messages and keys on a device, both `[bits, count]`.
pub fn tensors(messages: &Messages, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let tensor = |values: &[f32]| {
        let rows = values.len() / messages.count;
        let data = TensorData::new(values.to_vec(), [rows, messages.count]);
        Tensor::from_data(data, device)
    };
    (tensor(&messages.plain), tensor(&messages.key))
}

/// Adds up errors of one reader.
#[derive(Debug, Default)]
struct Sum {
    distance: f64,
    wrong: f64,
    count: usize,
}

impl Sum {
    fn add(&mut self, guess: Tensor<2>, plain: &Tensor<2>) {
        let [_, count] = plain.dims();
        let sides = values(guess.clone());
        let right = values(plain.clone());
        let pairs = sides.iter().zip(&right);
        let wrong = pairs.filter(|(guess, plain)| (**guess > 0.0) != (**plain > 0.0));
        self.wrong += wrong.count() as f64;
        let distances = values(distance(guess, plain.clone()));
        self.distance += distances.iter().map(|bits| f64::from(*bits)).sum::<f64>();
        self.count += count;
    }

    fn mean(&self) -> Bits {
        let count = self.count.max(1) as f64;
        Bits {
            distance: self.distance / count,
            wrong: self.wrong / count,
        }
    }
}

/// What all readers get wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Errors {
    /// Bob with the right key.
    pub bob: Bits,
    /// Bob with the key of another message: what a reader knows who has Bob and no key.
    pub bob_with_another_key: Bits,
    /// Eve.
    pub eve: Bits,
}

/// Measures networks without autodiff on `count` messages (at least 1) that `stream` gives.
pub fn errors(
    [alice, bob, eve]: [&MixTransform; 3],
    config: &Config,
    count: usize,
    stream: &mut Stream,
    device: &Device,
) -> Errors {
    let mut sums = [Sum::default(), Sum::default(), Sum::default()];
    let mut left = count;
    while left > 0 {
        let some = left.min(TOGETHER);
        left -= some;
        let (plain, key) = tensors(&Messages::draw(config, some, stream), device);
        let (_, other) = tensors(&Messages::draw(config, some, stream), device);
        let cipher = alice.with_key(plain.clone(), key.clone());
        let [right, wrong, guess] = &mut sums;
        right.add(bob.with_key(cipher.clone(), key), &plain);
        wrong.add(bob.with_key(cipher.clone(), other), &plain);
        guess.add(eve.forward(cipher), &plain);
    }
    let [bob, bob_with_another_key, eve] = sums.map(|sum| sum.mean());
    Errors {
        bob,
        bob_with_another_key,
        eve,
    }
}

/// As [`errors`], of an Eve alone.
pub fn eve_errors(
    [alice, eve]: [&MixTransform; 2],
    config: &Config,
    count: usize,
    stream: &mut Stream,
    device: &Device,
) -> Bits {
    let mut sum = Sum::default();
    let mut left = count;
    while left > 0 {
        let some = left.min(TOGETHER);
        left -= some;
        let (plain, key) = tensors(&Messages::draw(config, some, stream), device);
        sum.add(eve.forward(alice.with_key(plain.clone(), key)), &plain);
    }
    sum.mean()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts_by_hand() {
        let device = Device::flex();
        let plain = Tensor::<2>::from_data([[1.0f32, -1.0], [1.0, -1.0]], &device);
        let guess = Tensor::<2>::from_data([[0.5f32, 0.5], [0.0, -1.0]], &device);
        let mut sum = Sum::default();
        sum.add(guess, &plain);
        // 0.25 + 0.5 and 0.75 + 0; the 0 and the 0.5 of the second message are on the wrong side.
        let mean = sum.mean();
        assert_eq!((mean.distance, mean.wrong), (0.75, 1.0));
        assert_eq!((mean.least(), mean.most()), (0.75, 1.0));
    }

    #[test]
    fn the_bounds_grow_with_the_bits() {
        let bits = |distance, wrong| Bits { distance, wrong };
        assert!(is_understood(bits(0.05, 0.0), 16) && !is_understood(bits(0.0, 0.06), 16));
        assert!(is_secret(bits(7.0, 8.0), 16) && !is_secret(bits(8.0, 6.9), 16));
        assert!(is_understood(bits(0.1, 0.1), 32) && !is_secret(bits(8.0, 8.0), 32));
    }

    #[test]
    fn what_is_measured_in_parts_is_the_whole() {
        let config = Config::default();
        let device = Device::flex();
        // All zeros: every guess is 0.
        let network = crate::generator::new(&config, &device);
        let eve = crate::discriminator::new(&config, &device);
        let count = TOGETHER + 10;
        let mut stream = Stream::new(0, "t", 0);
        let found = errors(
            [&network, &network, &eve],
            &config,
            count,
            &mut stream,
            &device,
        );
        for bits in [found.bob, found.bob_with_another_key, found.eve] {
            assert_eq!(bits.distance, 8.0);
            assert!((bits.wrong - 8.0).abs() < 0.1, "{bits:?}");
        }
    }
}
