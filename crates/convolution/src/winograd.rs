//! Convolutions of 3 x 3 with stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3) (Lavin and Gray 2015,
//! <https://arxiv.org/abs/1509.09308>): 16 products a channel for four pixels instead of 36.
//!
//! Pictures are cut into tiles of 4 x 4 that overlap by two; each tile and each kernel is transformed; the 16
//! places of the transforms are 16 independent products of matrices; their results are transformed back. The
//! numbers differ from a plain sum's in the last places only: the transforms add and halve.

use std::ops::Range;

use rayon::prelude::*;

use crate::geometry::Geometry;
use crate::kernel::Tile;
use crate::multiply::{Finish, tile_of};
use crate::simd::{Level, Machine, Work, with};
use crate::workspace::{Shared, Workspace};

/// Places of a transformed tile.
const PLACES: usize = 16;
/// Lanes that the plain loops take at once, so that the compiler makes whole vectors of them.
const CHUNK: usize = 16;
/// Most tiles of a panel, rounded up to whole chunks, and one more.
const ROOM: usize = 64 + CHUNK;

/// Whether a convolution is of this kind, and large enough that the transforms are worth their time. The number
/// of pictures has no say in it: a picture's result must not depend on the others beside it.
pub(crate) fn suits(geometry: &Geometry) -> bool {
    let tiles: usize = tiles_of(geometry).iter().product();
    geometry.kernel == [1, 3, 3]
        && geometry.stride == [1; 3]
        && geometry.dilation == [1; 3]
        && geometry.padding[0] == (0, 0)
        && geometry.large[0] == 1
        && geometry.groups == 1
        && geometry.large_channels >= 24
        && geometry.small_channels >= 24
        && tiles >= 36
}

/// The convolution that a transposed one with stride 1 is, where it is of this kind: from small to large, with
/// the kernels turned by half a turn.
pub(crate) fn mirrored(geometry: &Geometry) -> Option<Geometry> {
    let rest = |axis: usize| {
        let (before, after) = geometry.padding[axis];
        Some((2usize.checked_sub(before)?, 2usize.checked_sub(after)?))
    };
    let padding = [(0, 0), rest(1)?, rest(2)?];
    let mirrored = Geometry {
        large_channels: geometry.small_channels,
        small_channels: geometry.large_channels,
        large: geometry.small,
        small: geometry.large,
        padding,
        ..geometry.clone()
    };
    let is_whole = geometry.padding[0] == (0, 0)
        && (1..3).all(|axis| {
            let (before, after) = padding[axis];
            geometry.small[axis] + before + after == geometry.large[axis] + 2
        });
    (is_whole && suits(&mirrored)).then_some(mirrored)
}

/// The kernels of [`mirrored`]: channels change places, and each kernel is read backwards.
pub(crate) fn mirrored_weight(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let (from, to) = (geometry.small_channels, geometry.large_channels);
    let mut turned = vec![0.0; weight.len()];
    for (place, kernel) in turned.as_chunks_mut::<9>().0.iter_mut().enumerate() {
        let (outer, inner) = (place / from, place % from);
        let first = (inner * to + outer) * 9;
        for (value, other) in kernel.iter_mut().zip(weight[first..first + 9].iter().rev()) {
            *value = *other;
        }
    }
    turned
}

/// Rows and columns of tiles of a picture.
fn tiles_of(geometry: &Geometry) -> [usize; 2] {
    [geometry.small[1].div_ceil(2), geometry.small[2].div_ceil(2)]
}

/// The convolution, then `activation(scale * sum + shift)`, into `small`.
///
/// The lengths must be those of the geometry, which must be one that [`suits`].
pub(crate) fn convolve(
    level: Level,
    geometry: &Geometry,
    large: &[f32],
    weight: &[f32],
    finish: Finish<'_>,
    small: &mut [f32],
) {
    assert!(suits(geometry), "a 3 x 3 convolution with stride 1");
    assert!(
        large.len() == geometry.large_length()
            && weight.len() == geometry.weight_length()
            && small.len() == geometry.small_length(),
        "lengths of {geometry:?}"
    );
    let (rows, vectors, lanes) = tile_of(level);
    let width = vectors * lanes;
    assert!(width + CHUNK <= ROOM, "room for a panel of {width} tiles");
    let kernels = Kernels::new(geometry, weight, rows);
    let tiles = geometry.batch * tiles_of(geometry).iter().product::<usize>();
    let target = Shared::new(small);
    (0..tiles.div_ceil(width))
        .into_par_iter()
        .for_each(|panel| {
            let tiles = panel * width..((panel + 1) * width).min(tiles);
            with(
                level,
                Panel {
                    geometry,
                    large,
                    kernels: &kernels,
                    finish,
                    target,
                    tiles,
                },
            );
        });
}

/// Transformed kernels as the products read them: `[place][block][large channel][row]`.
struct Kernels {
    values: Workspace,
    blocks: usize,
    depth: usize,
    rows: usize,
}

impl Kernels {
    fn new(geometry: &Geometry, weight: &[f32], rows: usize) -> Self {
        let (depth, channels) = (geometry.large_channels, geometry.small_channels);
        let blocks = channels.div_ceil(rows);
        let mut values = Workspace::take(PLACES * blocks * depth * rows);
        let target = Shared::new(&mut values);
        (0..blocks).into_par_iter().for_each(|block| {
            for row in 0..rows {
                let channel = block * rows + row;
                for inner in 0..depth {
                    let transformed = if channel < channels {
                        let first = (channel * depth + inner) * 9;
                        let kernel = weight[first..first + 9].first_chunk::<9>();
                        kernel.map_or([0.0; PLACES], transformed_kernel)
                    } else {
                        [0.0; PLACES]
                    };
                    for (place, value) in transformed.into_iter().enumerate() {
                        let at = ((place * blocks + block) * depth + inner) * rows + row;
                        // SAFETY: `at` lies in the values, and belongs to this block alone.
                        unsafe { *target.get().add(at) = value };
                    }
                }
            }
        });
        Self {
            values,
            blocks,
            depth,
            rows,
        }
    }

    fn part(&self, place: usize, block: usize) -> &[f32] {
        let each = self.depth * self.rows;
        let first = (place * self.blocks + block) * each;
        &self.values[first..first + each]
    }
}

/// `G g G^T` with the rows `1 0 0`, `1/2 1/2 1/2`, `1/2 -1/2 1/2`, `0 0 1` of G.
fn transformed_kernel(kernel: &[f32; 9]) -> [f32; PLACES] {
    let along = |a: f32, b: f32, c: f32| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let lines: [[f32; 4]; 3] =
        std::array::from_fn(|row| along(kernel[row * 3], kernel[row * 3 + 1], kernel[row * 3 + 2]));
    let mut all = [0.0; PLACES];
    for column in 0..4 {
        let down = along(lines[0][column], lines[1][column], lines[2][column]);
        for (row, value) in down.into_iter().enumerate() {
            all[row * 4 + column] = value;
        }
    }
    all
}

/// Tiles that lie side by side in one row of tiles of one picture.
#[derive(Clone, Copy)]
struct Stretch {
    image: usize,
    row: usize,
    column: usize,
    /// The first one's number in the panel.
    first: usize,
    length: usize,
}

/// Some tiles of all channels: one task.
struct Panel<'a> {
    geometry: &'a Geometry,
    large: &'a [f32],
    kernels: &'a Kernels,
    finish: Finish<'a>,
    target: Shared,
    tiles: Range<usize>,
}

impl Work for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            geometry,
            large,
            kernels,
            finish,
            target,
            tiles,
        } = self;
        let depth = kernels.depth;
        // A stretch's last vector may reach over the panel's end: into the next channel, which is written
        // later, or into the room behind the last one.
        let plane = depth * M::WIDTH + CHUNK;
        let result = M::ROWS * M::WIDTH;
        let mut scratch = Workspace::of_thread(PLACES * plane + PLACES * kernels.blocks * result);
        let (panels, results) = scratch.split_at_mut(PLACES * plane);
        let mut stretches = [Stretch {
            image: 0,
            row: 0,
            column: 0,
            first: 0,
            length: 0,
        }; ROOM];
        let count = stretches_of(geometry, tiles.clone(), &mut stretches);
        let stretches = &stretches[..count];
        for channel in 0..depth {
            for stretch in stretches {
                let to = channel * M::WIDTH + stretch.first;
                transform_tiles(geometry, large, channel, stretch, plane, &mut panels[to..]);
            }
        }
        let present = tiles.len();
        let vectors = present.div_ceil(M::F32_LANES);
        let channels = geometry.small_channels;
        for place in 0..PLACES {
            let right = &panels[place * plane..place * plane + depth * M::WIDTH];
            for block in 0..kernels.blocks {
                let left = kernels.part(place, block);
                let at = (block * PLACES + place) * result;
                let rows = M::ROWS.min(channels - block * M::ROWS);
                let sums = Tile {
                    depth,
                    left: left.as_ptr(),
                    right: right.as_ptr(),
                    results: results[at..at + result].as_mut_ptr(),
                    continued: false,
                };
                // SAFETY: `left` has depth * ROWS values, `right` depth * WIDTH, `results` a tile.
                unsafe { sums.add(machine, vectors, rows) };
            }
        }
        for channel in 0..channels {
            let (block, row) = (channel / M::ROWS, channel % M::ROWS);
            let from = &results[block * PLACES * result..(block + 1) * PLACES * result];
            let mut lines = [[0.0f32; 2 * ROOM]; 2];
            transform_back::<M>(&from[row * M::WIDTH..], present, &mut lines);
            for line in &mut lines {
                finish.apply(machine, channel, &mut line[..2 * present]);
            }
            for stretch in stretches {
                // SAFETY: the tiles' pixels are this task's own.
                unsafe { write_tiles(geometry, channel, stretch, &lines, target) };
            }
        }
    }
}

/// Cuts some tiles into stretches of one row each, and gives their number.
#[inline(always)]
fn stretches_of(
    geometry: &Geometry,
    tiles: Range<usize>,
    stretches: &mut [Stretch; ROOM],
) -> usize {
    let [rows, columns] = tiles_of(geometry);
    let mut count = 0;
    let mut tile = tiles.start;
    while tile < tiles.end {
        let (line, column) = (tile / columns, tile % columns);
        let length = (columns - column).min(tiles.end - tile);
        stretches[count] = Stretch {
            image: line / rows,
            row: line % rows,
            column,
            first: tile - tiles.start,
            length,
        };
        count += 1;
        tile += length;
    }
    count
}

/// Writes `B^T d B` of the tiles of a stretch, each place of the transform into its own plane of `to`, in whole
/// chunks. The rows of `B^T` are `1 0 -1 0`, `0 1 1 0`, `0 -1 1 0`, `0 1 0 -1`.
#[expect(
    clippy::needless_range_loop,
    reason = "one lane of several arrays at a time: the loop becomes vectors"
)]
#[inline(always)]
fn transform_tiles(
    geometry: &Geometry,
    large: &[f32],
    channel: usize,
    stretch: &Stretch,
    plane: usize,
    to: &mut [f32],
) {
    let [_, height, width] = geometry.large;
    let picture = (stretch.image * geometry.large_channels + channel) * height * width;
    let (top, left) = (geometry.padding[1].0, geometry.padding[2].0);
    let chunks = stretch.length.div_ceil(CHUNK);
    // The even and the odd columns of each of the four rows.
    let mut even = [[0.0f32; ROOM]; 4];
    let mut odd = [[0.0f32; ROOM]; 4];
    for (row, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
        let Some(y) = (2 * stretch.row + row)
            .checked_sub(top)
            .filter(|y| *y < height)
        else {
            continue;
        };
        let line = &large[picture + y * width..picture + (y + 1) * width];
        let mut values = [0.0f32; 2 * ROOM];
        let begin = 2 * stretch.column;
        // Columns before the picture are zeros, and so are those behind it.
        let skip = left.saturating_sub(begin);
        let from = (begin + skip).saturating_sub(left).min(width);
        let wanted = (2 * stretch.length + 2).saturating_sub(skip);
        let line = &line[from..(from + wanted).min(width)];
        values[skip..skip + line.len()].copy_from_slice(line);
        for chunk in 0..chunks + 1 {
            let first = chunk * CHUNK;
            for lane in 0..CHUNK {
                even[first + lane] = values[2 * (first + lane)];
                odd[first + lane] = values[2 * (first + lane) + 1];
            }
        }
    }
    for chunk in 0..chunks {
        let first = chunk * CHUNK;
        let mut across = [[[0.0f32; CHUNK]; 4]; 4];
        for row in 0..4 {
            let at = |values: &[f32; ROOM], lane: usize| values[first + lane];
            for lane in 0..CHUNK {
                let (a, b) = (at(&even[row], lane), at(&odd[row], lane));
                let (c, d) = (at(&even[row], lane + 1), at(&odd[row], lane + 1));
                across[0][row][lane] = a - c;
                across[1][row][lane] = b + c;
                across[2][row][lane] = c - b;
                across[3][row][lane] = b - d;
            }
        }
        for (column, rows) in across.iter().enumerate() {
            let mut down = [[0.0f32; CHUNK]; 4];
            for lane in 0..CHUNK {
                down[0][lane] = rows[0][lane] - rows[2][lane];
                down[1][lane] = rows[1][lane] + rows[2][lane];
                down[2][lane] = rows[2][lane] - rows[1][lane];
                down[3][lane] = rows[1][lane] - rows[3][lane];
            }
            for (row, values) in down.iter().enumerate() {
                let at = (row * 4 + column) * plane + first;
                to[at..at + CHUNK].copy_from_slice(values);
            }
        }
    }
}

/// `A^T m A` of the tiles of one channel: the two rows of pixels of each, side by side. The rows of `A^T` are
/// `1 1 1 0` and `0 1 -1 -1`.
#[expect(
    clippy::needless_range_loop,
    reason = "one lane of several arrays at a time: the loop becomes vectors"
)]
#[inline(always)]
fn transform_back<M: Machine>(from: &[f32], present: usize, lines: &mut [[f32; 2 * ROOM]; 2]) {
    let tile = M::ROWS * M::WIDTH;
    let step = CHUNK.min(M::WIDTH);
    for first in (0..present).step_by(step) {
        let mut places = [[0.0f32; CHUNK]; PLACES];
        for (place, values) in places.iter_mut().enumerate() {
            let at = place * tile + first;
            values[..step].copy_from_slice(&from[at..at + step]);
        }
        // [column of the result][row of the transform]
        let mut along = [[[0.0f32; CHUNK]; 4]; 2];
        for row in 0..4 {
            for lane in 0..CHUNK {
                let value = |column: usize| places[row * 4 + column][lane];
                along[0][row][lane] = value(0) + value(1) + value(2);
                along[1][row][lane] = value(1) - value(2) - value(3);
            }
        }
        for (column, rows) in along.iter().enumerate() {
            for lane in 0..CHUNK {
                let at = 2 * (first + lane) + column;
                lines[0][at] = rows[0][lane] + rows[1][lane] + rows[2][lane];
                lines[1][at] = rows[1][lane] - rows[2][lane] - rows[3][lane];
            }
        }
    }
}

/// Writes the pixels of a stretch that lie in the picture.
///
/// # Safety
/// The target must have room for all pictures, and nobody else may write these pixels.
#[inline(always)]
unsafe fn write_tiles(
    geometry: &Geometry,
    channel: usize,
    stretch: &Stretch,
    lines: &[[f32; 2 * ROOM]; 2],
    target: Shared,
) {
    let [_, height, width] = geometry.small;
    let picture = (stretch.image * geometry.small_channels + channel) * height * width;
    let column = 2 * stretch.column;
    let length = (2 * stretch.length).min(width - column);
    for (row, line) in lines.iter().enumerate() {
        let y = 2 * stretch.row + row;
        if y >= height {
            continue;
        }
        let values = &line[2 * stretch.first..2 * stretch.first + length];
        // SAFETY: the row has `length` pixels from here on, as the caller promised.
        unsafe {
            let to = target.get().add(picture + y * width + column);
            std::slice::from_raw_parts_mut(to, length).copy_from_slice(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    fn nothing() -> Finish<'static> {
        Finish {
            scale: None,
            shift: None,
            activation: Activation::Identity,
        }
    }

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f32 / (1u64 << 30) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn every_level_gives_what_plain_sums_give() {
        for (batch, from, to, size, padding) in [
            (2, 24, 24, [12, 12], [(1, 1), (1, 1)]),
            (1, 27, 33, [35, 17], [(0, 0), (0, 0)]),
            (3, 25, 26, [19, 14], [(1, 0), (2, 1)]),
            (1, 24, 40, [3, 150], [(1, 1), (0, 2)]),
            (9, 30, 24, [13, 13], [(2, 2), (2, 2)]),
        ] {
            let large = [1, size[0], size[1]];
            let padding = [(0, 0), padding[0], padding[1]];
            let small = Geometry::convolved(large, [1, 3, 3], [1; 3], padding, [1; 3]).unwrap();
            let geometry = Geometry {
                batch,
                large_channels: from,
                small_channels: to,
                large,
                small,
                kernel: [1, 3, 3],
                stride: [1; 3],
                padding,
                dilation: [1; 3],
                groups: 1,
            };
            assert!(suits(&geometry), "{geometry:?}");
            let pictures = numbers(geometry.large_length(), 1);
            let weight = numbers(geometry.weight_length(), 2);
            let mut expected = vec![0.0f64; geometry.small_length()];
            for (place, value) in expected.iter_mut().enumerate() {
                let (x, rest) = (place % small[2], place / small[2]);
                let (y, rest) = (rest % small[1], rest / small[1]);
                let (channel, image) = (rest % to, rest / to);
                for inner in 0..from {
                    for row in 0..3 {
                        for column in 0..3 {
                            let source = (y + row)
                                .checked_sub(padding[1].0)
                                .zip((x + column).checked_sub(padding[2].0))
                                .filter(|(y, x)| *y < size[0] && *x < size[1]);
                            if let Some((y, x)) = source {
                                let at = ((image * from + inner) * size[0] + y) * size[1] + x;
                                let kernel = ((channel * from + inner) * 3 + row) * 3 + column;
                                *value += f64::from(pictures[at]) * f64::from(weight[kernel]);
                            }
                        }
                    }
                }
            }
            // The other way round, by the definition of a transpose: <convolve(x), y> = <x, transpose(y)>.
            let back = numbers(geometry.small_length(), 3);
            if let Some(mirrored) = mirrored(&geometry) {
                let weight = mirrored_weight(&geometry, &weight);
                let mut large = vec![f32::NAN; geometry.large_length()];
                convolve(
                    Level::current(),
                    &mirrored,
                    &back,
                    &weight,
                    nothing(),
                    &mut large,
                );
                let product = |a: &[f32], b: &[f64]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum()
                };
                let wide: Vec<f64> = large.iter().map(|value| f64::from(*value)).collect();
                let (forward, backward) = (product(&back, &expected), product(&pictures, &wide));
                assert!(
                    (forward - backward).abs() < 1e-2,
                    "{forward} {backward} {geometry:?}"
                );
            }
            for level in Level::available() {
                let mut ours = vec![f32::NAN; geometry.small_length()];
                convolve(level, &geometry, &pictures, &weight, nothing(), &mut ours);
                for (place, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
                    assert!(
                        (f64::from(*ours) - expected).abs() < 2e-5,
                        "{level:?} {geometry:?}: value {place} is {ours} instead of {expected}"
                    );
                }
            }
        }
    }
}
