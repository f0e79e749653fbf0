//! The gradient of a weight: for each pair of channels and each place of the kernel, a sum over pixels.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::Correlation;
use crate::picture::{Pictures, Pixels};
use crate::simd::{Level, Machine, Work, with};
use crate::transposition::transpose;
use crate::workspace::{Shared, Workspace};

/// Pixels whose gradients stay in the first cache while all places of the kernel pass by.
const PIXELS: usize = 192;

/// Values of the sums that a task keeps in the second cache.
const SUMS: usize = 96 * 1024;

/// Values of the laid out pictures beside them.
const NEAR: usize = 96 * 1024;

/// `target[channel * step + k] = sum over pixels of picture[pixel + k's place] * gradient[channel, pixel]`, where
/// k counts the large picture's channels of the group and, inside each, the places of the kernel.
pub(crate) struct WeightSum<'a> {
    pub(crate) level: Level,
    pub(crate) pictures: Pictures<'a>,
    /// The large picture's channels of the group.
    pub(crate) large_channels: Range<usize>,
    /// Where the places of the kernel lie in a channel of the padded picture.
    pub(crate) kernel: &'a [usize],
    /// `source_*` tell where a pixel reads in a channel; `target_*` where its gradient lies.
    pub(crate) pixels: Pixels,
    /// Pictures of gradients.
    pub(crate) gradient: &'a [f32],
    /// Values from one channel of the gradient to the next.
    pub(crate) gradient_plane: usize,
    pub(crate) channels: usize,
    /// Values from one channel of the result to the next.
    pub(crate) target_step: usize,
}

struct FindShape;

/// The tile of a weight's gradient.
struct BandShape {
    vectors: usize,
    lanes: usize,
}

impl Work for FindShape {
    type Output = BandShape;

    fn run<M: Machine>(self, _: M) -> BandShape {
        BandShape {
            vectors: M::BAND,
            lanes: M::F32_LANES,
        }
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
        let terms = self.large_channels.len() * self.kernel.len();
        assert!(
            self.channels == 0 || target.len() >= (self.channels - 1) * self.target_step + terms,
            "a weight too small for its gradient"
        );
        let BandShape { vectors, lanes } = with(self.level, FindShape);
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
        // A task takes some channels of the picture, whose sums stay in the second cache; where there are
        // few, the bands are divided too.
        let threads = rayon::current_num_threads();
        let wanted = if threads == 1 { 1 } else { threads * 4 };
        let present = self.large_channels.len();
        let sums = self.kernel.len() * all * lanes;
        let together = (SUMS / sums.max(1)).clamp(1, present.div_ceil(wanted).max(1));
        let shares = wanted
            .div_ceil(present.div_ceil(together))
            .clamp(1, bands.len());
        let share = bands.len().div_ceil(shares);
        let target = Shared::new(target);
        let mut tasks = Vec::new();
        for first in self.large_channels.clone().step_by(together) {
            for bands in bands.chunks(share) {
                tasks.push(Task {
                    sum: self,
                    bands,
                    large: first..(first + together).min(self.large_channels.end),
                    packed: &packed,
                    target,
                });
            }
        }
        tasks
            .into_par_iter()
            .for_each(|task| with(self.level, task));
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
    fn run<M: Machine>(self, machine: M) {
        let Self {
            sum,
            band,
            first,
            runs,
            target,
        } = self;
        for run in runs {
            // SAFETY: the places written are this chunk's own: `width` values for each of its pixels.
            let to = unsafe {
                let start = band.start + (first + run.first) * band.width;
                std::slice::from_raw_parts_mut(target.get().add(start), run.length * band.width)
            };
            if band.channels < band.width {
                to.fill(0.0);
            }
            let start = run.target + band.first * sum.gradient_plane;
            let end = start + (band.channels - 1) * sum.gradient_plane + run.length;
            let from = &sum.gradient[start..end];
            // SAFETY: the slice reaches to the end of the run in the last channel; `to` has its pixels.
            unsafe {
                transpose(
                    machine,
                    (from.as_ptr(), sum.gradient_plane),
                    (to.as_mut_ptr(), band.width),
                    [band.channels, run.length],
                );
            }
        }
    }
}

struct Task<'a> {
    sum: &'a WeightSum<'a>,
    bands: &'a [Band],
    large: Range<usize>,
    packed: &'a [f32],
    target: Shared,
}

impl Work for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, machine: M) {
        let Self {
            sum,
            bands,
            large,
            packed,
            target,
        } = self;
        let (padded, batch) = (sum.pictures.padded, sum.pictures.batch);
        let plane = padded.plane();
        let image = large.len() * plane;
        let taps: Vec<usize> = (0..large.len())
            .flat_map(|channel| sum.kernel.iter().map(move |place| channel * plane + place))
            .collect();
        let rows = taps.len().next_multiple_of(M::TAPS);
        let width: usize = bands.iter().map(|band| band.width).sum();
        let each = sum.pixels.each();
        // The sums are divided by the geometry alone, so that they do not depend on the number of threads:
        // pieces of a picture, or some whole ones. The task lays out so many at once that they stay near.
        let (pieces, whole) = match each.div_ceil(PIXELS) {
            1 => (1, (PIXELS / each).max(1)),
            pieces => (pieces, 1),
        };
        let together = (NEAR / image.max(1)).clamp(1, batch.max(1));
        let together = together.next_multiple_of(whole);
        let mut scratch = Workspace::of_thread(rows * width + together * image);
        let (sums, near) = scratch.split_at_mut(rows * width);
        sums.fill(0.0);
        let pixels = Pixels {
            source_image: image,
            source_base: 0,
            ..sum.pixels.clone()
        };
        let mut runs = Vec::new();
        for first in (0..batch).step_by(together) {
            let images = first..(first + together).min(batch);
            for (number, near) in images.clone().zip(near.chunks_exact_mut(image)) {
                padded.copy_planes(near, sum.pictures.planes(number, large.clone()));
            }
            let step = whole * each.div_ceil(pieces);
            let starts = images.clone().step_by(whole).flat_map(|image| {
                let end = (image + whole).min(images.end) * each;
                (image * each..end)
                    .step_by(step)
                    .map(move |start| (start, (start + step).min(end)))
            });
            for (start, end) in starts {
                pixels.runs(start, end - start, &mut runs);
                for run in &mut runs {
                    run.source -= images.start * image;
                }
                let mut sums = &mut *sums;
                for band in bands {
                    let lanes =
                        &packed[band.start + start * band.width..band.start + end * band.width];
                    let (of_band, others) = sums.split_at_mut(rows * band.width);
                    sums = others;
                    for (taps, sums) in taps
                        .chunks(M::TAPS)
                        .zip(of_band.chunks_exact_mut(M::TAPS * band.width))
                    {
                        let correlation = Correlation {
                            runs: &runs,
                            source: near.as_ptr(),
                            taps,
                            lanes: lanes.as_ptr(),
                            width: band.width,
                            results: sums.as_mut_ptr(),
                        };
                        // SAFETY: runs and taps lie in the pictures laid out; `lanes` holds their pixels.
                        unsafe { correlation.add(machine) };
                    }
                }
            }
        }
        let begin = (large.start - sum.large_channels.start) * sum.kernel.len();
        let mut sums = &*sums;
        for band in bands {
            let (of_band, others) = sums.split_at(rows * band.width);
            sums = others;
            let start = band.first * sum.target_step + begin;
            // SAFETY: the task alone writes these channels' values of these taps; `write` checked the size.
            unsafe {
                transpose(
                    machine,
                    (of_band.as_ptr(), band.width),
                    (target.get().add(start), sum.target_step),
                    [taps.len(), band.channels],
                );
            }
        }
    }
}
