//! Triangle meshes to voxels: what each triangle touches, by an exact test of triangles and boxes (Akenine-Moeller,
//! "Fast 3D Triangle-Box Overlap Testing", 2001), and what no path from outside reaches.
//!
//! Made for meshes as people draw them (ModelNet's `.off` files): windings do not count, faces may lie inside, be flat
//! or double, and the surface may have holes; only a hole that is wider than a voxel lets the inside run out.

use crate::mesh::Mesh;
use crate::voxels::Voxels;
use anyhow::Result;
use gan_core::failure::{Kind, failure};

/// Which voxels of a mesh are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Those that a triangle touches.
    Surface,
    /// Those, and all that no path through the faces of empty voxels connects with the outside.
    Solid,
}

/// A point, in voxels.
type Point = [f64; 3];

/// By how much less than its room a mesh is scaled, so that its outermost faces touch no voxel beyond.
const SLACK: f64 = 1e-6;

/// Rounding of coordinates up to [`Voxels::MOST_SIDE`]: touching counts as overlap, so it errs on that side.
const ROUNDING: f64 = 1e-9;

/// The voxels of `mesh` in a cube of `side` voxels.
///
/// The mesh is scaled alike in all directions and centred, so that the longest side of its bounding box fills the cube
/// but for `margin` voxels at both ends. The volumetric files of 3D-ShapeNets are like this, with a `side` of 30 and a
/// `margin` of 3. Vertices without a triangle do not count.
///
/// # Errors
/// [`Kind::Usage`] if `side` is 0, above [`Voxels::MOST_SIDE`] or has no room between the margins; [`Kind::Data`] if
/// the mesh has no triangle, a triangle names a vertex that is not there, a coordinate is not finite, or the mesh is a
/// single point.
pub fn voxelise(mesh: &Mesh, side: usize, margin: usize, fill: Fill) -> Result<Voxels> {
    if !(1..=Voxels::MOST_SIDE).contains(&side) {
        return Err(failure(
            Kind::Usage,
            format!(
                "a cube of {side} voxels a side: choose 1 to {}",
                Voxels::MOST_SIDE
            ),
        ));
    }
    if margin >= side.div_ceil(2) {
        return Err(failure(
            Kind::Usage,
            format!("a margin of {margin} leaves no room in {side} voxels: choose a smaller one"),
        ));
    }
    let triangles = placed(mesh, side, margin)?;
    let mut voxels = Voxels::new([side; 3]);
    for &corners in &triangles {
        mark(&mut voxels, corners);
    }
    Ok(match fill {
        Fill::Surface => voxels,
        Fill::Solid => filled(&voxels),
    })
}

/// `voxels`, and all empty ones that no path through the faces of empty voxels connects with the outside.
pub fn filled(voxels: &Voxels) -> Voxels {
    let size = voxels.size();
    let [width, height, depth] = size;
    // Full, or known to be outside: nothing that a path may still enter.
    let mut is_closed = vec![false; voxels.len()];
    let row = |x: usize, y: usize| (x * height + y) * depth;
    for [x, y, z] in voxels.full() {
        is_closed[row(x, y) + z] = true;
    }
    let mut seeds = Vec::new();
    for x in 0..width {
        for y in 0..height {
            if [0, width - 1].contains(&x) || [0, height - 1].contains(&y) {
                seeds.extend((0..depth).map(|z| [x, y, z]));
            } else {
                seeds.extend([[x, y, 0], [x, y, depth - 1]]);
            }
        }
    }
    while let Some([x, y, z]) = seeds.pop() {
        let line = &mut is_closed[row(x, y)..][..depth];
        if line[z] {
            continue;
        }
        // All of the row around the seed at once, then one seed for each stretch beside it.
        let low = line[..z]
            .iter()
            .rposition(|&closed| closed)
            .map_or(0, |at| at + 1);
        let high = line[z..]
            .iter()
            .position(|&closed| closed)
            .map_or(depth, |off| z + off);
        line[low..high].fill(true);
        let beside = [
            (x > 0).then(|| [x - 1, y]),
            (x + 1 < width).then(|| [x + 1, y]),
            (y > 0).then(|| [x, y - 1]),
            (y + 1 < height).then(|| [x, y + 1]),
        ];
        for [x, y] in beside.into_iter().flatten() {
            let line = &is_closed[row(x, y)..][..depth];
            for z in low..high {
                if !line[z] && (z == low || line[z - 1]) {
                    seeds.push([x, y, z]);
                }
            }
        }
    }
    // What was closed without being full is outside.
    Voxels::from_fn(size, |at| {
        voxels.is_full(at) || !is_closed[row(at[0], at[1]) + at[2]]
    })
}

/// The triangles of a mesh, in voxels of a cube.
fn placed(mesh: &Mesh, side: usize, margin: usize) -> Result<Vec<[Point; 3]>> {
    let mut triangles = Vec::with_capacity(mesh.triangles.len());
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for (number, triangle) in mesh.triangles.iter().enumerate() {
        let mut corners = [[0.0; 3]; 3];
        for (place, &corner) in corners.iter_mut().zip(triangle) {
            let Some(vertex) = mesh.vertices.get(corner as usize) else {
                let count = mesh.vertices.len();
                return Err(failure(
                    Kind::Data,
                    format!(
                        "triangle {number} of the mesh names vertex {corner} of {count}: the file is damaged"
                    ),
                ));
            };
            if !vertex.iter().all(|value| value.is_finite()) {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "vertex {corner} of the mesh is at {vertex:?}: every coordinate must be a finite number"
                    ),
                ));
            }
            *place = vertex.map(f64::from);
            for axis in 0..3 {
                low[axis] = low[axis].min(place[axis]);
                high[axis] = high[axis].max(place[axis]);
            }
        }
        triangles.push(corners);
    }
    if triangles.is_empty() {
        return Err(failure(
            Kind::Data,
            "the mesh has no triangles: choose one with faces",
        ));
    }
    let longest = (0..3)
        .map(|axis| high[axis] - low[axis])
        .fold(0.0, f64::max);
    if longest == 0.0 {
        return Err(failure(
            Kind::Data,
            "the mesh is a single point: it cannot be scaled to a cube of voxels",
        ));
    }
    let factor = (side - 2 * margin) as f64 * (1.0 - SLACK) / longest;
    for corner in triangles.iter_mut().flatten() {
        for axis in 0..3 {
            let middle = low[axis] + (high[axis] - low[axis]) / 2.0;
            corner[axis] = (corner[axis] - middle) * factor + side as f64 / 2.0;
        }
    }
    Ok(triangles)
}

/// Fills the voxels that a triangle touches.
fn mark(voxels: &mut Voxels, corners: [Point; 3]) {
    let bounds = [0, 1, 2].map(|axis| {
        let along = corners.map(|corner| corner[axis]);
        range(
            along[0].min(along[1]).min(along[2]),
            along[0].max(along[1]).max(along[2]),
            voxels.size()[axis],
        )
    });
    let axes = SeparatingAxes::of(corners);
    // Of each column along the axis that the triangle faces most, only the few voxels around its plane are tested.
    let normal = axes.normal;
    let facing = (0..3).fold(0, |most, axis| {
        if normal[axis].abs() > normal[most].abs() {
            axis
        } else {
            most
        }
    });
    let [b, c] = [(facing + 1) % 3, (facing + 2) % 3];
    let (from, to) = bounds[facing];
    for i in bounds[b].0..=bounds[b].1 {
        for j in bounds[c].0..=bounds[c].1 {
            let mut at = [0; 3];
            (at[b], at[c]) = (i, j);
            let (first, last) = if normal[facing] == 0.0 {
                (from, to)
            } else {
                let middle = dot(normal, corners[0])
                    - normal[b] * (i as f64 + 0.5)
                    - normal[c] * (j as f64 + 0.5);
                let spread = (normal[b].abs() + normal[c].abs()) / 2.0;
                let ends = [-spread, spread].map(|off| (middle + off) / normal[facing]);
                let (first, last) = range(
                    ends[0].min(ends[1]),
                    ends[0].max(ends[1]),
                    voxels.size()[facing],
                );
                (first.max(from), last.min(to))
            };
            for k in first..=last {
                at[facing] = k;
                if axes.overlap(at) {
                    voxels.set(at, true);
                }
            }
        }
    }
}

/// The first and the last of `side` voxels that the range from `low` to `high` touches.
fn range(low: f64, high: f64, side: usize) -> (usize, usize) {
    let last = side - 1;
    // Touching the border between two voxels touches both.
    let first = (low - ROUNDING).ceil() - 1.0;
    let end = (high + ROUNDING).floor();
    (
        first.clamp(0.0, last as f64) as usize,
        end.clamp(0.0, last as f64) as usize,
    )
}

/// The directions along which a triangle and a box of one voxel may lie apart, with the places of the middle of a box
/// that touches the triangle.
struct SeparatingAxes {
    normal: Point,
    /// Those of the box, the normal, and the nine across an edge of each.
    axes: [(Point, f64, f64); 13],
}

impl SeparatingAxes {
    fn of(corners: [Point; 3]) -> Self {
        let [a, b, c] = corners;
        let edges = [minus(b, a), minus(c, b), minus(a, c)];
        let normal = cross(edges[0], edges[1]);
        let unit = |axis: usize| {
            let mut unit = [0.0; 3];
            unit[axis] = 1.0;
            unit
        };
        let axes = std::array::from_fn(|k| {
            let axis = match k {
                0..3 => unit(k),
                3 => normal,
                _ => cross(unit((k - 4) / 3), edges[(k - 4) % 3]),
            };
            let along = corners.map(|corner| dot(axis, corner));
            // Half of what the box takes along the axis. A direction of zero, of a flat triangle, parts nothing.
            let half = (axis[0].abs() + axis[1].abs() + axis[2].abs()) / 2.0 + ROUNDING;
            (
                axis,
                along[0].min(along[1]).min(along[2]) - half,
                along[0].max(along[1]).max(along[2]) + half,
            )
        });
        Self { normal, axes }
    }

    fn overlap(&self, voxel: [usize; 3]) -> bool {
        let middle = voxel.map(|index| index as f64 + 0.5);
        self.axes.iter().all(|(axis, low, high)| {
            let along = dot(*axis, middle);
            (low..=high).contains(&&along)
        })
    }
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Point, b: Point) -> Point {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::Failure;

    fn touched(side: usize, corners: [Point; 3]) -> Vec<[usize; 3]> {
        let mut voxels = Voxels::new([side; 3]);
        mark(&mut voxels, corners);
        voxels.full().collect()
    }

    #[test]
    fn triangles_touch_the_boxes_they_touch() {
        // Well inside of one voxel.
        assert_eq!(
            touched(3, [[1.2, 1.3, 1.4], [1.8, 1.3, 1.5], [1.4, 1.7, 1.6]]),
            [[1, 1, 1]]
        );
        // A corner cut off just before the voxel (1, 1, 1), and just after: the bounding boxes overlap in both.
        let cut = |reach: f64| [[reach, 1.0, 1.0], [1.0, reach, 1.0], [1.0, 1.0, reach]];
        let far = cut(3.4).map(|corner| corner.map(|value| 4.0 - value));
        assert!(touched(4, far).contains(&[2, 2, 1]));
        let passes = |sum: f64| {
            // The plane x + y + z = sum within the box of voxel 0.
            let corners = [
                [sum + 2.0, -1.0, -1.0],
                [-1.0, sum + 2.0, -1.0],
                [-1.0, -1.0, sum + 2.0],
            ];
            SeparatingAxes::of(corners).overlap([0, 0, 0])
        };
        assert!(passes(2.999) && passes(0.001) && !passes(3.001) && !passes(-0.001));
        // Only an axis across two edges parts these: a triangle that passes an edge of the box.
        let beside = |off: f64| {
            let corners = [
                [1.0 + off, -1.0, 0.2],
                [1.0 + off, 2.0, 0.4],
                [3.0, 0.5, 3.0],
            ];
            let skew = corners.map(|[x, y, z]| [x + 0.5 * (z - 0.3) - 0.5, y, z]);
            SeparatingAxes::of(skew).overlap([0, 0, 0])
        };
        assert!(beside(-0.2) && !beside(0.6));
        // A face between voxels touches those on both sides.
        assert_eq!(
            touched(3, [[1.2, 1.2, 1.0], [1.8, 1.2, 1.0], [1.2, 1.8, 1.0]]),
            [[1, 1, 0], [1, 1, 1]]
        );
        // A triangle without area is a line or a point.
        let line = [[0.5, 0.5, 0.5], [2.5, 2.5, 0.5], [1.5, 1.5, 0.5]];
        let along = touched(3, line);
        for at in [[0, 0, 0], [1, 1, 0], [2, 2, 0]] {
            assert!(along.contains(&at));
        }
        assert!(!along.contains(&[0, 2, 0]) && !along.contains(&[2, 0, 0]));
        assert_eq!(touched(3, [[1.5, 0.5, 2.5]; 3]), [[1, 0, 2]]);
    }

    #[test]
    fn overlap_is_what_points_of_the_triangle_say() {
        let mut state = 5u64;
        let mut chance = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for _ in 0..300 {
            let reach = if chance() < 0.3 { 1.5 } else { 6.0 };
            let start: Point = std::array::from_fn(|_| 6.0 * chance());
            let corners: [Point; 3] = std::array::from_fn(|_| {
                std::array::from_fn(|axis| (start[axis] + reach * (chance() - 0.5)).clamp(0.0, 6.0))
            });
            let touched = touched(6, corners);
            // Everything that a dense set of points finds, and little that none comes near.
            let mut found = Voxels::new([6; 3]);
            let mut near = Voxels::new([6; 3]);
            let steps = 60;
            for i in 0..=steps {
                for j in 0..=steps - i {
                    let [u, v] = [i, j].map(|k| f64::from(k) / f64::from(steps));
                    let at: Point = std::array::from_fn(|axis| {
                        corners[0][axis] * (1.0 - u - v)
                            + corners[1][axis] * u
                            + corners[2][axis] * v
                    });
                    found.set(at.map(|value| (value as usize).min(5)), true);
                    for corner in 0..8 {
                        let beside: [usize; 3] = std::array::from_fn(|axis| {
                            let off = if corner >> axis & 1 == 1 { 0.15 } else { -0.15 };
                            ((at[axis] + off).max(0.0) as usize).min(5)
                        });
                        near.set(beside, true);
                    }
                }
            }
            for at in found.full() {
                assert!(touched.contains(&at), "{corners:?} misses {at:?}");
            }
            for at in touched {
                assert!(near.is_full(at), "{corners:?} does not touch {at:?}");
            }
        }
    }

    /// A ball of `rings` rings of triangles, every second one wound the other way.
    fn ball(rings: u32, radius: f32) -> Mesh {
        let mut mesh = Mesh::default();
        let around = 2 * rings;
        for i in 0..=rings {
            for j in 0..around {
                let (sin, cos) = (std::f32::consts::PI * i as f32 / rings as f32).sin_cos();
                let (up, along) = (std::f32::consts::TAU * j as f32 / around as f32).sin_cos();
                mesh.vertices.push([
                    7.0 + radius * sin * along,
                    radius * sin * up,
                    radius * cos - 3.0,
                ]);
            }
        }
        for i in 0..rings {
            for j in 0..around {
                let at = |i: u32, j: u32| i * around + j % around;
                let [a, b, c, d] = [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)];
                mesh.triangles.push([a, b, c]);
                mesh.triangles.push([d, c, a]);
            }
        }
        mesh
    }

    #[test]
    fn a_ball_has_the_volume_and_the_surface_of_one() {
        for (side, margin) in [(64, 4), (30, 3), (21, 0)] {
            let solid = voxelise(&ball(60, 2.5), side, margin, Fill::Solid).unwrap();
            let radius = (side - 2 * margin) as f64 / 2.0;
            // Every voxel that is touched counts: about half a voxel more all around.
            let volume = |radius: f64| 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3);
            let count = solid.count() as f64;
            assert!(
                count > volume(radius) && count < volume(radius + 1.0),
                "{side}: {count} for {}",
                volume(radius)
            );
            let shell = voxelise(&ball(60, 2.5), side, margin, Fill::Surface).unwrap();
            assert!(shell.full().all(|at| solid.is_full(at)));
            assert!(!shell.is_full([side / 2; 3]) && solid.is_full([side / 2; 3]));
            // Within the margins, touching all six.
            for axis in 0..3 {
                let along: Vec<usize> = solid.full().map(|at| at[axis]).collect();
                assert_eq!(along.iter().min(), Some(&margin));
                assert_eq!(along.iter().max(), Some(&(side - margin - 1)));
            }
            // The same from all sides.
            for at in solid.full() {
                assert!(solid.is_full(at.map(|k| side - 1 - k)), "{at:?}");
            }
        }
    }

    #[test]
    fn proportions_and_holes_stay() {
        // A long open box without a lid, made of double and flat faces as well.
        let mesh = Mesh {
            vertices: vec![
                [0.0, 0.0, 0.0],
                [4.0, 0.0, 0.0],
                [4.0, 2.0, 0.0],
                [0.0, 2.0, 0.0],
                [0.0, 0.0, 1.0],
                [4.0, 0.0, 1.0],
                [4.0, 2.0, 1.0],
                [0.0, 2.0, 1.0],
                [900.0, 0.0, 0.0],
            ],
            triangles: vec![
                [0, 1, 2],
                [0, 2, 3],
                [2, 1, 0],
                [0, 1, 5],
                [0, 5, 4],
                [1, 2, 6],
                [1, 6, 5],
                [2, 3, 7],
                [2, 7, 6],
                [3, 0, 4],
                [3, 4, 7],
                [0, 0, 1],
                [4, 4, 4],
            ],
            ..Mesh::default()
        };
        let open = voxelise(&mesh, 20, 2, Fill::Solid).unwrap();
        assert!(!open.is_full([9, 9, 9]));
        assert_eq!(open, voxelise(&mesh, 20, 2, Fill::Surface).unwrap());
        let mut lidded = mesh;
        lidded.triangles.extend([[4, 5, 6], [4, 6, 7]]);
        let solid = voxelise(&lidded, 20, 2, Fill::Solid).unwrap();
        // 16 x 8 x 4 voxels; the sides that end at a border of voxels touch those beyond.
        for (at, expected) in [
            ([2, 6, 8], true),
            ([17, 13, 11], true),
            ([9, 9, 9], true),
            ([1, 9, 9], false),
            ([18, 9, 9], false),
            ([9, 4, 9], false),
            ([9, 15, 9], false),
            ([9, 9, 6], false),
            ([9, 9, 13], false),
        ] {
            assert_eq!(solid.is_full(at), expected, "{at:?}");
        }
    }

    #[test]
    fn only_what_no_path_reaches_is_filled() {
        let mut state = 3u64;
        for trial in 0..60 {
            let size = [[7, 8, 9], [5, 1, 6], [12, 9, 2]][trial % 3];
            let voxels = Voxels::from_fn(size, |_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state >> 40 < (1 << 24) / 5 * 3
            });
            // A voxel at a time, until nothing changes.
            let mut outside = Voxels::new(size);
            let mut changes = true;
            while changes {
                changes = false;
                for index in 0..voxels.len() {
                    let at = [
                        index / (size[1] * size[2]),
                        index / size[2] % size[1],
                        index % size[2],
                    ];
                    if voxels.is_full(at) || outside.is_full(at) {
                        continue;
                    }
                    let opens = (0..3).any(|axis| {
                        at[axis] == 0 || at[axis] + 1 == size[axis] || {
                            let [mut down, mut up] = [at, at];
                            down[axis] -= 1;
                            up[axis] += 1;
                            outside.is_full(down) || outside.is_full(up)
                        }
                    });
                    if opens {
                        outside.set(at, true);
                        changes = true;
                    }
                }
            }
            let found = filled(&voxels);
            for index in 0..voxels.len() {
                let is_inside = outside.bits()[index / 64] >> (index % 64) & 1 == 0;
                assert_eq!(found.bits()[index / 64] >> (index % 64) & 1 == 1, is_inside);
            }
        }
    }

    #[test]
    fn what_cannot_be_voxels_is_refused() {
        let kind = |mesh: &Mesh, side, margin| {
            let error = voxelise(mesh, side, margin, Fill::Solid).unwrap_err();
            error.downcast_ref::<Failure>().unwrap().kind
        };
        let good = ball(4, 1.0);
        assert_eq!(kind(&good, 0, 0), Kind::Usage);
        assert_eq!(kind(&good, Voxels::MOST_SIDE + 1, 0), Kind::Usage);
        assert_eq!(kind(&good, 30, 15), Kind::Usage);
        assert!(voxelise(&good, 31, 15, Fill::Surface).is_ok());
        assert_eq!(kind(&Mesh::default(), 30, 3), Kind::Data);
        let with = |vertices: Vec<[f32; 3]>| Mesh {
            vertices,
            triangles: vec![[0, 1, 2]],
            ..Mesh::default()
        };
        assert_eq!(kind(&with(vec![[1.0; 3]; 3]), 30, 3), Kind::Data);
        assert_eq!(kind(&with(vec![[1.0; 3], [2.0; 3]]), 30, 3), Kind::Data);
        let infinite = vec![[0.0; 3], [1.0; 3], [f32::NAN, 0.0, 0.0]];
        assert_eq!(kind(&with(infinite), 30, 3), Kind::Data);
        // The largest numbers there are.
        let huge = with(vec![
            [f32::MAX, 0.0, 0.0],
            [f32::MIN, 0.0, 0.0],
            [0.0, f32::MAX, 0.0],
        ]);
        assert!(voxelise(&huge, 30, 3, Fill::Solid).unwrap().count() > 100);
    }
}
