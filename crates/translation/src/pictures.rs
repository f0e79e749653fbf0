//! Pictures for training: resized, cropped and mirrored the authors' way, several that belong together alike.

use gan_core::images::{planar, to_unit};
use gan_core::random::Stream;
use image::{RgbImage, imageops};

/// One training picture, or several that belong together: planar bytes, one after the other, all of one size.
pub type Sample = Vec<u8>;

/// A picture as `side` x `side` planar bytes with 1 or 3 channels: both sides are brought to that length, whatever
/// they were (the authors' `resize`), with an antialiased bicubic filter (a = -0.5, as Pillow's).
pub fn squeezed(picture: &RgbImage, side: u32, channels: usize) -> Sample {
    if picture.dimensions() == (side, side) {
        return planar(picture, channels);
    }
    let resized = imageops::resize(picture, side, side, imageops::FilterType::CatmullRom);
    planar(&resized, channels)
}

/// How a sample of `load` x `load` pixels becomes one of `crop` x `crop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Side before.
    pub load: usize,
    /// Side after, at most `load`.
    pub crop: usize,
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Whether left and right change places.
    pub mirrored: bool,
}

/// Whether samples are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flip {
    /// Half of them.
    Half,
    /// None.
    Never,
}

impl Cut {
    /// Draws where to cut.
    pub fn draw(load: usize, crop: usize, flip: Flip, stream: &mut Stream) -> Self {
        let offset = stream.integers(2, load - crop + 1);
        let mirrored = stream.integers(1, 2)[0] == 1;
        Self {
            load,
            crop,
            left: offset[0],
            top: offset[1],
            mirrored: mirrored && flip == Flip::Half,
        }
    }

    /// Appends the cut of each `load * load` plane of `planes`, in [-1, 1].
    pub fn append(&self, planes: &[u8], out: &mut Vec<f32>) {
        for plane in planes.chunks_exact(self.load * self.load) {
            for row in plane.chunks_exact(self.load).skip(self.top).take(self.crop) {
                let row = &row[self.left..self.left + self.crop];
                if self.mirrored {
                    out.extend(row.iter().rev().copied().map(to_unit));
                } else {
                    out.extend(row.iter().copied().map(to_unit));
                }
            }
        }
    }
}

/// Pictures of both domains for one step, in [-1, 1], planar, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Of domain A, or the inputs.
    pub a: Vec<f32>,
    /// Of domain B, or the targets.
    pub b: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(side: usize) -> Vec<u8> {
        (0..side * side).map(|number| number as u8).collect()
    }

    #[test]
    fn what_belongs_together_is_cut_alike() {
        let cut = Cut {
            load: 4,
            crop: 2,
            left: 1,
            top: 2,
            mirrored: true,
        };
        let mut out = Vec::new();
        cut.append(&[numbered(4), numbered(4)].concat(), &mut out);
        let bytes: Vec<u8> = out
            .iter()
            .map(|v| ((v + 1.0) * 127.5).round() as u8)
            .collect();
        assert_eq!(bytes, [10, 9, 14, 13, 10, 9, 14, 13]);
    }

    #[test]
    fn cuts_reach_every_place_and_both_ways() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..400 {
            let mut stream = Stream::new(3, "cut", number);
            let cut = Cut::draw(6, 4, Flip::Half, &mut stream);
            assert!(cut.left <= 2 && cut.top <= 2);
            seen.insert((cut.left, cut.top, cut.mirrored));
        }
        assert_eq!(seen.len(), 18);
        let never = Cut::draw(4, 4, Flip::Never, &mut Stream::new(1, "cut", 0));
        assert!(!never.mirrored && never.left == 0);
    }
}
