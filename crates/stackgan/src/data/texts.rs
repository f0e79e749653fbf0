//! Embeddings of all captions of a dataset.

use gan_core::checkpoint::sha256;

/// Of each bird, the embeddings of its captions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    width: usize,
    values: Vec<f32>,
    // Where each bird's begin, and the end of the last.
    starts: Vec<usize>,
}

impl Texts {
    /// None yet, of `width` numbers each.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            values: Vec::new(),
            starts: vec![0],
        }
    }

    /// Adds the embeddings of the next bird's captions.
    ///
    /// # Panics
    /// If one of them has another width.
    pub fn push<'a>(&mut self, embeddings: impl IntoIterator<Item = &'a [f32]>) {
        for embedding in embeddings {
            assert_eq!(embedding.len(), self.width, "the width of an embedding");
            self.values.extend(embedding);
        }
        self.starts.push(self.values.len() / self.width.max(1));
    }

    /// Numbers of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many birds.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Captions of a bird.
    pub fn count(&self, place: usize) -> usize {
        self.starts[place + 1] - self.starts[place]
    }

    /// The embedding of one caption of a bird.
    pub fn one(&self, place: usize, caption: usize) -> &[f32] {
        let start = (self.starts[place] + caption) * self.width;
        &self.values[start..start + self.width]
    }

    /// The mean of the embeddings of some of a bird's captions.
    pub fn mean(&self, place: usize, captions: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for caption in captions {
            let embedding = self.one(place, *caption as usize);
            for (sum, value) in sum.iter_mut().zip(embedding) {
                *sum += value;
            }
        }
        let count = captions.len().max(1) as f32;
        sum.into_iter().map(|sum| sum / count).collect()
    }

    /// What they are: a sum over all of them.
    pub fn sum(&self) -> String {
        let bytes: Vec<u8> = self
            .values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        format!(
            "{} embeddings of {} numbers, sha256 {}",
            self.starts.last().unwrap_or(&0),
            self.width,
            sha256(&bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_kept_by_bird_and_averaged() {
        let mut texts = Texts::new(2);
        texts.push([[1.0, 2.0].as_slice(), &[3.0, 6.0]]);
        texts.push([[5.0f32, 5.0].as_slice()]);
        assert_eq!((texts.len(), texts.count(0), texts.count(1)), (2, 2, 1));
        assert_eq!(texts.one(0, 1), [3.0, 6.0]);
        assert_eq!(texts.mean(0, &[0, 1]), [2.0, 4.0]);
        assert_eq!(texts.mean(1, &[0]), [5.0, 5.0]);
        let mut other = texts.clone();
        assert_eq!(other.sum(), texts.sum());
        other.push([[0.0f32, 0.0].as_slice()]);
        assert_ne!(other.sum(), texts.sum());
    }
}
