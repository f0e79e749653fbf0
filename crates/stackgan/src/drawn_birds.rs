//! Drawn birds with captions: a stand-in for CUB-200-2011 and its sentences when nothing has been downloaded.
//!
//! A bird is told by its [`Attributes`]: colour, size, shape, wings, bill and crest. [`draw`] paints one of the many
//! pictures that have them (pose, light and surroundings are chance), [`captions`] says them in ten sentences, each of
//! which determines every attribute. A fifth of the combinations of colour, size and shape is
//! [held out](Attributes::is_held_out), to see whether a network combines words that it has not met together.
//!
//! The bird is first put together from outlines, then it is painted over its surroundings with details that are a few pixels wide in a picture of 256 pixels and gone in one of 64.

mod captions;
mod figure;
mod plumage;
mod scene;

pub use captions::captions;

use figure::{Figure, Pose};
use gan_core::drawing::{Canvas, Placement};
use gan_core::random::Stream;
use image::RgbImage;
use scene::Scene;

/// The smallest side, in pixels, that [`draw`] draws; smaller requests are raised to it.
pub const SMALLEST_BIRD: u32 = 16;

/// The largest side, in pixels, that [`draw`] draws; larger requests are lowered to it.
pub const LARGEST_BIRD: u32 = 1024;

/// Declares an attribute: its values, and each value's name in words.
macro_rules! attribute {
    ($(#[$about:meta])* $kind:ident { $($(#[$detail:meta])* $value:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind {
            $(
                #[doc = concat!("In words: ", $name, ".")]
                $(#[$detail])*
                $value,
            )+
        }

        impl $kind {
            /// Every value, in the order of the indices.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// The value in words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }
    };
}

attribute! {
    /// The colour of the body.
    Colour {
        Red = "red",
        Orange = "orange",
        Yellow = "yellow",
        Green = "green",
        Blue = "blue",
        Purple = "purple",
        Pink = "pink",
        Brown = "brown",
        Black = "black",
        White = "white",
    }
}

attribute! {
    /// How much of the picture the bird takes.
    Size {
        /// 0.44 of the side, along the longer extent of the body.
        Small = "small",
        /// 0.58 of the side.
        Medium = "medium-sized",
        /// 0.75 of the side: whole where training cuts 64 pixels out of 76.
        Large = "large",
    }
}

attribute! {
    /// The silhouette.
    Shape {
        /// Round, leaning forward, with a long tail; on a branch or on the ground.
        Songbird = "songbird",
        /// A long neck and long legs; in shallow water or on the ground.
        Wader = "wader",
        /// A boat on the water, without legs.
        Duck = "duck",
        /// Upright with a large round head and two eyes that look at the viewer; on a branch.
        Owl = "owl",
    }
}

attribute! {
    /// The colour of the wings.
    Wings {
        Same = "the same colour",
        Black = "black",
        White = "white",
        Brown = "brown",
        Yellow = "yellow",
        Blue = "blue",
    }
}

attribute! {
    /// The form of the bill.
    Bill {
        Short = "short",
        Long = "long",
        Hooked = "hooked",
    }
}

attribute! {
    /// Whether plumes stand up from the head.
    Crest {
        Absent = "no crest",
        Present = "a crest",
    }
}

impl Wings {
    /// The colour of the wings of a bird whose body has the colour `body`.
    pub fn colour(self, body: Colour) -> Colour {
        match self {
            Self::Same => body,
            Self::Black => Colour::Black,
            Self::White => Colour::White,
            Self::Brown => Colour::Brown,
            Self::Yellow => Colour::Yellow,
            Self::Blue => Colour::Blue,
        }
    }
}

/// Everything about a bird that its captions tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The colour of the body.
    pub colour: Colour,
    /// How much of the picture the bird takes.
    pub size: Size,
    /// The silhouette.
    pub shape: Shape,
    /// The colour of the wings. One that is the colour of the body too is drawn and told as [`Wings::Same`], which
    /// [`Attributes::draw`] and [`Attributes::from_indices`] give instead.
    pub wings: Wings,
    /// The form of the bill.
    pub bill: Bill,
    /// Whether plumes stand up from the head.
    pub crest: Crest,
}

impl Attributes {
    /// The kinds of attributes with their numbers of values, in the order of [`Attributes::indices`].
    pub const KINDS: [(&str, usize); 6] = [
        ("colour", Colour::ALL.len()),
        ("size", Size::ALL.len()),
        ("shape", Shape::ALL.len()),
        ("wings", Wings::ALL.len()),
        ("bill", Bill::ALL.len()),
        ("crest", Crest::ALL.len()),
    ];

    /// The index of the value of each kind.
    pub fn indices(&self) -> [usize; 6] {
        [
            self.colour as usize,
            self.size as usize,
            self.shape as usize,
            self.told_wings() as usize,
            self.bill as usize,
            self.crest as usize,
        ]
    }

    /// The bird with these values, each index less than its number in [`Attributes::KINDS`].
    ///
    /// # Panics
    /// If an index is too large.
    pub fn from_indices([colour, size, shape, wings, bill, crest]: [usize; 6]) -> Self {
        let mut attributes = Self {
            colour: Colour::ALL[colour],
            size: Size::ALL[size],
            shape: Shape::ALL[shape],
            wings: Wings::ALL[wings],
            bill: Bill::ALL[bill],
            crest: Crest::ALL[crest],
        };
        attributes.wings = attributes.told_wings();
        attributes
    }

    /// A bird with uniformly random values, held out or not; among the wings those that differ from each other.
    pub fn draw(stream: &mut Stream) -> Self {
        let mut attributes =
            Self::from_indices(Self::KINDS.map(|(_, values)| stream.integers(1, values)[0]));
        let wings: Vec<Wings> = Wings::ALL
            .iter()
            .copied()
            .filter(|&wings| {
                wings == Wings::Same || wings.colour(attributes.colour) != attributes.colour
            })
            .collect();
        attributes.wings = wings[stream.integers(1, wings.len())[0]];
        attributes
    }

    /// Whether the combination of colour, size and shape is kept out of training, as 24 of the 120 are.
    ///
    /// Of the colours two are missing for each size and shape, and never two sizes of a colour and shape or two shapes
    /// of a colour and size: every pair of values occurs in training.
    pub fn is_held_out(&self) -> bool {
        (self.colour as usize + 2 * self.size as usize + self.shape as usize).is_multiple_of(5)
    }

    /// The wings as a caption tells them.
    fn told_wings(&self) -> Wings {
        if self.wings.colour(self.colour) == self.colour {
            Wings::Same
        } else {
            self.wings
        }
    }
}

/// A picture of a bird, and where the bird is.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Square, 8-bit sRGB.
    pub picture: RgbImage,
    /// Left, top, width and height in pixels, as CUB's: legs, tail, bill and crest are inside.
    pub bounding_box: [f64; 4],
}

/// Draws one bird with these attributes.
///
/// The picture has `side` pixels per side, brought into `16..=1024`. Pose, light and surroundings come from `stream`;
/// one state of it gives the same picture at every size.
pub fn draw(side: u32, attributes: &Attributes, stream: &mut Stream) -> Drawn {
    paint(side, attributes, stream, true)
}

/// The picture with its bird, or of the surroundings alone.
fn paint(side: u32, attributes: &Attributes, stream: &mut Stream, with_bird: bool) -> Drawn {
    let side = side.clamp(SMALLEST_BIRD, LARGEST_BIRD);
    let pose = Pose::draw(stream);
    let figure = Figure::new(attributes, &pose);
    let scene = Scene::draw(&figure, stream);
    let strokes = figure.strokes(stream);
    let mut canvas = Canvas::new(side as usize, Placement::STRAIGHT);
    scene.paint_behind(&mut canvas);
    if with_bird {
        figure.paint(&mut canvas, &strokes, scene.behind());
    }
    scene.paint_in_front(&mut canvas);
    let [left, top, right, bottom] = figure
        .extent()
        .map(|edge| f64::from(side) * (f64::from(edge.clamp(-1.0, 1.0)) + 1.0) / 2.0);
    Drawn {
        picture: canvas.average_down(|x, y, colour| scene.lit(x, y, colour)),
        bounding_box: [left, top, right - left, bottom - top],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::drawing::Colour as Rgb;
    use std::collections::{HashMap, HashSet};

    fn stream(number: u64) -> Stream {
        Stream::new(2, "bird", number)
    }

    fn birds(count: u64) -> impl Iterator<Item = (Attributes, Stream)> {
        (0..count).map(|number| {
            let mut stream = stream(number);
            (Attributes::draw(&mut stream), stream)
        })
    }

    fn combinations() -> Vec<Attributes> {
        let mut all = Vec::new();
        for colour in 0..10 {
            for size in 0..3 {
                for shape in 0..4 {
                    all.push(Attributes::from_indices([colour, size, shape, 0, 0, 0]));
                }
            }
        }
        all
    }

    /// The largest step of a channel at each pixel.
    fn steps(one: &RgbImage, other: &RgbImage) -> Vec<(u32, u32, u8)> {
        one.enumerate_pixels()
            .zip(other.pixels())
            .map(|((x, y, a), b)| {
                let steps = a.0.iter().zip(b.0).map(|(a, b)| a.abs_diff(b));
                (x, y, steps.max().unwrap_or(0))
            })
            .collect()
    }

    #[test]
    fn equal_arguments_give_equal_bytes() {
        for (attributes, stream) in birds(6) {
            let [one, other] = [1, 2].map(|_| draw(64, &attributes, &mut stream.clone()));
            assert_eq!(one.picture, other.picture);
            assert_eq!(one.bounding_box, other.bounding_box);
            let mut later = stream.clone();
            later.uniform(1, 0.0, 1.0);
            assert_ne!(one.picture, draw(64, &attributes, &mut later).picture);
        }
    }

    #[test]
    fn one_state_gives_the_same_bird_at_every_size() {
        for (attributes, mut stream) in birds(8) {
            let (large, mut after) = (draw(256, &attributes, &mut stream.clone()), stream.clone());
            let small = draw(64, &attributes, &mut stream);
            draw(16, &attributes, &mut after);
            assert_eq!(stream.integers(4, 1 << 30), after.integers(4, 1 << 30));
            let shrunk = image::imageops::thumbnail(&large.picture, 64, 64);
            let sum: u64 = small
                .picture
                .as_raw()
                .iter()
                .zip(shrunk.as_raw())
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum();
            assert!(sum < 3 * 64 * 64 * 2, "{attributes:?} {sum}");
            for (a, b) in large.bounding_box.iter().zip(small.bounding_box) {
                assert!((a - 4.0 * b).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn sizes_are_exact_and_limited() {
        let (attributes, stream) = (combinations()[0], stream(0));
        for (asked, given) in [(0, 16), (16, 16), (33, 33), (5000, 1024)] {
            let drawn = draw(asked, &attributes, &mut stream.clone());
            assert_eq!(drawn.picture.dimensions(), (given, given));
        }
    }

    #[test]
    fn a_fifth_is_held_out_and_every_pair_is_left() {
        let all = combinations();
        let held: HashSet<Attributes> = all
            .iter()
            .copied()
            .filter(Attributes::is_held_out)
            .collect();
        assert_eq!((held.len(), all.len()), (24, 120));
        let mut left: HashMap<(usize, usize, usize, usize), usize> = HashMap::new();
        for attributes in all.iter().filter(|bird| !held.contains(bird)) {
            let [colour, size, shape, ..] = attributes.indices();
            for pair in [
                (0, colour, 1, size),
                (0, colour, 2, shape),
                (1, size, 2, shape),
            ] {
                *left.entry(pair).or_default() += 1;
            }
        }
        assert_eq!(left.len(), 10 * 3 + 10 * 4 + 3 * 4);
        for ((first, _, second, _), count) in left {
            let least = match (first, second) {
                (0, 1) => 3,
                (0, _) => 2,
                _ => 8,
            };
            assert!(count >= least);
        }
        // Wings, bill and crest do not matter.
        for (attributes, _) in birds(100) {
            let [colour, size, shape, ..] = attributes.indices();
            let plain = Attributes::from_indices([colour, size, shape, 0, 0, 0]);
            assert_eq!(attributes.is_held_out(), plain.is_held_out());
        }
    }

    #[test]
    fn indices_and_values_are_the_same_thing() {
        let mut seen = [(); 6].map(|()| HashSet::new());
        for (attributes, _) in birds(500) {
            let indices = attributes.indices();
            assert_eq!(Attributes::from_indices(indices), attributes);
            for (seen, index) in seen.iter_mut().zip(indices) {
                seen.insert(index);
            }
        }
        assert_eq!(
            seen.map(|seen| seen.len()),
            Attributes::KINDS.map(|kind| kind.1)
        );
        // Black wings on a black bird are wings of the same colour.
        let black = Attributes::from_indices([8, 0, 0, 1, 0, 0]);
        assert_eq!((black.wings, black.indices()[3]), (Wings::Same, 0));
    }

    #[test]
    fn the_box_holds_the_bird_and_little_else() {
        for (attributes, stream) in birds(60) {
            let with = paint(128, &attributes, &mut stream.clone(), true);
            let without = paint(128, &attributes, &mut stream.clone(), false);
            assert_eq!(with.bounding_box, without.bounding_box);
            let [left, top, width, height] = with.bounding_box;
            let (right, bottom) = (left + width, top + height);
            let mut seen = [f64::MAX, f64::MAX, 0.0, 0.0];
            for (x, y, step) in steps(&with.picture, &without.picture) {
                if step > 0 {
                    let (x, y) = (f64::from(x), f64::from(y));
                    let inside = x + 1.0 >= left && x <= right && y + 1.0 >= top && y <= bottom;
                    assert!(inside, "{attributes:?}: {x} {y} of {:?}", with.bounding_box);
                    seen = [
                        seen[0].min(x),
                        seen[1].min(y),
                        seen[2].max(x + 1.0),
                        seen[3].max(y + 1.0),
                    ];
                }
            }
            for (seen, edge) in seen.into_iter().zip([left, top, right, bottom]) {
                assert!((seen - edge).abs() < 4.0, "{attributes:?}: {seen} {edge}");
            }
            // The bird is whole.
            assert!(left > 0.0 && top > 0.0 && right < 128.0 && bottom < 128.0);
        }
    }

    #[test]
    fn sizes_can_be_told_by_the_box() {
        for (attributes, mut stream) in birds(80) {
            let [_, _, width, height] = draw(64, &attributes, &mut stream).bounding_box;
            let share = width.max(height) / 64.0;
            let told = match attributes.size {
                Size::Small => 0.38..0.66,
                Size::Medium => 0.52..0.9,
                Size::Large => 0.7..0.97,
            };
            assert!(told.contains(&share), "{attributes:?} {share}");
        }
    }

    #[test]
    fn every_value_shows() {
        for (attributes, stream) in birds(12) {
            let picture = |indices| {
                let attributes = Attributes::from_indices(indices);
                draw(64, &attributes, &mut stream.clone()).picture
            };
            for (kind, (name, count)) in Attributes::KINDS.iter().enumerate() {
                let pictures: Vec<RgbImage> = (0..*count)
                    .map(|value| {
                        let mut indices = attributes.indices();
                        indices[kind] = value;
                        picture(indices)
                    })
                    .collect();
                let same_wings = |value: usize| {
                    let wings = || Wings::ALL[value].colour(attributes.colour);
                    *name == "wings" && wings() == attributes.colour
                };
                for one in 0..*count {
                    for other in 0..one {
                        if same_wings(one) && same_wings(other) {
                            continue;
                        }
                        let changed = steps(&pictures[one], &pictures[other])
                            .into_iter()
                            .filter(|(_, _, step)| *step > 24)
                            .count();
                        assert!(changed >= 5, "{attributes:?} {name}: {changed} pixels");
                    }
                }
            }
        }
    }

    #[test]
    fn bodies_have_the_colour_that_is_told_and_stand_out() {
        for (mut attributes, stream) in birds(120) {
            attributes.wings = Wings::Same;
            let with = paint(96, &attributes, &mut stream.clone(), true).picture;
            let without = paint(96, &attributes, &mut stream.clone(), false).picture;
            let (mut votes, mut apart, mut count) = ([0; 10], 0.0, 0.0_f32);
            for (x, y, step) in steps(&with, &without) {
                if step <= 6 {
                    continue;
                }
                let [own, behind] = [&with, &without].map(|picture| {
                    let bytes = picture.get_pixel(x, y).0;
                    Rgb(bytes.map(|channel| f32::from(channel) / 255.0))
                });
                apart += plumage::distance(own, behind);
                count += 1.0;
                let distance = |colour: &Colour| {
                    // Most of the plumage is in a little shade.
                    plumage::distance(plumage::plain(*colour).times([0.9; 3]), own)
                };
                let nearest = Colour::ALL
                    .iter()
                    .min_by(|a, b| distance(a).total_cmp(&distance(b)));
                votes[*nearest.unwrap() as usize] += 1;
            }
            assert!(apart / count > 0.3, "{attributes:?} {}", apart / count);
            let most = votes.iter().max();
            assert_eq!(
                most,
                Some(&votes[attributes.colour as usize]),
                "{attributes:?} {votes:?}"
            );
        }
    }
}
