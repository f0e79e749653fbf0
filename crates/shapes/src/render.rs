//! Pictures of meshes, drawn in software: a z-buffer, a soft key light and a dome of sky light that both cast shadows,
//! on the object itself and on the ground under it.
//!
//! Everything is a pure function of its arguments and runs on the calling thread, so equal calls give equal bytes.

use crate::mesh::Mesh;
use crate::vector::{Vector, add, cross, dot, face_normal, length, scale, sub, unit_or};
use image::{Rgb, RgbImage};

/// Where a picture is taken from. The camera looks at the middle of what it frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    /// Degrees around the z axis, counter-clockwise seen from above; at 0 the camera stands on the side of +x.
    pub azimuth: f32,
    /// Degrees above the horizon, from -89 to 89 (clamped). From below the horizon there is no ground.
    pub elevation: f32,
    /// How distance shows.
    pub projection: Projection,
    /// What fills the picture.
    pub framing: Framing,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            azimuth: 215.0,
            elevation: 24.0,
            projection: Projection::Perspective {
                field_of_view: 28.0,
            },
            framing: Framing::Mesh,
        }
    }
}

/// How distance shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Projection {
    /// What is farther is smaller.
    Perspective {
        /// Degrees from the lower to the upper border of a square picture, from 1 to 120 (clamped).
        field_of_view: f32,
    },
    /// What is farther is as large.
    Orthographic,
}

/// What fills the picture. Either way it is the same from every azimuth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Framing {
    /// The mesh, whatever its size.
    Mesh,
    /// An upright cylinder around the origin, so that meshes keep their sizes; what lies outside of it may be cut off.
    Cylinder {
        /// Of the circle.
        radius: f32,
        /// From the origin up, and down.
        half_height: f32,
    },
}

impl Framing {
    /// What holds the cube from -0.5 to 0.5 as it turns.
    pub const UNIT_CUBE: Self = Self::Cylinder {
        radius: std::f32::consts::FRAC_1_SQRT_2,
        half_height: 0.5,
    };

    /// What holds all of several meshes as they turn; the unit cube where none has a vertex.
    pub fn of(meshes: &[Mesh]) -> Self {
        let (mut radius, mut half_height) = (0f32, 0f32);
        for [x, y, z] in meshes.iter().flat_map(|mesh| &mesh.vertices) {
            radius = radius.max(x.hypot(*y));
            half_height = half_height.max(z.abs());
        }
        if radius > 0.0 && half_height > 0.0 && radius.is_finite() && half_height.is_finite() {
            Self::Cylinder {
                radius,
                half_height,
            }
        } else {
            Self::UNIT_CUBE
        }
    }
}

/// What a mesh is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Material {
    /// Red, green and blue as in a picture (sRGB).
    pub colour: [u8; 3],
}

impl Default for Material {
    /// Light wood.
    fn default() -> Self {
        Self {
            colour: [214, 164, 112],
        }
    }
}

/// Samples along each side of a pixel.
const SAMPLES: usize = 2;

/// The part of the picture's half that the framed thing takes.
const FILLED: f32 = 0.88;

/// Texels along the side of a map of what a light sees.
const MAP_SIDE: usize = 112;

/// In how many directions the sky and the key, a disc of this radius seen from a distance of 1, are divided.
const SKY_LIGHTS: usize = 24;
const KEY_LIGHTS: usize = 9;
const KEY_RADIUS: f32 = 0.16;

/// How much light there is: of the sky on the open ground, of key and fill on a surface that faces them, and what the
/// ground sends back from below.
const SKY: f32 = 0.56;
const KEY: f32 = 0.74;
const FILL: f32 = 0.10;
const BOUNCE: f32 = 0.16;

/// The sky is a little blue, the key and what the ground sends back a little yellow.
const SKY_TINT: Vector = [0.97, 1.0, 1.05];
const KEY_TINT: Vector = [1.03, 1.0, 0.94];
const BOUNCE_TINT: Vector = [1.06, 1.0, 0.90];

/// The highlight of the key (Blinn's).
const GLOSS: f32 = 0.10;
const SHININESS: f32 = 36.0;

/// How much of a shadow shows on the ground.
const GROUND_SHADOW: f32 = 0.72;

/// Places along the side of the square of ground that has shadows, and half that side in radii of the ball around the
/// object.
const GROUND_SIDE: usize = 96;
const GROUND_REACH: f32 = 2.6;

/// The background at the top and at the bottom.
const TOP: Vector = [225.0, 229.0, 234.0];
const BOTTOM: Vector = [247.0, 246.0, 244.0];

const NO_TRIANGLE: u32 = u32::MAX;

/// A picture of `mesh`, `width` x `height` pixels (0 counts as 1).
///
/// Without normals the faces are flat. Both sides of a triangle are drawn, because meshes that people made have faces
/// of any winding. A triangle with an index out of range or a coordinate that is not finite is left out; a mesh without
/// others gives the background.
#[must_use]
pub fn render(
    mesh: &Mesh,
    camera: &Camera,
    material: &Material,
    width: u32,
    height: u32,
) -> RgbImage {
    let mut picture = RgbImage::new(width.max(1), height.max(1));
    let area = Area {
        left: 0,
        top: 0,
        width: width.max(1),
        height: height.max(1),
    };
    fill_with_background(&mut picture);
    draw(&mut picture, area, mesh, camera, material);
    picture
}

/// One picture of many meshes, row by row, `columns` to a row, each in a square of `cell` pixels.
///
/// Fewer meshes than `columns` make a narrower sheet, and 0 columns count as 1. No meshes give one empty square.
#[must_use]
pub fn sheet(
    meshes: &[Mesh],
    columns: usize,
    cell: u32,
    camera: &Camera,
    material: &Material,
) -> RgbImage {
    let cell = cell.max(1);
    let columns = columns.clamp(1, meshes.len().max(1));
    let rows = meshes.len().div_ceil(columns).max(1);
    let mut picture = RgbImage::new(columns as u32 * cell, rows as u32 * cell);
    fill_with_background(&mut picture);
    for (index, mesh) in meshes.iter().enumerate() {
        let area = Area {
            left: (index % columns) as u32 * cell,
            top: (index / columns) as u32 * cell,
            width: cell,
            height: cell,
        };
        draw(&mut picture, area, mesh, camera, material);
    }
    picture
}

/// `frames` square pictures of `cell` pixels, the camera going once around the mesh, counter-clockwise seen from above.
///
/// The first is at the camera's azimuth; the last is one step before it, so that the frames repeat without a jump.
#[must_use]
pub fn turntable(
    mesh: &Mesh,
    frames: usize,
    cell: u32,
    camera: &Camera,
    material: &Material,
) -> Vec<RgbImage> {
    (0..frames)
        .map(|frame| {
            let turned = Camera {
                azimuth: camera.azimuth + 360.0 * frame as f32 / frames as f32,
                ..*camera
            };
            render(mesh, &turned, material, cell, cell)
        })
        .collect()
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy)]
struct Area {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

fn fill_with_background(picture: &mut RgbImage) {
    let height = picture.height() as f32;
    for (_, y, pixel) in picture.enumerate_pixels_mut() {
        let down = (y as f32 + 0.5) / height;
        *pixel = Rgb([0, 1, 2].map(|c| (TOP[c] + (BOTTOM[c] - TOP[c]) * down).round() as u8));
    }
}

fn draw(picture: &mut RgbImage, area: Area, mesh: &Mesh, camera: &Camera, material: &Material) {
    let Some(surface) = Surface::of(mesh) else {
        return;
    };
    let view = View::new(camera, &surface, area);
    let raster = Raster::of(&surface, &view);
    let scene = Scene {
        lights: Lights::around(&view),
        surface,
        view,
        albedo: material.colour.map(to_light),
    };
    scene.paint(picture, area, &raster);
}

/// The light of a value of a picture, from 0 to 1 (sRGB).
fn to_light(value: u8) -> f32 {
    let value = f32::from(value) / 255.0;
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// The value of a picture for some light; more than 1 is 255.
fn from_light(light: f32) -> u8 {
    let value = if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    (value * 255.0).round() as u8
}

/// The triangles of a mesh that can be drawn, moved and scaled so that they lie around 0 within a ball of radius 1.
struct Surface<'a> {
    vertices: Vec<Vector>,
    normals: Option<&'a [Vector]>,
    triangles: Vec<[u32; 3]>,
    /// The height of the middle over the ground.
    half_height: f32,
    /// Where 0 is in the mesh, and how long there a length of 1 is.
    middle: [f64; 3],
    unit: f64,
}

impl<'a> Surface<'a> {
    /// Nothing for a mesh without triangles, or without any size.
    fn of(mesh: &'a Mesh) -> Option<Self> {
        let is_finite = |corner: &u32| {
            let vertex = mesh.vertices.get(*corner as usize);
            vertex.is_some_and(|vertex| vertex.iter().all(|value| value.is_finite()))
        };
        let triangles: Vec<[u32; 3]> = mesh
            .triangles
            .iter()
            .filter(|triangle| triangle.iter().all(is_finite))
            .copied()
            .collect();
        let corners = || {
            let corners = triangles.iter().flatten();
            corners.map(|&corner| mesh.vertices[corner as usize].map(f64::from))
        };
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for corner in corners() {
            for axis in 0..3 {
                low[axis] = low[axis].min(corner[axis]);
                high[axis] = high[axis].max(corner[axis]);
            }
        }
        let middle = [0, 1, 2].map(|axis| (low[axis] + high[axis]) / 2.0);
        let tall = (high[2] - low[2]) / 2.0;
        // An upright cylinder is the same from all sides.
        let radius = corners()
            .map(|corner| (corner[0] - middle[0]).hypot(corner[1] - middle[1]))
            .fold(0.0, f64::max);
        let unit = radius.hypot(tall);
        if triangles.is_empty() || unit == 0.0 {
            return None;
        }
        let placed = |vertex: &Vector| {
            [0, 1, 2].map(|axis| ((f64::from(vertex[axis]) - middle[axis]) / unit) as f32)
        };
        Some(Self {
            vertices: mesh.vertices.iter().map(placed).collect(),
            normals: (mesh.normals.len() == mesh.vertices.len()).then_some(&mesh.normals),
            triangles,
            half_height: (tall / unit) as f32,
            middle,
            unit,
        })
    }

    fn corners(&self, triangle: [u32; 3]) -> [Vector; 3] {
        triangle.map(|corner| self.vertices[corner as usize])
    }

    /// Points on the surface, neighbours no farther apart than about `spacing`.
    fn points(&self, spacing: f32) -> Vec<Vector> {
        let mut is_used = vec![false; self.vertices.len()];
        let mut points = Vec::new();
        for &triangle in &self.triangles {
            for corner in triangle {
                is_used[corner as usize] = true;
            }
            // Rows along the longest edge: few for a sliver, however long it is.
            let corners = self.corners(triangle);
            let edge = |k: usize| length(sub(corners[(k + 1) % 3], corners[k]));
            let first = (0..3).fold(0, |most, k| if edge(k) > edge(most) { k } else { most });
            let [a, b, c] = [0, 1, 2].map(|k| corners[(first + k) % 3]);
            let longest = edge(first);
            let height = length(face_normal(corners)) / longest.max(f32::MIN_POSITIVE);
            let steps = |way: f32| (way / spacing).ceil().clamp(1.0, 4096.0);
            let rows = steps(height);
            for row in 0..rows as usize {
                let up = row as f32 / rows;
                let [from, to] = [a, b].map(|end| add(end, scale(sub(c, end), up)));
                let columns = steps(longest * (1.0 - up));
                // The ends of the first row are corners, and those are there already.
                let skipped = usize::from(row == 0);
                for column in skipped..=columns as usize - skipped {
                    points.push(add(from, scale(sub(to, from), column as f32 / columns)));
                }
            }
        }
        let corners = self.vertices.iter().zip(is_used);
        points.extend(corners.filter(|(_, is_used)| *is_used).map(|(&at, _)| at));
        points
    }

    /// The largest distance from the z axis by height, as pairs of the two: enough to frame the surface from any side.
    fn outline(&self) -> Vec<[f32; 2]> {
        const STEPS: usize = 64;
        let mut outline = [None::<f32>; STEPS];
        for corner in self
            .triangles
            .iter()
            .flat_map(|&triangle| self.corners(triangle))
        {
            let share = (corner[2] / self.half_height.max(f32::MIN_POSITIVE) + 1.0) / 2.0;
            let radius = &mut outline[((share * STEPS as f32) as usize).min(STEPS - 1)];
            *radius = Some(radius.unwrap_or(0.0).max(corner[0].hypot(corner[1])));
        }
        let height = |step: usize| (2.0 * step as f32 / STEPS as f32 - 1.0) * self.half_height;
        outline
            .into_iter()
            .enumerate()
            .filter_map(|(step, radius)| Some((step, radius?)))
            .flat_map(|(step, radius)| [[radius, height(step)], [radius, height(step + 1)]])
            .collect()
    }
}

/// How points of space come to lie in the picture.
struct View {
    right: Vector,
    up: Vector,
    /// Into the picture.
    forward: Vector,
    /// Of the camera, or of the middle of the picture where there is no perspective.
    eye: Vector,
    perspective: bool,
    /// Pixels for a unit: at distance 1 in perspective.
    zoom: f32,
    middle: [f32; 2],
}

/// A vertex in the picture.
#[derive(Clone, Copy)]
struct Projected {
    /// In samples.
    at: [f32; 2],
    /// Larger is nearer; a linear function of the place in the picture on each triangle.
    nearness: f32,
    /// By what the corner's share counts in perspective.
    weight: f32,
}

impl View {
    fn new(camera: &Camera, surface: &Surface, area: Area) -> Self {
        let (middle, outline) = match camera.framing {
            Framing::Mesh => ([0.0; 3], surface.outline()),
            Framing::Cylinder {
                radius,
                half_height,
            } => {
                let length = |length: f64| (length / surface.unit) as f32;
                let radius = length(f64::from(radius));
                let height = length(f64::from(half_height));
                (
                    surface.middle.map(|at| length(-at)),
                    vec![[radius, -height], [radius, height]],
                )
            }
        };
        let azimuth = camera.azimuth.to_radians();
        let elevation = camera.elevation.clamp(-89.0, 89.0).to_radians();
        let (sin, cos) = azimuth.sin_cos();
        let (rise, run) = elevation.sin_cos();
        let forward = [-cos * run, -sin * run, -rise];
        let right = [-sin, cos, 0.0];
        let up = cross(right, forward);
        let half = area.width.min(area.height) as f32 / 2.0;
        // Every point of the outline all around: its distance from the middle of the picture, and towards the camera.
        let around = outline.iter().flat_map(|&[radius, height]| {
            (0..24).map(move |turn| {
                let (aside, towards) = (turn as f32 * 15f32.to_radians()).sin_cos();
                let (aside, towards) = (radius * aside, radius * towards);
                let above = height * run - towards * rise;
                (aside.abs().max(above.abs()), towards * run + height * rise)
            })
        });
        let (eye, perspective, zoom) = match camera.projection {
            Projection::Orthographic => {
                let most = around
                    .map(|(shown, _)| shown)
                    .fold(f32::MIN_POSITIVE, f32::max);
                (middle, false, half * FILLED / most)
            }
            Projection::Perspective { field_of_view } => {
                let slope = (field_of_view.clamp(1.0, 120.0).to_radians() / 2.0).tan();
                let distance = around
                    .map(|(shown, nearer)| shown / (slope * FILLED) + nearer)
                    .fold(f32::MIN_POSITIVE, f32::max);
                (sub(middle, scale(forward, distance)), true, half / slope)
            }
        };
        Self {
            right,
            up,
            forward,
            eye,
            perspective,
            zoom,
            middle: [area.width as f32 / 2.0, area.height as f32 / 2.0],
        }
    }

    /// Nothing for what lies behind the camera.
    fn project(&self, point: Vector) -> Option<Projected> {
        let from_eye = sub(point, self.eye);
        let depth = dot(from_eye, self.forward);
        let (zoom, nearness, weight) = if self.perspective {
            if depth <= 1e-6 {
                return None;
            }
            (self.zoom / depth, 1.0 / depth, 1.0 / depth)
        } else {
            (self.zoom, -depth, 1.0)
        };
        let at = [
            self.middle[0] + dot(from_eye, self.right) * zoom,
            self.middle[1] - dot(from_eye, self.up) * zoom,
        ];
        Some(Projected {
            at: at.map(|pixels| pixels * SAMPLES as f32),
            nearness,
            weight,
        })
    }

    /// The ray through a place in pixels: from where, and where to.
    fn ray(&self, [x, y]: [f32; 2]) -> (Vector, Vector) {
        let [x, y] = [
            (x - self.middle[0]) / self.zoom,
            (self.middle[1] - y) / self.zoom,
        ];
        let aside = add(scale(self.right, x), scale(self.up, y));
        if self.perspective {
            (self.eye, unit_or(add(self.forward, aside), self.forward))
        } else {
            (add(self.eye, aside), self.forward)
        }
    }

    fn towards_eye(&self, point: Vector) -> Vector {
        if self.perspective {
            unit_or(sub(self.eye, point), scale(self.forward, -1.0))
        } else {
            scale(self.forward, -1.0)
        }
    }
}

/// The triangle that each sample shows.
struct Raster {
    width: usize,
    nearness: Vec<f32>,
    triangle: Vec<u32>,
    projected: Vec<Option<Projected>>,
}

/// On which side of the line from `a` to `b` a place lies, times its distance and the length of the line.
fn side_of(a: [f32; 2], b: [f32; 2], [x, y]: [f32; 2]) -> f32 {
    let side = |a: [f32; 2], b: [f32; 2]| (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]);
    // The two triangles at a line see exactly opposite numbers, so no sample falls between them.
    if (a[0], a[1]) <= (b[0], b[1]) {
        side(a, b)
    } else {
        -side(b, a)
    }
}

impl Raster {
    fn of(surface: &Surface, view: &View) -> Self {
        let [width, height] = view.middle.map(|half| (half * 2.0) as usize * SAMPLES);
        let mut raster = Self {
            width,
            nearness: vec![f32::NEG_INFINITY; width * height],
            triangle: vec![NO_TRIANGLE; width * height],
            projected: surface
                .vertices
                .iter()
                .map(|&vertex| view.project(vertex))
                .collect(),
        };
        for (number, &triangle) in surface.triangles.iter().enumerate() {
            if let Some(corners) = raster.corners(triangle) {
                raster.add(number as u32, corners, [width, height]);
            }
        }
        raster
    }

    fn corners(&self, [a, b, c]: [u32; 3]) -> Option<[Projected; 3]> {
        let at = |corner: u32| self.projected[corner as usize];
        Some([at(a)?, at(b)?, at(c)?])
    }

    fn add(&mut self, number: u32, corners: [Projected; 3], sizes: [usize; 2]) {
        // A sample at i lies at i + 0.5.
        let range = |axis: usize| {
            let places = corners.map(|corner| corner.at[axis]);
            let low = places.iter().copied().fold(f32::INFINITY, f32::min);
            let high = places.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let end = (high + 0.5).floor().clamp(0.0, sizes[axis] as f32);
            (low - 0.5).ceil().clamp(0.0, end) as usize..end as usize
        };
        let columns = range(0);
        for y in range(1) {
            for x in columns.clone() {
                let place = [x as f32 + 0.5, y as f32 + 0.5];
                let Some(shares) = shares(&corners, place) else {
                    continue;
                };
                let nearness = shares[0] * corners[0].nearness
                    + shares[1] * corners[1].nearness
                    + shares[2] * corners[2].nearness;
                let sample = y * self.width + x;
                if nearness > self.nearness[sample] {
                    self.nearness[sample] = nearness;
                    self.triangle[sample] = number;
                }
            }
        }
    }
}

/// The shares of the corners at a place in the picture; nothing outside of the triangle or where it has no area.
fn shares(corners: &[Projected; 3], place: [f32; 2]) -> Option<[f32; 3]> {
    let [a, b, c] = corners.map(|corner| corner.at);
    let sides = [
        side_of(b, c, place),
        side_of(c, a, place),
        side_of(a, b, place),
    ];
    let is_inside = sides.iter().all(|&side| side >= 0.0) || sides.iter().all(|&side| side <= 0.0);
    let whole = sides[0] + sides[1] + sides[2];
    (is_inside && whole != 0.0).then(|| sides.map(|side| side / whole))
}

/// Where light arrives: a visible point of the object, or one of the ground.
struct Receiver {
    at: Vector,
    normal: Vector,
    /// Where its shadow is looked up: a little above the surface, which would else shade itself.
    above: Vector,
}

/// What shines on a receiver: of the sky relative to the open ground, of the key relative to a surface that faces it.
#[derive(Clone, Copy, Default)]
struct Shine {
    sky: f32,
    key: f32,
}

/// Where the lights are; they move with the camera's azimuth.
struct Lights {
    /// Towards each piece of the sky.
    sky: Vec<Vector>,
    /// Towards each piece of the key, which is a disc.
    key: Vec<Vector>,
    towards_key: Vector,
    towards_fill: Vector,
}

impl Lights {
    fn around(view: &View) -> Self {
        let towards_camera = cross(view.right, [0.0, 0.0, 1.0]);
        // A direction by its turn to the right of the camera and its height, in degrees.
        let direction = |turn: f32, rise: f32| {
            let (sin, cos) = turn.to_radians().sin_cos();
            let (up, along) = rise.to_radians().sin_cos();
            let level = add(scale(towards_camera, cos), scale(view.right, sin));
            add(scale(level, along), [0.0, 0.0, up])
        };
        // Each turned by the golden angle after the one before: evenly spread.
        let golden = 180.0 * (3.0 - 5f32.sqrt());
        let sky = (0..SKY_LIGHTS).map(|k| {
            let height = (k as f32 + 0.5) / SKY_LIGHTS as f32;
            direction(k as f32 * golden, height.asin().to_degrees())
        });
        let towards_key = direction(-52.0, 50.0);
        let aside = unit_or(cross(towards_key, [0.0, 0.0, 1.0]), view.right);
        let across = cross(aside, towards_key);
        let key = (0..KEY_LIGHTS).map(|k| {
            let radius = KEY_RADIUS * ((k as f32 + 0.5) / KEY_LIGHTS as f32).sqrt();
            let (sin, cos) = (k as f32 * golden).to_radians().sin_cos();
            let off = add(scale(aside, radius * cos), scale(across, radius * sin));
            unit_or(add(towards_key, off), towards_key)
        });
        Self {
            sky: sky.collect(),
            key: key.collect(),
            towards_key,
            towards_fill: direction(62.0, 18.0),
        }
    }
}

/// How far from a light the nearest points of a surface are, seen along parallel rays.
struct ShadowMap {
    aside: Vector,
    across: Vector,
    towards: Vector,
    nearest: Vec<f32>,
}

/// Texels of a shadow map for a unit of length: the ball of radius 1 and a border of three texels fit.
const TEXELS: f32 = MAP_SIDE as f32 / 2.0 - 3.0;

impl ShadowMap {
    fn of(points: &[Vector], towards: Vector) -> Self {
        let aside = unit_or(cross([0.0, 0.0, 1.0], towards), [1.0, 0.0, 0.0]);
        let mut map = Self {
            aside,
            across: cross(towards, aside),
            towards,
            nearest: vec![f32::INFINITY; MAP_SIDE * MAP_SIDE],
        };
        for &point in points {
            let (column, row, distance) = map.place(point);
            let at = row as usize * MAP_SIDE + column as usize;
            for texel in [at, at + 1, at + MAP_SIDE, at + MAP_SIDE + 1] {
                let nearest = &mut map.nearest[texel];
                *nearest = nearest.min(distance);
            }
        }
        map
    }

    /// Column and row, in texels from the middle of the first one, and the distance along the light.
    fn place(&self, point: Vector) -> (f32, f32, f32) {
        let half = MAP_SIDE as f32 / 2.0 - 0.5;
        (
            dot(point, self.aside) * TEXELS + half,
            dot(point, self.across) * TEXELS + half,
            -dot(point, self.towards),
        )
    }

    /// How much of the light arrives at `point`, from 0 to 1.
    fn reaches(&self, point: Vector) -> f32 {
        let (column, row, distance) = self.place(point);
        let last = (MAP_SIDE - 1) as f32;
        if !(column >= 0.0 && row >= 0.0 && column < last && row < last) {
            return 1.0;
        }
        let at = row as usize * MAP_SIDE + column as usize;
        let texel = |at: usize| {
            let behind = (distance - self.nearest[at]) * TEXELS;
            1.0 - (behind - 0.5).clamp(0.0, 1.0)
        };
        let (x, y) = (column - column as usize as f32, row - row as usize as f32);
        let upper = texel(at) * (1.0 - x) + texel(at + 1) * x;
        let lower = texel(at + MAP_SIDE) * (1.0 - x) + texel(at + MAP_SIDE + 1) * x;
        upper * (1.0 - y) + lower * y
    }
}

struct Scene<'a> {
    surface: Surface<'a>,
    view: View,
    lights: Lights,
    albedo: Vector,
}

impl Scene<'_> {
    fn paint(&self, picture: &mut RgbImage, area: Area, raster: &Raster) {
        let points = self.surface.points(1.0 / TEXELS);
        // On the object first, then on the ground: so every light is drawn only once.
        let (mut receivers, shown) = self.seen(area, raster);
        let on_object = receivers.len();
        receivers.extend(self.ground_lattice());
        let shine = self.shine(&points, &receivers);
        let colours: Vec<Vector> = receivers[..on_object]
            .iter()
            .zip(&shine)
            .map(|(receiver, &shine)| self.colour(receiver, shine))
            .collect();
        let ground = Ground::of(&shine[on_object..], &self.lights);
        let light_of: Vec<f32> = (0..=255).map(to_light).collect();
        for y in 0..area.height {
            for x in 0..area.width {
                let pixel = picture.get_pixel_mut(area.left + x, area.top + y);
                let place = [x as f32 + 0.5, y as f32 + 0.5];
                let shadow = self.ground_at(place).map_or(0.0, |at| {
                    ground.shadow(at) * self.away_from_the_border(place)
                });
                let behind = pixel
                    .0
                    .map(|value| light_of[usize::from(value)] * (1.0 - shadow));
                let sum = samples_of(x as usize, y as usize, raster.width)
                    .map(|sample| {
                        let colour = colours.get(shown[sample] as usize);
                        colour.copied().unwrap_or(behind)
                    })
                    .fold([0.0; 3], add);
                *pixel = Rgb(sum.map(|light| from_light(light / (SAMPLES * SAMPLES) as f32)));
            }
        }
    }

    /// What of the object is seen, and by sample which of these.
    fn seen(&self, area: Area, raster: &Raster) -> (Vec<Receiver>, Vec<u32>) {
        let mut receivers: Vec<Receiver> = Vec::new();
        let mut shown = vec![u32::MAX; raster.triangle.len()];
        for y in 0..area.height as usize {
            for x in 0..area.width as usize {
                let first_of_pixel = receivers.len();
                for sample in samples_of(x, y, raster.width) {
                    let Some(seen) = self.seen_at(sample, raster) else {
                        continue;
                    };
                    // Light changes little within a pixel, and to look it up is most of the work.
                    let known = receivers[first_of_pixel..].iter().position(|other| {
                        dot(seen.normal, other.normal) > 0.97
                            && length(sub(seen.at, other.at)) < 2.0 / TEXELS
                    });
                    let index = known.map_or(receivers.len(), |index| first_of_pixel + index);
                    shown[sample] = index as u32;
                    if known.is_none() {
                        receivers.push(seen);
                    }
                }
            }
        }
        (receivers, shown)
    }

    fn seen_at(&self, sample: usize, raster: &Raster) -> Option<Receiver> {
        let number = raster.triangle[sample];
        let triangle = *self.surface.triangles.get(number as usize)?;
        let projected = raster.corners(triangle)?;
        let place = [
            (sample % raster.width) as f32 + 0.5,
            (sample / raster.width) as f32 + 0.5,
        ];
        let shares = shares(&projected, place)?;
        let weights: [f32; 3] = std::array::from_fn(|k| shares[k] * projected[k].weight);
        let whole = weights[0] + weights[1] + weights[2];
        let blend = |corners: [Vector; 3]| {
            let sum = (0..3).fold([0.0; 3], |sum, k| add(sum, scale(corners[k], weights[k])));
            scale(sum, 1.0 / whole)
        };
        let corners = self.surface.corners(triangle);
        let at = blend(corners);
        let towards_eye = self.view.towards_eye(at);
        let flat = unit_or(face_normal(corners), towards_eye);
        let smooth = self.surface.normals.map_or(flat, |normals| {
            unit_or(blend(triangle.map(|corner| normals[corner as usize])), flat)
        });
        // The side that is seen, whatever the winding.
        let side = if dot(flat, towards_eye) < 0.0 {
            -1.0
        } else {
            1.0
        };
        Some(Receiver {
            at,
            normal: scale(smooth, side),
            above: add(at, scale(flat, side * 1.5 / TEXELS)),
        })
    }

    /// From 0 at the border of the picture to 1 well inside: no shadow is cut off.
    fn away_from_the_border(&self, place: [f32; 2]) -> f32 {
        let nearest = (0..2)
            .map(|axis| 1.0 - (place[axis] / self.view.middle[axis] - 1.0).abs())
            .fold(1.0, f32::min);
        smooth_step(nearest / 0.3)
    }

    /// Receivers on the ground, row by row of [`Ground`].
    fn ground_lattice(&self) -> Vec<Receiver> {
        let along = |k: usize| GROUND_REACH * (2.0 * k as f32 / (GROUND_SIDE - 1) as f32 - 1.0);
        (0..GROUND_SIDE * GROUND_SIDE)
            .map(|index| {
                let [x, y] = [index / GROUND_SIDE, index % GROUND_SIDE].map(along);
                let at = [x, y, -self.surface.half_height];
                Receiver {
                    at,
                    normal: [0.0, 0.0, 1.0],
                    above: at,
                }
            })
            .collect()
    }

    /// The ground behind a place in pixels: x and y from -1 to 1 within the [`Ground`].
    fn ground_at(&self, place: [f32; 2]) -> Option<[f32; 2]> {
        let (from, towards) = self.view.ray(place);
        let floor = -self.surface.half_height;
        if towards[2] >= 0.0 || from[2] <= floor {
            return None;
        }
        let at = add(from, scale(towards, (floor - from[2]) / towards[2]));
        Some([at[0] / GROUND_REACH, at[1] / GROUND_REACH])
    }

    /// What the lights shine on the receivers, past the points of the surface.
    fn shine(&self, points: &[Vector], receivers: &[Receiver]) -> Vec<Shine> {
        let mut shine = vec![Shine::default(); receivers.len()];
        // One map after another: each stays in the cache while all receivers are looked up in it.
        let mut add = |lights: &[Vector], whole: f32, part: fn(&mut Shine) -> &mut f32| {
            for &towards in lights {
                let map = ShadowMap::of(points, towards);
                for (shine, receiver) in shine.iter_mut().zip(receivers) {
                    let facing = dot(receiver.normal, towards);
                    if facing > 0.0 {
                        *part(shine) += facing / whole * map.reaches(receiver.above);
                    }
                }
            }
        };
        let on_open_ground = self.lights.sky.iter().map(|towards| towards[2]).sum();
        add(&self.lights.sky, on_open_ground, |shine| &mut shine.sky);
        add(&self.lights.key, KEY_LIGHTS as f32, |shine| &mut shine.key);
        shine
    }

    /// The light that a point of the object sends to the camera.
    fn colour(&self, receiver: &Receiver, Shine { sky, key }: Shine) -> Vector {
        let normal = receiver.normal;
        let towards_eye = self.view.towards_eye(receiver.at);
        let fill = dot(normal, self.lights.towards_fill).max(0.0) * FILL;
        let bounce = (0.5 - 0.5 * normal[2]) * BOUNCE;
        let half = unit_or(add(self.lights.towards_key, towards_eye), towards_eye);
        let gloss = dot(normal, half).max(0.0).powf(SHININESS) * key * GLOSS;
        std::array::from_fn(|c| {
            let light = sky * SKY * SKY_TINT[c] + key * KEY * KEY_TINT[c] + fill;
            self.albedo[c] * (light + bounce * BOUNCE_TINT[c]) + gloss
        })
    }
}

/// The shadow on a square of ground around the object.
struct Ground {
    shadow: Vec<f32>,
}

impl Ground {
    fn of(shine: &[Shine], lights: &Lights) -> Self {
        let open: f32 = lights.key.iter().map(|towards| towards[2]).sum();
        let open = open / KEY_LIGHTS as f32;
        let part = |part: fn(&Shine) -> f32| -> Vec<f32> { shine.iter().map(part).collect() };
        // A sky of few lights casts as many shadows; these melt into one.
        let sky = blurred(&blurred(&blurred(&part(|shine| shine.sky))));
        let key = blurred(&part(|shine| shine.key));
        let shadow = sky
            .iter()
            .zip(&key)
            .map(|(sky, key)| GROUND_SHADOW * (1.0 - (SKY * sky + KEY * key) / (SKY + KEY * open)));
        Self {
            shadow: shadow.collect(),
        }
    }

    /// At x and y from -1 to 1; nothing outside.
    fn shadow(&self, at: [f32; 2]) -> f32 {
        let [x, y] = at.map(|share| (share + 1.0) / 2.0 * (GROUND_SIDE - 1) as f32);
        let last = (GROUND_SIDE - 1) as f32;
        if !(x >= 0.0 && y >= 0.0 && x < last && y < last) {
            return 0.0;
        }
        let corner = x as usize * GROUND_SIDE + y as usize;
        let (right, down) = (x.fract(), y.fract());
        let along =
            |corner: usize| self.shadow[corner] * (1.0 - down) + self.shadow[corner + 1] * down;
        let fade = smooth_step((1.0 - at[0].hypot(at[1])) / 0.3);
        fade * (along(corner) * (1.0 - right) + along(corner + GROUND_SIDE) * right)
    }
}

/// The mean of 3 x 3 neighbours of a lattice of the ground; beyond its border the last values go on.
fn blurred(values: &[f32]) -> Vec<f32> {
    let last = GROUND_SIDE - 1;
    let along = |values: &[f32], step: usize, place: fn(usize) -> usize| -> Vec<f32> {
        (0..values.len())
            .map(|index| {
                let before = if place(index) == 0 {
                    index
                } else {
                    index - step
                };
                let after = if place(index) == last {
                    index
                } else {
                    index + step
                };
                (values[before] + values[index] + values[after]) / 3.0
            })
            .collect()
    };
    let rows = along(values, 1, |index| index % GROUND_SIDE);
    along(&rows, GROUND_SIDE, |index| index / GROUND_SIDE)
}

/// From 0 to 1 with level ends.
fn smooth_step(share: f32) -> f32 {
    let share = share.clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

/// The samples of a pixel.
fn samples_of(x: usize, y: usize, width: usize) -> impl Iterator<Item = usize> {
    (0..SAMPLES * SAMPLES)
        .map(move |k| (y * SAMPLES + k / SAMPLES) * width + x * SAMPLES + k % SAMPLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{in_unit_cube, of_voxels};
    use crate::voxels::Voxels;

    /// Far from every grey of the background.
    const RED: Material = Material {
        colour: [230, 20, 20],
    };

    fn flat(azimuth: f32, elevation: f32) -> Camera {
        Camera {
            azimuth,
            elevation,
            projection: Projection::Orthographic,
            framing: Framing::Mesh,
        }
    }

    /// Two triangles between four corners.
    fn plate(corners: [Vector; 4]) -> Mesh {
        Mesh {
            vertices: corners.to_vec(),
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            ..Mesh::default()
        }
    }

    fn joined(meshes: &[Mesh]) -> Mesh {
        let mut whole = Mesh::default();
        for mesh in meshes {
            let first = whole.vertices.len() as u32;
            whole.vertices.extend(&mesh.vertices);
            let moved = mesh
                .triangles
                .iter()
                .map(|corners| corners.map(|c| c + first));
            whole.triangles.extend(moved);
        }
        whole
    }

    fn shape(side: usize, is_full: impl Fn([f32; 3]) -> bool, rounds: usize) -> Mesh {
        let middle = side as f32 / 2.0;
        let voxels = Voxels::from_fn([side; 3], |at| {
            is_full(at.map(|index| (index as f32 + 0.5 - middle) / middle))
        });
        in_unit_cube(of_voxels(&voxels, rounds), [side; 3])
    }

    fn cube() -> Mesh {
        shape(4, |_| true, 0)
    }

    fn ball() -> Mesh {
        shape(24, |at| length(at) < 1.0, 6)
    }

    /// A seat with a back at +x and two legs: the same on both sides of y = 0.
    fn chair() -> Mesh {
        shape(
            16,
            |[x, y, z]| {
                z.abs() < 0.15 && y.abs() < 0.6
                    || x > 0.7 && z > 0.0 && y.abs() < 0.6
                    || z < 0.0 && (0.3..0.6).contains(&y.abs()) && x.abs() > 0.6
            },
            4,
        )
    }

    fn raster(mesh: &Mesh, camera: &Camera, side: u32) -> Raster {
        let surface = Surface::of(mesh).unwrap();
        let area = Area {
            left: 0,
            top: 0,
            width: side,
            height: side,
        };
        Raster::of(&surface, &View::new(camera, &surface, area))
    }

    fn is_object(pixel: &Rgb<u8>) -> bool {
        i32::from(pixel.0[0]) - i32::from(pixel.0[1]) > 40
    }

    fn is_wooden(pixel: &Rgb<u8>) -> bool {
        i32::from(pixel.0[0]) - i32::from(pixel.0[2]) > 20
    }

    fn silhouette(picture: &RgbImage) -> Vec<bool> {
        picture.pixels().map(is_object).collect()
    }

    fn brightness(pixel: &Rgb<u8>) -> f32 {
        pixel.0.iter().map(|&value| f32::from(value)).sum::<f32>() / 3.0
    }

    fn differing(one: &[bool], other: &[bool]) -> usize {
        one.iter().zip(other).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn silhouettes_have_the_size_that_the_framing_says() {
        let side = 200;
        let seen = |mesh: &Mesh, camera: &Camera| {
            let picture = render(mesh, camera, &RED, side, side);
            let marks = silhouette(&picture);
            marks.iter().filter(|&&mark| mark).count() as f32 / (side * side) as f32
        };
        // From below there is no ground, and so no shadow.
        let below = flat(0.0, -0.01);
        // The corners of a cube turn farthest from the middle: sqrt(2) times the half of its side.
        let expected = (FILLED / 2f32.sqrt()).powi(2);
        assert!((seen(&cube(), &below) - expected).abs() < 0.01);
        let turned = seen(&cube(), &flat(45.0, -0.01));
        assert!((turned - expected * 2f32.sqrt()).abs() < 0.01);
        let disc = std::f32::consts::PI / 4.0 * FILLED * FILLED;
        let found = seen(&ball(), &below);
        assert!((found - disc).abs() < 0.03, "{found} for {disc}");
        // In the unit cube what is half as long is a quarter of the area.
        let unit = Camera {
            framing: Framing::UNIT_CUBE,
            ..below
        };
        assert!((seen(&cube(), &unit) - expected).abs() < 0.01);
        let mut small = cube();
        for vertex in &mut small.vertices {
            *vertex = scale(*vertex, 0.5);
        }
        assert!((seen(&small, &unit) - expected / 4.0).abs() < 0.01);
        // Several keep their sizes beside each other, and the largest fills its picture.
        let several = Camera {
            framing: Framing::of(&[small.clone(), cube()]),
            ..below
        };
        assert!((seen(&cube(), &several) - expected).abs() < 0.01);
        assert!((seen(&small, &several) - expected / 4.0).abs() < 0.01);
        assert_eq!(Framing::of(&[]), Framing::UNIT_CUBE);
        // Perspective fills about as much, and never more than the picture.
        for elevation in [-30.0, 0.0, 24.0, 60.0, 89.0] {
            for mesh in [cube(), ball(), chair()] {
                for frame in 0..8 {
                    let camera = Camera {
                        azimuth: 45.0 * frame as f32,
                        elevation,
                        ..Camera::default()
                    };
                    let raster = raster(&mesh, &camera, 32);
                    let last = raster.width - 1;
                    for (sample, &triangle) in raster.triangle.iter().enumerate() {
                        let at = [sample % raster.width, sample / raster.width];
                        let is_at_border = at.iter().any(|&k| k < 2 || k + 2 > last);
                        assert!(!is_at_border || triangle == NO_TRIANGLE, "{camera:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_symmetric_shape_is_its_mirror_image() {
        for projection in [Projection::Orthographic, Camera::default().projection] {
            // Colours differ, because the light is on the left of both: what counts is which samples are hit.
            let at = |azimuth: f32, elevation: f32| {
                let camera = Camera {
                    projection,
                    ..flat(azimuth, elevation)
                };
                let raster = raster(&chair(), &camera, 120);
                let rows = raster.triangle.chunks(raster.width);
                rows.map(|row| row.iter().map(|&k| k != NO_TRIANGLE).collect())
                    .collect::<Vec<Vec<bool>>>()
            };
            let mirrored = |rows: &[Vec<bool>]| {
                let mut rows = rows.to_vec();
                rows.iter_mut().for_each(|row| row.reverse());
                rows
            };
            for (azimuth, elevation) in [(0.0, 20.0), (30.0, 20.0), (77.0, -15.0), (180.0, 50.0)] {
                let one = at(azimuth, elevation);
                let other = mirrored(&at(-azimuth, elevation));
                let count = one.iter().flatten().filter(|&&hit| hit).count();
                assert!(count > 4000, "{count}");
                let far = differing(&one.concat(), &other.concat());
                assert!(far <= count / 200, "{azimuth}: {far} of {count}");
            }
            // And what is not symmetric is not.
            let one = at(30.0, 20.0);
            assert!(differing(&one.concat(), &mirrored(&one).concat()) > 1000);
        }
    }

    #[test]
    fn the_camera_stands_where_it_says() {
        // A long arm towards +x, one half as long towards +y, and a post upwards.
        let arms = shape(
            20,
            |[x, y, z]| {
                let near = |a: f32, b: f32| a.abs() < 0.15 && b.abs() < 0.15;
                near(y, z) && x > -0.15
                    || near(x, z) && (-0.15..0.5).contains(&y)
                    || near(x, y) && z > -0.15
            },
            0,
        );
        let reach = |azimuth: f32, elevation: f32| {
            let camera = Camera {
                framing: Framing::UNIT_CUBE,
                ..flat(azimuth, elevation)
            };
            let picture = render(&arms, &camera, &RED, 101, 101);
            let places: Vec<[i32; 2]> = picture
                .enumerate_pixels()
                .filter(|(_, _, pixel)| is_object(pixel))
                .map(|(x, y, _)| [x as i32 - 50, 50 - y as i32])
                .collect();
            let most = |axis: usize| places.iter().map(|at| at[axis]).max().unwrap();
            let least = |axis: usize| places.iter().map(|at| at[axis]).min().unwrap();
            [least(0), most(0), least(1), most(1)]
        };
        // From +x, +y is to the right; from +y, +x is to the left; from above, from +x, +x is downwards.
        let [left, right, low, high] = reach(0.0, 0.0);
        assert!(
            right > 12 && left > -8 && high > 25 && low > -8,
            "{right} {left}"
        );
        let [left, right, ..] = reach(90.0, 0.0);
        assert!(left < -25 && right < 8, "{left} {right}");
        let [left, right, low, high] = reach(0.0, 89.0);
        assert!(
            low < -25 && high < 8 && right > 12 && left > -8,
            "{low} {high}"
        );
    }

    #[test]
    fn near_surfaces_hide_far_ones() {
        let upright = |x: f32, half: f32| {
            plate([
                [x, -half, -half],
                [x, half, -half],
                [x, half, half],
                [x, -half, half],
            ])
        };
        // The larger one is behind from +x and in front from -x; the order of the triangles does not count.
        let pair = [upright(1.0, 0.5), upright(-1.0, 1.0)];
        let orders = [joined(&pair), joined(&[pair[1].clone(), pair[0].clone()])];
        for projection in [Projection::Orthographic, Camera::default().projection] {
            for (order, mesh) in orders.iter().enumerate() {
                for (azimuth, front) in [(0.0, order), (180.0, 1 - order)] {
                    let camera = Camera {
                        projection,
                        ..flat(azimuth, 0.0)
                    };
                    let raster = raster(mesh, &camera, 40);
                    let middle = raster.triangle[20 * SAMPLES * raster.width + 20 * SAMPLES];
                    assert_eq!(middle as usize / 2, front);
                }
            }
        }
    }

    #[test]
    fn farther_is_smaller_in_perspective_only() {
        let post = |x: f32, y: f32| {
            plate([
                [x, y, -1.0],
                [x, y + 0.4, -1.0],
                [x, y + 0.4, 1.0],
                [x, y, 1.0],
            ])
        };
        let posts = joined(&[post(1.5, -0.8), post(-1.5, 0.4)]);
        let heights = |projection: Projection| {
            let camera = Camera {
                projection,
                ..flat(0.0, 0.0)
            };
            let picture = render(&posts, &camera, &RED, 200, 200);
            [0..100, 100..200].map(|half: std::ops::Range<u32>| {
                half.map(|x| {
                    (0..200)
                        .filter(|&y| is_object(picture.get_pixel(x, y)))
                        .count()
                })
                .max()
                .unwrap()
            })
        };
        let [near, far] = heights(Projection::Orthographic);
        assert_eq!(near, far);
        let [near, far] = heights(Projection::Perspective {
            field_of_view: 50.0,
        });
        assert!(near as f32 > 1.3 * far as f32, "{near} {far}");
    }

    #[test]
    fn no_sample_falls_between_triangles() {
        // A fan of thin triangles around a point that is no sample, over the whole of a plate.
        let mut mesh = Mesh {
            vertices: vec![[0.0, 0.013, 0.029]],
            ..Mesh::default()
        };
        for k in 0..90u32 {
            let (sin, cos) = (k as f32 * 4f32.to_radians()).sin_cos();
            mesh.vertices.push([0.0, sin, cos]);
            mesh.triangles.push([0, 1 + k, 1 + (k + 1) % 90]);
        }
        let picture = render(&mesh, &flat(0.0, 0.0), &RED, 160, 160);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let away = (x as f32 - 79.5).hypot(y as f32 - 79.5);
            if away < 68.0 {
                assert!(is_object(pixel), "{x} {y}");
            }
        }
    }

    #[test]
    fn light_comes_from_the_upper_left() {
        let picture = render(&ball(), &flat(20.0, 10.0), &Material::default(), 120, 120);
        let at = |x: u32, y: u32| brightness(picture.get_pixel(x, y));
        assert!(
            at(45, 35) > at(75, 80) + 50.0,
            "{} {}",
            at(45, 35),
            at(75, 80)
        );
        assert!(
            at(45, 35) > at(80, 45) + 10.0,
            "{} {}",
            at(45, 35),
            at(80, 45)
        );
        // The ground is darker to the right of the ball than to its left, and darkest under it.
        let camera = flat(20.0, 25.0);
        let mut small = ball();
        for vertex in &mut small.vertices {
            *vertex = scale(*vertex, 0.4);
        }
        let camera = Camera {
            framing: Framing::UNIT_CUBE,
            ..camera
        };
        let picture = render(&small, &camera, &Material::default(), 160, 160);
        let plain = render(&Mesh::default(), &camera, &Material::default(), 160, 160);
        let shadow = |columns: std::ops::Range<u32>| {
            let mut sum = 0.0;
            for x in columns {
                for y in 0..160 {
                    let [shaded, open] = [&picture, &plain].map(|all| all.get_pixel(x, y));
                    if !is_wooden(shaded) {
                        sum += brightness(open) - brightness(shaded);
                    }
                }
            }
            sum
        };
        let (left, right) = (shadow(0..80), shadow(80..160));
        assert!(right > 3000.0 && right > 3.0 * left, "{left} {right}");
    }

    #[test]
    fn shadows_end_before_the_border_so_that_the_pictures_of_a_sheet_join() {
        let camera = Camera::default();
        let [picture, plain] = [chair(), Mesh::default()]
            .map(|mesh| render(&mesh, &camera, &Material::default(), 100, 100));
        for k in 0..100 {
            for (x, y) in [(k, 0), (k, 99), (0, k), (99, k)] {
                assert_eq!(picture.get_pixel(x, y), plain.get_pixel(x, y));
            }
        }
    }

    #[test]
    fn one_part_shades_another() {
        let level = |z: f32, half: f32| {
            plate([
                [-half, -half, z],
                [half, -half, z],
                [half, half, z],
                [-half, half, z],
            ])
        };
        let alone = joined(&[level(-0.5, 1.0)]);
        let under = joined(&[level(-0.5, 1.0), level(0.1, 0.35)]);
        // From the side of the shadow, high enough to look past the upper plate.
        let at = |mesh: &Mesh, x: u32, y: u32| {
            let camera = Camera {
                framing: Framing::UNIT_CUBE,
                ..flat(0.0, 60.0)
            };
            let mut mesh = mesh.clone();
            for vertex in &mut mesh.vertices {
                *vertex = scale(*vertex, 0.5);
            }
            let picture = render(&mesh, &camera, &Material::default(), 200, 200);
            brightness(picture.get_pixel(x, y))
        };
        let (lit, shaded) = (at(&alone, 130, 112), at(&under, 130, 112));
        assert!(lit > shaded + 20.0, "{lit} {shaded}");
        let (lit, far) = (at(&alone, 60, 125), at(&under, 60, 125));
        assert!((lit - far).abs() < 12.0, "{lit} {far}");
    }

    #[test]
    fn windings_do_not_count_and_normals_do() {
        let smooth = ball();
        let bare = Mesh {
            normals: Vec::new(),
            ..smooth.clone()
        };
        let mut turned = bare.clone();
        for (number, triangle) in turned.triangles.iter_mut().enumerate() {
            if number % 2 == 0 {
                triangle.swap(0, 1);
            }
        }
        let picture = |mesh: &Mesh| render(mesh, &Camera::default(), &Material::default(), 90, 90);
        let change = |one: &RgbImage, other: &RgbImage| {
            let pairs = one.as_raw().iter().zip(other.as_raw());
            pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
        };
        assert!(change(&picture(&bare), &picture(&turned)) <= 2);
        assert!(change(&picture(&bare), &picture(&smooth)) > 10);
    }

    #[test]
    fn equal_calls_give_equal_bytes_on_any_thread() {
        let mesh = chair();
        let draw = || render(&mesh, &Camera::default(), &Material::default(), 96, 80);
        let first = draw();
        assert_eq!(first.dimensions(), (96, 80));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(draw)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), first);
            }
        });
        let turned = Camera {
            azimuth: 10.0,
            ..Camera::default()
        };
        assert_ne!(render(&mesh, &turned, &Material::default(), 96, 80), first);
    }

    #[test]
    fn a_turntable_goes_once_around() {
        let camera = Camera::default();
        let frames = turntable(&chair(), 8, 60, &camera, &RED);
        assert_eq!(frames.len(), 8);
        assert_eq!(frames[0], render(&chair(), &camera, &RED, 60, 60));
        let quarter = Camera {
            azimuth: camera.azimuth + 90.0,
            ..camera
        };
        assert_eq!(frames[2], render(&chair(), &quarter, &RED, 60, 60));
        for pair in frames.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        // A cube is the same after a quarter, and so is its light.
        let frames = turntable(&cube(), 4, 60, &camera, &RED);
        for frame in &frames[1..] {
            let pairs = frame.as_raw().iter().zip(frames[0].as_raw());
            let far = pairs.filter(|(a, b)| a.abs_diff(**b) > 12).count();
            assert!(far < 60, "{far}");
        }
        assert!(turntable(&cube(), 0, 60, &camera, &RED).is_empty());
    }

    #[test]
    fn a_sheet_holds_its_meshes_row_by_row() {
        let camera = Camera::default();
        let meshes = vec![cube(), ball(), chair(), Mesh::default(), ball()];
        let picture = sheet(&meshes, 3, 50, &camera, &RED);
        assert_eq!(picture.dimensions(), (150, 100));
        for (index, mesh) in meshes.iter().enumerate() {
            let [left, top] = [index % 3 * 50, index / 3 * 50].map(|at| at as u32);
            let part = image::imageops::crop_imm(&picture, left, top, 50, 50).to_image();
            let alone = render(mesh, &camera, &RED, 50, 50);
            // The background is that of another place.
            let other = differing(&silhouette(&part), &silhouette(&alone));
            assert!(other <= 2, "{index}: {other}");
        }
        let rest = image::imageops::crop_imm(&picture, 100, 50, 50, 50).to_image();
        assert!(!silhouette(&rest).contains(&true));
        assert_eq!(sheet(&[], 0, 0, &camera, &RED).dimensions(), (1, 1));
        assert_eq!(
            sheet(&meshes[..2], 9, 20, &camera, &RED).dimensions(),
            (40, 20)
        );
        assert_eq!(
            sheet(&meshes[..2], 0, 20, &camera, &RED).dimensions(),
            (20, 40)
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let camera = Camera::default();
        let draw = |mesh: &Mesh| render(mesh, &camera, &RED, 40, 40);
        let nothing = draw(&Mesh::default());
        assert!(!silhouette(&nothing).contains(&true));
        let mut broken = cube();
        let good = draw(&broken);
        broken.triangles.push([0, 1, 4_000_000]);
        broken.vertices.push([f32::NAN, 0.0, 0.0]);
        broken
            .triangles
            .push([0, 1, broken.vertices.len() as u32 - 1]);
        assert_eq!(draw(&broken), good);
        let point = plate([[3.0; 3]; 4]);
        assert_eq!(draw(&point), nothing);
        // A line has no area; any size and any camera is drawn without a panic.
        let line = plate([[0.0; 3], [1.0; 3], [0.0; 3], [1.0; 3]]);
        assert!(!silhouette(&draw(&line)).contains(&true));
        for size in [1e-30, 1e30] {
            let mut scaled = cube();
            for vertex in &mut scaled.vertices {
                *vertex = scale(*vertex, size);
            }
            let marks = silhouette(&draw(&scaled));
            assert!(differing(&marks, &silhouette(&good)) < 10, "{size}");
            let unit = Camera {
                framing: Framing::UNIT_CUBE,
                ..camera
            };
            let _ = render(&scaled, &unit, &RED, 40, 40);
        }
        for elevation in [-1000.0, 90.0, f32::NAN] {
            for azimuth in [1e9, f32::INFINITY] {
                let camera = Camera {
                    azimuth,
                    elevation,
                    ..camera
                };
                let _ = render(&chair(), &camera, &RED, 17, 0);
            }
        }
    }

    #[test]
    fn values_of_pictures_and_light_are_inverse() {
        for value in 0..=255 {
            assert_eq!(from_light(to_light(value)), value);
        }
        assert_eq!(from_light(7.0), 255);
        assert_eq!(from_light(-1.0), 0);
    }
}
