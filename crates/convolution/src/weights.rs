//! The gradient of a weight: for each pair of channels and each place of the kernel, a sum over pixels.

use rayon::prelude::*;

use crate::kernel::Correlation;
use crate::picture::Pixels;
use crate::simd::{Level, Machine, Work, with};
use crate::workspace::{Shared, Workspace};

/// Pixels whose gradients stay in the first cache while all places of the kernel pass by.
const PIXELS: usize = 192;

/// `target[channel * step + places[k]] = sum over pixels of source[pixel + taps[k]] * gradient[channel, pixel]`.
pub(crate) struct WeightSum<'a> {
    pub(crate) level: Level,
    /// Padded pictures.
    pub(crate) source: &'a [f32],
    /// `source_*` tell where a pixel reads; `target_*` where its gradient lies.
    pub(crate) pixels: Pixels,
    pub(crate) taps: &'a [usize],
    /// Pictures of gradients.
    pub(crate) gradient: &'a [f32],
    /// Values from one channel of the gradient to the next.
    pub(crate) gradient_plane: usize,
    pub(crate) channels: usize,
    /// Values from one channel of the result to the next; k is beside k + 1.
    pub(crate) target_step: usize,
}

struct FindShape;

/// The tile of a weight's gradient.
struct BandShape {
    rows: usize,
    vectors: usize,
    lanes: usize,
}

impl Work for FindShape {
    type Output = BandShape;

    fn run<M: Machine>(self, _: M) -> BandShape {
        BandShape { rows: M::TAPS, vectors: M::BAND, lanes: M::F32_LANES }
    }
}

/// Some channels whose values of one pixel lie side by side.
#[derive(Clone, Copy)]
struct Band {
    first: usize,
    channels: usize,
    width: usize,
    /// Where its values begin.
    start: usize,
}

impl WeightSum<'_> {
    /// Writes the gradient of the weight into `target`.
    pub(crate) fn write(&self, target: &mut [f32]) {
        assert!(
            self.channels == 0
                || target.len() >= (self.channels - 1) * self.target_step + self.taps.len()
        );
        let BandShape { rows, vectors, lanes } = with(self.level, FindShape);
        let count = self.pixels.count();
        // Bands of equal width: three vectors and one would leave the last band waiting for memory.
        let all = self.channels.div_ceil(lanes);
        let number = all.div_ceil(vectors);
        let mut bands = Vec::new();
        let mut used = 0;
        for band in 0..number {
            let width = all / number + usize::from(band < all % number);
            let first = used * lanes;
            let start = first * count;
            bands.push(Band {
                first,
                channels: (width * lanes).min(self.channels - first),
                width: width * lanes,
                start,
            });
            used += width;
        }
        let packed = self.pack(&bands, all * lanes * count);
        let blocks = self.taps.len().div_ceil(rows);
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { threads * 4 };
        let shares = wanted.div_ceil(bands.len()).clamp(1, blocks);
        // A task's sums stay in the second cache.
        let share = blocks.div_ceil(shares).min(96);
        let shares = blocks.div_ceil(share);
        let target = Shared::new(target);
        (0..bands.len() * shares)
            .into_par_iter()
            .for_each(|number| {
                let (band, of) = (bands[number / shares], number % shares);
                let taps = of * share * rows..((of + 1) * share * rows).min(self.taps.len());
                let task = Task {
                    sum: self,
                    band,
                    taps,
                    packed: &packed[band.start..],
                    target,
                };
                with(self.level, task);
            });
    }

    /// The gradients with the channels of a band side by side: `[band][pixel][width]`.
    fn pack(&self, bands: &[Band], length: usize) -> Workspace {
        let mut packed = Workspace::take(length);
        let count = self.pixels.count();
        let target = Shared::new(&mut packed);
        let chunk = 512;
        let chunks = count.div_ceil(chunk);
        (0..bands.len() * chunks)
            .into_par_iter()
            .for_each(|number| {
                let (band, chunk_number) = (bands[number / chunks], number % chunks);
                let first = chunk_number * chunk;
                let mut runs = Vec::new();
                self.pixels.runs(first, chunk.min(count - first), &mut runs);
                let pack = Pack {
                    sum: self,
                    band,
                    first,
                    runs: &runs,
                    target,
                };
                with(self.level, pack);
            });
        packed
    }
}

struct Pack<'a> {
    sum: &'a WeightSum<'a>,
    band: Band,
    first: usize,
    runs: &'a [crate::kernel::Run],
    target: Shared,
}

impl Work for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        let Self {
            sum,
            band,
            first,
            runs,
            target,
        } = self;
        for run in runs {
            // SAFETY: a run's values lie in the gradient, by how the pixels were made (the slices check it);
            // the places written are this chunk's own: `width` values for each of its pixels.
            let to = unsafe {
                let start = band.start + (first + run.first) * band.width;
                std::slice::from_raw_parts_mut(target.get().add(start), run.length * band.width)
            };
            let line = |channel: usize| {
                let start = run.target + (band.first + channel) * sum.gradient_plane;
                &sum.gradient[start..start + run.length]
            };
            if band.channels < band.width {
                to.fill(0.0);
            }
            let mut channel = 0;
            // Eight channels at a time: a line of the cache is filled in two strokes.
            while channel + 8 <= band.channels {
                let lines: [&[f32]; 8] = std::array::from_fn(|more| line(channel + more));
                for (pixel, to) in to.chunks_exact_mut(band.width).enumerate() {
                    let to = &mut to[channel..channel + 8];
                    for (to, line) in to.iter_mut().zip(&lines) {
                        *to = line[pixel];
                    }
                }
                channel += 8;
            }
            for channel in channel..band.channels {
                let line = line(channel);
                for (to, value) in to.chunks_exact_mut(band.width).zip(line) {
                    to[channel] = *value;
                }
            }
        }
    }
}

struct Task<'a> {
    sum: &'a WeightSum<'a>,
    band: Band,
    taps: std::ops::Range<usize>,
    packed: &'a [f32],
    target: Shared,
}

impl Work for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            sum,
            band,
            taps,
            packed,
            target,
        } = self;
        let mut sums = Workspace::take(taps.len().next_multiple_of(M::TAPS) * band.width);
        sums.fill(0.0);
        let count = sum.pixels.count();
        let mut runs = Vec::new();
        for first in (0..count).step_by(PIXELS) {
            sum.pixels.runs(first, PIXELS.min(count - first), &mut runs);
            let lanes = &packed[first * band.width..(first + PIXELS).min(count) * band.width];
            for (taps, sums) in sum.taps[taps.clone()]
                .chunks(M::TAPS)
                .zip(sums.chunks_exact_mut(M::TAPS * band.width))
            {
                let correlation = Correlation {
                    runs: &runs,
                    source: sum.source.as_ptr(),
                    taps,
                    lanes: lanes.as_ptr(),
                    width: band.width,
                    results: sums.as_mut_ptr(),
                };
                // SAFETY: runs and taps were made for this source; `lanes` holds the chunk's pixels.
                unsafe { correlation.add(machine) };
            }
        }
        for channel in 0..band.channels {
            let start = (band.first + channel) * sum.target_step + taps.start;
            // SAFETY: the task alone writes these channels' values of these taps; `write` checked the size.
            let to = unsafe { std::slice::from_raw_parts_mut(target.get().add(start), taps.len()) };
            for (to, sums) in to.iter_mut().zip(sums.chunks_exact(band.width)) {
                *to = sums[channel];
            }
        }
    }
}
