//! Training steps against PyTorch (tests/fixtures/translation_make.py); the networks are compared in `translation`.

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;
#[path = "../../../tests/fixtures/training.rs"]
mod training;

use burn::tensor::Device;
use compare::{fixture, under};
use cyclegan::config::Config;
use cyclegan::discriminator::{Discriminator, NetD, discriminators};
use cyclegan::generator::{Generator, Shape, shape};
use cyclegan::train::Gan;
use gan_core::contract::snapshot;
use gan_core::stage::At;
use training::{assert_arrived, assert_losses, assert_moments, begin};
use translation::generator::Kind;
use translation::pictures::Batch;

/// Our names of the players and the reference's.
const PLAYERS: [(&str, &str); 4] = [
    ("generator_a", "g_a"),
    ("generator_b", "g_b"),
    ("discriminator_a", "d_a"),
    ("discriminator_b", "d_b"),
];

#[test]
fn ten_steps() {
    let reference = fixture("cyclegan_steps.safetensors").tensors;
    let config = Config {
        net_d: NetD::NLayers,
        layers_d: 2,
        width_g: 4,
        width_d: 4,
        load_size: 32,
        crop_size: 32,
        pool_size: 3,
        decay_start: 1.0,
        ..Config::default()
    };
    let device = Device::flex();
    let autodiff = device.clone().autodiff();
    // Fewer blocks than anybody would train with.
    let shape = Shape {
        kind: Kind::Resnet { blocks: 1 },
        ..shape(&config)
    };
    let generators = [0, 1].map(|_| Generator::new(&shape, &autodiff));
    let judges: [Discriminator; 2] = discriminators(&config, &autodiff);
    let mut gan = Gan::of(&config, generators, judges, &device);
    let theirs = |name: &str| {
        let found = PLAYERS.iter().find(|(ours, _)| *ours == name);
        found.map(|(_, theirs)| *theirs)
    };
    let start = |name: &str| theirs(name).map(|name| under(&reference, &format!("start.{name}")));
    begin(&mut gan, &start);
    for step in 0..10 {
        let batch = Batch {
            a: reference[&format!("a.{step}")].values.clone(),
            b: reference[&format!("b.{step}")].values.clone(),
        };
        let mut draw = |name: &'static str, _: &cyclegan::pool::Pool| {
            let of = |what: &str| reference[&format!("{name}.{what}")].values[step];
            (of("swap") > 0.0).then(|| of("index") as usize)
        };
        let at = At::new(0, step as u64, 10);
        let scalars = gan.step_with(&batch, &at, &mut draw).unwrap();
        let names = [
            "D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B",
        ];
        assert_losses(scalars, &names, step, &reference);
        if step == 0 {
            let expected = under(&reference, "moments.d_a");
            let ours = &snapshot(&mut gan)["discriminator_a_optimizer"];
            assert_moments("discriminator_a", ours, &expected);
        }
    }
    let ours = snapshot(&mut gan);
    for (name, theirs) in PLAYERS {
        let end = under(&reference, &format!("end.{theirs}"));
        assert_arrived(name, &ours[name], &start(name).unwrap(), &end);
    }
}
