//! Meshes in `.ply` files, text and binary in both byte orders (Turk, "The PLY Polygon File Format", 1994).
//!
//! Of the element `vertex` the properties x, y, z and, where there are all three, nx, ny, nz are read; of
//! `face` the list `vertex_indices` or `vertex_index`. Other elements and properties of any type are passed
//! over.
//
// Read with ply-rs-bw, which is kept up, fuzzed and without unsafe code: the format is three encodings of
// any properties in any order. It takes what a header claims at its word, so that is checked here before:
// elements without properties (72 bytes made it take 5 GB) and names that come twice (the second replaces
// the first). Written without it: one fixed header and plain numbers are shorter than the maps it would
// want.

use crate::Parsed;
use crate::mesh::Mesh;
use crate::meshes::{Builder, assert_whole, read_with};
use crate::words::{Lines, quoted, words};
use anyhow::Result;
use gan_core::weights::write_atomically;
use ply_rs_bw::parser::{ParseError, Parser, Reader};
use ply_rs_bw::ply::{
    ElementDef, Encoding, Header, Property, PropertyAccess, PropertyAccessResult, PropertyType,
    ScalarType,
};
use std::path::Path;

/// Most bytes of a header; usual ones have a few hundred.
const MOST_HEADER: usize = 1 << 16;
/// What the list of a face's corners may be called.
const CORNERS: [&str; 2] = ["vertex_indices", "vertex_index"];

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
/// What is wrong, with the line, or the vertex or face.
pub fn parse(bytes: &[u8]) -> Parsed<Mesh> {
    let mut lines = Lines::new(bytes);
    let header = header(bytes, &mut lines)?;
    check(&header, lines.rest().len())?;
    let mut left = Left {
        encoding: header.encoding,
        bytes: lines.rest(),
        lines,
    };
    let mut builder = Builder::default();
    let mut to_come = 2;
    for definition in header.elements.values() {
        for index in 0..definition.count {
            let place = match left.encoding {
                Encoding::Ascii => left.lines.number() + 1,
                _ => index,
            };
            let element = left.element(definition, index)?;
            let added = match definition.name.as_str() {
                "vertex" => element.vertex(&mut builder),
                "face" => element.face(&mut builder, place),
                _ => Ok(()),
            };
            added.map_err(|what| format!("{} {index}: {what}", definition.name))?;
        }
        to_come -= usize::from(["vertex", "face"].contains(&definition.name.as_str()));
        if to_come == 0 {
            break;
        }
    }
    let unit = match left.encoding {
        Encoding::Ascii => "line",
        _ => "face",
    };
    builder.finish(unit, 0)
}

/// Reads the header, behind which `lines` stand afterwards.
fn header(bytes: &[u8], lines: &mut Lines) -> Parsed<Header> {
    if !words(lines.next().unwrap_or_default()).eq([b"ply"]) {
        return Err(format!(
            "it is no .ply file: it begins with {}, where `ply` is expected",
            quoted(&bytes[..bytes.len().min(100)])
        ));
    }
    let mut definitions = 0;
    loop {
        let start = bytes.len() - lines.rest().len();
        let line = lines
            .next()
            .filter(|line| start + line.len() <= MOST_HEADER)
            .ok_or("its header has no line `end_header`: the file is cut short or damaged")?;
        match words(line).next() {
            Some(b"end_header") => break,
            Some(b"element" | b"property") => definitions += 1,
            _ => {}
        }
    }
    // Comments may be in any encoding.
    let text = String::from_utf8_lossy(&bytes[..bytes.len() - lines.rest().len()]);
    let header = Parser::<Element>::new()
        .read_header(&mut Reader::new(
            text.trim_start_matches('\u{feff}').as_bytes(),
        ))
        .map_err(|error| format!("its header is damaged: {}", reason(&error)))?;
    let found: usize = header
        .elements
        .values()
        .map(|element| 1 + element.properties.len())
        .sum();
    if found != definitions {
        return Err(
            "its header is damaged: an element, or a property of one, comes twice".to_owned(),
        );
    }
    Ok(header)
}

/// Whether the header says what is needed, and no more than `held` bytes can hold.
fn check(header: &Header, held: usize) -> Parsed<()> {
    let mut fewest = 0usize;
    for element in header.elements.values() {
        if element.properties.is_empty() {
            return Err(format!(
                "its header is damaged: the element `{}` has no properties",
                element.name
            ));
        }
        let each: usize = element
            .properties
            .values()
            .map(|property| match (header.encoding, &property.data_type) {
                // A digit, and a space or the end of the line.
                (Encoding::Ascii, _) => 2,
                (_, PropertyType::Scalar(kind) | PropertyType::List(kind, _)) => size(kind),
            })
            .sum();
        fewest = fewest.saturating_add(each.saturating_mul(element.count));
        if fewest > held + 1 {
            return Err(format!(
                "its header claims {} times `{}`, which take {fewest} bytes or more with what is \
                 before them, but {held} follow: the file is cut short or damaged",
                element.count, element.name
            ));
        }
    }
    let vertex = header.elements.get("vertex");
    let vertex = vertex.ok_or("it has no element `vertex`: a mesh is needed")?;
    if let Some(missing) = ["x", "y", "z"]
        .iter()
        .find(|name| !vertex.properties.contains_key(**name))
    {
        return Err(format!("its element `vertex` has no property `{missing}`"));
    }
    let face = header.elements.get("face").ok_or_else(|| {
        let names: Vec<&str> = header.elements.keys().map(String::as_str).collect();
        format!(
            "it has no element `face`, only {}: save it as a mesh of polygons",
            names.join(", ")
        )
    })?;
    if !CORNERS
        .iter()
        .any(|name| face.properties.contains_key(*name))
    {
        return Err(format!(
            "its element `face` has no property `{}`",
            CORNERS.join("` or `")
        ));
    }
    Ok(())
}

/// Bytes of a binary number.
fn size(kind: &ScalarType) -> usize {
    match kind {
        ScalarType::Char | ScalarType::UChar => 1,
        ScalarType::Short | ScalarType::UShort => 2,
        ScalarType::Int | ScalarType::UInt | ScalarType::Float => 4,
        ScalarType::Double => 8,
    }
}

/// The shortest part of an error that says what is wrong: whole lines of the file are in it too.
fn reason(error: &ParseError) -> String {
    let text = error.to_string();
    let last = text.rsplit("Error: ").next().unwrap_or_default();
    quoted(last.as_bytes())
}

/// What is behind the header and not read yet.
struct Left<'a> {
    encoding: Encoding,
    /// Of the binary forms.
    bytes: &'a [u8],
    /// Of the text.
    lines: Lines<'a>,
}

impl Left<'_> {
    fn element(&mut self, definition: &ElementDef, index: usize) -> Parsed<Element> {
        let parser = Parser::new();
        let name = &definition.name;
        let cut = || {
            format!(
                "it ends after {index} of {} times `{name}`: the file is cut short",
                definition.count
            )
        };
        let read = match self.encoding {
            Encoding::Ascii => {
                let (place, line) = loop {
                    let line = self.lines.next().ok_or_else(cut)?.trim_ascii();
                    if !line.is_empty() {
                        break (self.lines.number(), line);
                    }
                };
                let text = String::from_utf8_lossy(line);
                return parser
                    .read_ascii_element(&text, definition)
                    .map_err(|error| {
                        format!(
                            "line {place}: {} is no `{name}` as the header announces it: {}",
                            quoted(line),
                            reason(&error)
                        )
                    });
            }
            Encoding::BinaryLittleEndian => {
                parser.read_little_endian_element(&mut self.bytes, definition)
            }
            Encoding::BinaryBigEndian => {
                parser.read_big_endian_element(&mut self.bytes, definition)
            }
        };
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => cut(),
            _ => format!("{name} {index}: {}", reason(&error)),
        })
    }
}

/// A vertex, a face, or anything else.
#[derive(Default)]
struct Element {
    at: [Option<f32>; 3],
    normal: [Option<f32>; 3],
    corners: Option<Vec<u32>>,
}

impl PropertyAccess for Element {
    fn new() -> Self {
        Self::default()
    }

    fn set_property(&mut self, name: &str, property: Property) -> PropertyAccessResult {
        match name {
            "x" => self.at[0] = property.to_f32_lossy(),
            "y" => self.at[1] = property.to_f32_lossy(),
            "z" => self.at[2] = property.to_f32_lossy(),
            "nx" => self.normal[0] = property.to_f32_lossy(),
            "ny" => self.normal[1] = property.to_f32_lossy(),
            "nz" => self.normal[2] = property.to_f32_lossy(),
            _ if CORNERS.contains(&name) => self.corners = property.to_u32_list(),
            _ => return PropertyAccessResult::Ignored,
        }
        PropertyAccessResult::Set
    }
}

impl Element {
    fn vertex(&self, builder: &mut Builder) -> Parsed<()> {
        let [Some(x), Some(y), Some(z)] = self.at else {
            return Err("x, y or z is a list, where a number is expected".to_owned());
        };
        builder.vertex([x, y, z])?;
        if let [Some(x), Some(y), Some(z)] = self.normal {
            builder.normal([x, y, z]);
        }
        Ok(())
    }

    fn face(&self, builder: &mut Builder, place: usize) -> Parsed<()> {
        let corners = self
            .corners
            .as_deref()
            .ok_or("its corners are not a list of indices from 0")?;
        builder.face(corners, place)
    }
}

/// Writes a mesh in the binary form of little endian, with its normals where it has them.
///
/// # Errors
/// A [`Kind::Disk`](gan_core::failure::Kind::Disk) failure that names the path.
///
/// # Panics
/// If a triangle names a vertex that is none, or one beyond 2^31.
pub fn write(mesh: &Mesh, path: &Path) -> Result<()> {
    write_atomically(path, &to_bytes(mesh))
}

/// The bytes of a file of the binary form of little endian.
///
/// # Panics
/// As [`write()`].
pub fn to_bytes(mesh: &Mesh) -> Vec<u8> {
    assert_whole(mesh);
    assert!(mesh.vertices.len() <= 1 << 31, "indices are signed");
    let normals = match mesh.normals.is_empty() {
        true => "",
        false => "property float nx\nproperty float ny\nproperty float nz\n",
    };
    let mut bytes = format!(
        "ply\nformat binary_little_endian 1.0\ncomment z is up\n\
         element vertex {}\nproperty float x\nproperty float y\nproperty float z\n{normals}\
         element face {}\nproperty list uchar int vertex_indices\nend_header\n",
        mesh.vertices.len(),
        mesh.triangles.len()
    )
    .into_bytes();
    bytes
        .reserve_exact(12 * (mesh.vertices.len() + mesh.normals.len()) + 13 * mesh.triangles.len());
    for (index, vertex) in mesh.vertices.iter().enumerate() {
        let normal = mesh.normals.get(index).into_iter();
        let numbers = [vertex].into_iter().chain(normal).flatten();
        bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
    }
    for corners in &mesh.triangles {
        bytes.push(3);
        bytes.extend(corners.iter().flat_map(|index| index.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::tests::assert_is_the_box;
    use crate::meshes::tests::{assert_sound, sample};
    use crate::mutations::damaged;

    const TEXT: &str = "ply\nformat ascii 1.0\n\
        element vertex 4\nproperty float x\nproperty float y\nproperty float z\n\
        element face 2\nproperty list uchar int vertex_indices\nend_header\n\
        0 0 0\n1 0 0\n1 1 0\n0 1 0.5\n3 0 1 2\n3 0 2 3\n";

    fn parsed(text: &str) -> Mesh {
        parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_written_is_read() {
        let mut mesh = sample();
        let read = parse(&to_bytes(&mesh)).unwrap();
        assert_eq!(
            (&read.vertices, &read.triangles),
            (&mesh.vertices, &mesh.triangles)
        );
        for (ours, theirs) in read
            .normals
            .iter()
            .flatten()
            .zip(mesh.normals.iter().flatten())
        {
            assert!((ours - theirs).abs() < 1e-6);
        }
        assert_eq!(read.normals.len(), 4);
        mesh.normals.clear();
        assert_eq!(parse(&to_bytes(&mesh)).unwrap(), mesh);
    }

    #[test]
    fn every_spelling_of_a_text_is_the_same_mesh() {
        let mesh = parsed(TEXT);
        assert_eq!(mesh.vertices[3], [0.0, 1.0, 0.5]);
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        for other in [
            TEXT.replace('\n', "\r\n"),
            TEXT.replace("0\n1", "0 \n\n 1"),
            TEXT.replace("float", "double"),
            TEXT.replace("float x", "float32 x")
                .replace("uchar int", "uint16 int16"),
            TEXT.replace("vertex_indices", "vertex_index"),
            TEXT.replace("element face 2", "element face 1")
                .replace("3 0 1 2\n3 0 2 3", "4 0 1 2 3"),
            TEXT.replace("1.0\n", "1.0\ncomment caf\u{e9}\nobj_info 7\n"),
            // An element between them, and a list among the properties of the vertices.
            TEXT.replace(
                "element face",
                "element edge 1\nproperty int a\nproperty list int float b\nelement face",
            )
            .replace("3 0 1 2", "7 2 .5 .5\n3 0 1 2")
            .replace(".5 .5", "0.5 0.5"),
            TEXT.replace(
                "property float y",
                "property list char double c\nproperty float y",
            )
            .replace(
                "0 0 0\n1 0 0\n1 1 0\n0 1",
                "0 0 0 0\n1 1 5 0 0\n1 0 1 0\n0 2 5 6 1",
            ),
            format!("\u{feff}{TEXT}"),
            // What comes behind is not looked at.
            TEXT.replace("end_header", "element more 9\nproperty int a\nend_header")
                + "1 2 3 4 5 6 7 8 9\n",
        ] {
            assert_eq!(parsed(&other), mesh, "{other}");
        }
        let mut latin = TEXT.replace("1.0\n", "1.0\ncomment caf@\n").into_bytes();
        let place = latin.iter().position(|byte| *byte == b'@').unwrap();
        latin[place] = 0xe9;
        assert_eq!(parse(&latin).unwrap(), mesh);
    }

    #[test]
    fn faces_may_come_first() {
        let first = "ply\nformat ascii 1.0\n\
            element face 1\nproperty list uchar int vertex_indices\n\
            element vertex 3\nproperty float z\nproperty float y\nproperty float x\nend_header\n\
            3 0 1 2\n1 2 3\n4 5 6\n7 8 9\n";
        let mesh = parsed(first);
        assert_eq!(mesh.vertices[0], [3.0, 2.0, 1.0], "properties in any order");
        assert_eq!(mesh.triangles, [[0, 1, 2]]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let binary = to_bytes(&sample());
        for (from, to, expected) in [
            ("ply", "play", "begins with `play?format"),
            ("end_header\n", "", "has no line `end_header`"),
            (
                "format ascii 1.0\n",
                "",
                "header is damaged: `No format line found.`",
            ),
            ("ascii", "latin", "header is damaged"),
            (
                "vertex 4",
                "vertex 4000000000",
                "claims 4000000000 times `vertex`, which take 24000000000 bytes",
            ),
            (
                "vertex 4",
                "vertex 99999999999999999999",
                "header is damaged",
            ),
            ("vertex 4", "vertex -4", "header is damaged"),
            ("face 2", "face 3", "ends after 2 of 3 times `face`"),
            ("element vertex", "element point", "no element `vertex`"),
            (
                "element face",
                "element tristrips",
                "no element `face`, only vertex, tristrips",
            ),
            ("float z", "float w", "no property `z`"),
            ("float z", "float y", "comes twice"),
            ("element face", "element vertex", "comes twice"),
            (
                "vertex_indices",
                "corners",
                "no property `vertex_indices` or `vertex_index`",
            ),
            (
                "end_header",
                "element void 50000000\nend_header",
                "the element `void` has no properties",
            ),
            ("1 0 0\n", "1 nan 0\n", "line 11: `1 nan 0` is no `vertex`"),
            ("1 0 0\n", "1 1e99 0\n", "vertex 1: a coordinate is inf"),
            (
                "1 0 0\n",
                "1 0\n",
                "line 11: `1 0` is no `vertex` as the header announces it: `Expected element",
            ),
            (
                "3 0 1 2",
                "3 0 1 4",
                "line 14 names vertex 4, and there are 4, counted from 0",
            ),
            (
                "3 0 1 2",
                "3 0 1 -2",
                "face 0: its corners are not a list of indices",
            ),
            ("3 0 1 2", "4 0 1 2", "line 14: `4 0 1 2` is no `face`"),
            ("3 0 1 2", "300 0 1 2", "line 14: `300 0 1 2` is no `face`"),
            ("list uchar int", "float", "face 0: its corners"),
            (
                "float y",
                "list uchar int y",
                "vertex 0: x, y or z is a list",
            ),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT);
            let said = parse(text.as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{to}: {said}");
            assert!(said.len() < 300 && !said.contains('\n'), "{said}");
        }
        let place = binary
            .windows(8)
            .position(|part| part == b"vertex 4")
            .unwrap();
        let mut evil = binary.clone();
        evil.splice(place..place + 8, b"vertex 4000000000".iter().copied());
        let mut list = b"ply\nformat binary_little_endian 1.0\n\
            element vertex 0\nproperty char x\nproperty char y\nproperty char z\n\
            element face 1\nproperty list uint double vertex_indices\nend_header\n"
            .to_vec();
        list.extend([0xff, 0xff, 0xff, 0xff, 0, 0]);
        for (bytes, expected) in [
            (&b""[..], "begins with ``"),
            (
                &evil,
                "claims 4000000000 times `vertex`, which take 96000000000 bytes",
            ),
            (&list, "ends after 0 of 1 times `face`"),
            (
                &binary[..binary.len() - 1],
                "ends after 3 of 4 times `face`",
            ),
            (&[b'x'; 1 << 20], "begins with `xxxxxxxxx"),
            (
                &[&b"ply\n"[..], &[b'x'; 1 << 20]].concat(),
                "no line `end_header`",
            ),
        ] {
            let said = parse(bytes).unwrap_err();
            assert!(said.contains(expected), "{said}");
            assert!(said.len() < 300, "{said}");
        }
    }

    #[test]
    fn damaged_files_are_refused_or_sound() {
        let big = include_bytes!("../../../tests/fixtures/shapes/box_big_endian.ply").to_vec();
        for whole in [to_bytes(&sample()), TEXT.as_bytes().to_vec(), big] {
            let mut refused = 0;
            for bytes in damaged(&whole, 2000) {
                match parse(&bytes) {
                    Ok(mesh) => assert_sound(&mesh),
                    Err(_) => refused += 1,
                }
            }
            assert!(refused > 700, "{refused}");
        }
    }

    /// `tests/fixtures/shapes_make.py` wrote them with trimesh and plyfile.
    #[test]
    fn files_of_other_tools_are_read() {
        for bytes in [
            &include_bytes!("../../../tests/fixtures/shapes/box.ply")[..],
            include_bytes!("../../../tests/fixtures/shapes/box_text.ply"),
            include_bytes!("../../../tests/fixtures/shapes/box_big_endian.ply"),
        ] {
            assert_is_the_box(&parse(bytes).unwrap());
        }
    }
}
