//! The history of made pictures: the discriminator sees older ones too, so that the players do not chase each other
//! in circles (Shrivastava et al. 2017, <https://arxiv.org/abs/1612.07828>, section 2.3; Zhu et al. 2017, section 4).

use anyhow::Result;
use gan_core::checkpoint::{Checkpoint, PartFile};
use gan_core::failure::{Kind, failure};
use gan_core::random::Stream;
use gan_core::weights::{HostTensor, Tensors, WeightFile};

/// Made pictures, up to a number of them.
#[derive(Debug, Clone)]
pub struct Pool {
    size: usize,
    shape: [usize; 3],
    pictures: Vec<Vec<f32>>,
}

impl Pool {
    /// An empty pool of up to `size` pictures, `[channels, height, width]` each.
    pub fn new(size: usize, shape: [usize; 3]) -> Self {
        Self {
            size,
            shape,
            pictures: Vec::new(),
        }
    }

    /// How many pictures are in it.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// With a full pool: in half of all cases, which of its pictures is to be shown instead of a new one.
    pub fn draw(&self, stream: &mut Stream) -> Option<usize> {
        if self.pictures.len() < self.size || self.size == 0 {
            return None;
        }
        let is_older = stream.uniform(1, 0.0, 1.0)[0] > 0.5;
        is_older.then(|| stream.integers(1, self.size)[0])
    }

    /// Takes a new picture and gives the one to show: itself while the pool fills, then itself or `older`, whose
    /// place it takes.
    ///
    /// # Panics
    /// If the picture has another size than those of the pool, or there is no picture `older`.
    pub fn exchange(&mut self, picture: Vec<f32>, older: Option<usize>) -> Vec<f32> {
        assert_eq!(picture.len(), self.shape.iter().product::<usize>());
        if self.pictures.len() < self.size {
            self.pictures.push(picture.clone());
            return picture;
        }
        match older {
            Some(place) => std::mem::replace(&mut self.pictures[place], picture),
            None => picture,
        }
    }
}

impl Checkpoint for Pool {
    fn files(&self) -> Vec<PartFile> {
        let [channels, height, width] = self.shape;
        let pictures = HostTensor {
            shape: vec![self.pictures.len(), channels, height, width],
            values: self.pictures.concat(),
        };
        vec![PartFile::weights(Tensors::from([(
            "pictures".to_owned(),
            pictures,
        )]))]
    }

    fn restore(&mut self, read: &mut dyn FnMut(&str) -> Result<WeightFile>) -> Result<()> {
        let mut tensors = read("")?.tensors;
        let refuse = |what: String| failure(Kind::Checkpoint, what);
        let pictures = tensors
            .remove("pictures")
            .ok_or_else(|| refuse("tensor pictures is missing".to_owned()))?;
        let fits = pictures.shape.len() == 4
            && pictures.shape[0] <= self.size
            && pictures.shape[1..] == self.shape;
        if !fits {
            return Err(refuse(format!(
                "tensor pictures is {:?}, the pool takes up to {} of {:?}",
                pictures.shape, self.size, self.shape
            )));
        }
        let each = self.shape.iter().product::<usize>();
        self.pictures = pictures.values.chunks(each).map(<[f32]>::to_vec).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_then_gives_back_older_ones_half_of_the_time() {
        let mut pool = Pool::new(3, [1, 1, 1]);
        let mut older = 0;
        for number in 0..1000u64 {
            let mut stream = Stream::new(5, "pool", number);
            let chosen = pool.draw(&mut stream);
            let shown = pool.exchange(vec![number as f32], chosen)[0];
            if number < 3 {
                assert_eq!(shown, number as f32);
            }
            older += u32::from(shown < number as f32);
        }
        assert_eq!(pool.len(), 3);
        assert!((430..570).contains(&older), "{older}");
        let mut none = Pool::new(0, [1, 1, 1]);
        assert_eq!(none.draw(&mut Stream::new(5, "pool", 0)), None);
        assert_eq!(none.exchange(vec![7.0], None), [7.0]);
        assert!(none.is_empty());
    }

    #[test]
    fn it_is_part_of_a_checkpoint() {
        let mut pool = Pool::new(3, [1, 1, 2]);
        pool.exchange(vec![1.0, 2.0], None);
        pool.exchange(vec![3.0, 4.0], None);
        let tensors = pool.files().remove(0).tensors;
        let mut read = |_: &str| {
            Ok(WeightFile {
                tensors: tensors.clone(),
                ..WeightFile::default()
            })
        };
        let mut other = Pool::new(3, [1, 1, 2]);
        other.restore(&mut read).unwrap();
        assert_eq!(other.pictures, pool.pictures);
        let error = Pool::new(1, [1, 1, 2]).restore(&mut read).unwrap_err();
        assert_eq!(gan_core::failure::exit_code(&error), 4);
        assert!(Pool::new(3, [1, 2, 1]).restore(&mut read).is_err());
    }
}
