//! Which pixels are missing: told by a picture, or by a name.

use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::images;
use gan_core::random::Stream;
use image::{Rgb, RgbImage};
use std::path::PathBuf;
use std::str::FromStr;

/// Which half of a picture is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// The upper one.
    Top,
    /// The lower one.
    Bottom,
}

/// What is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Mask {
    /// What is white in a picture.
    File(PathBuf),
    /// A square in the middle, whose side is this share of the picture's, in (0, 1).
    Center(f64),
    /// Each pixel with this probability, in (0, 1).
    Random(f64),
    /// One half.
    Half(Half),
}

/// The paper's "center block": half of the side.
const CENTER: f64 = 0.5;

/// The paper's "random 80 %".
const RANDOM: f64 = 0.8;

impl FromStr for Mask {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, share) = match text.split_once(':') {
            Some((name, share)) => (name, Some(share)),
            None => (text, None),
        };
        let share = |usual: f64| match share {
            None => Ok(usual),
            Some(share) => share
                .parse()
                .ok()
                .filter(|share| *share > 0.0 && *share < 1.0)
                .ok_or_else(|| format!("{share} is no share above 0 and below 1")),
        };
        Ok(match (name, text == name) {
            ("center", _) => Self::Center(share(CENTER)?),
            ("random", _) => Self::Random(share(RANDOM)?),
            ("left", true) => Self::Half(Half::Left),
            ("right", true) => Self::Half(Half::Right),
            ("top", true) => Self::Half(Half::Top),
            ("bottom", true) => Self::Half(Half::Bottom),
            _ => Self::File(text.into()),
        })
    }
}

impl Mask {
    /// Reads a file once, before anything else is done.
    ///
    /// # Errors
    /// As [`images::read`].
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::File(path) if !path.exists() => Err(failure(
                Kind::Data,
                format!(
                    "there is no mask {}: name a picture, or center, left, right, top, bottom or random",
                    path.display()
                ),
            )),
            Self::File(path) => images::read(path).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Which of `side * side` pixels are missing, of a picture that had `size` (width, height) pixels before its centre
    /// was cut out.
    ///
    /// # Errors
    /// [`Kind::Data`] when a file cannot be read, or has neither the size of the network nor that of the picture.
    pub fn missing(&self, side: usize, size: (u32, u32), seed: u64) -> Result<Vec<bool>> {
        let all = 0..side * side;
        Ok(match self {
            Self::Center(share) => {
                let length = ((share * side as f64).round() as usize).clamp(1, side - 1);
                let first = (side - length) / 2;
                let middle = first..first + length;
                all.map(|place| {
                    middle.contains(&(place % side)) && middle.contains(&(place / side))
                })
                .collect()
            }
            Self::Random(share) => {
                let draws = Stream::new(seed, "mask", 0).uniform(side * side, 0.0, 1.0);
                draws.iter().map(|draw| f64::from(*draw) < *share).collect()
            }
            Self::Half(half) => all
                .map(|place| match half {
                    Half::Left => place % side < side / 2,
                    Half::Right => place % side >= side / 2,
                    Half::Top => place / side < side / 2,
                    Half::Bottom => place / side >= side / 2,
                })
                .collect(),
            Self::File(path) => {
                let picture = images::to_rgb(&images::read(path)?);
                let own = side as u32;
                if picture.dimensions() != (own, own) && picture.dimensions() != size {
                    return Err(failure(
                        Kind::Data,
                        format!(
                            "{} has {} x {} pixels: a mask has those of its picture, {} x {}, or those that the network \
                             sees, {side} x {side}",
                            path.display(),
                            picture.width(),
                            picture.height(),
                            size.0,
                            size.1
                        ),
                    ));
                }
                // Cut as the picture is. A pixel of which a part is missing is missing: it has a colour of that part.
                let cut = images::square(&decided(&picture), own);
                cut.pixels().map(|pixel| pixel.0[0] > 0).collect()
            }
        })
    }
}

/// White where a mask is rather white than black: formats with losses blur it.
fn decided(mask: &RgbImage) -> RgbImage {
    RgbImage::from_fn(mask.width(), mask.height(), |x, y| {
        let sum: u32 = mask
            .get_pixel(x, y)
            .0
            .iter()
            .map(|value| u32::from(*value))
            .sum();
        Rgb([if sum >= 3 * 128 { 255 } else { 0 }; 3])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::exit_code;
    use image::{Rgba, RgbaImage};

    fn count(missing: &[bool]) -> usize {
        missing.iter().filter(|missing| **missing).count()
    }

    #[test]
    fn names_are_told_from_files() {
        assert_eq!("center".parse(), Ok(Mask::Center(0.5)));
        assert_eq!("center:0.25".parse(), Ok(Mask::Center(0.25)));
        assert_eq!("random".parse(), Ok(Mask::Random(0.8)));
        assert_eq!("top".parse(), Ok(Mask::Half(Half::Top)));
        for file in ["./center", "a.png", "left:2", "top.png"] {
            assert_eq!(file.parse(), Ok(Mask::File(file.into())));
        }
        for wrong in [
            "center:0",
            "random:1",
            "random:x",
            "center:-1",
            "random:NaN",
        ] {
            assert!(wrong.parse::<Mask>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn built_in_masks_cover_what_they_say() {
        let missing = |mask: Mask| mask.missing(32, (100, 80), 3).unwrap();
        let center = missing(Mask::Center(0.5));
        assert_eq!(count(&center), 16 * 16);
        assert!(center[8 * 32 + 8] && center[23 * 32 + 23] && !center[7 * 32 + 8]);
        for share in [0.001, 0.999] {
            let found = count(&missing(Mask::Center(share)));
            assert!(found > 0 && found < 1024, "{found}");
        }
        let random = count(&missing(Mask::Random(0.3))) as f64;
        assert!((random / 1024.0 - 0.3).abs() < 0.06, "{random}");
        assert_eq!(missing(Mask::Random(0.3)), missing(Mask::Random(0.3)));
        for half in [Half::Left, Half::Right, Half::Top, Half::Bottom] {
            assert_eq!(count(&missing(Mask::Half(half))), 512);
        }
        assert!(missing(Mask::Half(Half::Top))[0] && missing(Mask::Half(Half::Left))[32]);
    }

    #[test]
    fn masks_are_cut_as_their_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("mask.png");
        let mask = Mask::File(place.clone());
        // What lies left of the central square; and one pixel in the middle.
        RgbImage::from_fn(128, 64, |x, y| {
            let is_white = x < 24 || (x, y) == (64, 32);
            Rgb([if is_white { 255 } else { 0 }; 3])
        })
        .save(&place)
        .unwrap();
        let found = mask.missing(32, (128, 64), 0).unwrap();
        assert!(found[16 * 32 + 16], "a part of it is missing");
        assert!(count(&found) <= 4 && !found[0], "{}", count(&found));
        let error = mask.missing(32, (64, 64), 0).unwrap_err();
        assert_eq!(exit_code(&error), 3);
        let said = error.to_string();
        assert!(
            said.contains("128 x 64") && said.contains("64 x 64"),
            "{said}"
        );

        // Of the network's own size, for pictures of any; transparent is missing.
        RgbaImage::from_fn(32, 32, |x, _| Rgba([0, 0, 0, if x < 4 { 0 } else { 255 }]))
            .save(&place)
            .unwrap();
        let found = mask.missing(32, (500, 400), 0).unwrap();
        assert_eq!(count(&found), 4 * 32);
        assert!(found[3] && !found[4]);
    }
}
