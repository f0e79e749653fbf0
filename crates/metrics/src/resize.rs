//! Pre-processing of the reference tools: a picture becomes the network's input, to the tool's digits.
//!
//! A metric of Inception features depends on the resizing before it more than on most else (Parmar, Zhang and
//! Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022). Each mode of [`Resize`]
//! repeats one tool, operation by operation, with the tool's rounding: float32 where it has float32, fused
//! multiplications where PyTorch 2.9 on a processor with AVX2 or AVX-512 fuses them, float64 where Pillow 13
//! has float64. The results are those of the tool on such a processor, bit for bit. On other processors,
//! graphics cards and versions the tools differ from themselves by up to 1e-6 of the range, bilinear
//! resizing by PyTorch by up to 1e-4 for large pictures.

use crate::decode::Picture;
use pulp::{Arch, Simd, WithSimd};
use std::collections::HashMap;
use std::ops::{Add, Div, Mul};

/// Side of the Inception network's input, in pixels.
pub const INCEPTION_SIDE: usize = 299;
/// Tables that are kept before all are made anew: a table for each side length among the pictures.
const MOST_TABLES: usize = 128;

/// Whose pre-processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resize {
    /// pytorch-fid 0.3.0: `F.interpolate`, bilinear, half-pixel centres, no antialiasing, on values / 255;
    /// then `2 x - 1`. PyTorch has two kernels for it; this is the one of more than one thread.
    TorchBilinear,
    /// torch-fidelity 0.4.0, and torchmetrics 1.9.0 with `antialias=False`: the bilinear resizing of
    /// TensorFlow 1, whose centres are off by half a pixel; then `(x - 128) / 128`.
    TensorFlowBilinear,
    /// torchmetrics 1.9.0: `F.interpolate`, bilinear with antialiasing; then `(x - 128) / 128`.
    TorchAntialias,
    /// clean-fid 0.1.35 `clean`: Pillow's antialiased bicubic (a = -0.5) in floats, clipped to 0..255, not
    /// rounded; then `(x - 128) / 128`.
    PillowBicubic,
    /// clean-fid 0.1.35 `legacy_tensorflow`: TensorFlow 1's resizing by way of `affine_grid` and `grid_sample`,
    /// as NVIDIA's network file does it; then `(x - 128) / 128`.
    CleanLegacyTensorflow,
    /// clean-fid 0.1.35 `legacy_pytorch`: as pytorch-fid, but on 0..255, divided by 255 after the resizing,
    /// and by PyTorch's kernel of one thread, which is what a worker of a data loader has.
    CleanLegacyPytorch,
}

impl Resize {
    /// Every mode.
    pub const ALL: [Self; 6] = [
        Self::TorchBilinear,
        Self::TensorFlowBilinear,
        Self::TorchAntialias,
        Self::PillowBicubic,
        Self::CleanLegacyTensorflow,
        Self::CleanLegacyPytorch,
    ];

    /// A short name, for messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchBilinear => "torch-bilinear",
            Self::TensorFlowBilinear => "tensorflow-bilinear",
            Self::TorchAntialias => "torch-antialias",
            Self::PillowBicubic => "pillow-bicubic",
            Self::CleanLegacyTensorflow => "clean-legacy-tensorflow",
            Self::CleanLegacyPytorch => "clean-legacy-pytorch",
        }
    }
}

/// Resizes pictures of any size to one size.
///
/// It keeps tables of weights and its working memory, so one is made for each thread and used again.
#[derive(Debug)]
pub struct Resizer {
    mode: Resize,
    width: usize,
    height: usize,
    arch: Arch,
    kernel: Kernel,
}

/// One of three ways to compute, with its tables and memory.
#[derive(Debug)]
enum Kernel {
    /// Four pixels for each result.
    Pairs {
        tables: HashMap<Sides, Pairs>,
        gathered: Vec<f32>,
    },
    /// All pixels under a triangle, in float32.
    Single {
        tables: HashMap<Sides, Taps<f32>>,
        memory: Memory<f32>,
    },
    /// All pixels under a cubic, in float64.
    Double {
        tables: HashMap<Sides, Taps<f64>>,
        memory: Memory<f64>,
    },
}

/// A length before and after, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sides {
    from: usize,
    to: usize,
}

impl Resizer {
    /// A resizer to `width` x `height` pixels.
    ///
    /// # Panics
    /// If a side is zero.
    pub fn new(mode: Resize, width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "nothing to resize to");
        let kernel = match mode {
            Resize::TorchBilinear
            | Resize::CleanLegacyPytorch
            | Resize::TensorFlowBilinear
            | Resize::CleanLegacyTensorflow => Kernel::Pairs {
                tables: HashMap::new(),
                gathered: Vec::new(),
            },
            Resize::TorchAntialias => Kernel::Single {
                tables: HashMap::new(),
                memory: Memory::default(),
            },
            Resize::PillowBicubic => Kernel::Double {
                tables: HashMap::new(),
                memory: Memory::default(),
            },
        };
        Self {
            mode,
            width,
            height,
            arch: Arch::new(),
            kernel,
        }
    }

    /// A resizer to the Inception network's input, 299 x 299.
    pub fn for_inception(mode: Resize) -> Self {
        Self::new(mode, INCEPTION_SIDE, INCEPTION_SIDE)
    }

    /// Numbers of a result: `3 * height * width`.
    pub fn values(&self) -> usize {
        3 * self.height * self.width
    }

    /// The network's input: `[3, height, width]`, planar, in the tool's range of -1 to 1.
    pub fn planar(&mut self, picture: &Picture) -> Vec<f32> {
        let mut out = vec![0.0; self.values()];
        self.planar_into(picture, &mut out);
        out
    }

    /// As [`Resizer::planar`], into `out`.
    ///
    /// # Panics
    /// If `out` does not have [`Resizer::values`] numbers, or the picture has not the pixels that it says.
    pub fn planar_into(&mut self, picture: &Picture, out: &mut [f32]) {
        self.raw_into(picture, out);
        let mode = self.mode;
        self.arch.dispatch(Normalise { mode, values: out });
    }

    /// The picture in another size, rounded to bytes: for grids and previews, where every mode will do.
    pub fn resized(&mut self, picture: &Picture) -> Picture {
        let mut planes = vec![0.0; self.values()];
        self.raw_into(picture, &mut planes);
        let top = if self.mode == Resize::TorchBilinear {
            255.0
        } else {
            1.0
        };
        let plane = self.width * self.height;
        let byte = |value: f32| (value * top + 0.5).clamp(0.0, 255.0) as u8;
        let pixels =
            (0..plane).flat_map(|at| [0, 1, 2].map(|channel| byte(planes[channel * plane + at])));
        Picture {
            width: self.width,
            height: self.height,
            pixels: pixels.collect(),
            ..*picture
        }
    }

    /// The resized values before they are normalised.
    fn raw_into(&mut self, picture: &Picture, out: &mut [f32]) {
        assert_eq!(out.len(), self.values(), "room for one picture");
        let (width, height) = (picture.width, picture.height);
        assert!(width > 0 && height > 0, "an empty picture");
        assert_eq!(
            picture.pixels.len(),
            3 * width * height,
            "three bytes a pixel"
        );
        let (pixels, _) = picture.pixels.as_chunks::<3>();
        let across = Sides {
            from: width,
            to: self.width,
        };
        let down = Sides {
            from: height,
            to: self.height,
        };
        let (mode, arch) = (self.mode, self.arch);
        match &mut self.kernel {
            Kernel::Pairs { tables, gathered } => {
                let (columns, rows) = both(tables, across, down, |sides| Pairs::new(mode, sides));
                gathered.resize(4 * 3 * self.width, 0.0);
                arch.dispatch(PairPass {
                    mode,
                    pixels,
                    columns,
                    rows,
                    gathered,
                    out,
                });
            }
            Kernel::Single { tables, memory } => {
                let (columns, rows) = both(tables, across, down, Taps::triangle);
                arch.dispatch(TapPass {
                    order: Order::AcrossFirst,
                    pixels,
                    columns,
                    rows,
                    memory,
                    out,
                });
            }
            Kernel::Double { tables, memory } => {
                let (columns, rows) = both(tables, across, down, Taps::cubic);
                arch.dispatch(TapPass {
                    order: Order::of_pillow(across, down),
                    pixels,
                    columns,
                    rows,
                    memory,
                    out,
                });
            }
        }
    }
}

/// The tables of both directions, made if they are not there.
fn both<T>(
    tables: &mut HashMap<Sides, T>,
    across: Sides,
    down: Sides,
    make: impl Fn(Sides) -> T,
) -> (&T, &T) {
    if tables.len() >= MOST_TABLES {
        tables.clear();
    }
    for sides in [across, down] {
        tables.entry(sides).or_insert_with(|| make(sides));
    }
    (&tables[&across], &tables[&down])
}

/// For each result, the two pixels that it lies between.
#[derive(Debug)]
struct Pairs {
    /// Pixels before.
    from: usize,
    low: Vec<usize>,
    high: Vec<usize>,
    /// Weight of the low pixel.
    near: Vec<f32>,
    /// Weight of the high pixel.
    far: Vec<f32>,
}

impl Pairs {
    fn new(mode: Resize, sides: Sides) -> Self {
        let last = sides.from - 1;
        let places = match mode {
            Resize::TensorFlowBilinear => tensorflow_places(sides),
            Resize::CleanLegacyTensorflow => grid_places(sides),
            Resize::CleanLegacyPytorch => {
                torch_places(sides, |scale, centre| scale.mul_add(centre, -0.5))
            }
            _ => torch_places(sides, |scale, centre| scale * centre - 0.5),
        };
        let low: Vec<usize> = places.iter().map(|at| (*at as usize).min(last)).collect();
        let far: Vec<f32> = places
            .iter()
            .zip(&low)
            .map(|(at, low)| (at - *low as f32).clamp(0.0, 1.0))
            .collect();
        Self {
            from: sides.from,
            high: low.iter().map(|low| (low + 1).min(last)).collect(),
            near: far.iter().map(|far| 1.0 - far).collect(),
            low,
            far,
        }
    }
}

/// `F.interpolate` with `align_corners=False`: half-pixel centres.
fn torch_places(Sides { from, to }: Sides, place: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let scale = from as f32 / to as f32;
    (0..to)
        .map(|index| place(scale, index as f32 + 0.5).max(0.0))
        .collect()
}

/// TensorFlow 1 with `align_corners=False`: the left edges of pixels lie on each other.
fn tensorflow_places(Sides { from, to }: Sides) -> Vec<f32> {
    let scale = (from as f64 / to as f64) as f32;
    (0..to).map(|index| index as f32 * scale).collect()
}

/// TensorFlow 1's places by way of coordinates from -1 to 1, each step rounded as PyTorch's `linspace`,
/// `affine_grid` and `grid_sample` round it.
fn grid_places(Sides { from, to }: Sides) -> Vec<f32> {
    let step = 2.0 / (to - 1).max(1) as f32;
    let shift = 1.0 / from as f32 - 1.0 / to as f32;
    let last = (from - 1) as f32;
    let place = |index: usize| {
        let edge = if to == 1 {
            0.0
        } else if index < to / 2 {
            step.mul_add(index as f32, -1.0)
        } else {
            (-step).mul_add((to - 1 - index) as f32, 1.0)
        };
        let centre = edge * (to - 1) as f32 / to as f32 + shift;
        let at = (centre + 1.0).mul_add(from as f32 / 2.0, -0.5);
        at.clamp(0.0, last)
    };
    (0..to).map(place).collect()
}

/// For each result, the run of pixels under its filter.
#[derive(Debug)]
struct Taps<T> {
    /// Pixels before.
    from: usize,
    first: Vec<usize>,
    count: Vec<usize>,
    /// Weights of result `i` begin at `i * longest`.
    weights: Vec<T>,
    longest: usize,
}

impl<T: Tap> Taps<T> {
    fn new(from: usize, runs: Vec<(usize, Vec<T>)>) -> Self {
        let longest = runs.iter().map(|(_, run)| run.len()).max().unwrap_or(0);
        let mut weights = vec![T::ZERO; runs.len() * longest];
        for (place, (_, run)) in weights.chunks_exact_mut(longest.max(1)).zip(&runs) {
            place[..run.len()].copy_from_slice(run);
        }
        Self {
            from,
            first: runs.iter().map(|(first, _)| *first).collect(),
            count: runs.iter().map(|(_, run)| run.len()).collect(),
            weights,
            longest,
        }
    }

    #[inline(always)]
    fn of(&self, index: usize) -> (usize, &[T]) {
        let start = index * self.longest;
        (
            self.first[index],
            &self.weights[start..start + self.count[index]],
        )
    }
}

impl Taps<f32> {
    /// PyTorch's antialiased bilinear filter: a triangle as wide as two results, in float32, but for the
    /// halves that PyTorch adds in float64.
    fn triangle(Sides { from, to }: Sides) -> Self {
        let scale = from as f32 / to as f32;
        let (support, sharpness) = if scale >= 1.0 {
            (scale, 1.0 / scale)
        } else {
            (1.0, 1.0)
        };
        let run = |index: usize| {
            let centre = scale * (index as f32 + 0.5);
            let first = (f64::from(centre - support) + 0.5).max(0.0) as usize;
            let end = ((f64::from(centre + support) + 0.5) as usize).min(from);
            let weight = |at: usize| {
                let offset = (at - first) as f32 + (first as f32 - centre);
                let distance = ((f64::from(offset) + 0.5) * f64::from(sharpness)) as f32;
                (1.0 - distance.abs()).max(0.0)
            };
            (first, normalised((first..end).map(weight).collect()))
        };
        Self::new(from, (0..to).map(run).collect())
    }
}

impl Taps<f64> {
    /// Pillow's antialiased cubic filter (Keys' with a = -0.5), in float64.
    fn cubic(Sides { from, to }: Sides) -> Self {
        Self::new(from, cubic_weights(from, to).collect())
    }
}

/// Pillow's antialiased cubic filter (Keys' with a = -0.5) from `from` pixels to `to`: for each result, the first pixel
/// under the filter, and the weights of that one and those after it, which sum to one up to rounding.
pub fn cubic_weights(from: usize, to: usize) -> impl Iterator<Item = (usize, Vec<f64>)> {
    let scale = from as f64 / to as f64;
    let width = scale.max(1.0);
    let (support, sharpness) = (2.0 * width, 1.0 / width);
    (0..to).map(move |index| {
        if from == to {
            return (index, vec![1.0]);
        }
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |at: usize| keys((at as f64 - centre + 0.5) * sharpness);
        (first, normalised((first..end).map(weight).collect()))
    })
}

/// Weights that sum to one, up to rounding.
fn normalised<T: Tap>(mut weights: Vec<T>) -> Vec<T> {
    let sum = weights.iter().fold(T::ZERO, |sum, weight| sum + *weight);
    weights
        .iter_mut()
        .for_each(|weight| *weight = *weight / sum);
    weights
}

/// Keys' cubic with a = -0.5 (IEEE Transactions on Acoustics, Speech and Signal Processing 29, 1981).
fn keys(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// A number that pixels are weighted in.
trait Tap: Copy + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    const ZERO: Self;
    fn from_value(value: f32) -> Self;
    fn to_value(self) -> f32;
    /// How many of `count` products are rounded before they are added; the rest are fused.
    fn unfused(count: usize) -> usize;
    /// `self + value * weight`, rounded once.
    fn add_fused(self, value: Self, weight: Self) -> Self;
}

impl Tap for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn from_value(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn to_value(self) -> f32 {
        self
    }
    /// PyTorch's compiler multiplied four at a time after the first.
    #[inline(always)]
    fn unfused(count: usize) -> usize {
        1 + count.saturating_sub(1) / 4 * 4
    }
    #[inline(always)]
    fn add_fused(self, value: Self, weight: Self) -> Self {
        value.mul_add(weight, self)
    }
}

impl Tap for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn from_value(value: f32) -> Self {
        value.into()
    }
    #[inline(always)]
    fn to_value(self) -> f32 {
        self as f32
    }
    /// Pillow's distributed files are compiled for processors without fused multiplication.
    #[inline(always)]
    fn unfused(count: usize) -> usize {
        count
    }
    #[inline(always)]
    fn add_fused(self, value: Self, weight: Self) -> Self {
        value.mul_add(weight, self)
    }
}

/// What a pass over a picture works in.
#[derive(Debug, Default)]
struct Memory<T> {
    /// A row of pixels, with a fourth channel that makes a pixel a vector.
    wide: Vec<[T; 4]>,
    /// Rows that are resized across, three channels after each other; row `r` is at `r % height`.
    ring: Vec<f32>,
    sums: Vec<T>,
}

/// Which direction is resized first; it decides the rounding in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AcrossFirst,
    DownFirst,
}

impl Order {
    /// Pillow 13's choice for pictures of floats, found by trying sizes; Pillow 11 always takes
    /// [`Order::AcrossFirst`].
    fn of_pillow(across: Sides, down: Sides) -> Self {
        let shrinks_down = down.from as i64 - down.to as i64;
        let shrinks_across = across.from as i64 - across.to as i64;
        if shrinks_down > 0 && shrinks_down > 2 * shrinks_across {
            Self::DownFirst
        } else {
            Self::AcrossFirst
        }
    }
}

/// Resizing by long filters, one direction after the other.
struct TapPass<'job, T> {
    order: Order,
    pixels: &'job [[u8; 3]],
    columns: &'job Taps<T>,
    rows: &'job Taps<T>,
    memory: &'job mut Memory<T>,
    out: &'job mut [f32],
}

impl<T: Tap> WithSimd for TapPass<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.order {
            Order::AcrossFirst => self.across_first(),
            Order::DownFirst => self.down_first(),
        }
    }
}

impl<T: Tap> TapPass<'_, T> {
    #[inline(always)]
    fn across_first(self) {
        let Self {
            pixels,
            columns,
            rows,
            memory: Memory { wide, ring, sums },
            out,
            ..
        } = self;
        let (from, width, height) = (columns.from, columns.first.len(), rows.first.len());
        let line = 3 * width;
        let held = rows.longest;
        ring.resize(held * line, 0.0);
        sums.resize(line, T::ZERO);
        wide.resize(from, [T::ZERO; 4]);
        let mut next = 0;
        for y in 0..height {
            let (first, weights) = rows.of(y);
            next = next.max(first);
            while next < first + weights.len() {
                let row = &pixels[next * from..][..from];
                for (wide, pixel) in wide.iter_mut().zip(row) {
                    let [red, green, blue] = pixel.map(|byte| T::from_value(f32::from(byte)));
                    *wide = [red, green, blue, T::ZERO];
                }
                resize_row(wide, columns, &mut ring[next % held * line..][..line]);
                next += 1;
            }
            sums.fill(T::ZERO);
            let unfused = T::unfused(weights.len());
            for (index, weight) in weights.iter().enumerate() {
                let row = &ring[(first + index) % held * line..][..line];
                let pairs = sums.iter_mut().zip(row);
                if index < unfused {
                    pairs.for_each(|(sum, value)| *sum = *sum + T::from_value(*value) * *weight);
                } else {
                    pairs.for_each(|(sum, value)| {
                        *sum = sum.add_fused(T::from_value(*value), *weight);
                    });
                }
            }
            for (channel, sums) in sums.chunks_exact(width).enumerate() {
                let place = &mut out[(channel * height + y) * width..][..width];
                for (value, sum) in place.iter_mut().zip(sums) {
                    *value = sum.to_value();
                }
            }
        }
    }

    #[inline(always)]
    fn down_first(self) {
        let Self {
            pixels,
            columns,
            rows,
            memory: Memory { wide, ring, sums },
            out,
            ..
        } = self;
        let (from, width, height) = (columns.from, columns.first.len(), rows.first.len());
        ring.resize(3 * width, 0.0);
        sums.resize(3 * from, T::ZERO);
        wide.resize(from, [T::ZERO; 4]);
        for y in 0..height {
            sums.fill(T::ZERO);
            let (first, weights) = rows.of(y);
            let unfused = T::unfused(weights.len());
            for (index, weight) in weights.iter().enumerate() {
                let row = pixels[(first + index) * from..][..from].as_flattened();
                for (sum, byte) in sums.iter_mut().zip(row) {
                    let value = T::from_value(f32::from(*byte));
                    *sum = if index < unfused {
                        *sum + value * *weight
                    } else {
                        sum.add_fused(value, *weight)
                    };
                }
            }
            let (pixels, _) = sums.as_chunks::<3>();
            for (wide, pixel) in wide.iter_mut().zip(pixels) {
                let [red, green, blue] = pixel.map(|sum| T::from_value(sum.to_value()));
                *wide = [red, green, blue, T::ZERO];
            }
            resize_row(wide, columns, ring);
            for (channel, values) in ring.chunks_exact(width).enumerate() {
                out[(channel * height + y) * width..][..width].copy_from_slice(values);
            }
        }
    }
}

/// One row across: `pixels` to three channels after each other.
#[inline(always)]
fn resize_row<T: Tap>(pixels: &[[T; 4]], columns: &Taps<T>, out: &mut [f32]) {
    let width = columns.first.len();
    let (red, rest) = out.split_at_mut(width);
    let (green, blue) = rest.split_at_mut(width);
    for x in 0..width {
        let (first, weights) = columns.of(x);
        let (unfused, fused) = weights.split_at(T::unfused(weights.len()));
        let (left, right) = pixels[first..][..weights.len()].split_at(unfused.len());
        let mut sums = [T::ZERO; 4];
        for (pixel, weight) in left.iter().zip(unfused) {
            sums = std::array::from_fn(|channel| sums[channel] + pixel[channel] * *weight);
        }
        for (pixel, weight) in right.iter().zip(fused) {
            sums = std::array::from_fn(|channel| sums[channel].add_fused(pixel[channel], *weight));
        }
        red[x] = sums[0].to_value();
        green[x] = sums[1].to_value();
        blue[x] = sums[2].to_value();
    }
}

/// Resizing between four pixels.
struct PairPass<'job> {
    mode: Resize,
    pixels: &'job [[u8; 3]],
    columns: &'job Pairs,
    rows: &'job Pairs,
    /// Two rows of the picture (one even, one odd), the low and the high pixel of each result.
    gathered: &'job mut [f32],
    out: &'job mut [f32],
}

impl WithSimd for PairPass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.mode {
            Resize::TensorFlowBilinear => self.run(tensorflow_blend),
            Resize::CleanLegacyTensorflow => self.run(grid_blend),
            Resize::CleanLegacyPytorch => self.run(torch_worker_blend),
            _ => self.run(torch_blend),
        }
    }
}

/// What a result lies between, and how far.
#[derive(Clone, Copy)]
struct Corners {
    low_low: f32,
    low_high: f32,
    high_low: f32,
    high_high: f32,
    near: f32,
    far: f32,
    above: f32,
    below: f32,
}

/// `F.interpolate` by more than one thread: across, then down.
#[inline(always)]
fn torch_blend(c: Corners) -> f32 {
    let upper = c.low_low.mul_add(c.near, c.low_high * c.far);
    let lower = c.high_low.mul_add(c.near, c.high_high * c.far);
    upper.mul_add(c.above, lower * c.below)
}

/// `F.interpolate` by one thread: the products of both weights, then fused sums, from the top right pixel on.
#[inline(always)]
fn torch_worker_blend(c: Corners) -> f32 {
    let sum = c.low_high * (c.above * c.far);
    let sum = c.low_low.mul_add(c.above * c.near, sum);
    let sum = c.high_low.mul_add(c.below * c.near, sum);
    c.high_high.mul_add(c.below * c.far, sum)
}

/// `grid_sample`: the same from the top left pixel on.
#[inline(always)]
fn grid_blend(c: Corners) -> f32 {
    let sum = c.low_low * (c.above * c.near);
    let sum = c.low_high.mul_add(c.above * c.far, sum);
    let sum = c.high_low.mul_add(c.below * c.near, sum);
    c.high_high.mul_add(c.below * c.far, sum)
}

/// TensorFlow 1: across, then down, nothing fused.
#[inline(always)]
fn tensorflow_blend(c: Corners) -> f32 {
    let upper = c.low_low + (c.low_high - c.low_low) * c.far;
    let lower = c.high_low + (c.high_high - c.high_low) * c.far;
    upper + (lower - upper) * c.below
}

impl PairPass<'_> {
    #[inline(always)]
    fn run(self, blend: impl Fn(Corners) -> f32 + Copy) {
        let Self {
            mode,
            pixels,
            columns,
            rows,
            gathered,
            out,
        } = self;
        let (width, height) = (columns.low.len(), rows.low.len());
        let from = columns.from;
        let mut values = [0.0; 256];
        for (byte, value) in values.iter_mut().enumerate() {
            *value = match mode {
                Resize::TorchBilinear => byte as f32 / 255.0,
                _ => byte as f32,
            };
        }
        let (even, odd) = gathered.split_at_mut(6 * width);
        let mut held = [usize::MAX; 2];
        for y in 0..height {
            let (low, high) = (rows.low[y], rows.high[y]);
            for row in [low, high] {
                if held[row % 2] != row {
                    held[row % 2] = row;
                    let place = if row % 2 == 0 { &mut *even } else { &mut *odd };
                    gather(&pixels[row * from..][..from], columns, &values, place);
                }
            }
            let at = |row: usize| if row % 2 == 1 { &*odd } else { &*even };
            let (upper, lower) = (at(low), at(high));
            let (above, below) = (rows.near[y], rows.far[y]);
            for channel in 0..3 {
                let low_low = &upper[channel * width..][..width];
                let low_high = &upper[(3 + channel) * width..][..width];
                let high_low = &lower[channel * width..][..width];
                let high_high = &lower[(3 + channel) * width..][..width];
                let (near, far) = (&columns.near[..width], &columns.far[..width]);
                let place = &mut out[(channel * height + y) * width..][..width];
                for x in 0..width {
                    place[x] = blend(Corners {
                        low_low: low_low[x],
                        low_high: low_high[x],
                        high_low: high_low[x],
                        high_high: high_high[x],
                        near: near[x],
                        far: far[x],
                        above,
                        below,
                    });
                }
            }
        }
    }
}

/// The low pixels of all results, channel by channel, then the high ones.
#[inline(always)]
fn gather(row: &[[u8; 3]], columns: &Pairs, values: &[f32; 256], out: &mut [f32]) {
    let width = columns.low.len();
    let (low, high) = out.split_at_mut(3 * width);
    for (places, side) in [(&columns.low, low), (&columns.high, high)] {
        let (red, rest) = side.split_at_mut(width);
        let (green, blue) = rest.split_at_mut(width);
        let channels = red.iter_mut().zip(green).zip(blue);
        for (place, ((red, green), blue)) in places.iter().zip(channels) {
            let pixel = row[*place];
            *red = values[usize::from(pixel[0])];
            *green = values[usize::from(pixel[1])];
            *blue = values[usize::from(pixel[2])];
        }
    }
}

/// From the resized values to the network's range.
struct Normalise<'job> {
    mode: Resize,
    values: &'job mut [f32],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let values = self.values.iter_mut();
        match self.mode {
            Resize::TorchBilinear => values.for_each(|value| *value = 2.0 * *value - 1.0),
            Resize::CleanLegacyPytorch => {
                values.for_each(|value| *value = 2.0 * (value.clamp(0.0, 255.0) / 255.0) - 1.0);
            }
            Resize::PillowBicubic => {
                values.for_each(|value| *value = (value.clamp(0.0, 255.0) - 128.0) / 128.0);
            }
            Resize::TensorFlowBilinear | Resize::TorchAntialias | Resize::CleanLegacyTensorflow => {
                values.for_each(|value| *value = (*value - 128.0) / 128.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `((x*x + 3*x*y + 5*y*y*(c + 1) + 40*c) % 256).astype(np.uint8)` over `np.mgrid[0:h, 0:w, 0:3]`.
    fn wave(width: usize, height: usize) -> Picture {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    pixels.push(((x * x + 3 * x * y + 5 * y * y * (c + 1) + 40 * c) % 256) as u8);
                }
            }
        }
        Picture {
            width,
            height,
            pixels,
            had_alpha: false,
            clipped: false,
        }
    }

    /// Sums the bits of all numbers: `a.view(np.uint32).astype(np.uint64).sum()`.
    fn bits(values: &[f32]) -> u64 {
        values.iter().map(|value| u64::from(value.to_bits())).sum()
    }

    /// The numbers are from the tools' own functions, as `check.py` calls them: PyTorch 2.9 with two threads,
    /// Pillow 13, torch-fidelity 0.4.0, clean-fid 0.1.35.
    #[test]
    fn every_mode_gives_the_tools_bits() {
        let expected = [
            ((5, 4), Resize::TorchBilinear, 723_028_265_699_367),
            ((5, 4), Resize::TensorFlowBilinear, 682_033_338_718_620),
            ((5, 4), Resize::TorchAntialias, 724_005_649_431_774),
            ((5, 4), Resize::PillowBicubic, 725_040_355_979_979),
            ((5, 4), Resize::CleanLegacyTensorflow, 682_033_338_160_942),
            ((5, 4), Resize::CleanLegacyPytorch, 723_028_265_702_960),
            ((64, 48), Resize::TorchBilinear, 571_362_268_322_515),
            ((64, 48), Resize::TensorFlowBilinear, 572_818_604_980_558),
            ((64, 48), Resize::TorchAntialias, 573_522_820_664_623),
            ((64, 48), Resize::PillowBicubic, 572_898_510_554_122),
            ((64, 48), Resize::CleanLegacyTensorflow, 572_818_607_371_476),
            ((64, 48), Resize::CleanLegacyPytorch, 571_362_270_021_696),
            ((37, 700), Resize::TorchBilinear, 571_171_405_624_764),
            ((37, 700), Resize::TensorFlowBilinear, 573_526_369_575_063),
            ((37, 700), Resize::TorchAntialias, 573_495_588_460_554),
            ((37, 700), Resize::PillowBicubic, 573_681_194_609_321),
            (
                (37, 700),
                Resize::CleanLegacyTensorflow,
                573_530_674_859_843,
            ),
            ((37, 700), Resize::CleanLegacyPytorch, 571_171_405_111_854),
            ((900, 310), Resize::TorchBilinear, 571_687_884_747_189),
            ((900, 310), Resize::TensorFlowBilinear, 573_308_539_075_845),
            ((900, 310), Resize::TorchAntialias, 575_454_469_045_555),
            ((900, 310), Resize::PillowBicubic, 574_897_752_999_271),
            (
                (900, 310),
                Resize::CleanLegacyTensorflow,
                573_303_320_764_746,
            ),
            ((900, 310), Resize::CleanLegacyPytorch, 571_687_885_684_177),
        ];
        for ((width, height), mode, sum) in expected {
            let values = Resizer::for_inception(mode).planar(&wave(width, height));
            assert_eq!(bits(&values), sum, "{} {width} x {height}", mode.name());
        }
    }

    /// `a[0, 0, 0], a[1, 150, 77], a[2, 298, 298]` of the arrays above.
    #[test]
    #[allow(clippy::excessive_precision)]
    fn single_values_are_in_their_place() {
        let expected = [
            (
                Resize::TorchBilinear,
                [-1.0, -0.6299688816070557, 0.9058823585510254],
            ),
            (
                Resize::TensorFlowBilinear,
                [-1.0, -0.2752227187156677, 0.8984375],
            ),
            (
                Resize::TorchAntialias,
                [-1.0, -0.6314142942428589, 0.8984375],
            ),
            (
                Resize::PillowBicubic,
                [-1.0, -0.7237081527709961, 0.9518742561340332],
            ),
            (
                Resize::CleanLegacyTensorflow,
                [-1.0, -0.2752227187156677, 0.8984375],
            ),
            (
                Resize::CleanLegacyPytorch,
                [-1.0, -0.6299688816070557, 0.9058823585510254],
            ),
        ];
        for (mode, values) in expected {
            let all = Resizer::for_inception(mode).planar(&wave(64, 48));
            let at = |c: usize, y: usize, x: usize| all[(c * 299 + y) * 299 + x];
            let ours = [at(0, 0, 0), at(1, 150, 77), at(2, 298, 298)];
            assert_eq!(ours, values, "{}", mode.name());
        }
    }

    #[test]
    fn a_resizer_forgets_nothing_and_remembers_nothing() {
        for mode in Resize::ALL {
            let mut used = Resizer::for_inception(mode);
            for (width, height) in [(64, 48), (1, 1), (900, 310), (37, 700), (64, 48)] {
                let picture = wave(width, height);
                let fresh = Resizer::for_inception(mode).planar(&picture);
                assert_eq!(used.planar(&picture), fresh, "{}", mode.name());
            }
        }
    }

    #[test]
    fn the_instruction_set_does_not_matter() {
        for mode in Resize::ALL {
            for (width, height) in [(64, 48), (37, 700), (900, 310)] {
                let picture = wave(width, height);
                let mut resizer = Resizer::new(mode, 83, 71);
                let fast = resizer.planar(&picture);
                resizer.arch = Arch::Scalar;
                assert_eq!(resizer.planar(&picture), fast, "{}", mode.name());
            }
        }
    }

    #[test]
    fn one_colour_stays_one_colour() {
        for mode in Resize::ALL {
            for (width, height) in [(1, 1), (1, 50), (7, 3), (400, 2)] {
                let mut picture = wave(width, height);
                picture.pixels.fill(200);
                let values = Resizer::new(mode, 20, 10).planar(&picture);
                let right = if matches!(mode, Resize::TorchBilinear | Resize::CleanLegacyPytorch) {
                    2.0 * 200.0 / 255.0 - 1.0
                } else {
                    72.0 / 128.0
                };
                assert!(values.iter().all(|value| (value - right).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn pictures_of_the_right_size_are_not_touched() {
        let picture = wave(21, 13);
        for mode in Resize::ALL {
            let same = Resizer::new(mode, 21, 13).resized(&picture);
            assert_eq!(same, picture, "{}", mode.name());
        }
    }

    #[test]
    fn a_ramp_keeps_its_direction_at_any_size() {
        let mut picture = wave(8, 4);
        for (index, pixel) in picture.pixels.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[(index % 8 * 30) as u8, (index / 8 * 60) as u8, 7]);
        }
        for mode in Resize::ALL {
            let larger = Resizer::new(mode, 40, 24).resized(&picture);
            assert_eq!((larger.width, larger.height), (40, 24));
            let at = |x: usize, y: usize| &larger.pixels[3 * (y * 40 + x)..][..3];
            assert!(at(39, 5)[0] > at(20, 5)[0] && at(20, 5)[0] > at(0, 5)[0]);
            assert!(at(9, 23)[1] > at(9, 12)[1] && at(9, 12)[1] > at(9, 0)[1]);
            assert_eq!(at(17, 11)[2], 7);
        }
    }

    #[test]
    #[should_panic(expected = "three bytes a pixel")]
    fn a_picture_without_its_pixels_is_a_mistake() {
        let mut picture = wave(4, 4);
        picture.pixels.pop();
        let _ = Resizer::for_inception(Resize::PillowBicubic).planar(&picture);
    }
}
