//! Features that these tests and Python make by the same formula:
//!
//! ```python
//! import numpy as np
//! def splitmix(i):
//!     w = (i + np.uint64(1)) * np.uint64(0x9e3779b97f4a7c15)
//!     w = (w ^ (w >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
//!     w = (w ^ (w >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
//!     return ((w ^ (w >> np.uint64(31))) >> np.uint64(40)) / 2**24
//! def sample(rows, dims, stream):
//!     i = np.arange(rows * dims, dtype=np.uint64) + np.uint64(stream << 32)
//!     own = splitmix(i).reshape(rows, dims)
//!     shared = splitmix(np.arange(rows, dtype=np.uint64) + np.uint64(stream + 100 << 32))
//!     column = (np.arange(dims) + 1) / dims
//!     return np.maximum(own * column + shared[:, None] - 0.5, 0).astype(np.float32)
//! ```

use crate::features::Features;

fn splitmix(index: u64) -> f64 {
    let mut word = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 40) as f64 / f64::from(1_u32 << 24)
}

pub(crate) fn sample(rows: usize, dims: usize, stream: u64) -> Features {
    let values = (0..rows * dims)
        .map(|index| {
            let (row, column) = (index / dims, index % dims);
            let own = splitmix((stream << 32) + index as u64);
            let shared = splitmix(((stream + 100) << 32) + row as u64);
            let strength = (column + 1) as f64 / dims as f64;
            (own * strength + shared - 0.5).max(0.0) as f32
        })
        .collect();
    Features::new(dims, values)
}

/// What `work` gives on one thread and on three.
pub(crate) fn on_one_and_three_threads<R: Send>(work: impl Fn() -> R + Sync) -> [R; 2] {
    [1, 3].map(|threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads start")
            .install(&work)
    })
}
