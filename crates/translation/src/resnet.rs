//! The ResNet generator: two halvings, residual blocks, two doublings (Johnson et al. 2016,
//! <https://arxiv.org/abs/1603.08155>; as CycleGAN has it, Zhu et al. 2017, <https://arxiv.org/abs/1703.10593>,
//! appendix 7.2; layers and tensor names as in the authors' PyTorch program).

use crate::generator::Shape;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{
    Activation, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Dropout, Layer,
    NormLayer, Statistics, reflect,
};
use gan_core::random::Stream;

/// Halvings, and doublings.
const SCALES: usize = 2;

/// Convolution 7 x 7, two halvings, residual blocks at a quarter of the size, two doublings, convolution 7 x 7.
#[derive(Module, Debug)]
pub(crate) struct Resnet {
    input: Conv2d,
    input_norm: NormLayer,
    downs: Vec<Conv2d>,
    down_norms: Vec<NormLayer>,
    blocks: Vec<Block>,
    ups: Vec<ConvTranspose2d>,
    up_norms: Vec<NormLayer>,
    output: Conv2d,
}

/// Two convolutions beside which the input goes on unchanged; nothing follows their sum.
#[derive(Module, Debug)]
struct Block {
    first: Conv2d,
    first_norm: NormLayer,
    dropout: Option<Dropout>,
    second: Conv2d,
    second_norm: NormLayer,
}

impl Resnet {
    /// A ResNet of `blocks` residual blocks, all weights zero.
    pub(crate) fn new(blocks: usize, shape: &Shape, device: &Device) -> Self {
        let (norm, width) = (shape.norm, shape.width);
        let convolution = |from: usize, to: usize, side: usize| {
            let config = Conv2dConfig::new([from, to], [side, side]);
            if norm.is_after_bias() {
                config.with_bias()
            } else {
                config
            }
        };
        let down = |scale: usize| {
            convolution(width << scale, width << (scale + 1), 3)
                .stride([2, 2])
                .padding([1, 1])
                .init(device)
        };
        let up = |scale: usize| {
            let from = width << (SCALES - scale);
            let mut config = ConvTranspose2dConfig::new([from, from / 2], [3, 3])
                .stride([2, 2])
                .padding([1, 1]);
            config.window().output_padding = [0, 1, 1];
            if norm.is_after_bias() {
                config = config.with_bias();
            }
            config.init(device)
        };
        let deep = width << SCALES;
        let block = |_| Block {
            first: convolution(deep, deep, 3).init(device),
            first_norm: norm.layer(deep, device),
            dropout: shape.dropout.then(|| Dropout::new(0.5)),
            second: convolution(deep, deep, 3).init(device),
            second_norm: norm.layer(deep, device),
        };
        Self {
            input: convolution(shape.input, width, 7).init(device),
            input_norm: norm.layer(width, device),
            downs: (0..SCALES).map(down).collect(),
            down_norms: (0..SCALES)
                .map(|scale| norm.layer(width << (scale + 1), device))
                .collect(),
            blocks: (0..blocks).map(block).collect(),
            ups: (0..SCALES).map(up).collect(),
            up_norms: (0..SCALES)
                .map(|scale| norm.layer(deep >> (scale + 1), device))
                .collect(),
            output: Conv2dConfig::new([width, shape.output], [7, 7])
                .with_bias()
                .init(device),
        }
    }

    /// # Shapes
    /// - input: `[batch, input, height, width]`, both sides multiples of 4 and at least 8
    /// - result: `[batch, output, height, width]`
    pub(crate) fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        mut dropout: Option<&mut Stream>,
    ) -> Tensor<4> {
        let relu = Activation::RELU;
        let mut features = self
            .input_norm
            .after(&self.input, reflect(input, 3), statistics, relu);
        for (down, norm) in self.downs.iter().zip(&self.down_norms) {
            features = norm.after(down, features, statistics, relu);
        }
        // [batch, 4 width, height / 4, width / 4]
        for block in &self.blocks {
            features = block.forward(features, statistics, dropout.as_deref_mut());
        }
        for (up, norm) in self.ups.iter().zip(&self.up_norms) {
            features = norm.after(up, features, statistics, relu);
        }
        self.output
            .activated(reflect(features, 3), Activation::Tanh)
    }

    /// The authors' `Sequential`: `model.1` and `model.2` are the first convolution and its normalisation, and so
    /// on; of a block, `conv_block.1` and `conv_block.5`, or `.6` behind a dropout.
    pub(crate) fn tensor_name(&self, path: &str) -> String {
        let count = self.blocks.len();
        let mut parts = path.split('.');
        let list = parts.next().unwrap_or_default();
        let place: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let leaf = path.rsplit('.').next().unwrap_or_default();
        let index = match list {
            "input" => 1,
            "input_norm" => 2,
            "downs" => 4 + 3 * place,
            "down_norms" => 5 + 3 * place,
            "blocks" => 10 + place,
            "ups" => 10 + count + 3 * place,
            "up_norms" => 11 + count + 3 * place,
            _ => 17 + count,
        };
        if list != "blocks" {
            return format!("model.{index}.{leaf}");
        }
        let second = self.blocks.get(place).map_or(5, Block::second_place);
        let inner = match parts.next().unwrap_or_default() {
            "first" => 1,
            "first_norm" => 2,
            "second" => second,
            _ => second + 1,
        };
        format!("model.{index}.conv_block.{inner}.{leaf}")
    }
}

impl Block {
    fn forward(
        &self,
        input: Tensor<4>,
        statistics: Statistics,
        stream: Option<&mut Stream>,
    ) -> Tensor<4> {
        let around = reflect(input.clone(), 1);
        let mut inner = self
            .first_norm
            .after(&self.first, around, statistics, Activation::RELU);
        if let Some(dropout) = &self.dropout {
            inner = dropout.forward(inner, stream);
        }
        let identity = Activation::Identity;
        let change = self
            .second_norm
            .after(&self.second, reflect(inner, 1), statistics, identity);
        input + change
    }

    /// Where the second convolution stands in the authors' block.
    fn second_place(&self) -> usize {
        5 + usize::from(self.dropout.is_some())
    }
}
