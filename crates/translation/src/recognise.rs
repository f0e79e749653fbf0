//! Which generator a file holds, told by its tensors alone: the authors' files say nothing else.

use crate::generator::{Kind, Shape};
use crate::norm::Norm;
use anyhow::Result;
use gan_core::failure::{Kind as Failure, failure};
use gan_core::weights::Tensors;

/// Most residual blocks, and most halvings, that are believed.
const MOST_BLOCKS: usize = 64;
const MOST_LEVELS: usize = 12;

/// Leaves out the running statistics that PyTorch up to 0.3 kept for instance normalisation: nothing reads them, and
/// the published files of both papers still carry them. They have no scale beside them.
pub fn without_stale_statistics(tensors: Tensors) -> Tensors {
    let is_stale = |name: &str| {
        let place = name
            .strip_suffix(".running_mean")
            .or_else(|| name.strip_suffix(".running_var"));
        place.is_some_and(|place| !tensors.contains_key(&format!("{place}.weight")))
    };
    let stale: Vec<String> = tensors
        .keys()
        .filter(|name| is_stale(name))
        .cloned()
        .collect();
    let mut tensors = tensors;
    for name in stale {
        tensors.remove(&name);
    }
    tensors
}

/// The shape of the generator whose tensors these are. Dropout of a U-Net has no tensors: it is taken to have it
/// with batch normalisation, as pix2pix's do.
///
/// # Errors
/// [`gan_core::failure::Kind::Checkpoint`] when they are neither the authors' ResNet nor their U-Net.
pub fn generator(tensors: &Tensors) -> Result<Shape> {
    let extents = |name: &str| tensors.get(name).map(|tensor| tensor.shape.as_slice());
    if let Some(&[width, input, 7, 7]) = extents("model.1.weight") {
        return resnet(tensors, width, input);
    }
    if let Some(&[width, input, 4, 4]) = extents("model.model.0.weight") {
        return unet(tensors, width, input);
    }
    if let Some(&[_, _, 7, 7]) = extents("model.0.weight") {
        return Err(strange(
            "its first layer is a convolution (model.0.weight), as with --padding_type zero or replicate; only \
             the authors' default, reflect, is read",
        ));
    }
    if let Some(name) = tensors.keys().find(|name| name.ends_with("weight_orig")) {
        return Err(strange(&format!(
            "{name} belongs to spectral normalisation, which neither paper's generators have"
        )));
    }
    Err(strange(
        "there is neither a first convolution of a ResNet (model.1.weight, 7 x 7) nor of a U-Net \
         (model.model.0.weight, 4 x 4)",
    ))
}

fn strange(what: &str) -> anyhow::Error {
    failure(
        Failure::Checkpoint,
        format!(
            "not a generator of pix2pix or CycleGAN, whose layout is that of pytorch-CycleGAN-and-pix2pix: {what}"
        ),
    )
}

fn norm(tensors: &Tensors, scale: &str, bias: &str) -> Norm {
    if tensors.contains_key(scale) {
        Norm::Batch
    } else if tensors.contains_key(bias) {
        Norm::Instance
    } else {
        Norm::None
    }
}

fn resnet(tensors: &Tensors, width: usize, input: usize) -> Result<Shape> {
    let has = |name: String| tensors.contains_key(&name);
    let blocks = (0..)
        .take_while(|block| has(format!("model.{}.conv_block.1.weight", 10 + block)))
        .take(MOST_BLOCKS + 1)
        .count();
    if !(1..=MOST_BLOCKS).contains(&blocks) {
        return Err(strange(&format!(
            "{blocks} residual blocks (model.10.conv_block.1.weight, ...)"
        )));
    }
    let last = format!("model.{}.weight", 17 + blocks);
    let output = tensors.get(&last).map(|tensor| tensor.shape.as_slice());
    let Some(&[output, _, 7, 7]) = output else {
        return Err(strange(&format!(
            "with {blocks} blocks, {last} should be the last convolution, 7 x 7"
        )));
    };
    check(Shape {
        kind: Kind::Resnet { blocks },
        width,
        norm: norm(tensors, "model.2.weight", "model.1.bias"),
        dropout: has("model.10.conv_block.6.weight".to_owned())
            && !has("model.10.conv_block.5.weight".to_owned()),
        input,
        output,
    })
}

fn unet(tensors: &Tensors, width: usize, input: usize) -> Result<Shape> {
    let home = |level: usize| format!("model.model.1{}", ".model.3".repeat(level - 1));
    let is_level =
        |level: &usize| tensors.contains_key(&format!("{}.model.1.weight", home(*level)));
    let levels = 1 + (1..).take_while(is_level).take(MOST_LEVELS).count();
    if !(2..=MOST_LEVELS).contains(&levels) {
        return Err(strange(&format!("a U-Net of {levels} levels")));
    }
    let last = tensors
        .get("model.model.3.weight")
        .map(|tensor| tensor.shape.as_slice());
    let Some(&[_, output, 4, 4]) = last else {
        return Err(strange(
            "model.model.3.weight should be the last convolution, 4 x 4",
        ));
    };
    // The innermost doubling is normalised in each U-Net.
    let innermost = format!("{}.model.4.weight", home(levels - 1));
    let norm = norm(tensors, &innermost, "model.model.0.bias");
    check(Shape {
        kind: Kind::Unet { levels },
        width,
        norm,
        dropout: norm == Norm::Batch,
        input,
        output,
    })
}

fn check(shape: Shape) -> Result<Shape> {
    for (what, channels) in [("input", shape.input), ("output", shape.output)] {
        if ![1, 3].contains(&channels) {
            return Err(failure(
                Failure::Checkpoint,
                format!(
                    "the generator has {channels} {what} channels; pictures with 1 or 3 are translated"
                ),
            ));
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Generator;
    use burn::tensor::Device;
    use gan_core::weights;

    #[test]
    fn every_shape_is_told_by_its_tensors() {
        let kinds = [
            Kind::Unet { levels: 5 },
            Kind::Unet { levels: 6 },
            Kind::Resnet { blocks: 2 },
            Kind::Resnet { blocks: 9 },
        ];
        for kind in kinds {
            for norm in [Norm::Batch, Norm::Instance, Norm::None] {
                for dropout in [false, true] {
                    let shape = Shape {
                        kind,
                        width: 3,
                        norm,
                        // That of a U-Net cannot be told.
                        dropout: match kind {
                            Kind::Unet { .. } => norm == Norm::Batch,
                            Kind::Resnet { .. } => dropout,
                        },
                        input: 1,
                        output: 3,
                    };
                    let tensors = weights::collect(&Generator::new(&shape, &Device::flex()));
                    assert_eq!(generator(&tensors).unwrap(), shape);
                    let held: usize = tensors.values().map(|t| t.values.len()).sum();
                    assert!(shape.least_size() <= held as u64, "{shape:?}");
                }
            }
        }
    }

    #[test]
    fn only_statistics_without_a_scale_are_stale() {
        let tensor = || weights::HostTensor::vector(vec![0.0]);
        let names = [
            "model.2.running_mean",
            "model.2.running_var",
            "model.5.running_mean",
            "model.5.weight",
        ];
        let tensors = names.map(|name| (name.to_owned(), tensor())).into();
        let left = without_stale_statistics(tensors);
        assert_eq!(
            left.keys().collect::<Vec<_>>(),
            names[2..].iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_no_generator_is_refused_in_a_sentence() {
        let error = generator(&Tensors::new()).unwrap_err();
        assert_eq!(gan_core::failure::exit_code(&error), 4);
        assert!(error.to_string().contains("model.1.weight"), "{error}");
        let said = |name: &str, shape: &[usize]| {
            let values = vec![0.0; shape.iter().product()];
            let shape = shape.to_vec();
            let tensor = weights::HostTensor { shape, values };
            let error = generator(&[(name.to_owned(), tensor)].into()).unwrap_err();
            error.to_string()
        };
        assert!(said("model.0.weight", &[4, 3, 7, 7]).contains("padding_type"));
        assert!(said("model.1.weight_orig", &[4, 3, 7, 7]).contains("spectral"));
    }
}
