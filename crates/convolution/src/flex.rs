//! The operators on burn's CPU backend: slices in, our kernels, tensors out.

use burn::backend::TensorMetadata;
use burn::backend::flex::{Flex, FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Bytes, DType, Shape};

use crate::activation::{self, Activation};
use crate::descent::{self, Adam};
use crate::extension::{Operators, PerChannel, Window};
use crate::linear;
use crate::normalise::{self, Groups};
use crate::operators;
use crate::pool::{self, Pool};
use crate::reflection;
use crate::threads::stay_awake;

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    debug_assert_eq!(values.len(), shape.num_elements(), "values of {shape:?}");
    stay_awake();
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// The values of a tensor in their order, copied only where they do not lie so already.
struct Values(FlexTensor);

impl Values {
    /// Every operator takes its operands here, so this is where its threads are called.
    fn of(tensor: FlexTensor) -> Self {
        stay_awake();
        assert_eq!(
            tensor.dtype(),
            DType::F32,
            "these kernels are for single precision"
        );
        Self(if tensor.is_contiguous() {
            tensor
        } else {
            tensor.to_contiguous()
        })
    }
}

impl std::ops::Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }
}

/// A tensor whose values fill its storage from the beginning.
fn own(tensor: FlexTensor) -> FlexTensor {
    let is_whole = tensor.is_contiguous()
        && tensor.layout().start_offset() == 0
        && tensor.bytes().len() == tensor.layout().num_elements() * size_of::<f32>();
    if is_whole {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The values of an owned tensor to change in place, copied only where others hold them too.
fn slice(tensor: &mut FlexTensor) -> &mut [f32] {
    tensor.storage_mut()
}

impl Operators for Flex {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: PerChannel<Self>,
        shift: PerChannel<Self>,
        window: Window,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let geometry = window.convolution(&input.shape(), &weight.shape());
        let mut shape = input.shape();
        let [scale, shift] = [scale, shift].map(|values| values.into_option().map(Values::of));
        let small = operators::convolve_and(
            &geometry,
            &Values::of(input),
            &Values::of(weight),
            scale.as_deref(),
            shift.as_deref(),
            activation,
        );
        set_picture(&mut shape, geometry.small_channels, geometry.small);
        tensor(small, shape)
    }

    fn convolve_input(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let geometry = window.convolution(&input.shape(), &weight.shape());
        let large =
            operators::transpose(&geometry, &Values::of(gradient), &Values::of(weight), None);
        tensor(large, input.shape())
    }

    fn convolve_weight(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let shape = weight.shape();
        let geometry = window.convolution(&input.shape(), &shape);
        tensor(
            operators::weight_gradient(&geometry, &Values::of(input), &Values::of(gradient)),
            shape,
        )
    }

    fn convolve_transposed(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: PerChannel<Self>,
        shift: PerChannel<Self>,
        window: Window,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let geometry = window.transposed(&input.shape(), &weight.shape());
        let mut shape = input.shape();
        let [scale, shift] = [scale, shift].map(|values| values.into_option().map(Values::of));
        let large = operators::transpose_and(
            &geometry,
            &Values::of(input),
            &Values::of(weight),
            scale.as_deref(),
            shift.as_deref(),
            activation,
        );
        set_picture(&mut shape, geometry.large_channels, geometry.large);
        tensor(large, shape)
    }

    fn convolve_transposed_input(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let geometry = window.transposed(&input.shape(), &weight.shape());
        let small =
            operators::convolve(&geometry, &Values::of(gradient), &Values::of(weight), None);
        tensor(small, input.shape())
    }

    fn convolve_transposed_weight(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let shape = weight.shape();
        let geometry = window.transposed(&input.shape(), &shape);
        tensor(
            operators::weight_gradient(&geometry, &Values::of(gradient), &Values::of(input)),
            shape,
        )
    }

    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: PerChannel<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (batch, outputs) = (input.shape()[0], weight.shape()[1]);
        let bias = bias.into_option().map(Values::of);
        let (input, weight) = (Values::of(input), Values::of(weight));
        let output = linear::linear(batch, &input, &weight, bias.as_deref(), outputs, activation);
        tensor(output, Shape::new([batch, outputs]))
    }

    fn affine_input(weight: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (batch, [inputs, outputs]) = (gradient.shape()[0], weight.shape().dims());
        let result =
            linear::linear_input(batch, &Values::of(gradient), &Values::of(weight), outputs);
        tensor(result, Shape::new([batch, inputs]))
    }

    fn affine_weight(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([batch, inputs], outputs) = (input.shape().dims(), gradient.shape()[1]);
        if batch == 0 {
            return tensor(vec![0.0; inputs * outputs], Shape::new([inputs, outputs]));
        }
        let result = linear::linear_weight(batch, &Values::of(input), &Values::of(gradient));
        tensor(result, Shape::new([inputs, outputs]))
    }

    fn channel_sum(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = gradient.shape();
        let (batch, channels) = (shape[0], shape[1]);
        let plane = shape.num_elements() / (batch * channels).max(1);
        let sums = operators::bias_gradient(batch, channels, plane, &Values::of(gradient));
        tensor(sums, Shape::new([channels]))
    }

    fn activate(input: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let shape = input.shape();
        tensor(activation::activate(kind, &Values::of(input)), shape)
    }

    fn activate_input(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        let shape = output.shape();
        tensor(
            activation::activate_gradient(kind, &Values::of(output), &Values::of(gradient)),
            shape,
        )
    }

    fn normalise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = input.shape();
        let groups = channels_of(&shape);
        let result = normalise::normalise(
            groups,
            &Values::of(input),
            &Values::of(weight),
            &Values::of(bias),
            epsilon,
            activation,
        );
        let each = Shape::new([groups.groups]);
        (
            tensor(result.output, shape),
            tensor(result.mean, each.clone()),
            tensor(result.variance, each),
        )
    }

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
        let groups = channels_of(&shape);
        let result = normalise::normalise_gradient(
            groups,
            &Values::of(input),
            &Values::of(weight),
            &Values::of(bias),
            &Values::of(mean),
            &Values::of(variance),
            epsilon,
            activation,
            &Values::of(gradient),
        );
        let each = Shape::new([groups.groups]);
        (
            tensor(result.input, shape),
            tensor(result.weight, each.clone()),
            tensor(result.bias, each),
        )
    }

    fn scale_channels(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = input.shape();
        let groups = channels_of(&shape);
        let (scale, shift) = (Values::of(scale), Values::of(shift));
        tensor(
            normalise::scale(groups, &Values::of(input), &scale, &shift, activation),
            shape,
        )
    }

    fn reflect(input: FloatTensor<Self>, margin: usize) -> FloatTensor<Self> {
        let mut shape = input.shape();
        let size = [shape[2], shape[3]];
        let output = reflection::reflect(margin, size, &Values::of(input));
        [shape[2], shape[3]] = size.map(|side| side + 2 * margin);
        tensor(output, shape)
    }

    fn reflect_input(gradient: FloatTensor<Self>, margin: usize) -> FloatTensor<Self> {
        let mut shape = gradient.shape();
        let size = [shape[2], shape[3]].map(|side| side - 2 * margin);
        let result = reflection::reflect_gradient(margin, size, &Values::of(gradient));
        [shape[2], shape[3]] = size;
        tensor(result, shape)
    }

    fn pool(input: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let mut shape = input.shape();
        let size = [shape[2], shape[3]];
        let output = pool::pool(pool, size, &Values::of(input));
        [shape[2], shape[3]] = size.map(|side| pool.windows(side));
        tensor(output, shape)
    }

    fn pool_input(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        pool: Pool,
    ) -> FloatTensor<Self> {
        let shape = input.shape();
        let size = [shape[2], shape[3]];
        let result = pool::pool_gradient(pool, size, &Values::of(input), &Values::of(gradient));
        tensor(result, shape)
    }

    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = Values::of(gradient);
        let [mut parameter, mut first, mut second] = [parameter, first, second].map(own);
        descent::adam(
            step,
            slice(&mut parameter),
            &gradient,
            slice(&mut first),
            slice(&mut second),
        );
        (parameter, first, second)
    }

    fn average(
        average: FloatTensor<Self>,
        newest: FloatTensor<Self>,
        keep: f32,
        rest: f32,
    ) -> FloatTensor<Self> {
        let newest = Values::of(newest);
        let mut average = own(average);
        descent::average(keep, rest, slice(&mut average), &newest);
        average
    }
}

/// The groups of batch normalisation of `[batch, channels, ..]`.
fn channels_of(shape: &Shape) -> Groups {
    let (batch, channels) = (shape[0], shape[1]);
    Groups {
        groups: channels,
        repeats: batch,
        length: shape.num_elements() / (batch * channels).max(1),
    }
}

/// Replaces the channels and the spatial sizes of `[batch, channels, (depth,) height, width]`.
fn set_picture(shape: &mut Shape, channels: usize, size: [usize; 3]) {
    let dimensions = shape.num_dims();
    shape[1] = channels;
    for axis in 2..dimensions {
        shape[axis] = size[3 - (dimensions - axis)];
    }
}
