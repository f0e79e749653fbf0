//! Letters of straight strokes.

use super::canvas::{Point, stroke};
use super::one_of;
use rand::{Rng, RngExt};

/// Words for signs, in all lengths.
const WORDS: [&str; 28] = [
    "CAFE", "BOOKS", "HOTEL", "BAKERY", "MARKET", "NORTH", "OPEN", "LIBRARY", "TEA", "RIVER",
    "GARDEN", "STATION", "MUSEUM", "EXIT", "SALE", "PAPER", "LIGHT", "WINTER", "ATLAS", "QUAY",
    "JAZZ", "ZOO", "PIANO", "24", "1987", "360", "EXPRESS", "KITCHEN",
];

/// The strokes of a letter: points as column (0 to 4) and row (0 to 6), strokes divided by commas.
fn strokes(letter: u8) -> &'static str {
    match letter {
        b'A' => "06 20 46,14 34",
        b'B' => "03 33 44 45 36 06 00 30 41 42 33",
        b'C' => "41 30 10 01 05 16 36 45",
        b'D' => "00 06 26 44 42 20 00",
        b'E' => "40 00 06 46,03 33",
        b'F' => "40 00 06,03 33",
        b'G' => "41 30 10 01 05 16 36 45 43 23",
        b'H' => "00 06,40 46,03 43",
        b'I' => "20 26",
        b'J' => "40 45 36 16 05",
        b'K' => "00 06,40 03 46",
        b'L' => "00 06 46",
        b'M' => "06 00 23 40 46",
        b'N' => "06 00 46 40",
        b'O' | b'0' => "10 30 41 45 36 16 05 01 10",
        b'P' => "06 00 30 41 42 33 03",
        b'Q' => "10 30 41 45 36 16 05 01 10,24 46",
        b'R' => "06 00 30 41 42 33 03,23 46",
        b'S' => "41 30 10 01 02 13 33 44 45 36 16 05",
        b'T' => "00 40,20 26",
        b'U' => "00 05 16 36 45 40",
        b'V' => "00 26 40",
        b'W' => "00 16 22 36 40",
        b'X' => "00 46,40 06",
        b'Y' => "00 23 40,23 26",
        b'Z' => "00 40 06 46",
        b'1' => "11 20 26,16 36",
        b'2' => "01 10 30 41 42 06 46",
        b'3' => "00 40 23 33 44 45 36 16 05",
        b'4' => "36 30 04 44",
        b'5' => "40 00 02 32 43 45 36 06",
        b'6' => "30 11 02 05 16 36 45 44 33 03",
        b'7' => "00 40 16",
        b'8' => "13 33 44 45 36 16 05 04 13 02 01 10 30 41 42 33",
        _ => "16 35 44 41 30 10 01 02 13 43",
    }
}

/// A word for a sign.
pub(super) fn word(rng: &mut impl Rng) -> Vec<u8> {
    one_of(rng, WORDS).as_bytes().to_vec()
}

/// `count` letters of small print.
pub(super) fn letters(rng: &mut impl Rng, count: usize) -> Vec<u8> {
    // About as often as in English.
    const COMMON: &[u8] = b"EEEEEETTTTAAAAOOOOIIINNNSSSHHHRRRDDLLUUCMWFGYPBVK";
    (0..count)
        .map(|_| COMMON[rng.random_range(0..COMMON.len())])
        .collect()
}

/// How a word is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    /// Upper left corner of the first letter.
    pub(super) place: Point,
    /// Height of a letter.
    pub(super) height: f32,
    /// Width of a letter, of its height.
    pub(super) width: f32,
    /// Width of a stroke, of the height.
    pub(super) weight: f32,
    /// Which way the line of letters goes.
    pub(super) angle: f32,
    /// By how much letters lean to the right, of their height.
    pub(super) slant: f32,
}

impl Hand {
    /// How long a word of so many letters gets.
    pub(super) fn length(&self, letters: usize) -> f32 {
        (letters as f32 * 1.36 - 0.36) * self.width * self.height
    }

    /// The outlines of a word.
    pub(super) fn outlines(&self, word: &[u8]) -> Vec<Vec<Point>> {
        let (sine, cosine) = self.angle.sin_cos();
        let mut outlines = Vec::new();
        for (number, letter) in word.iter().enumerate() {
            for line in strokes(*letter).split(',') {
                let points: Vec<Point> = line
                    .split(' ')
                    .map(|point| {
                        let digit = |at: usize| f32::from(point.as_bytes()[at] - b'0');
                        let [column, row] = [digit(0) / 4.0, digit(1) / 6.0];
                        let x =
                            (number as f32 * 1.36 + column) * self.width + self.slant * (1.0 - row);
                        let [x, y] = [x * self.height, row * self.height];
                        [
                            self.place[0] + cosine * x - sine * y,
                            self.place[1] + sine * x + cosine * y,
                        ]
                    })
                    .collect();
                outlines.extend(stroke(&points, self.weight * self.height, 1.0));
            }
        }
        outlines
    }
}
