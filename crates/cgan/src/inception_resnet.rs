//! Inception-ResNet-V1 (Szegedy et al. 2016, <https://arxiv.org/abs/1602.07261>, figures 10 to 14) as facenet-pytorch has
//! it: faces of 160 x 160 pixels to 512 numbers of length 1. Tensor names are those of that project's published files
//! (`20180402-114759-vggface2.pt`, `20180408-102900-casia-webface.pt`), so that they load as they are.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::judge::normalised;
use gan_core::layers::{
    Activation, BatchNorm, Conv2d, Conv2dConfig, Layer, Linear, Pool, Statistics, Taken,
    activation, pool,
};
use gan_core::weights::{self, Network, Tensors};

const RELU: Activation = Activation::LeakyRelu(0.0);

/// The side of the pictures that the published networks were trained on.
pub const SIDE: usize = 160;

/// Numbers of an embedding.
pub const DIMS: usize = 512;

/// A convolution without bias, its normalisation by known statistics, ReLU.
#[derive(Module, Debug)]
struct Basic {
    conv: Conv2d,
    bn: BatchNorm,
}

impl Basic {
    fn new(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> Self {
        Self::strided(channels, kernel, 1, [0, 0], device)
    }

    /// With as many zeros around as keep the size.
    fn same(channels: [usize; 2], kernel: [usize; 2], device: &Device) -> Self {
        Self::strided(channels, kernel, 1, kernel.map(|side| side / 2), device)
    }

    /// Every second place, without zeros around.
    fn halving(channels: [usize; 2], device: &Device) -> Self {
        Self::strided(channels, [3, 3], 2, [0, 0], device)
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
}

/// One after the other.
fn through(layers: &[Basic], input: Tensor<4>) -> Tensor<4> {
    layers
        .iter()
        .fold(input, |input, layer| layer.forward(input))
}

/// The maximum of 3 x 3 neighbours, every second one, without zeros around.
fn halve(input: Tensor<4>) -> Tensor<4> {
    let windows = Pool {
        taken: Taken::Maximum,
        side: 3,
        stride: 2,
        padding: 0,
    };
    pool(input, windows)
}

/// Branches side by side, a 1 x 1 convolution of all, and a share of that added to the input.
#[derive(Module, Debug)]
struct Residual {
    branches: Vec<Vec<Basic>>,
    conv2d: Conv2d,
    scale: f64,
    has_relu: bool,
}

/// What a residual block is made of.
struct Block {
    /// Channels of input and output.
    channels: usize,
    /// Channels of each branch; each is a 1 x 1 convolution, then one for each of `kernels`.
    width: usize,
    /// Kernels of each branch after its first.
    kernels: &'static [&'static [[usize; 2]]],
    scale: f64,
    has_relu: bool,
}

const BLOCK_35: Block = Block {
    channels: 256,
    width: 32,
    kernels: &[&[], &[[3, 3]], &[[3, 3], [3, 3]]],
    scale: 0.17,
    has_relu: true,
};

const BLOCK_17: Block = Block {
    channels: 896,
    width: 128,
    kernels: &[&[], &[[1, 7], [7, 1]]],
    scale: 0.10,
    has_relu: true,
};

const BLOCK_8: Block = Block {
    channels: 1792,
    width: 192,
    kernels: &[&[], &[[1, 3], [3, 1]]],
    scale: 0.20,
    has_relu: true,
};

const LAST_BLOCK: Block = Block {
    scale: 1.0,
    has_relu: false,
    ..BLOCK_8
};

impl Residual {
    fn new(block: &Block, device: &Device) -> Self {
        let (channels, width) = (block.channels, block.width);
        let branch = |kernels: &&[[usize; 2]]| {
            let first = Basic::new([channels, width], [1, 1], device);
            let rest = kernels
                .iter()
                .map(|kernel| Basic::same([width, width], *kernel, device));
            std::iter::once(first).chain(rest).collect()
        };
        let joined = width * block.kernels.len();
        Self {
            branches: block.kernels.iter().map(branch).collect(),
            conv2d: Conv2dConfig::new([joined, channels], [1, 1])
                .with_bias()
                .init(device),
            scale: block.scale,
            has_relu: block.has_relu,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let branches = self.branches.iter();
        let seen = branches
            .map(|branch| through(branch, input.clone()))
            .collect();
        let joined = Tensor::cat(seen, 1);
        let change = self.conv2d.activated(joined, Activation::Identity);
        let sum = change * self.scale + input;
        if self.has_relu {
            activation(sum, RELU)
        } else {
            sum
        }
    }
}

/// Branches that halve the size, and the maximum of neighbours, side by side.
#[derive(Module, Debug)]
struct Reduction {
    branches: Vec<Vec<Basic>>,
}

impl Reduction {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let branches = self.branches.iter();
        let mut seen: Vec<_> = branches
            .map(|branch| through(branch, input.clone()))
            .collect();
        seen.push(halve(input));
        Tensor::cat(seen, 1)
    }
}

/// Faces to embeddings.
#[derive(Module, Debug)]
pub struct InceptionResnet {
    /// Before the first pool, and after it.
    stem: Vec<Basic>,
    rest: Vec<Basic>,
    repeat_1: Vec<Residual>,
    mixed_6a: Reduction,
    repeat_2: Vec<Residual>,
    mixed_7a: Reduction,
    repeat_3: Vec<Residual>,
    block8: Residual,
    last_linear: Linear,
    last_bn: BatchNorm,
}

/// How much of each of `from` places goes into each of `to` (bilinear, corners not aligned), `[to, from]`, flat.
fn shares(from: usize, to: usize) -> Vec<f32> {
    let mut shares = vec![0.0; to * from];
    let step = from as f32 / to as f32;
    for place in 0..to {
        let at = ((place as f32 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f32);
        let first = at.floor() as usize;
        let second = (first + 1).min(from - 1);
        let beyond = at - first as f32;
        shares[place * from + first] += 1.0 - beyond;
        shares[place * from + second] += beyond;
    }
    shares
}

/// Pictures of [`SIDE`] x [`SIDE`] pixels. As two matrix products: not every backend can differentiate its own resizing.
fn resized(pictures: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = pictures.dims();
    let device = pictures.device();
    let matrix = |from: usize| -> Tensor<2> {
        Tensor::from_data(TensorData::new(shares(from, SIDE), [SIDE, from]), &device)
    };
    // Rows become columns between the two, so that each product is one of matrices.
    let wide = pictures
        .reshape([batch * channels * height, width])
        .matmul(matrix(width).transpose());
    let turned = wide
        .reshape([batch * channels, height, SIDE])
        .swap_dims(1, 2);
    let high = turned
        .reshape([batch * channels * SIDE, height])
        .matmul(matrix(height).transpose());
    high.reshape([batch, channels, SIDE, SIDE]).swap_dims(2, 3)
}

/// Whether tensors are those of such a network.
pub fn is_one(tensors: &Tensors) -> bool {
    [
        "conv2d_1a.conv.weight",
        "mixed_6a.branch0.conv.weight",
        "last_bn.weight",
    ]
    .iter()
    .all(|name| tensors.contains_key(*name))
}

impl InceptionResnet {
    /// A network with all weights zero.
    pub fn new(device: &Device) -> Self {
        let several = |block: &Block, count: usize| -> Vec<Residual> {
            (0..count).map(|_| Residual::new(block, device)).collect()
        };
        let mut last_linear = Linear::new(1792, DIMS, device);
        last_linear.bias = None;
        let mut last_bn = BatchNorm::new(DIMS, device);
        last_bn.epsilon = 1e-3;
        Self {
            stem: vec![
                Basic::halving([3, 32], device),
                Basic::new([32, 32], [3, 3], device),
                Basic::same([32, 64], [3, 3], device),
            ],
            rest: vec![
                Basic::new([64, 80], [1, 1], device),
                Basic::new([80, 192], [3, 3], device),
                Basic::halving([192, 256], device),
            ],
            repeat_1: several(&BLOCK_35, 5),
            mixed_6a: Reduction {
                branches: vec![
                    vec![Basic::halving([256, 384], device)],
                    vec![
                        Basic::new([256, 192], [1, 1], device),
                        Basic::same([192, 192], [3, 3], device),
                        Basic::halving([192, 256], device),
                    ],
                ],
            },
            repeat_2: several(&BLOCK_17, 10),
            mixed_7a: Reduction {
                branches: vec![
                    vec![
                        Basic::new([896, 256], [1, 1], device),
                        Basic::halving([256, 384], device),
                    ],
                    vec![
                        Basic::new([896, 256], [1, 1], device),
                        Basic::halving([256, 256], device),
                    ],
                    vec![
                        Basic::new([896, 256], [1, 1], device),
                        Basic::same([256, 256], [3, 3], device),
                        Basic::halving([256, 256], device),
                    ],
                ],
            },
            repeat_3: several(&BLOCK_8, 5),
            block8: Residual::new(&LAST_BLOCK, device),
            last_linear,
            last_bn,
        }
    }

    /// A network with these weights. The classifier over persons that published files end with is left out.
    ///
    /// # Errors
    /// [`gan_core::failure::Kind::Checkpoint`] when they are those of another network.
    pub fn load(mut tensors: Tensors, device: &Device) -> Result<Self> {
        tensors.retain(|name, _| !name.starts_with("logits."));
        // About 23 million numbers: what is much smaller is refused before they are allocated.
        weights::check_size(20_000_000, &tensors)?;
        let network = weights::apply(Self::new(device), &tensors)?;
        Ok(network.valid())
    }

    /// Embeddings of faces of any size, which are resized to 160 x 160; grey ones are taken for colours.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3 or 1, side, side]`, in [-1, 1]
    /// - result: `[batch, 512]`, of length 1
    pub fn embed(&self, pictures: Tensor<4>) -> Tensor<2> {
        let [batch, channels, height, width] = pictures.dims();
        let pictures = match channels {
            3 => pictures,
            _ => pictures.expand([batch, 3, height, width]),
        };
        let pictures = if [height, width] == [SIDE; 2] {
            pictures
        } else {
            resized(pictures)
        };
        // facenet-pytorch's "fixed image standardization": (byte - 127.5) / 128.
        self.forward(pictures * (127.5 / 128.0))
    }

    /// Embeddings of faces that are prepared as the network expects them.
    ///
    /// # Shapes
    /// - `pictures`: `[batch, 3, height, width]`, each side at least 75 pixels, (byte - 127.5) / 128
    /// - result: `[batch, 512]`, of length 1
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let features = halve(through(&self.stem, pictures));
        let features = through(&self.rest, features);
        let all = |blocks: &[Residual], features| {
            blocks
                .iter()
                .fold(features, |features, block| block.forward(features))
        };
        let features = all(&self.repeat_1, features);
        let features = self.mixed_6a.forward(features);
        let features = all(&self.repeat_2, features);
        let features = self.mixed_7a.forward(features);
        let features = all(&self.repeat_3, features);
        let features = self.block8.forward(features);
        let [batch, channels, height, width] = features.dims();
        let means = features
            .reshape([batch, channels, height * width])
            .mean_dim(2)
            .reshape([batch, channels]);
        let embedded = self.last_linear.forward(means);
        let embedded = self
            .last_bn
            .activated(embedded, Statistics::Running, Activation::Identity);
        normalised(embedded)
    }
}

impl Network for InceptionResnet {
    /// facenet-pytorch's: `conv2d_1a.conv.weight`, `repeat_1.0.branch1.0.bn.weight`; a branch of one layer has no number
    /// in it.
    fn tensor_name(&self, path: &str) -> String {
        const STEM: [&str; 3] = ["conv2d_1a", "conv2d_2a", "conv2d_2b"];
        const REST: [&str; 3] = ["conv2d_3b", "conv2d_4a", "conv2d_4b"];
        let parts: Vec<&str> = path.split('.').collect();
        let number = |part: &str| part.parse::<usize>().unwrap_or(0);
        match parts.as_slice() {
            ["stem", place, rest @ ..] => format!("{}.{}", STEM[number(place)], rest.join(".")),
            ["rest", place, rest @ ..] => format!("{}.{}", REST[number(place)], rest.join(".")),
            _ => {
                let Some(at) = parts.iter().position(|part| *part == "branches") else {
                    return path.to_owned();
                };
                let block = parts[..at].join(".");
                let (branch, layer) = (number(parts[at + 1]), number(parts[at + 2]));
                let rest = parts[at + 3..].join(".");
                if self.is_single(&block, branch) {
                    format!("{block}.branch{branch}.{rest}")
                } else {
                    format!("{block}.branch{branch}.{layer}.{rest}")
                }
            }
        }
    }
}

impl InceptionResnet {
    /// Whether a branch of a block is one layer.
    fn is_single(&self, block: &str, branch: usize) -> bool {
        match block {
            "mixed_6a" => self.mixed_6a.branches[branch].len() == 1,
            "mixed_7a" => self.mixed_7a.branches[branch].len() == 1,
            // The first branch of every residual block.
            _ => branch == 0,
        }
    }
}
