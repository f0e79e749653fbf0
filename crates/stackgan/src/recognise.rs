//! Published weights of hanzhanggit/StackGAN-Pytorch, told by their tensors: they say nothing of themselves.

use crate::config::Variant;
use crate::generator::Shape;
use anyhow::Result;
use gan_core::failure::{Kind, failure};
use gan_core::weights::Tensors;

/// The shape of a generator of either stage in the authors' layout.
///
/// # Errors
/// [`Kind::Checkpoint`] when a tensor is missing that tells a size.
pub fn shape(tensors: &Tensors) -> Result<Shape> {
    let is_second = tensors.keys().any(|name| name.starts_with("STAGE1_G."));
    let prefix = if is_second { "STAGE1_G." } else { "" };
    let extents = |name: &str, rank: usize| {
        let found = tensors.get(&format!("{prefix}{name}"));
        let found = found.map(|tensor| tensor.shape.clone());
        found.filter(|shape| shape.len() == rank).ok_or_else(|| {
            failure(
                Kind::Checkpoint,
                format!(
                    "tensor {prefix}{name} is missing or of another rank: this is no generator in the layout of \
                     hanzhanggit/StackGAN-Pytorch, and a checkpoint of this project says how it is built"
                ),
            )
        })
    };
    let augmentation = extents("ca_net.fc.weight", 2)?;
    let dense = extents("fc.0.weight", 2)?;
    let condition = augmentation[0] / 2;
    // [16 * 8 * width, latent + condition]
    let width = dense[0] / 128;
    let blocks = |name: &str, last: &str| {
        (0..64)
            .take_while(|place| tensors.contains_key(&format!("{name}{place}{last}")))
            .count()
    };
    let doublings = (1..=8)
        .take_while(|place| tensors.contains_key(&format!("{prefix}upsample{place}.1.weight")))
        .count();
    let is_legal = augmentation[0].is_multiple_of(2)
        && dense[0] == 128 * width
        && (4..=512).contains(&width)
        && (1..=16_384).contains(&condition)
        && (condition + 1..=2 * 16_384).contains(&dense[1])
        && (1..=16_384).contains(&augmentation[1])
        && (3..=4).contains(&doublings);
    if !is_legal {
        return Err(failure(
            Kind::Checkpoint,
            format!(
                "tensors {prefix}ca_net.fc.weight {augmentation:?} and {prefix}fc.0.weight {dense:?} with {doublings} \
                 doublings are not those of a StackGAN"
            ),
        ));
    }
    Ok(Shape {
        variant: Variant::Pytorch,
        side: 4 << doublings,
        latent: dense[1] - condition,
        condition,
        text: augmentation[1],
        width,
        residuals: blocks("residual.", ".block.0.weight"),
    })
}
