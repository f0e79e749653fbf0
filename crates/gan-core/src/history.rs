//! Historical averaging (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>, section 3.3).

use crate::checkpoint::{Checkpoint, PartFile};
use crate::failure::{Kind, failure};
use crate::weights::{self, Network, WeightFile};
use anyhow::Result;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// The mean of all parameters that a player has had, which its cost pulls it towards: `|theta - 1/t sum of theta[i]|^2`.
/// The orbits of two players around an equilibrium become spirals into it.
#[derive(Debug, Clone)]
pub struct HistoricalAverage<M: Network> {
    mean: M,
    count: u64,
}

/// The parameters that an optimizer moves, flat; running statistics are none.
struct Parameters<'a> {
    path: Vec<String>,
    found: &'a mut Vec<Tensor<1>>,
    is_live: bool,
}

impl ModuleVisitor for Parameters<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if is_buffer(&self.path) {
            return;
        }
        let tensor = parameter.val();
        let count = tensor.dims().iter().product::<usize>();
        let tensor = if self.is_live { tensor } else { tensor.inner() };
        self.found.push(tensor.reshape([count]));
    }
}

fn is_buffer(path: &[String]) -> bool {
    path.last().is_some_and(|leaf| leaf.starts_with("running_"))
}

fn parameters<M: Network>(network: &M, is_live: bool) -> Vec<Tensor<1>> {
    let mut found = Vec::new();
    network.visit(&mut Parameters {
        path: Vec::new(),
        found: &mut found,
        is_live,
    });
    found
}

impl<M: Network> HistoricalAverage<M> {
    /// The history of a player that has not moved yet: its start is the first of its parameters.
    pub fn new(network: &M) -> Self {
        Self {
            mean: network.valid(),
            count: 1,
        }
    }

    /// The squared distance of the player's parameters from their mean, `[1]`, differentiable by them. The mean stands
    /// still in it.
    pub fn distance(&self, network: &M) -> Tensor<1> {
        let means = parameters(&self.mean, true);
        let squares = parameters(network, true)
            .into_iter()
            .zip(means)
            .map(|(now, mean)| {
                let away = now - Tensor::from_inner(mean);
                (away.clone() * away).sum()
            });
        let device = network.devices().into_iter().next().unwrap_or_default();
        squares
            .reduce(|sum, square| sum + square)
            .unwrap_or_else(|| Tensor::zeros([1], &device))
    }

    /// Counts the parameters that the player has after a step: `mean += (theta - mean) / count`.
    pub fn follow(&mut self, network: &M) {
        struct Averager {
            path: Vec<String>,
            newest: std::vec::IntoIter<Tensor<1>>,
            share: f64,
        }
        impl ModuleMapper for Averager {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
            fn map_float<const D: usize>(
                &mut self,
                parameter: Param<Tensor<D>>,
            ) -> Param<Tensor<D>> {
                if is_buffer(&self.path) {
                    return parameter;
                }
                let (id, mean, mapper) = parameter.consume();
                let Some(newest) = self.newest.next() else {
                    return Param::from_mapped_value(id, mean, mapper);
                };
                let newest = newest.reshape(mean.dims());
                let mean = convolution::layers::average(mean, newest, 1.0 - self.share, self.share);
                Param::from_mapped_value(id, mean, mapper)
            }
        }
        self.count += 1;
        let newest = parameters(network, false).into_iter();
        // `valid` gives the mean tensors of its own, whatever else holds a clone.
        self.mean = self.mean.valid().map(&mut Averager {
            path: Vec::new(),
            newest,
            share: 1.0 / self.count as f64,
        });
    }
}

impl<M: Network> Checkpoint for HistoricalAverage<M> {
    fn files(&self) -> Vec<PartFile> {
        vec![PartFile {
            suffix: "",
            tensors: weights::collect(&self.mean),
            metadata: BTreeMap::from([("count".to_owned(), self.count.to_string())]),
        }]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let file = read("")?;
        let count = file
            .metadata
            .get("count")
            .and_then(|text| text.parse().ok());
        self.count = count.ok_or_else(|| {
            let what = "the history of a player's parameters lacks their number";
            failure(Kind::Checkpoint, what)
        })?;
        self.mean = weights::apply(self.mean.valid(), &file.tensors)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Linear;
    use burn::module::Module;
    use burn::tensor::{Device, TensorData};

    #[derive(Module, Debug)]
    struct Line {
        linear: Linear,
    }

    impl Network for Line {}

    fn line(values: [f32; 2]) -> Line {
        let device = Device::flex().autodiff();
        let mut linear = Linear::new(2, 1, &device);
        let weight = Tensor::from_data(TensorData::new(values.to_vec(), [2, 1]), &device);
        linear.weight = Param::from_tensor(weight);
        Line { linear }
    }

    #[test]
    fn the_mean_of_all_and_the_way_back_to_it() {
        let mut history = HistoricalAverage::new(&line([0.0, 3.0]));
        history.follow(&line([6.0, 3.0]));
        history.follow(&line([6.0, 9.0]));
        // The mean is (4, 5).
        let now = line([7.0, 3.0]);
        let distance = history.distance(&now);
        assert!((distance.clone().into_scalar::<f32>() - 13.0).abs() < 1e-4);
        let gradients = distance.backward();
        let gradient = now.linear.weight.val().grad(&gradients).unwrap();
        let gradient: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        assert!((gradient[0] - 6.0).abs() < 1e-4 && (gradient[1] + 4.0).abs() < 1e-4);

        let mut other = HistoricalAverage::new(&line([1.0, 1.0]));
        let file = history.files().remove(0);
        other
            .restore(&mut |_| {
                Ok(WeightFile {
                    tensors: file.tensors.clone(),
                    metadata: file.metadata.clone(),
                })
            })
            .unwrap();
        assert_eq!(other.count, 3);
        assert!((other.distance(&now).into_scalar::<f32>() - 13.0).abs() < 1e-4);
    }
}
