//! Convolution as one matrix product whose right side is never written down: each panel of pixels is
//! gathered from the picture just before it is used.

use std::ops::Range;

use rayon::prelude::*;

use crate::activation::{Activation, for_each_kind};
use crate::kernel::{Run, Tile, load, store};
use crate::picture::{Pictures, Pixels, SLACK};
use crate::simd::{Level, Machine, Work, with};
use crate::transposition::transpose;
use crate::workspace::{Shared, Workspace};

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
    pub(crate) fn all(
        level: Level,
        weight: &[f32],
        places: Places,
        products: &[Vec<usize>],
    ) -> Vec<Self> {
        let (tile, _, _) = tile_of(level);
        let Places { channels, rows, .. } = places;
        let blocks = channels.div_ceil(tile);
        let mut packed: Vec<Self> = products
            .iter()
            .map(|taps| {
                let depth = rows * taps.len();
                Self {
                    values: Workspace::take(blocks * depth * tile),
                    channels,
                    depth,
                }
            })
            .collect();
        let targets: Vec<Shared> = packed
            .iter_mut()
            .map(|packed| Shared::new(&mut packed.values))
            .collect();
        let work = rows * products.iter().map(Vec::len).sum::<usize>() * tile;
        let some = (16384 / work.max(1)).max(1);
        (0..blocks)
            .into_par_iter()
            .with_min_len(some)
            .for_each(|block| {
                let block = Block {
                    weight,
                    places,
                    products,
                    targets: &targets,
                    block,
                };
                with(level, block);
            });
        packed
    }
}

/// The packing of one block of rows of all products.
struct Block<'a> {
    weight: &'a [f32],
    places: Places,
    products: &'a [Vec<usize>],
    targets: &'a [Shared],
    block: usize,
}

/// Places of a kernel that are transposed at once, a kernel of 4 x 4 x 4 for instance.
const SPAN: usize = 64;

impl Work for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            weight,
            places,
            products,
            targets,
            block,
        } = self;
        let tile = M::ROWS;
        let Places {
            rows,
            channel_step,
            row_step,
            ..
        } = places;
        let first = block * tile;
        let present = tile.min(places.channels - first);
        let base = places.base + first * channel_step;
        // SAFETY: the block's values of each product are this task's alone.
        let part = |number: usize| unsafe {
            let length = rows * products[number].len() * tile;
            let start = targets[number].get().add(block * length);
            std::slice::from_raw_parts_mut(start, length)
        };
        if present < tile {
            (0..products.len()).for_each(|number| part(number).fill(0.0));
        }
        let is_run = |taps: &[usize]| taps.iter().enumerate().all(|(place, tap)| place == *tap);
        // Values of one channel that lie side by side and are wanted in their order.
        let run = match products {
            [taps] if rows == 1 && is_run(taps) => taps.len(),
            [taps] if row_step == 1 && **taps == [0] => rows,
            _ => 0,
        };
        if run > 0 && channel_step != 1 {
            let from = &weight[base..base + (present - 1) * channel_step + run];
            let to = part(0).as_mut_ptr();
            // SAFETY: the slice reaches to the end of the last channel's run; `to` has `tile` values for each.
            unsafe {
                transpose(
                    machine,
                    (from.as_ptr(), channel_step),
                    (to, tile),
                    [present, run],
                );
            }
            return;
        }
        let span = products.iter().flatten().max().map_or(0, |tap| tap + 1);
        let is_narrow = channel_step != 1 && span <= SPAN.min(channel_step) && tile <= 8;
        let mut turned = [[0.0_f32; 8]; SPAN];
        for row in 0..rows {
            let line = &weight[base + row * row_step..];
            if is_narrow {
                let line = &line[..(present - 1) * channel_step + span];
                // SAFETY: the slice reaches to the last channel's last tap; `turned` has a line for each tap.
                unsafe {
                    transpose(
                        machine,
                        (line.as_ptr(), channel_step),
                        (turned.as_mut_ptr().cast(), 8),
                        [present, span],
                    );
                }
            }
            for (number, taps) in products.iter().enumerate() {
                let to = &mut part(number)[row * taps.len() * tile..][..taps.len() * tile];
                for (tap, to) in taps.iter().zip(to.chunks_exact_mut(tile)) {
                    if is_narrow || channel_step == 1 {
                        let line = if is_narrow {
                            &turned[*tap][..]
                        } else {
                            &line[*tap..]
                        };
                        match (to.first_chunk_mut::<8>(), line.first_chunk::<8>()) {
                            // Eight values as one: a call to copy them would cost more.
                            (Some(to), Some(line)) if present == 8 => *to = *line,
                            _ => to[..present].copy_from_slice(&line[..present]),
                        }
                    } else {
                        for (channel, to) in to[..present].iter_mut().enumerate() {
                            *to = line[*tap + channel * channel_step];
                        }
                    }
                }
            }
        }
    }
}

/// The product of packed weights with gathered pixels.
pub(crate) struct Product<'a> {
    pub(crate) weights: &'a Packed,
    /// Where the k-th value of a pixel lies, seen from the pixel.
    pub(crate) taps: &'a [usize],
    pub(crate) pixels: Pixels,
    /// Values from one channel of the target to the next.
    pub(crate) target_plane: usize,
    /// What each pixel's sums begin with, by the pixel's number; 0 without.
    pub(crate) start: Option<&'a [f32]>,
    pub(crate) finish: Finish<'a>,
}

/// Terms of a sum that are taken at once: a panel of them stays in the first cache.
const DEPTH: usize = 160;

/// How the work is divided among tasks. The sums do not depend on it.
enum Division {
    /// Each task takes so many pictures, lays them out for itself and does everything with them.
    Images(usize),
    /// The pictures are laid out first; each task takes some panels and some blocks of rows of a product.
    Tiles(Vec<[usize; 2]>),
}

/// Values of laid out pictures that leave room for the rest in the second cache.
const NEAR: usize = 160 * 1024;

/// About how many cycles the parts of the work take, on the machines where this was written.
mod cycles {
    /// Multiplying a panel by a row block, one term of the sum.
    pub(super) const TILE: usize = 12;
    /// Gathering one term of a panel.
    pub(super) const GATHER: usize = 10;
    /// Reading a row block's weight from far away.
    pub(super) const WEIGHT: usize = 4;
    /// Handing out a task.
    pub(super) const TASK: usize = 6000;
    /// Writing laid out pictures for others to read, each value.
    pub(super) const FAR: usize = 4;
}

/// Whether the pictures can be read where they are: nothing is to be added around them, and every row of
/// results consists of pieces that are read without a vector reaching over the end.
fn can_stay(products: &[Product<'_>], pictures: Pictures<'_>) -> bool {
    let is_even = |product: &Product<'_>| {
        let size = product.pixels.size;
        size[2].is_multiple_of(4) || size == [1; 3]
    };
    pictures.padded.is_plain() && products.iter().all(is_even)
}

impl Division {
    /// The division that should end first.
    fn of(products: &[Product<'_>], pictures: Pictures<'_>, shape: (usize, usize)) -> Self {
        let (rows, width) = shape;
        let threads = rayon::current_num_threads();
        let rounds = |tasks: usize, each: usize| tasks.div_ceil(threads) * (each + cycles::TASK);
        let work = |product: &Product<'_>, panels: usize, blocks: usize| {
            let depth = product.weights.depth;
            depth * (panels * (cycles::GATHER + cycles::TILE * blocks) + cycles::WEIGHT * blocks)
        };
        let blocks = |product: &Product<'_>| product.weights.channels.div_ceil(rows);
        let mut best = (usize::MAX, Self::Images(1));
        for images in 1..=pictures.batch {
            let near = images * pictures.padded.image();
            if images > 1 && near > NEAR {
                break;
            }
            let all: usize = products
                .iter()
                .map(|product| {
                    work(
                        product,
                        (images * product.pixels.each()).div_ceil(width),
                        blocks(product),
                    )
                })
                .sum();
            let time = rounds(pictures.batch.div_ceil(images), all + near);
            if time < best.0 {
                best = (time, Self::Images(images));
            }
        }
        let mut tiles = Vec::new();
        let mut total = match can_stay(products, pictures) {
            true => 0,
            false => pictures.batch * pictures.padded.image() * cycles::FAR / threads,
        };
        for product in products {
            let panels = product.pixels.count().div_ceil(width);
            let blocks = blocks(product);
            let mut best = (usize::MAX, [1, 1]);
            for together in (1..=panels.min(16)).rev() {
                for shares in 1..=blocks.min(16) {
                    let share = blocks.div_ceil(shares);
                    let tasks = panels.div_ceil(together) * blocks.div_ceil(share);
                    let time = rounds(tasks, work(product, together, share));
                    if time < best.0 {
                        best = (time, [together, share]);
                    }
                }
            }
            total = total.saturating_add(best.0);
            tiles.push(best.1);
        }
        if total < best.0 {
            Self::Tiles(tiles)
        } else {
            best.1
        }
    }
}

/// Writes every pixel of every channel of each product.
///
/// All at once: the threads wait for each other a single time.
///
/// # Safety
/// Every place that the products' pixels and planes give must lie in `target`, and no two may be the same.
pub(crate) unsafe fn write_all(
    level: Level,
    products: &[Product<'_>],
    pictures: Pictures<'_>,
    target: Shared,
) {
    let (rows, vectors, lanes) = tile_of(level);
    let width = vectors * lanes;
    match Division::of(products, pictures, (rows, width)) {
        Division::Images(together) => {
            let tasks = pictures.batch.div_ceil(together);
            (0..tasks).into_par_iter().for_each(|task| {
                let images = task * together..((task + 1) * together).min(pictures.batch);
                with(
                    level,
                    Images {
                        products,
                        pictures,
                        target,
                        images,
                    },
                );
            });
        }
        Division::Tiles(tiles) => {
            let copy;
            let source = if can_stay(products, pictures) {
                pictures.values
            } else {
                copy = pictures.padded.copy(pictures.batch, pictures.values);
                &copy
            };
            let mut tasks = Vec::new();
            for (product, [together, share]) in products.iter().zip(tiles) {
                let panels = product.pixels.count().div_ceil(width);
                let blocks = product.weights.channels.div_ceil(rows);
                for first in (0..panels).step_by(together) {
                    for block in (0..blocks).step_by(share) {
                        tasks.push(Tiles {
                            product,
                            source,
                            target,
                            panels: first..(first + together).min(panels),
                            blocks: block..(block + share).min(blocks),
                        });
                    }
                }
            }
            tasks.into_par_iter().for_each(|task| with(level, task));
        }
    }
}

struct Images<'a> {
    products: &'a [Product<'a>],
    pictures: Pictures<'a>,
    target: Shared,
    images: Range<usize>,
}

impl Work for Images<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            products,
            pictures,
            target,
            images,
        } = self;
        let padded = pictures.padded;
        let near = (images.len() * padded.image() + SLACK).next_multiple_of(16);
        let most = |product: &Product<'_>| {
            let panels = (images.len() * product.pixels.each()).div_ceil(M::WIDTH);
            product.scratch::<M>(panels, product.weights.channels.div_ceil(M::ROWS))
        };
        let mut scratch = Workspace::of_thread(near + products.iter().map(most).max().unwrap_or(0));
        let (source, scratch) = scratch.split_at_mut(near);
        padded.copy_planes(
            &mut source[..images.len() * padded.image()],
            pictures.part(images.clone()),
        );
        source[images.len() * padded.image()..].fill(0.0);
        for product in products {
            let each = product.pixels.each();
            let pixels = images.start * each..images.end * each;
            let blocks = 0..product.weights.channels.div_ceil(M::ROWS);
            // SAFETY: these pictures are laid out; their places in the target are this task's own.
            unsafe {
                product.tiles(
                    machine,
                    (source, images.start),
                    target,
                    pixels,
                    blocks,
                    scratch,
                )
            };
        }
    }
}

struct Tiles<'a> {
    product: &'a Product<'a>,
    source: &'a [f32],
    target: Shared,
    panels: Range<usize>,
    blocks: Range<usize>,
}

impl Work for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            product,
            source,
            target,
            panels,
            blocks,
        } = self;
        let mut scratch = Workspace::of_thread(product.scratch::<M>(panels.len(), blocks.len()));
        let pixels = panels.start * M::WIDTH..(panels.end * M::WIDTH).min(product.pixels.count());
        // SAFETY: all pictures are laid out; the tiles' places in the target are this task's own.
        unsafe { product.tiles(machine, (source, 0), target, pixels, blocks, &mut scratch) };
    }
}

impl Product<'_> {
    /// Pieces of the sum, and the terms of each but the last.
    fn pieces(&self) -> (usize, usize) {
        let depth = self.taps.len();
        let pieces = depth.div_ceil(DEPTH).max(1);
        (pieces, depth.div_ceil(pieces))
    }

    /// Values of scratch that some panels and blocks need: one gathered panel, and the results of all
    /// panels while their sums go on.
    fn scratch<M: Machine>(&self, panels: usize, blocks: usize) -> usize {
        let (pieces, piece) = self.pieces();
        let kept = if pieces == 1 { 1 } else { panels * blocks };
        piece * M::WIDTH + SLACK + kept * M::ROWS * M::WIDTH
    }

    /// Writes some pixels of some blocks of channels.
    ///
    /// # Safety
    /// `source` must hold the pixels' pictures, laid out, from the picture whose number is given; their
    /// places in the target must belong to this thread.
    #[inline(always)]
    unsafe fn tiles<M: Machine>(
        &self,
        machine: M,
        (source, first_image): (&[f32], usize),
        target: Shared,
        pixels: Range<usize>,
        blocks: Range<usize>,
        scratch: &mut [f32],
    ) {
        let depth = self.taps.len();
        let (pieces, piece) = self.pieces();
        let tile = M::ROWS * M::WIDTH;
        let mut runs = Vec::with_capacity(M::WIDTH);
        let panels: Vec<Panel> = pixels
            .clone()
            .step_by(M::WIDTH)
            .map(|first| {
                self.pixels
                    .runs(first, M::WIDTH.min(pixels.end - first), &mut runs);
                for run in &mut runs {
                    run.source -= first_image * self.pixels.source_image;
                }
                Panel::new(&runs)
            })
            .collect();
        let (gathered, results) = scratch.split_at_mut(piece * M::WIDTH + SLACK);
        for number in 0..pieces {
            let start = number * piece;
            let terms = start..(start + piece).min(depth);
            for (place, panel) in panels.iter().enumerate() {
                // SAFETY: the panel lies in the source with all taps, by how both were made.
                unsafe { panel.gather(machine, gathered, source, &self.taps[terms.clone()]) };
                for block in blocks.clone() {
                    let kept = if pieces == 1 {
                        0
                    } else {
                        place * blocks.len() + block - blocks.start
                    };
                    let results = &mut results[kept * tile..(kept + 1) * tile];
                    let rows = M::ROWS.min(self.weights.channels - block * M::ROWS);
                    let left = &self.weights.values[(block * depth + terms.start) * M::ROWS
                        ..(block * depth + terms.end) * M::ROWS];
                    if let Some(start) = self.start.filter(|_| number == 0) {
                        let first = pixels.start + place * M::WIDTH;
                        let start = &start[first..first + panel.present];
                        for results in results.chunks_exact_mut(M::WIDTH).take(rows) {
                            results[..start.len()].copy_from_slice(start);
                        }
                    }
                    let sums = Tile {
                        depth: terms.len(),
                        left: left.as_ptr(),
                        right: gathered.as_ptr(),
                        results: results.as_mut_ptr(),
                        continued: number > 0 || self.start.is_some(),
                    };
                    // SAFETY: `left` has terms * ROWS values, `gathered` terms * WIDTH, `results` a tile.
                    unsafe { sums.add(machine, panel.present.div_ceil(M::F32_LANES), rows) };
                    if number + 1 == pieces {
                        // SAFETY: the target's places are this thread's own, as the caller promised.
                        unsafe {
                            panel.scatter(machine, self, results, target, block * M::ROWS, rows)
                        };
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
            return Self {
                present,
                grain,
                pieces: runs.to_vec(),
            };
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
        Self {
            present,
            grain,
            pieces,
        }
    }

    /// Copies the values of each tap: `[taps][WIDTH]`.
    ///
    /// # Safety
    /// Every piece with every tap must lie in the source, with `SLACK` values behind.
    #[inline(always)]
    unsafe fn gather<M: Machine>(
        &self,
        machine: M,
        to: &mut [f32],
        source: &[f32],
        taps: &[usize],
    ) {
        debug_assert!(
            to.len() >= taps.len() * M::WIDTH + SLACK,
            "room for the taps"
        );
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
    unsafe fn gather_even<M: Machine, const GRAIN: usize>(
        &self,
        to: &mut [f32],
        source: &[f32],
        taps: &[usize],
    ) {
        let mut to = to.as_mut_ptr();
        for tap in taps {
            for piece in &self.pieces {
                // SAFETY: pieces with taps lie in the source; a row of `to` has room for all pieces.
                unsafe {
                    let values = source
                        .as_ptr()
                        .add(piece.source + tap)
                        .cast::<[f32; GRAIN]>()
                        .read_unaligned();
                    to.add(piece.first)
                        .cast::<[f32; GRAIN]>()
                        .write_unaligned(values);
                }
            }
            // SAFETY: the next row, or the end.
            to = unsafe { to.add(M::WIDTH) };
        }
    }

    #[inline(always)]
    unsafe fn gather_uneven<M: Machine>(
        &self,
        machine: M,
        to: &mut [f32],
        source: &[f32],
        taps: &[usize],
    ) {
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
    unsafe fn scatter_even<const GRAIN: usize, const STEP: usize>(
        &self,
        results: &[f32],
        to: *mut f32,
    ) {
        for piece in &self.pieces {
            // SAFETY: as the caller promised; a piece has GRAIN results.
            unsafe {
                let values = results.as_ptr().add(piece.first).cast::<[f32; GRAIN]>();
                let to = to.add(piece.target + piece.length * STEP);
                if STEP == 1 {
                    to.cast::<[f32; GRAIN]>()
                        .write_unaligned(values.read_unaligned());
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
    pub(crate) fn apply<M: Machine>(&self, _: M, channel: usize, results: &mut [f32]) {
        let scale = self.scale.map(|values| values[channel]);
        let shift = self.shift.map(|values| values[channel]);
        // One pass over values that are in registers already counts: a tile of few terms is soon summed.
        for_each_kind!(self.activation, kind => match (scale, shift) {
            (None, None) if kind == Activation::Identity => {}
            (None, None) => {
                for value in results {
                    *value = kind.value(*value);
                }
            }
            (None, Some(shift)) => {
                for value in results {
                    *value = kind.value(*value + shift);
                }
            }
            (scale, shift) => {
                let (scale, shift) = (scale.unwrap_or(1.0), shift.unwrap_or(0.0));
                for value in results {
                    *value = kind.value(*value * scale + shift);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Padded;

    #[test]
    fn pictures_are_copied_where_a_vector_would_reach_over_their_end() {
        let weights = Packed::all(
            Level::Scalar,
            &[1.0; 9],
            Places {
                channels: 1,
                rows: 1,
                base: 0,
                channel_step: 9,
                row_step: 0,
            },
            &[(0..9).collect()],
        );
        let padded = Padded::new(1, [1, 8, 8], [0; 3], [1, 8, 8], 1);
        let values = vec![0.0; 64];
        let pictures = Pictures {
            padded: &padded,
            batch: 1,
            values: &values,
        };
        let stays = |width: usize| {
            let product = Product {
                weights: &weights[0],
                taps: &[],
                pixels: Pixels {
                    batch: 1,
                    size: [1, 6, width],
                    source_image: 64,
                    source_base: 0,
                    source_step: [64, 8, 1],
                    target_image: 6 * width,
                    target_base: 0,
                    target_step: [0, width, 1],
                },
                target_plane: 6 * width,
                start: None,
                finish: Finish {
                    scale: None,
                    shift: None,
                    activation: Activation::Identity,
                },
            };
            can_stay(&[product], pictures)
        };
        assert!(stays(4), "rows of whole pieces");
        assert!(!stays(6), "the last row's vector ends behind the picture");
    }
}
