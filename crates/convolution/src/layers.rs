//! Layers with burn's parameters and layouts, on this crate's operators.
//!
//! Their fields, printed form and parameter names are those of burn's layers of the same name, so a
//! network's files stay as they were. Weights begin at zero: whoever builds a network draws them.

use burn::backend::Dispatch;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Device, Tensor};

use crate::activation::Activation;
use crate::extension::{Operators, PerChannel, Window};
use crate::pool::Pool;

fn per_channel(values: Option<Tensor<1>>) -> PerChannel<Dispatch> {
    values.map_or(PerChannel::Absent, |values| {
        PerChannel::Present(values.into_dispatch())
    })
}

/// A layer with weights whose output something else follows, at no cost, inside the layer's own pass.
pub trait Layer<const D: usize> {
    /// The layer, then `activation(scale * output + shift)` with one scale and shift a channel.
    ///
    /// # Shapes
    /// - input: `[batch, in, ..]`; scale, shift: `[out]`
    /// - result: `[batch, out, ..]`
    fn finished(
        &self,
        input: Tensor<D>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        activation: Activation,
    ) -> Tensor<D>;

    /// The layer, then the activation.
    ///
    /// # Shapes
    /// - input: `[batch, in, ..]`
    /// - result: `[batch, out, ..]`
    fn activated(&self, input: Tensor<D>, activation: Activation) -> Tensor<D>;
}

/// The activation of each value, in one pass each way.
pub fn activation<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    if activation == Activation::Identity {
        return input;
    }
    Tensor::from_dispatch(<Dispatch as Operators>::activate(
        input.into_dispatch(),
        activation,
    ))
}

/// What [`normalised`] gives.
pub struct Normalised<const D: usize> {
    /// As the input.
    pub output: Tensor<D>,
    /// The mean of each channel, `[channels]`, without gradient.
    pub mean: Tensor<1>,
    /// The biased variance of each channel, `[channels]`, without gradient.
    pub variance: Tensor<1>,
}

/// Normalisation of each channel of `[batch, channels, ..]` by this batch's own mean and variance, with
/// scale, shift and activation (Ioffe and Szegedy 2015), in one pass each way.
pub fn normalised<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> Normalised<D> {
    let (output, mean, variance) = <Dispatch as Operators>::normalise(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
        activation,
    );
    Normalised {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// `activation(scale * input + shift)` of `[batch, channels, ..]`, with one scale and shift a channel.
///
/// # Shapes
/// - `scale`, `shift`: `[channels]`
pub fn scaled<const D: usize>(
    input: Tensor<D>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<D> {
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Operators>::scale_channels(
        input.into_dispatch(),
        scale,
        shift,
        activation,
    ))
}

/// The largest value or the mean of each window, in one pass each way.
///
/// # Shapes
/// - input: `[batch, channels, height, width]`
/// - result: `[batch, channels, pool.windows(height), pool.windows(width)]`
///
/// # Panics
/// If a window does not fit into the pictures.
pub fn pool(input: Tensor<4>, pool: Pool) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Operators>::pool(input.into_dispatch(), pool))
}

/// Pictures continued by `margin` mirrored values on all four sides, the edge itself not repeated.
///
/// # Shapes
/// - input: `[batch, channels, height, width]`
/// - result: `[batch, channels, height + 2 margin, width + 2 margin]`
///
/// # Panics
/// If the margin is not smaller than both sides.
pub fn reflect(input: Tensor<4>, margin: usize) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Operators>::reflect(
        input.into_dispatch(),
        margin,
    ))
}

/// One step of [`crate::Adam`] on tensors without autodiff: (parameter, first moment, second moment).
/// Tensors that nobody else holds are changed in place.
pub fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    first: Tensor<D>,
    second: Tensor<D>,
    step: crate::Adam,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let (parameter, first, second) = <Dispatch as Operators>::adam(
        parameter.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(parameter),
        Tensor::from_dispatch(first),
        Tensor::from_dispatch(second),
    )
}

/// `keep * average + rest * newest`, on tensors without autodiff; in place where nobody else holds `average`.
pub fn average<const D: usize>(
    average: Tensor<D>,
    newest: Tensor<D>,
    keep: f64,
    rest: f64,
) -> Tensor<D> {
    let (average, newest) = (average.into_dispatch(), newest.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Operators>::average(
        average,
        newest,
        keep as f32,
        rest as f32,
    ))
}

/// A fully connected layer.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Linear {
    /// `[in, out]`, as in burn.
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer with a bias, all zeros.
    pub fn new(from: usize, to: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([from, to], device)),
            bias: Some(Param::from_tensor(Tensor::zeros([to], device))),
        }
    }

    /// # Shapes
    /// - input: `[batch, in]`
    /// - result: `[batch, out]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.activated(input, Activation::Identity)
    }

    /// The layer, then the activation, in one pass.
    ///
    /// # Shapes
    /// - input: `[batch, in]`
    /// - result: `[batch, out]`
    pub fn activated(&self, input: Tensor<2>, activation: Activation) -> Tensor<2> {
        let (input, weight) = (input.into_dispatch(), self.weight.val().into_dispatch());
        let bias = per_channel(self.bias.as_ref().map(Param::val));
        Tensor::from_dispatch(<Dispatch as Operators>::affine(
            input, weight, bias, activation,
        ))
    }
}

impl Layer<2> for Linear {
    fn finished(
        &self,
        input: Tensor<2>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        activation: Activation,
    ) -> Tensor<2> {
        scaled(self.forward(input), scale, shift, activation)
    }

    fn activated(&self, input: Tensor<2>, activation: Activation) -> Tensor<2> {
        Self::activated(self, input, activation)
    }
}

impl ModuleDisplay for Linear {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [from, to] = self.weight.dims();
        content
            .add("d_input", &from)
            .add("d_output", &to)
            .add("bias", &self.bias.is_some())
            .optional()
    }
}

macro_rules! layers {
    ($(
        $(#[$doc:meta])*
        $name:ident, $config:ident: $operator:ident, $rank:literal, $axes:literal, $first:literal;
    )*) => {$(
        $(#[$doc])*
        #[derive(Module, Debug)]
        #[module(custom_display)]
        pub struct $name {
            /// `[out, in / groups, kernel..]`, or `[in, out / groups, kernel..]` of a transposed one.
            pub weight: Param<Tensor<$rank>>,
            /// `[out]`
            pub bias: Option<Param<Tensor<1>>>,
            #[module(skip)]
            window: Window,
        }

        impl $name {
            /// Moves the kernel over the pictures.
            ///
            /// # Shapes
            /// - input: `[batch, in, ..]`
            /// - result: `[batch, out, ..]`
            ///
            /// # Panics
            /// If the kernel does not fit into the pictures.
            pub fn forward(&self, input: Tensor<$rank>) -> Tensor<$rank> {
                self.activated(input, Activation::Identity)
            }

            fn run(
                &self,
                input: Tensor<$rank>,
                scale: Option<Tensor<1>>,
                shift: Option<Tensor<1>>,
                activation: Activation,
            ) -> Tensor<$rank> {
                Tensor::from_dispatch(<Dispatch as Operators>::$operator(
                    input.into_dispatch(),
                    self.weight.val().into_dispatch(),
                    per_channel(scale),
                    per_channel(shift),
                    self.window,
                    activation,
                ))
            }
        }

        impl Layer<$rank> for $name {
            fn finished(
                &self,
                input: Tensor<$rank>,
                scale: Tensor<1>,
                shift: Tensor<1>,
                activation: Activation,
            ) -> Tensor<$rank> {
                // scale * (sum + bias) + shift
                let shift = match &self.bias {
                    Some(bias) => bias.val() * scale.clone() + shift,
                    None => shift,
                };
                self.run(input, Some(scale), Some(shift), activation)
            }

            fn activated(&self, input: Tensor<$rank>, activation: Activation) -> Tensor<$rank> {
                self.run(input, None, self.bias.as_ref().map(Param::val), activation)
            }
        }

        impl ModuleDisplay for $name {
            fn custom_settings(&self) -> Option<DisplaySettings> {
                DisplaySettings::new().with_new_line_after_attribute(false).optional()
            }

            fn custom_content(&self, content: Content) -> Option<Content> {
                let dims = self.weight.dims();
                let Window { stride, padding, output_padding, dilation, groups } = self.window;
                let channels = if stringify!($operator) == "convolve" {
                    [dims[1] * groups, dims[0]]
                } else {
                    [dims[0], dims[1] * groups]
                };
                let show = |sizes: &[usize]| format!("{sizes:?}");
                let sides: Vec<String> = padding[$first..]
                    .iter()
                    .map(|(before, after)| {
                        if before == after { before.to_string() } else { format!("{before}+{after}") }
                    })
                    .collect();
                let mut content = content
                    .add("channels", &show(&channels))
                    .add("kernel_size", &show(&dims[2..]))
                    .add("stride", &show(&stride[$first..]))
                    .add("padding", &format!("[{}]", sides.join(", ")));
                // What is as in most layers is not worth a reader's time.
                let plain = Window::default();
                if output_padding != plain.output_padding {
                    content = content.add("output_padding", &show(&output_padding[$first..]));
                }
                if dilation != plain.dilation {
                    content = content.add("dilation", &show(&dilation[$first..]));
                }
                if groups != plain.groups {
                    content = content.add("groups", &groups);
                }
                content.add("bias", &self.bias.is_some()).optional()
            }
        }

        #[doc = concat!("How a [`", stringify!($name), "`] is built: stride 1, no padding, no bias, unless said.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $config {
            channels: [usize; 2],
            kernel: [usize; $axes],
            bias: bool,
            window: Window,
        }

        impl $config {
            /// From `channels[0]` to `channels[1]` channels.
            pub fn new(channels: [usize; 2], kernel: [usize; $axes]) -> Self {
                Self { channels, kernel, bias: false, window: Window::default() }
            }

            /// Steps from one place of the kernel to the next.
            #[must_use]
            pub fn stride(mut self, stride: [usize; $axes]) -> Self {
                self.window.stride[$first..].copy_from_slice(&stride);
                self
            }

            /// The same zeros before and after.
            #[must_use]
            pub fn padding(mut self, padding: [usize; $axes]) -> Self {
                self.window.padding[$first..].copy_from_slice(&padding.map(|side| (side, side)));
                self
            }

            /// Steps between two values of the kernel.
            #[must_use]
            pub fn dilation(mut self, dilation: [usize; $axes]) -> Self {
                self.window.dilation[$first..].copy_from_slice(&dilation);
                self
            }

            /// Groups of channels that do not see each other.
            #[must_use]
            pub fn groups(mut self, groups: usize) -> Self {
                self.window.groups = groups;
                self
            }

            /// With a value that is added to each channel.
            #[must_use]
            pub fn with_bias(mut self) -> Self {
                self.bias = true;
                self
            }

            /// The window, for what only some layers have.
            pub fn window(&mut self) -> &mut Window {
                &mut self.window
            }

            /// The layer, all zeros.
            pub fn init(&self, device: &Device) -> $name {
                let [from, to] = self.channels;
                let groups = self.window.groups;
                let [first, second] =
                    if stringify!($operator) == "convolve" { [to, from / groups] } else { [from, to / groups] };
                let mut shape = [first; $rank];
                shape[1] = second;
                shape[2..].copy_from_slice(&self.kernel);
                $name {
                    weight: Param::from_tensor(Tensor::zeros(shape, device)),
                    bias: self.bias.then(|| Param::from_tensor(Tensor::zeros([to], device))),
                    window: self.window,
                }
            }
        }
    )*};
}

layers! {
    /// A two-dimensional convolution.
    Conv2d, Conv2dConfig: convolve, 4, 2, 1;
    /// A two-dimensional transposed convolution.
    ConvTranspose2d, ConvTranspose2dConfig: convolve_transposed, 4, 2, 1;
    /// A three-dimensional convolution.
    Conv3d, Conv3dConfig: convolve, 5, 3, 0;
    /// A three-dimensional transposed convolution.
    ConvTranspose3d, ConvTranspose3dConfig: convolve_transposed, 5, 3, 0;
}
