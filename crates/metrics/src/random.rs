//! The draws of numpy's `RandomState`, which the reference tools shuffle and choose subsets with.

const LENGTH: usize = 624;
const MIDDLE: usize = 397;
const TWIST: u32 = 0x9908_b0df;
const UPPER_BIT: u32 = 0x8000_0000;

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), drawing integers, orders and subsets
/// as numpy 2's `numpy.random.RandomState` does.
#[derive(Debug, Clone)]
pub struct MersenneTwister {
    key: [u32; LENGTH],
    position: usize,
}

impl MersenneTwister {
    /// The state after numpy's `RandomState(seed)` or `numpy.random.seed(seed)` with an integer.
    pub fn new(seed: u32) -> Self {
        let mut key = [0; LENGTH];
        let mut word = seed;
        for (index, place) in key.iter_mut().enumerate() {
            *place = word;
            word = 1_812_433_253_u32
                .wrapping_mul(word ^ (word >> 30))
                .wrapping_add(index as u32 + 1);
        }
        Self {
            key,
            position: LENGTH,
        }
    }

    fn refill(&mut self) {
        for index in 0..LENGTH {
            let next = self.key[(index + 1) % LENGTH];
            let mixed = (self.key[index] & UPPER_BIT) | (next & !UPPER_BIT);
            let odd = if mixed & 1 == 1 { TWIST } else { 0 };
            self.key[index] = self.key[(index + MIDDLE) % LENGTH] ^ (mixed >> 1) ^ odd;
        }
        self.position = 0;
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.position == LENGTH {
            self.refill();
        }
        let mut word = self.key[self.position];
        self.position += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A uniform integer of 0..=`largest`: bits under the smallest mask that covers `largest`, drawn
    /// again until they do not exceed it.
    pub fn at_most(&mut self, largest: u32) -> u32 {
        if largest == 0 {
            return 0;
        }
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let drawn = self.bits() & mask;
            if drawn <= largest {
                return drawn;
            }
        }
    }

    /// A random order of 0..`count`, as `RandomState.permutation(count)`.
    ///
    /// # Panics
    /// Where `count` exceeds 2^32, beyond which numpy draws 64 bits.
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        assert!(
            u32::try_from(count.saturating_sub(1)).is_ok(),
            "an order of {count} needs draws of 64 bits"
        );
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = self.at_most(last as u32) as usize;
            order.swap(last, other);
        }
        order
    }

    /// `chosen` different numbers of 0..`count`, as `RandomState.choice(count, chosen, replace=False)`.
    ///
    /// # Panics
    /// Where `chosen` exceeds `count`.
    pub fn choice_without_replacement(&mut self, count: usize, chosen: usize) -> Vec<usize> {
        assert!(chosen <= count, "cannot choose {chosen} of {count}");
        let mut order = self.permutation(count);
        order.truncate(chosen);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Every number here was printed by numpy 2.4.6, with r = numpy.random.RandomState.

    #[test]
    fn bits_are_numpys() {
        // r(5489).randint(0, 2**32, 3, dtype=numpy.uint32)
        let mut generator = MersenneTwister::new(5489);
        let drawn: Vec<u32> = (0..3).map(|_| generator.bits()).collect();
        assert_eq!(drawn, [3_499_211_612, 581_869_302, 3_890_346_734]);
    }

    #[test]
    fn permutations_are_numpys() {
        // r(2020).permutation(10), r(0).permutation(7), r(4294967295).permutation(5)
        assert_eq!(
            MersenneTwister::new(2020).permutation(10),
            [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]
        );
        assert_eq!(
            MersenneTwister::new(0).permutation(7),
            [6, 2, 1, 3, 0, 5, 4]
        );
        assert_eq!(
            MersenneTwister::new(u32::MAX).permutation(5),
            [4, 1, 0, 2, 3]
        );
    }

    #[test]
    fn orders_beyond_sixteen_bits_are_numpys() {
        // p = r(2020).permutation(70000); p[:4], p[-3:], (p * numpy.arange(1, 70001) % 1000003).sum()
        let order = MersenneTwister::new(2020).permutation(70_000);
        assert_eq!(order[..4], [29_755, 22_946, 54_743, 4_856]);
        assert_eq!(order[69_997..], [40_259, 61_832, 41_824]);
        let sum: usize = (1..=70_000)
            .zip(&order)
            .map(|(place, value)| place * value % 1_000_003)
            .sum();
        assert_eq!(sum, 34_890_618_139);
    }

    #[test]
    fn draws_follow_one_another_as_numpys() {
        // s = r(2020); s.choice(50, 6, replace=False); s.choice(40, 6, replace=False);
        // s.permutation(1); s.permutation(0); s.permutation(3)
        let mut generator = MersenneTwister::new(2020);
        assert_eq!(
            generator.choice_without_replacement(50, 6),
            [25, 13, 26, 37, 41, 19]
        );
        assert_eq!(
            generator.choice_without_replacement(40, 6),
            [38, 31, 4, 21, 24, 12]
        );
        assert_eq!(generator.permutation(1), [0]);
        assert!(generator.permutation(0).is_empty());
        assert_eq!(generator.permutation(3), [2, 1, 0]);
        // numpy.random.seed(3); numpy.random.choice(9, 4, replace=False)
        assert_eq!(
            MersenneTwister::new(3).choice_without_replacement(9, 4),
            [6, 2, 7, 4]
        );
    }

    #[test]
    fn later_blocks_of_the_twister_are_numpys() {
        // s = r(7); [s.permutation(1000) for _ in range(5)]; s.permutation(1000)[:5]
        let mut generator = MersenneTwister::new(7);
        for _ in 0..5 {
            generator.permutation(1000);
        }
        assert_eq!(generator.permutation(1000)[..5], [51, 241, 781, 900, 54]);
    }
}
