//! The palettes and textures of the two domains.

use super::survey::{Material, Point, SAMPLES};
use super::{LARGEST_SCENE, SMALLEST_SCENE, Scene, blend, hash};
use image::{Rgb, RgbImage};

/// An sRGB colour, each channel `0..=1`.
type Colour = [f32; 3];

fn mix(from: Colour, to: Colour, fraction: f32) -> Colour {
    std::array::from_fn(|channel| blend(from[channel], to[channel], fraction))
}

/// Which of the two domains a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Domain {
    Photograph,
    Painting,
}

/// Per variant: the colour in shadow and the colour in light.
struct Palette {
    photograph: [[Colour; 2]; 2],
    painting: [[Colour; 2]; 2],
}

/// Two colours from two hexadecimal numbers `0xRRGGBB`.
const fn pair(shadow: u32, light: u32) -> [Colour; 2] {
    const fn colour(bits: u32) -> Colour {
        [
            ((bits >> 16) & 255) as f32 / 255.0,
            ((bits >> 8) & 255) as f32 / 255.0,
            (bits & 255) as f32 / 255.0,
        ]
    }
    [colour(shadow), colour(light)]
}

/// One palette per [`Material`], in its order.
#[rustfmt::skip]
const PALETTES: [Palette; 15] = [
    Palette { photograph: [pair(0x4F82B8, 0xBED4E6), pair(0x64799F, 0xE3CDB8)], painting: [pair(0x8496EA, 0xFCE2A4), pair(0x9A74C4, 0xFFB060)] },
    Palette { photograph: [pair(0xA4AFBD, 0xF7F9FA), pair(0x94949F, 0xF4E4D6)], painting: [pair(0xBE98CC, 0xFFF2D6), pair(0xAE70A6, 0xFFD09A)] },
    Palette { photograph: [pair(0x3A4550, 0x949694), pair(0x1E362C, 0x5A7350)], painting: [pair(0x42267C, 0xEA8A86), pair(0x1E4478, 0x9CA656)] },
    Palette { photograph: [pair(0x9FB2CA, 0xF3F6FA), pair(0x94A0B8, 0xF2E6DC)], painting: [pair(0x8E7CD0, 0xFFE6D8), pair(0x8A66B8, 0xFFC8A0)] },
    Palette { photograph: [pair(0x25401D, 0x7C9346), pair(0x554A2C, 0xB8A570)], painting: [pair(0x2F6E6A, 0xE2CE4E), pair(0x9A5662, 0xFFBE58)] },
    Palette { photograph: [pair(0x6E2A28, 0xB44A40), pair(0x8C8A70, 0xDEDCCB)], painting: [pair(0xB02850, 0xFA4638), pair(0xC79AD0, 0xFFF0C0)] },
    Palette { photograph: [pair(0x16303F, 0x6A8A9A), pair(0x262F42, 0x8E8A92)], painting: [pair(0x2A5E8E, 0x96C8BE), pair(0x34508E, 0xF2B08C)] },
    Palette { photograph: [pair(0x0E2010, 0x58793A), pair(0x372410, 0xAC7630)], painting: [pair(0x1E3272, 0x8CB842), pair(0x6C2058, 0xFF8E2E)] },
    Palette { photograph: [pair(0x0B1C18, 0x3A5A44), pair(0x16201A, 0x52603E)], painting: [pair(0x1A206A, 0x3E8C8A), pair(0x32206A, 0x7A9470)] },
    Palette { photograph: [pair(0x1E1A16, 0x5E5244), pair(0x14181C, 0x30383E)], painting: [pair(0x381A52, 0x9E6274), pair(0x2A1C5E, 0x4A4690)] },
    Palette { photograph: [pair(0x94989C, 0xE6E4DC), pair(0xA8AEB4, 0xF5F5F2)], painting: [pair(0x8E76C2, 0xFFDEB6), pair(0xC49CCE, 0xFFF2CE)] },
    Palette { photograph: [pair(0x402620, 0x86503E), pair(0x343A42, 0x6E7680)], painting: [pair(0x822250, 0xF46E3A), pair(0x38308C, 0x847ED8)] },
    Palette { photograph: [pair(0x645A4C, 0xB4AA96), pair(0x5C4A2C, 0xC0A268)], painting: [pair(0xA27498, 0xFACCA2), pair(0x8A3A78, 0xFFB648)] },
    Palette { photograph: [pair(0xB4C6D8, 0xB4C6D8), pair(0xD0C4BA, 0xD0C4BA)], painting: [pair(0xC2A0D6, 0xC2A0D6), pair(0xEE9C98, 0xEE9C98)] },
    Palette { photograph: [pair(0xFFFDF4, 0xFFFDF4), pair(0xFFEFD2, 0xFFEFD2)], painting: [pair(0xFFE27A, 0xFFE27A), pair(0xFF8038, 0xFF8038)] },
];

fn pigment(material: Material, tint: f32, shade: f32, domain: Domain) -> Colour {
    let palette = &PALETTES[material as usize];
    let variants = match domain {
        Domain::Photograph => &palette.photograph,
        Domain::Painting => &palette.painting,
    };
    let [plain, tinted] = variants.map(|[shadow, light]| mix(shadow, light, shade.clamp(0.0, 1.0)));
    mix(plain, tinted, tint)
}

impl Scene {
    fn colour(&self, point: &Point, shade: f32, domain: Domain) -> Colour {
        let evening = self.evening;
        let own = pigment(point.material, point.tint, shade, domain);
        let seen = match point.material {
            Material::Sky => {
                let own = pigment(Material::Sky, evening, shade, domain);
                let light = pigment(Material::Sun, evening, 1.0, domain);
                let own = mix(own, light, point.tint.min(1.0));
                let lit = point.haze + shade - point.shade;
                let cloud = pigment(Material::Cloud, evening, lit, domain);
                mix(own, cloud, point.cover * (1.0 - 0.5 * point.tint))
            }
            material => {
                let covered = match material {
                    Material::Mountain if point.cover > 0.0 => mix(
                        own,
                        pigment(Material::Snow, evening, shade + 0.1, domain),
                        point.cover,
                    ),
                    Material::Meadow if point.cover > 0.0 => mix(
                        own,
                        pigment(Material::Flower, 0.0, shade + 0.2, domain),
                        point.cover,
                    ),
                    _ => own,
                };
                mix(
                    covered,
                    pigment(Material::Haze, evening, 0.0, domain),
                    point.haze,
                )
            }
        };
        if point.wet == 0.0 {
            return seen;
        }
        mix(
            seen,
            pigment(Material::Water, evening, 0.5 + shade - point.shade, domain),
            point.wet,
        )
    }

    /// The scene as a camera sees it: `side` pixels wide and high, 8-bit sRGB.
    ///
    /// `side` is brought into `64..=512`.
    pub fn photograph(&self, side: u32) -> RgbImage {
        let side = side.clamp(SMALLEST_SCENE, LARGEST_SCENE) as usize;
        let survey = self.survey(side * SAMPLES);
        let share = 1.0 / (SAMPLES * SAMPLES) as f32;
        picture(side, |column, row| {
            let mut sum = [0.0; 3];
            for point in survey.within(column, row) {
                let colour = self.colour(point, point.shade, Domain::Photograph);
                sum = std::array::from_fn(|channel| sum[channel] + colour[channel] * share);
            }
            let seed = self.seed ^ 0x0F07_0000;
            let grain =
                hash(seed, column as i32, row as i32) + hash(seed ^ 1, column as i32, row as i32);
            sum.map(|value| value + 0.022 * (grain - 1.0))
        })
    }

    /// The scene as an impressionist paints it: `side` pixels wide and high, 8-bit sRGB.
    ///
    /// `side` is brought into `64..=512`. Strokes grow with the picture.
    pub fn painting(&self, side: u32) -> RgbImage {
        let side = side.clamp(SMALLEST_SCENE, LARGEST_SCENE) as usize;
        let survey = self.survey(side * SAMPLES);
        let mut canvas = Canvas {
            side,
            pixels: Vec::with_capacity(side * side),
            things: Vec::with_capacity(side * side),
        };
        for index in 0..side * side {
            let points = survey.within(index % side, index / side);
            let colour = self.colour(points[0], points[0].shade, Domain::Painting);
            canvas.pixels.push(colour);
            canvas.things.push(points.map(|point| point.thing));
        }
        for (pass, &[length, width, spacing]) in STROKES.iter().enumerate() {
            let across = (1.0 / spacing) as u32;
            let count = across * across;
            for number in 0..count {
                // A step that shares no divisor with the count visits every place, in no order.
                let place = (u64::from(number) * 1_000_003 % u64::from(count)) as u32;
                let seed = self.seed.wrapping_add(0x1000 * (pass as u32 + 1));
                let draw = |what: i32| hash(seed, place as i32, what);
                let x = ((place % across) as f32 + draw(0)) / across as f32;
                let y = ((place / across) as f32 + draw(1)) / across as f32;
                let point = survey.at(x, y);
                let shade = point.shade.clamp(0.0, 1.0) + 0.34 * (draw(2) - 0.5);
                let mut colour = self.colour(point, shade, Domain::Painting);
                // Broken colour: next to each other lie warm touches and violet ones.
                let accent = draw(3);
                if accent < 0.22 {
                    colour = mix(colour, [0.47, 0.36, 0.80], 0.26);
                } else if accent > 0.78 {
                    colour = mix(colour, [1.0, 0.80, 0.45], 0.26);
                }
                let stroke = Stroke {
                    middle: [x, y],
                    half_length: 0.5 * length * (0.7 + 0.6 * draw(4)),
                    half_width: 0.5 * width * (0.8 + 0.4 * draw(5)),
                    angle: point.angle + 0.5 * (draw(6) - 0.5),
                    bend: 0.3 * (draw(7) - 0.5),
                    colour,
                    thing: point.thing,
                    bristles: std::array::from_fn(|bristle| draw(8 + bristle as i32)),
                };
                canvas.stroke(&stroke);
            }
        }
        let seed = self.seed ^ 0x0CA7_0000;
        picture(side, |column, row| {
            // Threads of the canvas.
            let thread = if (column + row) % 2 == 0 {
                hash(seed, column as i32, 0)
            } else {
                hash(seed, 0, row as i32)
            };
            canvas.pixels[row * side + column].map(|value| value + 0.035 * (thread - 0.5))
        })
    }
}

/// Length, width and spacing of the strokes of each pass over the canvas.
const STROKES: [[f32; 3]; 3] = [
    [0.15, 0.042, 0.05],
    [0.09, 0.028, 0.028],
    [0.055, 0.02, 0.021],
];

fn picture(side: usize, colour: impl Fn(usize, usize) -> Colour) -> RgbImage {
    RgbImage::from_fn(side as u32, side as u32, |column, row| {
        let colour = colour(column as usize, row as usize);
        Rgb(colour.map(|value| (value * 255.0 + 0.5) as u8))
    })
}

/// One touch of the brush; lengths are fractions of the picture.
struct Stroke {
    middle: [f32; 2],
    half_length: f32,
    half_width: f32,
    angle: f32,
    /// How far the ends lie to the side, in half lengths.
    bend: f32,
    colour: Colour,
    thing: u16,
    /// Heights of the bristles across the brush, `0..=1`.
    bristles: [f32; 5],
}

struct Canvas {
    side: usize,
    pixels: Vec<Colour>,
    /// What each pixel shows: a stroke stays on its own thing.
    things: Vec<[u16; SAMPLES * SAMPLES]>,
}

impl Canvas {
    /// Paints a stroke on the pixels that show its thing.
    fn stroke(&mut self, stroke: &Stroke) {
        let scale = self.side as f32;
        let (sine, cosine) = stroke.angle.sin_cos();
        let (length, width) = (stroke.half_length * scale, stroke.half_width * scale);
        let [middle_x, middle_y] = stroke.middle.map(|position| position * scale - 0.5);
        let room = width + length * stroke.bend.abs() + 1.0;
        let reach = length * sine.abs() + room * cosine.abs() + 1.0;
        let pixels = |from: f32, to: f32| {
            from.ceil().clamp(0.0, scale) as usize..(to.floor() + 1.0).clamp(0.0, scale) as usize
        };
        for row in pixels(middle_y - reach, middle_y + reach) {
            let y = row as f32 - middle_y;
            // Where the row enters and leaves the rectangle around the stroke.
            let span = |slope: f32, offset: f32, limit: f32| {
                let slope = if slope.abs() < 1e-4 { 1e-4 } else { slope };
                let (middle, half) = (-offset / slope, limit / slope.abs());
                [middle - half, middle + half]
            };
            let [along_from, along_to] = span(cosine, y * sine, length + 1.0);
            let [across_from, across_to] = span(-sine, y * cosine, room);
            let columns = pixels(
                middle_x + along_from.max(across_from),
                middle_x + along_to.min(across_to),
            );
            for column in columns {
                let x = column as f32 - middle_x;
                let along = x * cosine + y * sine;
                let across = y * cosine - x * sine + stroke.bend * along * along / length;
                let tip = (along / length).powi(2);
                let room =
                    (width * (1.0 - 0.4 * tip * tip) - across.abs()).min(length - along.abs());
                let cover = (room + 0.5).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    continue;
                }
                let things = &self.things[row * self.side + column];
                let same = things
                    .iter()
                    .filter(|&&thing| thing == stroke.thing)
                    .count();
                if same == 0 {
                    continue;
                }
                let cover = cover * same as f32 / (SAMPLES * SAMPLES) as f32;
                // Bristles leave furrows, and thick paint a bright and a dark edge.
                let side = across / width;
                let furrow = (2.0 + 2.0 * side).clamp(0.0, 3.99);
                let [left, right] = [0, 1].map(|step| stroke.bristles[furrow as usize + step]);
                let bristle = blend(left, right, furrow - (furrow as usize) as f32);
                let relief = 0.1 * (bristle - 0.5) - 0.045 * side;
                let opacity = cover * (0.92 - 0.3 * tip);
                let pixel = &mut self.pixels[row * self.side + column];
                *pixel = mix(*pixel, stroke.colour.map(|value| value + relief), opacity);
            }
        }
    }
}
