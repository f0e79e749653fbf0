//! A network in tiles against the network on the whole picture.

use burn::tensor::Device;
use gan_core::init::{Initial, initialise};
use gan_core::located::Located;
use gan_core::random::Stream;
use gan_core::tiles::{Planes, Tile, TileArguments, Tiling};
use gan_core::weights::{self, WeightFile};
use translation::generator::{Generator, Kind, Shape};
use translation::norm::Norm;
use translation::translator::{Inference, Translator};

fn translator(norm: Norm) -> Translator {
    let shape = Shape {
        kind: Kind::Resnet { blocks: 1 },
        width: 4,
        norm,
        dropout: false,
        input: 3,
        output: 3,
    };
    let network = Generator::new(&shape, &Device::flex());
    let network = initialise(network, Initial::FanIn, 3, "network");
    let found = Located {
        path: "network.safetensors".into(),
        file: WeightFile {
            tensors: weights::collect(&network),
            ..WeightFile::default()
        },
        warnings: Vec::new(),
    };
    Translator::new(found, None, Device::flex()).unwrap()
}

fn run(translator: &Translator, picture: &Planes, tile: Tile) -> Planes {
    // A pixel sees 21 pixels each way; the outer half of the overlap is dropped.
    let arguments = TileArguments {
        tile,
        tile_pad: Some(48),
    };
    let mut tiling = Tiling::new(arguments, translator.requirements()).unwrap();
    let inference = Inference::evaluation();
    let mut network = |part: &Planes| {
        let size = [part.height, part.width];
        let values = translator.translate(part.values.clone(), size, inference, 0);
        Ok(Planes::new(part.width, part.height, values))
    };
    tiling.run(picture, &mut network).unwrap()
}

fn difference(norm: Norm) -> f32 {
    let (width, height) = (303, 258);
    let draw = Stream::new(0, "picture", 0).uniform(3 * width * height, -1.0, 1.0);
    let picture = Planes::new(width, height, draw);
    let translator = translator(norm);
    let whole = run(&translator, &picture, Tile::Side(4096));
    let tiled = run(&translator, &picture, Tile::Side(192));
    let values = whole.values.iter().zip(&tiled.values);
    values.fold(0.0, |most, (a, b)| (a - b).abs().max(most))
}

#[test]
fn tiles_have_no_seams_where_a_pixel_sees_little() {
    let away = difference(Norm::None);
    assert!(away < 1e-5, "{away}");
}

#[test]
fn tiles_of_instance_normalisation_differ_as_the_warning_says() {
    let away = difference(Norm::Instance);
    assert!(away > 1e-3, "{away}");
}
