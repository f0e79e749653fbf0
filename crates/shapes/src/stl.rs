//! Meshes in `.stl` files, binary and text ("StereoLithography Interface Specification", 3D Systems 1989).
//!
//! A file has three corners of its own for each triangle; equal ones become one vertex. Normals of facets are
//! passed over: the order of the corners says where outside is. All solids of a text make one mesh.
//
// Ours: stl_io 0.11.0, the usual crate, gives only the first of several solids without a word, takes a
// binary file that begins with "solid" for text, and refuses a text for a facet without area whose normal
// is NaN, for a solid without a name or for capitals. What is left of its work is shorter than its repair.

use crate::Parsed;
use crate::mesh::Mesh;
use crate::meshes::{Builder, MOST_TRIANGLES, assert_whole, read_with};
use crate::words::{Lines, quoted, three, words};
use anyhow::Result;
use gan_core::weights::write_atomically;
use std::collections::HashMap;
use std::path::Path;

/// Bytes before the triangles of a binary file: any text, then their count.
const START: usize = 84;
/// Bytes of a triangle: its normal, three corners, two that nobody uses.
const EACH: usize = 50;

/// Reads a file.
///
/// # Errors
/// A [`Kind::Data`](gan_core::failure::Kind::Data) failure that names the file, the place and what is wrong.
pub fn read(path: &Path) -> Result<Mesh> {
    read_with(path, parse)
}

/// The mesh in the bytes of a file.
///
/// # Errors
/// What is wrong, with the line or the triangle.
pub fn parse(bytes: &[u8]) -> Parsed<Mesh> {
    let mut reader = Reader::default();
    match claimed(bytes) {
        // The length decides, not the first word: many binary files begin with "solid".
        Some(count) if bytes.len() as u64 == START as u64 + EACH as u64 * count => {
            reader.binary(&bytes[START..])?;
            reader.builder.finish("triangle", 0)
        }
        _ if bytes
            .trim_ascii_start()
            .get(..5)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"solid")) =>
        {
            reader.text(bytes)?;
            reader.builder.finish("line", 0)
        }
        Some(count) => Err(format!(
            "its header claims {count} triangles, which take {} bytes, but it has {}: the file is cut \
             short, damaged or no .stl file",
            START as u64 + EACH as u64 * count,
            bytes.len()
        )),
        None => Err(format!(
            "it is no .stl file: it begins with {} and has only {} bytes",
            quoted(bytes),
            bytes.len()
        )),
    }
}

/// How many triangles a binary file claims to have.
fn claimed(bytes: &[u8]) -> Option<u64> {
    let count = bytes.get(START - 4..START)?;
    Some(u32::from_le_bytes([count[0], count[1], count[2], count[3]]).into())
}

#[derive(Default)]
struct Reader {
    builder: Builder,
    /// The vertex at each place, by the bits of its coordinates.
    known: HashMap<[u32; 3], u32>,
}

impl Reader {
    fn corner(&mut self, at: [f32; 3]) -> Parsed<u32> {
        // Zero has two signs, and means one place.
        let at = at.map(|part| part + 0.0);
        let next = self.builder.vertices() as u32;
        let index = *self.known.entry(at.map(f32::to_bits)).or_insert(next);
        if index == next {
            self.builder.vertex(at)?;
        }
        Ok(index)
    }

    fn binary(&mut self, triangles: &[u8]) -> Parsed<()> {
        if triangles.len() / EACH > MOST_TRIANGLES {
            return Err(format!(
                "it has {} triangles; at most {MOST_TRIANGLES} are read: simplify the mesh first",
                triangles.len() / EACH
            ));
        }
        for (index, triangle) in triangles.chunks_exact(EACH).enumerate() {
            let number = |at: usize| {
                f32::from_le_bytes([
                    triangle[at],
                    triangle[at + 1],
                    triangle[at + 2],
                    triangle[at + 3],
                ])
            };
            let mut corners = [0; 3];
            for (corner, start) in corners.iter_mut().zip([12, 24, 36]) {
                *corner = self
                    .corner([number(start), number(start + 4), number(start + 8)])
                    .map_err(|what| format!("triangle {index}: {what}"))?;
            }
            self.builder.face(&corners, index)?;
        }
        Ok(())
    }

    /// Lines whose first word is `vertex`, from `loop` to `endloop`; the rest is dressing.
    fn text(&mut self, bytes: &[u8]) -> Parsed<()> {
        let mut lines = Lines::new(bytes);
        let mut corners: Option<Vec<u32>> = None;
        let mut is_solid = false;
        while let Some(line) = lines.next() {
            let place = lines.number();
            let at_line = |what: String| format!("line {place}: {what}");
            let mut found = words(line);
            let Some(first) = found.next() else {
                continue;
            };
            match (first.to_ascii_lowercase().as_slice(), &mut corners) {
                (b"solid", None) if !is_solid => is_solid = true,
                (b"endsolid", None) if is_solid => is_solid = false,
                (b"facet" | b"endfacet", None) if is_solid => {}
                (b"outer", None) if is_solid => corners = Some(Vec::new()),
                (b"vertex", Some(corners)) => {
                    let at = three(&mut found).ok_or_else(|| {
                        at_line(format!(
                            "{} is no vertex: three numbers x y z are expected",
                            quoted(line)
                        ))
                    })?;
                    corners.push(self.corner(at).map_err(at_line)?);
                }
                (b"endloop", Some(found)) if found.len() > 2 => {
                    self.builder.face(found, place).map_err(at_line)?;
                    corners = None;
                }
                _ => {
                    return Err(at_line(format!(
                        "{} is not what follows in a .stl file of text: the file is damaged",
                        quoted(line)
                    )));
                }
            }
        }
        if is_solid {
            return Err(format!(
                "it ends after {} lines without `endsolid`: the file is cut short",
                lines.number()
            ));
        }
        Ok(())
    }
}

/// Writes a mesh in the binary form.
///
/// # Errors
/// A [`Kind::Disk`](gan_core::failure::Kind::Disk) failure that names the path.
///
/// # Panics
/// If a triangle names a vertex that is none, or there are more than 2^32 of them.
pub fn write(mesh: &Mesh, path: &Path) -> Result<()> {
    write_atomically(path, &to_bytes(mesh))
}

/// The bytes of a file of the binary form.
///
/// # Panics
/// As [`write()`].
pub fn to_bytes(mesh: &Mesh) -> Vec<u8> {
    assert_whole(mesh);
    let count = u32::try_from(mesh.triangles.len()).expect("at most 2^32 triangles");
    let mut bytes = Vec::with_capacity(START + EACH * mesh.triangles.len());
    bytes.extend(b"binary, z is up");
    bytes.resize(START - 4, b' ');
    bytes.extend(count.to_le_bytes());
    for corners in &mesh.triangles {
        let corners = corners.map(|index| mesh.vertices[index as usize]);
        let numbers = normal(corners)
            .into_iter()
            .chain(corners.into_iter().flatten());
        bytes.extend(numbers.flat_map(f32::to_le_bytes));
        bytes.extend([0, 0]);
    }
    bytes
}

/// The normal of a triangle, or zeros where it has no area.
fn normal(corners: [[f32; 3]; 3]) -> [f32; 3] {
    let [a, b, c] = corners.map(|corner| corner.map(f64::from));
    let one = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    let two = [c[0] - a[0], c[1] - a[1], c[2] - a[2]];
    let cross = [
        one[1] * two[2] - one[2] * two[1],
        one[2] * two[0] - one[0] * two[2],
        one[0] * two[1] - one[1] * two[0],
    ];
    let length = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
    if length > 0.0 {
        cross.map(|part| (part / length) as f32)
    } else {
        [0.0; 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::{assert_is_closed, assert_is_the_box};
    use crate::meshes::tests::{assert_sound, sample};
    use crate::mutations::damaged;

    const FACET: &str = "facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  \
        vertex 0 1 0\n endloop\nendfacet\n";

    fn text() -> String {
        format!("solid a b\n{FACET}endsolid a b\n")
    }

    #[test]
    fn what_is_written_is_read() {
        let mesh = sample();
        let bytes = to_bytes(&mesh);
        assert_eq!(bytes.len(), 84 + 4 * 50);
        let read = parse(&bytes).unwrap();
        // Vertices come in the order of the triangles.
        assert_eq!(
            read.vertices,
            [0, 1, 2, 3].map(|index| mesh.vertices[index])
        );
        assert_eq!(read.triangles, mesh.triangles);
        assert_is_closed(&read);
        let normal: Vec<f32> = bytes[84..96]
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        let third = 1.0 / 3f32.sqrt();
        assert_eq!(normal, [third, third, -third]);
        assert_eq!(super::normal([[1.0; 3]; 3]), [0.0; 3]);
    }

    #[test]
    fn a_binary_file_may_begin_like_a_text() {
        let mut bytes = to_bytes(&sample());
        bytes[..6].copy_from_slice(b"solid ");
        assert_eq!(parse(&bytes).unwrap().triangles.len(), 4);
    }

    #[test]
    fn every_spelling_of_a_text_is_the_same_mesh() {
        let mesh = parse(text().as_bytes()).unwrap();
        assert_eq!(mesh.vertices, [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        assert_eq!(mesh.triangles, [[0, 1, 2]]);
        for other in [
            text().replace("solid a b", "solid"),
            text().to_uppercase(),
            text().replace("0 0 1", "-nan nan nan"),
            text().replace('\n', "\r\n"),
            format!("\n  {}", text()),
            text().replace("vertex 0 0 0", "vertex -0.0 0e0 +0"),
        ] {
            assert_eq!(parse(other.as_bytes()).unwrap(), mesh, "{other}");
        }
    }

    #[test]
    fn all_solids_make_one_mesh() {
        let second = text().replace("vertex 0 0 0", "vertex 0 0 5");
        let mesh = parse((text() + &second).as_bytes()).unwrap();
        assert_eq!(mesh.triangles, [[0, 1, 2], [3, 1, 2]]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let mut evil = to_bytes(&sample());
        evil[80..84].copy_from_slice(&u32::MAX.to_le_bytes());
        let cut = to_bytes(&sample())[..150].to_vec();
        let mut infinite = to_bytes(&sample());
        infinite[84 + 50 + 12..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let none = to_bytes(&Mesh::default());
        for (bytes, expected) in [
            (
                &b""[..],
                "it is no .stl file: it begins with `` and has only 0 bytes",
            ),
            (b"hello", "begins with `hello` and has only 5 bytes"),
            (
                &evil,
                "claims 4294967295 triangles, which take 214748364834 bytes, but it has 284",
            ),
            (
                &cut,
                "claims 4 triangles, which take 284 bytes, but it has 150",
            ),
            (&infinite, "triangle 1: a coordinate is inf"),
            (&none, "no triangles, only 0 vertices"),
            (b"solid a\nendsolid a\n", "no triangles, only 0 vertices"),
            (
                b"solid a\nfacet\nouter loop\n",
                "ends after 3 lines without `endsolid`",
            ),
        ] {
            let said = parse(bytes).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        for (from, to, expected) in [
            (
                "vertex 1 0 0",
                "vertex 1 0",
                "line 5: `vertex 1 0` is no vertex",
            ),
            (
                "vertex 1 0 0",
                "vertex 1 nan 0",
                "line 5: a coordinate is NaN",
            ),
            (
                "  vertex 1 0 0\n",
                "",
                "line 6: `endloop` is not what follows",
            ),
            (
                " outer loop\n",
                "",
                "line 3: `vertex 0 0 0` is not what follows",
            ),
            (
                "endsolid",
                "solid",
                "line 9: `solid a b` is not what follows",
            ),
            ("endfacet", "x\x07x", "line 8: `x?x` is not what follows"),
        ] {
            let said = parse(text().replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{to}: {said}");
        }
    }

    #[test]
    fn damaged_files_are_refused_or_sound() {
        for (bytes, least) in [(to_bytes(&sample()), 1000), (text().into_bytes(), 1000)] {
            let mut refused = 0;
            for bytes in damaged(&bytes, 3000) {
                match parse(&bytes) {
                    Ok(mesh) => assert_sound(&mesh),
                    Err(_) => refused += 1,
                }
            }
            assert!(refused > least, "{refused}");
        }
    }

    /// `tests/fixtures/shapes_make.py` wrote them with trimesh and numpy-stl.
    #[test]
    fn files_of_other_tools_are_read() {
        for bytes in [
            &include_bytes!("../../../tests/fixtures/shapes/box.stl")[..],
            include_bytes!("../../../tests/fixtures/shapes/box_solid.stl"),
            include_bytes!("../../../tests/fixtures/shapes/box_text.stl"),
        ] {
            assert_is_the_box(&parse(bytes).unwrap());
        }
    }
}
