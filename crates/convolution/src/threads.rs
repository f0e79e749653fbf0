//! The threads that share the work.

/// How many threads share the work unless somebody says otherwise: `RAYON_NUM_THREADS`, or one for each core.
pub fn usual() -> usize {
    std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|threads| *threads > 0)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
}

/// Lets `threads` threads share the work, the calling one among them.
///
/// Call it once, at the beginning of `main`: it builds rayon's global pool, which burn and this crate use.
/// Without it every operator hands its work over, sleeps, and is woken at the end, which for small networks
/// takes longer than the work. A single thread is one beside the caller: a pool of the caller alone
/// would never come to the work of other threads. A pool that stands already stays as it is.
pub fn take_part(threads: usize) {
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if threads > 1 {
        pool = pool.use_current_thread();
    }
    // The only error is that the pool stands already.
    let _ = pool.build_global();
}
