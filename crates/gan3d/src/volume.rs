//! What the generator makes.

use shapes::voxels::Voxels;

/// The probability of each voxel of a cube to be full, index `(x * side + y) * side + z`.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    side: usize,
    values: Vec<f32>,
}

impl Volume {
    /// A volume of `side` x `side` x `side` values.
    ///
    /// # Panics
    /// If the number of values is another.
    pub fn new(side: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), side.pow(3), "a volume of side {side}");
        Self { side, values }
    }

    /// Voxels along a side.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The probabilities.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The voxels whose probability is at least `threshold`.
    pub fn voxels(&self, threshold: f32) -> Voxels {
        let mut values = self.values.iter();
        // `from_fn` asks in the order of the values.
        Voxels::from_fn([self.side; 3], |_| {
            values.next().is_some_and(|value| *value >= threshold)
        })
    }
}
