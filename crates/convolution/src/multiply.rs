//! Convolution as one matrix product whose right side is never written down: each panel of pixels is
//! gathered from the picture just before it is used.

use rayon::prelude::*;

use crate::activation::Activation;
use crate::kernel::{Run, Tile, load, store};
use crate::picture::{Pixels, SLACK};
use crate::simd::{Level, Machine, Work, with};
use crate::workspace::{Scratch, Shared, Workspace};

/// Weights as the kernel reads them: blocks of rows, each `[depth][ROWS]`.
pub(crate) struct Packed {
    values: Workspace,
    channels: usize,
    depth: usize,
}

struct Rows;

impl Work for Rows {
    type Output = (usize, usize, usize);

    fn run<M: Machine>(self, _: M) -> Self::Output {
        (M::ROWS, M::VECTORS, M::F32_LANES)
    }
}

/// Rows, vectors and lanes of a level's tiles.
pub(crate) fn tile_of(level: Level) -> (usize, usize, usize) {
    with(level, Rows)
}

/// Where the values of one product's weights lie: element (channel, row, tap) is
/// `weight[base + channel * channel_step + row * row_step + taps[tap]]`.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) channels: usize,
    pub(crate) rows: usize,
    pub(crate) base: usize,
    pub(crate) channel_step: usize,
    pub(crate) row_step: usize,
}

impl Packed {
    /// Packs the weights of several products that share their channels and rows, each with its own taps.
    ///
    /// All at once, because the taps of one pair of channels lie in one line of the cache.
    pub(crate) fn all(level: Level, weight: &[f32], places: Places, products: &[Vec<usize>]) -> Vec<Self> {
        let (tile, _, _) = tile_of(level);
        let Places { channels, rows, .. } = places;
        let blocks = channels.div_ceil(tile);
        let mut packed: Vec<Self> = products
            .iter()
            .map(|taps| {
                let depth = rows * taps.len();
                Self { values: Workspace::take(blocks * depth * tile), channels, depth }
            })
            .collect();
        let targets: Vec<Shared> = packed.iter_mut().map(|packed| Shared::new(&mut packed.values)).collect();
        let work = rows * products.iter().map(Vec::len).sum::<usize>() * tile;
        let some = (16384 / work.max(1)).max(1);
        (0..blocks).into_par_iter().with_min_len(some).for_each(|block| {
            let first = block * tile;
            let present = tile.min(channels - first);
            let base = places.base + first * places.channel_step;
            for (taps, target) in products.iter().zip(&targets) {
                let depth = rows * taps.len();
                // SAFETY: the block's values of each product are this task's alone.
                let to = unsafe {
                    std::slice::from_raw_parts_mut(target.get().add(block * depth * tile), depth * tile)
                };
                if present < tile {
                    to.fill(0.0);
                }
            }
            // Some rows at a time, so that their lines are still near when the next product wants them.
            for start in (0..rows).step_by(32) {
                let part = start..(start + 32).min(rows);
                for (taps, target) in products.iter().zip(&targets) {
                    let begin = (block * rows + start) * taps.len() * tile;
                    let count = part.len() * taps.len() * tile;
                    // SAFETY: as above.
                    let to = unsafe { std::slice::from_raw_parts_mut(target.get().add(begin), count) };
                    let mut to = to.chunks_exact_mut(tile);
                    for row in part.clone() {
                        let line = &weight[base + row * places.row_step..];
                        for (tap, to) in taps.iter().zip(&mut to) {
                            if present == 8 && tile == 8 {
                                let values = &line[*tap..*tap + 7 * places.channel_step + 1];
                                for (channel, to) in to.iter_mut().enumerate() {
                                    *to = values[channel * places.channel_step];
                                }
                            } else {
                                for (channel, to) in to[..present].iter_mut().enumerate() {
                                    *to = line[*tap + channel * places.channel_step];
                                }
                            }
                        }
                    }
                }
            }
        });
        packed
    }
}

/// The product of packed weights with gathered pixels.
pub(crate) struct Product<'a> {
    pub(crate) weights: &'a Packed,
    /// Where the k-th value of a pixel lies, seen from the pixel.
    pub(crate) taps: &'a [usize],
    /// Padded pictures, with `SLACK` values behind them.
    pub(crate) source: &'a [f32],
    pub(crate) pixels: Pixels,
    /// Values from one channel of the target to the next.
    pub(crate) target_plane: usize,
    pub(crate) finish: Finish<'a>,
}

/// Terms of a sum that are taken at once: a panel of them stays in the first cache.
const DEPTH: usize = 160;

/// Writes every pixel of every channel of each product.
///
/// All at once: the threads wait for each other a single time.
///
/// # Safety
/// Every place that the products' pixels and planes give must lie in `target`, and no two may be the same.
pub(crate) unsafe fn write_all(level: Level, products: &[Product<'_>], target: Shared) {
    let (rows, vectors, lanes) = tile_of(level);
    let threads = rayon::current_num_threads();
    let wanted = if threads == 1 { 1 } else { threads * 12 }.div_ceil(products.len().max(1));
    let mut tasks = Vec::new();
    for product in products {
        let panels = product.pixels.count().div_ceil(vectors * lanes);
        let blocks = product.weights.channels.div_ceil(rows);
        if panels == 0 || blocks == 0 {
            continue;
        }
        // A task takes some panels and some blocks of rows; enough tasks that no thread waits long, and
        // none so small that handing it out costs more. The sums do not depend on the division.
        let work = panels * blocks * product.weights.depth.max(1);
        let wanted = wanted.min(work.div_ceil(2048));
        let together = panels.div_ceil(wanted).clamp(1, 8);
        let parts = panels.div_ceil(together);
        let shares = wanted.div_ceil(parts).clamp(1, blocks);
        let share = blocks.div_ceil(shares);
        for first in (0..panels).step_by(together) {
            for block in (0..blocks).step_by(share) {
                tasks.push(Task {
                    product,
                    target,
                    panels: first..(first + together).min(panels),
                    blocks: block..(block + share).min(blocks),
                });
            }
        }
    }
    tasks.into_par_iter().for_each(|task| with(level, task));
}

struct Task<'a> {
    product: &'a Product<'a>,
    target: Shared,
    panels: std::ops::Range<usize>,
    blocks: std::ops::Range<usize>,
}

impl Work for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            product,
            target,
            panels,
            blocks,
        } = self;
        let depth = product.taps.len();
        let pieces = depth.div_ceil(DEPTH).max(1);
        let piece = depth.div_ceil(pieces);
        let tile = M::ROWS * M::WIDTH;
        let count = product.pixels.count();
        // One panel, and the results of all panels of the task while their sums go on.
        let kept = if pieces == 1 {
            1
        } else {
            panels.len() * blocks.len()
        };
        let mut runs = Vec::with_capacity(M::WIDTH);
        let all: Vec<Panel> = panels
            .clone()
            .map(|panel| {
                let first = panel * M::WIDTH;
                product.pixels.runs(first, M::WIDTH.min(count - first), &mut runs);
                Panel::new(&runs)
            })
            .collect();
        let mut scratch = Scratch::take(piece * M::WIDTH + SLACK + kept * tile);
        let (gathered, results) = scratch.split_at_mut(piece * M::WIDTH + SLACK);
        for number in 0..pieces {
            let start = number * piece;
            let terms = start..(start + piece).min(depth);
            for (place, panel) in all.iter().enumerate() {
                // SAFETY: the panel lies in the source with all taps, by how both were made.
                unsafe { panel.gather(machine, gathered, product.source, &product.taps[terms.clone()]) };
                for block in blocks.clone() {
                    let kept = if pieces == 1 {
                        0
                    } else {
                        place * blocks.len() + block - blocks.start
                    };
                    let results = &mut results[kept * tile..(kept + 1) * tile];
                    let rows = M::ROWS.min(product.weights.channels - block * M::ROWS);
                    let left = &product.weights.values[(block * depth + terms.start) * M::ROWS
                        ..(block * depth + terms.end) * M::ROWS];
                    let sums = Tile {
                        depth: terms.len(),
                        left: left.as_ptr(),
                        right: gathered.as_ptr(),
                        results: results.as_mut_ptr(),
                        continued: number > 0,
                    };
                    // SAFETY: `left` has terms * ROWS values, `gathered` terms * WIDTH, `results` a tile.
                    unsafe { sums.add(machine, panel.present.div_ceil(M::F32_LANES), rows) };
                    if number + 1 == pieces {
                        let channel = block * M::ROWS;
                        // SAFETY: the target's places are this task's own, as the caller promised.
                        unsafe { panel.scatter(machine, product, results, target, channel, rows) };
                    }
                }
            }
        }
    }
}

/// Pixels that are computed together, as pieces of as many pixels each, or of any lengths.
struct Panel {
    present: usize,
    /// Pixels of a piece, or 0 where they differ.
    grain: usize,
    pieces: Vec<Run>,
}

impl Panel {
    /// The pixels of `runs`, in pieces of 16, 8 or 4 where all runs consist of such.
    fn new(runs: &[Run]) -> Self {
        let present = runs.iter().map(|run| run.length).sum();
        let fits = |grain: &usize| runs.iter().all(|run| run.length % grain == 0);
        let grain = [16, 8, 4].into_iter().find(fits).unwrap_or(0);
        if grain == 0 {
            return Self { present, grain, pieces: runs.to_vec() };
        }
        let mut pieces = Vec::new();
        for run in runs {
            for offset in (0..run.length).step_by(grain) {
                pieces.push(Run {
                    source: run.source + offset,
                    // The scatter multiplies by the step of the target's columns.
                    target: run.target,
                    first: run.first + offset,
                    length: offset,
                });
            }
        }
        Self { present, grain, pieces }
    }

    /// Copies the values of each tap: `[taps][WIDTH]`.
    ///
    /// # Safety
    /// Every piece with every tap must lie in the source, with `SLACK` values behind.
    #[inline(always)]
    unsafe fn gather<M: Machine>(&self, machine: M, to: &mut [f32], source: &[f32], taps: &[usize]) {
        debug_assert!(to.len() >= taps.len() * M::WIDTH + SLACK, "room for the taps");
        // SAFETY: as the caller promised.
        unsafe {
            match self.grain {
                16 => self.gather_even::<M, 16>(to, source, taps),
                8 => self.gather_even::<M, 8>(to, source, taps),
                4 => self.gather_even::<M, 4>(to, source, taps),
                _ => self.gather_uneven(machine, to, source, taps),
            }
        }
    }

    #[inline(always)]
    unsafe fn gather_even<M: Machine, const GRAIN: usize>(&self, to: &mut [f32], source: &[f32], taps: &[usize]) {
        let mut to = to.as_mut_ptr();
        for tap in taps {
            for piece in &self.pieces {
                // SAFETY: pieces with taps lie in the source; a row of `to` has room for all pieces.
                unsafe {
                    let values = source.as_ptr().add(piece.source + tap).cast::<[f32; GRAIN]>().read_unaligned();
                    to.add(piece.first).cast::<[f32; GRAIN]>().write_unaligned(values);
                }
            }
            // SAFETY: the next row, or the end.
            to = unsafe { to.add(M::WIDTH) };
        }
    }

    #[inline(always)]
    unsafe fn gather_uneven<M: Machine>(&self, machine: M, to: &mut [f32], source: &[f32], taps: &[usize]) {
        let mut to = to.as_mut_ptr();
        let is_single = self.pieces.iter().all(|run| run.length == 1);
        for tap in taps {
            // SAFETY: whole vectors are copied: each run's excess is overwritten by the next run, and the
            // last one's falls into the slack. Runs are in ascending order.
            unsafe {
                let source = source.as_ptr().add(*tap);
                if is_single {
                    for (lane, run) in self.pieces.iter().enumerate() {
                        *to.add(lane) = *source.add(run.source);
                    }
                } else {
                    for run in &self.pieces {
                        let (from, to) = (source.add(run.source), to.add(run.first));
                        let mut done = 0;
                        while done < run.length {
                            store(machine, to.add(done), load(machine, from.add(done)));
                            done += M::F32_LANES;
                        }
                    }
                }
                to = to.add(M::WIDTH);
            }
        }
    }

    /// Writes a tile of results to their places.
    ///
    /// # Safety
    /// The places must lie in the target and belong to this thread.
    #[inline(always)]
    unsafe fn scatter<M: Machine>(
        &self,
        machine: M,
        product: &Product<'_>,
        results: &mut [f32],
        target: Shared,
        channel: usize,
        rows: usize,
    ) {
        let step = product.pixels.target_step[2];
        for (row, results) in results.chunks_exact_mut(M::WIDTH).enumerate().take(rows) {
            let channel = channel + row;
            product.finish.apply(machine, channel, results);
            // SAFETY: as the caller promised.
            unsafe {
                let to = target.get().add(channel * product.target_plane);
                match (self.grain, step) {
                    (16, 1) => self.scatter_even::<16, 1>(results, to),
                    (8, 1) => self.scatter_even::<8, 1>(results, to),
                    (4, 1) => self.scatter_even::<4, 1>(results, to),
                    (16, 2) => self.scatter_even::<16, 2>(results, to),
                    (8, 2) => self.scatter_even::<8, 2>(results, to),
                    (4, 2) => self.scatter_even::<4, 2>(results, to),
                    (0, _) => self.scatter_uneven(results, to, step),
                    (grain, _) => {
                        for piece in &self.pieces {
                            let to = to.add(piece.target + piece.length * step);
                            for place in 0..grain {
                                *to.add(place * step) = results[piece.first + place];
                            }
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scatter_even<const GRAIN: usize, const STEP: usize>(&self, results: &[f32], to: *mut f32) {
        for piece in &self.pieces {
            // SAFETY: as the caller promised; a piece has GRAIN results.
            unsafe {
                let values = results.as_ptr().add(piece.first).cast::<[f32; GRAIN]>();
                let to = to.add(piece.target + piece.length * STEP);
                if STEP == 1 {
                    to.cast::<[f32; GRAIN]>().write_unaligned(values.read_unaligned());
                } else {
                    for (place, value) in (*values).iter().enumerate() {
                        *to.add(place * STEP) = *value;
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scatter_uneven(&self, results: &[f32], to: *mut f32, step: usize) {
        for run in &self.pieces {
            let values = &results[run.first..run.first + run.length];
            // SAFETY: as the caller promised.
            unsafe {
                let to = to.add(run.target);
                if step == 1 {
                    std::slice::from_raw_parts_mut(to, run.length).copy_from_slice(values);
                } else {
                    for (place, value) in values.iter().enumerate() {
                        *to.add(place * step) = *value;
                    }
                }
            }
        }
    }
}

/// What is done with a finished sum, once it is known: `activation(scale * sum + shift)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// One value a channel; 1 without.
    pub(crate) scale: Option<&'a [f32]>,
    /// One value a channel, a bias for instance; 0 without.
    pub(crate) shift: Option<&'a [f32]>,
    pub(crate) activation: Activation,
}

impl<'a> Finish<'a> {
    /// The part for some of the channels.
    pub(crate) fn of(self, channels: std::ops::Range<usize>) -> Finish<'a> {
        Finish {
            scale: self.scale.map(|values| &values[channels.clone()]),
            shift: self.shift.map(|values| &values[channels]),
            activation: self.activation,
        }
    }

    #[inline(always)]
    fn apply<M: Machine>(&self, _: M, channel: usize, results: &mut [f32]) {
        if let Some(scale) = self.scale {
            for value in &mut *results {
                *value *= scale[channel];
            }
        }
        if let Some(shift) = self.shift {
            for value in &mut *results {
                *value += shift[channel];
            }
        }
        // A loop for each kind, so that none chooses inside.
        macro_rules! each {
            ($($kind:pat => $activation:expr),*) => {
                match self.activation {
                    Activation::Identity => {}
                    $($kind => for value in &mut *results {
                        *value = $activation.value(*value);
                    })*
                }
            };
        }
        each! {
            Activation::LeakyRelu(slope) => Activation::LeakyRelu(slope),
            Activation::Tanh => Activation::Tanh,
            Activation::Sigmoid => Activation::Sigmoid
        }
    }
}
