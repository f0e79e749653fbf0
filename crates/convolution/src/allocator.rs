//! The allocator that suits tensors: large blocks of the same few sizes, again and again.

pub use mimalloc::MiMalloc as Allocator;

/// Keeps freed memory for the tensors to come instead of giving it back to the system a moment later, as
/// [`Allocator`] does otherwise: clearing fresh pages took a tenth of a training step.
///
/// Call it first thing in `main` of a program whose `#[global_allocator]` is [`Allocator`], before there are
/// threads; elsewhere it changes nothing.
pub fn keep_memory() {
    /// `mi_option_purge_delay` of mimalloc 3: milliseconds until freed pages go back, -1 for never.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: sets a machine word in a table of the allocator, once, and nobody else sets options. A thread
    // that frees memory at this moment reads the old or the new delay, and both are good.
    ONCE.call_once(|| unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) });
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_option_is_the_one_meant() {
        // mimalloc's default delay, by which the option is recognised: a second (10 ms in older ones).
        // SAFETY: reads a number.
        let before = unsafe { libmimalloc_sys::mi_option_get(15) };
        assert!(
            [10, 1000].contains(&before),
            "option 15 is {before}: mimalloc numbered its options anew"
        );
        super::keep_memory();
        // SAFETY: reads a number.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(15) }, -1);
    }
}
