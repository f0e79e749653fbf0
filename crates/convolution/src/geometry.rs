//! What a convolution is, before any number: sizes, strides and the pictures' places in memory.

/// A convolution of three spatial dimensions; with two, the first of them has size 1.
///
/// The words are those of the ordinary convolution: `large` is the picture that a convolution reads and
/// a transposed one writes, `small` the other one. One description serves both and all gradients:
///
/// | operator | reads | gives |
/// |---|---|---|
/// | convolution | large, weight | small |
/// | its input gradient | small, weight | large |
/// | transposed convolution | small, weight | large |
/// | its input gradient | large, weight | small |
/// | weight gradient of either | large, small | weight |
///
/// A weight is `[small_channels, large_channels / groups, kernel..]`, which is PyTorch's layout of both
/// kinds: `[out, in / groups, ..]` of a convolution, `[in, out / groups, ..]` of a transposed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pictures.
    pub batch: usize,
    /// Channels of the large picture.
    pub large_channels: usize,
    /// Channels of the small picture.
    pub small_channels: usize,
    /// Depth, height and width of the large picture.
    pub large: [usize; 3],
    /// Depth, height and width of the small picture.
    pub small: [usize; 3],
    /// Depth, height and width of the kernel.
    pub kernel: [usize; 3],
    /// Steps in the large picture for one step in the small one.
    pub stride: [usize; 3],
    /// Zeros before and after the large picture.
    pub padding: [(usize, usize); 3],
    /// Steps in the large picture between two values of the kernel.
    pub dilation: [usize; 3],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Geometry {
    /// The small size that a convolution of the large size gives, or `None` where the kernel does not fit.
    ///
    /// # Panics
    /// If a kernel or a stride is 0.
    pub fn convolved(
        large: [usize; 3],
        kernel: [usize; 3],
        stride: [usize; 3],
        padding: [(usize, usize); 3],
        dilation: [usize; 3],
    ) -> Option<[usize; 3]> {
        let mut small = [0; 3];
        for axis in 0..3 {
            assert!(
                kernel[axis] > 0 && stride[axis] > 0,
                "kernel {kernel:?} and stride {stride:?} must be at least 1"
            );
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            small[axis] = (large[axis] + padding[axis].0 + padding[axis].1).checked_sub(reach)?
                / stride[axis]
                + 1;
        }
        Some(small)
    }

    /// The large size that a transposed convolution of the small size gives, or `None` where nothing is left.
    ///
    /// # Panics
    /// If a kernel is 0.
    pub fn transposed(
        small: [usize; 3],
        kernel: [usize; 3],
        stride: [usize; 3],
        padding: [(usize, usize); 3],
        output_padding: [usize; 3],
        dilation: [usize; 3],
    ) -> Option<[usize; 3]> {
        let mut large = [0; 3];
        for axis in 0..3 {
            assert!(kernel[axis] > 0, "kernel {kernel:?} must be at least 1");
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let full = (small[axis].checked_sub(1)?) * stride[axis] + reach + output_padding[axis];
            large[axis] = full
                .checked_sub(padding[axis].0 + padding[axis].1)
                .filter(|size| *size > 0)?;
        }
        Some(large)
    }

    /// Values of one channel of the large picture.
    pub fn large_plane(&self) -> usize {
        product(self.large)
    }

    /// Values of one channel of the small picture.
    pub fn small_plane(&self) -> usize {
        product(self.small)
    }

    /// Values of the kernel of one pair of channels.
    pub fn taps(&self) -> usize {
        product(self.kernel)
    }

    /// Values of the large pictures.
    pub fn large_length(&self) -> usize {
        product([self.batch, self.large_channels, self.large_plane()])
    }

    /// Values of the small pictures.
    pub fn small_length(&self) -> usize {
        product([self.batch, self.small_channels, self.small_plane()])
    }

    /// Values of the weight.
    pub fn weight_length(&self) -> usize {
        product([
            self.small_channels,
            self.large_channels / self.groups,
            self.taps(),
        ])
    }

    /// Multiplications of one pass, not counting those with padding as fewer.
    pub fn multiplications(&self) -> usize {
        product([self.batch, self.small_plane(), self.weight_length()])
    }

    /// # Panics
    /// If the sizes contradict each other, or a picture with its padding is larger than memory can be: that
    /// is a mistake in the calling code, never in a user's file.
    pub(crate) fn check(&self) {
        let Self {
            groups,
            kernel,
            stride,
            dilation,
            ..
        } = self;
        assert!(*groups > 0, "a convolution has at least one group");
        assert!(
            self.large_channels.is_multiple_of(*groups)
                && self.small_channels.is_multiple_of(*groups),
            "{} and {} channels cannot be divided among {groups} groups",
            self.large_channels,
            self.small_channels
        );
        assert!(
            kernel
                .iter()
                .chain(stride)
                .chain(dilation)
                .all(|size| *size > 0),
            "kernel {kernel:?}, stride {stride:?} and dilation {dilation:?} must be at least 1"
        );
        for axis in 0..3 {
            // The last value of the small picture must read inside the padded large one.
            let steps = product([self.small[axis].max(1) - 1, stride[axis]]);
            let last = sum([steps, product([dilation[axis], kernel[axis] - 1])]);
            assert!(
                self.small[axis] > 0
                    && self.large[axis] > 0
                    && last < sum([self.large[axis], self.padding[axis].0, self.padding[axis].1]),
                "a kernel of {kernel:?} (stride {stride:?}, padding {:?}, dilation {dilation:?}) does not \
                 lead from {:?} to {:?}",
                self.padding,
                self.large,
                self.small
            );
        }
        // The places in the padded pictures, too, must be numbers: their lengths with generous edges.
        let edge = |axis: usize| {
            let (before, after) = self.padding[axis];
            let reach = product([kernel[axis], dilation[axis]]);
            sum([before, after, reach, stride[axis]])
        };
        let largest = |size: [usize; 3]| -> usize {
            product([0, 1, 2].map(|axis| sum([size[axis], edge(axis)])))
        };
        product([self.batch, self.large_channels, largest(self.large)]);
        product([self.batch, self.small_channels, largest(self.small)]);
    }
}

/// # Panics
/// Where the product is too large for a length: every bound that the kernels rely on would be wrong.
fn product<const N: usize>(sizes: [usize; N]) -> usize {
    sizes
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size))
        .unwrap_or_else(|| panic!("the sizes {sizes:?} are beyond any memory"))
}

/// # Panics
/// As [`product`].
fn sum<const N: usize>(sizes: [usize; N]) -> usize {
    sizes
        .iter()
        .try_fold(0_usize, |sum, size| sum.checked_add(*size))
        .unwrap_or_else(|| panic!("the sizes {sizes:?} are beyond any memory"))
}
