//! How shapes look, and how they differ.

use image::RgbImage;
use shapes::mesh::Mesh;
use shapes::render::{self, Camera, Framing, Material};
use shapes::surface;
use shapes::voxels::Voxels;

/// From this probability on, a voxel is full.
pub const THRESHOLD: f32 = 0.5;

/// How often a surface of voxels is smoothed, so that stairs become slopes.
pub const ROUNDS: usize = 12;

/// Side of a shape's picture in pixels.
const CELL: u32 = 128;

/// The camera of shapes that are looked at one after the other: they keep their sizes.
pub fn camera() -> Camera {
    Camera {
        framing: Framing::Cylinder {
            radius: 0.5,
            half_height: 0.5,
        },
        ..Camera::default()
    }
}

/// The camera of shapes beside each other: they keep their sizes, and the largest fills its cell.
pub fn camera_of(meshes: &[Mesh]) -> Camera {
    Camera {
        framing: Framing::of(meshes),
        ..Camera::default()
    }
}

/// The smoothed surface of a shape, in the cube from -0.5 to 0.5.
pub fn mesh(shape: &Voxels) -> Mesh {
    surface::in_unit_cube(surface::of_voxels(shape, ROUNDS), shape.size())
}

/// Shapes beside each other, eight to a row.
pub fn sheet(shapes: &[Voxels]) -> RgbImage {
    let meshes: Vec<Mesh> = shapes.iter().map(mesh).collect();
    render::sheet(&meshes, 8, CELL, &camera_of(&meshes), &Material::default())
}

/// How much of their space shapes fill, and how far they are from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variety {
    /// The mean share of full voxels.
    pub occupancy: f64,
    /// The mean of 1 - IoU over all pairs; 0 with fewer than two shapes.
    pub distance: f64,
    /// Shapes without a voxel.
    pub empty: usize,
}

impl Variety {
    /// Of these shapes, all of one size.
    pub fn of(shapes: &[Voxels]) -> Self {
        let filled = shapes
            .iter()
            .map(|shape| shape.count() as f64 / shape.len() as f64);
        let (mut distance, mut pairs) = (0.0, 0);
        for (number, first) in shapes.iter().enumerate() {
            for second in &shapes[..number] {
                distance += 1.0 - first.intersection_over_union(second);
                pairs += 1;
            }
        }
        Self {
            occupancy: filled.sum::<f64>() / shapes.len().max(1) as f64,
            distance: distance / f64::from(pairs.max(1)),
            empty: shapes.iter().filter(|shape| shape.count() == 0).count(),
        }
    }

    /// What is wrong with samples of this kind, where something is.
    pub fn trouble(&self, count: usize) -> Option<String> {
        if 2 * self.empty > count {
            return Some(format!(
                "{} of {count} samples are empty: the generator has collapsed; go back to an earlier checkpoint, or \
                 lower --lr-g",
                self.empty
            ));
        }
        if self.occupancy > 0.9 {
            return Some(format!(
                "samples fill {:.0} % of their space, a single block: the generator has collapsed; go back to an \
                 earlier checkpoint, or lower --lr-g",
                100.0 * self.occupancy
            ));
        }
        (count > 1 && self.distance < 0.05).then(|| {
            format!(
                "samples are nearly the same (mean 1 - IoU of {:.3}): the generator makes one shape only; go back to an \
                 earlier checkpoint, lower --lr-g, or begin anew with --prior normal",
                self.distance
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapses_are_told() {
        let filled = |share: usize| Voxels::from_fn([8; 3], |[x, ..]| x < share);
        let told = |shapes: &[Voxels]| {
            let variety = Variety::of(shapes);
            variety.trouble(shapes.len()).unwrap_or_default()
        };
        assert!(told(&[filled(0), filled(0), filled(3)]).contains("2 of 3 samples are empty"));
        assert!(told(&[filled(8), filled(8)]).contains("single block"));
        assert!(told(&[filled(4), filled(4)]).contains("nearly the same"));
        assert_eq!(told(&[filled(2), filled(4)]), "");
        let variety = Variety::of(&[filled(2), filled(4)]);
        assert_eq!((variety.occupancy, variety.distance), (0.375, 0.5));
    }
}
