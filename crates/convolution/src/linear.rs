//! Fully connected layers: products of matrices, small ones beside large weights.

use rayon::prelude::*;

use crate::activation::Activation;
use crate::multiply::{Finish, Packed, Places, Product, write_all};
use crate::operators::unwritten;
use crate::picture::{Padded, Pictures, Pixels};
use crate::simd::{Level, Machine, Work, with};
use crate::transposition::transpose;
use crate::workspace::{Shared, Workspace};

/// `left [rows, depth] * right [depth, columns]`, where element (row, k) of the left side lies at
/// `row * row_step + k * depth_step`.
fn product(
    left: &[f32],
    right: &[f32],
    [rows, columns]: [usize; 2],
    steps: [usize; 2],
    start: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    if rows == 0 || columns == 0 {
        return Vec::new();
    }
    let level = Level::current();
    let depth = right.len() / columns;
    let mut result = unwritten(rows * columns);
    let [row_step, depth_step] = steps;
    let places = Places {
        channels: rows,
        rows: depth,
        base: 0,
        channel_step: row_step,
        row_step: depth_step,
    };
    let weights = Packed::all(level, left, places, &[vec![0]]);
    // The right side is one picture of `depth` channels, each a row of `columns` pixels.
    let line = [1, 1, columns];
    let padded = Padded::new(depth, line, [0; 3], line, 1);
    let pictures = Pictures {
        padded: &padded,
        batch: 1,
        values: right,
    };
    let taps: Vec<usize> = (0..depth).map(|row| row * columns).collect();
    let pixels = Pixels {
        batch: 1,
        size: line,
        source_image: 0,
        source_base: 0,
        source_step: [0, 0, 1],
        target_image: 0,
        target_base: 0,
        target_step: [0, 0, 1],
    };
    let finish = Finish {
        scale: None,
        shift: None,
        activation,
    };
    let product = Product {
        weights: &weights[0],
        taps: &taps,
        pixels,
        target_plane: columns,
        start,
        finish,
    };
    // SAFETY: rows of `columns` pixels each fill the result once.
    unsafe { write_all(level, &[product], pictures, Shared::new(&mut result)) };
    result
}

fn check(name: &str, values: &[f32], length: usize) {
    assert!(
        values.len() == length,
        "the {name} has {} values instead of {length}",
        values.len()
    );
}

/// `activation(input * weight + bias)`.
///
/// # Shapes
/// - input: `[batch, inputs]`; weight: `[inputs, outputs]`; bias: `[outputs]`
/// - result: `[batch, outputs]`
///
/// # Panics
/// If a length does not fit.
pub fn linear(
    batch: usize,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    outputs: usize,
    activation: Activation,
) -> Vec<f32> {
    if outputs == 0 {
        return Vec::new();
    }
    let inputs = weight.len() / outputs;
    check("weight", weight, inputs * outputs);
    check("input", input, batch * inputs);
    if let Some(bias) = bias {
        check("bias", bias, outputs);
    }
    product(
        input,
        weight,
        [batch, outputs],
        [inputs, 1],
        bias,
        activation,
    )
}

/// The gradient of the input of [`linear`].
///
/// # Shapes
/// - gradient: `[batch, outputs]`; weight: `[inputs, outputs]`
/// - result: `[batch, inputs]`
///
/// # Panics
/// If a length does not fit.
pub fn linear_input(batch: usize, gradient: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / outputs.max(1);
    check("weight", weight, inputs * outputs);
    check("gradient", gradient, batch * outputs);
    let turned = turn(weight, inputs, outputs);
    product(
        gradient,
        &turned,
        [batch, inputs],
        [outputs, 1],
        None,
        Activation::Identity,
    )
}

/// The gradient of the weight of [`linear`].
///
/// # Shapes
/// - input: `[batch, inputs]`; gradient: `[batch, outputs]`
/// - result: `[inputs, outputs]`
///
/// # Panics
/// If a length does not fit.
pub fn linear_weight(batch: usize, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    assert!(batch > 0, "a gradient of no samples");
    let (inputs, outputs) = (input.len() / batch, gradient.len() / batch);
    check("input", input, batch * inputs);
    check("gradient", gradient, batch * outputs);
    product(
        input,
        gradient,
        [inputs, outputs],
        [1, inputs],
        None,
        Activation::Identity,
    )
}

/// The transpose of a matrix.
fn turn(values: &[f32], rows: usize, columns: usize) -> Workspace {
    let mut turned = Workspace::take(rows * columns);
    let level = Level::current();
    // Each task writes some rows of the result: columns of the matrix.
    const SOME: usize = 32;
    turned
        .par_chunks_mut((SOME * rows).max(1))
        .enumerate()
        .for_each(|(number, turned)| {
            with(
                level,
                Turn {
                    values,
                    rows,
                    columns,
                    first: number * SOME,
                    turned,
                },
            );
        });
    turned
}

struct Turn<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    first: usize,
    turned: &'a mut [f32],
}

impl Work for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            values,
            rows,
            columns,
            first,
            turned,
        } = self;
        let wide = turned.len() / rows.max(1);
        assert!(
            first + wide <= columns && rows * columns == values.len(),
            "columns that the matrix has"
        );
        // SAFETY: the columns lie in the matrix, as just seen, and `turned` is theirs.
        unsafe {
            let from = values.as_ptr().add(first);
            let to = turned.as_mut_ptr();
            transpose(machine, (from, columns), (to, rows), [rows, wide]);
        }
    }
}
