//! Voxels in MATLAB files: one shape as 3D-ShapeNets has them, `instance` of 30 x 30 x 30, or several as the authors of
//! 3D-GAN save their samples, `voxels` of n x 1 x 64 x 64 x 64.

use crate::voxels::Voxels;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::matlab::{self, Array};
use std::path::Path;

/// Names of the variable, the first of which is written.
const NAMES: [&str; 2] = ["instance", "voxels"];

/// Reads the shapes of a file; numbers that are at least `threshold` are full voxels.
///
/// # Errors
/// [`Kind::Data`] that names the file: it is no MATLAB file, has no such variable, or one of another kind or size, or with
/// numbers that are not finite.
pub fn read(path: &Path, threshold: f32) -> Result<Vec<Voxels>> {
    let file = matlab::read(path)?;
    let found = NAMES
        .iter()
        .find_map(|name| file.iter().find(|(is, _)| is == name));
    let Some((name, value)) = found else {
        let names: Vec<&str> = file.iter().map(|(name, _)| name).collect();
        return Err(failure(
            Kind::Data,
            format!(
                "{} has no variable {}, but {}: save the voxels under one of these names",
                path.display(),
                NAMES.join(" or "),
                if names.is_empty() {
                    "none at all".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        ));
    };
    let numbers = value.numbers()?;
    let refuse = || {
        let dims: Vec<String> = numbers.dims().iter().map(ToString::to_string).collect();
        failure(
            Kind::Data,
            format!(
                "{}: {name} has {} numbers; expected x x y x z, or n x x x y x z for several shapes, of 1 to {} voxels a \
                 side: save it so, a larger one reduced",
                path.display(),
                dims.join(" x "),
                Voxels::MOST_SIDE
            ),
        )
    };
    let (count, size) = match *numbers.dims() {
        [x, y, z] => (1, [x, y, z]),
        [count, x, y, z] | [count, 1, x, y, z] => (count, [x, y, z]),
        _ => return Err(refuse()),
    };
    let is_legal = |side: &usize| (1..=Voxels::MOST_SIDE).contains(side);
    if count == 0 || !size.iter().all(is_legal) {
        return Err(refuse());
    }
    let mut shapes = vec![Voxels::new(size); count];
    // The first index runs fastest.
    for (index, number) in numbers.iter().enumerate() {
        let is_full = number >= f64::from(threshold);
        if !is_full && number.is_finite() {
            continue;
        }
        let (shape, at) = (index % count, index / count);
        let at = [
            at % size[0],
            at / size[0] % size[1],
            at / (size[0] * size[1]),
        ];
        if !number.is_finite() {
            return Err(failure(
                Kind::Data,
                format!(
                    "{}: {name} holds {number} in shape {shape} at {at:?}: save finite numbers only",
                    path.display()
                ),
            ));
        }
        shapes[shape].set(at, true);
    }
    Ok(shapes)
}

/// Writes a shape as 3D-ShapeNets does: `instance`, int8, compressed.
///
/// # Errors
/// [`Kind::Disk`] that names the file.
pub fn write(shape: &Voxels, path: &Path) -> Result<()> {
    let size = shape.size();
    let mut numbers = vec![0i8; shape.len()];
    for [x, y, z] in shape.full() {
        numbers[x + size[0] * (y + size[1] * z)] = 1;
    }
    matlab::write(path, &[(NAMES[0], Array::int8s(&size, &numbers))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_comes_back_with_its_axes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        let shape = Voxels::from_fn([3, 4, 5], |[x, y, z]| (x + 3 * y + 7 * z) % 4 == 0);
        write(&shape, &path).unwrap();
        assert_eq!(read(&path, 0.5).unwrap(), [shape]);
    }

    #[test]
    fn samples_of_the_authors_program_are_read_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        let shapes: Vec<_> = (0..3)
            .map(|number| Voxels::from_fn([2, 3, 4], |[x, y, z]| (x + y + z + number) % 3 == 0))
            .collect();
        let mut numbers = vec![0.0; 3 * 24];
        for (number, shape) in shapes.iter().enumerate() {
            for [x, y, z] in shape.full() {
                numbers[number + 3 * (x + 2 * (y + 3 * z))] = 0.3;
            }
        }
        let array = Array::doubles(&[3, 1, 2, 3, 4], &numbers);
        matlab::write(
            &path,
            &[
                ("inputs", Array::doubles(&[1, 1], &[7.0])),
                ("voxels", array),
            ],
        )
        .unwrap();
        assert_eq!(read(&path, 0.1).unwrap(), shapes);
        assert!(
            read(&path, 0.5)
                .unwrap()
                .iter()
                .all(|shape| shape.count() == 0)
        );
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        let fails = |name: &str, array: Array| {
            matlab::write(&path, &[(name, array)]).unwrap();
            read(&path, 0.5).unwrap_err().to_string()
        };
        let said = fails("other", Array::doubles(&[1, 1], &[1.0]));
        assert!(
            said.contains("a.mat has no variable instance or voxels, but other"),
            "{said}"
        );
        let said = fails("instance", Array::doubles(&[2, 2], &[1.0; 4]));
        assert!(said.contains("instance has 2 x 2 numbers"), "{said}");
        let said = fails("instance", Array::doubles(&[600, 1, 2], &[1.0; 1200]));
        assert!(
            said.contains("600 x 1 x 2") && said.contains("a larger one reduced"),
            "{said}"
        );
        for number in [f64::NAN, f64::INFINITY] {
            let mut numbers = [0.0; 12];
            numbers[7] = number;
            let said = fails("instance", Array::doubles(&[2, 3, 2], &numbers));
            let expected = format!("instance holds {number} in shape 0 at [1, 0, 1]");
            assert!(said.contains(&expected), "{said}");
        }
        std::fs::write(&path, "<html>").unwrap();
        assert!(read(&path, 0.5).unwrap_err().to_string().contains("a.mat"));
    }

    /// The real files, where there are some.
    #[test]
    fn a_chair_has_its_axes() {
        let Some(data) = std::env::var_os("GAN_DATA") else {
            return;
        };
        let place = "3d/volumetric_data/chair/30/test/chair_000000000_1.mat";
        let place = Path::new(&data).join(place);
        if !place.is_file() {
            return;
        }
        let shapes = read(&place, 0.5).unwrap();
        assert_eq!((shapes.len(), shapes[0].size()), (1, [30; 3]));
        // As SciPy counts them: `loadmat(..)["instance"][:10].sum()`, and so on for the other axes.
        let below = |axis: usize| shapes[0].full().filter(|at| at[axis] < 10).count();
        assert_eq!([0, 1, 2].map(below), [162, 173, 92]);
        assert_eq!(shapes[0].count(), 682);
    }
}
