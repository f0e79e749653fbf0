//! Pictures as the kernels read them: zeros around them, columns sorted by their place in the stride.

use rayon::prelude::*;

use crate::kernel::Run;
use crate::simd::{Level, Machine, Work, with};
use crate::workspace::Workspace;

/// How a picture is laid out with its zeros.
///
/// With a column stride of s, columns 0, s, 2s.. of a row come first, then 1, s+1.. and so on: then the
/// values that neighbouring results need lie side by side, whatever the stride.
#[derive(Clone, Debug)]
pub(crate) struct Padded {
    channels: usize,
    size: [usize; 3],
    before: [usize; 3],
    /// Depth, height and width with zeros.
    full: [usize; 3],
    phases: usize,
    /// Values of one phase of a row.
    part: usize,
}

/// Vectors are copied whole: what follows the last run's last value is read too, and never used.
pub(crate) const SLACK: usize = 64;

impl Padded {
    /// Pictures of `channels` channels of `size`, with `before` zeros before and room for `full` values.
    pub(crate) fn new(
        channels: usize,
        size: [usize; 3],
        before: [usize; 3],
        full: [usize; 3],
        phases: usize,
    ) -> Self {
        let part = full[2].div_ceil(phases);
        Self {
            channels,
            size,
            before,
            full,
            phases,
            part,
        }
    }

    fn row(&self) -> usize {
        self.part * self.phases
    }

    pub(crate) fn plane(&self) -> usize {
        self.full[0] * self.full[1] * self.row()
    }

    pub(crate) fn image(&self) -> usize {
        self.channels * self.plane()
    }

    /// Where the value at a place of the padded channel lies.
    pub(crate) fn offset(&self, [depth, height, width]: [usize; 3]) -> usize {
        (depth * self.full[1] + height) * self.row()
            + (width % self.phases) * self.part
            + width / self.phases
    }

    /// Whether a picture as it is already lies this way.
    pub(crate) fn is_plain(&self) -> bool {
        self.size == self.full && self.before == [0; 3] && self.phases == 1
    }

    /// The pictures laid out this way, with `SLACK` values behind them.
    pub(crate) fn copy(&self, batch: usize, values: &[f32]) -> Workspace {
        let level = Level::current();
        let (plane, size) = (self.plane(), self.size.iter().product::<usize>());
        let planes = batch * self.channels;
        let mut padded = Workspace::take(planes * plane + SLACK);
        padded[planes * plane..].fill(0.0);
        let (target, _) = padded.split_at_mut(planes * plane);
        let some = (65536 / plane.max(1)).max(1);
        target
            .par_chunks_mut(some * plane)
            .zip(values.par_chunks(some * size))
            .for_each(|(target, source)| {
                with(
                    level,
                    Planes {
                        padded: self,
                        target,
                        source,
                    },
                )
            });
        padded
    }

    /// Lays out some planes that lie one behind the other.
    #[inline(always)]
    pub(crate) fn copy_planes(&self, target: &mut [f32], source: &[f32]) {
        let (plane, size) = (self.plane(), self.size.iter().product::<usize>());
        for (target, source) in target
            .chunks_exact_mut(plane)
            .zip(source.chunks_exact(size))
        {
            if self.is_plain() {
                target.copy_from_slice(source);
            } else {
                self.copy_plane(target, source);
            }
        }
    }

    #[inline(always)]
    fn copy_plane(&self, target: &mut [f32], source: &[f32]) {
        let row = self.row();
        let slice = self.full[1] * row;
        let [depths, heights, widths] = self.size;
        let rows = self.before[1]..self.before[1] + heights;
        let plane = depths * heights * widths;
        for (depth, target) in target.chunks_exact_mut(slice).enumerate() {
            let Some(depth) = depth
                .checked_sub(self.before[0])
                .filter(|depth| *depth < depths)
            else {
                target.fill(0.0);
                continue;
            };
            target[..rows.start * row].fill(0.0);
            for height in 0..heights {
                let from = &source[(depth * heights + height) * widths..plane];
                let to = &mut target[(rows.start + height) * row..];
                self.copy_row(to, from);
            }
            target[rows.end * row..].fill(0.0);
        }
    }

    /// Lays out the row that both slices begin with. Reading and writing whole vectors
    /// over its end where the slices go on, and mending the ends, is four times faster than stopping at them.
    #[inline(always)]
    fn copy_row(&self, target: &mut [f32], source: &[f32]) {
        const LANES: usize = 16;
        let (before, count) = (self.before[2], self.size[2]);
        for phase in 0..self.phases {
            // Value i of this phase is column phase + i * phases of the padded row.
            let first = before.saturating_sub(phase).div_ceil(self.phases);
            let skipped = phase + first * self.phases - before;
            let values = count.saturating_sub(skipped).div_ceil(self.phases);
            let start = phase * self.part;
            for value in &mut target[start..start + first.min(self.part)] {
                *value = 0.0;
            }
            let vectors = values.div_ceil(LANES);
            let (reads, writes) = (
                skipped + vectors * LANES * self.phases,
                start + first + vectors * LANES,
            );
            if self.phases <= 2 && reads <= source.len() && writes <= target.len() {
                let to = &mut target[start + first..writes];
                if self.phases == 1 {
                    for (to, from) in to
                        .as_chunks_mut::<LANES>()
                        .0
                        .iter_mut()
                        .zip(source[skipped..].as_chunks::<LANES>().0)
                    {
                        *to = *from;
                    }
                } else {
                    let pairs = source[skipped..].as_chunks::<{ 2 * LANES }>().0;
                    for (to, from) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(pairs) {
                        *to = std::array::from_fn(|lane| from[2 * lane]);
                    }
                }
            } else if values > 0 {
                let from = source[skipped..count].iter().step_by(self.phases);
                for (to, from) in target[start + first..start + first + values]
                    .iter_mut()
                    .zip(from)
                {
                    *to = *from;
                }
            }
            for value in
                &mut target[(start + first + values).min(start + self.part)..start + self.part]
            {
                *value = 0.0;
            }
        }
    }
}

struct Planes<'a> {
    padded: &'a Padded,
    target: &'a mut [f32],
    source: &'a [f32],
}

impl Work for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self, _: M) {
        self.padded.copy_planes(self.target, self.source);
    }
}

/// Pictures and how the kernels want them laid out.
#[derive(Clone, Copy)]
pub(crate) struct Pictures<'a> {
    pub(crate) padded: &'a Padded,
    pub(crate) batch: usize,
    /// As they are.
    pub(crate) values: &'a [f32],
}

impl<'a> Pictures<'a> {
    /// The values of some of the pictures, as they are.
    pub(crate) fn part(&self, images: std::ops::Range<usize>) -> &'a [f32] {
        let size = self.padded.channels * self.padded.size.iter().product::<usize>();
        &self.values[images.start * size..images.end * size]
    }

    /// The values of some channels of one picture, as they are.
    pub(crate) fn planes(&self, image: usize, channels: std::ops::Range<usize>) -> &'a [f32] {
        let size = self.padded.size.iter().product::<usize>();
        let start = image * self.padded.channels;
        &self.values[(start + channels.start) * size..(start + channels.end) * size]
    }
}

/// Which pixels there are, where each reads and where it writes.
#[derive(Clone, Debug)]
pub(crate) struct Pixels {
    pub(crate) batch: usize,
    pub(crate) size: [usize; 3],
    /// Values from one picture to the next.
    pub(crate) source_image: usize,
    /// Where the first pixel reads, and how far the next ones of each axis are.
    pub(crate) source_base: usize,
    pub(crate) source_step: [usize; 3],
    pub(crate) target_image: usize,
    pub(crate) target_base: usize,
    pub(crate) target_step: [usize; 3],
}

impl Pixels {
    /// Pixels of one picture.
    pub(crate) fn each(&self) -> usize {
        self.size.iter().product()
    }

    pub(crate) fn count(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    /// The same pixels with fewer, longer rows where neighbouring rows lie side by side on both sides.
    pub(crate) fn merged(mut self) -> Self {
        for axis in [1, 0] {
            // The axis and all behind it are one row so far: size[2] holds that row.
            let follows = |step: &[usize; 3]| {
                step[2] == 1 && (self.size[axis] == 1 || step[axis] == self.size[2])
            };
            if !(follows(&self.source_step) && follows(&self.target_step)) {
                break;
            }
            self.size[2] *= self.size[axis];
            self.size[axis] = 1;
        }
        self
    }

    /// The runs of the pixels `first..first + count`, which may span rows and pictures.
    pub(crate) fn runs(&self, first: usize, count: usize, runs: &mut Vec<Run>) {
        runs.clear();
        let [depths, heights, widths] = self.size;
        let mut done = 0;
        while done < count {
            let number = first + done;
            let width = number % widths;
            let height = number / widths % heights;
            let depth = number / (widths * heights) % depths;
            let image = number / (widths * heights * depths);
            let length = (widths - width).min(count - done);
            let place = [depth, height, width];
            let dot = |step: &[usize; 3]| -> usize {
                step.iter().zip(&place).map(|(step, at)| step * at).sum()
            };
            runs.push(Run {
                source: image * self.source_image + self.source_base + dot(&self.source_step),
                target: image * self.target_image + self.target_base + dot(&self.target_step),
                first: done,
                length,
            });
            done += length;
        }
    }
}
