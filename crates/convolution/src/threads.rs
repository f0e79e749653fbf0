//! The threads that share the work.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

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
    if pool.build_global().is_ok() {
        OTHERS.store(threads - 1, Ordering::Relaxed);
    }
}

/// Threads of the global pool beside the one that took part; 0 where nobody did.
static OTHERS: AtomicUsize = AtomicUsize::new(0);

/// How long, in nanoseconds, a thread looks for the next operator's work before it sleeps: longer than the
/// pauses between the steps of a training. A sleeping thread may take as long as this to come back, because it wakes up
/// on the core of the one that called it.
const AWAKE: u64 = 2_000_000;

/// When an operator last began or ended, in nanoseconds since `START`.
static LATEST: AtomicU64 = AtomicU64::new(0);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Threads that were asked to look and have not ended.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

fn now() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// Keeps the pool's other threads awake for a moment, since another operator will follow: called when one
/// begins and when it ends. Only for operators that the thread calls that took part.
///
/// rayon's threads sleep as soon as nothing is left to do, and waking one takes longer than a layer of
/// a small network. So each is given something to do: to look for work.
pub(crate) fn stay_awake() {
    let others = OTHERS.load(Ordering::Relaxed);
    if others == 0 || rayon::current_thread_index() != Some(0) {
        return;
    }
    LATEST.store(now(), Ordering::Relaxed);
    if LOOKING.load(Ordering::Relaxed) > 0 {
        return;
    }
    LOOKING.store(others, Ordering::Relaxed);
    rayon::spawn_broadcast(|context| {
        // The first thread is the caller itself, who has better things to do.
        if context.index() == 0 {
            return;
        }
        let mut latest = now();
        while now().saturating_sub(latest) < AWAKE {
            latest = latest.max(LATEST.load(Ordering::Relaxed));
            match rayon::yield_now() {
                // A long operator's work counts until its end.
                Some(rayon::Yield::Executed) => latest = now(),
                // Whoever else wants this core, a loader of data for instance, goes first.
                _ => std::thread::yield_now(),
            }
        }
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    });
}
