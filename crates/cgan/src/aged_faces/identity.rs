//! What stays with a person, and what differs between two photographs.

use gan_core::drawing::Point;
use gan_core::random::Stream;

/// A person. Every attribute lies in `0..=1`; 0.5 is the middle of the range that occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// 1 for a style that is read as a woman's, 0 for a man's.
    pub(super) feminine: f32,
    /// From the lightest skin to the darkest.
    pub(super) skin_tone: f32,
    /// From a rosy to a golden skin.
    pub(super) skin_warmth: f32,
    pub(super) face_width: f32,
    pub(super) jaw_width: f32,
    pub(super) chin_length: f32,
    pub(super) cheek_fullness: f32,
    /// Brown, hazel, green, grey, blue.
    pub(super) eye_colour: f32,
    pub(super) eye_size: f32,
    pub(super) eye_distance: f32,
    /// From drooping to rising outer corners.
    pub(super) eye_slant: f32,
    pub(super) brow_thickness: f32,
    pub(super) brow_arch: f32,
    pub(super) nose_width: f32,
    pub(super) nose_length: f32,
    pub(super) mouth_width: f32,
    pub(super) lip_fullness: f32,
    pub(super) ear_size: f32,
    pub(super) hair_darkness: f32,
    pub(super) hair_redness: f32,
    /// From cropped to below the shoulders.
    pub(super) hair_length: f32,
    pub(super) hair_curl: f32,
    pub(super) hair_volume: f32,
    /// From the left to the right of the picture.
    pub(super) parting: f32,
    /// How much of the forehead the hair covers.
    pub(super) fringe: f32,
    /// 1 for hair tied up in a knot.
    pub(super) knot: f32,
    /// How much hair is lost in the end.
    pub(super) hair_loss: f32,
    /// From early to late greying; a few years between the two.
    pub(super) greying: f32,
    pub(super) freckles: f32,
    /// How dark the mole is; up to 0.6 there is none.
    pub(super) mole: f32,
    pub(super) mole_across: f32,
    pub(super) mole_down: f32,
    /// When glasses are worn: the lower, the earlier; from 0.5 never.
    pub(super) glasses_start: f32,
    /// From round to square lenses.
    pub(super) glasses_shape: f32,
    /// How dense the beard is; up to 0.5 there is none. Shows only with `feminine` 0.
    pub(super) beard: f32,
    /// The hue of the place where this person is photographed, in turns.
    pub(super) background_hue: f32,
    /// `-1..=1`: where freckles, spots and locks of hair lie.
    pub(super) details: [f32; DETAILS],
    race: u8,
}

const DETAILS: usize = 40;

/// How many attributes [`Identity::attributes`] gives.
const ATTRIBUTES: usize = 36;

impl Identity {
    /// The names of [`attributes`](Self::attributes), in their order.
    pub const ATTRIBUTES: [&str; ATTRIBUTES] = [
        "feminine",
        "skin-tone",
        "skin-warmth",
        "face-width",
        "jaw-width",
        "chin-length",
        "cheek-fullness",
        "eye-colour",
        "eye-size",
        "eye-distance",
        "eye-slant",
        "brow-thickness",
        "brow-arch",
        "nose-width",
        "nose-length",
        "mouth-width",
        "lip-fullness",
        "ear-size",
        "hair-darkness",
        "hair-redness",
        "hair-length",
        "hair-curl",
        "hair-volume",
        "parting",
        "fringe",
        "knot",
        "hair-loss",
        "greying",
        "freckles",
        "mole",
        "mole-across",
        "mole-down",
        "glasses-start",
        "glasses-shape",
        "beard",
        "background-hue",
    ];

    /// A random person. The number of values drawn does not depend on what is drawn.
    pub fn draw(stream: &mut Stream) -> Self {
        let mut details = [0.0; DETAILS];
        details.copy_from_slice(&stream.uniform(DETAILS, -1.0, 1.0));
        let numbers = stream.integers(2, 10);
        let feminine = (numbers[0] % 2) as f32;
        let uniform = stream.uniform(ATTRIBUTES, 0.0, 1.0);
        let mut next = uniform.into_iter();
        let mut draw = || next.next().unwrap_or(0.5);
        let skin_tone = draw();
        // Light hair and light eyes become rarer with darker skin, without a border anywhere.
        let darker = 0.8 * skin_tone;
        let eye_colour = draw().powf(1.0 + 2.5 * skin_tone);
        let hair_darkness = 1.0 - (1.0 - draw()) * (1.0 - darker);
        let length = draw();
        Self {
            feminine,
            skin_tone,
            skin_warmth: draw(),
            face_width: draw(),
            jaw_width: draw(),
            chin_length: draw(),
            cheek_fullness: draw(),
            eye_colour,
            eye_size: draw(),
            eye_distance: draw(),
            eye_slant: draw(),
            brow_thickness: draw(),
            brow_arch: draw(),
            nose_width: draw(),
            nose_length: draw(),
            mouth_width: draw(),
            lip_fullness: draw(),
            ear_size: draw(),
            hair_darkness,
            hair_redness: draw(),
            hair_length: if feminine > 0.5 {
                0.3 + 0.7 * length
            } else {
                0.4 * length * length
            },
            hair_curl: draw().powf(1.6),
            hair_volume: draw(),
            parting: draw(),
            fringe: draw(),
            knot: f32::from(draw() < 0.2 * feminine),
            hair_loss: draw() * (1.0 - 0.7 * feminine),
            greying: draw(),
            freckles: (1.6 * draw() - 0.6).max(0.0),
            mole: draw(),
            mole_across: draw(),
            mole_down: draw(),
            glasses_start: draw(),
            glasses_shape: draw(),
            beard: draw(),
            background_hue: draw(),
            details,
            race: (numbers[1] % 5) as u8,
        }
    }

    /// 0 (a man's style) or 1 (a woman's), as the second field of UTKFace's file names.
    pub fn gender(&self) -> u8 {
        u8::from(self.feminine > 0.5)
    }

    /// 0 to 4, for the third field of UTKFace's file names. It has no influence on the picture.
    pub fn race(&self) -> u8 {
        self.race
    }

    /// What can be seen of the person, each in `0..=1`: the distance between two such rows measures
    /// exactly how alike two persons are. [`ATTRIBUTES`](Self::ATTRIBUTES) has the names.
    ///
    /// Some show only at some ages: `hair-loss` and `greying` late, `beard` from 19 years,
    /// `glasses-start` and `glasses-shape` once glasses are worn, `mole-across` and `mole-down` with a
    /// mole.
    pub fn attributes(&self) -> Vec<f32> {
        self.clone().fields().iter().map(|field| **field).collect()
    }

    /// The attributes, in the order of their names.
    pub(super) fn fields(&mut self) -> [&mut f32; ATTRIBUTES] {
        [
            &mut self.feminine,
            &mut self.skin_tone,
            &mut self.skin_warmth,
            &mut self.face_width,
            &mut self.jaw_width,
            &mut self.chin_length,
            &mut self.cheek_fullness,
            &mut self.eye_colour,
            &mut self.eye_size,
            &mut self.eye_distance,
            &mut self.eye_slant,
            &mut self.brow_thickness,
            &mut self.brow_arch,
            &mut self.nose_width,
            &mut self.nose_length,
            &mut self.mouth_width,
            &mut self.lip_fullness,
            &mut self.ear_size,
            &mut self.hair_darkness,
            &mut self.hair_redness,
            &mut self.hair_length,
            &mut self.hair_curl,
            &mut self.hair_volume,
            &mut self.parting,
            &mut self.fringe,
            &mut self.knot,
            &mut self.hair_loss,
            &mut self.greying,
            &mut self.freckles,
            &mut self.mole,
            &mut self.mole_across,
            &mut self.mole_down,
            &mut self.glasses_start,
            &mut self.glasses_shape,
            &mut self.beard,
            &mut self.background_hue,
        ]
    }
}

/// What differs between two photographs of one person on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    pub(super) shift: Point,
    pub(super) scale: f32,
    /// Clockwise, in radians.
    pub(super) tilt: f32,
    /// How far the middle of the face moves as the head turns and nods.
    pub(super) turn: Point,
    /// `-1` lit from the left, `1` lit from the right.
    pub(super) light: f32,
    /// `0..=1`, from an overcast sky to a lamp.
    pub(super) light_strength: f32,
    /// Around 0; brighter above.
    pub(super) exposure: f32,
    /// Around 0; yellowish above.
    pub(super) white_balance: f32,
    /// From `-0.4` (serious) to `1` (a broad smile).
    pub(super) smile: f32,
    /// From closed lips to an open mouth, `0..=1`.
    pub(super) mouth_open: f32,
    pub(super) gaze: Point,
    /// Around 0: opening of the eyes.
    pub(super) eyes_wide: f32,
    /// Around 0: height of the brows.
    pub(super) brows_up: f32,
    /// Added to the hue of the person's background, in turns.
    pub(super) background_shift: f32,
    pub(super) background_lightness: f32,
    /// Direction of the gradient, in radians.
    pub(super) background_angle: f32,
    pub(super) clothes_hue: f32,
    pub(super) clothes_lightness: f32,
    /// Up to 0.33 a round neck, up to 0.66 a shirt, else a high collar.
    pub(super) collar: f32,
}

impl Shot {
    /// A random photograph. The number of values drawn is always the same.
    pub fn draw(stream: &mut Stream) -> Self {
        let normal: Vec<f32> = stream
            .normal(10)
            .into_iter()
            .map(|value| value.clamp(-2.2, 2.2))
            .collect();
        let uniform = stream.uniform(13, 0.0, 1.0);
        let expression = uniform[0];
        Self {
            shift: [0.03 * normal[0], 0.025 * normal[1]],
            scale: 1.1 + 0.1 * (uniform[1] - 0.5),
            tilt: 0.05 * normal[2],
            turn: [0.035 * normal[3], 0.012 * normal[4]],
            light: 2.0 * uniform[2] - 1.0,
            light_strength: uniform[3],
            exposure: 0.03 * normal[5],
            white_balance: 0.015 * normal[6],
            smile: -0.3 + 1.3 * expression,
            mouth_open: (uniform[4] * (0.3 + expression) - 0.35).clamp(0.0, 1.0),
            gaze: [0.4 * normal[7], 0.25 * normal[8]],
            eyes_wide: 0.4 * normal[9],
            brows_up: uniform[5] - 0.5,
            background_shift: 0.12 * (uniform[6] - 0.5),
            background_lightness: uniform[7],
            background_angle: std::f32::consts::TAU * uniform[8],
            clothes_hue: uniform[9],
            clothes_lightness: uniform[10],
            collar: uniform[11],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(count: u64) -> Vec<Identity> {
        (0..count)
            .map(|index| Identity::draw(&mut Stream::new(5, "identity", index)))
            .collect()
    }

    #[test]
    fn attributes_have_the_order_of_their_names() {
        let mut identity = people(1).remove(0);
        identity.skin_tone = 0.111;
        identity.mouth_width = 0.222;
        identity.greying = 0.333;
        identity.background_hue = 0.444;
        let attributes = identity.attributes();
        assert_eq!(attributes.len(), Identity::ATTRIBUTES.len());
        for (name, value) in [
            ("skin-tone", 0.111),
            ("mouth-width", 0.222),
            ("greying", 0.333),
            ("background-hue", 0.444),
        ] {
            let place = Identity::ATTRIBUTES.iter().position(|known| *known == name);
            assert_eq!(place.map(|place| attributes[place]), Some(value), "{name}");
        }
    }

    #[test]
    fn attributes_fill_their_range_and_do_not_follow_each_other() {
        let rows: Vec<Vec<f32>> = people(2000).iter().map(Identity::attributes).collect();
        let count = rows.len() as f32;
        let names = Identity::ATTRIBUTES;
        let standardised: Vec<Vec<f32>> = (0..names.len())
            .map(|place| {
                let column: Vec<f32> = rows.iter().map(|row| row[place]).collect();
                assert!(column.iter().all(|value| (0.0..=1.0).contains(value)));
                let mean = column.iter().sum::<f32>() / count;
                let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
                assert!(variance.sqrt() > 0.15, "{}: {variance}", names[place]);
                column
                    .iter()
                    .map(|v| (v - mean) / variance.sqrt())
                    .collect()
            })
            .collect();
        for first in 0..names.len() {
            for second in 0..first {
                let products = standardised[first].iter().zip(&standardised[second]);
                let correlation = products.map(|(a, b)| a * b).sum::<f32>() / count;
                // Women's hair is longer; light hair and eyes are rarer with dark skin.
                let limit = match (names[second], names[first]) {
                    ("feminine", "hair-length") => 0.9,
                    ("skin-tone", "hair-darkness" | "eye-colour") => 0.7,
                    ("feminine", "hair-loss" | "knot") => 0.75,
                    ("eye-colour", "hair-darkness") => 0.4,
                    ("hair-length", "hair-loss" | "knot") => 0.6,
                    ("knot", "hair-loss") => 0.3,
                    _ => 0.1,
                };
                assert!(
                    correlation.abs() < limit,
                    "{} and {}: {correlation}",
                    names[second],
                    names[first]
                );
            }
        }
    }

    #[test]
    fn the_fields_of_file_names_take_all_their_values() {
        let people = people(400);
        let count = |of: &dyn Fn(&Identity) -> bool| people.iter().filter(|p| of(p)).count();
        for gender in 0..2 {
            assert!(count(&|person| person.gender() == gender) > 150);
        }
        for race in 0..5 {
            assert!(count(&|person| person.race() == race) > 50);
        }
        assert_eq!(count(&|person| person.gender() > 1 || person.race() > 4), 0);
    }

    #[test]
    fn drawing_takes_the_same_number_of_values_every_time() {
        let mut streams = [3, 4].map(|seed| Stream::new(seed, "identity", 0));
        let lengths = streams.each_mut().map(|stream| {
            let start = stream.clone();
            Identity::draw(stream);
            Shot::draw(stream);
            let after = stream.uniform(1, 0.0, 1.0)[0];
            (0..400).find(|skipped| {
                let mut probe = start.clone();
                probe.uniform(*skipped, 0.0, 1.0);
                probe.uniform(1, 0.0, 1.0)[0] == after
            })
        });
        assert!(lengths[0].is_some());
        assert_eq!(lengths[0], lengths[1]);
    }
}
