//! The network behind FID, Inception Score and KID: Inception v3 (Szegedy et al. 2015,
//! <https://arxiv.org/abs/1512.00567>) as the TensorFlow graph of 2015-12-05 has it.
//!
//! It differs from torchvision's: average pools leave the padding out of the count, the pool branch of
//! `Mixed_7c` takes the maximum, and there are 1,008 classes. Tensor names are those of pytorch-fid 0.3.0,
//! so its published file loads as it is.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::layers::{
    Activation, BatchNorm, Conv2d, Conv2dConfig, Linear, Pool, Statistics, Taken, activation, pool,
};
use gan_core::weights::Network;

const RELU: Activation = Activation::LeakyRelu(0.0);

/// The side of the pictures that the network was trained on.
pub const SIDE: usize = 299;

/// The classes of [`FeatureLayer::Logits`].
pub const CLASSES: usize = 1008;

/// A convolution without bias, its normalisation by known statistics, ReLU.
#[derive(Module, Debug)]
struct Convolution {
    conv: Conv2d,
    bn: BatchNorm,
}

impl Convolution {
    fn new(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> Self {
        Self::strided(channels, kernel, 1, [0, 0], device)
    }

    /// With as many zeros around as keep the size.
    fn same(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> Self {
        Self::strided(channels, kernel, 1, kernel.map(|side| side / 2), device)
    }

    fn strided(
        channels: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
        device: &Device,
    ) -> Self {
        let mut bn = BatchNorm::new(channels[1], device);
        bn.epsilon = 1e-3;
        Self {
            conv: Conv2dConfig::new(channels, kernel)
                .stride([stride, stride])
                .padding(padding)
                .init(device),
            bn,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.bn.after(&self.conv, input, Statistics::Running, RELU)
    }

    /// The layer on the averages of 3 x 3 neighbours.
    fn after_average(&self, input: Tensor<4>) -> Tensor<4> {
        // Averages and what is linear may change places: a 1 x 1 convolution leaves fewer channels to average.
        let linear = self
            .bn
            .after(&self.conv, input, Statistics::Running, Activation::Identity);
        activation(around(linear, Taken::Average, 1, 1), RELU)
    }
}

/// The maximum of 3 x 3 neighbours, every second one, without padding.
fn halve(input: Tensor<4>) -> Tensor<4> {
    around(input, Taken::Maximum, 2, 0)
}

fn around(input: Tensor<4>, taken: Taken, stride: usize, padding: usize) -> Tensor<4> {
    let windows = Pool {
        taken,
        side: 3,
        stride,
        padding,
    };
    pool(input, windows)
}

fn join(branches: Vec<Tensor<4>>) -> Tensor<4> {
    Tensor::cat(branches, 1)
}

/// The mean of each channel.
fn means(input: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = input.dims();
    input
        .reshape([batch, channels, height * width])
        .mean_dim(2)
        .reshape([batch, channels])
}

/// 35 x 35: 1 x 1, 5 x 5, two 3 x 3, average.
#[derive(Module, Debug)]
struct BlockA {
    branch1x1: Convolution,
    branch5x5_1: Convolution,
    branch5x5_2: Convolution,
    branch3x3dbl_1: Convolution,
    branch3x3dbl_2: Convolution,
    branch3x3dbl_3: Convolution,
    branch_pool: Convolution,
}

impl BlockA {
    fn new(from: usize, pool: usize, device: &Device) -> Self {
        Self {
            branch1x1: Convolution::new([from, 64], [1, 1], device),
            branch5x5_1: Convolution::new([from, 48], [1, 1], device),
            branch5x5_2: Convolution::same([48, 64], [5, 5], device),
            branch3x3dbl_1: Convolution::new([from, 64], [1, 1], device),
            branch3x3dbl_2: Convolution::same([64, 96], [3, 3], device),
            branch3x3dbl_3: Convolution::same([96, 96], [3, 3], device),
            branch_pool: Convolution::new([from, pool], [1, 1], device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let one = self.branch1x1.forward(input.clone());
        let five = self.branch5x5_1.forward(input.clone());
        let five = self.branch5x5_2.forward(five);
        let double = self.branch3x3dbl_1.forward(input.clone());
        let double = self.branch3x3dbl_2.forward(double);
        let double = self.branch3x3dbl_3.forward(double);
        join(vec![
            one,
            five,
            double,
            self.branch_pool.after_average(input),
        ])
    }
}

/// 35 x 35 to 17 x 17.
#[derive(Module, Debug)]
struct BlockB {
    branch3x3: Convolution,
    branch3x3dbl_1: Convolution,
    branch3x3dbl_2: Convolution,
    branch3x3dbl_3: Convolution,
}

impl BlockB {
    fn new(from: usize, device: &Device) -> Self {
        Self {
            branch3x3: Convolution::strided([from, 384], [3, 3], 2, [0, 0], device),
            branch3x3dbl_1: Convolution::new([from, 64], [1, 1], device),
            branch3x3dbl_2: Convolution::same([64, 96], [3, 3], device),
            branch3x3dbl_3: Convolution::strided([96, 96], [3, 3], 2, [0, 0], device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let three = self.branch3x3.forward(input.clone());
        let double = self.branch3x3dbl_1.forward(input.clone());
        let double = self.branch3x3dbl_2.forward(double);
        let double = self.branch3x3dbl_3.forward(double);
        join(vec![three, double, halve(input)])
    }
}

/// 17 x 17: 1 x 1, 7 x 7 taken apart, two 7 x 7 taken apart, average.
#[derive(Module, Debug)]
struct BlockC {
    branch1x1: Convolution,
    branch7x7_1: Convolution,
    branch7x7_2: Convolution,
    branch7x7_3: Convolution,
    branch7x7dbl_1: Convolution,
    branch7x7dbl_2: Convolution,
    branch7x7dbl_3: Convolution,
    branch7x7dbl_4: Convolution,
    branch7x7dbl_5: Convolution,
    branch_pool: Convolution,
}

impl BlockC {
    fn new(width: usize, device: &Device) -> Self {
        let same = |channels, kernel| Convolution::same(channels, kernel, device);
        Self {
            branch1x1: same([768, 192], [1, 1]),
            branch7x7_1: same([768, width], [1, 1]),
            branch7x7_2: same([width, width], [1, 7]),
            branch7x7_3: same([width, 192], [7, 1]),
            branch7x7dbl_1: same([768, width], [1, 1]),
            branch7x7dbl_2: same([width, width], [7, 1]),
            branch7x7dbl_3: same([width, width], [1, 7]),
            branch7x7dbl_4: same([width, width], [7, 1]),
            branch7x7dbl_5: same([width, 192], [1, 7]),
            branch_pool: same([768, 192], [1, 1]),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let one = self.branch1x1.forward(input.clone());
        let seven = self.branch7x7_1.forward(input.clone());
        let seven = self.branch7x7_2.forward(seven);
        let seven = self.branch7x7_3.forward(seven);
        let double = self.branch7x7dbl_1.forward(input.clone());
        let double = self.branch7x7dbl_2.forward(double);
        let double = self.branch7x7dbl_3.forward(double);
        let double = self.branch7x7dbl_4.forward(double);
        let double = self.branch7x7dbl_5.forward(double);
        join(vec![
            one,
            seven,
            double,
            self.branch_pool.after_average(input),
        ])
    }
}

/// 17 x 17 to 8 x 8.
#[derive(Module, Debug)]
struct BlockD {
    branch3x3_1: Convolution,
    branch3x3_2: Convolution,
    branch7x7x3_1: Convolution,
    branch7x7x3_2: Convolution,
    branch7x7x3_3: Convolution,
    branch7x7x3_4: Convolution,
}

impl BlockD {
    fn new(device: &Device) -> Self {
        let same = |channels, kernel| Convolution::same(channels, kernel, device);
        let half = |channels| Convolution::strided(channels, [3, 3], 2, [0, 0], device);
        Self {
            branch3x3_1: same([768, 192], [1, 1]),
            branch3x3_2: half([192, 320]),
            branch7x7x3_1: same([768, 192], [1, 1]),
            branch7x7x3_2: same([192, 192], [1, 7]),
            branch7x7x3_3: same([192, 192], [7, 1]),
            branch7x7x3_4: half([192, 192]),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let three = self.branch3x3_1.forward(input.clone());
        let three = self.branch3x3_2.forward(three);
        let seven = self.branch7x7x3_1.forward(input.clone());
        let seven = self.branch7x7x3_2.forward(seven);
        let seven = self.branch7x7x3_3.forward(seven);
        let seven = self.branch7x7x3_4.forward(seven);
        join(vec![three, seven, halve(input)])
    }
}

/// 8 x 8: 1 x 1, 3 x 3 as a row beside a column, the same after another 3 x 3, pool.
#[derive(Module, Debug)]
struct BlockE {
    branch1x1: Convolution,
    branch3x3_1: Convolution,
    branch3x3_2a: Convolution,
    branch3x3_2b: Convolution,
    branch3x3dbl_1: Convolution,
    branch3x3dbl_2: Convolution,
    branch3x3dbl_3a: Convolution,
    branch3x3dbl_3b: Convolution,
    branch_pool: Convolution,
}

impl BlockE {
    fn new(from: usize, device: &Device) -> Self {
        let same = |channels, kernel| Convolution::same(channels, kernel, device);
        Self {
            branch1x1: same([from, 320], [1, 1]),
            branch3x3_1: same([from, 384], [1, 1]),
            branch3x3_2a: same([384, 384], [1, 3]),
            branch3x3_2b: same([384, 384], [3, 1]),
            branch3x3dbl_1: same([from, 448], [1, 1]),
            branch3x3dbl_2: same([448, 384], [3, 3]),
            branch3x3dbl_3a: same([384, 384], [1, 3]),
            branch3x3dbl_3b: same([384, 384], [3, 1]),
            branch_pool: same([from, 192], [1, 1]),
        }
    }

    fn forward(&self, input: Tensor<4>, pool: Taken) -> Tensor<4> {
        let one = self.branch1x1.forward(input.clone());
        let three = self.branch3x3_1.forward(input.clone());
        let three_a = self.branch3x3_2a.forward(three.clone());
        let three_b = self.branch3x3_2b.forward(three);
        let double = self.branch3x3dbl_1.forward(input.clone());
        let double = self.branch3x3dbl_2.forward(double);
        let double_a = self.branch3x3dbl_3a.forward(double.clone());
        let double_b = self.branch3x3dbl_3b.forward(double);
        let pooled = match pool {
            Taken::Average => self.branch_pool.after_average(input),
            Taken::Maximum => self.branch_pool.forward(around(input, pool, 1, 1)),
        };
        join(vec![one, three_a, three_b, double_a, double_b, pooled])
    }
}

/// Where numbers are taken from the network, the shallowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureLayer {
    /// After the first max pool, the mean of each of 64 channels of 73 x 73.
    D64,
    /// After the second max pool, the mean of each of 192 channels of 35 x 35.
    D192,
    /// After `Mixed_6e`, the mean of each of 768 channels of 17 x 17.
    D768,
    /// After `Mixed_7c`, the mean of each of 2,048 channels of 8 x 8: what FID, KID and the rest mean unless
    /// they say otherwise.
    D2048,
    /// `fc` without its bias: 1,008 numbers, of which Inception Score takes the softmax.
    Logits,
}

impl FeatureLayer {
    /// Numbers of a picture.
    pub fn dims(self) -> usize {
        match self {
            Self::D64 => 64,
            Self::D192 => 192,
            Self::D768 => 768,
            Self::D2048 => 2048,
            Self::Logits => CLASSES,
        }
    }

    /// The name that torch-fidelity gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::D64 => "64",
            Self::D192 => "192",
            Self::D768 => "768",
            Self::D2048 => "2048",
            Self::Logits => "logits_unbiased",
        }
    }
}

/// The whole network.
#[derive(Module, Debug)]
pub struct Inception {
    conv2d_1a_3x3: Convolution,
    conv2d_2a_3x3: Convolution,
    conv2d_2b_3x3: Convolution,
    conv2d_3b_1x1: Convolution,
    conv2d_4a_3x3: Convolution,
    mixed_5b: BlockA,
    mixed_5c: BlockA,
    mixed_5d: BlockA,
    mixed_6a: BlockB,
    mixed_6b: BlockC,
    mixed_6c: BlockC,
    mixed_6d: BlockC,
    mixed_6e: BlockC,
    mixed_7a: BlockD,
    mixed_7b: BlockE,
    mixed_7c: BlockE,
    fc: Linear,
}

impl Network for Inception {
    /// `mixed_5b.branch1x1.conv.weight` -> `Mixed_5b.branch1x1.conv.weight`
    fn tensor_name(&self, path: &str) -> String {
        for (ours, theirs) in [("conv2d_", "Conv2d_"), ("mixed_", "Mixed_")] {
            if let Some(rest) = path.strip_prefix(ours) {
                return format!("{theirs}{rest}");
            }
        }
        path.to_owned()
    }
}

impl Inception {
    /// The network, all convolutions zero.
    pub fn new(device: &Device) -> Self {
        let new = |channels, kernel| Convolution::new(channels, kernel, device);
        Self {
            conv2d_1a_3x3: Convolution::strided([3, 32], [3, 3], 2, [0, 0], device),
            conv2d_2a_3x3: new([32, 32], [3, 3]),
            conv2d_2b_3x3: Convolution::same([32, 64], [3, 3], device),
            conv2d_3b_1x1: new([64, 80], [1, 1]),
            conv2d_4a_3x3: new([80, 192], [3, 3]),
            mixed_5b: BlockA::new(192, 32, device),
            mixed_5c: BlockA::new(256, 64, device),
            mixed_5d: BlockA::new(288, 64, device),
            mixed_6a: BlockB::new(288, device),
            mixed_6b: BlockC::new(128, device),
            mixed_6c: BlockC::new(160, device),
            mixed_6d: BlockC::new(160, device),
            mixed_6e: BlockC::new(192, device),
            mixed_7a: BlockD::new(device),
            mixed_7b: BlockE::new(1280, device),
            mixed_7c: BlockE::new(2048, device),
            fc: Linear::new(2048, CLASSES, device),
        }
    }

    /// The numbers of the wanted layers; what lies behind the deepest of them is not computed.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3, 299, 299]` in [-1, 1], RGB
    /// - results: `[batch, layer.dims()]`, in the order of `wanted`
    pub fn forward(&self, pictures: Tensor<4>, wanted: &[FeatureLayer]) -> Vec<Tensor<2>> {
        let Some(deepest) = wanted.iter().max() else {
            return Vec::new();
        };
        let found = self.taps(pictures, *deepest);
        wanted
            .iter()
            .map(|layer| found[*layer as usize].clone())
            .collect()
    }

    /// The numbers of every layer down to the deepest.
    fn taps(&self, pictures: Tensor<4>, deepest: FeatureLayer) -> Vec<Tensor<2>> {
        let x = self.conv2d_1a_3x3.forward(pictures); // [batch, 32, 149, 149]
        let x = self.conv2d_2a_3x3.forward(x); // [batch, 32, 147, 147]
        let x = self.conv2d_2b_3x3.forward(x); // [batch, 64, 147, 147]
        let x = halve(x); // [batch, 64, 73, 73]
        let mut found = vec![means(x.clone())];
        if deepest == FeatureLayer::D64 {
            return found;
        }
        let x = self.conv2d_3b_1x1.forward(x); // [batch, 80, 73, 73]
        let x = self.conv2d_4a_3x3.forward(x); // [batch, 192, 71, 71]
        let x = halve(x); // [batch, 192, 35, 35]
        found.push(means(x.clone()));
        if deepest == FeatureLayer::D192 {
            return found;
        }
        let x = self.mixed_5b.forward(x); // [batch, 256, 35, 35]
        let x = self.mixed_5c.forward(x); // [batch, 288, 35, 35]
        let x = self.mixed_5d.forward(x);
        let x = self.mixed_6a.forward(x); // [batch, 768, 17, 17]
        let x = self.mixed_6b.forward(x);
        let x = self.mixed_6c.forward(x);
        let x = self.mixed_6d.forward(x);
        let x = self.mixed_6e.forward(x);
        found.push(means(x.clone()));
        if deepest == FeatureLayer::D768 {
            return found;
        }
        let x = self.mixed_7a.forward(x); // [batch, 1280, 8, 8]
        let x = self.mixed_7b.forward(x, Taken::Average); // [batch, 2048, 8, 8]
        let x = self.mixed_7c.forward(x, Taken::Maximum);
        let features = means(x);
        found.push(features.clone());
        if deepest == FeatureLayer::Logits {
            found.push(features.matmul(self.fc.weight.val()));
        }
        found
    }
}
