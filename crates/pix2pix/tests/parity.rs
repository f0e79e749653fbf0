//! Training steps against PyTorch (tests/fixtures/translation_make.py); the networks are compared in `translation`.

#[path = "../../../tests/fixtures/compare.rs"]
mod compare;
#[path = "../../../tests/fixtures/training.rs"]
mod training;

use burn::tensor::Device;
use compare::{fixture, under};
use gan_core::contract::snapshot;
use gan_core::loss::GanMode;
use gan_core::stage::{At, Stage};
use pix2pix::config::Config;
use pix2pix::train::Gan;
use training::{assert_arrived, assert_losses, assert_moments, begin};
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::pictures::Batch;

fn ten_steps(file: &str, gan_mode: GanMode) {
    let reference = fixture(file).tensors;
    let mut config = Config {
        net_g: NetG::Unet32,
        net_d: NetD::NLayers,
        layers_d: 2,
        width_g: 2,
        width_d: 4,
        dropout: false,
        load_size: 32,
        crop_size: 32,
        decay_start: 1.0,
        gan_mode,
        ..Config::default()
    };
    config.training.batch_size = 2;
    let mut gan = Gan::new(&config, &Device::flex());
    let start = |name: &str| under(&reference, &format!("start.{name}"));
    begin(&mut gan, &|name| Some(start(name)));
    for step in 0..10 {
        let picture = |of: &str| reference[&format!("{of}.{}", step % 5)].values.clone();
        let batch = Batch {
            a: picture("a"),
            b: picture("b"),
        };
        let scalars = gan.step(batch, &At::new(0, step as u64, 10)).unwrap();
        let names = ["G_GAN", "G_L1", "D_real", "D_fake"];
        assert_losses(scalars, &names, step, &reference);
        if step == 0 {
            let ours = &snapshot(&mut gan)["discriminator_optimizer"];
            let expected = under(&reference, "moments.discriminator");
            assert_moments("discriminator", ours, &expected);
        }
    }
    let ours = snapshot(&mut gan);
    for name in ["generator", "discriminator"] {
        let end = under(&reference, &format!("end.{name}"));
        assert_arrived(name, &ours[name], &start(name), &end);
    }
}

#[test]
fn ten_steps_with_cross_entropy() {
    ten_steps("pix2pix_steps_vanilla.safetensors", GanMode::Vanilla);
}

#[test]
fn ten_steps_with_least_squares() {
    ten_steps("pix2pix_steps_lsgan.safetensors", GanMode::Lsgan);
}
