//! Meshes in `.glb` files, glTF 2.0 in its binary form, for viewers.
//!
//! One mesh of one plain material that is seen from outside only. glTF has y up, so the mesh is turned: x
//! stays, z becomes y, and y becomes -z.

use crate::mesh::Mesh;
use crate::meshes::assert_whole;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::weights::write_atomically;
use serde_json::{Value, json};
use std::path::Path;

/// A warm clay, red, green, blue and opacity, linear.
const COLOUR: [f64; 4] = [0.58, 0.36, 0.22, 1.0];
/// What made a file, as it says.
const GENERATOR: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
/// `FLOAT` and `UNSIGNED_INT` of OpenGL, by which glTF names the types of numbers.
const FLOAT: u32 = 5126;
const UNSIGNED_INT: u32 = 5125;
/// `ARRAY_BUFFER` and `ELEMENT_ARRAY_BUFFER`.
const OF_VERTICES: u32 = 34962;
const OF_INDICES: u32 = 34963;

/// Writes a mesh, with its normals where it has them; without, viewers shade each triangle flat.
///
/// # Errors
/// A [`Kind::Data`] failure when the mesh has no triangles or takes more than 4 GiB, a
/// [`Kind::Disk`] failure that names the path.
///
/// # Panics
/// If a triangle names a vertex that is none.
pub fn write(mesh: &Mesh, path: &Path) -> Result<()> {
    let bytes = to_bytes(mesh).map_err(|what| {
        failure(
            Kind::Data,
            format!("{} cannot be written: {what}", path.display()),
        )
    })?;
    write_atomically(path, &bytes)
}

/// The bytes of a file, or why there are none.
///
/// # Errors
/// As [`write()`], in words.
///
/// # Panics
/// As [`write()`].
pub fn to_bytes(mesh: &Mesh) -> std::result::Result<Vec<u8>, String> {
    assert_whole(mesh);
    if mesh.triangles.is_empty() {
        return Err("the mesh has no triangles, and glTF has no empty ones".to_owned());
    }
    let mut binary = Vec::new();
    let mut views = Vec::new();
    let mut accessors = Vec::new();
    let mut attributes = serde_json::Map::new();
    let indices = mesh.triangles.iter().flatten();
    add(
        &mut binary,
        &mut views,
        OF_INDICES,
        indices.flat_map(|index| index.to_le_bytes()),
    );
    accessors.push(json!({
        "bufferView": 0,
        "componentType": UNSIGNED_INT,
        "count": 3 * mesh.triangles.len(),
        "type": "SCALAR",
    }));
    for (name, vectors) in [("POSITION", &mesh.vertices), ("NORMAL", &mesh.normals)] {
        if vectors.is_empty() {
            continue;
        }
        let turned = || vectors.iter().map(|[x, y, z]| [*x, *z, -y]);
        let numbers = turned().flatten();
        add(
            &mut binary,
            &mut views,
            OF_VERTICES,
            numbers.flat_map(f32::to_le_bytes),
        );
        let bound = |choose: fn(f32, f32) -> f32| {
            turned()
                .reduce(|one, two| std::array::from_fn(|axis| choose(one[axis], two[axis])))
                // As numbers of 64 bits, whose decimals are exact.
                .map(|bound| bound.map(f64::from))
        };
        let mut accessor = json!({
            "bufferView": accessors.len(),
            "componentType": FLOAT,
            "count": vectors.len(),
            "type": "VEC3",
        });
        if name == "POSITION" {
            accessor["min"] = json!(bound(f32::min));
            accessor["max"] = json!(bound(f32::max));
        }
        attributes.insert(name.to_owned(), json!(accessors.len()));
        accessors.push(accessor);
    }
    let description = json!({
        "asset": {"version": "2.0", "generator": GENERATOR},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "shape"}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 0, "material": 0}]}],
        "materials": [{
            "name": "clay",
            "pbrMetallicRoughness": {"baseColorFactor": COLOUR, "metallicFactor": 0.0, "roughnessFactor": 0.8},
            "doubleSided": false,
        }],
        "buffers": [{"byteLength": binary.len()}],
        "bufferViews": views,
        "accessors": accessors,
    });
    container(&description, &binary)
}

/// Adds a part of the binary chunk; all numbers take four bytes, so that the next part is aligned.
fn add(binary: &mut Vec<u8>, views: &mut Vec<Value>, target: u32, bytes: impl Iterator<Item = u8>) {
    let start = binary.len();
    binary.extend(bytes);
    views.push(json!({
        "buffer": 0,
        "byteOffset": start,
        "byteLength": binary.len() - start,
        "target": target,
    }));
}

/// A header, the description as JSON, the numbers.
fn container(description: &Value, binary: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let mut text = description.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let length = 12 + 8 + text.len() + 8 + binary.len();
    let length = u32::try_from(length)
        .map_err(|_| format!("it would have {length} bytes, and glTF ends at 4 GiB"))?;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend(b"glTF");
    bytes.extend(2u32.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    for (kind, part) in [(b"JSON", &text[..]), (b"BIN\0", binary)] {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(kind);
        bytes.extend(part);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meshes::tests::sample;

    fn word(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn chunks(bytes: &[u8]) -> (Value, &[u8]) {
        assert_eq!(&bytes[..4], b"glTF");
        assert_eq!((word(bytes, 4), word(bytes, 8)), (2, bytes.len()));
        let end = 20 + word(bytes, 12);
        assert_eq!(
            (&bytes[16..20], &bytes[end + 4..end + 8]),
            (&b"JSON"[..], &b"BIN\0"[..])
        );
        assert_eq!(word(bytes, end), bytes.len() - end - 8);
        assert_eq!((end % 4, bytes.len() % 4), (0, 0));
        (
            serde_json::from_slice(&bytes[20..end]).unwrap(),
            &bytes[end + 8..],
        )
    }

    #[test]
    fn the_parts_lie_where_the_description_says() {
        let mesh = sample();
        let bytes = to_bytes(&mesh).unwrap();
        let (description, binary) = chunks(&bytes);
        assert_eq!(description["buffers"][0]["byteLength"], binary.len());
        assert_eq!(binary.len(), 4 * (4 * 3 + 4 * 3 + 4 * 3));
        let numbers = |accessor: &Value| -> Vec<[u8; 4]> {
            let view =
                &description["bufferViews"][accessor["bufferView"].as_u64().unwrap() as usize];
            let start = view["byteOffset"].as_u64().unwrap() as usize;
            let length = view["byteLength"].as_u64().unwrap() as usize;
            let part = &binary[start..start + length];
            part.chunks_exact(4)
                .map(|four| four.try_into().unwrap())
                .collect()
        };
        let accessor = |index: &Value| &description["accessors"][index.as_u64().unwrap() as usize];
        let primitive = &description["meshes"][0]["primitives"][0];
        let indices: Vec<u32> = numbers(accessor(&primitive["indices"]))
            .into_iter()
            .map(u32::from_le_bytes)
            .collect();
        assert_eq!(indices, *mesh.triangles.as_flattened());
        let floats = |name: &str| -> Vec<f32> {
            let accessor = accessor(&primitive["attributes"][name]);
            assert_eq!(accessor["count"], 4);
            numbers(accessor)
                .into_iter()
                .map(f32::from_le_bytes)
                .collect()
        };
        let turned = |vectors: &[[f32; 3]]| -> Vec<f32> {
            vectors.iter().flat_map(|[x, y, z]| [*x, *z, -y]).collect()
        };
        assert_eq!(floats("POSITION"), turned(&mesh.vertices));
        assert_eq!(floats("NORMAL"), turned(&mesh.normals));
        let position = accessor(&primitive["attributes"]["POSITION"]);
        assert_eq!(position["min"], json!([-1.0, -0.5, -1.0]));
        assert_eq!(position["max"], json!([1.0, 1.5, 1.0]));
        assert_eq!(description["materials"][0]["doubleSided"], false);
    }

    #[test]
    fn bounds_are_exact() {
        let mut mesh = sample();
        for [x, _, _] in &mut mesh.vertices {
            *x = 0.1;
        }
        let bytes = to_bytes(&mesh).unwrap();
        let bound = &chunks(&bytes).0["accessors"][1]["min"][0];
        assert_eq!(bound.as_f64(), Some(f64::from(0.1f32)));
    }

    #[test]
    fn normals_may_be_left_out_and_triangles_may_not() {
        let mut mesh = sample();
        mesh.normals.clear();
        let bytes = to_bytes(&mesh).unwrap();
        let (description, binary) = chunks(&bytes);
        assert_eq!(binary.len(), 4 * (4 * 3 + 4 * 3));
        assert_eq!(description["accessors"].as_array().unwrap().len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a.glb");
        let said = write(&Mesh::default(), &place).unwrap_err().to_string();
        assert!(
            said.contains("a.glb cannot be written: the mesh has no triangles"),
            "{said}"
        );
        write(&mesh, &place).unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), bytes);
    }
}
