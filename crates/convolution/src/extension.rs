//! The operators as an extension of burn's backends: our kernels on `Flex`, burn's own operators on every
//! other backend, and backward passes written by hand for all of them.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{IndexingUpdateOp, IntDType, Shape, TensorData};

use crate::activation::Activation;
use crate::descent::Adam;
use crate::geometry::Geometry;
use crate::pool::{Pool, Taken};
use crate::reflection;

/// How a kernel moves over a picture. With two spatial dimensions, the first of three is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps for one step of the other picture.
    pub stride: [usize; 3],
    /// Zeros before and after.
    pub padding: [(usize, usize); 3],
    /// Rows at the end of a transposed convolution's result which its padding cut off.
    pub output_padding: [usize; 3],
    /// Steps between two values of the kernel.
    pub dilation: [usize; 3],
    /// Groups of channels.
    pub groups: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            stride: [1; 3],
            padding: [(0, 0); 3],
            output_padding: [0; 3],
            dilation: [1; 3],
            groups: 1,
        }
    }
}

/// Depth, height and width of `[batch, channels, (depth,) height, width]`.
fn spatial(shape: &Shape) -> [usize; 3] {
    match shape.num_dims() {
        4 => [1, shape[2], shape[3]],
        5 => [shape[2], shape[3], shape[4]],
        dimensions => panic!("a picture has 4 or 5 dimensions, not {dimensions}"),
    }
}

impl Window {
    /// The geometry of a convolution of `large` by `weight`.
    ///
    /// # Panics
    /// If the kernel does not fit into the picture.
    pub(crate) fn convolution(&self, large: &Shape, weight: &Shape) -> Geometry {
        let (size, kernel) = (spatial(large), spatial(weight));
        let small = Geometry::convolved(size, kernel, self.stride, self.padding, self.dilation);
        Geometry {
            batch: large[0],
            large_channels: large[1],
            small_channels: weight[0],
            large: size,
            small: small.unwrap_or_else(|| {
                panic!("a kernel of {kernel:?} does not fit into {size:?} with {self:?}")
            }),
            kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// The geometry of a transposed convolution of `small` by `weight`.
    ///
    /// # Panics
    /// If the padding leaves nothing.
    pub(crate) fn transposed(&self, small: &Shape, weight: &Shape) -> Geometry {
        let (size, kernel) = (spatial(small), spatial(weight));
        let large = Geometry::transposed(
            size,
            kernel,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
        );
        Geometry {
            batch: small[0],
            large_channels: weight[1] * self.groups,
            small_channels: small[1],
            large: large.unwrap_or_else(|| {
                panic!("{self:?} leaves nothing of {size:?} with a kernel of {kernel:?}")
            }),
            small: size,
            kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// # Panics
    /// If a convolution of three dimensions is padded unevenly: burn's own operators then differ from backend
    /// to backend.
    fn options<const D: usize>(&self) -> ConvOptions<D> {
        let from = 3 - D;
        assert!(
            D < 3 || self.is_even(),
            "{self:?}: uneven padding in three dimensions needs the device flex"
        );
        ConvOptions::new_with_padding(
            std::array::from_fn(|axis| self.stride[from + axis]),
            std::array::from_fn(|axis| self.padding[from + axis]),
            std::array::from_fn(|axis| self.dilation[from + axis]),
            self.groups,
        )
    }

    fn is_even(&self) -> bool {
        self.padding.iter().all(|(before, after)| before == after)
    }

    /// # Panics
    /// If a transposed convolution is cropped unevenly: burn's own operators know one padding for both sides.
    fn transpose_options<const D: usize>(&self) -> ConvTransposeOptions<D> {
        let from = 3 - D;
        assert!(
            self.is_even(),
            "{self:?}: a transposed convolution with uneven padding needs the device flex"
        );
        ConvTransposeOptions::new(
            std::array::from_fn(|axis| self.stride[from + axis]),
            std::array::from_fn(|axis| self.padding[from + axis].0),
            std::array::from_fn(|axis| self.output_padding[from + axis]),
            std::array::from_fn(|axis| self.dilation[from + axis]),
            self.groups,
        )
    }
}

/// One value for each channel that comes out, or none.
#[derive(ExtensionType)]
pub enum PerChannel<B: Backend> {
    /// `[channels]`
    Present(FloatTensor<B>),
    /// None.
    Absent,
}

impl<B: Backend> PerChannel<B> {
    /// The values, if there are any.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Present(values) => Some(values),
            Self::Absent => None,
        }
    }
}

/// `activation(scale * sum + shift)` of burn's own operators.
pub(crate) fn finished<B: Operators>(
    sum: FloatTensor<B>,
    scale: PerChannel<B>,
    shift: PerChannel<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let shape = sum.shape();
    let mut along = vec![1; shape.num_dims()];
    along[1] = shape[1];
    let spread = |values: FloatTensor<B>| B::float_reshape(values, Shape::from(along.clone()));
    let sum = match scale.into_option() {
        Some(scale) => B::float_mul(sum, spread(scale)),
        None => sum,
    };
    let sum = match shift.into_option() {
        Some(shift) => B::float_add(sum, spread(shift)),
        None => sum,
    };
    B::activate(sum, activation)
}

/// Sides, strides and paddings as burn takes them.
fn pool_options(pool: Pool) -> [[usize; 2]; 3] {
    [pool.side, pool.stride, pool.padding].map(|each| [each; 2])
}

/// Which of `size` places along an axis each place of the reflected picture shows.
fn mirrored<B: Backend>(
    like: &FloatTensor<B>,
    axis: usize,
    size: usize,
    margin: usize,
) -> burn::backend::tensor::IntTensor<B> {
    debug_assert!(axis == 2 || axis == 3, "pictures have height and width");
    let places: Vec<i64> = reflection::places(size, margin)
        .map(|place| place as i64)
        .collect();
    let count = places.len();
    B::int_from_data(TensorData::new(places, [count]), &like.device())
}

/// The operators of this crate, for every backend of burn.
///
/// `Flex` has them as kernels of this crate, for values in single precision; every other backend composes
/// them of burn's own operators. On an autodiff device each that is used in training has a backward pass
/// written by hand; a scale of known statistics, for inference, is differentiated by burn.
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
    Autodiff
)]
pub trait Operators: Backend {
    /// A convolution, `[batch, in, ..]` by `[out, in / groups, kernel..]` gives `[batch, out, ..]`, and what
    /// follows it: `activation(scale * sum + shift)` with one scale and shift a channel.
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] scale: PerChannel<Self>,
        #[extension_type] shift: PerChannel<Self>,
        window: Window,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let sum = match input.shape().num_dims() {
            4 => Self::conv2d(input, weight, None, window.options()),
            _ => Self::conv3d(input, weight, None, window.options()),
        };
        finished::<Self>(sum, scale, shift, activation)
    }

    /// The gradient of the input of a convolution; of `input` only the shape counts.
    fn convolve_input(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        match input.shape().num_dims() {
            4 => Self::conv2d_x_backward(input, weight, gradient, window.options()),
            _ => Self::conv3d_x_backward(input, weight, gradient, window.options()),
        }
    }

    /// The gradient of the weight of a convolution; of `weight` only the shape counts.
    fn convolve_weight(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        match input.shape().num_dims() {
            4 => Self::conv2d_weight_backward(input, weight, gradient, window.options()),
            _ => Self::conv3d_weight_backward(input, weight, gradient, window.options()),
        }
    }

    /// A transposed convolution, `[batch, in, ..]` by `[in, out / groups, kernel..]` gives `[batch, out, ..]`,
    /// and what follows it: `activation(scale * sum + shift)` with one scale and shift a channel.
    fn convolve_transposed(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] scale: PerChannel<Self>,
        #[extension_type] shift: PerChannel<Self>,
        window: Window,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let sum = match input.shape().num_dims() {
            4 => Self::conv_transpose2d(input, weight, None, window.transpose_options()),
            _ => Self::conv_transpose3d(input, weight, None, window.transpose_options()),
        };
        finished::<Self>(sum, scale, shift, activation)
    }

    /// The gradient of the input of a transposed convolution; of `input` only the shape counts.
    fn convolve_transposed_input(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        match input.shape().num_dims() {
            4 => Self::conv_transpose2d_x_backward(weight, gradient, window.transpose_options()),
            _ => Self::conv_transpose3d_x_backward(weight, gradient, window.transpose_options()),
        }
    }

    /// The gradient of the weight of a transposed convolution; of `weight` only the shape counts.
    fn convolve_transposed_weight(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        match input.shape().num_dims() {
            4 => Self::conv_transpose2d_weight_backward(
                input,
                weight,
                gradient,
                window.transpose_options(),
            ),
            _ => Self::conv_transpose3d_weight_backward(
                input,
                weight,
                gradient,
                window.transpose_options(),
            ),
        }
    }

    /// `activation(input * weight + bias)`: `[batch, in]` by `[in, out]` gives `[batch, out]`.
    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: PerChannel<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        finished::<Self>(
            Self::float_matmul(input, weight),
            PerChannel::Absent,
            bias,
            activation,
        )
    }

    /// The gradient of the input of [`Operators::affine`].
    fn affine_input(weight: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(gradient, Self::float_transpose(weight))
    }

    /// The gradient of the weight of [`Operators::affine`].
    fn affine_weight(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(Self::float_transpose(input), gradient)
    }

    /// The sum of each channel of `[batch, channels, ..]`: the gradient of a bias.
    fn channel_sum(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = gradient.shape();
        let channels = shape[1];
        let rest = shape.num_elements() / (shape[0] * channels).max(1);
        let flat = Self::float_reshape(gradient, Shape::new([shape[0], channels, rest]));
        let sum = Self::float_sum_dim(Self::float_sum_dim(flat, 2), 0);
        Self::float_reshape(sum, Shape::new([channels]))
    }

    /// The activation of each value.
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        match activation {
            Activation::Identity => input,
            Activation::LeakyRelu(0.0) => Self::relu(input),
            Activation::LeakyRelu(slope) => Self::leaky_relu(input, slope.into()),
            Activation::Tanh => Self::float_tanh(input),
            Activation::Sigmoid => Self::sigmoid(input),
        }
    }

    /// The gradient before an activation, from its output and the gradient behind it.
    fn activate_input(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        match activation {
            Activation::Identity => gradient,
            Activation::LeakyRelu(0.0) => Self::relu_backward(output, gradient),
            Activation::LeakyRelu(slope) => {
                // 1 where the output is positive, else the slope.
                let step = Self::relu(Self::float_sign(output));
                let rise = Self::float_mul_scalar(step, (1.0 - slope).into());
                Self::float_mul(gradient, Self::float_add_scalar(rise, slope.into()))
            }
            Activation::Tanh => {
                // 1 - y^2
                let square = Self::float_mul(output.clone(), output);
                let slope = Self::float_add_scalar(Self::float_neg(square), 1.0.into());
                Self::float_mul(gradient, slope)
            }
            Activation::Sigmoid => Self::sigmoid_backward(output, gradient),
        }
    }

    /// Normalisation of `[batch, channels, ..]` over all but the channels, with this batch's own mean and
    /// biased variance, scale, shift and activation; gives (output, mean, variance).
    fn normalise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let result = Self::batch_norm_train(input, weight, bias, epsilon);
        (
            Self::activate(result.output, activation),
            result.mean,
            result.variance,
        )
    }

    /// The gradients of (input, weight, bias) of a normalisation, from its input and what it gave.
    // Not `expect`: the macro repeats it where the lint does not apply.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one operand of the formula"
    )]
    fn normalise_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = input.shape();
        let channels = shape[1];
        let count = shape.num_elements() / channels.max(1);
        let mut along = vec![1; shape.num_dims()];
        along[1] = channels;
        let spread =
            |values: FloatTensor<Self>| Self::float_reshape(values, Shape::from(along.clone()));
        let deviation = Self::float_sqrt(Self::float_add_scalar(variance, epsilon.into()));
        let normal = Self::float_div(
            Self::float_sub(input, spread(mean)),
            spread(deviation.clone()),
        );
        let gradient = match activation {
            Activation::Identity => gradient,
            activation => {
                let scaled = Self::float_mul(normal.clone(), spread(weight.clone()));
                let output = Self::activate(Self::float_add(scaled, spread(bias)), activation);
                Self::activate_input(output, gradient, activation)
            }
        };
        let of_bias = Self::channel_sum(gradient.clone());
        let of_weight = Self::channel_sum(Self::float_mul(gradient.clone(), normal.clone()));
        let share =
            |sum: FloatTensor<Self>| spread(Self::float_div_scalar(sum, (count as f64).into()));
        let centred = Self::float_sub(gradient, share(of_bias.clone()));
        let centred = Self::float_sub(centred, Self::float_mul(normal, share(of_weight.clone())));
        let of_input = Self::float_mul(centred, spread(Self::float_div(weight, deviation)));
        (of_input, of_weight, of_bias)
    }

    /// `activation(scale * input + shift)` with one scale and shift for each channel of `[batch, channels, ..]`.
    fn scale_channels(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = input.shape();
        let mut along = vec![1; shape.num_dims()];
        along[1] = shape[1];
        let spread =
            |values: FloatTensor<Self>| Self::float_reshape(values, Shape::from(along.clone()));
        let scaled = Self::float_add(Self::float_mul(input, spread(scale)), spread(shift));
        Self::activate(scaled, activation)
    }

    /// `[batch, channels, height, width]` with `margin` mirrored values more on each side.
    fn reflect(input: FloatTensor<Self>, margin: usize) -> FloatTensor<Self> {
        [2, 3].into_iter().fold(input, |input, axis| {
            let places = mirrored::<Self>(&input, axis, input.shape()[axis], margin);
            Self::float_select(input, axis, places)
        })
    }

    /// The gradient of the input of [`Operators::reflect`].
    fn reflect_input(gradient: FloatTensor<Self>, margin: usize) -> FloatTensor<Self> {
        [3, 2].into_iter().fold(gradient, |gradient, axis| {
            let mut shape = gradient.shape();
            shape[axis] -= 2 * margin;
            let places = mirrored::<Self>(&gradient, axis, shape[axis], margin);
            let zeros = Self::float_zeros(shape, &gradient.device(), gradient.dtype().into());
            Self::float_select_assign(zeros, axis, places, gradient, IndexingUpdateOp::Add)
        })
    }

    /// The largest value or the mean of each window of `[batch, channels, height, width]`.
    fn pool(input: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let [sides, strides, paddings] = pool_options(pool);
        match pool.taken {
            Taken::Maximum => Self::max_pool2d(input, sides, strides, paddings, [1, 1], false),
            Taken::Average => Self::avg_pool2d(input, sides, strides, paddings, false, false),
        }
    }

    /// The gradient of the input of [`Operators::pool`].
    fn pool_input(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let [sides, strides, paddings] = pool_options(pool);
        match pool.taken {
            Taken::Maximum => {
                let found = Self::max_pool2d_with_indices(
                    input.clone(),
                    sides,
                    strides,
                    paddings,
                    [1, 1],
                    false,
                    IntDType::I64,
                );
                Self::max_pool2d_with_indices_backward(
                    input,
                    sides,
                    strides,
                    paddings,
                    [1, 1],
                    false,
                    gradient,
                    found.indices,
                )
                .x_grad
            }
            Taken::Average => {
                Self::avg_pool2d_backward(input, gradient, sides, strides, paddings, false, false)
            }
        }
    }

    /// One step of Adam: gives (parameter, first moment, second moment).
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let scale = |tensor: FloatTensor<Self>, by: f32| Self::float_mul_scalar(tensor, by.into());
        let first = Self::float_add(
            scale(first, step.beta1),
            scale(gradient.clone(), step.rest1),
        );
        let square = Self::float_mul(gradient.clone(), gradient);
        let second = Self::float_add(scale(second, step.beta2), scale(square, step.rest2));
        let root =
            Self::float_div_scalar(Self::float_sqrt(second.clone()), step.correction2.into());
        let denominator = Self::float_add_scalar(root, step.epsilon.into());
        let change = scale(Self::float_div(first.clone(), denominator), step.rate);
        (Self::float_sub(parameter, change), first, second)
    }

    /// `keep * average + rest * newest`.
    fn average(
        average: FloatTensor<Self>,
        newest: FloatTensor<Self>,
        keep: f32,
        rest: f32,
    ) -> FloatTensor<Self> {
        let average = Self::float_mul_scalar(average, keep.into());
        Self::float_add(average, Self::float_mul_scalar(newest, rest.into()))
    }
}

#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "ndarray stays a choice as long as burn carries it"
)]
impl Operators for burn::backend::NdArray {}
#[cfg(feature = "tch")]
#[expect(
    deprecated,
    reason = "libtorch stays a choice as long as burn carries it"
)]
impl Operators for burn::backend::LibTorch {}
#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda"
))]
impl Operators for burn::backend::Cube {}
