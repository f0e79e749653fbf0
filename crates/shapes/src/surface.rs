//! Closed surfaces around voxel shapes and scalar fields: dual marching cubes (Nielson, "Dual Marching Cubes", IEEE
//! Visualization 2004), traced instead of looked up in tables.
//!
//! A sample lies at the middle of its voxel; a cell is the cube between eight samples. Where the surface cuts a cell,
//! its crossings of the cell's edges form closed loops, and every loop gets one vertex. Every edge between a full and
//! an empty sample gets one quadrilateral, between the vertices of the four cells around it. Plain surface nets have a
//! single vertex for each cell, so edges of four triangles where full voxels touch at an edge or a corner.
//!
//! The result is closed whatever the input is: each edge belongs to two triangles that pass it in opposite directions.
//! A side of a quadrilateral is a segment of a loop on a face between two cells, and a segment has two ends, so two
//! quadrilaterals. Only a face with two segments whose loops are the same in both cells (see Wenger's "Isosurfaces",
//! 2013) would join four: there each segment gets a vertex of its own. Diagonals lie between cells that meet in one
//! edge only, and no two vertices share a place, because each stays within its own cell.

use crate::mesh::Mesh;
use crate::vector::{Vector, add, dot, face_normal, length, scale, sub, unit_or};
use crate::voxels::Voxels;
use std::collections::HashMap;

/// How close to a sample the surface may cross an edge, in voxels: a crossing at a sample would be one for all its
/// edges.
const NEAREST_CROSSING: f32 = 0.01;

/// How far from the middle of its cell a vertex may be moved by smoothing, in voxels: below a half, where cells meet.
const REACH: f32 = 0.45;

/// The same towards a part that is one voxel thin, which would otherwise wither.
const THIN_REACH: f32 = 0.22;

/// Where several sheets pass one corner of blocks, each keeps this share of its way from the corner.
const BLOCK_GAP: f32 = 0.1;

/// Steps of Taubin's smoothing ("A signal processing approach to fair surface design", 1995): the second undoes the
/// shrinking of the first.
const SHRINK: f32 = 0.5;
const GROW: f32 = -0.52;

/// Smoothing leaves small waves, which catch the light; up to so many times the normals are smoothed as well.
const MOST_SOFTENING: usize = 5;

const NO_LOOP: u8 = u8::MAX;
const NO_CELL: u32 = u32::MAX;

/// The surface around the samples of a field that are above `threshold`.
///
/// `values` are samples at the voxels of a grid, in the index order of [`Voxels`]; what lies outside of the grid is
/// empty, and so is a NaN. Where four samples in a square are full and empty by turns, the bilinear saddle decides.
/// Voxel (i, j, k) is the cube from (i, j, k) to (i + 1, j + 1, k + 1), so that a shape that reaches the border of the
/// grid ends there. `rounds` of smoothing follow (see [`of_voxels`]); 0 is usual, because the values already say where
/// the surface lies. Normals are the mean of those of the faces around, weighted by area. A field that is nowhere above
/// the threshold gives a mesh of nothing.
///
/// # Panics
/// If there is not one value a voxel.
pub fn of_field(size: [usize; 3], values: &[f32], threshold: f32, rounds: usize) -> Mesh {
    assert_eq!(
        values.len(),
        size.iter().product::<usize>(),
        "values of a {size:?} grid"
    );
    let mut net = Net::around(size, Rest::Crossings, |[x, y, z]| {
        values[(x * size[1] + y) * size[2] + z] - threshold
    });
    net.smooth(rounds);
    net.into_mesh(Shading::Smooth(rounds))
}

/// The surface around the full voxels.
///
/// With 0 `rounds` of smoothing it is the blocks as they are, without normals, so that they are drawn with flat faces.
/// (Where two full voxels share nothing but an edge or a corner, they are joined there by less than a tenth of a
/// voxel.) With more rounds the stairs become slopes: every vertex moves towards the mean of its neighbours and back
/// again, within its cell (as in Gibson, "Constrained Elastic SurfaceNets", 1998), so that thin parts stay. 8 to 20
/// rounds suit grids of 30 to 64 voxels. Coordinates and normals are as in [`of_field`].
pub fn of_voxels(voxels: &Voxels, rounds: usize) -> Mesh {
    let (rest, shading) = match rounds {
        0 => (Rest::Corners, Shading::Flat),
        _ => (Rest::Crossings, Shading::Smooth(rounds)),
    };
    let mut net = Net::around(voxels.size(), rest, |at| {
        if voxels.is_full(at) { 0.5 } else { -0.5 }
    });
    net.smooth(rounds);
    net.into_mesh(shading)
}

/// `mesh` with the grid of `size` voxels scaled into the cube from -0.5 to 0.5: centred, its longest side filling it.
pub fn in_unit_cube(mut mesh: Mesh, size: [usize; 3]) -> Mesh {
    let longest = size.iter().copied().max().unwrap_or(1) as f32;
    let middle = size.map(|side| side as f32 / 2.0);
    for vertex in &mut mesh.vertices {
        *vertex = scale(sub(*vertex, middle), 1.0 / longest);
    }
    mesh
}

/// The volume that a closed mesh encloses: positive where the corners are counter-clockwise seen from outside.
pub fn volume(mesh: &Mesh) -> f64 {
    let six_fold: f64 = mesh
        .triangles
        .iter()
        .map(|triangle| {
            let [a, b, c] = triangle.map(|corner| mesh.vertices[corner as usize].map(f64::from));
            a[0] * (b[1] * c[2] - b[2] * c[1])
                + a[1] * (b[2] * c[0] - b[0] * c[2])
                + a[2] * (b[0] * c[1] - b[1] * c[0])
        })
        .sum();
    six_fold / 6.0
}

/// One unit normal a vertex: the mean of those of the faces around it, weighted by their areas.
pub fn vertex_normals(vertices: &[Vector], triangles: &[[u32; 3]]) -> Vec<Vector> {
    let mut sums = vec![[0.0; 3]; vertices.len()];
    for triangle in triangles {
        let normal = face_normal(triangle.map(|corner| vertices[corner as usize]));
        for &corner in triangle {
            sums[corner as usize] = add(sums[corner as usize], normal);
        }
    }
    sums.into_iter()
        .map(|sum| unit_or(sum, [0.0, 0.0, 1.0]))
        .collect()
}

/// Normals that are, so many `times`, the mean of themselves and of those around them.
fn softened(mut normals: Vec<Vector>, triangles: &[[u32; 3]], times: usize) -> Vec<Vector> {
    for _ in 0..times {
        let mut sums = vec![([0.0; 3], 0.0); normals.len()];
        for &[a, b, c] in triangles {
            for [from, to] in [[a, b], [b, c], [c, a]] {
                let (sum, count) = &mut sums[from as usize];
                *sum = add(*sum, normals[to as usize]);
                *count += 1.0;
            }
        }
        for (normal, (sum, count)) in normals.iter_mut().zip(sums) {
            *normal = unit_or(add(*normal, scale(sum, 1.0 / count)), *normal);
        }
    }
    normals
}

/// Where a vertex lies before any smoothing.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    /// At the mean of the crossings of its loop.
    Crossings,
    /// At the corner between eight voxels that the cell is around.
    Corners,
}

#[derive(Clone, Copy, PartialEq)]
enum Shading {
    /// With a normal a vertex, after so many rounds of smoothing of the places.
    Smooth(usize),
    Flat,
}

/// The loops of one cell that the surface cuts.
#[derive(Clone, Copy)]
struct Cell {
    first_vertex: u32,
    /// The loop through each of the twelve edges.
    loops: [u8; 12],
}

impl Cell {
    fn vertex(&self, edge: usize) -> u32 {
        self.first_vertex + u32::from(self.loops[edge])
    }

    /// Whether one loop passes the face twice.
    fn is_pinched_at(&self, face: [usize; 4]) -> bool {
        let first = self.loops[face[0]];
        first != NO_LOOP && face.iter().all(|&edge| self.loops[edge] == first)
    }
}

/// Where the vertices of a cell may be moved.
#[derive(Clone, Copy)]
struct Room {
    middle: Vector,
    /// How far down and up along each axis.
    reach: [[f32; 2]; 3],
}

impl Room {
    fn clamp(&self, vertex: Vector) -> Vector {
        std::array::from_fn(|axis| {
            let [down, up] = self.reach[axis];
            let middle = self.middle[axis];
            vertex[axis].clamp(middle - down, middle + up)
        })
    }
}

/// The quadrilaterals of a surface, before they are cut in triangles.
#[derive(Default)]
struct Net {
    vertices: Vec<Vector>,
    /// The cell of each vertex.
    rooms: Vec<Room>,
    quads: Vec<[u32; 4]>,
    /// By the number of a quadrilateral: vertices that lie within its sides.
    pinches: HashMap<usize, [Option<u32>; 4]>,
    /// The vertices of `pinches`, which belong to no cell.
    between: Vec<Vector>,
}

// Corner c of a cell lies at ((c & 1), (c >> 1 & 1), (c >> 2 & 1)). Edge 4 * a + u + 2 * v runs along axis a; it lies
// at u on the next axis and at v on the one after.

const fn after(axis: usize) -> [usize; 2] {
    [(axis + 1) % 3, (axis + 2) % 3]
}

/// The corners of an edge, the lower first.
const fn ends(edge: usize) -> [usize; 2] {
    let axis = edge / 4;
    let [b, c] = after(axis);
    let low = (edge & 1) << b | (edge >> 1 & 1) << c;
    [low, low | 1 << axis]
}

/// The four edges around the face at `side` (0 or 1) of an axis; neighbours in the list share a corner.
const fn face_edges(axis: usize, side: usize) -> [usize; 4] {
    let [b, c] = after(axis);
    [
        4 * b + 2 * side,
        4 * c + side + 2,
        4 * b + 1 + 2 * side,
        4 * c + side,
    ]
}

/// The corner between the last and the first edge of [`face_edges`], then on around the face.
const fn face_corners(axis: usize, side: usize) -> [usize; 4] {
    let [b, c] = after(axis);
    let low = side << axis;
    [low, low | 1 << b, low | 1 << b | 1 << c, low | 1 << c]
}

fn is_full(value: f32) -> bool {
    value > 0.0
}

/// On a face of four crossings: the place in [`face_edges`] where the segment from `place` ends.
fn partner(place: usize, corners: [f32; 4]) -> usize {
    let [a, b, c, d] = corners;
    // The full pair is joined if the bilinear saddle, (ac - bd) / (a + c - b - d), is full, and on a tie. Both cells
    // see the same products.
    let around_first_and_third = if is_full(a) {
        a * c < b * d
    } else {
        b * d >= a * c
    };
    if around_first_and_third {
        3 - place
    } else {
        place ^ 1
    }
}

/// Where the surface crosses an edge, from the lower end (0) to the upper (1).
fn crossing(low: f32, high: f32) -> f32 {
    let at = low / (low - high);
    if low.is_infinite() || high.is_infinite() || at.is_nan() {
        0.5
    } else {
        at.clamp(NEAREST_CROSSING, 1.0 - NEAREST_CROSSING)
    }
}

/// The loop through each edge of a cell and the number of loops.
fn trace(values: &[f32; 8]) -> ([u8; 12], u8) {
    let crosses = |edge: usize| {
        let [low, high] = ends(edge);
        is_full(values[low]) != is_full(values[high])
    };
    // Each crossing points to one of its loop, the first to itself.
    let mut parent: [u8; 12] = std::array::from_fn(|edge| edge as u8);
    let mut join = |a: usize, b: usize| {
        let root = |mut edge: usize| {
            while usize::from(parent[edge]) != edge {
                edge = usize::from(parent[edge]);
            }
            edge
        };
        let (a, b) = (root(a), root(b));
        parent[a.max(b)] = a.min(b) as u8;
    };
    for axis in 0..3 {
        for side in 0..2 {
            let edges = face_edges(axis, side);
            let crossed = edges.map(crosses);
            match crossed.iter().filter(|&&crossed| crossed).count() {
                0 => {}
                4 => {
                    let corners = face_corners(axis, side).map(|corner| values[corner]);
                    for place in [0, 2] {
                        join(edges[place], edges[partner(place, corners)]);
                    }
                }
                _ => {
                    let mut ends = (0..4).filter(|&place| crossed[place]);
                    if let (Some(a), Some(b)) = (ends.next(), ends.next()) {
                        join(edges[a], edges[b]);
                    }
                }
            }
        }
    }
    let mut loops = [NO_LOOP; 12];
    let mut count = 0;
    for edge in (0..12).filter(|&edge| crosses(edge)) {
        // A parent has a lower number, so its loop is known.
        let parent = usize::from(parent[edge]);
        loops[edge] = if parent == edge {
            count += 1;
            count - 1
        } else {
            loops[parent]
        };
    }
    (loops, count)
}

/// The mean of the crossings of each loop, from the middle of the cell.
fn loop_means(values: &[f32; 8], loops: &[u8; 12], count: u8) -> Vec<Vector> {
    let mut sums = vec![([0.0; 3], 0.0); usize::from(count)];
    for edge in (0..12).filter(|&edge| loops[edge] != NO_LOOP) {
        let (sum, crossings) = &mut sums[usize::from(loops[edge])];
        *sum = add(*sum, on_edge(edge, ends(edge).map(|corner| values[corner])));
        *crossings += 1.0;
    }
    sums.into_iter()
        .map(|(sum, crossings)| scale(sum, 1.0 / crossings))
        .collect()
}

/// The crossing of an edge with these values at its ends, from the middle of the cell.
fn on_edge(edge: usize, [low, high]: [f32; 2]) -> Vector {
    let from = ends(edge)[0];
    let mut at = [0, 1, 2].map(|axis| (from >> axis & 1) as f32 - 0.5);
    at[edge / 4] = crossing(low, high) - 0.5;
    at
}

/// Four planes of samples one after another along x, with a border of empty samples.
struct Planes {
    size: [usize; 3],
    /// The plane of x is at x modulo 4, counted from the border at 0.
    kept: [Vec<f32>; 4],
}

impl Planes {
    fn new(size: [usize; 3]) -> Self {
        let border = vec![f32::NEG_INFINITY; (size[1] + 2) * (size[2] + 2)];
        Self {
            size,
            kept: std::array::from_fn(|_| border.clone()),
        }
    }

    /// Puts the samples at `x`, counted from the border, in the place of those at `x - 4`.
    fn load(&mut self, x: usize, value: impl Fn([usize; 3]) -> f32) {
        let [width, height, depth] = self.size;
        let plane = &mut self.kept[x % 4];
        if x > width {
            plane.fill(f32::NEG_INFINITY);
            return;
        }
        for y in 0..height {
            let row = &mut plane[(y + 1) * (depth + 2) + 1..][..depth];
            for (z, sample) in row.iter_mut().enumerate() {
                *sample = value([x - 1, y, z]);
            }
        }
    }

    fn at(&self, [x, y, z]: [usize; 3]) -> f32 {
        self.kept[x % 4][y * (self.size[2] + 2) + z]
    }

    /// The values at the corners of a cell.
    fn corners(&self, cell: [usize; 3]) -> [f32; 8] {
        std::array::from_fn(|corner| self.at(corner_of(cell, corner)))
    }
}

/// The sample at a corner of a cell, both counted from the border.
fn corner_of(cell: [usize; 3], corner: usize) -> [usize; 3] {
    [0, 1, 2].map(|axis| cell[axis] + (corner >> axis & 1))
}

/// The cells of two layers along x that the surface cuts.
struct Layers {
    size: [usize; 3],
    cells: Vec<Cell>,
    /// By place in the layer, for layers of even and odd x: the index in `cells`.
    index: [Vec<u32>; 2],
}

impl Layers {
    fn new(size: [usize; 3]) -> Self {
        let none = vec![NO_CELL; (size[1] + 1) * (size[2] + 1)];
        Self {
            size,
            cells: Vec::new(),
            index: [none.clone(), none],
        }
    }

    fn place(&self, [_, y, z]: [usize; 3]) -> usize {
        y * (self.size[2] + 1) + z
    }

    fn at(&self, cell: [usize; 3]) -> &Cell {
        &self.cells[self.index[cell[0] % 2][self.place(cell)] as usize]
    }
}

/// What follows a surface from layer to layer along x.
struct Tracer {
    rest: Rest,
    planes: Planes,
    layers: Layers,
    /// The vertex on a segment: by the lower cell at its face, the axis across the face and the segment's lower place.
    segments: HashMap<([usize; 3], usize, usize), u32>,
    net: Net,
}

impl Tracer {
    /// Adds the vertices of the cells at `x`.
    fn add_vertices(&mut self, x: usize) {
        let [_, height, depth] = self.planes.size;
        for y in 0..=height {
            for z in 0..=depth {
                let cell = [x, y, z];
                let place = self.layers.place(cell);
                let values = self.planes.corners(cell);
                let full = values.iter().filter(|&&value| is_full(value)).count();
                if full == 0 || full == 8 {
                    self.layers.index[x % 2][place] = NO_CELL;
                    continue;
                }
                let (loops, count) = trace(&values);
                self.layers.index[x % 2][place] = self.layers.cells.len() as u32;
                self.layers.cells.push(Cell {
                    first_vertex: self.net.vertices.len() as u32,
                    loops,
                });
                let room = self.room_of(cell);
                let pull = match (self.rest, count) {
                    (Rest::Crossings, _) => 1.0,
                    (Rest::Corners, 1) => 0.0,
                    (Rest::Corners, _) => BLOCK_GAP,
                };
                for mean in loop_means(&values, &loops, count) {
                    let at = add(room.middle, scale(mean, pull));
                    self.net.vertices.push(at);
                    self.net.rooms.push(room);
                }
            }
        }
    }

    fn room_of(&self, cell: [usize; 3]) -> Room {
        let mut reach = [[REACH; 2]; 3];
        for corner in 0..8 {
            let sample = corner_of(cell, corner);
            if !is_full(self.planes.at(sample)) {
                continue;
            }
            for (axis, reach) in reach.iter_mut().enumerate() {
                let is_empty_at = |k: usize| {
                    let mut beside = sample;
                    beside[axis] = k;
                    !is_full(self.planes.at(beside))
                };
                if is_empty_at(sample[axis] - 1) && is_empty_at(sample[axis] + 1) {
                    reach[corner >> axis & 1] = THIN_REACH;
                }
            }
        }
        Room {
            // A corner of voxels, because samples are the middles of these.
            middle: cell.map(|index| index as f32),
            reach,
        }
    }

    /// Adds the quadrilaterals around the full samples at `x`, counted from the border.
    fn add_quads(&mut self, x: usize) {
        let [_, height, depth] = self.planes.size;
        for y in 1..=height {
            for z in 1..=depth {
                let sample = [x, y, z];
                if !is_full(self.planes.at(sample)) {
                    continue;
                }
                for axis in 0..3 {
                    for side in 0..2 {
                        let mut neighbour = sample;
                        neighbour[axis] = sample[axis] + 2 * side - 1;
                        if !is_full(self.planes.at(neighbour)) {
                            self.add_quad(sample, axis, side);
                        }
                    }
                }
            }
        }
    }

    /// Adds the quadrilateral between a full sample and its empty neighbour below (0) or above (1) along an axis.
    fn add_quad(&mut self, sample: [usize; 3], axis: usize, side: usize) {
        // Around the edge, counter-clockwise seen from the upper end.
        const AROUND: [[usize; 2]; 4] = [[0, 0], [1, 0], [1, 1], [0, 1]];
        let [b, c] = after(axis);
        let cells = AROUND.map(|[up, across]| {
            let mut cell = sample;
            cell[axis] = sample[axis] + side - 1;
            cell[b] = sample[b] + up - 1;
            cell[c] = sample[c] + across - 1;
            cell
        });
        let edges = AROUND.map(|[up, across]| 4 * axis + (1 - up) + 2 * (1 - across));
        let mut quad: [u32; 4] = std::array::from_fn(|k| self.layers.at(cells[k]).vertex(edges[k]));
        let mut pinches: [Option<u32>; 4] = std::array::from_fn(|k| {
            let next = (k + 1) % 4;
            let (low, high, across) = match k {
                0 => (k, next, b),
                1 => (k, next, c),
                2 => (next, k, b),
                _ => (next, k, c),
            };
            let face = face_edges(across, 1);
            let is_pinched = self.layers.at(cells[low]).is_pinched_at(face)
                && self
                    .layers
                    .at(cells[high])
                    .is_pinched_at(face_edges(across, 0));
            is_pinched.then(|| self.vertex_between(cells[low], across, edges[low]))
        });
        if side == 0 {
            quad.reverse();
            pinches = [pinches[2], pinches[1], pinches[0], pinches[3]];
        }
        if pinches.iter().any(Option::is_some) {
            self.net.pinches.insert(self.net.quads.len(), pinches);
        }
        self.net.quads.push(quad);
    }

    /// The vertex on the segment that leaves `edge` on the upper face of `cell` along `across`: its number in
    /// `between`.
    fn vertex_between(&mut self, cell: [usize; 3], across: usize, edge: usize) -> u32 {
        let values = self.planes.corners(cell);
        let edges = face_edges(across, 1);
        let place = edges.iter().position(|&other| other == edge).unwrap_or(0);
        let corners = face_corners(across, 1).map(|corner| values[corner]);
        let end = partner(place, corners);
        let key = (cell, across, place.min(end));
        if let Some(&known) = self.segments.get(&key) {
            return known;
        }
        let [from, to] = [place, end].map(|place| {
            let edge = edges[place];
            on_edge(edge, ends(edge).map(|corner| values[corner]))
        });
        let mut middle_of_face = [0.0; 3];
        middle_of_face[across] = 0.5;
        let pull = match self.rest {
            Rest::Crossings => 1.0,
            Rest::Corners => BLOCK_GAP,
        };
        let from_middle = sub(scale(add(from, to), 0.5), middle_of_face);
        let number = self.net.between.len() as u32;
        self.net.between.push(add(
            add(cell.map(|index| index as f32), middle_of_face),
            scale(from_middle, pull),
        ));
        self.segments.insert(key, number);
        number
    }
}

impl Net {
    /// The net between the full samples, whose `value` is above 0, and the empty ones.
    fn around(size: [usize; 3], rest: Rest, value: impl Fn([usize; 3]) -> f32) -> Self {
        let mut tracer = Tracer {
            rest,
            planes: Planes::new(size),
            layers: Layers::new(size),
            segments: HashMap::new(),
            net: Self::default(),
        };
        tracer.planes.load(1, &value);
        for x in 0..=size[0] {
            tracer.planes.load(x + 2, &value);
            tracer.add_vertices(x);
            if x > 0 {
                tracer.add_quads(x);
            }
        }
        tracer.net
    }

    /// Moves the vertices towards the means of their neighbours and back, each within its cell.
    fn smooth(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for step in [SHRINK, GROW] {
                let mut sums = vec![([0.0; 3], 0.0); self.vertices.len()];
                for quad in &self.quads {
                    for k in 0..4 {
                        let [from, to] = [quad[k] as usize, quad[(k + 1) % 4] as usize];
                        sums[from].0 = add(sums[from].0, self.vertices[to]);
                        sums[to].0 = add(sums[to].0, self.vertices[from]);
                        sums[from].1 += 1.0;
                        sums[to].1 += 1.0;
                    }
                }
                for ((vertex, room), (sum, count)) in
                    self.vertices.iter_mut().zip(&self.rooms).zip(sums)
                {
                    let towards = sub(scale(sum, 1.0 / count), *vertex);
                    *vertex = room.clamp(add(*vertex, scale(towards, step)));
                }
            }
        }
    }

    fn into_mesh(self, shading: Shading) -> Mesh {
        let mut vertices = self.vertices;
        let first_between = vertices.len() as u32;
        vertices.extend(self.between);
        let mut triangles = Vec::with_capacity(2 * self.quads.len());
        for (number, quad) in self.quads.iter().enumerate() {
            match self.pinches.get(&number) {
                None => triangles.extend(halves(*quad, &vertices)),
                Some(pinches) => {
                    let around: Vec<u32> = (0..4)
                        .flat_map(|k| [Some(quad[k]), pinches[k].map(|k| first_between + k)])
                        .flatten()
                        .collect();
                    let sum = around
                        .iter()
                        .fold([0.0; 3], |sum, &corner| add(sum, vertices[corner as usize]));
                    let middle = vertices.len() as u32;
                    vertices.push(scale(sum, 1.0 / around.len() as f32));
                    triangles.extend(
                        (0..around.len())
                            .map(|k| [around[k], around[(k + 1) % around.len()], middle]),
                    );
                }
            }
        }
        let normals = match shading {
            Shading::Smooth(rounds) => softened(
                vertex_normals(&vertices, &triangles),
                &triangles,
                rounds.min(MOST_SOFTENING),
            ),
            Shading::Flat => Vec::new(),
        };
        Mesh {
            vertices,
            normals,
            triangles,
        }
    }
}

/// The two triangles of a quadrilateral, cut along the diagonal that leaves it flatter.
///
/// Its corners lie in four different quadrants around an edge, so at most one of the diagonals has a corner on it.
fn halves([a, b, c, d]: [u32; 4], vertices: &[Vector]) -> [[u32; 3]; 2] {
    let flatness = |halves: [[u32; 3]; 2]| {
        let [one, other] =
            halves.map(|triangle| face_normal(triangle.map(|corner| vertices[corner as usize])));
        if length(one).min(length(other)) < 1e-3 {
            f32::NEG_INFINITY
        } else {
            dot(one, other)
        }
    };
    let first = [[a, b, c], [a, c, d]];
    let second = [[b, c, d], [b, d, a]];
    if flatness(first) >= flatness(second) {
        first
    } else {
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A xorshift generator: what is tested is not chance.
    pub(super) struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> f32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 40) as f32 / (1u64 << 24) as f32
        }
    }

    /// Fails unless every edge has two triangles that pass it in opposite directions, the triangles around each vertex
    /// are one fan, no two vertices share a place and no triangle is flat.
    fn assert_closed(mesh: &Mesh, what: &str) {
        let mut passes: HashMap<[u32; 2], u32> = HashMap::new();
        let mut fans: HashMap<u32, HashMap<u32, u32>> = HashMap::new();
        for &[a, b, c] in &mesh.triangles {
            for [from, to, opposite] in [[a, b, c], [b, c, a], [c, a, b]] {
                *passes.entry([from, to]).or_default() += 1;
                fans.entry(from).or_default().insert(to, opposite);
            }
            let corners = [a, b, c].map(|corner| mesh.vertices[corner as usize]);
            let area = length(face_normal(corners)) / 2.0;
            assert!(area > 1e-6, "{what}: {corners:?} has an area of {area}");
        }
        for (&[from, to], &count) in &passes {
            assert_eq!(count, 1, "{what}: edge {from}-{to} is passed {count} times");
            assert!(
                passes.contains_key(&[to, from]),
                "{what}: edge {from}-{to} is open"
            );
        }
        for (vertex, fan) in &fans {
            let first = *fan.keys().next().unwrap();
            let (mut at, mut steps) = (fan[&first], 1);
            while at != first && steps <= fan.len() {
                at = fan[&at];
                steps += 1;
            }
            assert_eq!(steps, fan.len(), "{what}: vertex {vertex} has several fans");
        }
        assert_eq!(fans.len(), mesh.vertices.len(), "{what}: unused vertices");
        let mut places: Vec<[u32; 3]> = mesh
            .vertices
            .iter()
            .map(|vertex| vertex.map(f32::to_bits))
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), mesh.vertices.len(), "{what}: shared places");
        for normal in &mesh.normals {
            assert!((length(*normal) - 1.0).abs() < 1e-5, "{what}: {normal:?}");
        }
    }

    fn noise(size: [usize; 3], share: f32, chance: &mut Chance) -> Voxels {
        Voxels::from_fn(size, |_| chance.next() < share)
    }

    #[test]
    fn noise_of_voxels_has_a_closed_surface() {
        let mut chance = Chance(7);
        for trial in 0..200 {
            let share = [0.1, 0.3, 0.5, 0.7, 0.9][trial % 5];
            let voxels = noise([9, 7, 8], share, &mut chance);
            for rounds in [0, 1, 12] {
                let mesh = of_voxels(&voxels, rounds);
                assert_closed(&mesh, &format!("trial {trial}, {rounds} rounds"));
                assert_eq!(mesh.normals.is_empty(), rounds == 0);
            }
        }
    }

    #[test]
    fn noise_of_values_has_a_closed_surface() {
        let mut chance = Chance(11);
        for trial in 0..200 {
            let size = [8, 9, 7];
            let values: Vec<f32> = (0..8 * 9 * 7)
                .map(|_| match (chance.next() * 40.0) as u32 {
                    // What a network that diverged writes, and the threshold itself.
                    0 => f32::NAN,
                    1 => f32::INFINITY,
                    2 => f32::NEG_INFINITY,
                    3 => 0.5,
                    _ => chance.next(),
                })
                .collect();
            for rounds in [0, 5] {
                let mesh = of_field(size, &values, 0.5, rounds);
                assert_closed(&mesh, &format!("trial {trial}, {rounds} rounds"));
            }
        }
    }

    #[test]
    fn blobs_have_a_closed_surface() {
        let mut chance = Chance(3);
        for trial in 0..200 {
            let balls: Vec<[f32; 4]> = (0..6)
                .map(|_| std::array::from_fn(|_| chance.next()))
                .collect();
            let size = [14, 12, 13];
            let values = sampled(size, |[x, y, z]| {
                balls
                    .iter()
                    .map(|[i, j, k, radius]| {
                        let away = [x / 14.0 - i, y / 12.0 - j, z / 13.0 - k];
                        (-dot(away, away) / (0.004 + 0.03 * radius)).exp()
                    })
                    .sum()
            });
            let mesh = of_field(size, &values, 0.5, 0);
            assert_closed(&mesh, &format!("trial {trial}"));
            assert!(volume(&mesh) > 0.0);
        }
    }

    #[test]
    fn every_cell_of_eight_samples_is_closed() {
        // All patterns of two cells that share a face.
        for pattern in 0u32..1 << 12 {
            let voxels = Voxels::from_fn([3, 2, 2], |[x, y, z]| {
                pattern >> (x * 4 + y * 2 + z) & 1 == 1
            });
            for rounds in [0, 3] {
                assert_closed(
                    &of_voxels(&voxels, rounds),
                    &format!("pattern {pattern:03x}, {rounds} rounds"),
                );
            }
        }
    }

    #[test]
    fn a_face_whose_loops_meet_twice_gets_vertices_of_its_own() {
        // Found by search: without such vertices an edge of four triangles remains.
        let mut pinched = 0;
        let mut chance = Chance(5);
        for _ in 0..50 {
            let voxels = noise([8, 8, 8], 0.5, &mut chance);
            let net = Net::around([8, 8, 8], Rest::Corners, |at| {
                if voxels.is_full(at) { 0.5 } else { -0.5 }
            });
            pinched += net.pinches.len();
        }
        assert!(pinched > 100, "only {pinched}");
    }

    fn sampled(size: [usize; 3], value: impl Fn(Vector) -> f32) -> Vec<f32> {
        let mut values = Vec::new();
        for x in 0..size[0] {
            for y in 0..size[1] {
                for z in 0..size[2] {
                    values.push(value([x, y, z].map(|index| index as f32 + 0.5)));
                }
            }
        }
        values
    }

    fn ball(size: usize, radius: f32) -> Vec<f32> {
        let middle = size as f32 / 2.0;
        sampled([size; 3], |at| radius - length(sub(at, [middle; 3])))
    }

    #[test]
    fn a_ball_keeps_its_volume_and_its_normals() {
        let field = ball(32, 12.0);
        let exact = 4.0 / 3.0 * std::f64::consts::PI * 12f64.powi(3);
        let mesh = of_field([32; 3], &field, 0.0, 0);
        assert!((volume(&mesh) / exact - 1.0).abs() < 0.02);
        for (vertex, normal) in mesh.vertices.iter().zip(&mesh.normals) {
            let out = unit_or(sub(*vertex, [16.0; 3]), [0.0; 3]);
            assert!(dot(out, *normal) > 0.98, "{vertex:?} {normal:?}");
        }
        let voxels = Voxels::from_fn([32; 3], |[x, y, z]| field[(x * 32 + y) * 32 + z] > 0.0);
        for rounds in [1, 10, 30] {
            let mesh = of_voxels(&voxels, rounds);
            let share = volume(&mesh) / exact;
            assert!((share - 1.0).abs() < 0.03, "{rounds} rounds: {share}");
        }
    }

    #[test]
    fn blocks_are_as_they_are() {
        let voxels = Voxels::from_fn([4, 5, 3], |[x, y, z]| x < 3 && (y > 1 || z == 0));
        let mesh = of_voxels(&voxels, 0);
        assert!((volume(&mesh) - voxels.count() as f64).abs() < 1e-4);
        for vertex in &mesh.vertices {
            assert_eq!(vertex.map(f32::fract), [0.0; 3]);
        }
        // Touching edges are joined by little.
        let stairs = Voxels::from_fn([4, 4, 1], |[x, y, _]| x == y);
        let mesh = of_voxels(&stairs, 0);
        assert!((volume(&mesh) - 4.0).abs() < 0.1, "{}", volume(&mesh));
    }

    #[test]
    fn a_shape_that_fills_the_grid_ends_at_its_border() {
        for rounds in [0, 4] {
            let mesh = of_voxels(&Voxels::from_fn([3, 4, 5], |_| true), rounds);
            for axis in 0..3 {
                let along = |choose: fn(f32, f32) -> f32| {
                    mesh.vertices
                        .iter()
                        .map(|vertex| vertex[axis])
                        .reduce(choose)
                        .unwrap()
                };
                let side = [3.0, 4.0, 5.0][axis];
                assert!(along(f32::min).abs() < 0.3 && (along(f32::max) - side).abs() < 0.3);
            }
        }
        let unit = in_unit_cube(
            of_voxels(&Voxels::from_fn([3, 4, 5], |_| true), 0),
            [3, 4, 5],
        );
        assert!(unit.vertices.contains(&[-0.3, -0.4, -0.5]));
        assert!(unit.vertices.contains(&[0.3, 0.4, 0.5]));
    }

    #[test]
    fn smoothing_makes_slopes_of_stairs_and_keeps_thin_parts() {
        // A plate that rises one voxel in four: the normals of its top become one.
        let stairs = Voxels::from_fn([40, 12, 16], |[x, _, z]| (x / 4..x / 4 + 3).contains(&z));
        let spread = |rounds| {
            let mesh = of_voxels(&stairs, rounds);
            let tops: Vec<f32> = mesh
                .vertices
                .iter()
                .zip(&mesh.normals)
                .filter(|(vertex, normal)| {
                    (12.0..28.0).contains(&vertex[0])
                        && (4.0..8.0).contains(&vertex[1])
                        && normal[2] > 0.2
                })
                .map(|(_, normal)| normal[0])
                .collect();
            let mean = tops.iter().sum::<f32>() / tops.len() as f32;
            (tops.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / tops.len() as f32).sqrt()
        };
        assert!(spread(20) < 0.3 * spread(1), "{} {}", spread(20), spread(1));
        let pole = Voxels::from_fn([5, 5, 20], |[x, y, _]| x == 2 && y == 2);
        let left = volume(&of_voxels(&pole, 20));
        assert!(left > 5.0, "{left} of 20");
    }

    /// How many parts of a mesh hang together.
    fn bodies(mesh: &Mesh) -> usize {
        let mut first: Vec<usize> = (0..mesh.vertices.len()).collect();
        loop {
            let mut changes = false;
            for triangle in &mesh.triangles {
                let corners = triangle.map(|corner| corner as usize);
                let least = corners.iter().map(|&corner| first[corner]).min().unwrap();
                for corner in corners {
                    changes |= first[corner] != least;
                    first[corner] = least;
                }
            }
            if !changes {
                break;
            }
        }
        first.sort_unstable();
        first.dedup();
        first.len()
    }

    #[test]
    fn the_saddle_says_whether_samples_at_a_corner_are_joined() {
        for turned in [false, true] {
            for (full, empty, expected) in [(1.0, -0.2, 1), (0.2, -1.0, 2), (0.5, -0.5, 1)] {
                let mut values = [full, empty, empty, full];
                if turned {
                    values.swap(0, 1);
                    values.swap(2, 3);
                }
                for size in [[1, 2, 2], [2, 1, 2], [2, 2, 1]] {
                    let mesh = of_field(size, &values, 0.0, 0);
                    assert_eq!(bodies(&mesh), expected, "{values:?} {size:?}");
                }
            }
        }
    }

    #[test]
    fn quadrilaterals_are_cut_where_they_are_flatter() {
        // With a dent: the cut along the other diagonal would fold one half over.
        let dented = [
            [0.0, 0.0, 1.0],
            [0.4, 0.45, 0.6],
            [1.0, 1.0, 1.0],
            [0.0, 1.0, 0.0],
        ];
        for triangle in halves([0, 1, 2, 3], &dented) {
            let normal = face_normal(triangle.map(|corner| dented[corner as usize]));
            assert!(normal[2] > 0.0, "{triangle:?}");
        }
        // Never a triangle without area.
        let flat = [
            [0.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [2.0, 0.0, 0.0],
            [1.0, 1.0, 0.0],
        ];
        for shift in 0..4u32 {
            let quad = [0, 1, 2, 3].map(|k: u32| (k + shift) % 4);
            for triangle in halves(quad, &flat) {
                let corners = triangle.map(|corner| flat[corner as usize]);
                assert!(length(face_normal(corners)) > 0.5, "{quad:?}");
            }
        }
    }

    #[test]
    fn smoothing_leaves_every_vertex_in_its_cell() {
        let mut chance = Chance(17);
        for share in [0.1, 0.5, 0.9] {
            let voxels = noise([9, 8, 10], share, &mut chance);
            let mut net = Net::around([9, 8, 10], Rest::Crossings, |at| {
                if voxels.is_full(at) { 0.5 } else { -0.5 }
            });
            net.smooth(60);
            for (vertex, room) in net.vertices.iter().zip(&net.rooms) {
                let away = sub(*vertex, room.middle);
                assert!(away.iter().all(|off| off.abs() < 0.499), "{away:?}");
            }
        }
    }

    #[test]
    fn nothing_full_is_an_empty_mesh() {
        assert_eq!(of_voxels(&Voxels::new([3; 3]), 2), Mesh::default());
        assert_eq!(of_field([2; 3], &[f32::NAN; 8], 0.5, 0), Mesh::default());
    }
}
