//! Rows of numbers, one for each picture.

/// One row of numbers for each picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dims: usize,
    values: Vec<f32>,
}

impl Features {
    /// Rows of `dims` numbers, one after the other.
    ///
    /// # Panics
    /// If `dims` is 0 or the values are not whole rows.
    pub fn new(dims: usize, values: Vec<f32>) -> Self {
        assert!(
            dims > 0 && values.len().is_multiple_of(dims),
            "{} values are not rows of {dims}",
            values.len()
        );
        Self { dims, values }
    }

    /// No rows yet.
    ///
    /// # Panics
    /// If `dims` is 0.
    pub fn empty(dims: usize) -> Self {
        Self::new(dims, Vec::new())
    }

    /// How many pictures.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Numbers of each picture.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The numbers of one picture.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dims..(index + 1) * self.dims]
    }

    /// Every row, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Adds the rows of `more` behind these.
    ///
    /// # Panics
    /// If its rows are of another length.
    pub fn append(&mut self, more: &Self) {
        assert_eq!(self.dims, more.dims, "numbers of a row");
        self.values.extend_from_slice(&more.values);
    }
}
