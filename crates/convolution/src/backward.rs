//! The operators on autodiff devices: backward passes written by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use crate::activation::Activation;
use crate::extension::{Operators, PerChannel, Window, finished};
use crate::pool::Pool;

/// Which product of inputs with weights.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Convolution(Window),
    Transposed(Window),
    Affine,
}

impl Kind {
    fn forward<B: Operators>(
        self,
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        shift: PerChannel<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        let none = PerChannel::Absent;
        match self {
            Self::Convolution(window) => {
                B::convolve(input, weight, none, shift, window, activation)
            }
            Self::Transposed(window) => {
                B::convolve_transposed(input, weight, none, shift, window, activation)
            }
            Self::Affine => B::affine(input, weight, shift, activation),
        }
    }

    fn of_weight<B: Operators>(
        self,
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        match self {
            Self::Convolution(window) => B::convolve_weight(input, weight, gradient, window),
            Self::Transposed(window) => {
                B::convolve_transposed_weight(input, weight, gradient, window)
            }
            Self::Affine => B::affine_weight(input, gradient),
        }
    }

    fn of_input<B: Operators>(
        self,
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        match self {
            Self::Convolution(window) => B::convolve_input(input, weight, gradient, window),
            Self::Transposed(window) => {
                B::convolve_transposed_input(input, weight, gradient, window)
            }
            Self::Affine => B::affine_input(weight, gradient),
        }
    }
}

/// Of (input, weight) or (input, weight, shift).
#[derive(Debug)]
struct Weighted;

#[derive(Clone, Debug)]
struct Kept<T> {
    kind: Kind,
    input: T,
    weight: T,
    /// The output with its activation, where there is one.
    activated: Option<(T, Activation)>,
}

impl<B: Operators, const N: usize> Backward<B, N> for Weighted {
    type State = Kept<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Kept {
            kind,
            input,
            weight,
            activated,
        } = ops.state;
        let mut gradient = grads.consume::<B>(&ops.node);
        if let Some((output, activation)) = activated {
            gradient = B::activate_input(output, gradient, activation);
        }
        if let Some(Some(node)) = ops.parents.get(2) {
            grads.register::<B>(node.id, B::channel_sum(gradient.clone()));
        }
        if let Some(node) = &ops.parents[1] {
            let of_weight = kind.of_weight::<B>(input.clone(), weight.clone(), gradient.clone());
            grads.register::<B>(node.id, of_weight);
        }
        if let Some(node) = &ops.parents[0] {
            grads.register::<B>(node.id, kind.of_input::<B>(input, weight, gradient));
        }
    }
}

fn weighted<B: Operators, C: CheckpointStrategy>(
    kind: Kind,
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    shift: PerChannel<Autodiff<B, C>>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [input.node(), weight.node()];
    let (input, weight) = (input.into_primitive(), weight.into_primitive());
    let run = |shift| kind.forward::<B>(input.clone(), weight.clone(), shift, activation);
    let kept = |output: &FloatTensor<B>| Kept {
        kind,
        input: input.clone(),
        weight: weight.clone(),
        activated: (activation != Activation::Identity).then(|| (output.clone(), activation)),
    };
    match shift.into_option() {
        None => {
            let output = run(PerChannel::Absent);
            match Backward::<B, 2>::prepare::<C>(Weighted, nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(kept(&output), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
        Some(shift) => {
            let [first, second] = nodes;
            let nodes = [first, second, shift.node()];
            let output = run(PerChannel::Present(shift.into_primitive()));
            match Backward::<B, 3>::prepare::<C>(Weighted, nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(kept(&output), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            }
        }
    }
}

/// A scale between the sum and its shift has no backward pass of its own: burn's operators have.
fn scaled<B: Operators, C: CheckpointStrategy>(
    kind: Kind,
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    scale: PerChannel<Autodiff<B, C>>,
    shift: PerChannel<Autodiff<B, C>>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    match scale {
        PerChannel::Absent => weighted::<B, C>(kind, input, weight, shift, activation),
        scale => {
            let sum = weighted::<B, C>(
                kind,
                input,
                weight,
                PerChannel::Absent,
                Activation::Identity,
            );
            finished::<Autodiff<B, C>>(sum, scale, shift, activation)
        }
    }
}

#[derive(Debug)]
struct Activate;

impl<B: Operators> Backward<B, 1> for Activate {
    type State = (FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (output, activation) = ops.state;
        if let [Some(node)] = &ops.parents {
            grads.register::<B>(node.id, B::activate_input(output, gradient, activation));
        }
    }
}

#[derive(Debug)]
struct Reflected;

impl<B: Operators> Backward<B, 1> for Reflected {
    type State = usize;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::reflect_input(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct Pooled;

impl<B: Operators> Backward<B, 1> for Pooled {
    type State = (FloatTensor<B>, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (input, pool) = ops.state;
        if let [Some(node)] = &ops.parents {
            grads.register::<B>(node.id, B::pool_input(input, gradient, pool));
        }
    }
}

#[derive(Debug)]
struct Normalise;

#[derive(Clone, Debug)]
struct Statistics<T> {
    input: T,
    weight: T,
    bias: T,
    mean: T,
    variance: T,
    epsilon: f64,
    activation: Activation,
}

impl<B: Operators> Backward<B, 3> for Normalise {
    type State = Statistics<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let Statistics {
            input,
            weight,
            bias,
            mean,
            variance,
            epsilon,
            activation,
        } = ops.state;
        let (of_input, of_weight, of_bias) = B::normalise_gradient(
            input, weight, bias, mean, variance, gradient, epsilon, activation,
        );
        for (node, gradient) in ops.parents.iter().zip([of_input, of_weight, of_bias]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Operators, C: CheckpointStrategy> Operators for Autodiff<B, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: PerChannel<Self>,
        shift: PerChannel<Self>,
        window: Window,
        activation: Activation,
    ) -> FloatTensor<Self> {
        scaled::<B, C>(
            Kind::Convolution(window),
            input,
            weight,
            scale,
            shift,
            activation,
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
        scaled::<B, C>(
            Kind::Transposed(window),
            input,
            weight,
            scale,
            shift,
            activation,
        )
    }

    fn affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: PerChannel<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        weighted::<B, C>(Kind::Affine, input, weight, bias, activation)
    }

    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let nodes = [input.node()];
        let output = B::activate(input.into_primitive(), activation);
        match Backward::<B, 1>::prepare::<C>(Activate, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), activation), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn reflect(input: FloatTensor<Self>, margin: usize) -> FloatTensor<Self> {
        let nodes = [input.node()];
        let output = B::reflect(input.into_primitive(), margin);
        match Backward::<B, 1>::prepare::<C>(Reflected, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(margin, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn pool(input: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let nodes = [input.node()];
        let input = input.into_primitive();
        let output = B::pool(input.clone(), pool);
        match Backward::<B, 1>::prepare::<C>(Pooled, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, pool), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn normalise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [input.node(), weight.node(), bias.node()];
        let [input, weight, bias] = [input, weight, bias].map(|tensor| tensor.into_primitive());
        let (output, mean, variance) = B::normalise(
            input.clone(),
            weight.clone(),
            bias.clone(),
            epsilon,
            activation,
        );
        let statistics = [mean.clone(), variance.clone()].map(FloatTensor::<Self>::new);
        let output = match Backward::<B, 3>::prepare::<C>(Normalise, nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let kept = Statistics {
                    input,
                    weight,
                    bias,
                    mean,
                    variance,
                    epsilon,
                    activation,
                };
                prep.finish(kept, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }
}
