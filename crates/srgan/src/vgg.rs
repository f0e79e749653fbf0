//! The features of VGG19 that the content loss compares (section 2.2.1; Simonyan and Zisserman 2015,
//! <https://arxiv.org/abs/1409.1556>), with the weights that torchvision publishes.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::failure::{Kind, failure};
use gan_core::layers::{Activation, Conv2d, Conv2dConfig, Layer, Pool, Taken, pool};
use gan_core::weights::{self, Network};
use std::path::Path;

/// Where torchvision's weights are.
pub const ADDRESS: &str = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth";

/// Mean and deviation of red, green and blue in [0, 1] over ImageNet, as torchvision's networks expect them taken out.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Brings the loss of the features to the size of that of pixels (section 3.2).
const RESCALE: f64 = 1.0 / 12.75;

/// Output channels of the convolutions, and where they stand in torchvision's `features`. Between them are ReLUs,
/// and poolings where a place is left out.
const CONVOLUTIONS: [(usize, usize); 16] = [
    (64, 0),
    (64, 2),
    (128, 5),
    (128, 7),
    (256, 10),
    (256, 12),
    (256, 14),
    (256, 16),
    (512, 19),
    (512, 21),
    (512, 23),
    (512, 25),
    (512, 28),
    (512, 30),
    (512, 32),
    (512, 34),
];

/// Which features, always behind the ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Features {
    /// Those of the second convolution before the second pooling: `features[:9]`.
    Phi22,
    /// Those of the fourth convolution before the fifth pooling: `features[:36]`.
    Phi54,
}

impl Features {
    fn convolutions(self) -> usize {
        match self {
            Self::Phi22 => 4,
            Self::Phi54 => CONVOLUTIONS.len(),
        }
    }

    /// Values that are kept for a picture of `side` x `side` pixels, about: see
    /// [`gan_core::stage::Stage::activations`].
    pub fn activations(self, side: usize) -> u64 {
        let all = CONVOLUTIONS[..self.convolutions()].iter();
        let values = all.scan((0, 0), |(before, poolings), (channels, place)| {
            *poolings += usize::from(*place == *before + 3);
            *before = *place;
            Some(channels * (side >> *poolings) * (side >> *poolings))
        });
        values.sum::<usize>() as u64
    }
}

/// The convolutions up to the features that are wanted.
#[derive(Module, Debug)]
struct Stack {
    convs: Vec<Conv2d>,
}

impl Stack {
    fn new(features: Features, device: &Device) -> Self {
        let conv = |layer: usize| {
            let from = layer
                .checked_sub(1)
                .map_or(3, |before| CONVOLUTIONS[before].0);
            Conv2dConfig::new([from, CONVOLUTIONS[layer].0], [3, 3])
                .padding([1, 1])
                .with_bias()
                .init(device)
        };
        Self {
            convs: (0..features.convolutions()).map(conv).collect(),
        }
    }
}

impl Network for Stack {
    fn tensor_name(&self, path: &str) -> String {
        let mut parts = path.split('.').skip(1);
        let layer: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = parts.next().unwrap_or_default();
        let (_, place) = CONVOLUTIONS[layer];
        format!("features.{place}.{leaf}")
    }
}

/// VGG19 up to some of its features. Nobody moves it: gradients go through it to the picture alone.
#[derive(Debug, Clone)]
pub struct Vgg {
    stack: Stack,
}

impl Vgg {
    /// Reads torchvision's file, or one of the same names without the classifier.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `path` is empty or names no file, [`Kind::Checkpoint`] when the file is of another
    /// network; it names the tensor.
    pub fn open(path: &str, features: Features, device: &Device) -> Result<Self> {
        let file = Path::new(path);
        if path.is_empty() || !file.is_file() {
            let missing = match path {
                "" => "the content losses vgg54 and vgg22 need the weights of VGG19".to_owned(),
                _ => format!("there is no file {path} with the weights of VGG19"),
            };
            return Err(failure(
                Kind::Usage,
                format!(
                    "{missing}: fetch {ADDRESS} (548 MB) and name it with --vgg FILE, or go without: --content-loss mse"
                ),
            ));
        }
        let stack = Stack::new(features, device);
        let wanted = weights::collect(&stack);
        let mut tensors = weights::read(file)?.tensors;
        tensors.retain(|name, _| wanted.contains_key(name));
        let stack = weights::apply(stack, &tensors)
            .with_context(|| format!("{path} does not hold VGG19 in the layout of torchvision"))?;
        Ok(Self {
            stack: stack.no_grad(),
        })
    }

    /// The features, divided by 12.75.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3, height, width]`, RGB in [0, 1]
    /// - result: `[batch, 128, height / 2, width / 2]`, or `[batch, 512, height / 16, width / 16]`
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<4> {
        let device = pictures.device();
        let constant = |values: [f32; 3]| {
            let values = Tensor::<1>::from_data(values, &device);
            values.reshape([1, 3, 1, 1])
        };
        let mut features = (pictures - constant(MEAN)) / constant(DEVIATION);
        let halves = Pool {
            taken: Taken::Maximum,
            side: 2,
            stride: 2,
            padding: 0,
        };
        let mut before = 0;
        for (conv, (_, place)) in self.stack.convs.iter().zip(CONVOLUTIONS) {
            if place == before + 3 {
                features = pool(features, halves);
            }
            features = conv.activated(features, Activation::RELU);
            before = place;
        }
        features * RESCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::exit_code;
    use gan_core::weights::{HostTensor, Tensors};

    #[test]
    fn a_missing_file_is_told_with_what_helps() {
        for path in ["", "/nowhere/vgg19.pth"] {
            let error = Vgg::open(path, Features::Phi54, &Device::flex()).unwrap_err();
            assert_eq!(exit_code(&error), 2);
            let said = error.to_string();
            for part in [ADDRESS, "--vgg", "--content-loss mse", path] {
                assert!(said.contains(part), "{said}");
            }
        }
    }

    #[test]
    fn another_network_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("vgg.safetensors");
        let refused = |tensors: &Tensors| {
            weights::write(&place, tensors, &Default::default()).unwrap();
            let path = place.display().to_string();
            let error = Vgg::open(&path, Features::Phi22, &Device::flex()).unwrap_err();
            assert_eq!(exit_code(&error), 4);
            format!("{error:#}")
        };
        let mut tensors = weights::collect(&Stack::new(Features::Phi22, &Device::flex()));
        // What is not needed is not looked at.
        tensors.insert(
            "classifier.6.bias".to_owned(),
            HostTensor::vector(vec![0.0]),
        );
        weights::write(&place, &tensors, &Default::default()).unwrap();
        let path = place.display().to_string();
        assert!(Vgg::open(&path, Features::Phi22, &Device::flex()).is_ok());
        let error = Vgg::open(&path, Features::Phi54, &Device::flex()).unwrap_err();
        assert!(
            format!("{error:#}").contains("features.10.weight"),
            "{error:#}"
        );

        let shape = vec![64, 3, 3, 3];
        tensors.insert(
            "features.5.weight".to_owned(),
            HostTensor {
                values: vec![0.0; 64 * 27],
                shape,
            },
        );
        assert!(refused(&tensors).contains("features.5.weight"));
        tensors.remove("features.5.weight");
        assert!(refused(&tensors).contains("features.5.weight"));
    }
}
