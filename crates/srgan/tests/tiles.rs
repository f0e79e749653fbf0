//! A generator in tiles against the generator on the whole picture, and how far its pixels see.

use burn::tensor::{Device, Tensor, TensorData};
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::tiles::{Planes, Tile, TileArguments, Tiling};
use gan_core::weights;
use srgan::generator::{Generator, Layout, Shape, Slopes, Tail};

const LAYOUTS: [Layout; 4] = [
    Layout::Blocks,
    Layout::Trunk,
    Layout::Mmagic,
    Layout::Basicsr,
];

fn shape(layout: Layout, blocks: usize, scale: usize) -> Shape {
    Shape {
        layout,
        blocks,
        width: 4,
        scale,
        slopes: Slopes::Shared,
        tail: Tail::BatchNorm,
    }
}

fn network(shape: &Shape) -> Generator {
    Generator::new(shape, &Device::flex()).initialised(3)
}

fn upscaled(network: &Generator, picture: &Planes) -> Planes {
    let shape = [1, 3, picture.height, picture.width];
    let low = Tensor::from_data(
        TensorData::new(picture.values.clone(), shape),
        &Device::flex(),
    );
    let made = network.forward(low, Statistics::Running);
    let [_, _, height, width] = made.dims();
    Planes::new(width, height, weights::values(made))
}

fn noise(width: usize, height: usize) -> Planes {
    let draw = Stream::new(0, "picture", 0).uniform(3 * width * height, 0.0, 1.0);
    Planes::new(width, height, draw)
}

#[test]
fn a_pixel_sees_as_far_as_the_radius_says() {
    for layout in LAYOUTS {
        for (blocks, scale) in [(1, 2), (1, 4), (2, 4), (1, 8)] {
            let shape = shape(layout, blocks, scale);
            let network = network(&shape);
            let (width, height) = (2 * shape.radius() + 9, 3);
            let mut picture = noise(width, height);
            let before = upscaled(&network, &picture);
            let middle = width / 2;
            for row in 0..3 * height {
                picture.values[row * width + middle] += 100.0;
            }
            let after = upscaled(&network, &picture);
            let pairs = before.values.iter().zip(&after.values).enumerate();
            let changed = pairs.filter(|(_, (before, after))| before != after);
            let away = changed.map(|(at, _)| (at % before.width / scale).abs_diff(middle));
            assert_eq!(away.max(), Some(shape.radius()), "{shape:?}");
        }
    }
    // The paper's.
    assert_eq!(shape(Layout::Blocks, 16, 4).radius(), 40);
}

#[test]
fn tiles_have_no_seams() {
    for layout in LAYOUTS {
        for scale in [2, 4] {
            let shape = shape(layout, 1, scale);
            let network = network(&shape);
            let picture = noise(131, 77);
            let run = |tile: usize| {
                let arguments = TileArguments {
                    tile: Tile::Side(tile),
                    tile_pad: None,
                };
                let mut tiling = Tiling::new(arguments, shape.requirements()).unwrap();
                let made = tiling.run(&picture, &mut |part| Ok(upscaled(&network, part)));
                made.unwrap()
            };
            let (whole, tiled) = (run(4096), run(96));
            assert_eq!((whole.width, whole.height), (131 * scale, 77 * scale));
            let pairs = whole.values.iter().zip(&tiled.values);
            let away = pairs.fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
            assert!(away < 1e-5, "{shape:?}: {away:.1e}");
        }
    }
}
