//! A picture of any size through a network that wants sizes of its own.
//!
//! As a whole, the picture is mirrored at its right and lower edge up to a size that the network takes, and
//! the result is cut back. In tiles, the network sees overlapping squares of that same mirrored picture.
//! A convolution's pixels beside a tile's edge are wrong, since they saw its padding: of the `pad` pixels that
//! a tile reaches beyond its share, the outer half is dropped, and across the inner half of both neighbours
//! one fades linearly into the other. Linear, since no other fade of that width has a smaller steepest step.
//!
//! A tile ends where the mirrored picture ends, never beyond. So where each result pixel depends on less than
//! `pad` pixels across, tiles give what the whole picture gives, its borders included. Of a network whose
//! reach is known, tiles overlap by exactly that, and nothing fades.
//!
//! A result is handed over in strips, from the top down: the whole of it need not be in memory as numbers.

use crate::failure::{Kind, failure};
use crate::memory;
use anyhow::Result;
use std::ops::Range;

/// A picture for a network: planar `[3, height, width]`, red, green and blue in [-1, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `3 * height * width` numbers.
    pub values: Vec<f32>,
}

impl Planes {
    /// A picture of these values.
    ///
    /// # Panics
    /// If there are not `3 * height * width` of them, or none.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Self {
        assert!(width > 0 && height > 0, "a picture has pixels");
        assert_eq!(values.len(), 3 * width * height, "three planes");
        Self {
            width,
            height,
            values,
        }
    }

    /// The part that the ranges span; beyond the right and lower edge the picture is mirrored, without
    /// repeating the edge, as often as it takes.
    fn part(&self, columns: Range<usize>, rows: Range<usize>) -> Self {
        let (width, height) = (columns.len(), rows.len());
        let columns: Vec<usize> = columns.map(|x| mirrored(x, self.width)).collect();
        let mut values = Vec::with_capacity(3 * width * height);
        for plane in self.values.chunks_exact(self.width * self.height) {
            for y in rows.clone() {
                let row = &plane[mirrored(y, self.height) * self.width..][..self.width];
                values.extend(columns.iter().map(|x| row[*x]));
            }
        }
        Self::new(width, height, values)
    }
}

impl Planes {
    /// Replaces the rows from `top` on by those of a strip as wide.
    fn put(&mut self, top: usize, strip: &Planes) {
        let planes = self.values.chunks_exact_mut(self.width * self.height);
        for (plane, rows) in planes.zip(strip.values.chunks_exact(strip.width * strip.height)) {
            plane[top * self.width..][..rows.len()].copy_from_slice(rows);
        }
    }
}

/// Where position `at` of a line is found among its `length` pixels.
fn mirrored(at: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let at = at % period;
    at.min(period - at)
}

/// What a network runs as: a picture of a legal size becomes one `scale` times as large.
pub type Network<'a> = dyn FnMut(&Planes) -> Result<Planes> + 'a;

/// Takes rows of a result: the number of the first, and a strip of the result's width. After a failure for want of
/// memory, they come again from the top.
pub type Emit<'a> = dyn FnMut(usize, &Planes) -> Result<()> + 'a;

/// What a network returns, anywhere in its error's chain, when a picture is too large for the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of memory")]
pub struct OutOfMemory;

/// Which pictures a network takes, and what it makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// Width and height are multiples of this; at least 1.
    pub multiple: usize,
    /// Width and height are at least this.
    pub least: usize,
    /// How many times as wide and as high the result is; at least 1.
    pub scale: usize,
    /// Bytes of memory at the widest layer for one pixel of the input.
    pub bytes_per_pixel: u64,
    /// How many pixels of the input to each side a pixel of the result depends on, where that is known and no
    /// statistic of the whole picture comes in.
    pub reach: Option<usize>,
}

/// The side of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tile {
    /// The whole picture where the memory does, else the largest tile that fits.
    #[default]
    Auto,
    /// Pixels of the input, overlap included.
    Side(usize),
}

impl std::str::FromStr for Tile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(side) if side > 0 => Ok(Self::Side(side)),
            _ => Err("give auto, or a tile's side in pixels such as 512".to_owned()),
        }
    }
}

/// How large pictures are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct TileArguments {
    /// Side of a tile in pixels of the input, overlap included; auto: whole pictures while memory does.
    #[arg(short, long, default_value = "auto", value_name = "auto|N")]
    pub tile: Tile,
    /// Pixels that a tile reaches into its neighbours, at most a quarter of its side: without it 32, or what the
    /// network sees where that is known.
    #[arg(long, value_name = "N")]
    pub tile_pad: Option<usize>,
}

/// Runs pictures through one network, whole or in tiles.
#[derive(Debug, Clone)]
pub struct Tiling {
    arguments: TileArguments,
    needs: Requirements,
    free: fn() -> Option<u64>,
    budget: Option<u64>,
    /// What ran out of memory once is not tried again.
    most: usize,
    smallest_used: Option<usize>,
}

/// Share of the free memory that a network may take.
const SHARE: f64 = 0.6;
/// Bytes of three channels of one pixel.
const PIXEL: u64 = 12;
/// The overlap for networks whose reach is not known.
const PAD: usize = 32;

impl Tiling {
    /// A tiling for a network that needs this.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the overlap is more than a quarter of the tile.
    ///
    /// # Panics
    /// If a requirement is 0 that must not be.
    pub fn new(arguments: TileArguments, needs: Requirements) -> Result<Self> {
        assert!(needs.multiple > 0 && needs.scale > 0, "at least 1");
        let tiling = Self {
            arguments,
            needs,
            free: memory::free,
            budget: None,
            most: usize::MAX,
            smallest_used: None,
        };
        if let Tile::Side(asked) = arguments.tile {
            let (side, pad) = (tiling.legal(asked), tiling.wanted_pad());
            let most = tiling.most_pad(side);
            if pad > most {
                let times = if needs.reach.is_some() { 3 } else { 4 };
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "an overlap of {pad} pixels (--tile-pad) is too much for a tile of {side}: at most {most} \
                         with --tile {asked}, or at least --tile {}",
                        (pad.saturating_mul(times))
                            .checked_next_multiple_of(needs.multiple)
                            .unwrap_or(pad)
                    ),
                ));
            }
        }
        Ok(tiling)
    }

    /// Asks this, instead of the system, for the bytes that the network may still take: for devices with
    /// memory of their own. `None` is taken for enough.
    #[must_use]
    pub fn with_memory(mut self, free: fn() -> Option<u64>) -> Self {
        self.free = free;
        self
    }

    /// Lets the network take no more bytes than this, however many are free.
    #[must_use]
    pub fn with_budget(mut self, bytes: u64) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// A line for the console once pictures went through in tiles.
    pub fn summary(&self) -> Option<String> {
        let side = self.smallest_used?;
        let pad = self.pad(side);
        let is_short = self.needs.reach.is_some_and(|reach| pad < reach);
        let loss = if is_short {
            ", which is less than the network sees: results differ a little from those of whole pictures"
        } else {
            ""
        };
        Some(format!(
            "large pictures went through in tiles of {side} pixels with an overlap of {pad} (--tile, --tile-pad){loss}"
        ))
    }

    /// The picture that the network makes of `picture`: exactly `scale` times its width and height.
    ///
    /// # Errors
    /// As [`Tiling::run_in_strips`].
    ///
    /// # Panics
    /// As [`Tiling::run_in_strips`].
    pub fn run(&mut self, picture: &Planes, network: &mut Network<'_>) -> Result<Planes> {
        let scale = self.needs.scale;
        let (width, height) = (picture.width * scale, picture.height * scale);
        let mut joined = Planes::new(width, height, vec![0.0; 3 * width * height]);
        self.run_in_strips(picture, network, &mut |top, strip| {
            joined.put(top, strip);
            Ok(())
        })?;
        Ok(joined)
    }

    /// As [`Tiling::run`], handing over the result in strips of whole rows.
    ///
    /// # Errors
    /// What `emit` reports, and what the network reports. For [`OutOfMemory`], `auto` tries again with half the tile
    /// as long as that is legal; in the end it is [`Kind::Usage`].
    ///
    /// # Panics
    /// If the network returns another size than `scale` times that of its input.
    pub fn run_in_strips(
        &mut self,
        picture: &Planes,
        network: &mut Network<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let longest = self.padded(picture.width.max(picture.height));
        let mut side = match self.arguments.tile {
            Tile::Side(side) => self.legal(side),
            Tile::Auto => self.fitting(picture).min(self.most),
        }
        .min(longest);
        loop {
            let error = match self.pass(picture, side, network, emit) {
                Err(error) if error.chain().any(|cause| cause.is::<OutOfMemory>()) => error,
                other => {
                    if side < longest {
                        let used = self.smallest_used.unwrap_or(side).min(side);
                        self.smallest_used = Some(used);
                    }
                    return other;
                }
            };
            let less = self.legal(side / 2);
            let fix = match self.arguments.tile {
                Tile::Auto if less < side => {
                    (self.most, side) = (less, less);
                    continue;
                }
                Tile::Auto => "the network takes no smaller ones: end other programs",
                Tile::Side(_) => "give --tile auto, or a smaller --tile",
            };
            return Err(failure(
                Kind::Usage,
                format!(
                    "not enough memory for a tile of {side} pixels ({error:#}); {fix}, or choose another --device"
                ),
            ));
        }
    }

    /// The next side that the network takes.
    fn padded(&self, length: usize) -> usize {
        let length = length.max(self.needs.least).max(1);
        length.next_multiple_of(self.needs.multiple)
    }

    /// The largest side up to `side` that the network takes, or else its least.
    fn legal(&self, side: usize) -> usize {
        (side - side % self.needs.multiple).max(self.padded(1))
    }

    fn wanted_pad(&self) -> usize {
        let own = self.needs.reach.unwrap_or(PAD);
        self.arguments.tile_pad.unwrap_or(own)
    }

    fn pad(&self, side: usize) -> usize {
        self.wanted_pad().min(self.most_pad(side))
    }

    /// The most that tiles of this side may overlap. What is cut hard may be most of a tile; what fades may not.
    fn most_pad(&self, side: usize) -> usize {
        match self.needs.reach {
            Some(_) => side / 3,
            None => side / 4,
        }
    }

    /// The smallest tile that `auto` takes of its own accord: with a known reach, one whose result is exact.
    fn smallest(&self) -> usize {
        let exact = self.needs.reach.map_or(0, |_| 3 * self.wanted_pad());
        self.legal(exact.next_multiple_of(self.needs.multiple))
    }

    /// The side of the largest tile that the memory does for; of any number for the whole picture.
    fn fitting(&self, picture: &Planes) -> usize {
        let free = (self.free)().map(|free| (free as f64 * SHARE) as u64);
        let Some(share) = free.into_iter().chain(self.budget).min() else {
            return usize::MAX;
        };
        let (width, height) = (self.padded(picture.width), self.padded(picture.height));
        let cost = self.needs.bytes_per_pixel.max(1);
        if (width * height) as u64 <= share / cost {
            return usize::MAX;
        }
        // A row of tiles is joined in strips that are there as well: a pixel of the result twice.
        let joined = 2 * PIXEL * self.needs.scale.pow(2) as u64;
        let side_of = |pixels: u64| {
            let pixels = usize::try_from(pixels).unwrap_or(usize::MAX);
            // A tile is no wider or higher than the picture, so that of a narrow one may be longer.
            let (root, shorter) = (pixels.isqrt(), width.min(height));
            if root < shorter {
                root
            } else {
                pixels / shorter
            }
        };
        let side = side_of(share / cost);
        let strip = joined.saturating_mul((width * side.min(height)) as u64);
        let fits = self.legal(side_of(share.saturating_sub(strip.min(share / 2)) / cost));
        fits.max(self.smallest())
    }

    fn pass(
        &self,
        picture: &Planes,
        side: usize,
        network: &mut Network<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let pad = self.pad(side);
        let is_exact = self.needs.reach.is_some_and(|reach| reach <= pad);
        let feather = if is_exact { 0 } else { pad };
        let multiple = self.needs.multiple;
        let axis = |length| Axis::new(self.padded(length), side, pad, feather, multiple);
        let (across, down) = (axis(picture.width), axis(picture.height));
        let scale = self.needs.scale;
        let mut run = |part: &Planes| -> Result<Planes> {
            let result = network(part)?;
            let size = (part.width * scale, part.height * scale);
            assert_eq!((result.width, result.height), size, "the network's scale");
            assert_eq!(result.values.len(), 3 * size.0 * size.1, "three planes");
            Ok(result)
        };
        let (width, height) = (picture.width * scale, picture.height * scale);
        if let ([_], [_]) = (across.starts.as_slice(), down.starts.as_slice()) {
            if (across.side, down.side) == (picture.width, picture.height) {
                return emit(0, &run(picture)?);
            }
            let result = run(&picture.part(0..across.side, 0..down.side))?;
            return emit(0, &result.part(0..width, 0..height));
        }
        let bands: Vec<_> = (0..down.starts.len())
            .map(|row| down.weights(row, scale, height))
            .collect();
        // The rows from `done` on of which something is known.
        let (mut done, mut known) = (0, Vec::new());
        for (row, (rows, down_weights)) in bands.iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let top = down.starts[row];
            let mut strip = Planes::new(
                width,
                rows.end - done,
                vec![0.0; 3 * width * (rows.end - done)],
            );
            if !known.is_empty() {
                strip.put(0, &Planes::new(width, known.len() / (3 * width), known));
            }
            for (column, left) in across.starts.iter().enumerate() {
                let (columns, across_weights) = across.weights(column, scale, width);
                if rows.is_empty() || columns.is_empty() {
                    continue;
                }
                let tile = picture.part(*left..left + across.side, top..top + down.side);
                let tile = run(&tile)?;
                for channel in 0..3 {
                    for (y, weight) in rows.clone().zip(down_weights) {
                        let from = (channel * tile.height + y - top * scale) * tile.width;
                        let source = &tile.values[from..][..tile.width];
                        let source = &source[columns.start - left * scale..];
                        let to = (channel * strip.height + y - done) * width;
                        let target = &mut strip.values[to..][columns.clone()];
                        for ((target, value), across) in
                            target.iter_mut().zip(source).zip(&across_weights)
                        {
                            *target += weight * across * value;
                        }
                    }
                }
            }
            let later = bands[row + 1..].iter().find(|(rows, _)| !rows.is_empty());
            let next = later.map_or(height, |(rows, _)| rows.start);
            let ready = strip.part(0..width, 0..next - done);
            known = match next < rows.end {
                true => strip.part(0..width, next - done..rows.end - done).values,
                false => Vec::new(),
            };
            drop(strip);
            emit(done, &ready)?;
            done = next;
        }
        Ok(())
    }
}

/// Where tiles lie along one side of a picture.
#[derive(Debug)]
struct Axis {
    starts: Vec<usize>,
    /// Pixels of each tile.
    side: usize,
    /// Pixels across which a tile fades into the next.
    feather: usize,
}

impl Axis {
    /// Tiles of `side` over `length` pixels; neighbours share at least `2 * pad`.
    fn new(length: usize, side: usize, pad: usize, feather: usize, multiple: usize) -> Self {
        if side >= length {
            return Self {
                starts: vec![0],
                side: length,
                feather: 0,
            };
        }
        // A network with strides gives other results at other phases. Where tiles are but a few times that
        // stride, every pixel sees all of a tile anyway, and keeping the phase would cost many more tiles.
        let grid = if side - 2 * pad >= 4 * multiple {
            multiple
        } else {
            1
        };
        let steps = (length - side) / grid;
        let gaps = steps.div_ceil((side - 2 * pad) / grid);
        let starts = (0..=gaps).map(|index| index * steps / gaps * grid);
        Self {
            starts: starts.collect(),
            side,
            feather,
        }
    }

    /// How much of tile `index` - 1 has given way to tile `index`, from 0 to 1, at a place in input pixels.
    fn risen(&self, index: usize, place: f64) -> f64 {
        if index == 0 {
            return 1.0;
        }
        if index == self.starts.len() {
            return 0.0;
        }
        // In the middle of what the two share.
        let middle = (self.starts[index] + self.starts[index - 1] + self.side) as f64 / 2.0;
        let width = (self.feather as f64).max(f64::MIN_POSITIVE);
        ((place - middle) / width + 0.5).clamp(0.0, 1.0)
    }

    /// Which of the first `end` result pixels tile `index` has a part in, and the weight of each. The weights
    /// of all tiles sum to one, as each is a rise less the next one.
    fn weights(&self, index: usize, scale: usize, end: usize) -> (Range<usize>, Vec<f32>) {
        let start = self.starts[index] * scale;
        let weight = |at: usize| {
            let place = (at as f64 + 0.5) / scale as f64;
            self.risen(index, place) - self.risen(index + 1, place)
        };
        let mut span = start..(start + self.side * scale).min(end);
        while !span.is_empty() && weight(span.start) <= 0.0 {
            span.start += 1;
        }
        while !span.is_empty() && weight(span.end - 1) <= 0.0 {
            span.end -= 1;
        }
        (span.clone(), span.map(|at| weight(at) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Planes {
        let values = (0..3 * width * height).map(|at| {
            let mixed = (at as u32).wrapping_mul(2_654_435_761);
            (mixed >> 8) as f32 / 8_388_608.0 - 1.0
        });
        Planes::new(width, height, values.collect())
    }

    /// A mean over `2 * radius + 1` pixels squared, zeros beyond the borders; then every pixel `scale` squared
    /// times.
    fn boxed(picture: &Planes, radius: usize, scale: usize) -> Planes {
        let (width, height) = (picture.width, picture.height);
        let along = |line: &[f64]| -> Vec<f64> {
            (0..line.len())
                .map(|at| {
                    let end = (at + radius + 1).min(line.len());
                    line[at.saturating_sub(radius)..end].iter().sum()
                })
                .collect()
        };
        let area = ((2 * radius + 1) * (2 * radius + 1)) as f64;
        let mut values = Vec::new();
        for plane in picture.values.chunks_exact(width * height) {
            let plane: Vec<f64> = plane.iter().map(|value| f64::from(*value)).collect();
            let rows: Vec<f64> = plane.chunks_exact(width).flat_map(along).collect();
            let columns: Vec<Vec<f64>> = (0..width)
                .map(|x| along(&rows[x..].iter().step_by(width).copied().collect::<Vec<_>>()))
                .collect();
            values.extend((0..height * scale).flat_map(|y| {
                let columns = &columns;
                (0..width * scale).map(move |x| (columns[x / scale][y / scale] / area) as f32)
            }));
        }
        Planes::new(width * scale, height * scale, values)
    }

    fn tiling(tile: Tile, tile_pad: usize, multiple: usize, scale: usize) -> Tiling {
        let needs = Requirements {
            multiple,
            least: multiple,
            scale,
            bytes_per_pixel: 100,
            reach: None,
        };
        with_needs(tile, Some(tile_pad), needs)
    }

    fn with_needs(tile: Tile, tile_pad: Option<usize>, needs: Requirements) -> Tiling {
        let arguments = TileArguments { tile, tile_pad };
        let tiling = Tiling::new(arguments, needs).unwrap();
        tiling.with_memory(|| None)
    }

    #[test]
    fn of_a_known_reach_tiles_are_cut_hard_and_exact() {
        for (reach, scale, side) in [(0, 1, 8), (1, 2, 16), (7, 4, 32), (7, 4, 29)] {
            for (width, height) in [(97, 61), (30, 150), (5, 7), (64, 64)] {
                let picture = picture(width, height);
                let mut network = |part: &Planes| Ok(boxed(part, reach, scale));
                let needs = Requirements {
                    multiple: 1,
                    least: 1,
                    scale,
                    bytes_per_pixel: 100,
                    reach: Some(reach),
                };
                let mut whole = with_needs(Tile::Auto, None, needs);
                let expected = whole.run(&picture, &mut network).unwrap();
                let mut tiles = with_needs(Tile::Side(side), None, needs);
                let mut next = 0;
                let mut emit = |top: usize, strip: &Planes| {
                    // From the top down, each row once.
                    assert_eq!((top, strip.width), (next, width * scale));
                    next += strip.height;
                    let rows = expected.part(0..strip.width, top..next);
                    for (found, expected) in strip.values.iter().zip(&rows.values) {
                        assert!((found - expected).abs() <= 1e-6, "{found}, not {expected}");
                    }
                    Ok(())
                };
                tiles
                    .run_in_strips(&picture, &mut network, &mut emit)
                    .unwrap();
                assert_eq!(next, height * scale);
                // However little memory there is.
                let mut poor = with_needs(Tile::Auto, None, needs).with_memory(|| Some(0));
                let away = poor.run(&picture, &mut network).unwrap();
                let pairs = away.values.iter().zip(&expected.values);
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-6));
                // One pixel less shows.
                if reach > 1 && width > side {
                    let mut less = with_needs(Tile::Side(side), Some(reach - 2), needs);
                    assert_ne!(less.run(&picture, &mut network).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn tiles_give_what_the_whole_picture_gives() {
        let mut counts = [0; 6];
        for (width, height) in [(97, 61), (61, 97), (128, 40), (131, 127), (30, 150), (5, 7)] {
            let picture = picture(width, height);
            for (radius, pad) in [(1, 4), (3, 8), (3, 9), (10, 22)] {
                for (multiple, scale) in [(1, 1), (4, 1), (4, 2), (16, 4)] {
                    let mut network = |part: &Planes| {
                        assert_eq!((part.width % multiple, part.height % multiple), (0, 0));
                        Ok(boxed(part, radius, scale))
                    };
                    let mut whole = tiling(Tile::Auto, pad, multiple, scale);
                    let expected = whole.run(&picture, &mut network).unwrap();
                    assert_eq!(
                        (expected.width, expected.height),
                        (width * scale, height * scale)
                    );
                    for side in [4 * pad, 4 * pad + 11, 100] {
                        let side = side.next_multiple_of(multiple);
                        let mut tiles = tiling(Tile::Side(side), pad, multiple, scale);
                        for length in [width, height] {
                            let axis = Axis::new(tiles.padded(length), side, pad, pad, multiple);
                            counts[axis.starts.len().min(5)] += 1;
                        }
                        let found = tiles.run(&picture, &mut network).unwrap();
                        assert_eq!(
                            (found.width, found.height),
                            (expected.width, expected.height)
                        );
                        for (at, (found, expected)) in
                            found.values.iter().zip(&expected.values).enumerate()
                        {
                            assert!(
                                (found - expected).abs() <= 1e-6,
                                "{width} x {height}, radius {radius}, pad {pad}, multiple {multiple}, \
                                 scale {scale}, side {side}, at {at}: {found}, not {expected}"
                            );
                        }
                    }
                }
            }
        }
        assert!(counts[1..].iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn what_a_tile_adds_fades_at_its_edges() {
        for (pad, scale, side, multiple) in
            [(8, 1, 32, 4), (9, 2, 40, 4), (16, 4, 64, 32), (3, 1, 12, 1)]
        {
            let grey = Planes::new(101, 83, vec![0.0; 3 * 101 * 83]);
            let mut seen = 0;
            let mut network = |part: &Planes| {
                seen += 1;
                let (width, height) = (part.width * scale, part.height * scale);
                let value = (seen % 2) as f32;
                Ok(Planes::new(width, height, vec![value; 3 * width * height]))
            };
            let result = tiling(Tile::Side(side), pad, multiple, scale)
                .run(&grey, &mut network)
                .unwrap();
            assert!(seen > 4);
            let most = 1.1 / (pad * scale) as f32;
            for plane in result.values.chunks_exact(result.width * result.height) {
                let rows: Vec<&[f32]> = plane.chunks_exact(result.width).collect();
                for (y, row) in rows.iter().enumerate() {
                    for (x, value) in row.iter().enumerate() {
                        for other in [row.get(x + 1), rows.get(y + 1).map(|next| &next[x])] {
                            let jump = other.map_or(0.0, |other| (other - value).abs());
                            assert!(jump <= most, "{x}, {y}: {jump} > {most}");
                        }
                    }
                }
                let (least, most) = plane.iter().fold((2.0f32, -1.0f32), |(low, high), v| {
                    (low.min(*v), high.max(*v))
                });
                assert!(least < 1e-6 && most > 1.0 - 1e-6, "{least} to {most}");
            }
        }
    }

    #[test]
    fn weights_sum_to_one_and_leave_out_wrong_pixels() {
        for (length, side, pad, multiple) in [
            (644, 64, 16, 4),
            (1000, 100, 25, 1),
            (768, 512, 32, 256),
            (90, 40, 7, 1),
        ] {
            for scale in [1, 3] {
                let axis = Axis::new(length, side, pad, pad, multiple);
                let is_in_phase = axis.starts.iter().all(|start| start % multiple == 0);
                assert!(is_in_phase || side - 2 * pad < 4 * multiple);
                let mut sums = vec![0.0; length * scale];
                for (index, start) in axis.starts.iter().enumerate() {
                    let (span, weights) = axis.weights(index, scale, length * scale);
                    // Half the pad, of those edges that are not the picture's.
                    if index > 0 {
                        assert!(span.start >= start * scale + pad * scale / 2);
                    }
                    if index + 1 < axis.starts.len() {
                        assert!(span.end <= (start + side) * scale - pad * scale / 2);
                    }
                    for (at, weight) in span.zip(weights) {
                        assert!(weight > 0.0);
                        sums[at] += weight;
                    }
                }
                assert!(sums.iter().all(|sum| (sum - 1.0f32).abs() < 1e-6));
                assert_eq!(axis.starts.last(), Some(&(length - side)));
            }
        }
    }

    #[test]
    fn small_pictures_are_mirrored_up_to_what_the_network_takes() {
        let row = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3];
        let mut seen = Vec::new();
        let mut network = |part: &Planes| {
            seen = part.values[..part.width].to_vec();
            assert_eq!((part.width, part.height), (8, 8));
            Ok(part.clone())
        };
        let picture = Planes::new(3, 1, row.to_vec());
        let result = tiling(Tile::Auto, 32, 8, 1).run(&picture, &mut network);
        assert_eq!(result.unwrap(), picture);
        assert_eq!(seen, [0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 0.2]);
        let dot = Planes::new(1, 1, vec![0.1, 0.2, 0.3]);
        let mut network = |part: &Planes| {
            assert_eq!(part.values[..64], [0.1; 64]);
            Ok(part.clone())
        };
        let result = tiling(Tile::Side(64), 16, 8, 1).run(&dot, &mut network);
        assert_eq!(result.unwrap(), dot);
    }

    #[test]
    fn a_tile_that_is_too_large_is_halved_and_not_tried_again() {
        let picture = picture(100, 60);
        let mut sizes = Vec::new();
        let mut network = |part: &Planes| {
            sizes.push(part.width);
            if part.width > 40 {
                return Err(anyhow::Error::new(OutOfMemory).context("the first layer"));
            }
            Ok(part.clone())
        };
        let mut tiles = tiling(Tile::Auto, 32, 4, 1);
        for _ in 0..2 {
            let result = tiles.run(&picture, &mut network).unwrap();
            let pairs = result.values.iter().zip(&picture.values);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        }
        assert_eq!(&sizes[..3], [100, 48, 24]);
        assert!(sizes[3..].iter().all(|size| *size == 24), "{sizes:?}");
        let said = tiles.summary().unwrap();
        assert!(said.contains("24 pixels with an overlap of 6"), "{said}");

        let mut never = |_: &Planes| Err(OutOfMemory.into());
        for (tile, least) in [
            (Tile::Auto, "tile of 4 pixels"),
            (Tile::Side(48), "--tile auto"),
        ] {
            let error = tiling(tile, 8, 4, 1).run(&picture, &mut never).unwrap_err();
            let said = error.to_string();
            assert_eq!(crate::failure::exit_code(&error), 2);
            assert!(
                said.contains("not enough memory") && said.contains(least),
                "{said}"
            );
        }
        let mut other = |_: &Planes| anyhow::bail!("another mistake");
        let error = tiling(Tile::Auto, 8, 4, 1).run(&picture, &mut other);
        assert_eq!(error.unwrap_err().to_string(), "another mistake");
    }

    #[test]
    fn the_largest_tile_that_fits_is_taken() {
        let side = |width, height, free| {
            let tiles = tiling(Tile::Auto, 8, 4, 1).with_memory(free);
            let values = vec![0.0; 3 * width * height];
            tiles.fitting(&Planes::new(width, height, values)).min(9999)
        };
        // 60 % of it is for 10,000 pixels of 100 bytes each.
        assert_eq!(side(100, 100, || Some(1_666_667)), 9999);
        assert_eq!(side(100, 101, || Some(1_666_667)), 84);
        assert_eq!(side(3000, 3000, || None), 9999);
        // A strip of the result, 1,000 x 16 pixels of 24 bytes, is there beside the tile of 16 rows.
        assert_eq!(side(1000, 16, || Some(1_666_667)), 384);
        assert_eq!(side(1000, 1000, || Some(0)), 4);
        let tiles = tiling(Tile::Auto, 8, 4, 1).with_budget(1_000_000);
        let large = Planes::new(1000, 1000, vec![0.0; 3_000_000]);
        assert_eq!(
            tiles.clone().with_memory(|| Some(200_000)).fitting(&large),
            24
        );
        assert_eq!(tiles.with_memory(|| Some(1 << 40)).fitting(&large), 68);
    }

    #[test]
    fn tile_sizes_are_read_and_checked() {
        assert_eq!("auto".parse(), Ok(Tile::Auto));
        assert_eq!("512".parse(), Ok(Tile::Side(512)));
        for text in ["0", "-1", "big", ""] {
            assert!(text.parse::<Tile>().is_err(), "{text}");
        }
        let needs = Requirements {
            multiple: 4,
            least: 8,
            scale: 1,
            bytes_per_pixel: 1,
            reach: None,
        };
        let new = |side, tile_pad| {
            let tile = Tile::Side(side);
            let tile_pad = Some(tile_pad);
            Tiling::new(TileArguments { tile, tile_pad }, needs)
        };
        assert!(new(131, 32).is_ok());
        let said = new(127, 32).unwrap_err().to_string();
        assert!(
            said.contains("at most 31") && said.contains("--tile 128"),
            "{said}"
        );
        assert!(new(1, usize::MAX).is_err());
    }
}
