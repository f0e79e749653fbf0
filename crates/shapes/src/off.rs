//! Meshes in `.off` files, the format of ModelNet (Princeton Shape Benchmark; Geomview's manual, "OFF
//! Files").
//!
//! A keyword, counts of vertices, faces and edges, then a line each. Many files of ModelNet have the counts
//! right behind the keyword without a space between them. Of the other keywords those with colours
//! (`COFF`), normals (`NOFF`) and texture coordinates (`STOFF`) are read, not the binary and the
//! four-dimensional form.
//
// Ours, because no crate for the format is kept up.

use crate::Parsed;
use crate::mesh::Mesh;
use crate::meshes::{Builder, MOST_TRIANGLES, MOST_VERTICES, read_with};
use crate::words::{Lines, number, quoted, three, words};
use anyhow::Result;
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
    let mut lines = Lines::new(bytes);
    let header = Header::parse(&mut lines)?;
    if header.vertices > MOST_VERTICES || header.faces > MOST_TRIANGLES {
        return Err(format!(
            "its header claims {} vertices and {} faces; at most {MOST_VERTICES} and {MOST_TRIANGLES} are \
             read: simplify the mesh first",
            header.vertices, header.faces
        ));
    }
    // "0 0 0" and "0", and the ends of their lines.
    let fewest = 6 * header.vertices + 2 * header.faces;
    if fewest > lines.rest().len() + 1 {
        return Err(format!(
            "its header claims {} vertices and {} faces, but only {} bytes follow: the file is cut \
             short or damaged",
            header.vertices,
            header.faces,
            lines.rest().len()
        ));
    }
    let mut builder = Builder::default();
    for index in 0..header.vertices {
        let (place, line) = lines.next_with_content().ok_or_else(|| {
            format!(
                "it ends after {index} of {} vertices: the file is cut short",
                header.vertices
            )
        })?;
        let mut found = words(line);
        let at = three(&mut found).ok_or_else(|| {
            format!(
                "line {place}: {} is no vertex: three numbers x y z are expected",
                quoted(line)
            )
        })?;
        builder
            .vertex(at)
            .map_err(|what| format!("line {place}: {what}"))?;
        if header.has_normals {
            let normal = three(&mut found).ok_or_else(|| {
                format!(
                    "line {place}: {} has no normal behind the vertex, as the keyword says",
                    quoted(line)
                )
            })?;
            builder.normal(normal);
        }
    }
    let mut corners = Vec::new();
    for index in 0..header.faces {
        let (place, line) = lines.next_with_content().ok_or_else(|| {
            format!(
                "it ends after {index} of {} faces: the file is cut short",
                header.faces
            )
        })?;
        let mut found = words(line);
        let count: Option<usize> = number(found.next());
        corners.clear();
        // What follows the corners is a colour.
        corners.extend(
            found
                .by_ref()
                .take(count.unwrap_or(0))
                .map_while(|word| number::<u32>(Some(word))),
        );
        if count != Some(corners.len()) {
            return Err(format!(
                "line {place}: {} is no face: a count and as many indices of vertices, from 0, are expected",
                quoted(line)
            ));
        }
        builder
            .face(&corners, place)
            .map_err(|what| format!("line {place}: {what}"))?;
    }
    if let Some((place, line)) = lines.next_with_content() {
        return Err(format!(
            "line {place}: it goes on with {} after the {} vertices and {} faces of its header: the \
             counts are wrong",
            quoted(line),
            header.vertices,
            header.faces
        ));
    }
    builder.finish("line", 0)
}

struct Header {
    has_normals: bool,
    vertices: usize,
    faces: usize,
}

impl Header {
    fn parse(lines: &mut Lines) -> Parsed<Self> {
        let no_off = |line: &[u8]| {
            format!(
                "it is no .off file: it begins with {}, where OFF is expected",
                quoted(line)
            )
        };
        let (mut place, mut line) = lines.next_with_content().ok_or("it is empty")?;
        let at = line
            .windows(3)
            .position(|part| part == b"OFF")
            .ok_or_else(|| no_off(line))?;
        let has_normals = match &line[..at] {
            b"" | b"C" | b"ST" | b"STC" => false,
            b"N" | b"CN" | b"STN" | b"STCN" => true,
            other if other.ends_with(b"4") || other.ends_with(b"n") => {
                return Err(format!(
                    "line {place}: {} is not of three dimensions: save it as OFF",
                    quoted(&line[..at + 3])
                ));
            }
            _ => return Err(no_off(line)),
        };
        let mut counts = line[at + 3..].trim_ascii();
        if counts.starts_with(b"BINARY") {
            return Err("it is a binary .off file: save it as text, or as .ply".to_owned());
        }
        if counts.is_empty() {
            (place, line) = lines
                .next_with_content()
                .ok_or("it ends after its first line")?;
            counts = line;
        }
        let mut found = words(counts).map(|word| number::<usize>(Some(word)));
        match (found.next(), found.next(), found.next(), found.next()) {
            // Nobody reads the count of edges, and some leave it out.
            (Some(Some(vertices)), Some(Some(faces)), None | Some(Some(_)), None) => Ok(Self {
                has_normals,
                vertices,
                faces,
            }),
            _ => Err(format!(
                "line {place}: {} are no counts: those of vertices, faces and edges are expected",
                quoted(counts)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meshes::tests::assert_sound;
    use crate::mutations::damaged;

    const PLAIN: &str = "OFF\n4 2 5\n0 0 0\n1 0 0\n1 1 0\n0 1 .5\n3 0 1 2\n3 0 2 3\n";

    fn parsed(text: &str) -> Mesh {
        parse(text.as_bytes()).unwrap()
    }

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_spelling_is_the_same_mesh() {
        let mesh = parsed(PLAIN);
        assert_eq!(mesh.vertices[3], [0.0, 1.0, 0.5]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        assert!(mesh.normals.is_empty());
        for other in [
            PLAIN.replace("OFF\n", "OFF"),
            PLAIN.replace("OFF\n", "OFF "),
            PLAIN.replace("4 2 5", "4 2"),
            PLAIN.replace('\n', "\r\n"),
            PLAIN.replace('\n', " # comment\n\n"),
            PLAIN
                .replace("OFF", "COFF")
                .replace("0 0\n", "0 0 255 0 0 255\n"),
            PLAIN.replace("0 1 2\n", "0 1 2 0.5 0.5 0.5\n"),
            PLAIN.trim_end().to_owned(),
            PLAIN
                .replace("4 2 5", "4 1 4")
                .replace("3 0 1 2\n3 0 2 3", "4 0 1 2 3"),
            PLAIN.replace("4 2 5", "4 3 5") + "2 0 1\n",
        ] {
            assert_eq!(parsed(&other), mesh, "{other}");
        }
    }

    #[test]
    fn normals_are_read_behind_the_vertices() {
        let text = "NOFF\n3 1 0\n0 0 0 0 0 2\n1 0 0 0 0 1\n0 1 0 0 3 4\n3 0 1 2\n";
        assert_eq!(
            parsed(text).normals,
            [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.6, 0.8]]
        );
        let said = refused(&text.replace("1 0 0 0 0 1", "1 0 0"));
        assert!(said.contains("line 4: `1 0 0` has no normal"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("", "it is empty"),
            (
                "ply\nformat ascii",
                "begins with `ply`, where OFF is expected",
            ),
            ("OFF BINARY\n\0\0", "save it as text"),
            ("4OFF\n1 1 1\n", "not of three dimensions"),
            ("OFF\n", "ends after its first line"),
            ("OFF\n3 x 0\n", "line 2: `3 x 0` are no counts"),
            ("OFF-3 1 0\n", "line 1: `-3 1 0` are no counts"),
            ("OFF\n3 1 0 0 0\n", "are no counts"),
            (
                "OFF\n4000000000 1 0\n0 0 0\n",
                "claims 4000000000 vertices and 1 faces; at most 20000000",
            ),
            (
                "OFF\n20000000 40000000 0\n0 0 0\n",
                "claims 20000000 vertices and 40000000 faces, but only 6 bytes follow",
            ),
            (
                "OFF\n18446744073709551615 18446744073709551615 0\n",
                "at most 20000000",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 zero 0\n0 1 0\n3 0 1 2\n",
                "line 4: `1 zero 0` is no vertex",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n",
                "line 4: a coordinate is NaN",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 1e99 0\n0 1 0\n3 0 1 2\n",
                "line 4: a coordinate is inf",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n",
                "line 6 names vertex 3, and there are 3, counted from 0",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -2\n",
                "line 6: `3 0 1 -2` is no face",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4000000000 0 1 2\n",
                "line 6: `4000000000 0 1 2` is no face",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0.000000000\n",
                "ends after 0 of 1 faces",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0.000000000000\n",
                "ends after 2 of 3 vertices",
            ),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n",
                "no triangles, only 3 vertices",
            ),
            ("OFF\n0 0 0\n", "no triangles, only 0 vertices"),
            (
                "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 0 2 1\n",
                "line 7: it goes on with `3 0 2 1`",
            ),
        ] {
            let said = refused(text);
            assert!(said.contains(expected), "{text:?}: {said}");
        }
    }

    #[test]
    fn damaged_files_are_refused_or_sound() {
        let mut refused = 0;
        for bytes in damaged(PLAIN.as_bytes(), 3000) {
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
        let mesh = parse(include_bytes!("../../../tests/fixtures/shapes/box.off")).unwrap();
        crate::mesh::tests::assert_is_the_box(&mesh);
    }

    #[test]
    fn files_of_modelnet_are_read() {
        let Some(data) = std::env::var_os("GAN_DATA") else {
            return;
        };
        let folder = Path::new(&data).join("3d/ModelNet10/bathtub/train");
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut count = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let mesh = read(&path).unwrap();
            assert_sound(&mesh);
            let text = std::fs::read_to_string(&path).unwrap();
            let header: Vec<usize> = text
                .trim_start_matches("OFF")
                .split_whitespace()
                .map_while(|word| word.parse().ok())
                .take(2)
                .collect();
            assert_eq!([mesh.vertices.len(), mesh.triangles.len()], header[..]);
            let last = text.split_whitespace().next_back().unwrap();
            assert_eq!(mesh.triangles.last().unwrap()[2].to_string(), last);
            count += 1;
        }
        assert!(count > 0);
    }
}
