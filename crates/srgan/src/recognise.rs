//! Which generator a file holds, told by its tensors alone: what others publish says nothing else.

use crate::generator::{Generator, Layout, Shape, Slopes, Tail};
use anyhow::Result;
use burn::tensor::Device;
use gan_core::failure::{Kind, failure};
use gan_core::weights::{self, Tensors};

/// Most residual blocks, doublings and channels that are believed.
const MOST_BLOCKS: usize = 256;
const MOST_DOUBLINGS: usize = 3;
const MOST_WIDTH: usize = 4096;

/// The first convolution in each layout, and how many pixels of a side its kernel has.
const FIRST: [(&str, usize); 3] = [
    ("block1.0.weight", 9),
    ("conv1.0.weight", 9),
    ("conv_first.weight", 3),
];

/// The tensors of the generator alone, under the names by which it is recognised: MMagic keeps all networks of a
/// training in one file, and Lornatang/SRGAN-PyTorch once said `conv_block1` for `conv1`.
pub fn without_others(tensors: Tensors) -> Tensors {
    const PREFIX: &str = "generator.";
    let is_first = |name: &str| FIRST.iter().any(|(first, _)| *first == name);
    let is_inside = |name: &String| name.strip_prefix(PREFIX).is_some_and(is_first);
    let tensors: Tensors = if tensors.keys().any(is_inside) {
        let inside =
            |(name, tensor): (String, _)| Some((name.strip_prefix(PREFIX)?.to_owned(), tensor));
        tensors.into_iter().filter_map(inside).collect()
    } else {
        tensors
    };
    if !tensors.contains_key("conv_block1.0.weight") {
        return tensors;
    }
    let renamed = |(name, tensor): (String, _)| (name.replacen("conv_block", "conv", 1), tensor);
    tensors.into_iter().map(renamed).collect()
}

/// Builds the generator whose tensors these are.
///
/// # Errors
/// [`Kind::Checkpoint`] when they are no generator's that is known here, or not whole; it names the tensor.
pub fn generator(tensors: Tensors, device: &Device) -> Result<(Generator, Shape)> {
    let tensors = without_others(tensors);
    let shape = shape(&tensors)?;
    // The network is built to say which tensor is missing, but not when nearly all are.
    let held: u64 = tensors
        .values()
        .map(|tensor| tensor.values.len() as u64)
        .sum();
    if shape.least_size() / 2 > held {
        let least = shape.least_size();
        let what = format!(
            "one of {} channels has at least {least} numbers, and the file holds {held}",
            shape.width
        );
        return Err(strange(&what));
    }
    let network = weights::apply(Generator::new(&shape, device), &tensors)?;
    Ok((network, shape))
}

/// The shape of the generator whose tensors these are, after [`without_others`].
///
/// # Errors
/// [`Kind::Checkpoint`] when they are no generator's that is known here.
pub fn shape(tensors: &Tensors) -> Result<Shape> {
    for (first, side) in FIRST {
        let Some(tensor) = tensors.get(first) else {
            continue;
        };
        let &[width, 3, height, across] = tensor.shape.as_slice() else {
            let what = format!(
                "{first} is {:?}, and a first convolution of colour pictures is [width, 3, {side}, {side}]",
                tensor.shape
            );
            return Err(strange(&what));
        };
        if [height, across] != [side, side] {
            let what = format!("the kernel of {first} is {height} x {across}, not {side} x {side}");
            return Err(strange(&what));
        }
        if !(1..=MOST_WIDTH).contains(&width) {
            return Err(strange(&format!("{first} has {width} channels")));
        }
        return match first {
            "block1.0.weight" => blocks(tensors, width),
            "conv1.0.weight" => trunk(tensors, width),
            _ => msrresnet(tensors, width),
        };
    }
    let judges = ["features.0.weight", "net.0.weight", "classifier.0.weight"];
    if let Some(name) = judges.iter().find(|name| tensors.contains_key(**name)) {
        let what =
            format!("{name} is of a discriminator or of VGG; the generator's file is wanted");
        return Err(strange(&what));
    }
    Err(strange(
        "there is no first convolution: block1.0.weight, conv1.0.weight or conv_first.weight",
    ))
}

fn strange(what: &str) -> anyhow::Error {
    failure(
        Kind::Checkpoint,
        format!(
            "not a generator of SRGAN in the layout of leftthomas/SRGAN, Lornatang/SRGAN-PyTorch, MMagic or BasicSR: \
             {what}"
        ),
    )
}

/// How many of the tensors `name(0)`, `name(1)`, ... there are, up to one more than `most`.
fn count(tensors: &Tensors, most: usize, name: impl Fn(usize) -> String) -> usize {
    (0..=most)
        .take_while(|number| tensors.contains_key(&name(*number)))
        .count()
}

/// The residual blocks whose first convolutions are called so.
fn count_blocks(tensors: &Tensors, name: impl Fn(usize) -> String) -> Result<usize> {
    let blocks = count(tensors, MOST_BLOCKS, &name);
    if (1..=MOST_BLOCKS).contains(&blocks) {
        return Ok(blocks);
    }
    let what = match blocks {
        0 => format!("no residual blocks: {} is missing", name(0)),
        _ => format!("more than {MOST_BLOCKS} residual blocks"),
    };
    Err(strange(&what))
}

/// By how much the doublings whose convolutions are called so enlarge a picture.
fn scale(tensors: &Tensors, width: usize, name: impl Fn(usize) -> String) -> Result<usize> {
    let doublings = count(tensors, MOST_DOUBLINGS, &name);
    if !(1..=MOST_DOUBLINGS).contains(&doublings) {
        let what = match doublings {
            0 => format!("no doubling: {} is missing", name(0)),
            _ => format!(
                "{doublings} doublings; at most {MOST_DOUBLINGS} are known, which is 8 times"
            ),
        };
        return Err(strange(&what));
    }
    let first = &tensors[&name(0)].shape;
    if first.first() == Some(&(9 * width)) {
        let what = format!(
            "{} is of a generator that triples; 2, 4 and 8 times are known",
            name(0)
        );
        return Err(strange(&what));
    }
    Ok(1 << doublings)
}

fn slopes(tensors: &Tensors, name: &str) -> Result<Slopes> {
    match tensors.get(name).map(|tensor| tensor.shape.as_slice()) {
        // Of one channel it is the same.
        Some([1]) => Ok(Slopes::Shared),
        Some([_]) => Ok(Slopes::Channel),
        Some(other) => Err(strange(&format!(
            "{name} is {other:?}, not the slopes of a PReLU"
        ))),
        None => Err(strange(&format!(
            "{name}, the slopes of a PReLU, is missing"
        ))),
    }
}

fn tail(tensors: &Tensors, place: &str) -> Tail {
    if tensors.contains_key(&format!("{place}.bias")) {
        Tail::BatchNorm
    } else {
        Tail::Prelu
    }
}

fn blocks(tensors: &Tensors, width: usize) -> Result<Shape> {
    let blocks = count_blocks(tensors, |block| format!("block{}.conv1.weight", 2 + block))?;
    Ok(Shape {
        layout: Layout::Blocks,
        blocks,
        width,
        scale: scale(tensors, width, |up| {
            format!("block{}.{up}.conv.weight", 3 + blocks)
        })?,
        slopes: slopes(tensors, "block1.1.weight")?,
        tail: tail(tensors, &format!("block{}.1", 2 + blocks)),
    })
}

fn trunk(tensors: &Tensors, width: usize) -> Result<Shape> {
    Ok(Shape {
        layout: Layout::Trunk,
        blocks: count_blocks(tensors, |block| format!("trunk.{block}.rcb.0.weight"))?,
        width,
        scale: scale(tensors, width, |up| {
            format!("upsampling.{up}.upsample_block.0.weight")
        })?,
        slopes: slopes(tensors, "conv1.1.weight")?,
        tail: tail(tensors, "conv2.1"),
    })
}

fn msrresnet(tensors: &Tensors, width: usize) -> Result<Shape> {
    let is_basicsr = tensors.contains_key("body.0.conv1.weight");
    let (layout, trunk) = if is_basicsr {
        (Layout::Basicsr, "body")
    } else {
        (Layout::Mmagic, "trunk_net")
    };
    Ok(Shape {
        layout,
        blocks: count_blocks(tensors, |block| format!("{trunk}.{block}.conv1.weight"))?,
        width,
        scale: scale(tensors, width, |up| match layout {
            Layout::Basicsr => format!("upconv{}.weight", 1 + up),
            _ => format!("upsample{}.upsample_conv.weight", 1 + up),
        })?,
        slopes: Slopes::Shared,
        tail: Tail::BatchNorm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::failure::exit_code;
    use gan_core::weights::HostTensor;

    const LAYOUTS: [Layout; 4] = [
        Layout::Blocks,
        Layout::Trunk,
        Layout::Mmagic,
        Layout::Basicsr,
    ];

    fn sample(layout: Layout) -> Shape {
        Shape {
            layout,
            blocks: 2,
            width: 3,
            scale: 4,
            slopes: Slopes::Shared,
            tail: Tail::BatchNorm,
        }
    }

    fn tensors_of(shape: &Shape) -> Tensors {
        weights::collect(&Generator::new(shape, &Device::flex()).initialised(3))
    }

    #[test]
    fn every_shape_is_told_by_its_tensors() {
        for layout in LAYOUTS {
            for (scale, blocks) in [(2, 1), (4, 2), (8, 11)] {
                for slopes in [Slopes::Shared, Slopes::Channel] {
                    for tail in [Tail::BatchNorm, Tail::Prelu] {
                        let plain = layout.net() == crate::config::NetG::Msrresnet;
                        let shape = Shape {
                            scale,
                            blocks,
                            // An MSRResNet has neither.
                            slopes: if plain { Slopes::Shared } else { slopes },
                            tail: if plain { Tail::BatchNorm } else { tail },
                            ..sample(layout)
                        };
                        let tensors = tensors_of(&shape);
                        let held: usize = tensors.values().map(|t| t.values.len()).sum();
                        assert!(shape.least_size() <= held as u64, "{shape:?}");
                        let (network, told) = generator(tensors.clone(), &Device::flex()).unwrap();
                        assert_eq!(told, shape);
                        assert_eq!(weights::collect(&network), tensors);
                    }
                }
            }
        }
    }

    #[test]
    fn other_networks_and_older_names_are_in_nobodys_way() {
        let plain = tensors_of(&sample(Layout::Mmagic));
        let mut all: Tensors = plain
            .iter()
            .map(|(name, tensor)| (format!("generator.{name}"), tensor.clone()))
            .collect();
        let other = || HostTensor::vector(vec![0.0]);
        all.insert("discriminator.features.0.weight".to_owned(), other());
        all.insert("step_counter".to_owned(), other());
        assert_eq!(without_others(all), plain);

        let trunk = tensors_of(&sample(Layout::Trunk));
        let older = trunk.iter().map(|(name, tensor)| {
            let name = match name.strip_prefix("conv") {
                Some(rest) => format!("conv_block{rest}"),
                None => name.clone(),
            };
            (name, tensor.clone())
        });
        let older: Tensors = older.collect();
        assert!(older.contains_key("conv_block3.weight"));
        assert_eq!(without_others(older), trunk);
    }

    fn refused(tensors: Tensors) -> String {
        let error = generator(tensors, &Device::flex()).unwrap_err();
        assert_eq!(exit_code(&error), 4);
        error.to_string()
    }

    #[test]
    fn what_is_no_generator_is_refused_in_a_sentence() {
        assert!(refused(Tensors::new()).contains("block1.0.weight"));
        let vector = || HostTensor::vector(vec![0.0]);
        for judge in ["features.0.weight", "net.0.weight"] {
            let said = refused([(judge.to_owned(), vector())].into());
            assert!(
                said.contains("discriminator") && said.contains(judge),
                "{said}"
            );
        }
        for layout in LAYOUTS {
            let whole = tensors_of(&sample(layout));
            for name in whole.keys() {
                // Each of them lost, of another shape, and no number: a sentence that names a tensor.
                let mut lost = whole.clone();
                lost.remove(name);
                let said = refused(lost);
                assert!(
                    said.contains("weight") || said.contains("bias") || said.contains("running"),
                    "{said}"
                );

                let mut flat = whole.clone();
                flat.insert(name.clone(), vector());
                // A single slope, and one number for all, are of a legal shape.
                if whole[name].shape != [1] {
                    refused(flat);
                }
                let mut wrong = whole.clone();
                if let Some(tensor) = wrong.get_mut(name) {
                    tensor.values[0] = f32::NAN;
                }
                let said = refused(wrong);
                assert!(said.contains(name) && said.contains("NaN"), "{said}");
            }
            let mut more = whole.clone();
            more.insert("more".to_owned(), vector());
            assert!(refused(more).contains("more is not part of the network"));
        }
    }

    #[test]
    fn sizes_are_not_believed() {
        // A first convolution of many channels, and nothing that fills the others.
        let mut tensors = tensors_of(&sample(Layout::Blocks));
        let first = HostTensor {
            shape: vec![2000, 3, 9, 9],
            values: vec![0.0; 2000 * 243],
        };
        tensors.insert("block1.0.weight".to_owned(), first);
        assert!(refused(tensors).contains("and the file holds"));
        for shape in [
            vec![0, 3, 9, 9],
            vec![3, 1, 9, 9],
            vec![3, 3, 3, 3],
            vec![9],
        ] {
            let mut tensors = tensors_of(&sample(Layout::Blocks));
            let values = vec![0.0; shape.iter().product()];
            tensors.insert("block1.0.weight".to_owned(), HostTensor { shape, values });
            assert!(refused(tensors).contains("block1.0.weight"));
        }
    }

    #[test]
    fn tripling_is_told() {
        let mut tensors = tensors_of(&Shape {
            scale: 2,
            ..sample(Layout::Basicsr)
        });
        let triple = HostTensor {
            shape: vec![27, 3, 3, 3],
            values: vec![0.0; 27 * 27],
        };
        tensors.insert("upconv1.weight".to_owned(), triple);
        assert!(refused(tensors).contains("triples"));
    }
}
