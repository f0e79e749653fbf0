//! What an age makes of an identity: every measure, colour and strength that the painting needs.

use super::Shaded;
use super::identity::{Identity, Shot};
use gan_core::drawing::{Colour, Point, between, ramp, smooth_ramp};

/// A person at an age in a photograph, measured in face units.
pub(super) struct Look<'a> {
    pub(super) identity: &'a Identity,
    pub(super) shot: &'a Shot,
    /// 1 at birth, 0 from 22 years.
    pub(super) childness: f32,
    /// 0 up to 15 years, 1 from 23.
    pub(super) maturity: f32,
    /// 0 up to 45 years, 1 from 85.
    pub(super) decline: f32,

    pub(super) half_width: f32,
    pub(super) top: f32,
    pub(super) chin: f32,
    /// Height of the widest part of the head.
    pub(super) widest: f32,
    /// Half the width at the corners of the jaw and beside the chin.
    pub(super) jaw: f32,
    pub(super) chin_width: f32,
    /// How far the lower cheek hangs.
    pub(super) jowl: f32,

    pub(super) eye: Point,
    pub(super) eye_half: f32,
    pub(super) eye_open: f32,
    pub(super) eye_slant: f32,
    pub(super) iris_radius: f32,
    /// How far the outer part of the lid hangs.
    pub(super) lid_droop: f32,
    pub(super) brow_y: f32,
    pub(super) brow_thickness: f32,
    pub(super) nose_y: f32,
    pub(super) nose_half: f32,
    pub(super) mouth_y: f32,
    pub(super) mouth_half: f32,
    pub(super) lip_height: f32,
    pub(super) ear: Point,

    pub(super) hairline: f32,
    /// How far the corners of the forehead have risen.
    pub(super) recession: f32,
    /// Share of the crown that shows the scalp.
    pub(super) baldness: f32,
    /// How densely hair covers the head.
    pub(super) hair_density: f32,
    pub(super) hair_volume: f32,
    pub(super) hair_length: f32,
    pub(super) fringe: f32,
    pub(super) beard: f32,
    pub(super) glasses: f32,

    pub(super) skin: Colour,
    pub(super) hair: Colour,
    pub(super) grey_hair: Colour,
    /// Share of grey hair, on the whole head.
    pub(super) grey: f32,
    pub(super) brow: Colour,
    pub(super) iris: Colour,
    pub(super) lips: Colour,

    pub(super) blush: f32,
    pub(super) wrinkles: Wrinkles,
}

/// Depths `0..=1` of the lines that age draws.
pub(super) struct Wrinkles {
    pub(super) forehead: [f32; 3],
    pub(super) between_brows: f32,
    pub(super) crow_feet: f32,
    pub(super) under_eye: f32,
    pub(super) eye_bag: f32,
    pub(super) beside_nose: f32,
    pub(super) beside_mouth: f32,
    pub(super) cheek: f32,
    pub(super) hollow: f32,
    pub(super) lip_lines: f32,
    pub(super) neck: f32,
    pub(super) spots: f32,
}

impl Wrinkles {
    fn at(age: f32) -> Self {
        // Lines deepen in spells: each row is a share of the depth and the years it takes.
        let depth = |spells: &[[f32; 3]]| -> f32 {
            spells
                .iter()
                .map(|[share, start, end]| share * ramp(age, *start, *end))
                .sum()
        };
        Self {
            forehead: [
                depth(&[
                    [0.3, 26.0, 34.0],
                    [0.3, 36.0, 44.0],
                    [0.25, 46.0, 54.0],
                    [0.15, 56.0, 64.0],
                ]),
                depth(&[[0.5, 36.0, 44.0], [0.3, 46.0, 54.0], [0.2, 56.0, 64.0]]),
                depth(&[[0.5, 46.0, 54.0], [0.5, 56.0, 66.0]]),
            ],
            between_brows: depth(&[[0.4, 36.0, 45.0], [0.6, 45.0, 70.0]]),
            crow_feet: depth(&[[0.45, 35.0, 44.0], [0.55, 46.0, 68.0]]),
            under_eye: depth(&[[0.7, 26.0, 34.0], [0.3, 34.0, 50.0]]),
            eye_bag: depth(&[[0.35, 36.0, 45.0], [0.3, 46.0, 54.0], [0.35, 56.0, 68.0]]),
            beside_nose: depth(&[[0.4, 26.0, 34.0], [0.2, 36.0, 44.0], [0.4, 46.0, 70.0]]),
            beside_mouth: depth(&[[0.5, 46.0, 54.0], [0.5, 56.0, 68.0]]),
            cheek: depth(&[[0.5, 56.0, 66.0], [0.5, 66.0, 85.0]]),
            hollow: depth(&[[0.45, 25.0, 35.0], [0.55, 35.0, 66.0]]),
            lip_lines: depth(&[[1.0, 57.0, 80.0]]),
            neck: depth(&[[1.0, 40.0, 80.0]]),
            spots: depth(&[[0.35, 54.0, 63.0], [0.65, 63.0, 86.0]]),
        }
    }
}

/// From the lightest to the darkest.
const SKIN_TONES: [Colour; 7] = [
    Colour([0.99, 0.87, 0.80]),
    Colour([0.97, 0.82, 0.72]),
    Colour([0.93, 0.75, 0.62]),
    Colour([0.85, 0.65, 0.50]),
    Colour([0.74, 0.53, 0.39]),
    Colour([0.61, 0.42, 0.30]),
    Colour([0.47, 0.31, 0.22]),
];

/// From the lightest to the darkest, without and with red.
const HAIR_COLOURS: [Colour; 5] = [
    Colour([0.88, 0.76, 0.52]),
    Colour([0.68, 0.52, 0.33]),
    Colour([0.45, 0.31, 0.20]),
    Colour([0.27, 0.18, 0.13]),
    Colour([0.13, 0.11, 0.12]),
];
const RED_HAIR_COLOURS: [Colour; 5] = [
    Colour([0.93, 0.68, 0.42]),
    Colour([0.82, 0.45, 0.22]),
    Colour([0.58, 0.26, 0.14]),
    Colour([0.36, 0.16, 0.11]),
    Colour([0.17, 0.09, 0.09]),
];

const IRIS_COLOURS: [Colour; 6] = [
    Colour([0.25, 0.14, 0.08]),
    Colour([0.43, 0.25, 0.12]),
    Colour([0.50, 0.40, 0.18]),
    Colour([0.33, 0.50, 0.30]),
    Colour([0.40, 0.52, 0.58]),
    Colour([0.24, 0.48, 0.76]),
];

/// An attribute as `-1..=1`.
fn signed(attribute: f32) -> f32 {
    2.0 * attribute - 1.0
}

impl<'a> Look<'a> {
    pub(super) fn new(identity: &'a Identity, age: f32, shot: &'a Shot) -> Self {
        let childness = (1.0 - age / 22.0).max(0.0).powf(1.2);
        let maturity = smooth_ramp(age, 15.0, 23.0);
        let decline = ramp(age, 45.0, 85.0);
        let adult_years = ramp(age, 20.0, 85.0);
        let feminine = identity.feminine * maturity;
        let masculine = (1.0 - identity.feminine) * maturity;
        // A person's proportions show less in a child.
        let own = 0.55 + 0.45 * maturity;

        let half_width = between(0.55, 0.585, childness) + 0.048 * signed(identity.face_width)
            - 0.012 * feminine;
        let top = between(-0.75, -0.71, childness);
        let chin = between(0.79, 0.61, childness)
            + 0.045 * own * signed(identity.chin_length)
            + 0.012 * masculine
            + 0.02 * decline;
        let eye_y = between(0.0, 0.13, childness);
        let nose_y = eye_y
            + between(0.325, 0.18, childness)
            + 0.035 * own * signed(identity.nose_length)
            + 0.045 * adult_years;
        let mouth_y = nose_y + (chin - nose_y) * between(0.38, 0.40, childness);
        let cheeks = signed(identity.cheek_fullness);
        let jaw = half_width
            * (between(0.775, 0.85, childness)
                + 0.045 * own * signed(identity.jaw_width)
                + 0.03 * masculine
                - 0.035 * feminine
                - 0.02 * ramp(age, 25.0, 35.0));
        let jowl = smooth_ramp(age, 42.0, 80.0);

        let eye_open = between(0.062, 0.088, childness)
            * (1.0 + 0.17 * signed(identity.eye_size) + 0.12 * shot.eyes_wide)
            * (1.0 - 0.3 * ramp(age, 28.0, 85.0));
        let brow_gap = between(0.155, 0.185, childness) + 0.012 * feminine;

        let grey = smooth_ramp(age + 5.0 * (0.5 - identity.greying), 39.0, 70.0);
        let red = identity.hair_redness * identity.hair_redness;
        // Children's hair is lighter.
        let darkness = identity.hair_darkness * (1.0 - 0.12 * childness);
        let hair = Colour::along(&HAIR_COLOURS, darkness)
            .mix(Colour::along(&RED_HAIR_COLOURS, darkness), red);
        let grey_hair = Colour([0.66, 0.66, 0.68])
            .mix(hair, 0.12)
            .mix(Colour([0.93, 0.93, 0.93]), smooth_ramp(age, 52.0, 72.0));
        let loss = smooth_ramp(identity.hair_loss, 0.35, 0.95);
        let skin = skin(identity, decline);

        Self {
            identity,
            shot,
            childness,
            maturity,
            decline,
            half_width,
            top,
            chin,
            widest: between(-0.06, 0.04, childness),
            jaw: jaw + 0.008 * jowl,
            chin_width: 0.185
                * (1.0 + 0.2 * signed(identity.jaw_width) * own)
                * between(1.0, 1.06, childness)
                * (1.0 + 0.1 * masculine - 0.1 * feminine),
            jowl,
            eye: [
                half_width * 0.45 + 0.03 * signed(identity.eye_distance),
                eye_y,
            ],
            eye_half: between(0.125, 0.142, childness) * (1.0 + 0.1 * signed(identity.eye_size)),
            eye_open,
            eye_slant: 0.028 * signed(identity.eye_slant),
            iris_radius: between(0.064, 0.08, childness) * (1.0 + 0.07 * signed(identity.eye_size)),
            lid_droop: 0.03 * ramp(age, 32.0, 85.0),
            brow_y: eye_y - brow_gap + 0.02 * ramp(age, 30.0, 80.0) - 0.018 * shot.brows_up,
            brow_thickness: between(0.018, 0.04, maturity)
                * (1.0 + 0.5 * signed(identity.brow_thickness))
                * (1.0 + 0.2 * masculine - 0.22 * feminine),
            nose_y,
            nose_half: between(0.098, 0.07, childness)
                * (1.0 + 0.28 * own * signed(identity.nose_width))
                * (1.0 + 0.06 * masculine - 0.04 * feminine)
                * (1.0 + 0.22 * adult_years),
            mouth_y,
            mouth_half: between(0.185, 0.115, childness)
                * (1.0 + 0.17 * signed(identity.mouth_width)),
            lip_height: between(0.043, 0.034, childness)
                * (1.0 + 0.36 * signed(identity.lip_fullness))
                * (1.0 + 0.1 * feminine)
                * (1.0 - 0.6 * ramp(age, 30.0, 84.0)),
            ear: [
                0.075,
                between(0.15, 0.12, childness)
                    * (1.0 + 0.25 * signed(identity.ear_size))
                    * (1.0 + 0.22 * decline),
            ],
            hairline: top + between(0.30, 0.27, childness) - 0.02 * ramp(age, 25.0, 70.0)
                + 0.02 * feminine
                - 0.05 * (1.0 - ramp(age, 0.0, 5.0)),
            recession: loss * smooth_ramp(age, 26.0, 62.0),
            baldness: loss * smooth_ramp(age, 38.0, 76.0),
            hair_density: ramp(age, -1.5, 4.5) * (1.0 - 0.2 * decline),
            hair_volume: (0.03
                + 0.09 * identity.hair_volume
                + 0.08 * identity.hair_curl * identity.hair_volume
                + 0.015 * identity.feminine)
                * ramp(age, -1.5, 6.0)
                * (1.0 - 0.45 * decline)
                * (1.0 - 0.75 * loss * smooth_ramp(age, 38.0, 70.0)),
            hair_length: identity.hair_length * ramp(age, 0.0, 9.0) * (1.0 - 0.35 * decline),
            fringe: identity.fringe
                * (0.75 + 0.25 * identity.feminine)
                * ramp(age, 0.0, 4.0)
                * (1.0 - 0.75 * ramp(age, 22.0, 48.0))
                * (1.0 - loss * smooth_ramp(age, 30.0, 60.0)),
            beard: masculine * ramp(identity.beard, 0.5, 1.0) * smooth_ramp(age, 19.0, 28.0),
            glasses: glasses(identity, age),
            skin,
            hair,
            grey_hair,
            grey,
            brow: hair
                .shaded(0.3)
                .mix(grey_hair, 0.85 * smooth_ramp(age, 48.0, 70.0)),
            iris: Colour::along(&IRIS_COLOURS, identity.eye_colour),
            lips: skin
                .times([
                    0.90 - 0.02 * feminine,
                    0.66 - 0.07 * feminine,
                    0.66 - 0.05 * feminine,
                ])
                .mix(skin.shaded(0.16), 0.55 * ramp(age, 35.0, 80.0)),
            blush: (0.85 * childness + 0.3 * feminine + 0.18)
                * (1.0 - 0.5 * ramp(age, 25.0, 35.0) - 0.3 * decline)
                + 0.15 * cheeks,
            wrinkles: Wrinkles::at(age),
        }
    }

    /// The colour of hair at a position: the temples grey first.
    pub(super) fn hair_at(&self, x: f32, y: f32) -> Colour {
        let beside = (x.abs() / self.half_width).min(1.2) + 0.5 * (y + 0.3).max(0.0);
        let share = (self.grey * 1.7 + 0.7 * (beside - 1.0) * self.grey.sqrt()).clamp(0.0, 1.0);
        let share = share * ramp(self.grey, 0.0, 0.1);
        let away = (0.5 - 0.55 * x * self.shot.light).clamp(0.0, 1.0);
        self.hair
            .mix(self.grey_hair, share)
            .shaded(0.28 * away * (0.4 + 0.6 * self.shot.light_strength))
    }

    /// The colour of lines on skin.
    pub(super) fn skin_line(&self) -> Colour {
        self.skin.shaded(0.5)
    }
}

fn skin(identity: &Identity, decline: f32) -> Colour {
    let tone = Colour::along(&SKIN_TONES, identity.skin_tone);
    let warmth = signed(identity.skin_warmth);
    let tone = tone.times([1.0, 1.0 + 0.018 * warmth, 1.0 - 0.07 * warmth]);
    let grey = tone.brightness();
    tone.mix(Colour([grey * 1.02, grey, grey * 0.97]), 0.2 * decline)
}

/// How far glasses are put on: 0 or 1, but for the year in which they are first worn.
fn glasses(identity: &Identity, age: f32) -> f32 {
    if identity.glasses_start >= 0.5 {
        return 0.0;
    }
    let start = between(7.0, 68.0, ramp(identity.glasses_start, 0.05, 0.5));
    ramp(age, start, start + 1.0)
}
