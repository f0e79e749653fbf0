//! What `cyclegan train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};
use gan_core::loss::GanMode;
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::norm::Norm;
use translation::settings;
use translation::translate::Translates;

gan_core::configuration! {
    /// The networks and the training of a CycleGAN. The defaults are those of the authors' PyTorch program.
    Config, Flags, training = Training {
        epochs: 200,
        batch_size: 1,
        log_every: 100,
        sample_every: 500,
        save_every: 2000,
        ..Training::default()
    };
    /// The generators: ResNets with 9 blocks, with 6 for pictures of 128 pixels, or U-Nets.
    #[arg(alias = "netG")]
    net_g: NetG = NetG::Resnet9;
    /// The discriminators: patches of 70 pixels, of --layers-d halvings, or single pixels.
    #[arg(alias = "netD")]
    net_d: NetD = NetD::Basic;
    /// Halvings of an n_layers discriminator.
    #[arg(alias = "n-layers-D")]
    layers_d: usize = 3;
    /// Channels of the generators' first layer.
    #[arg(alias = "ngf")]
    width_g: usize = 64;
    /// Channels of the discriminators' first layer.
    #[arg(alias = "ndf")]
    width_d: usize = 64;
    /// Normalisation of all networks.
    norm: Norm = Norm::Instance;
    /// Dropout in the generators; the authors leave it out.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    dropout: bool = false;
    /// Channels of domain A: 3, or 1 for grey.
    #[arg(alias = "input-nc")]
    input_channels: usize = 3;
    /// Channels of domain B: 3, or 1 for grey.
    #[arg(alias = "output-nc")]
    output_channels: usize = 3;
    /// Side in pixels to which pictures are resized first.
    load_size: usize = 286;
    /// Side in pixels of what is cut out of them, at random places.
    crop_size: usize = 256;
    /// Mirror half of the pictures.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = true;
    /// What the players minimise: least squares (section 4) or cross-entropy.
    gan_mode: GanMode = GanMode::Lsgan;
    /// Weight of the cycle: there and back should be the picture itself (section 4).
    lambda_cycle: f64 = 10.0;
    /// Weight of the identity, as a share of --lambda-cycle: a picture of B should pass the generator to B unchanged.
    /// It keeps the colours of paintings (section 5.2).
    lambda_identity: f64 = 0.5;
    /// Made pictures that are kept to show the discriminators older ones too (section 4); 0 keeps none.
    pool_size: usize = 50;
    /// Adam's learning rate.
    lr: f64 = 2e-4;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which the learning rates fall linearly to 0: 100 of 200 epochs (section 4).
    decay_start: f64 = 0.5;
}

impl Configuration for Config {
    const WORD: &'static str = "cyclegan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        (
            "quick",
            include_str!("../../../configs/cyclegan/quick.toml"),
        ),
        (
            "paper",
            include_str!("../../../configs/cyclegan/paper.toml"),
        ),
        (
            "faces",
            include_str!("../../../configs/cyclegan/faces.toml"),
        ),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn decays(&self) -> bool {
        self.decay_start < 1.0
    }

    fn validate(&self) -> Result<()> {
        settings::check_channels(self.input_channels, self.output_channels)?;
        let generator = crate::generator::shape(self);
        let discriminator = crate::discriminator::shape(self, self.output_channels);
        settings::check_networks(&generator, &discriminator)?;
        settings::check_sizes(self.load_size, self.crop_size, &generator, &discriminator)?;
        settings::check_descent(self.lr, self.beta1, self.beta2, self.decay_start)?;
        settings::check_weights(&[
            ("lambda_cycle", self.lambda_cycle),
            ("lambda_identity", self.lambda_identity),
        ])?;
        if self.lambda_identity > 0.0 && self.input_channels != self.output_channels {
            return Err(illegal(
                "lambda_identity",
                self.lambda_identity,
                "domains of different channels have no identity: set it to 0",
            ));
        }
        if self.pool_size > 10_000 {
            return Err(illegal("pool_size", self.pool_size, "at most 10000"));
        }
        Ok(())
    }
}

impl Translates for Config {
    fn dropout(&self) -> bool {
        self.dropout
    }
}
