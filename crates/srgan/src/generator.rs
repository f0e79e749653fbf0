//! What upscales: one of two networks from pictures of low to pictures of high resolution (section 2.1, figure 4).

use crate::config::{Config, NetG};
use crate::msrresnet::Msrresnet;
use crate::prelu::INITIAL_SLOPE;
use crate::srresnet::Srresnet;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use gan_core::init::{Initial, initialise};
use gan_core::layers::Statistics;
use gan_core::tiles::Requirements;
use gan_core::weights::{self, Network};

/// Whose tensor names a generator has, and with them the details in which these programs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// leftthomas/SRGAN, and our own SRResNets: `block1.0`, `block2.conv1`, ...; tanh at the end.
    Blocks,
    /// Lornatang/SRGAN-PyTorch: `conv1.0`, `trunk.0.rcb.0`, ...; SRResNet without biases before normalisations and
    /// without tanh.
    Trunk,
    /// MMagic, and our own MSRResNets: `conv_first`, `trunk_net.0.conv1`, ...; no activation behind a doubling.
    Mmagic,
    /// BasicSR: `conv_first`, `body.0.conv1`, ...; a leaky ReLU behind each doubling.
    Basicsr,
}

impl Layout {
    /// The kind of network that has such names.
    pub fn net(self) -> NetG {
        match self {
            Self::Blocks | Self::Trunk => NetG::Srresnet,
            Self::Mmagic | Self::Basicsr => NetG::Msrresnet,
        }
    }

    /// The program whose layout it is.
    pub fn program(self) -> &'static str {
        match self {
            Self::Blocks => "leftthomas/SRGAN",
            Self::Trunk => "Lornatang/SRGAN-PyTorch",
            Self::Mmagic => "MMagic",
            Self::Basicsr => "BasicSR",
        }
    }
}

/// Slopes of a PReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slopes {
    /// One for all channels.
    Shared,
    /// One for each.
    Channel,
}

/// What follows the convolution behind the residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Batch normalisation, as in the paper.
    BatchNorm,
    /// PReLU, as in the files that leftthomas/SRGAN publishes.
    Prelu,
}

/// What a generator is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whose names and details.
    pub layout: Layout,
    /// Residual blocks.
    pub blocks: usize,
    /// Channels between the first and the last convolution.
    pub width: usize,
    /// How many times as high and as wide the result is: 2, 4 or 8.
    pub scale: usize,
    /// Slopes of the PReLUs of an SRResNet.
    pub slopes: Slopes,
    /// The end of the residual part of an SRResNet.
    pub tail: Tail,
}

impl Shape {
    /// The shape that a configuration asks for.
    pub fn new(config: &Config) -> Self {
        Self {
            layout: match config.net_g {
                NetG::Srresnet => Layout::Blocks,
                NetG::Msrresnet => Layout::Mmagic,
            },
            blocks: config.blocks,
            width: config.width_g,
            scale: config.scale,
            slopes: Slopes::Shared,
            tail: Tail::BatchNorm,
        }
    }

    /// In which points it differs from `other`, in words.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let both = |what: &str, ours: String, theirs: String| {
            (ours != theirs).then(|| format!("{what} {ours} instead of {theirs}"))
        };
        let debug = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        let number = |value: usize| value.to_string();
        let points = [
            both(
                "the layout of",
                self.layout.program().to_owned(),
                other.layout.program().to_owned(),
            ),
            both("blocks", number(self.blocks), number(other.blocks)),
            both("width", number(self.width), number(other.width)),
            both("scale", number(self.scale), number(other.scale)),
            both("slopes", debug(&self.slopes), debug(&other.slopes)),
            both("tail", debug(&self.tail), debug(&other.tail)),
        ];
        points.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// How to train a generator of this shape, or that it is not trained here.
    pub(crate) fn advice(&self) -> String {
        let is_ours = matches!(self.layout, Layout::Blocks | Layout::Mmagic);
        let is_plain = self.slopes == Slopes::Shared && self.tail == Tail::BatchNorm;
        if !is_ours || !is_plain {
            return "such a generator upscales, but is not trained here".to_owned();
        }
        let net = match self.layout.net() {
            NetG::Srresnet => "srresnet",
            NetG::Msrresnet => "msrresnet",
        };
        format!(
            "it is that of --net-g {net} --blocks {} --width-g {} --scale {}",
            self.blocks, self.width, self.scale
        )
    }

    /// Layers that double the picture.
    pub fn doublings(&self) -> usize {
        self.scale.ilog2() as usize
    }

    /// How many pixels of the input a pixel of the result sees each way, beside the one that it lies in. A tile that
    /// reaches so far beyond its share gives exactly what the whole picture gives.
    pub fn radius(&self) -> usize {
        let (outer, inner) = match self.layout.net() {
            NetG::Srresnet => (4_i64, 4 + 2 * self.blocks + 1),
            NetG::Msrresnet => (2, 1 + 2 * self.blocks),
        };
        // What the first of the pixels that lie in one of the input's sees to its left: mirrored, it is what the last
        // one sees to its right.
        let mut left = -outer;
        for _ in 0..self.doublings() {
            left = left.div_euclid(2) - 1;
        }
        left.unsigned_abs() as usize + inner
    }

    /// Numbers in the weights of the convolutions: a lower bound of the network's size.
    pub fn least_size(&self) -> u64 {
        let width = self.width as u64;
        let pair = width.saturating_mul(width);
        let inner = pair.saturating_mul(9 * (2 * self.blocks + 1 + 4 * self.doublings()) as u64);
        match self.layout.net() {
            NetG::Srresnet => inner.saturating_add(width.saturating_mul(2 * 3 * 81)),
            NetG::Msrresnet => inner.saturating_add(width.saturating_mul(2 * 3 * 9)),
        }
    }

    /// Values that training keeps for one crop of `side` x `side` pixels of high resolution, about: see
    /// [`gan_core::stage::Stage::activations`].
    pub fn activations(&self, side: usize) -> u64 {
        let scale = self.scale as u64;
        let (width, pixels) = (self.width as u64, (side * side) as u64 / (scale * scale));
        let blocks = self.blocks as u64;
        // A block keeps the outputs of its convolutions and of what follows them; the doublings grow by fours, and
        // each keeps what it makes before and after its pixels change places.
        let low = match self.layout.net() {
            NetG::Srresnet => 6 * blocks + 6,
            NetG::Msrresnet => 2 * blocks + 2,
        };
        let high: u64 = (1..=self.doublings() as u32).map(|up| 4 << (2 * up)).sum();
        width * pixels * (low + high)
    }

    /// What pictures have to be like, and how much memory one takes.
    pub fn requirements(&self) -> Requirements {
        let (width, scale) = (self.width as u64, self.scale as u64);
        // Numbers of four bytes that live at once behind the last doubling, at the size of the result. The paper's
        // network took 11.8 kB for each of 256 x 256 pixels the first time, and up to 15.4 kB when it ran again.
        let numbers = 4 * width * (scale * scale + 1);
        Requirements {
            multiple: 1,
            least: 1,
            scale: self.scale,
            bytes_per_pixel: 4 * numbers,
            reach: Some(self.radius()),
        }
    }
}

/// Pictures to pictures that are [`Shape::scale`] times as high and wide.
#[derive(Module, Debug)]
pub struct Generator {
    srresnet: Option<Srresnet>,
    msrresnet: Option<Msrresnet>,
}

impl Generator {
    /// A generator of the shape: all weights zero, the slopes of PReLUs 0.25.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        match shape.layout.net() {
            NetG::Srresnet => Self {
                srresnet: Some(Srresnet::new(shape, device)),
                msrresnet: None,
            },
            NetG::Msrresnet => Self {
                srresnet: None,
                msrresnet: Some(Msrresnet::new(shape, device)),
            },
        }
    }

    /// Draws weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default; the paper names none. The
    /// convolutions of the doublings begin with equal kernels for the four pixels that one becomes (Aitken et al.
    /// 2017, <https://arxiv.org/abs/1707.02937>): different ones draw a checkerboard that training takes long to erase.
    #[must_use]
    pub fn initialised(self, seed: u64) -> Self {
        let drawn = initialise(self, Initial::FanIn, seed, "generator");
        let tensors = weights::collect(&drawn);
        let names = drawn.clone();
        weights::rebuild(drawn, &mut |path, container, shape| {
            if container == "Struct:Prelu" {
                return Some(vec![INITIAL_SLOPE; shape.iter().product()]);
            }
            let is_doubling = path.split('.').any(|part| part == "ups");
            let drawn = is_doubling.then(|| &tensors[&names.tensor_name(path)].values)?;
            // [4 channels, ..], the four of a channel one after the other.
            let kernels = drawn.chunks_exact(drawn.len() / shape[0]);
            let firsts = kernels.step_by(4).flat_map(|first| [first; 4]);
            Some(firsts.flatten().copied().collect())
        })
    }

    /// Upscales pictures. Only the networks of [`Layout::Blocks`] stay in [0, 1] by themselves: of others, what lies
    /// outside is to be clamped when the result is used, but not when they learn.
    ///
    /// # Shapes
    /// - `low`: `[batch, 3, height, width]`, RGB in [0, 1]
    /// - result: `[batch, 3, scale * height, scale * width]`, RGB in [0, 1]
    pub fn forward(&self, low: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        match (&self.srresnet, &self.msrresnet) {
            (Some(srresnet), _) => srresnet.forward(low, statistics),
            (None, Some(msrresnet)) => msrresnet.forward(low),
            (None, None) => low,
        }
    }
}

impl Network for Generator {
    fn tensor_name(&self, path: &str) -> String {
        let (_, inner) = path.split_once('.').unwrap_or(("", path));
        match (&self.srresnet, &self.msrresnet) {
            (Some(srresnet), _) => srresnet.tensor_name(inner),
            (None, Some(msrresnet)) => msrresnet.tensor_name(inner),
            (None, None) => inner.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::random::Stream;

    #[test]
    fn a_fresh_generator_draws_no_checkerboard() {
        for net_g in [NetG::Srresnet, NetG::Msrresnet] {
            let config = Config {
                net_g,
                blocks: 1,
                width_g: 3,
                scale: 2,
                ..Config::default()
            };
            let shape = Shape::new(&config);
            let network = Generator::new(&shape, &Device::flex()).initialised(3);
            let tensors = weights::collect(&network);
            let doubling = match net_g {
                NetG::Srresnet => "block4.0.conv",
                NetG::Msrresnet => "upsample1.upsample_conv",
            };
            for leaf in ["weight", "bias"] {
                let values = &tensors[&format!("{doubling}.{leaf}")].values;
                let kernels: Vec<_> = values.chunks_exact(values.len() / 12).collect();
                for four in kernels.chunks_exact(4) {
                    assert!(four.iter().all(|kernel| kernel == &four[0]));
                }
                assert_ne!(kernels[0], kernels[4]);
            }
            // Everything else is drawn, and from the seed alone.
            let again = Generator::new(&shape, &Device::flex()).initialised(3);
            assert_eq!(weights::collect(&again), tensors);
            let other = Generator::new(&shape, &Device::flex()).initialised(4);
            assert_ne!(weights::collect(&other), tensors);
            let noise = Stream::new(0, "picture", 0).uniform(3 * 36, 0.0, 1.0);
            let data = burn::tensor::TensorData::new(noise, [1, 3, 6, 6]);
            let low = Tensor::from_data(data, &Device::flex());
            let made = weights::values(network.forward(low, Statistics::Running));
            assert!(made.iter().any(|value| (value - made[0]).abs() > 1e-3));
        }
    }
}
