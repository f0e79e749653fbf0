//! The operators on autodiff devices: backward passes written by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use crate::activation::Activation;
use crate::extension::{Bias, Operators, Window};

/// Which of the two convolutions.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Transposed,
}

impl Kind {
    fn forward<B: Operators>(
        self,
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: Bias<B>,
        window: Window,
    ) -> FloatTensor<B> {
        match self {
            Self::Plain => B::convolve(input, weight, bias, window),
            Self::Transposed => B::convolve_transposed(input, weight, bias, window),
        }
    }
}

/// Of (input, weight) or (input, weight, bias).
#[derive(Debug)]
struct Convolution;

#[derive(Clone, Debug)]
struct Kept<T> {
    kind: Kind,
    input: T,
    weight: T,
    window: Window,
}

impl<B: Operators, const N: usize> Backward<B, N> for Convolution {
    type State = Kept<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let Kept { kind, input, weight, window } = ops.state;
        // Bias, weight, input: the order in which the values can be let go.
        if let Some(Some(node)) = ops.parents.get(2) {
            grads.register::<B>(node.id, B::channel_sum(gradient.clone()));
        }
        if let Some(node) = &ops.parents[1] {
            let operands = (input.clone(), weight.clone(), gradient.clone());
            let of_weight = match kind {
                Kind::Plain => B::convolve_weight(operands.0, operands.1, operands.2, window),
                Kind::Transposed => B::convolve_transposed_weight(operands.0, operands.1, operands.2, window),
            };
            grads.register::<B>(node.id, of_weight);
        }
        if let Some(node) = &ops.parents[0] {
            let of_input = match kind {
                Kind::Plain => B::convolve_input(input, weight, gradient, window),
                Kind::Transposed => B::convolve_transposed_input(input, weight, gradient, window),
            };
            grads.register::<B>(node.id, of_input);
        }
    }
}

fn convolution<B: Operators, C: CheckpointStrategy>(
    kind: Kind,
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
    window: Window,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [input.node(), weight.node()];
    let (input, weight) = (input.into_primitive(), weight.into_primitive());
    let run = |bias| kind.forward::<B>(input.clone(), weight.clone(), bias, window);
    let kept = || Kept { kind, input: input.clone(), weight: weight.clone(), window };
    match bias {
        None => match Backward::<B, 2>::prepare::<C>(Convolution, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(kept(), run(Bias::Absent)),
            OpsKind::UnTracked(prep) => prep.finish(run(Bias::Absent)),
        },
        Some(bias) => {
            let [first, second] = nodes;
            let nodes = [first, second, bias.node()];
            let bias = Bias::Present(bias.into_primitive());
            match Backward::<B, 3>::prepare::<C>(Convolution, nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(kept(), run(bias)),
                OpsKind::UnTracked(prep) => prep.finish(run(bias)),
            }
        }
    }
}

/// Of (input, weight) or (input, weight, bias).
#[derive(Debug)]
struct Linear;

impl<B: Operators, const N: usize> Backward<B, N> for Linear {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (input, weight) = ops.state;
        if let Some(Some(node)) = ops.parents.get(2) {
            grads.register::<B>(node.id, B::channel_sum(gradient.clone()));
        }
        if let Some(node) = &ops.parents[1] {
            grads.register::<B>(node.id, B::affine_weight(input, gradient.clone()));
        }
        if let Some(node) = &ops.parents[0] {
            grads.register::<B>(node.id, B::affine_input(weight, gradient));
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
        let Statistics { input, weight, bias, mean, variance, epsilon, activation } = ops.state;
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
        bias: Bias<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        convolution::<B, C>(Kind::Plain, input, weight, bias.into_option(), window)
    }

    fn convolve_transposed(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Bias<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        convolution::<B, C>(Kind::Transposed, input, weight, bias.into_option(), window)
    }

    fn affine(input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Bias<Self>) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node()];
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        let run = |bias| B::affine(input.clone(), weight.clone(), bias);
        let kept = || (input.clone(), weight.clone());
        match bias.into_option() {
            None => match Backward::<B, 2>::prepare::<C>(Linear, nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(kept(), run(Bias::Absent)),
                OpsKind::UnTracked(prep) => prep.finish(run(Bias::Absent)),
            },
            Some(bias) => {
                let [first, second] = nodes;
                let nodes = [first, second, bias.node()];
                let bias = Bias::Present(bias.into_primitive());
                match Backward::<B, 3>::prepare::<C>(Linear, nodes).compute_bound().stateful() {
                    OpsKind::Tracked(prep) => prep.finish(kept(), run(bias)),
                    OpsKind::UnTracked(prep) => prep.finish(run(bias)),
                }
            }
        }
    }

    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let nodes = [input.node()];
        let output = B::activate(input.into_primitive(), activation);
        match Backward::<B, 1>::prepare::<C>(Activate, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), activation), output),
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
        let (output, mean, variance) =
            B::normalise(input.clone(), weight.clone(), bias.clone(), epsilon, activation);
        let statistics = [mean.clone(), variance.clone()].map(FloatTensor::<Self>::new);
        let output = match Backward::<B, 3>::prepare::<C>(Normalise, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let kept = Statistics { input, weight, bias, mean, variance, epsilon, activation };
                prep.finish(kept, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }
}
