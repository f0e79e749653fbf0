//! Meshes in Wavefront `.obj` files ("Advanced Visualizer Manual", appendix B1): vertices, faces, normals.
//!
//! All groups and objects of a file make one mesh, whose vertices are those of the file in its order. Its
//! normals are kept where no vertex has two of them; at a sharp edge a vertex has.
//
// Ours: tobj 4.0.5, the usual crate, cuts the mesh open between groups, says of an error no line, refuses a
// file for a comment behind a face, a line that goes on after `\`, or a name that is not UTF-8, adds without
// a check (an index of -2^63 panics in a build with checks), and takes 21 times the memory of a file.

use crate::Parsed;
use crate::mesh::Mesh;
use crate::meshes::{Builder, MOST_VERTICES, assert_whole, read_with};
use crate::words::{Lines, number, quoted, three, without_comment, words};
use anyhow::Result;
use gan_core::weights::write_atomically;
use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// Reads a file.
///
/// # Errors
/// A [`Kind::Data`](gan_core::failure::Kind::Data) failure that names the file, the line and what is wrong.
pub fn read(path: &Path) -> Result<Mesh> {
    read_with(path, parse)
}

/// The mesh in the bytes of a file.
///
/// # Errors
/// What is wrong, with the line.
pub fn parse(bytes: &[u8]) -> Parsed<Mesh> {
    let mut reader = Reader::default();
    let mut lines = Lines::new(bytes);
    while let Some(line) = lines.next() {
        let place = lines.number();
        let line = continued(line, &mut lines);
        reader
            .line(without_comment(&line), place)
            .map_err(|what| format!("line {place}: {what}"))?;
    }
    reader.finish()
}

/// A line with those that follow while there is a backslash at its end.
fn continued<'a>(line: &'a [u8], lines: &mut Lines<'a>) -> Cow<'a, [u8]> {
    let Some(start) = line.strip_suffix(b"\\") else {
        return line.into();
    };
    let mut whole = start.to_vec();
    for next in lines.by_ref() {
        whole.push(b' ');
        match next.strip_suffix(b"\\") {
            Some(start) => whole.extend(start),
            None => {
                whole.extend(next);
                break;
            }
        }
    }
    whole.into()
}

/// What a normal of the file is called that no vertex has yet.
const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Reader {
    builder: Builder,
    /// `vn`, as often as they come.
    normals: Vec<[f32; 3]>,
    /// The normal of each vertex that was named in a face with one.
    chosen: Vec<u32>,
    /// A vertex has two of them, or comes only after the face that gives it one.
    drops_normals: bool,
    corners: Vec<u32>,
}

impl Reader {
    fn line(&mut self, line: &[u8], place: usize) -> Parsed<()> {
        let mut found = words(line);
        match found.next() {
            Some(b"v") => {
                // What follows the coordinates is a weight or a colour.
                let at = three(&mut found).ok_or_else(|| {
                    format!(
                        "{} is no vertex: three numbers x y z are expected",
                        quoted(line)
                    )
                })?;
                self.builder.vertex(at)
            }
            Some(b"vn") => {
                // A mesh without normals is good enough: they are not worth refusing a file for.
                if self.normals.len() < MOST_VERTICES {
                    self.normals
                        .push(three(&mut found).unwrap_or([f32::NAN; 3]));
                }
                Ok(())
            }
            Some(b"f") => {
                self.corners.clear();
                for word in found {
                    let (vertex, normal) = self.corner(word).ok_or_else(|| {
                        format!(
                            "{} in {} is no corner: an index of a vertex is expected, from 1 or \
                             from -1 back, alone or as in 1/2/3",
                            quoted(word),
                            quoted(line)
                        )
                    })?;
                    self.corners.push(vertex);
                    if let Some(normal) = normal {
                        self.choose(vertex as usize, normal);
                    }
                }
                self.builder.face(&self.corners, place)
            }
            _ => Ok(()),
        }
    }

    /// The indices, from 0, of the vertex and the normal of `1`, `1/2`, `1//3` or `1/2/3`.
    fn corner(&self, word: &[u8]) -> Option<(u32, Option<u32>)> {
        let mut parts = word.split(|byte| *byte == b'/');
        let vertex = absolute(parts.next()?, self.builder.vertices())?;
        let _texture = parts.next();
        let normal = match parts.next() {
            None | Some(b"") => None,
            Some(part) => Some(absolute(part, self.normals.len())?),
        };
        parts.next().is_none().then_some((vertex, normal))
    }

    fn choose(&mut self, vertex: usize, normal: u32) {
        if vertex >= self.builder.vertices() {
            self.drops_normals = true;
            return;
        }
        if self.chosen.len() <= vertex {
            self.chosen.resize(self.builder.vertices(), NONE);
        }
        let before = std::mem::replace(&mut self.chosen[vertex], normal);
        self.drops_normals |= before != NONE
            && before != normal
            && self.normals.get(before as usize) != self.normals.get(normal as usize);
    }

    fn finish(mut self) -> Parsed<Mesh> {
        if !self.drops_normals && self.chosen.len() == self.builder.vertices() {
            for normal in &self.chosen {
                match self.normals.get(*normal as usize) {
                    Some(normal) => self.builder.normal(*normal),
                    None => break,
                }
            }
        }
        self.builder.finish("line", 1)
    }
}

/// An index from 0, of one from 1, or of one from -1 back while there are `count`.
fn absolute(word: &[u8], count: usize) -> Option<u32> {
    let index: i64 = number(Some(word))?;
    let from_zero = if index < 0 {
        index.checked_add(count as i64)?
    } else {
        index.checked_sub(1)?
    };
    u32::try_from(from_zero).ok().filter(|index| *index != NONE)
}

/// Writes a mesh, with its normals where it has them.
///
/// # Errors
/// A [`Kind::Disk`](gan_core::failure::Kind::Disk) failure that names the path.
///
/// # Panics
/// If a triangle names a vertex that is none.
pub fn write(mesh: &Mesh, path: &Path) -> Result<()> {
    write_atomically(path, to_text(mesh).as_bytes())
}

/// The text of a file.
///
/// # Panics
/// As [`write()`].
pub fn to_text(mesh: &Mesh) -> String {
    assert_whole(mesh);
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments| {
        // Writing to a string does not fail.
        let _ = text.write_fmt(arguments);
    };
    for [x, y, z] in &mesh.vertices {
        line(format_args!("v {x} {y} {z}\n"));
    }
    for [x, y, z] in &mesh.normals {
        line(format_args!("vn {x} {y} {z}\n"));
    }
    for corners in &mesh.triangles {
        let [a, b, c] = corners.map(|index| u64::from(index) + 1);
        if mesh.normals.is_empty() {
            line(format_args!("f {a} {b} {c}\n"));
        } else {
            line(format_args!("f {a}//{a} {b}//{b} {c}//{c}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::assert_is_the_box;
    use crate::meshes::tests::{assert_sound, sample};
    use crate::mutations::damaged;

    const CORNERS: &str = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 .5\n";

    fn parsed(text: &str) -> Mesh {
        parse(text.as_bytes()).unwrap()
    }

    fn assert_close(ours: &[[f32; 3]], theirs: &[[f32; 3]]) {
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut mesh = sample();
        mesh.vertices[1] = [1e-30, -3e38, 0.1];
        let read = parsed(&to_text(&mesh));
        assert_eq!(
            (&read.vertices, &read.triangles),
            (&mesh.vertices, &mesh.triangles)
        );
        assert_close(&read.normals, &mesh.normals);
        mesh.normals.clear();
        assert_eq!(parsed(&to_text(&mesh)), mesh);
    }

    #[test]
    fn every_spelling_of_a_face_is_the_same_mesh() {
        let mesh = parsed(&format!("{CORNERS}f 1 2 3\nf 1 3 4\n"));
        assert_eq!(mesh.vertices[3], [0.0, 1.0, 0.5]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        for other in [
            format!("{CORNERS}f 1 2 3 4\n"),
            format!("{CORNERS}f -4 -3 -2 -1\n"),
            format!("{CORNERS}vt 0 0\nf 1/1 2/1 3/1 4/1\n"),
            format!("{CORNERS}f 1// 2// 3// 4//\n"),
            format!("{CORNERS}f 1 2 \\\n 3 \\\r\n 4\n"),
            format!("{CORNERS}f 1 2 3 4 # comment\r\n"),
            format!("f 1 2 3 4\n{CORNERS}"),
            format!(
                "mtllib a.mtl\no a\n{CORNERS}g a\nusemtl a\ns off\nf 1 2 3\ng b\nf 1 3 4\nl 1 2\np 1"
            ),
            format!("{}f 1 2 3 4\n", CORNERS.replace(" 0\n", " 0 1 0.5 0.25\n")),
        ] {
            assert_eq!(parsed(&other), mesh, "{other}");
        }
        let mut latin: Vec<u8> = b"# caf\xe9\ng caf\xe9\n".to_vec();
        latin.extend(format!("{CORNERS}f 1 2 3 4\n").bytes());
        assert_eq!(parse(&latin).unwrap(), mesh);
    }

    #[test]
    fn relative_indices_count_from_their_line() {
        let text = format!("{CORNERS}f -4 -3 -2\nv 9 9 9\nf -5 -3 -1\n");
        assert_eq!(parsed(&text).triangles, [[0, 1, 2], [0, 2, 4]]);
    }

    #[test]
    fn normals_count_where_no_vertex_has_two() {
        let corners = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n";
        let normals = "vn 0 0 2\nvn 0 0 2\nvn 0 1 0\n";
        let up = [[0.0, 0.0, 1.0]; 4];
        let with = |faces: &str| parsed(&format!("{corners}{normals}{faces}")).normals;
        assert_eq!(with("f 1//1 2//1 3//1 4//1\n"), up);
        assert_eq!(
            with("f 1//1 2//1 3//1\nf 1//2 3/7/2 4//-2\n"),
            up,
            "equal ones"
        );
        assert_eq!(with("f 1//1 2//1 3//1\nf 1//3 3//3 4//3\n"), [[0.0; 3]; 0]);
        assert_eq!(
            with("f 1//1 2//1 3//1\nf 1 3 4\n"),
            [[0.0; 3]; 0],
            "one has none"
        );
        assert_eq!(
            with("f 1//1 2//1 3//1 4//9\n"),
            [[0.0; 3]; 0],
            "no such normal"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("", "no triangles, only 0 vertices"),
            (CORNERS, "no triangles, only 4 vertices"),
            ("v 0 0\n", "line 1: `v 0 0` is no vertex"),
            ("\nv 0 inf 0\n", "line 2: a coordinate is inf"),
            (
                "v 0 0 0\nf 1 1 2\nf 1 1 3\n",
                "line 3 names vertex 3, and there are 1, counted from 1",
            ),
            (
                "v 0 0 0\nf 0 1 1\n",
                "line 2: `0` in `f 0 1 1` is no corner",
            ),
            ("v 0 0 0\nf 1 1 -2\n", "line 2: `-2` in"),
            ("v 0 0 0\nf 1 1 x\n", "line 2: `x` in"),
            ("v 0 0 0\nf 1 1 1/2/3/4\n", "line 2: `1/2/3/4` in"),
            (
                "v 0 0 0\nf 1 1 -9223372036854775808\n",
                "line 2: `-9223372036854775808` in",
            ),
            (
                "v 0 0 0\nf 1 1 9223372036854775807\n",
                "line 2: `9223372036854775807` in",
            ),
            ("v 0 0 0\nf 1 1 4294967296\n", "line 2: `4294967296` in"),
            (
                "v 0 0 0\nf 1//-9223372036854775808 1 1\n",
                "line 2: `1//-9223372036854775808` in",
            ),
            ("v 0 0 0\nf 1 1 \\\n\\\n", "no triangles"),
        ] {
            let said = parse(text.as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{text:?}: {said}");
        }
    }

    #[test]
    fn damaged_files_are_refused_or_sound() {
        let mut refused = 0;
        for bytes in damaged(to_text(&sample()).as_bytes(), 3000) {
            match parse(&bytes) {
                Ok(mesh) => assert_sound(&mesh),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1000, "{refused}");
    }

    /// `tests/fixtures/shapes_make.py` wrote it with trimesh.
    #[test]
    fn a_file_of_trimesh_is_read() {
        let mesh = parse(include_bytes!("../../../tests/fixtures/shapes/box.obj")).unwrap();
        assert_is_the_box(&mesh);
        for (vertex, normal) in mesh.vertices.iter().zip(&mesh.normals) {
            for (at, part) in vertex.iter().zip(normal) {
                assert!(
                    (part - at.signum() / 3f32.sqrt()).abs() < 1e-6,
                    "{normal:?}"
                );
            }
        }
        assert_eq!(mesh.normals.len(), 8);
    }
}
