//! Procedural facades with their label maps: a stand-in for the CMP facades of pix2pix (Isola et
//! al. 2017) when nothing has been downloaded.
//!
//! A building is first designed: a list of rectangular parts, from the back to the front, with
//! every random choice made. The label map is those rectangles in flat colours. The photograph is
//! the same rectangles, on the same pixels, painted as a relief: each subpixel has a colour and a
//! height above the wall. The sun then throws the shadows of that relief, so cornices, balconies
//! and window reveals all shade what lies beside them.
//!
//! Positions and heights are fractions of the picture's side; y grows downwards.

use image::{Rgb, RgbImage};
use rand::{Rng, RngExt};

/// The smallest side, in pixels, that [`facade`] draws; smaller requests are raised to it.
pub const SMALLEST_FACADE: u32 = 64;

/// The largest side, in pixels, that [`facade`] draws; larger requests are lowered to it.
pub const LARGEST_FACADE: u32 = 512;

/// The names and sRGB colours of the labels.
///
/// The colours are those of the pix2pix facades: the most frequent value of each label's flat
/// areas in its JPEG files, which is why some are one off a round number.
pub const LABELS: [(&str, [u8; 3]); 12] = [
    ("background", [0, 0, 222]),
    ("facade", [0, 48, 255]),
    ("window", [0, 128, 255]),
    ("door", [1, 207, 255]),
    ("cornice", [32, 255, 224]),
    ("sill", [112, 254, 142]),
    ("balcony", [192, 255, 63]),
    ("blind", [255, 240, 1]),
    ("deco", [255, 159, 0]),
    ("molding", [255, 80, 0]),
    ("pillar", [254, 0, 0]),
    ("shop", [174, 0, 1]),
];

/// A facade twice: as a photograph would show it, and as a label map. Both `side` x `side`.
#[derive(Debug, Clone, PartialEq)]
pub struct Facade {
    /// The rendered picture, 8-bit sRGB.
    pub photo: RgbImage,
    /// The label of every pixel of the photograph, in the exact colours of [`LABELS`].
    pub labels: RgbImage,
}

/// Draws one facade and its label map.
///
/// `side` is brought into `64..=512` pixels. The result depends on nothing but `side` and the
/// state of `rng`, and the number of values drawn from `rng` does not depend on `side`: one state
/// gives the same building at every size. Materials, light and weather are not in the labels.
pub fn facade(side: u32, rng: &mut impl Rng) -> Facade {
    let side = side.clamp(SMALLEST_FACADE, LARGEST_FACADE);
    let design = Design::sample(rng);
    Facade {
        photo: design.photograph(side),
        labels: design.label_map(side),
    }
}

// ---------------------------------------------------------------------------------------------
// Random choices, noise and colours
// ---------------------------------------------------------------------------------------------

/// A number between `low` and `high`, all equally likely.
fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Whether an event of the given probability happens.
fn happens(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// One of several values, all equally likely.
fn one_of<T: Copy, const N: usize>(rng: &mut impl Rng, values: [T; N]) -> T {
    values[rng.random_range(0..N)]
}

/// A fixed random number `0..1` for a cell of a grid.
fn cell(x: i32, y: i32, seed: u32) -> f32 {
    let mut bits = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ seed.wrapping_mul(0xC2B2_AE3D);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    ((bits ^ (bits >> 15)) >> 8) as f32 / 16_777_216.0
}

/// Smooth noise `0..1`; its features are about one unit wide.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (smooth(x - column), smooth(y - row));
    let (column, row) = (column as i32, row as i32);
    let line = |row| {
        let left = cell(column, row, seed);
        left + (cell(column + 1, row, seed) - left) * across
    };
    let upper = line(row);
    upper + (line(row + 1) - upper) * down
}

/// Where a position lies in a repeated strip: the strip's number and the fraction along it.
fn strip(position: f32, period: f32) -> (i32, f32) {
    let turns = position / period;
    (turns.floor() as i32, turns - turns.floor())
}

/// An sRGB colour, each channel `0..=1`.
type Colour = [f32; 3];

fn hex(code: u32) -> Colour {
    [16, 8, 0].map(|shift| (code >> shift & 255) as f32 / 255.0)
}

fn paint_of(rng: &mut impl Rng, palette: &[u32]) -> Colour {
    hex(palette[rng.random_range(0..palette.len())])
}

fn mix(from: Colour, to: Colour, fraction: f32) -> Colour {
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * fraction)
}

fn times(colour: Colour, factor: f32) -> Colour {
    colour.map(|channel| channel * factor)
}

fn brightness([red, green, blue]: Colour) -> f32 {
    0.3 * red + 0.59 * green + 0.11 * blue
}

const WHITE: Colour = [0.95, 0.94, 0.91];
const DARK: Colour = [0.11, 0.11, 0.12];

const BRICKS: [u32; 6] = [0x994C38, 0xAB6347, 0x804538, 0xBA8A5E, 0xA89475, 0x705245];
const PLASTERS: [u32; 10] = [
    0xE8CF8F, 0xDEA87D, 0xD19185, 0x9EB8A3, 0x91ABC4, 0xE0D9C7, 0xC4B8A3, 0xDBA359, 0xBA7057,
    0xB8A1BD,
];
const STONES: [u32; 6] = [0xCCBD9E, 0xBAB2A3, 0xDBCFB5, 0xA1968A, 0xC4AB8A, 0xBD9980];
const CONCRETES: [u32; 5] = [0xDEDED9, 0xA6A8AB, 0xC2B8AB, 0x7A828A, 0xD1BF9E];
const PAINTS: [u32; 9] = [
    0x335C47, 0x406185, 0x6B422B, 0x8F332B, 0x8C9491, 0x38737A, 0x292E3D, 0xCC9E3D, 0x61384C,
];

// ---------------------------------------------------------------------------------------------
// Design
// ---------------------------------------------------------------------------------------------

/// Left, top, right and bottom.
type Area = [f32; 4];

fn around(middle: f32, half: f32, top: f32, bottom: f32) -> Area {
    [middle - half, top, middle + half, bottom]
}

/// The middle of a column of windows, and half a window's width.
type Bay = [f32; 2];

/// An index into [`LABELS`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Label {
    Background,
    Facade,
    Window,
    Door,
    Cornice,
    Sill,
    Balcony,
    Blind,
    Deco,
    Molding,
    Pillar,
    Shop,
}

/// The surface of a wall.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Material {
    Brick,
    Plaster,
    Ashlar,
    Rusticated,
    Tiles,
}

/// The tradition a building follows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Brick,
    Palace,
    Haussmann,
    Modern,
    Shuttered,
    Gable,
}

/// How a window is divided and set into the wall.
#[derive(Clone, Copy)]
struct Glazing {
    frame: Colour,
    casements: f32,
    /// Height of the transom as a fraction of the window from its top, `0` for none.
    transom: f32,
    /// Rows of panes.
    rows: f32,
    /// Rise of the arch as a fraction of the window's width, `0` for a straight lintel.
    arch: f32,
    depth: f32,
}

/// What a railing is made of.
#[derive(Clone, Copy)]
enum Railing {
    Iron,
    Scrolls,
    Balusters,
    Solid,
}

/// How a part looks in the photograph.
#[derive(Clone, Copy)]
enum Look {
    /// Down to the given height, below which nothing of it is seen.
    Sky(f32),
    Street,
    Roof(Colour),
    Wall(Material, Colour, f32),
    /// A raised frame around an opening: colour, height and the arch of the opening.
    Surround(Colour, f32, f32),
    /// A profiled ledge: colour, how far it projects, and the spacing of its dentils or `0`.
    Ledge(Colour, f32, f32),
    /// Colour, and the power of the outline: `1` for a triangle, `2` for a segment.
    Pediment(Colour, f32),
    Pilaster(Colour),
    Window(Glazing),
    Shutter(Colour),
    Roller(Colour),
    Balcony(Railing, Colour),
    Relief(Colour),
    Medallion(Colour),
    /// Sign, paint, arch, and the depth of the awning as a fraction of the height.
    Shop(Colour, Colour, f32, f32),
    Door(Colour, f32),
}

/// One rectangle of the design; without a label it only shows in the photograph.
struct Part {
    area: Area,
    label: Option<Label>,
    look: Look,
    seed: u32,
}

/// Everything about one building and the moment it is photographed.
struct Design {
    scheme: Scheme,
    parts: Vec<Part>,
    sun: Colour,
    ambient: Colour,
    /// Columns that a sunbeam moves sideways for each row it comes down; negative from the right.
    sun_slope: f32,
    /// How far down a ledge of unit height throws its shadow.
    sun_reach: f32,
    sky: [Colour; 2],
    clouds: f32,
    reflection: f32,
    /// The share of windows with a lamp on.
    lamps: f32,
    dirt: f32,
    grain: f32,
    seed: u32,
}

/// The colours and shapes that the parts of one building share.
#[derive(Clone, Copy)]
struct Scheme {
    style: Style,
    wall: Colour,
    material: Material,
    trim: Colour,
    ground: (Material, Colour),
    glazing: Glazing,
    iron: Colour,
    paint: Colour,
    railing: Railing,
    /// How far the cornices and ledges project.
    relief: f32,
}

impl Scheme {
    fn sample(rng: &mut impl Rng) -> Self {
        let (style, material, palette): (_, _, &[u32]) = match rng.random_range(0..14) {
            0..=1 => (Style::Brick, Material::Brick, &BRICKS),
            2..=5 => (Style::Palace, Material::Plaster, &PLASTERS),
            6..=7 => (Style::Haussmann, Material::Ashlar, &STONES),
            8 => (Style::Modern, Material::Plaster, &CONCRETES),
            9 => (Style::Modern, Material::Brick, &BRICKS),
            10 => (Style::Shuttered, Material::Plaster, &PLASTERS),
            11 => (Style::Shuttered, Material::Tiles, &PLASTERS),
            12 => (Style::Gable, Material::Plaster, &PLASTERS),
            _ => (Style::Gable, Material::Brick, &BRICKS),
        };
        let wall = paint_of(rng, palette);
        let wall = [0, 1, 2].map(|channel: usize| wall[channel] * between(rng, 0.95, 1.04));
        let mut trim = match happens(rng, 0.6) {
            true => mix(wall, WHITE, between(rng, 0.55, 0.95)),
            false => paint_of(rng, &STONES),
        };
        // Ledges that nobody can tell from the wall would make the labels useless.
        if (brightness(trim) - brightness(wall)).abs() < 0.1 {
            trim = times(wall, if brightness(wall) > 0.7 { 0.76 } else { 1.25 });
        }
        let ground = match (style, rng.random_range(0..3)) {
            (Style::Modern, _) => (Material::Plaster, times(wall, between(rng, 0.6, 0.9))),
            (_, 0) => (material, wall),
            (_, 1) => (Material::Rusticated, trim),
            _ => (Material::Rusticated, mix(paint_of(rng, &STONES), wall, 0.4)),
        };
        let modern = style == Style::Modern;
        let arch = match modern || happens(rng, 0.75) {
            true => 0.0,
            false => one_of(rng, [0.5, 0.14, 0.2]),
        };
        let [casements, transom, rows, relief] = match modern {
            true => [3.0, 0.0, 1.0, 0.007],
            false => [
                one_of(rng, [2.0, 2.0, 1.0]),
                one_of(rng, [0.0, 0.3, 0.28, 0.5]),
                one_of(rng, [1.0, 1.0, 2.0, 3.0, 4.0]),
                between(rng, 0.011, 0.02),
            ],
        };
        Self {
            style,
            wall,
            material,
            trim,
            ground,
            glazing: Glazing {
                frame: match rng.random_range(0..6) {
                    0 => paint_of(rng, &PAINTS),
                    1 => [0.24, 0.20, 0.17],
                    _ if modern => one_of(rng, [[0.2, 0.21, 0.23], [0.88, 0.88, 0.88]]),
                    _ => WHITE,
                },
                casements,
                transom,
                rows,
                arch,
                depth: between(rng, 0.007, 0.014),
            },
            iron: one_of(rng, [DARK, DARK, [0.16, 0.24, 0.20], [0.30, 0.31, 0.33]]),
            paint: paint_of(rng, &PAINTS),
            railing: match style {
                Style::Modern => one_of(rng, [Railing::Solid, Railing::Iron]),
                Style::Palace => one_of(rng, [Railing::Balusters, Railing::Scrolls]),
                _ => one_of(rng, [Railing::Iron, Railing::Scrolls]),
            },
            relief,
        }
    }
}

impl Design {
    fn sample(rng: &mut impl Rng) -> Self {
        let mut design = Self::sample_moment(rng);
        let wide = design.scheme.style != Style::Gable;
        let mut gap = || match (wide, rng.random::<f32>()) {
            (true, draw) if draw < 0.6 => 0.0,
            (true, draw) => 0.03 + 0.2 * (draw - 0.6),
            (false, draw) => 0.1 + 0.12 * draw,
        };
        let (left, right) = (gap(), 1.0 - gap());
        let bottom = 1.0 - one_of(rng, [0.0, 0.03, 0.045, 0.06]);
        let top = match happens(rng, 0.75) || !wide {
            true => between(rng, 0.07, 0.2),
            false => 0.0,
        };
        let open = left > 0.0 || right < 1.0;
        let lowest = if open { 0.6 } else { top + 0.01 };
        design.add([0.0, 0.0, 1.0, 1.0], Label::Background, Look::Sky(lowest));
        for [start, end] in [[0.0, left], [right, 1.0]] {
            design.add_neighbour(rng, start, end, bottom);
        }
        if bottom < 1.0 {
            design.add([0.0, bottom, 1.0, 1.0], Label::Background, Look::Street);
        }
        design.add_building(rng, [left, top, right, bottom]);
        design
    }

    /// The light and the state of the air and of the walls.
    fn sample_moment(rng: &mut impl Rng) -> Self {
        // Sunlight, skylight, and the sky at the top and at the horizon.
        let weather = match rng.random_range(0..9) {
            0..=3 => [0xD6C9B3, 0x3D4554, 0x5C8FD9, 0xBDD9F2],
            4..=5 => [0x2B2B2B, 0xBDC4CC, 0xC2C9D1, 0xE6E8EB],
            6 => [0xFFC275, 0x3D4257, 0x809ED1, 0xFAD6A8],
            7 => [0x858078, 0x757A85, 0x8CADD6, 0xDBE3EB],
            _ => [0x1F1714, 0x8080A3, 0x384580, 0xD1998C],
        };
        let [sun, ambient, zenith, horizon] = weather.map(hex);
        let dusk = zenith[0] < 0.3;
        let exposure = between(rng, 0.9, 1.08);
        Self {
            scheme: Scheme::sample(rng),
            parts: Vec::new(),
            sun: times(sun, exposure),
            ambient: times(ambient, exposure),
            sun_slope: one_of(rng, [-1.0, 1.0]) * between(rng, 0.35, 1.1),
            sun_reach: between(rng, 0.8, 1.6),
            sky: [zenith, horizon],
            clouds: between(rng, 0.0, 1.0),
            reflection: between(rng, 0.25, 0.6),
            lamps: if dusk { 0.4 } else { 0.03 },
            dirt: between(rng, 0.1, 0.9).powi(2),
            grain: between(rng, 0.006, 0.018),
            seed: rng.random(),
        }
    }

    fn add(&mut self, area: Area, label: impl Into<Option<Label>>, look: Look) {
        let (label, seed) = (
            label.into(),
            self.seed.wrapping_add(self.parts.len() as u32),
        );
        self.parts.push(Part {
            area,
            label,
            look,
            seed,
        });
    }

    /// A ledge in the building's trim that projects by a share of its relief.
    fn add_ledge(&mut self, area: Area, label: Label, share: f32) {
        let look = Look::Ledge(self.scheme.trim, share * self.scheme.relief, 0.0);
        self.add(area, label, look);
    }

    /// A raised frame that shows on all sides of an opening but its foot.
    fn add_surround(&mut self, area: Area, width: f32, height: f32, arch: f32) {
        let [left, top, right, bottom] = area;
        let look = Look::Surround(self.scheme.trim, height, arch);
        self.add(
            [left - width, top - width, right + width, bottom],
            None,
            look,
        );
    }

    /// The strip of the next house that shows beside the building.
    fn add_neighbour(&mut self, rng: &mut impl Rng, left: f32, right: f32, bottom: f32) {
        let (top, storey) = (between(rng, 0.0, 0.45), between(rng, 0.14, 0.2));
        let (wall, glazing) = (paint_of(rng, &PLASTERS), Scheme::sample(rng).glazing);
        if right <= left {
            return;
        }
        let look = Look::Wall(Material::Plaster, times(wall, 0.9), -0.012);
        self.add([left, top, right, bottom], Label::Background, look);
        let width = right - left;
        let mut y = top + 0.05;
        while width > 0.06 && y + storey < bottom {
            let area = [left + 0.3 * width, y, right - 0.3 * width, y + 0.6 * storey];
            self.add(area, Label::Window, Look::Window(glazing));
            y += storey;
        }
    }

    fn add_building(&mut self, rng: &mut impl Rng, place: Area) {
        let scheme = self.scheme;
        let [left, top, right, bottom] = place;
        let (width, height) = (right - left, bottom - top);
        let style = scheme.style;
        let wall = Look::Wall(scheme.material, scheme.wall, 0.0);
        let storeys = match style {
            Style::Modern => rng.random_range(3..=6),
            Style::Gable => rng.random_range(2..=3),
            _ => rng.random_range(2..=5),
        };
        let ground = height * between(rng, 0.9, 1.25) / (storeys as f32 + 1.1);
        let mut eaves = top;
        if style == Style::Gable {
            eaves = top + height * between(rng, 0.2, 0.26);
            self.add_gable(rng, [left, top, right, eaves]);
        } else if top > 0.06 && happens(rng, 0.7) {
            self.add_roof(rng, place);
        }
        self.add([left, eaves, right, bottom - ground], Label::Facade, wall);
        let look = Look::Wall(scheme.ground.0, scheme.ground.1, 0.002);
        self.add([left, bottom - ground, right, bottom], Label::Facade, look);

        let plain = style == Style::Modern;
        let crown = if plain {
            0.014
        } else {
            between(rng, 0.025, 0.045)
        };
        let dentils = one_of(rng, [0.0, 0.011, 0.016]) * f32::from(u8::from(!plain));
        if style != Style::Gable {
            let look = Look::Ledge(scheme.trim, 1.6 * scheme.relief, dentils);
            self.add([left, top, right, top + crown], Label::Molding, look);
            eaves += crown;
        }
        // The windows stand in equal bays, in pairs, or with a wider bay in the middle.
        let axes = match style {
            Style::Modern => rng.random_range(2..=4),
            Style::Gable => rng.random_range(2..=3),
            _ => rng.random_range(3..=(3.0 + 5.0 * width) as usize),
        };
        let margin = between(rng, 0.02, 0.05) * width;
        let bay = (width - 2.0 * margin) / axes as f32;
        let paired = axes % 2 == 0 && happens(rng, 0.3);
        let wide_middle = axes % 2 == 1 && happens(rng, 0.35);
        let share = if plain { [0.34, 0.44] } else { [0.2, 0.29] };
        let half = bay * between(rng, share[0], share[1]);
        let base = bottom - ground;
        let rise = (base - eaves) / storeys as f32;
        let half = half.min(rise * if plain { 1.0 } else { 0.28 });
        let even: Vec<Bay> = (0..axes)
            .map(|axis| [left + margin + (axis as f32 + 0.5) * bay, half])
            .collect();
        let bays: Vec<Bay> = (0..axes)
            .map(|axis| {
                let towards = if axis % 2 == 0 { 0.14 } else { -0.14 };
                let shift = if paired { towards * bay } else { 0.0 };
                let middle = wide_middle && axis == axes / 2;
                let wider = if middle { 1.45 } else { 1.0 };
                [even[axis][0] + shift, half * wider]
            })
            .collect();

        let pilasters = style == Style::Palace && happens(rng, 0.55);
        if pilasters && !paired {
            let half = (bay * 0.5 - half).min(0.05) * between(rng, 0.26, 0.4);
            for axis in 0..=axes {
                let x = (left + margin + axis as f32 * bay).clamp(left + half, right - half);
                let look = Look::Pilaster(scheme.trim);
                self.add(around(x, half, eaves, base), Label::Pillar, look);
            }
        }
        let main = Dress::sample(rng, &scheme);
        let rest = Dress::sample(rng, &scheme);
        let last = Dress::sample(rng, &scheme);
        let crowned = happens(rng, 0.4);
        for storey in 0..storeys {
            let above = eaves + rise * storey as f32;
            let noble = storey + 1 == storeys;
            let dress = match storey {
                _ if noble => &main,
                0 if crowned => &last,
                _ => &rest,
            };
            let place = [left, above, right, above + rise];
            self.add_storey(rng, dress, &bays, place);
            if !noble && main.string_courses {
                let y = above + rise;
                self.add_ledge([left, y - 0.007, right, y + 0.007], Label::Molding, 0.6);
            }
        }
        let sill = between(rng, 0.014, 0.026);
        let area = [left, base - 0.5 * sill, right, base + 0.5 * sill];
        self.add_ledge(area, Label::Molding, 1.0);
        self.add_ground_floor(rng, &even, [left, base + sill, right, bottom]);
    }
}

/// What the windows of one storey wear.
struct Dress {
    /// The cornice over each window, and its height as a fraction of the storey's.
    cornice: Option<(Look, f32)>,
    sill: f32,
    shutters: bool,
    balcony: Option<Balconies>,
    deco: bool,
    string_courses: bool,
    rollers: f32,
    surround: f32,
}

#[derive(Clone, Copy)]
enum Balconies {
    Each,
    Middle,
    Continuous,
}

impl Dress {
    fn sample(rng: &mut impl Rng, scheme: &Scheme) -> Self {
        let (cornice, sill, shutters, balcony, deco) = match scheme.style {
            Style::Brick => (0.6, 0.9, 0.0, 0.15, 0.25),
            Style::Palace => (0.9, 0.8, 0.0, 0.4, 0.4),
            Style::Haussmann => (0.6, 0.5, 0.1, 0.75, 0.35),
            Style::Modern => (0.0, 0.6, 0.0, 0.5, 0.0),
            Style::Shuttered => (0.3, 0.7, 0.9, 0.35, 0.15),
            Style::Gable => (0.4, 0.8, 0.4, 0.1, 0.3),
        };
        let crown = match rng.random_range(0..4) {
            0 => (Look::Pediment(scheme.trim, 1.0), 0.16),
            1 => (Look::Pediment(scheme.trim, 2.0), 0.16),
            _ => (Look::Ledge(scheme.trim, scheme.relief, 0.0), 0.055),
        };
        let places = [Balconies::Each, Balconies::Middle, Balconies::Continuous];
        let balconies = one_of(rng, places);
        let edge = match scheme.style {
            Style::Modern => 0.0,
            _ => one_of(rng, [0.0, 0.006, 0.009]),
        };
        let thick = between(rng, 0.007, 0.014);
        Self {
            cornice: happens(rng, cornice).then_some(crown),
            sill: if happens(rng, sill) { thick } else { 0.0 },
            shutters: happens(rng, shutters),
            balcony: happens(rng, balcony).then_some(balconies),
            deco: happens(rng, deco),
            string_courses: happens(rng, 0.35),
            rollers: if happens(rng, 0.3) { 0.35 } else { 0.0 },
            surround: edge,
        }
    }
}

impl Design {
    /// One row of windows with all they wear.
    fn add_storey(&mut self, rng: &mut impl Rng, dress: &Dress, bays: &[Bay], place: Area) {
        let scheme = self.scheme;
        let [left, above, right, below] = place;
        let rise = below - above;
        let trim = scheme.trim;
        // Half the narrowest strip of wall between two windows.
        let clear = bays.windows(2).fold(0.1_f32, |least, pair| {
            least.min(0.5 * (pair[1][0] - pair[0][0] - pair[0][1] - pair[1][1]))
        });
        let crowned = dress.cornice.is_some() || dress.deco;
        let top = above + rise * if crowned { 0.28 } else { 0.18 };
        let bottom = below - rise * if dress.balcony.is_some() { 0.06 } else { 0.17 };
        let window = Look::Window(scheme.glazing);
        for &[middle, half] in bays {
            let area = around(middle, half, top, bottom);
            if dress.surround > 0.0 {
                self.add_surround(
                    area,
                    dress.surround,
                    0.35 * scheme.relief,
                    scheme.glazing.arch,
                );
            }
            self.add(area, Label::Window, window);
            let ledge = half + (0.25 * half).min(0.8 * clear);
            if let Some((look, height)) = dress.cornice {
                let low = top - 0.05 * rise;
                let area = around(middle, ledge, low - height * rise, low);
                self.add(area, Label::Cornice, look);
            }
            if dress.deco && dress.cornice.is_none() {
                let area = around(middle, half, top - 0.2 * rise, top - 0.04 * rise);
                self.add(area, Label::Deco, Look::Relief(trim));
            }
            if dress.sill > 0.0 && dress.balcony.is_none() {
                let area = around(middle, ledge, bottom, bottom + dress.sill);
                self.add_ledge(area, Label::Sill, 0.8);
            }
            let folded = happens(rng, 0.88);
            if dress.shutters {
                // Open wings lie on the wall; closed ones meet in the middle of the window.
                let wing = (0.85 * half).min(0.92 * clear);
                let [hinge, end] = if folded {
                    [half, half + wing]
                } else {
                    [0.0, half]
                };
                for side in [-0.5, 0.5] {
                    let centre = middle + side * (hinge + end);
                    let area = around(centre, 0.5 * (end - hinge), top, bottom);
                    self.add(area, Label::Blind, Look::Shutter(scheme.paint));
                }
            } else if happens(rng, dress.rollers) {
                let low = top + (bottom - top) * between(rng, 0.2, 0.7);
                let look = Look::Roller(mix(scheme.paint, WHITE, 0.6));
                let area = around(middle, half, top, low);
                if scheme.glazing.arch == 0.0 {
                    self.add(area, Label::Blind, look);
                }
            }
        }
        if let Some(balconies) = dress.balcony {
            let colour = match scheme.railing {
                Railing::Iron | Railing::Scrolls => scheme.iron,
                Railing::Balusters | Railing::Solid => trim,
            };
            let look = Look::Balcony(scheme.railing, colour);
            let high = bottom - 0.24 * rise;
            if let Balconies::Continuous = balconies {
                let area = [left + 0.02, high, right - 0.02, below];
                self.add(area, Label::Balcony, look);
            } else {
                for (index, &[middle, half]) in bays.iter().enumerate() {
                    if matches!(balconies, Balconies::Each) || index == bays.len() / 2 {
                        let reach = half + (0.4 * half).min(0.85 * clear);
                        let area = around(middle, reach, high, below);
                        self.add(area, Label::Balcony, look);
                    }
                }
            }
        }
    }

    /// The steps of a gable, each with a coping stone, and a window in the middle.
    fn add_gable(&mut self, rng: &mut impl Rng, place: Area) {
        let scheme = self.scheme;
        let [left, top, right, bottom] = place;
        let steps = rng.random_range(3..=5);
        let (middle, step) = (0.5 * (left + right), (bottom - top) / steps as f32);
        let wall = Look::Wall(scheme.material, scheme.wall, 0.0);
        for index in 0..steps {
            let half = 0.5 * (right - left) * (index as f32 + 1.0) / (steps as f32 + 0.6);
            let y = top + index as f32 * step;
            self.add(around(middle, half, y, bottom), Label::Facade, wall);
        }
        let half = 0.5 * (right - left) / (steps as f32 + 0.6);
        for index in 0..steps {
            let y = top + index as f32 * step;
            for side in [-1.0, 1.0] {
                let coping = around(
                    middle + side * half * (index as f32 + 0.5),
                    0.5 * half,
                    y,
                    y + 0.014,
                );
                self.add_ledge(coping, Label::Molding, 0.6);
            }
        }
        let (half, low) = (0.035, bottom - 0.2 * step);
        let area = around(middle, half, low - 1.1 * step, low);
        self.add(area, Label::Window, Look::Window(scheme.glazing));
        let foot = low - 1.2 * step;
        let area = around(middle, 0.02, foot - 0.04, foot);
        self.add(area, Label::Deco, Look::Medallion(scheme.trim));
    }

    /// A tiled or leaden roof behind the top cornice, with or without dormers.
    fn add_roof(&mut self, rng: &mut impl Rng, place: Area) {
        let scheme = self.scheme;
        let [left, top, right, _] = place;
        let tiles = paint_of(rng, &[0x944D38, 0x5C616B, 0x73453A, 0x57706B]);
        let ridge = top - (top * between(rng, 0.4, 0.8)).min(0.12);
        let look = Look::Roof(tiles);
        let dormers = rng.random_range(0..=5);
        let chimney = between(rng, left + 0.05, right - 0.1);
        let brick = Look::Wall(Material::Brick, hex(BRICKS[2]), -0.01);
        let area = [chimney, ridge - 0.035, chimney + 0.04, top];
        self.add(area, Label::Background, brick);
        self.add([left, ridge, right, top], Label::Background, look);
        let high = top - ridge;
        for index in 0..dormers {
            if high < 0.06 {
                break;
            }
            let x = left + (right - left) * (index as f32 + 0.5) / dormers as f32;
            let area = around(x, 0.027, ridge + 0.25 * high, top);
            self.add(area, Label::Deco, Look::Relief(scheme.trim));
            let area = around(x, 0.018, ridge + 0.4 * high, top - 0.08 * high);
            self.add(area, Label::Window, Look::Window(scheme.glazing));
        }
    }

    fn add_ground_floor(&mut self, rng: &mut impl Rng, bays: &[Bay], place: Area) {
        let scheme = self.scheme;
        let [_, top, _, bottom] = place;
        let rise = bottom - top;
        let room = 0.5 * (bays[1][0] - bays[0][0]) - 0.01;
        let entrance = rng.random_range(0..bays.len());
        // Arcades, shops or dwellings.
        let purpose = rng.random_range(0..4);
        let arch = if purpose == 0 {
            0.5
        } else {
            scheme.glazing.arch
        };
        let sign = paint_of(rng, &PAINTS);
        for (index, &[middle, half]) in bays.iter().enumerate() {
            let awning = if happens(rng, 0.4) { 0.45 } else { 0.0 };
            if index == entrance {
                let half = (half * 1.05).clamp(0.028, 0.06).min(room - 0.012);
                let area = around(middle, half, top + 0.22 * rise, bottom);
                self.add_surround(area, 0.012, 0.006, arch);
                self.add(area, Label::Door, Look::Door(scheme.paint, arch));
                if arch == 0.0 && purpose != 3 {
                    let area = around(middle, half + 0.02, top + 0.05 * rise, area[1] - 0.012);
                    self.add(area, Label::Deco, Look::Relief(scheme.trim));
                }
            } else if purpose == 0 {
                let area = around(middle, (1.2 * half).min(room), top + 0.14 * rise, bottom);
                self.add_surround(area, 0.009, 0.005, arch);
                self.add(area, Label::Shop, Look::Shop(sign, scheme.paint, arch, 0.0));
            } else if purpose < 3 {
                let area = around(middle, (2.4 * half).min(room), top + 0.14 * rise, bottom);
                self.add(
                    area,
                    Label::Shop,
                    Look::Shop(sign, scheme.paint, 0.0, awning),
                );
            } else {
                let low = bottom - 0.3 * rise;
                let area = around(middle, half, top + 0.2 * rise, low);
                self.add(area, Label::Window, Look::Window(scheme.glazing));
                self.add_ledge(
                    around(middle, half + 0.006, low, low + 0.012),
                    Label::Sill,
                    0.8,
                );
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Canvas
// ---------------------------------------------------------------------------------------------

/// A surface lit by the scene.
fn solid(colour: Colour, height: f32) -> Texel {
    glossy(colour, height, 1.0)
}

/// A surface that is partly lit and otherwise shines by itself.
fn glossy(colour: Colour, height: f32, lit: f32) -> Texel {
    Texel {
        colour,
        height,
        lit,
    }
}

/// One subpixel of the relief.
#[derive(Clone, Copy)]
struct Texel {
    colour: Colour,
    height: f32,
    /// How much of the colour is lit by the scene; the rest shines by itself.
    lit: f32,
}

/// Where a subpixel lies: in the picture, and from the upper left corner of its rectangle.
#[derive(Clone, Copy)]
struct At {
    x: f32,
    y: f32,
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

impl At {
    fn right(self) -> f32 {
        self.width - self.left
    }

    fn bottom(self) -> f32 {
        self.height - self.top
    }

    /// The distance to the nearest edge of the rectangle.
    fn edge(self) -> f32 {
        self.left.min(self.right()).min(self.top.min(self.bottom()))
    }

    /// Whether the position is below an arch that springs from the rectangle's sides.
    fn under_arch(self, arch: f32, inset: f32) -> bool {
        let rise = (arch * self.width).min(self.height);
        if self.left < inset || self.right() < inset || self.top < inset {
            return false;
        }
        if self.top >= rise {
            return true;
        }
        let across = (self.left - 0.5 * self.width) / (0.5 * self.width - inset);
        let up = (rise - self.top) / (rise - inset).max(1e-6);
        across * across + up * up <= 1.0
    }
}

/// Whole pixels that a rectangle covers: at least one each way where it lies in the picture.
fn pixels(area: Area, side: u32) -> [usize; 4] {
    let snap = |value: f32| (value.clamp(0.0, 1.0) * side as f32 + 0.5) as usize;
    let [left, top, right, bottom] = area.map(snap);
    let wider = |start: usize, end: usize| end.max((start + 1).min(side as usize));
    [left, top, wider(left, right), wider(top, bottom)]
}

struct Canvas {
    side: u32,
    samples: usize,
    /// Row-major subpixels.
    texels: Vec<Texel>,
}

impl Canvas {
    fn new(side: u32) -> Self {
        let samples = match side {
            ..=96 => 5,
            97..=160 => 3,
            _ => 2,
        };
        let empty = solid([0.0; 3], 0.0);
        let width = side as usize * samples;
        Self {
            side,
            samples,
            texels: vec![empty; width * width],
        }
    }

    fn width(&self) -> usize {
        self.side as usize * self.samples
    }

    /// Paints every subpixel of a rectangle, brought to whole pixels as in the label map.
    fn each(&mut self, area: Area, paint: impl Fn(At, &mut Texel)) {
        let width = self.width();
        let unit = 1.0 / width as f32;
        let [left, top, right, bottom] = pixels(area, self.side).map(|edge| edge * self.samples);
        for row in top..bottom {
            let texels = &mut self.texels[row * width + left..row * width + right];
            for (column, texel) in texels.iter_mut().enumerate() {
                let at = At {
                    x: (left + column) as f32 * unit + 0.5 * unit,
                    y: (row as f32 + 0.5) * unit,
                    left: (column as f32 + 0.5) * unit,
                    top: ((row - top) as f32 + 0.5) * unit,
                    width: (right - left) as f32 * unit,
                    height: (bottom - top) as f32 * unit,
                };
                paint(at, texel);
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Painting
// ---------------------------------------------------------------------------------------------

/// The colour and relief of a wall at a position.
fn wall_at(material: Material, wall: Colour, x: f32, y: f32, seed: u32) -> (Colour, f32) {
    // Blocks of the given size in a running bond: a joint's depth, and a number for each block.
    let bond = |width: f32, height: f32, joint: f32| {
        let (row, down) = strip(y, height);
        let (column, across) = strip(x + 0.5 * width * (row & 1) as f32, width);
        let open = down * height < joint || across * width < joint;
        (open, cell(column, row, seed))
    };
    match material {
        Material::Brick => {
            let (open, shade) = bond(0.034, 0.0125, 0.0021);
            let tinted = times(wall, 0.91 + 0.18 * shade);
            match open {
                true => (mix(tinted, [0.72, 0.68, 0.62], 0.22), -0.0004),
                false => (tinted, 0.0),
            }
        }
        Material::Plaster => (wall, 0.0),
        Material::Ashlar => {
            let (open, shade) = bond(0.085, 0.036, 0.002);
            let tinted = times(wall, 0.96 + 0.08 * shade);
            (
                times(tinted, if open { 0.93 } else { 1.0 }),
                if open { -0.0006 } else { 0.0 },
            )
        }
        Material::Rusticated => {
            let (open, shade) = bond(0.11, 0.034, 0.0042);
            (
                times(wall, 0.96 + 0.07 * shade),
                if open { -0.0025 } else { 0.0 },
            )
        }
        Material::Tiles => {
            let ((_, across), (_, down)) = (strip(x, 0.026), strip(y, 0.026));
            let (across, down) = ((across - 0.5).abs(), (down - 0.5).abs());
            let figure = (across + down - 0.33).abs() < 0.09 || across.max(down) < 0.09;
            let glaze = mix(wall, [0.22, 0.34, 0.58], if figure { 0.3 } else { 0.0 });
            (
                if across.max(down) > 0.46 {
                    times(glaze, 0.9)
                } else {
                    glaze
                },
                0.0,
            )
        }
    }
}

impl Part {
    fn paint(&self, design: &Design, canvas: &mut Canvas) {
        let (area, seed) = (self.area, self.seed);
        match self.look {
            Look::Sky(lowest) => canvas.each(area, |at, texel| {
                if at.y > lowest {
                    return;
                }
                let sky = mix(design.sky[0], design.sky[1], (at.y * 3.5).min(1.0));
                let billow = 0.6 * noise(at.x * 5.0, at.y * 13.0, seed)
                    + 0.4 * noise(at.x * 17.0, at.y * 34.0, seed);
                let cloud = ((billow - 0.85 + 0.6 * design.clouds) * 3.0).clamp(0.0, 0.85);
                let white = mix(design.sky[1], [1.0; 3], 0.6);
                *texel = glossy(mix(sky, white, cloud), -0.03, 0.0);
            }),
            Look::Street => canvas.each(area, |at, texel| {
                let kerb = at.top < 0.4 * at.height;
                let grey =
                    if kerb { 0.60 } else { 0.36 } + 0.06 * noise(at.x * 90.0, at.y * 300.0, seed);
                let joint = kerb && strip(at.x + 0.6 * at.top, 0.06).1 < 0.04;
                let edge = kerb && at.top > 0.34 * at.height;
                let grey = grey + if edge { 0.12 } else { 0.0 } - if joint { 0.08 } else { 0.0 };
                *texel = solid([grey, grey * 0.98, grey * 0.95], 0.0);
            }),
            Look::Roof(colour) => canvas.each(area, |at, texel| {
                let (row, down) = strip(at.y, 0.011);
                let (column, across) = strip(at.x + 0.006 * (row & 1) as f32, 0.012);
                let shade = 0.86 + 0.16 * cell(column, row, seed) + 0.1 * down;
                let shade = shade * if across < 0.15 { 0.92 } else { 1.0 };
                // The ends of a hipped roof lean inwards.
                let inset = 0.5 * at.bottom();
                if at.left > inset * 0.6 && at.right() > inset * 0.6 {
                    *texel = solid(times(colour, shade), -0.02);
                }
            }),
            Look::Wall(material, wall, height) => canvas.each(area, |at, texel| {
                let (colour, depth) = wall_at(material, wall, at.x, at.y, design.seed);
                *texel = solid(colour, height + depth);
            }),
            Look::Surround(colour, height, arch) => canvas.each(area, |at, texel| {
                if at.under_arch(arch, 0.0) {
                    let groove = (at.edge() - 0.003).abs() < 0.001;
                    let groove = if groove { 0.9 } else { 1.0 };
                    *texel = solid(times(colour, groove), height);
                }
            }),
            Look::Ledge(colour, depth, dentils) => canvas.each(area, |at, texel| {
                // From the top: a lip that projects furthest, then a hollow and a lower fillet.
                let down = at.top / at.height;
                let (profile, shade) = match down {
                    _ if at.height < 0.01 => (1.0, 1.0),
                    ..0.3 => (1.0, 1.04),
                    ..0.42 => (0.82, 0.97),
                    ..0.75 if dentils > 0.0 => match strip(at.x, dentils).1 < 0.55 {
                        true => (0.7, 1.0),
                        false => (0.25, 0.82),
                    },
                    ..0.75 => (0.66 - 0.3 * (down - 0.42), 0.98),
                    _ => (0.34, 0.96),
                };
                *texel = solid(times(colour, shade), depth * profile);
            }),
            Look::Pediment(colour, power) => canvas.each(area, |at, texel| {
                let across = (2.0 * at.left / at.width - 1.0).abs();
                let beam = 0.3 * at.height;
                let rise = at.height - beam;
                let outline = rise * across.powf(power);
                let inside = at.top - outline;
                let rim = 0.24 * at.height;
                let (height, shade) = match inside {
                    _ if at.bottom() < beam => (0.013, 1.0),
                    _ if inside < 0.0 => return,
                    _ if inside < rim => (0.015, 1.04),
                    _ => (0.004, 0.86),
                };
                *texel = solid(times(colour, shade), height);
            }),
            Look::Pilaster(colour) => canvas.each(area, |at, texel| {
                let capital = at.top < 0.022 || at.bottom() < 0.022;
                let flute = strip(at.left, at.width / 3.0).1;
                let hollow = !capital && (0.3..0.7).contains(&flute);
                let (height, shade) = match (capital, hollow) {
                    (true, _) => (0.011 - 0.004 * strip(at.top, 0.011).1, 1.03),
                    (_, true) => (0.0065, 0.93),
                    _ => (0.008, 1.0),
                };
                *texel = solid(times(colour, shade), height);
            }),
            Look::Window(glazing) => self.paint_window(&glazing, design, canvas),
            Look::Shutter(colour) => canvas.each(area, |at, texel| {
                let rail = at.edge() < 0.004 || (at.top - 0.5 * at.height).abs() < 0.003;
                let slat = strip(at.top, 0.0085).1;
                let (height, shade) = match rail {
                    true => (0.006, 1.0),
                    false => (0.003 + 0.002 * slat, 0.78 + 0.3 * slat),
                };
                *texel = solid(times(colour, shade), height);
            }),
            Look::Roller(colour) => canvas.each(area, |at, texel| {
                let slat = strip(at.bottom(), 0.009).1;
                let shade = 0.86 + 0.14 * slat - if at.bottom() < 0.003 { 0.2 } else { 0.0 };
                *texel = solid(times(colour, shade), -0.004);
            }),
            Look::Balcony(railing, colour) => canvas.each(area, |at, texel| {
                let slab = 0.2 * at.height;
                let rail = 0.0045;
                if at.bottom() < slab {
                    let shade = if at.bottom() < 0.4 * slab { 0.5 } else { 0.66 };
                    let stone = [shade, shade * 0.97, shade * 0.91];
                    *texel = solid(stone, 0.03);
                    return;
                }
                let (_, across) = strip(at.left, at.width / (at.width / 0.0105).round().max(1.0));
                let off = (across - 0.5).abs();
                let down = (at.top - rail) / (at.height - slab - rail).max(0.001);
                let frame = at.top < rail || at.left < 0.003 || at.right() < 0.003;
                let closed = match railing {
                    Railing::Iron => off < 0.14 || (0.1..0.18).contains(&down),
                    Railing::Scrolls => {
                        let cell = at.width / (at.width / 0.021).round().max(1.0);
                        let x = strip(at.left, cell).1 - 0.5;
                        let ring = (x * x * 5.0 + (down - 0.55).powi(2) * 5.0).sqrt();
                        x.abs() > 0.42 || (0.62..0.98).contains(&ring) || ring < 0.25
                    }
                    Railing::Balusters => off < 0.18 + 0.16 * (down * 5.5).sin().abs(),
                    Railing::Solid => true,
                };
                let filled = frame || closed || down > 0.9;
                if filled {
                    let bevel = match railing {
                        Railing::Balusters if !frame => 1.0 - 0.5 * off,
                        Railing::Solid => 0.94 + 0.06 * down,
                        _ => 1.0,
                    };
                    *texel = solid(times(colour, bevel), 0.028);
                } else {
                    // The floor of the balcony and its far side keep the light from the wall.
                    texel.colour = times(texel.colour, 0.8);
                }
            }),
            Look::Relief(colour) => canvas.each(area, |at, texel| {
                let border = at.edge() < 0.005;
                let wave = (at.left * 420.0).sin() * (at.top * 420.0 + at.left * 160.0).cos();
                let height = if border { 0.008 } else { 0.004 + 0.0025 * wave };
                let shade = if border { 1.0 } else { 0.88 + 0.1 * wave };
                *texel = solid(times(colour, shade), height);
            }),
            Look::Medallion(colour) => canvas.each(area, |at, texel| {
                let x = 2.0 * at.left / at.width - 1.0;
                let y = 2.0 * at.top / at.height - 1.0;
                let radius = x.hypot(y);
                let petal = 0.62 + 0.14 * (6.0 * y.atan2(x)).cos();
                let (height, shade) = match radius {
                    ..0.25 => (0.011, 1.05),
                    _ if radius < petal => (0.009, 0.98),
                    ..0.82 => (0.003, 0.8),
                    ..1.0 => (0.008, 1.02),
                    _ => return,
                };
                *texel = solid(times(colour, shade), height);
            }),
            Look::Shop(sign, paint, arch, awning) => {
                let light = cell(1, 2, seed);
                // Shelves up to the ceiling, one row of goods, or a dark room.
                let stocked = [0.45, 0.68, 2.0][(cell(4, 2, design.seed) * 2.99) as usize];
                canvas.each(area, |at, texel| {
                    if !at.under_arch(arch, 0.0) {
                        return;
                    }
                    let down = at.top / at.height;
                    let frame = !at.under_arch(arch, 0.0055)
                        || strip(at.left, at.width / (at.width / 0.07).round().max(1.0)).1 < 0.05
                        || (down - 0.3).abs() < 0.012;
                    if arch == 0.0 && down < 0.17 {
                        let board = at.edge() > 0.004
                            && at.left > 0.1 * at.width
                            && at.right() > 0.1 * at.width;
                        let (letter, along) = strip(at.left, 0.011);
                        let (_, bar) = strip(at.top, 0.0045);
                        let written = board
                            && at.edge() > 0.009
                            && cell(letter, 3, seed) > 0.18
                            && along < 0.75
                            && (along < 0.25 || (bar < 0.45) == (cell(letter, 7, seed) > 0.4));
                        let pale = brightness(sign) < 0.5;
                        let ink = if pale { WHITE } else { DARK };
                        let colour = if written { ink } else { sign };
                        *texel = solid(colour, 0.006);
                    } else if down < awning {
                        let sag = (down - 0.17) / (awning - 0.17);
                        let scallop = 0.9 + 0.1 * (at.left * 560.0).cos();
                        if sag < scallop {
                            let stripe = strip(at.left, 0.028).1 < 0.5;
                            let colour = if stripe { paint } else { WHITE };
                            let fold = if sag > 0.8 { 0.85 } else { 1.0 };
                            *texel = solid(times(colour, fold), 0.01 + 0.03 * sag);
                        } else {
                            *texel = glossy(times(DARK, 1.2), -0.01, 0.8);
                        }
                    } else if frame || (down > 0.86 && arch == 0.0) {
                        *texel = solid(paint, -0.002);
                    } else {
                        // Goods on shelves behind the pane, under warm lamps.
                        let (shelf, up) = strip(at.top, 0.028);
                        let (item, along) = strip(at.left + 0.01 * shelf as f32, 0.017);
                        let goods = up > 0.35 + 0.4 * cell(item, shelf, seed)
                            && along < 0.8
                            && down > stocked;
                        let hue = hex(PLASTERS[(cell(item, shelf, !seed) * 9.99) as usize]);
                        let lamp = light * (1.15 - down);
                        let room = mix([0.13, 0.11, 0.10], [0.62, 0.47, 0.29], lamp);
                        let colour = if goods { mix(room, hue, 0.4) } else { room };
                        let sheen = noise(at.x * 9.0 + at.y * 7.0, 0.0, design.seed);
                        let colour = mix(colour, design.sky[1], 0.3 * design.reflection * sheen);
                        *texel = glossy(colour, -0.006, 0.35);
                    }
                });
            }
            Look::Door(colour, arch) => canvas.each(area, |at, texel| {
                if !at.under_arch(arch, 0.0) {
                    return;
                }
                let down = at.top / at.height;
                let half = 0.5 * at.width;
                let from_middle = (at.left - half).abs();
                let frame = !at.under_arch(arch, 0.005) || (down - 0.27).abs() < 0.014;
                let (across, panel) = (from_middle / half, strip((down - 0.29) / 0.71, 0.34).1);
                let inset = (0.2..0.78).contains(&across) && (0.14..0.86).contains(&panel);
                let glass = down < 0.27 && from_middle > 0.0012;
                let knob = (across - 0.11).abs() < 0.06 && (down - 0.66).abs() < 0.012;
                *texel = match (frame, glass) {
                    (true, _) => solid(times(colour, 1.15), -0.004),
                    (_, true) => {
                        let colour = mix([0.14, 0.13, 0.13], design.sky[1], 0.35);
                        glossy(colour, -0.012, 0.4)
                    }
                    _ if knob => solid([0.8, 0.66, 0.35], -0.004),
                    _ if from_middle < 0.0011 => solid(times(colour, 0.45), -0.011),
                    _ if inset => solid(times(colour, 0.86), -0.0105),
                    _ => solid(colour, -0.009),
                };
            }),
        }
    }

    fn paint_window(&self, glazing: &Glazing, design: &Design, canvas: &mut Canvas) {
        let seed = self.seed;
        let Glazing {
            frame,
            casements,
            transom,
            rows,
            arch,
            depth,
        } = *glazing;
        let lamp = cell(0, 1, seed) < design.lamps;
        let curtains = cell(0, 2, seed) < 0.45;
        let drape = mix([0.86, 0.84, 0.79], [0.66, 0.58, 0.50], cell(0, 3, seed));
        let drawn = 0.14 + 0.24 * cell(0, 4, seed);
        let mirror = (design.reflection * (0.6 + 0.8 * cell(0, 5, seed))).min(0.75);
        let bar = 0.0035;
        canvas.each(self.area, |at, texel| {
            if !at.under_arch(arch, 0.0) {
                return;
            }
            let edge = (0.07 * at.width).clamp(0.0042, 0.0065);
            let (across, down) = (at.left / at.width, at.top / at.height);
            let beside = |fraction: f32, length: f32| {
                let along = strip(fraction, 1.0).1;
                along.min(1.0 - along) * length
            };
            let upright = beside(across * casements, at.width / casements);
            let above = down < transom;
            let level = (down - transom).abs() * at.height;
            let pane = (down - transom) / (1.0 - transom);
            let tall = at.height * (1.0 - transom) / rows;
            let cross = if above {
                1.0
            } else {
                beside(pane * rows, tall)
            };
            let rim = !at.under_arch(arch, edge) || at.bottom() < edge;
            if rim || upright.min(level) < 0.5 * bar + 0.0008 || cross < 0.35 * bar {
                let height = if rim { -0.6 * depth } else { -0.7 * depth };
                *texel = solid(frame, height);
                return;
            }
            let side = across.min(1.0 - across);
            let hangs = curtains && side < drawn + 0.06 * down;
            let folds = 0.9 + 0.1 * (at.left * 900.0).sin();
            let room = match (lamp, hangs) {
                (true, true) => times([0.98, 0.80, 0.50], folds),
                (true, false) => mix([1.0, 0.84, 0.52], [0.72, 0.48, 0.24], down),
                (false, true) => times(drape, 0.72 * folds),
                (false, false) => times([0.13, 0.14, 0.16], 1.1 - 0.5 * down),
            };
            // Each pane hangs at a slightly different angle and so mirrors another piece of the
            // sky and of the houses across the street.
            let leaf = (across * casements) as i32 + if above { 8 } else { 0 };
            let tilt = 0.25 * (cell(leaf, 6, seed) - 0.5);
            let house = strip(at.x + 0.3 * tilt, 0.07).0;
            let skyline = 0.6 + tilt + 0.35 * (cell(house, 1, design.seed) - 0.5);
            let sky = mix(
                design.sky[0],
                design.sky[1],
                (0.25 + down + tilt).clamp(0.0, 1.0),
            );
            let houses = ((down - skyline) * 25.0).clamp(0.0, 1.0);
            let mirrored = mix(sky, [0.24, 0.22, 0.21], 0.85 * houses);
            let mirror = if lamp { 0.12 } else { mirror };
            let colour = mix(room, mirrored, mirror);
            let lit = if lamp { 0.05 } else { 0.35 };
            *texel = glossy(colour, -depth, lit);
        });
    }
}

impl Design {
    /// The labels of every pixel, later parts over earlier ones.
    fn label_map(&self, side: u32) -> RgbImage {
        let mut map = RgbImage::new(side, side);
        for part in &self.parts {
            let Some(label) = part.label else { continue };
            let [left, top, right, bottom] = pixels(part.area, side);
            for y in top..bottom {
                for x in left..right {
                    map.put_pixel(x as u32, y as u32, Rgb(LABELS[label as usize].1));
                }
            }
        }
        map
    }

    fn photograph(&self, side: u32) -> RgbImage {
        let mut canvas = Canvas::new(side);
        for part in &self.parts {
            part.paint(self, &mut canvas);
        }
        self.age(&mut canvas);
        self.light(&mut canvas);
        self.develop(&canvas)
    }

    /// Mottled surfaces, streaks of rain and soot, and a darker foot of the walls.
    fn age(&self, canvas: &mut Canvas) {
        let (width, samples) = (canvas.width(), canvas.samples);
        let unit = 1.0 / canvas.side as f32;
        for row in 0..canvas.side as usize {
            let y = row as f32 * unit;
            let foot = ((y - 0.88) * 6.0).max(0.0);
            for column in 0..canvas.side as usize {
                let x = column as f32 * unit;
                let tone = 0.955 + 0.09 * noise(x * 34.0, y * 34.0, self.seed);
                let streak =
                    noise(x * 70.0, y * 5.0, self.seed) * noise(x * 6.0, y * 4.0, !self.seed);
                let dirt = (self.dirt * (0.5 * streak + 0.2 * foot)).min(0.6);
                for subrow in row * samples..(row + 1) * samples {
                    let first = subrow * width + column * samples;
                    for texel in &mut canvas.texels[first..first + samples] {
                        if texel.lit == 1.0 {
                            let soot = [0.25, 0.23, 0.20];
                            texel.colour = times(mix(texel.colour, soot, dirt), tone);
                        }
                    }
                }
            }
        }
    }

    /// Replaces the colour of every subpixel by the light it sends out.
    ///
    /// Row by row, the height below which the sun does not reach is carried along the sunbeams:
    /// each row hands it to the next, a little lower and a little to the side.
    fn light(&self, canvas: &mut Canvas) {
        let width = canvas.width();
        let unit = 1.0 / width as f32;
        let drop = unit / self.sun_reach;
        let last = width as f32 - 1.001;
        let open = blurred_heights(canvas);
        let mut horizon = vec![-1.0_f32; width];
        let mut next = horizon.clone();
        for row in 0..width {
            for column in 0..width {
                let from = (column as f32 - self.sun_slope).clamp(0.0, last);
                let (left, share) = (from as usize, from.fract());
                let carried = horizon[left] + (horizon[left + 1] - horizon[left]) * share - drop;
                let index = row * width + column;
                let above = canvas.texels[index.saturating_sub(width)].height;
                let towards_sun = if self.sun_slope > 0.0 {
                    index.saturating_sub(1)
                } else {
                    index + 1
                };
                let beside = canvas
                    .texels
                    .get(towards_sun)
                    .map_or(0.0, |texel| texel.height);
                let texel = &mut canvas.texels[index];
                let height = texel.height;
                next[column] = carried.max(height);
                let shadow = ((carried - height) * 450.0).clamp(0.0, 1.0);
                // Edges that face the sun catch it; those turned away do not.
                let facing = (60.0 * (height - 0.65 * above - 0.35 * beside)).clamp(-0.35, 0.3);
                let around =
                    open[row / canvas.samples * canvas.side as usize + column / canvas.samples];
                let nook = ((around - height) * 30.0).clamp(-0.12, 0.4);
                for channel in 0..3 {
                    let direct = self.sun[channel] * (1.0 - shadow) * (1.0 + facing);
                    let around = self.ambient[channel] * (1.0 - nook) * (1.0 + 0.6 * facing);
                    let light = 1.0 + (direct + around - 1.0) * texel.lit;
                    texel.colour[channel] = texel.colour[channel].powi(2) * light;
                }
            }
            std::mem::swap(&mut horizon, &mut next);
        }
    }

    /// Averages the subpixels, and adds the lens's fall-off and the grain of the sensor.
    fn develop(&self, canvas: &Canvas) -> RgbImage {
        let (samples, width) = (canvas.samples, canvas.width());
        let share = 1.0 / (samples * samples) as f32;
        let zoom = 1.0 / canvas.side as f32;
        RgbImage::from_fn(canvas.side, canvas.side, |x, y| {
            let mut sum = [0.0; 3];
            for row in 0..samples {
                let start = (y as usize * samples + row) * width + x as usize * samples;
                for texel in &canvas.texels[start..start + samples] {
                    for (total, channel) in sum.iter_mut().zip(texel.colour) {
                        *total += channel;
                    }
                }
            }
            let (across, down) = (x as f32 * zoom - 0.5, y as f32 * zoom - 0.5);
            let vignette = 1.0 - 0.25 * (across * across + down * down);
            let grain = cell(x as i32, y as i32, self.seed) - cell(x as i32, y as i32, !self.seed);
            Rgb(sum.map(|total| {
                let value = (total * share * vignette).max(0.0).sqrt() + grain * self.grain;
                // A soft shoulder keeps sunlit white walls from burning out.
                let value = if value > 0.85 {
                    value - (value - 0.85).powi(2) / (value - 0.7)
                } else {
                    value
                };
                (value * 255.0 + 0.5) as u8
            }))
        })
    }
}

/// The mean height around every pixel: what lies below it is in a nook.
fn blurred_heights(canvas: &Canvas) -> Vec<f32> {
    let (side, samples) = (canvas.side as usize, canvas.samples);
    let radius = (side / 90).max(1);
    let share = 1.0 / (2 * radius + 1) as f32;
    // Blurs each row and writes it as a column, so that doing it twice blurs both ways.
    let blur = |source: Vec<f32>| {
        let mut result = vec![0.0; side * side];
        for (row, heights) in source.chunks(side).enumerate() {
            let mut sum = heights[0] * (radius + 1) as f32 + heights[..radius].iter().sum::<f32>();
            for column in 0..side {
                sum += heights[(column + radius).min(side - 1)];
                sum -= heights[column.saturating_sub(radius + 1)];
                result[column * side + row] = sum * share;
            }
        }
        result
    };
    let pixel = |index| (index / side * canvas.width() + index % side) * samples;
    blur(blur(
        (0..side * side)
            .map(|index| canvas.texels[pixel(index)].height)
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn generator(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn positions(side: u32) -> impl Iterator<Item = (u32, u32)> {
        (0..side * side).map(move |index| (index % side, index / side))
    }

    fn label_at(labels: &RgbImage, x: u32, y: u32) -> usize {
        let colour = labels.get_pixel(x, y).0;
        LABELS
            .iter()
            .position(|label| label.1 == colour)
            .unwrap_or_else(|| panic!("{colour:?} is no label"))
    }

    fn grey(photo: &RgbImage, x: u32, y: u32) -> f32 {
        photo
            .get_pixel(x, y)
            .0
            .iter()
            .map(|&value| f32::from(value))
            .sum::<f32>()
            / 3.0
    }

    #[test]
    fn the_same_generator_state_gives_the_same_bytes() {
        assert_eq!(facade(96, &mut generator(3)), facade(96, &mut generator(3)));
        assert_ne!(facade(96, &mut generator(3)), facade(96, &mut generator(4)));
    }

    #[test]
    fn the_side_is_exact_and_limited() {
        for (asked, given) in [(0, 64), (64, 64), (101, 101), (256, 256), (9999, 512)] {
            let pair = facade(asked, &mut generator(1));
            assert_eq!(pair.photo.dimensions(), (given, given));
            assert_eq!(pair.labels.dimensions(), (given, given));
        }
    }

    #[test]
    fn the_side_changes_neither_the_draws_nor_the_building() {
        for seed in 0..10 {
            let (mut small, mut large) = (generator(seed), generator(seed));
            let small_pair = facade(128, &mut small);
            let large_pair = facade(256, &mut large);
            assert_eq!(small.random::<u64>(), large.random::<u64>());
            let mut equal = 0;
            let mut difference = 0.0;
            for (x, y) in positions(128) {
                let same =
                    small_pair.labels.get_pixel(x, y) == large_pair.labels.get_pixel(2 * x, 2 * y);
                equal += u32::from(same);
                let mean = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .map(|(right, down)| grey(&large_pair.photo, 2 * x + right, 2 * y + down))
                    .iter()
                    .sum::<f32>()
                    / 4.0;
                difference += (mean - grey(&small_pair.photo, x, y)).abs();
            }
            assert!(
                equal > 128 * 128 * 9 / 10,
                "seed {seed}: {equal} labels agree"
            );
            assert!(
                difference < 128.0 * 128.0 * 18.0,
                "seed {seed}: {difference}"
            );
        }
    }

    #[test]
    fn labels_are_the_twelve_and_all_of_them_occur() {
        let mut seen = [0; LABELS.len()];
        for seed in 0..50 {
            let labels = facade(128, &mut generator(seed)).labels;
            let mut area = [0; LABELS.len()];
            for (x, y) in positions(128) {
                area[label_at(&labels, x, y)] += 1;
            }
            assert!(
                area[Label::Facade as usize] > 128 * 128 / 8,
                "seed {seed}: {area:?}"
            );
            assert!(
                area[Label::Window as usize] > 128 * 128 / 100,
                "seed {seed}: {area:?}"
            );
            for (total, count) in seen.iter_mut().zip(area) {
                *total += u32::from(count > 0);
            }
        }
        assert!(seen.iter().all(|&buildings| buildings >= 5), "{seen:?}");
    }

    #[test]
    fn edges_of_the_photograph_lie_on_the_borders_of_the_labels() {
        let [mut border, mut inside] = [[0.0_f64; 2]; 2];
        for seed in 0..30 {
            let pair = facade(256, &mut generator(seed));
            for (x, y) in positions(255) {
                for (next_x, next_y) in [(x + 1, y), (x, y + 1)] {
                    let step = grey(&pair.photo, x, y) - grey(&pair.photo, next_x, next_y);
                    let same = pair.labels.get_pixel(x, y) == pair.labels.get_pixel(next_x, next_y);
                    let sums = if same { &mut inside } else { &mut border };
                    sums[0] += f64::from(step.abs());
                    sums[1] += 1.0;
                }
            }
        }
        let (border, inside) = (border[0] / border[1], inside[0] / inside[1]);
        assert!(
            border > 3.0 * inside,
            "{border} on borders, {inside} elsewhere"
        );
    }

    #[test]
    fn windows_look_unlike_the_walls() {
        let mut apart = 0;
        for seed in 0..50 {
            let pair = facade(128, &mut generator(seed));
            let mut sums = [[0.0_f32; 3]; LABELS.len()];
            for (x, y) in positions(128) {
                let (value, sum) = (
                    grey(&pair.photo, x, y),
                    &mut sums[label_at(&pair.labels, x, y)],
                );
                *sum = [sum[0] + 1.0, sum[1] + value, sum[2] + value * value];
            }
            let [window, wall] = [Label::Window, Label::Facade].map(|label| {
                let [count, sum, squares] = sums[label as usize];
                let mean = sum / count;
                [mean, (squares / count - mean * mean).sqrt()]
            });
            apart += u32::from((window[0] - wall[0]).abs() > 20.0 || window[1] > 1.5 * wall[1]);
        }
        assert!(apart >= 45, "{apart} of 50");
    }

    #[test]
    fn ledges_throw_shadows_downwards_and_away_from_the_sun() {
        let mut design = Design::sample_moment(&mut generator(2));
        (design.sun, design.ambient) = ([0.8; 3], [0.2; 3]);
        (design.sun_slope, design.sun_reach) = (1.0, 1.0);
        let mut canvas = Canvas::new(200);
        canvas.each([0.0, 0.0, 1.0, 1.0], |_, texel| texel.colour = [0.5; 3]);
        canvas.each([0.4, 0.4, 0.6, 0.45], |_, texel| texel.height = 0.1);
        design.light(&mut canvas);
        let at = |x: f32, y: f32| {
            let width = canvas.width();
            canvas.texels[(y * width as f32) as usize * width + (x * width as f32) as usize].colour
                [0]
        };
        let (lit, shadow) = (at(0.2, 0.2), at(0.55, 0.5));
        assert!((lit - 0.25).abs() < 0.02, "{lit}");
        assert!(shadow < 0.4 * lit, "{shadow}");
        assert!(
            at(0.65, 0.5) < 0.4 * lit,
            "the shadow moves away from the sun"
        );
        assert!(
            (at(0.38, 0.5) - lit).abs() < 0.02,
            "and leaves the side of the sun free"
        );
        assert!((at(0.6, 0.6) - lit).abs() < 0.02, "and ends");
    }
}
