//! Work on many things at once, on burn's own threads.

use rayon::prelude::*;

/// Calls `work` for each item on all cores, and gives the results in order.
pub fn map<I: Sync, T: Send>(items: &[I], work: &(dyn Fn(&I) -> T + Sync)) -> Vec<T> {
    items.par_iter().map(work).collect()
}
