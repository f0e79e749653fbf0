//! The U-Net generator: halvings to 1 x 1 and doublings back, each doubling beside what the halving of its size
//! gave (Isola et al. 2017, <https://arxiv.org/abs/1611.07004>, section 6.1.1; layers and tensor names as in the
//! authors' PyTorch program).

use crate::generator::Shape;
use crate::norm::Norm;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{
    Activation, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Dropout, Layer,
    NormLayer, Statistics, activation,
};
use gan_core::random::Stream;

/// Leaky ReLU before every halving but the first.
const LEAKY: Activation = Activation::LeakyRelu(0.2);
/// Up to this depth channels double; deeper they stay.
const WIDEST: usize = 8;

/// Level 0 is the outermost, at the size of the picture.
#[derive(Module, Debug)]
pub(crate) struct Unet {
    /// One a level.
    downs: Vec<Conv2d>,
    /// Of levels 1 to the last but one: neither the first halving nor the one to the innermost pixels, where a
    /// single picture has nothing to take a variance of, is normalised.
    down_norms: Vec<NormLayer>,
    /// One a level.
    ups: Vec<ConvTranspose2d>,
    /// Of levels 1 and deeper.
    up_norms: Vec<NormLayer>,
    dropout: Option<Dropout>,
}

/// Channels after the halving of a level.
fn channels(width: usize, level: usize) -> usize {
    width * (1usize << level.min(3)).min(WIDEST)
}

/// Whether a level has dropout: those of eight times the width, but the innermost.
fn has_dropout(level: usize, levels: usize) -> bool {
    level >= 4 && level + 1 < levels
}

impl Unet {
    /// A U-Net of `levels` halvings, all weights zero.
    ///
    /// # Panics
    /// With fewer than 2 levels.
    pub(crate) fn new(levels: usize, shape: &Shape, device: &Device) -> Self {
        assert!(levels >= 2, "a U-Net of {levels} levels");
        let norm = shape.norm;
        let down = |level: usize| {
            let from = match level {
                0 => shape.input,
                _ => channels(shape.width, level - 1),
            };
            let config = Conv2dConfig::new([from, channels(shape.width, level)], [4, 4])
                .stride([2, 2])
                .padding([1, 1]);
            with_bias(config, norm).init(device)
        };
        let up = |level: usize| {
            let is_innermost = level + 1 == levels;
            let from = channels(shape.width, level) * if is_innermost { 1 } else { 2 };
            let to = match level {
                0 => shape.output,
                _ => channels(shape.width, level - 1),
            };
            let mut config = ConvTranspose2dConfig::new([from, to], [4, 4])
                .stride([2, 2])
                .padding([1, 1]);
            if level == 0 || norm.is_after_bias() {
                config = config.with_bias();
            }
            config.init(device)
        };
        Self {
            downs: (0..levels).map(down).collect(),
            down_norms: (1..levels - 1)
                .map(|level| norm.layer(channels(shape.width, level), device))
                .collect(),
            ups: (0..levels).map(up).collect(),
            up_norms: (1..levels)
                .map(|level| norm.layer(channels(shape.width, level - 1), device))
                .collect(),
            dropout: shape.dropout.then(|| Dropout::new(0.5)),
        }
    }

    /// # Shapes
    /// - input: `[batch, input, height, width]`, both sides multiples of 2 to the number of levels
    /// - result: `[batch, output, height, width]`
    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        mut dropout: Option<&mut Stream>,
    ) -> Tensor<4> {
        let levels = self.downs.len();
        let relu = Activation::RELU;
        // What each halving gives, after its leaky ReLU; the innermost after its ReLU.
        let mut halves = Vec::with_capacity(levels);
        let mut features = input;
        for (level, down) in self.downs.iter().enumerate() {
            // [batch, 2^level width, height / 2^(level+1), ..]
            features = if level + 1 == levels {
                down.activated(features, relu)
            } else if level == 0 {
                down.activated(features, LEAKY)
            } else {
                self.down_norms[level - 1].after(down, features, statistics, LEAKY)
            };
            halves.push(features.clone());
        }
        halves.pop();
        for level in (1..levels).rev() {
            let norm = &self.up_norms[level - 1];
            let mut double = norm.after(&self.ups[level], features, statistics, relu);
            if let Some(layer) = self.dropout.as_ref().filter(|_| has_dropout(level, levels)) {
                // Its values are none or larger by a factor: it and the ReLU may change places.
                double = layer.forward(double, dropout.as_deref_mut());
            }
            // The ReLU of a leaky ReLU is that of its input.
            let beside = halves.pop().map(|half| activation(half, relu));
            features = match beside {
                Some(beside) => Tensor::cat(vec![beside, double], 1),
                None => double,
            };
        }
        self.ups[0].activated(features, Activation::Tanh)
    }

    /// The authors' nested modules: `model.model.0` is the outermost halving, `model.model.1` what lies between it
    /// and the outermost doubling, and so on inwards.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let levels = self.downs.len();
        let mut parts = path.split('.');
        let list = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or_default();
        let level = match list {
            "downs" | "ups" => place,
            _ => place + 1,
        };
        let is_innermost = level + 1 == levels;
        let index = match list {
            "downs" => usize::from(level > 0),
            "down_norms" => 2,
            "ups" if level == 0 || is_innermost => 3,
            "ups" => 5,
            _ if is_innermost => 4,
            _ => 6,
        };
        let home = match level {
            0 => "model".to_owned(),
            _ => format!("model.model.1{}", ".model.3".repeat(level - 1)),
        };
        format!("{home}.model.{index}.{leaf}")
    }
}

fn with_bias(config: Conv2dConfig, norm: Norm) -> Conv2dConfig {
    if norm.is_after_bias() {
        config.with_bias()
    } else {
        config
    }
}
