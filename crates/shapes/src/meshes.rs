//! What the readers of meshes have in common: limits, checks, and how polygons become triangles.
//!
//! Coordinates are kept as a file has them: `.off`, `.ply` and `.stl` have no rule which axis is up, and
//! `.obj` files of ShapeNet and of most modellers have y up. [`stand_upright`] turns such a mesh. Colours,
//! textures, materials and groups are passed over. A face of more than three corners is cut into a fan from
//! its first corner, which is right for convex ones; faces of fewer corners are passed over. Triangles
//! without an area are kept.

use crate::Parsed;
use crate::mesh::Mesh;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::regular;
use std::path::Path;

/// Most bytes of a file.
pub const MOST_BYTES: u64 = 2 << 30;
/// Most vertices of a mesh that is read.
pub const MOST_VERTICES: usize = 20_000_000;
/// Most triangles of a mesh that is read.
pub const MOST_TRIANGLES: usize = 40_000_000;

/// Reads a whole file and names it in what `parse` finds wrong.
pub(crate) fn read_with(path: &Path, parse: impl FnOnce(&[u8]) -> Parsed<Mesh>) -> Result<Mesh> {
    let bytes = regular::read(Kind::Data, path, MOST_BYTES)?;
    parse(&bytes).map_err(|what| failure(Kind::Data, format!("{}: {what}", path.display())))
}

/// Turns a mesh whose second coordinate points up so that the third does: x stays, y becomes z, and z
/// becomes -y.
pub fn stand_upright(mesh: &mut Mesh) {
    for [_, y, z] in mesh.vertices.iter_mut().chain(&mut mesh.normals) {
        (*y, *z) = (-*z, *y);
    }
}

/// A mesh that grows while a file is read.
#[derive(Default)]
pub(crate) struct Builder {
    mesh: Mesh,
    /// The largest index of a vertex so far, and the place in the file that named it first.
    largest: Option<(u32, usize)>,
}

impl Builder {
    pub(crate) fn vertex(&mut self, at: [f32; 3]) -> Parsed<()> {
        if let Some(bad) = at.iter().find(|number| !number.is_finite()) {
            return Err(format!(
                "a coordinate is {bad}: repair the mesh in a modeller, or leave it out"
            ));
        }
        if self.mesh.vertices.len() == MOST_VERTICES {
            return Err(format!(
                "it has more than {MOST_VERTICES} vertices: simplify the mesh first"
            ));
        }
        self.mesh.vertices.push(at);
        Ok(())
    }

    /// As many as the vertices, or they do not count.
    pub(crate) fn normal(&mut self, normal: [f32; 3]) {
        self.mesh.normals.push(normal);
    }

    pub(crate) fn vertices(&self) -> usize {
        self.mesh.vertices.len()
    }

    /// Adds a face that comes in line, or as face, number `place` of the file. Its corners may lie beyond
    /// the vertices so far: some files have their faces first.
    pub(crate) fn face(&mut self, corners: &[u32], place: usize) -> Parsed<()> {
        let [first, rest @ ..] = corners else {
            return Ok(());
        };
        if self.mesh.triangles.len() + corners.len().saturating_sub(2) > MOST_TRIANGLES {
            return Err(format!(
                "it has more than {MOST_TRIANGLES} triangles: simplify the mesh first"
            ));
        }
        for pair in rest.windows(2) {
            self.mesh.triangles.push([*first, pair[0], pair[1]]);
        }
        let largest = corners.iter().max();
        if let Some(largest) = largest
            && self.largest.is_none_or(|(before, _)| before < *largest)
        {
            self.largest = Some((*largest, place));
        }
        Ok(())
    }

    /// The mesh; places of faces are counted in `unit`s. `first_index` is what the format calls its first
    /// vertex.
    pub(crate) fn finish(mut self, unit: &str, first_index: u64) -> Parsed<Mesh> {
        let count = self.mesh.vertices.len();
        if let Some((largest, place)) = self.largest
            && largest as usize >= count
        {
            return Err(format!(
                "{unit} {place} names vertex {}, and there are {count}, counted from {first_index}: the \
                 file is cut short or damaged",
                u64::from(largest) + first_index
            ));
        }
        if self.mesh.triangles.is_empty() {
            return Err(format!(
                "it has no triangles, only {count} vertices: a surface is needed"
            ));
        }
        if self.mesh.normals.len() != count || !normalise(&mut self.mesh.normals) {
            self.mesh.normals = Vec::new();
        }
        Ok(self.mesh)
    }
}

/// Gives each its unit length; `false` where one has no direction.
fn normalise(normals: &mut [[f32; 3]]) -> bool {
    normals.iter_mut().all(|normal| {
        let wide = normal.map(f64::from);
        let length = wide.iter().map(|part| part * part).sum::<f64>().sqrt();
        *normal = wide.map(|part| (part / length) as f32);
        length > 0.0 && length.is_finite()
    })
}

/// # Panics
/// If a triangle names a vertex that is none, or there are some normals but not one a vertex.
pub(crate) fn assert_whole(mesh: &Mesh) {
    let count = mesh.vertices.len();
    assert!(
        mesh.triangles
            .iter()
            .flatten()
            .all(|index| (*index as usize) < count),
        "a triangle of a vertex beyond {count}"
    );
    assert!(
        mesh.normals.is_empty() || mesh.normals.len() == count,
        "{} normals of {count} vertices",
        mesh.normals.len()
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tetrahedron with normals that point away from its centre.
    pub(crate) fn sample() -> Mesh {
        let third = 1.0 / 3f32.sqrt();
        Mesh {
            vertices: vec![
                [1.0, 1.0, 1.5],
                [1.0, -1.0, -0.5],
                [-1.0, 1.0, -0.5],
                [-1.0, -1.0, 1.5],
            ],
            normals: vec![
                [third; 3],
                [third, -third, -third],
                [-third, third, -third],
                [-third, -third, third],
            ],
            triangles: vec![[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]],
        }
    }

    /// What every mesh from a file must be, however damaged the file was.
    pub(crate) fn assert_sound(mesh: &Mesh) {
        assert_whole(mesh);
        assert!(!mesh.triangles.is_empty());
        assert!(mesh.vertices.iter().flatten().all(|part| part.is_finite()));
        for normal in &mesh.normals {
            let square: f32 = normal.iter().map(|part| part * part).sum();
            assert!((square - 1.0).abs() < 1e-5, "{normal:?}");
        }
    }

    #[test]
    fn polygons_become_fans() {
        let mut builder = Builder::default();
        for at in 0..5 {
            builder.vertex([at as f32, 0.0, 0.0]).unwrap();
        }
        builder.face(&[4, 0, 1, 2, 3], 1).unwrap();
        builder.face(&[1, 2], 2).unwrap();
        builder.face(&[], 3).unwrap();
        let mesh = builder.finish("line", 0).unwrap();
        assert_eq!(mesh.triangles, [[4, 0, 1], [4, 1, 2], [4, 2, 3]]);
    }

    #[test]
    fn the_first_face_that_goes_too_far_is_named() {
        let mut builder = Builder::default();
        builder.vertex([0.0; 3]).unwrap();
        for (place, largest) in [(7, 0), (8, 5), (9, 5)] {
            builder.face(&[0, largest, 0], place).unwrap();
        }
        let said = builder.finish("line", 1).unwrap_err();
        assert!(
            said.contains("line 8 names vertex 6, and there are 1, counted from 1"),
            "{said}"
        );
    }

    #[test]
    fn normals_count_only_if_all_have_a_direction() {
        let build = |normals: &[[f32; 3]]| {
            let mut builder = Builder::default();
            for normal in normals {
                builder.normal(*normal);
            }
            for _ in 0..2 {
                builder.vertex([0.0; 3]).unwrap();
            }
            builder.face(&[0, 1, 1], 1).unwrap();
            builder.finish("line", 0).unwrap().normals
        };
        assert_eq!(
            build(&[[0.0, 3.0, 4.0], [1e30, 0.0, 0.0]]),
            [[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]]
        );
        for bad in [[0.0; 3], [f32::NAN; 3], [f32::INFINITY, 0.0, 0.0]] {
            assert!(build(&[[0.0, 3.0, 4.0], bad]).is_empty(), "{bad:?}");
        }
        assert!(build(&[[1.0, 0.0, 0.0]]).is_empty(), "one of two");
    }

    #[test]
    fn what_was_up_along_y_is_up_along_z() {
        let mut mesh = sample();
        mesh.vertices[0] = [1.0, 2.0, 3.0];
        mesh.normals[0] = [0.0, 1.0, 0.0];
        stand_upright(&mut mesh);
        assert_eq!(mesh.vertices[0], [1.0, -3.0, 2.0]);
        assert_eq!(mesh.normals[0], [0.0, 0.0, 1.0]);
    }
}
