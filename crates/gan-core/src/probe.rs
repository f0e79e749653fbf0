//! How much a description of things says about their classes: what a linear classifier on it gets right.

use crate::learner::Learner;
use crate::optimizer::{Rule, Schedule};
use crate::random::Stream;
use crate::stage::At;
use crate::weights::{HostTensor, Network};
use burn::module::{Initializer, Module};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};

/// Softmax regression.
#[derive(Module, Debug)]
struct Classifier {
    linear: Linear,
}

impl Network for Classifier {}

/// Subtracts each column's mean and divides by its standard deviation, both of the training rows.
fn standardise(train: &mut HostTensor, test: &mut HostTensor) {
    let width = train.shape[1];
    let count = train.shape[0] as f64;
    let mut mean = vec![0.0f64; width];
    let mut square = vec![0.0f64; width];
    for row in train.values.chunks_exact(width) {
        for (column, value) in row.iter().enumerate() {
            mean[column] += f64::from(*value) / count;
            square[column] += f64::from(*value).powi(2) / count;
        }
    }
    for rows in [train, test] {
        for row in rows.values.chunks_exact_mut(width) {
            for (column, value) in row.iter_mut().enumerate() {
                // Columns that never vary say nothing; the floor keeps them at 0.
                let std = (square[column] - mean[column].powi(2)).max(1e-6).sqrt();
                *value = ((f64::from(*value) - mean[column]) / std) as f32;
            }
        }
    }
}

/// The share of test rows that a linear classifier gets right: softmax regression on standardised columns with an L2
/// penalty, 60 epochs of Adam. The penalty is chosen among four on a fifth of the training rows that is held out: they
/// have to be in a random order.
///
/// # Shapes
/// - `train`, `test`: `[rows, columns]`, with a label for each row
pub fn probe(
    mut train: HostTensor,
    train_labels: &[u8],
    mut test: HostTensor,
    test_labels: &[u8],
    device: &Device,
) -> f64 {
    standardise(&mut train, &mut test);
    let classes = 1 + train_labels
        .iter()
        .chain(test_labels)
        .max()
        .map_or(0, |l| usize::from(*l));
    let width = train.shape[1];
    let held = train_labels.len() / 5;
    let inner = train_labels.len() - held;
    let part = |from: usize, to: usize| &train.values[from * width..to * width];
    let best = [1e-4, 1e-3, 1e-2, 1e-1]
        .into_iter()
        .map(|penalty| {
            let fitted = fit_linear(
                part(0, inner),
                &train_labels[..inner],
                width,
                classes,
                penalty,
                device,
            );
            let rows = part(inner, train_labels.len());
            (
                accuracy(&fitted, rows, &train_labels[inner..], width, device),
                penalty,
            )
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let penalty = best.map_or(1e-3, |(_, penalty)| penalty);
    let fitted = fit_linear(&train.values, train_labels, width, classes, penalty, device);
    accuracy(&fitted, &test.values, test_labels, width, device)
}

fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, device)
}

fn fit_linear(
    values: &[f32],
    labels: &[u8],
    width: usize,
    classes: usize,
    penalty: f64,
    device: &Device,
) -> Classifier {
    let autodiff = device.clone().autodiff();
    let linear = LinearConfig::new(width, classes)
        .with_initializer(Initializer::Zeros)
        .init(&autodiff);
    let rule = Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    let batch = labels.len().min(250);
    let batches = labels.len() / batch;
    let total = 60 * batches as u64;
    let decay = Schedule::LinearDecay { start: 0.0 };
    let mut learner = Learner::new(Classifier { linear }, rule, 2e-3, decay);
    for step in 0..total {
        let (epoch, index) = (step / batches as u64, step as usize % batches);
        let order = Stream::new(0, "probe", epoch).permutation(labels.len());
        let chosen = &order[index * batch..(index + 1) * batch];
        let mut picked = Vec::with_capacity(batch * width);
        for row in chosen {
            let start = *row as usize * width;
            picked.extend_from_slice(&values[start..start + width]);
        }
        let wanted: Vec<i64> = chosen
            .iter()
            .map(|row| i64::from(labels[*row as usize]))
            .collect();
        let wanted = TensorData::new(wanted, [batch, 1]);
        let wanted = Tensor::<2, Int>::from_data(wanted, &autodiff);
        let network = learner.network();
        let scores = network.linear.forward(rows(&picked, width, &autodiff));
        let likelihood = log_softmax(scores, 1).gather(1, wanted).mean();
        let weight = network.linear.weight.val();
        let loss = (weight.clone() * weight).sum().mul_scalar(penalty) - likelihood;
        learner.descend(loss, &At::new(0, step, total));
    }
    learner.snapshot()
}

fn accuracy(
    classifier: &Classifier,
    values: &[f32],
    labels: &[u8],
    width: usize,
    device: &Device,
) -> f64 {
    let mut right = 0;
    for (values, labels) in values.chunks(1000 * width).zip(labels.chunks(1000)) {
        let scores = classifier.linear.forward(rows(values, width, device));
        let answers = scores.argmax(1).into_data();
        right += answers
            .iter::<i64>()
            .zip(labels)
            .filter(|(answer, label)| *answer == i64::from(**label))
            .count();
    }
    right as f64 / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_learns_what_is_linear_and_nothing_else() {
        let mut stream = Stream::new(0, "test", 0);
        let mut make = |count: usize, informative: f32| {
            let labels: Vec<u8> = (0..count).map(|i| (i % 3) as u8).collect();
            let noise = stream.normal(count * 4);
            let values = (0..count * 4)
                .map(|at| {
                    let hit = at % 4 == usize::from(labels[at / 4]);
                    noise[at] + if hit { informative } else { 0.0 }
                })
                .collect();
            (
                HostTensor {
                    shape: vec![count, 4],
                    values,
                },
                labels,
            )
        };
        let device = Device::flex();
        let ((train, train_labels), (test, test_labels)) = (make(300, 6.0), make(300, 6.0));
        assert!(probe(train, &train_labels, test, &test_labels, &device) > 0.98);
        let ((train, train_labels), (test, test_labels)) = (make(300, 0.0), make(300, 0.0));
        assert!(probe(train, &train_labels, test, &test_labels, &device) < 0.5);
    }
}
