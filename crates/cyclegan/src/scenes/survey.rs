//! What is seen at each point of a scene, the same for both domains.

use super::{
    Band, Boat, Haystack, House, Item, Land, Ribbon, Scene, Tree, TreeKind, blend, layered_noise,
    noise, ramp,
};

/// Survey points per pixel along each axis.
pub(super) const SAMPLES: usize = 2;

/// The number of all water, which lies behind whatever was put on it.
const WATER: u16 = u16::MAX;

/// What is seen at a point. Each has two variants, between which a point's tint mixes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Material {
    /// By day; in the evening. Shadow is the zenith, light the horizon.
    Sky,
    /// By day; in the evening.
    Cloud,
    /// Rock; forest.
    Mountain,
    /// By day; in the evening.
    Snow,
    /// Grass; straw.
    Meadow,
    /// Poppies; daisies.
    Flower,
    /// By day; in the evening.
    Water,
    /// In summer; in autumn.
    Foliage,
    /// In summer; in autumn.
    Conifer,
    /// Wood; dark glass.
    Wood,
    /// Plaster; sailcloth.
    Wall,
    /// Tiles; slate.
    Roof,
    /// Earth; hay.
    Earth,
    /// What hides distant things, by day; in the evening.
    Haze,
    /// High; low.
    Sun,
}

/// What is seen at one point. All numbers are `0..=1`, but for the angle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) material: Material,
    /// Points of one thing have the same number; a brush stroke stays within one thing.
    pub(super) thing: u16,
    pub(super) shade: f32,
    /// Share of the second variant of the material; in the sky, of the glare of the sun.
    pub(super) tint: f32,
    /// Share of what covers the material: clouds, snow or flowers.
    pub(super) cover: f32,
    /// Share of haze; in the sky, how brightly a cloud is lit.
    pub(super) haze: f32,
    /// Share of water in front of what it mirrors.
    pub(super) wet: f32,
    /// Direction of a brush stroke in radians, 0 to the right, clockwise.
    pub(super) angle: f32,
}

/// All points of a scene, in rows.
pub(super) struct Survey {
    side: usize,
    points: Vec<Point>,
    /// For each column: from which height down nearer land will cover whatever is put there now.
    hidden: Vec<f32>,
}

impl Survey {
    /// Lets `look` replace points within a rectangle; it gets the position and the old point.
    fn replace(
        &mut self,
        [left, top, right, bottom]: [f32; 4],
        look: impl Fn(f32, f32, &Point) -> Option<Point>,
    ) {
        let scale = self.side as f32;
        let index = |position: f32| (position.clamp(0.0, 1.0) * scale).round() as usize;
        for row in index(top)..index(bottom) {
            let y = (row as f32 + 0.5) / scale;
            for column in index(left)..index(right) {
                let x = (column as f32 + 0.5) / scale;
                if y >= self.hidden[column] {
                    continue;
                }
                let point = &mut self.points[row * self.side + column];
                if let Some(new) = look(x, y, point) {
                    *point = new;
                }
            }
        }
    }

    /// The values of a function in the middle of each column.
    fn columns<T>(&self, value: impl Fn(f32) -> T) -> Vec<T> {
        let scale = self.side as f32;
        let middle = |column: usize| (column as f32 + 0.5) / scale;
        (0..self.side).map(|column| value(middle(column))).collect()
    }
}

impl Scene {
    pub(super) fn survey(&self, side: usize) -> Survey {
        let empty = Point {
            material: Material::Sky,
            thing: 0,
            shade: 0.0,
            tint: self.evening,
            cover: 0.0,
            haze: 0.0,
            wet: 0.0,
            angle: 0.0,
        };
        let mut survey = Survey {
            side,
            points: vec![empty; side * side],
            hidden: vec![2.0; side],
        };
        // The bands touch each other, so all that lies below the crest of a nearer one is hidden.
        let mut hidden = vec![survey.hidden.clone()];
        for item in self.items.iter().rev() {
            let mut nearer = hidden[hidden.len() - 1].clone();
            if let Item::Band(band) = item {
                let crests = survey.columns(|x| band.crest(x));
                for (height, crest) in nearer.iter_mut().zip(crests) {
                    *height = height.min(crest);
                }
            }
            hidden.push(nearer);
        }
        survey.hidden = hidden.pop().unwrap_or_default();
        self.survey_sky(&mut survey, empty);
        for (index, item) in self.items.iter().enumerate() {
            survey.hidden = hidden.pop().unwrap_or_default();
            let ground = Point {
                thing: index as u16 + 2,
                ..empty
            };
            match item {
                Item::Band(band) => self.survey_band(&mut survey, ground, band),
                Item::Ribbon(ribbon) => self.survey_ribbon(&mut survey, ground, ribbon),
                Item::Tree(tree) => self.survey_tree(&mut survey, ground, tree),
                Item::House(house) => self.survey_house(&mut survey, ground, house),
                Item::Boat(boat) => self.survey_boat(&mut survey, ground, boat),
                Item::Haystack(stack) => self.survey_haystack(&mut survey, ground, stack),
            }
        }
        survey
    }

    /// From which side the light falls: `-1` left, `1` right.
    fn light(&self) -> f32 {
        if self.sun[0] < 0.5 { -1.0 } else { 1.0 }
    }

    fn survey_sky(&self, survey: &mut Survey, empty: Point) {
        survey.replace([0.0, 0.0, 1.0, self.horizon + 0.02], |x, y, _| {
            // Clouds lie in a plane overhead, so they crowd together towards the horizon.
            let distance = 1.0 / (self.horizon + 0.2 - y);
            let (u, v) = ((x - 0.5) * 1.3 * distance + 7.0, 2.2 * distance);
            let thick = layered_noise(self.seed, u, v, 4);
            let low = 0.72 - 0.34 * self.clouds;
            let cover = ramp(low, low + 0.2, thick) * ramp(0.02, 0.16, self.horizon + 0.03 - y);
            let [sun_x, sun_y] = self.sun;
            let away = ((x - sun_x).powi(2) + (y - sun_y).powi(2)).sqrt();
            let swirl = noise(self.seed ^ 5, x * 3.0, y * 4.0) - 0.5;
            let mut point = Point {
                shade: y / self.horizon * (0.7 + 0.3 * y / self.horizon)
                    + 0.25 * (0.4 - away).max(0.0),
                cover,
                tint: ramp(0.036, 0.03, away) + 0.4 * ramp(0.22, 0.02, away),
                angle: self.wind + 2.4 * swirl,
                // The underside of a cloud is its thickest part.
                haze: 1.0 - ramp(low + 0.12, low + 0.42, thick),
                ..empty
            };
            if away < 0.034 {
                point.thing = 1;
            }
            Some(point)
        });
    }

    fn survey_band(&self, survey: &mut Survey, ground: Point, band: &Band) {
        if band.land == Land::Water {
            let top = band.foot;
            let row = |y: f32, ripple: f32| 2.0 * top - y + 0.02 * (ripple - 0.5);
            self.survey_water(survey, [0.0, top, 1.0, 1.0], |_, _| true, row);
            return;
        }
        let light = self.light();
        let seed = band.seed;
        let crests = survey.columns(|x| band.crest(x));
        let slopes =
            survey.columns(|x| ((band.crest(x + 0.02) - band.crest(x - 0.02)) / 0.04).atan());
        let scale = survey.side as f32;
        let top = crests.iter().copied().fold(band.foot, f32::min);
        let bottom = if band.land == Land::Meadow {
            1.0
        } else {
            band.foot + 0.012
        };
        survey.replace([0.0, top, 1.0, bottom], |x, y, _| {
            let column = (x * scale) as usize;
            let (crest, slope) = (crests[column], slopes[column]);
            if y < crest {
                return None;
            }
            let below = y - crest;
            let mut point = Point {
                haze: band.haze,
                ..ground
            };
            match band.land {
                Land::Peaks => {
                    let rock =
                        |x: f32| layered_noise(seed ^ 1, x * 13.0 + y * 4.0, y * 8.0 - x * 5.0, 3);
                    let (left, right) = (rock(x - 0.016), rock(x + 0.016));
                    let facing = (right - left) * 5.0 * light;
                    point.material = Material::Mountain;
                    point.tint = 0.0;
                    point.shade = 0.45 - 0.4 * (1.8 * facing).clamp(-1.0, 1.0);
                    let ragged = 0.25 * (left + right - 1.0);
                    let snow = band.height * (0.55 * band.cover - 0.12) + 0.14 * ragged;
                    let above = y - (band.foot - 0.92 * band.height) - snow;
                    point.cover = ramp(0.02, -0.01, above) * ramp(0.1, 0.3, band.cover);
                    point.angle = if facing * light > 0.0 { 1.0 } else { -1.0 };
                    point.haze += 0.35 * ramp(band.height, 0.0, self.horizon - y);
                }
                Land::Forest => {
                    let bumps = layered_noise(seed ^ 1, x * 42.0, y * 60.0, 2);
                    let folds = noise(seed ^ 2, x * 7.0 + y * 5.0, y * 8.0);
                    point.material = Material::Mountain;
                    point.tint = 1.0;
                    point.shade = 0.1 + 0.5 * folds + 0.4 * bumps;
                    point.angle = slope + 0.6 * light * (folds - 0.2);
                }
                Land::Meadow | Land::Water => {
                    let near = 1.0 / (0.1 + (y - self.horizon).max(0.0));
                    let broad = noise(seed ^ 1, x * 0.5 * near, y * near * 1.6);
                    let fine = layered_noise(seed ^ 2, x * 7.0 * near, y * near * 11.0, 2);
                    let patch = noise(seed ^ 3, x * 0.8 * near + 3.0, y * near * 2.4);
                    point.material = Material::Meadow;
                    point.tint = (band.tint + 0.5 * (patch - 0.5)).clamp(0.0, 1.0);
                    point.shade = 0.16 + 0.5 * broad + 0.4 * fine + 0.3 * ramp(0.08, 0.0, below)
                        - 0.35 * (slope * light).clamp(-0.5, 0.5);
                    let blossom = noise(seed ^ 4, x * 17.0 * near, y * near * 24.0);
                    if blossom > 0.72 - 0.34 * band.cover {
                        let field = noise(seed ^ 6, x * 3.0, y * 6.0);
                        let dense = blossom + 0.34 * (field + band.cover - 1.0);
                        point.cover = ramp(0.72, 0.82, dense);
                    }
                    point.angle = slope + 1.6 * (patch - 0.5) - 0.25;
                    point.haze = band.haze * ramp(0.45, 0.0, y - self.horizon);
                }
            }
            Some(point)
        });
    }

    /// Fills the part of a rectangle that `inside` picks with water; `mirrored` gives the row that
    /// is reflected at a row, from the strength of the ripples.
    fn survey_water(
        &self,
        survey: &mut Survey,
        [left, top, right, bottom]: [f32; 4],
        inside: impl Fn(f32, f32) -> bool,
        mirrored: impl Fn(f32, f32) -> f32,
    ) {
        let side = survey.side;
        let scale = side as f32;
        let above: Vec<Point> = survey.points[..(top * scale) as usize * side].to_vec();
        let last = above.len() / side - 1;
        survey.replace([left, top, right, bottom], |x, y, _| {
            if !inside(x, y) {
                return None;
            }
            let near = 1.0 / (0.06 + (y - self.horizon).max(0.0));
            let ripple = layered_noise(self.seed ^ 11, x * 1.6 * near, 9.0 * near, 3);
            let row = ((mirrored(y, ripple) * scale).max(0.0) as usize).min(last);
            let mut point = above[row * side + (x * scale) as usize];
            let glitter = (0.16 - (x - self.sun[0]).abs()).max(0.0) * 3.0 * self.evening;
            point.wet = (0.38 + 0.9 * (ripple - 0.5) + 0.25 * (y - top)).clamp(0.15, 0.9);
            point.wet -= 0.3 * glitter * ripple;
            point.thing = WATER;
            point.angle = 0.25 * (ripple - 0.5);
            Some(point)
        });
    }

    fn survey_ribbon(&self, survey: &mut Survey, ground: Point, ribbon: &Ribbon) {
        let edges = |y: f32| {
            let t = ((y - ribbon.top) / (1.0 - ribbon.top)).clamp(0.0, 1.0);
            let swing = (ribbon.phase + 7.0 * t.sqrt()).sin() * ribbon.winding * (0.3 + t);
            let middle = blend(ribbon.from, ribbon.to, t) + swing;
            (middle, 0.5 * ribbon.width * (0.06 + 0.94 * t))
        };
        let inside = |x: f32, y: f32| {
            let (middle, half) = edges(y);
            let ragged = 0.3 * half * (noise(self.seed ^ 21, x * 12.0, y * 40.0) - 0.5);
            (x - middle).abs() < half + ragged
        };
        let area = [0.0, ribbon.top, 1.0, 1.0];
        if ribbon.wet {
            let top = ribbon.top;
            let row = |y: f32, ripple: f32| {
                self.horizon - 0.02 - 0.85 * (y - top) + 0.03 * (ripple - 0.5)
            };
            self.survey_water(survey, area, inside, row);
            return;
        }
        survey.replace(area, |x, y, _| {
            let (middle, half) = edges(y);
            inside(x, y).then(|| Point {
                material: Material::Earth,
                shade: 0.4 + 0.5 * layered_noise(self.seed ^ 22, x * 30.0, y * 60.0, 2)
                    - 0.25 * ((x - middle) / half).powi(2),
                tint: 0.0,
                angle: 1.2 - 2.0 * (middle - 0.5),
                ..ground
            })
        });
    }

    /// Darkens the ground where something stands.
    fn cast_shadow(&self, survey: &mut Survey, [x, y]: [f32; 2], width: f32) {
        let [x, reach] = [x - 0.5 * width * self.light(), width];
        let area = [x - reach, y - 0.2 * reach, x + reach, y + 0.2 * reach];
        survey.replace(area, |px, py, point| {
            let from = ((px - x) / reach).hypot((py - y) / (0.2 * reach));
            let solid = matches!(point.material, Material::Meadow | Material::Earth);
            (solid && point.wet == 0.0).then(|| Point {
                shade: point.shade - 0.5 * ramp(1.0, 0.5, from),
                ..*point
            })
        });
    }

    fn survey_tree(&self, survey: &mut Survey, ground: Point, tree: &Tree) {
        let height = tree.height;
        let half = tree.slenderness
            * height
            * match tree.kind {
                TreeKind::Round => 0.36,
                TreeKind::Poplar => 0.13,
                TreeKind::Conifer => 0.22,
            };
        self.cast_shadow(survey, [tree.x, tree.foot], 1.1 * half);
        let light = self.light();
        let top = tree.foot - height;
        let crown = match tree.kind {
            TreeKind::Round => 0.74,
            TreeKind::Poplar | TreeKind::Conifer => 0.92,
        };
        let trunk = 0.035 * height;
        let ground = Point {
            haze: tree.haze,
            tint: tree.tint,
            ..ground
        };
        let area = [
            tree.x - 1.4 * half,
            top - 0.1 * height,
            tree.x + 1.4 * half,
            tree.foot,
        ];
        survey.replace(area, |x, y, _| {
            let across = (x - tree.x) / half;
            let down = (y - top) / (crown * height);
            let scale = 7.0 / half.max(0.3 * height);
            let bare = tree.kind != TreeKind::Conifer
                && across.powi(2) + (2.0 * down - 1.0).powi(2) > 1.83;
            if bare && (x - tree.x).abs() > 1.2 * trunk {
                return None;
            }
            let leaves = layered_noise(tree.seed, x * scale, y * scale, 3);
            let tufts = noise(tree.seed ^ 1, x * 0.45 * scale, y * 0.45 * scale);
            let (outside, shade, angle) = match tree.kind {
                TreeKind::Conifer => {
                    let tier = (down * 5.0).fract();
                    let width = down * (0.72 + 0.28 * tier) + 0.02;
                    let outside = if down < 0.0 {
                        9.0
                    } else {
                        across.abs() / width
                    };
                    let droop = 0.9 * across.signum();
                    (outside + 0.4 * (leaves - 0.5), 0.75 - 0.5 * tier, droop)
                }
                TreeKind::Round | TreeKind::Poplar => {
                    let lump = 0.32 * (tufts - 0.5) + 0.26 * (leaves - 0.5);
                    let swirl = if tree.kind == TreeKind::Poplar {
                        -1.5
                    } else {
                        across * 1.2 + 2.0 * (tufts - 0.5)
                    };
                    (
                        across.hypot(2.0 * down - 1.0) + lump,
                        0.62 - 0.4 * down,
                        swirl,
                    )
                }
            };
            if outside < 1.0 {
                return Some(Point {
                    material: if tree.kind == TreeKind::Conifer {
                        Material::Conifer
                    } else {
                        Material::Foliage
                    },
                    shade: shade
                        + 0.3 * across * light
                        + 0.8 * (leaves - 0.5)
                        + 0.5 * (tufts - 0.5),
                    angle,
                    ..ground
                });
            }
            (down > 0.5 && (x - tree.x).abs() < trunk * (0.6 + 0.5 * down)).then(|| Point {
                material: Material::Wood,
                shade: 0.45 + 0.5 * (x - tree.x) / trunk * light,
                tint: 0.0,
                angle: 1.5,
                ..ground
            })
        });
    }

    fn survey_house(&self, survey: &mut Survey, ground: Point, house: &House) {
        let light = self.light();
        let width = house.width;
        self.cast_shadow(survey, [house.x + 0.4 * width, house.foot], 0.7 * width);
        let ground = Point {
            haze: house.haze,
            ..ground
        };
        let area = [
            house.x - 0.1 * width,
            house.foot - (1.0 + house.tower) * width,
            house.x + 1.1 * width,
            house.foot,
        ];
        survey.replace(area, |x, y, _| {
            // u runs along the house, the gable is its left 0.36; v is the height, in widths.
            let (u, v) = ((x - house.x) / width, (house.foot - y) / width);
            let gable = u < 0.36;
            let lit = if gable == (light < 0.0) { 0.95 } else { 0.35 };
            let wall = Point {
                material: Material::Wall,
                shade: lit - 0.15 * (0.3 - v),
                tint: 0.0,
                angle: 1.5,
                ..ground
            };
            let roof = Point {
                material: Material::Roof,
                shade: 0.5 + 0.35 * lit - 0.9 * (v - 0.45).abs() + 0.1 * (u * 40.0).sin(),
                tint: house.slate,
                angle: 1.2,
                ..ground
            };
            let opening = |left: f32, low: f32, size: f32| {
                (left..left + 0.6 * size).contains(&u) && (low..low + size).contains(&v)
            };
            if house.tower > 0.0 && (0.1..0.36).contains(&u) && v < house.tower {
                return Some(wall);
            }
            let spire = 0.16 * (1.0 - (v - house.tower) / 0.5);
            if house.tower > 0.0 && v >= house.tower && (u - 0.23).abs() < spire {
                return Some(roof);
            }
            if (0.0..1.0).contains(&u) && v < 0.34 {
                let glass = [0.5, 0.78].iter().any(|&left| opening(left, 0.12, 0.14));
                if glass || opening(0.13, -0.1, 0.3) {
                    return Some(Point {
                        material: Material::Wood,
                        shade: 0.2,
                        tint: 1.0,
                        ..wall
                    });
                }
                return Some(wall);
            }
            let rise = (v - 0.34) / 0.3;
            if gable && u > 0.0 && (0.0..1.0 - (u - 0.18).abs() / 0.18).contains(&rise) {
                return Some(wall);
            }
            if (0.72..0.8).contains(&u) && (0.4..0.76).contains(&v) {
                return Some(Point { tint: 0.0, ..roof });
            }
            let slant = 0.18 * rise;
            let roofed =
                (-0.06..1.06).contains(&rise) && u > slant - 0.04 && u < 1.08 - 0.6 * slant;
            roofed.then_some(roof)
        });
    }

    fn survey_boat(&self, survey: &mut Survey, ground: Point, boat: &Boat) {
        let size = boat.size;
        let area = [
            boat.x - 0.6 * size,
            boat.foot - size,
            boat.x + 0.6 * size,
            boat.foot + 0.8 * size,
        ];
        survey.replace(area, |x, y, point| {
            let u = (x - boat.x) / size * boat.heading;
            let height = (boat.foot - y) / size;
            // Below the water line the boat is seen upside down, less clearly and shorter.
            let mirror = height < 0.0;
            let ragged = 0.12 * (noise(self.seed ^ 31, 3.0, y * 160.0) - 0.5);
            let (u, v) = if mirror {
                (u + ragged, -1.3 * height)
            } else {
                (u, height)
            };
            let hull = v < 0.13 && u.abs() < 0.34 + 0.8 * v;
            let main = u > -0.02 && v > 0.16 && u < 0.36 * (1.0 - (v - 0.16) / 0.8);
            let jib = u < -0.05 && v > 0.18 && u > -0.3 * (1.0 - (v - 0.18) / 0.6);
            let mast = (-0.05..=-0.02).contains(&u) && v < 0.98;
            let shade = if main == (self.light() * boat.heading > 0.0) {
                0.95
            } else {
                0.55
            };
            let (material, tint, shade, angle) = match () {
                () if main || jib => (Material::Wall, 1.0, shade, 1.5),
                () if hull => (Material::Roof, 0.0, 0.2 + 2.0 * v, 0.0),
                () if mast => (Material::Wood, 0.0, 0.4, 1.5),
                () => return None,
            };
            let seen = Point {
                material,
                tint,
                shade,
                angle,
                haze: 0.1,
                ..ground
            };
            if !mirror {
                return Some(seen);
            }
            (point.thing == WATER).then_some(Point {
                wet: 0.5,
                thing: point.thing,
                angle: 0.0,
                ..seen
            })
        });
    }

    fn survey_haystack(&self, survey: &mut Survey, ground: Point, stack: &Haystack) {
        self.cast_shadow(survey, [stack.x, stack.foot], 0.8 * stack.size);
        let half = 0.5 * stack.size;
        let area = [
            stack.x - 1.2 * half,
            stack.foot - 1.7 * half,
            stack.x + 1.2 * half,
            stack.foot,
        ];
        survey.replace(area, |x, y, _| {
            let (u, v) = ((x - stack.x) / half, (stack.foot - y) / half);
            let straw = layered_noise(stack.seed, u * 4.0, v * 9.0, 2);
            let width = if v < 0.7 {
                0.86 + 0.2 * v
            } else {
                1.08 * (1.0 - (v - 0.7) / 0.9).max(0.0).powf(0.7)
            };
            (u.abs() < width + 0.08 * (straw - 0.5)).then(|| Point {
                material: Material::Earth,
                shade: 0.3 + 0.4 * u * self.light() + 0.2 * v.min(1.0) + 0.4 * (straw - 0.5),
                tint: 1.0,
                angle: if v < 0.7 { 1.5 } else { 0.9 * u.signum() },
                ..ground
            })
        });
    }
}

impl Survey {
    /// The points within one pixel.
    pub(super) fn within(&self, column: usize, row: usize) -> [&Point; SAMPLES * SAMPLES] {
        std::array::from_fn(|sample| {
            let (x, y) = (
                column * SAMPLES + sample % SAMPLES,
                row * SAMPLES + sample / SAMPLES,
            );
            &self.points[y * self.side + x]
        })
    }

    pub(super) fn at(&self, x: f32, y: f32) -> &Point {
        let [column, row] = [x, y].map(|t| ((t * self.side as f32) as usize).min(self.side - 1));
        &self.points[row * self.side + column]
    }
}
