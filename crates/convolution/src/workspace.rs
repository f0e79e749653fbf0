//! Scratch memory that is kept between calls: fresh pages cost more than many an operator's arithmetic.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody uses now.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// How many unused buffers are kept.
const KEPT: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Room to begin at a multiple of 64 bytes, so that a vector lies in one line of the cache.
const SLACK: usize = 16;

/// Where a buffer goes when it is no longer used.
#[derive(Clone, Copy)]
enum Home {
    Free,
    Thread,
}

/// A buffer, aligned to 64 bytes, of values left over from earlier work: write before you read.
///
/// It is a value and not a function that takes a closure: a closure would be compiled outside the function
/// that has the vector instructions switched on.
pub(crate) struct Workspace {
    values: Vec<f32>,
    skip: usize,
    length: usize,
    home: Home,
}

impl Workspace {
    /// A buffer of `length` values.
    pub(crate) fn take(length: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest one that is large enough, or else the largest one, to grow.
        let best = (0..free.len()).min_by_key(|place| {
            let size = free[*place].len();
            if size >= length + SLACK {
                (0, size)
            } else {
                (1, usize::MAX - size)
            }
        });
        let values = best
            .map(|place| free.swap_remove(place))
            .unwrap_or_default();
        drop(free);
        Self::fitted(values, length, Home::Free)
    }

    /// A buffer of `length` values that this thread keeps for itself.
    pub(crate) fn of_thread(length: usize) -> Self {
        Self::fitted(SCRATCH.take(), length, Home::Thread)
    }

    fn fitted(mut values: Vec<f32>, length: usize, home: Home) -> Self {
        if values.len() < length + SLACK {
            // Not `resize`: the old values are of no use, so nothing is copied.
            values = vec![0.0; length + SLACK];
        }
        let skip = values.as_ptr().align_offset(64).min(SLACK);
        Self {
            values,
            skip,
            length,
            home,
        }
    }
}

impl Deref for Workspace {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.skip..self.skip + self.length]
    }
}

impl DerefMut for Workspace {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.skip..self.skip + self.length]
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if matches!(self.home, Home::Thread) {
            SCRATCH.set(values);
            return;
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(values);
        if free.len() > KEPT {
            let smallest = (0..free.len()).min_by_key(|place| free[*place].len());
            free.swap_remove(smallest.unwrap_or_default());
        }
    }
}

/// A pointer that several threads write through, each to places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: whoever writes through it says why no two threads write to one place.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}
