//! Voxels and meshes from files of any format, told by the ending of their name.

use crate::arrays::{self, Arrays, Stored};
use crate::binvox::Binvox;
use crate::mesh::Mesh;
use crate::voxelise::{Fill, voxelise};
use crate::voxels::Voxels;
use crate::{glb, meshes, obj, off, ply, stl, volumetric};
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::files::Wanted;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Endings of files that [`read_voxels`] reads and [`write_voxels`] writes.
pub const VOXELS: [&str; 4] = ["mat", "binvox", "npy", "npz"];
/// Endings of files that [`read_mesh`] reads.
pub const MESHES_READ: [&str; 4] = ["off", "obj", "stl", "ply"];
/// Endings of files that [`write_mesh`] writes.
pub const MESHES_WRITTEN: [&str; 4] = ["obj", "stl", "ply", "glb"];

/// Files of shapes, voxels or meshes.
pub const SHAPES: Wanted = Wanted {
    endings: &["mat", "binvox", "npy", "npz", "off", "obj", "stl", "ply"],
    what: "shapes",
};

/// Which axis of a shape points up, be it voxels or a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Up {
    /// The third, as in ModelNet.
    #[default]
    Z,
    /// The second, as in ShapeNetCore.
    Y,
}

/// How files become voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Voxels along each side of the cube that a mesh is put into, with a tenth of it empty on each side, as in
    /// 3D-ShapeNets.
    pub side: usize,
    /// Which axis points up in the files.
    pub up: Up,
    /// From this number on, a voxel is full.
    pub threshold: f32,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            side: 64,
            up: Up::Z,
            threshold: arrays::THRESHOLD,
        }
    }
}

/// How many bytes shapes may take in memory, counted together for all threads that read.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    taken: AtomicU64,
    is_spent: AtomicBool,
}

impl Budget {
    /// Of so many bytes.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            taken: AtomicU64::new(0),
            is_spent: AtomicBool::new(false),
        }
    }

    /// Whether more was asked for than there is.
    pub fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64, path: &Path) -> Result<()> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.most && !self.is_spent() {
            return Ok(());
        }
        self.is_spent.store(true, Ordering::Relaxed);
        Err(failure(
            Kind::Data,
            format!(
                "{}: with its shapes, all take more than {} bytes",
                path.display(),
                self.most
            ),
        ))
    }

    /// What a file did not need in the end.
    fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Reads all shapes of a file, a mesh as the voxels that it touches or encloses, with z up.
///
/// # Errors
/// A [`Kind::Data`] failure that names the file and what is wrong with it.
pub fn read(path: &Path, reading: &Reading) -> Result<Vec<Voxels>> {
    read_within(path, reading, &Budget::new(u64::MAX))
}

/// [`read`], while the shapes of all files together take no more than a budget.
///
/// # Errors
/// As [`read`], and when the budget is spent: nothing is read then.
pub fn read_within(path: &Path, reading: &Reading, budget: &Budget) -> Result<Vec<Voxels>> {
    budget.take(0, path)?;
    if !MESHES_READ.contains(&ending(path).as_str()) {
        let shapes = voxels_within(path, reading.threshold, budget)?;
        return Ok(match reading.up {
            Up::Z => shapes,
            Up::Y => shapes.iter().map(Voxels::z_up_from_y_up).collect(),
        });
    }
    budget.take(Voxels::bytes_of([reading.side; 3]), path)?;
    let mut mesh = read_mesh(path)?;
    if reading.up == Up::Y {
        meshes::stand_upright(&mut mesh);
    }
    let voxels = voxelise(&mesh, reading.side, reading.side / 10, Fill::Solid);
    voxels
        .map(|voxels| vec![voxels])
        .map_err(|error| failure(Kind::Data, format!("{}: {error:#}", path.display())))
}

/// Most bytes that all shapes of a file may take in memory, a bit a voxel.
const MOST_BYTES: u64 = 4 << 30;

/// Reads all shapes of a file; for one after the other, see [`Arrays`]. Numbers that are at least
/// `threshold` are full voxels, where a file has numbers. The axes are those of the file.
///
/// # Errors
/// A [`Kind::Data`] failure that names the file and what is wrong with it.
///
/// # Panics
/// If the threshold is not finite.
pub fn read_voxels(path: &Path, threshold: f32) -> Result<Vec<Voxels>> {
    voxels_within(path, threshold, &Budget::new(u64::MAX))
}

fn voxels_within(path: &Path, threshold: f32, budget: &Budget) -> Result<Vec<Voxels>> {
    let mut taken = 0;
    // What a header claims counts before anything of that size is held.
    let mut admit = |count: usize, bytes: u64| {
        if bytes > MOST_BYTES {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has {count} shapes, which take {bytes} bytes; at most {MOST_BYTES} are read at once: split \
                     the file",
                    path.display()
                ),
            ));
        }
        taken = bytes;
        budget.take(bytes, path)
    };
    let read = match ending(path).as_str() {
        "npz" if arrays::has_packed(path) => arrays::read_packed(path, &mut admit),
        "npy" | "npz" => Arrays::open(path).and_then(|arrays| {
            let mut arrays = arrays.with_threshold(threshold);
            admit(arrays.len(), arrays.bytes())?;
            let mut shapes = Vec::new();
            arrays.each(|_, voxels| {
                shapes.push(voxels);
                Ok(())
            })?;
            Ok(shapes)
        }),
        ending @ ("mat" | "binvox") => {
            let shapes = if ending == "mat" {
                volumetric::read(path, threshold)?
            } else {
                vec![Binvox::read(path)?.voxels]
            };
            let bytes = shapes.iter().map(|shape| Voxels::bytes_of(shape.size()));
            admit(shapes.len(), bytes.sum()).map(|()| shapes)
        }
        _ => Err(unknown(Kind::Data, path, "voxels", &VOXELS)),
    };
    if read.is_err() {
        budget.give_back(taken);
    }
    read
}

/// Writes shapes of one size as bool; a `.binvox` or `.mat` file takes one only.
///
/// # Errors
/// A [`Kind::Usage`] failure for another ending, a [`Kind::Data`] failure when the file cannot hold these
/// shapes, a [`Kind::Disk`] failure that names the path.
pub fn write_voxels(shapes: &[Voxels], path: &Path) -> Result<()> {
    match (ending(path).as_str(), shapes) {
        ("binvox", [voxels]) => Binvox::new(voxels.clone()).write(path),
        ("mat", [voxels]) => volumetric::write(voxels, path),
        (ending @ ("binvox" | "mat"), _) => Err(failure(
            Kind::Data,
            format!(
                "{} cannot be written: a .{ending} file holds one shape, and there are {}; choose .npy or .npz",
                path.display(),
                shapes.len()
            ),
        )),
        ("npy", _) => arrays::write_npy(path, Stored::Bool, shapes),
        ("npz", _) => arrays::write_npz(path, Stored::Bool, shapes),
        _ => Err(unknown(Kind::Usage, path, "voxels", &VOXELS)),
    }
}

/// Reads a mesh. The axes are those of the file: see [`crate::meshes::stand_upright`].
///
/// # Errors
/// A [`Kind::Data`] failure that names the file and what is wrong with it.
pub fn read_mesh(path: &Path) -> Result<Mesh> {
    match ending(path).as_str() {
        "off" => off::read(path),
        "obj" => obj::read(path),
        "stl" => stl::read(path),
        "ply" => ply::read(path),
        _ => Err(unknown(Kind::Data, path, "a mesh", &MESHES_READ)),
    }
}

/// Writes a mesh, with z up where the format leaves it open.
///
/// # Errors
/// A [`Kind::Usage`] failure for another ending, a [`Kind::Data`] failure when the format cannot hold the
/// mesh, a [`Kind::Disk`] failure that names the path.
///
/// # Panics
/// If a triangle names a vertex that is none.
pub fn write_mesh(mesh: &Mesh, path: &Path) -> Result<()> {
    match ending(path).as_str() {
        "obj" => obj::write(mesh, path),
        "stl" => stl::write(mesh, path),
        "ply" => ply::write(mesh, path),
        "glb" => glb::write(mesh, path),
        _ => Err(unknown(Kind::Usage, path, "a mesh", &MESHES_WRITTEN)),
    }
}

fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_ascii_lowercase()
}

fn unknown(kind: Kind, path: &Path, what: &str, endings: &[&str]) -> anyhow::Error {
    failure(
        kind,
        format!(
            "{}: the ending of a file of {what} is expected: .{}",
            path.display(),
            endings.join(", .")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meshes::tests::sample;
    use gan_core::failure::Failure;

    #[test]
    fn voxels_of_every_ending_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let shapes = vec![crate::voxels::tests::sample([4, 5, 6])];
        for ending in VOXELS {
            let path = folder.path().join(format!("a.{}", ending.to_uppercase()));
            write_voxels(&shapes, &path).unwrap();
            assert_eq!(read_voxels(&path, 0.5).unwrap(), shapes, "{ending}");
        }
        let none = read_voxels(&folder.path().join("a.NPY"), 1.5).unwrap();
        assert_eq!(none[0].count(), 0, "the threshold counts");
    }

    #[test]
    fn voxels_and_meshes_with_y_up_are_stood_upright() {
        let folder = tempfile::tempdir().unwrap();
        let reading = Reading {
            side: 16,
            up: Up::Y,
            ..Reading::default()
        };
        // A pole along the second axis of the file.
        let lying = vec![Voxels::from_fn([8; 3], |[x, _, z]| x == 2 && z == 1)];
        let upright = vec![Voxels::from_fn([8; 3], |[x, y, _]| x == 2 && y == 6)];
        for ending in VOXELS {
            let path = folder.path().join(format!("a.{ending}"));
            write_voxels(&lying, &path).unwrap();
            assert_eq!(read(&path, &reading).unwrap(), upright, "{ending}");
            let unturned = read(&path, &Reading::default()).unwrap();
            assert_eq!(unturned, lying, "{ending}");
        }
        let packed = folder.path().join("packed.npz");
        arrays::write_packed(&packed, &lying).unwrap();
        assert_eq!(read(&packed, &reading).unwrap(), upright);
    }

    #[test]
    fn a_budget_is_kept_before_a_file_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let size = [8, 8, 16];
        let shapes = vec![Voxels::new(size); 3];
        let bytes = 3 * Voxels::bytes_of(size);
        let reading = Reading::default();
        let paths = ["a.npy", "a.npz", "packed.npz"].map(|name| folder.path().join(name));
        write_voxels(&shapes, &paths[0]).unwrap();
        write_voxels(&shapes, &paths[1]).unwrap();
        arrays::write_packed(&paths[2], &shapes).unwrap();
        for path in &paths {
            let budget = Budget::new(2 * bytes);
            for _ in 0..2 {
                assert_eq!(read_within(path, &reading, &budget).unwrap(), shapes);
            }
            assert!(!budget.is_spent());
            assert!(read_within(path, &reading, &budget).is_err() && budget.is_spent());
        }
        // What cannot be read takes nothing.
        let cut = folder.path().join("cut.npy");
        arrays::write_values(&cut, [8; 3], [[f32::NAN; 512]]).unwrap();
        let budget = Budget::new(bytes);
        assert!(read_within(&cut, &reading, &budget).is_err());
        assert!(read_within(&paths[2], &reading, &budget).is_ok());
    }

    #[test]
    fn meshes_of_every_ending_come_back() {
        let folder = tempfile::tempdir().unwrap();
        for ending in MESHES_WRITTEN {
            let path = folder.path().join(format!("a.{ending}"));
            write_mesh(&sample(), &path).unwrap();
            if MESHES_READ.contains(&ending) {
                let mesh = read_mesh(&path).unwrap();
                assert_eq!(mesh.vertices, sample().vertices, "{ending}");
                assert_eq!(mesh.triangles, sample().triangles, "{ending}");
            }
        }
    }

    #[test]
    fn other_endings_and_missing_files_are_named() {
        let kind = |error: &anyhow::Error| error.downcast_ref::<Failure>().unwrap().kind;
        let place = Path::new("nowhere/shape.xyz");
        for (error, expected, said) in [
            (
                read_voxels(place, 0.5).unwrap_err(),
                Kind::Data,
                ".mat, .binvox, .npy, .npz",
            ),
            (
                write_voxels(&[], place).unwrap_err(),
                Kind::Usage,
                ".mat, .binvox, .npy, .npz",
            ),
            (
                read_mesh(place).unwrap_err(),
                Kind::Data,
                ".off, .obj, .stl, .ply",
            ),
            (
                write_mesh(&sample(), place).unwrap_err(),
                Kind::Usage,
                ".obj, .stl, .ply, .glb",
            ),
        ] {
            assert_eq!(kind(&error), expected);
            let text = error.to_string();
            assert!(text.contains("shape.xyz") && text.contains(said), "{text}");
        }
        for name in ["a.off", "a.obj", "a.stl", "a.ply"] {
            let error = read_mesh(Path::new(name)).unwrap_err();
            assert_eq!(kind(&error), Kind::Data);
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = write_voxels(&[], Path::new("a.binvox")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("holds one shape, and there are 0"),
            "{error}"
        );
    }
}
