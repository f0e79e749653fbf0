//! How the errors of Bob and Eve went so far: what a preview shows, so it is part of a checkpoint.

use anyhow::Result;
use gan_core::checkpoint::{Checkpoint, PartFile};
use gan_core::failure::{Kind, failure};
use gan_core::weights::{HostTensor, Tensors, WeightFile};

/// Steps from one point to the next. No flag: the bytes of a checkpoint would depend on it.
pub const EVERY: u64 = 50;

/// Bits wrong over steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Steps, counted from 0.
    pub steps: Vec<f32>,
    /// Bob's mean distance at each, in bits.
    pub bob: Vec<f32>,
    /// Eve's.
    pub eve: Vec<f32>,
}

impl History {
    /// Adds a point.
    pub fn push(&mut self, step: u64, bob: f32, eve: f32) {
        self.steps.push(step as f32);
        self.bob.push(bob);
        self.eve.push(eve);
    }
}

impl Checkpoint for History {
    fn files(&self) -> Vec<PartFile> {
        let columns = [
            ("step", &self.steps),
            ("bob_bits", &self.bob),
            ("eve_bits", &self.eve),
        ];
        let tensors: Tensors = columns
            .into_iter()
            .map(|(name, values)| (name.to_owned(), HostTensor::vector(values.clone())))
            .collect();
        vec![PartFile::weights(tensors)]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let mut tensors = read("")?.tensors;
        let mut take = |name: &str| tensors.remove(name).map(|tensor| tensor.values);
        let columns = (take("step"), take("bob_bits"), take("eve_bits"));
        if let (Some(steps), Some(bob), Some(eve)) = columns
            && steps.len() == bob.len()
            && steps.len() == eve.len()
        {
            *self = Self { steps, bob, eve };
            return Ok(());
        }
        Err(failure(
            Kind::Checkpoint,
            "the history lacks a column, or its columns have different lengths",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::weights::Metadata;

    #[test]
    fn what_is_saved_is_restored_and_what_does_not_fit_is_refused() {
        let mut history = History::default();
        for _ in 0..2 {
            let file = history.files().remove(0);
            let mut restored = History::default();
            let mut read = |_: &str| {
                Ok(WeightFile {
                    tensors: file.tensors.clone(),
                    metadata: Metadata::new(),
                })
            };
            restored.restore(&mut read).unwrap();
            assert_eq!(restored, history);
            history.push(50, 3.0, 7.5);
        }
        let mut tensors = history.files().remove(0).tensors;
        tensors.insert("eve_bits".to_owned(), HostTensor::vector(Vec::new()));
        let mut read = |_: &str| {
            Ok(WeightFile {
                tensors: tensors.clone(),
                metadata: Metadata::new(),
            })
        };
        let before = history.clone();
        assert!(history.restore(&mut read).is_err());
        assert_eq!(history, before);
    }
}
