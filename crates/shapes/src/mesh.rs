//! Triangle meshes.

/// Triangles. Corners are counter-clockwise seen from outside; z is up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mesh {
    /// Positions.
    pub vertices: Vec<[f32; 3]>,
    /// One a vertex, unit length, or none at all.
    pub normals: Vec<[f32; 3]>,
    /// Three indices of vertices each.
    pub triangles: Vec<[u32; 3]>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Mesh;
    use std::collections::BTreeMap;

    /// Whether it is the box of 1 x 2 x 3 around the origin that `tests/fixtures/shapes_make.py` writes with
    /// other tools: closed, its triangles counter-clockwise from outside, nothing else.
    pub(crate) fn assert_is_the_box(mesh: &Mesh) {
        assert_eq!((mesh.vertices.len(), mesh.triangles.len()), (8, 12));
        for vertex in &mesh.vertices {
            assert_eq!(vertex.map(f32::abs), [0.5, 1.0, 1.5]);
        }
        assert_is_closed(mesh);
        assert_eq!(volume(mesh), 6.0);
    }

    /// Each edge belongs to two triangles, that go along it in opposite directions.
    pub(crate) fn assert_is_closed(mesh: &Mesh) {
        let mut edges = BTreeMap::new();
        for [a, b, c] in &mesh.triangles {
            for edge in [[a, b], [b, c], [c, a]] {
                *edges.entry(edge).or_insert(0) += 1;
            }
        }
        for ([from, to], count) in &edges {
            assert_eq!(
                (*count, edges.get(&[*to, *from])),
                (1, Some(&1)),
                "{from} {to}"
            );
        }
    }

    fn volume(mesh: &Mesh) -> f32 {
        let corner = |index: u32| mesh.vertices[index as usize];
        let six = mesh.triangles.iter().map(|corners| {
            let [a, b, c] = corners.map(corner);
            a[0] * (b[1] * c[2] - b[2] * c[1])
                + a[1] * (b[2] * c[0] - b[0] * c[2])
                + a[2] * (b[0] * c[1] - b[1] * c[0])
        });
        six.sum::<f32>() / 6.0
    }
}
