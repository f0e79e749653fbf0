//! Which vector instructions the kernels use, found out when the program runs.

use pulp::Simd;

/// A set of vector instructions that the kernels were compiled for.
///
/// Every operator takes the best one by itself; tests force each in turn with [`Level::force`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512: 16 lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with FMA: 8 lanes, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON: 4 lanes, 32 registers.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// One value at a time, on any processor.
    Scalar,
}

/// A forced level plus one; 0 means that nobody forced one.
static FORCED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl Level {
    /// The levels that this processor can run, the fastest first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if pulp::x86::V4::try_new().is_some() {
                levels.push(Self::Avx512);
            }
            if pulp::x86::V3::try_new().is_some() {
                levels.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if pulp::aarch64::Neon::try_new().is_some() {
            levels.push(Self::Neon);
        }
        levels.push(Self::Scalar);
        levels
    }

    /// The level that operators use now.
    pub fn current() -> Self {
        static BEST: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
        match FORCED.load(std::sync::atomic::Ordering::Relaxed) {
            0 => *BEST.get_or_init(|| Self::available()[0]),
            number => Self::available()[number - 1],
        }
    }

    /// Makes every operator of this process use `level`, or the best one again (`None`).
    ///
    /// # Panics
    /// If this processor cannot run `level`.
    pub fn force(level: Option<Self>) {
        let number = level.map_or(0, |level| {
            let available = Self::available();
            let place = available.iter().position(|other| *other == level);
            place.unwrap_or_else(|| panic!("this processor has no {level:?}")) + 1
        });
        FORCED.store(number, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A level's registers: how large a tile of results they hold.
///
/// A tile is `VECTORS` vectors of lanes times `ROWS` rows; its accumulators, one row's broadcast value
/// and one column of vectors must fit into the registers together.
pub(crate) trait Machine: Simd {
    /// Vectors of a tile.
    const VECTORS: usize;
    /// Rows of a tile.
    const ROWS: usize;
    /// Values of a full row of a tile.
    const WIDTH: usize = Self::VECTORS * Self::F32_LANES;
    /// Vectors of a tile of a weight's gradient, whose rows come from as many places of a picture.
    const BAND: usize = Self::VECTORS;
    /// Rows of a tile of a weight's gradient.
    const TAPS: usize = Self::ROWS;

    /// The transpose of eight rows of eight values.
    #[inline(always)]
    fn turned(self, lines: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|column| std::array::from_fn(|row| lines[row][column]))
    }
}

#[cfg(target_arch = "x86_64")]
impl Machine for pulp::x86::V4 {
    const VECTORS: usize = 3;
    const ROWS: usize = 8;
    // Measured: 7 % faster than 3 by 8, where the rows are read from a picture.
    const BAND: usize = 2;
    const TAPS: usize = 12;

    #[inline(always)]
    fn turned(self, lines: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        crate::transposition::turned(*self, lines)
    }
}

#[cfg(target_arch = "x86_64")]
impl Machine for pulp::x86::V3 {
    const VECTORS: usize = 2;
    const ROWS: usize = 6;

    #[inline(always)]
    fn turned(self, lines: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        crate::transposition::turned(self, lines)
    }
}

#[cfg(target_arch = "aarch64")]
impl Machine for pulp::aarch64::Neon {
    const VECTORS: usize = 3;
    const ROWS: usize = 8;
}

impl Machine for pulp::Scalar {
    const VECTORS: usize = 4;
    const ROWS: usize = 3;
}

/// Work that is written once for all levels.
pub(crate) trait Work {
    /// What it gives.
    type Output;
    /// Runs with the instructions of `machine`.
    fn run<M: Machine>(self, machine: M) -> Self::Output;
}

/// A call that the compiler places inside a function with the machine's instructions switched on.
struct Call<W, M>(W, M);

impl<W: Work, M: Machine> pulp::NullaryFnOnce for Call<W, M> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.0.run(self.1)
    }
}

/// Runs `work` with the instructions of `level`. Everything that `work` calls must be `inline(always)`.
pub(crate) fn with<W: Work>(level: Level, work: W) -> W::Output {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            let machine = pulp::x86::V4::try_new().expect(FOUND);
            machine.vectorize(Call(work, machine))
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            let machine = pulp::x86::V3::try_new().expect(FOUND);
            machine.vectorize(Call(work, machine))
        }
        #[cfg(target_arch = "aarch64")]
        Level::Neon => {
            let machine = pulp::aarch64::Neon::try_new().expect(FOUND);
            machine.vectorize(Call(work, machine))
        }
        Level::Scalar => work.run(pulp::Scalar::new()),
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const FOUND: &str = "Level::current and Level::force give only levels that this processor has";
