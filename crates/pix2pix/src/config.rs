//! What `pix2pix train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training};
use gan_core::loss::GanMode;
use translation::discriminator::NetD;
use translation::generator::NetG;
use translation::norm::Norm;
use translation::settings;
pub use translation::settings::Direction;
use translation::translate::Translates;

gan_core::configuration! {
    /// The networks and the training of pix2pix. The defaults are those of the authors' PyTorch program.
    Config, Flags, training = Training {
        epochs: 200,
        batch_size: 1,
        log_every: 100,
        sample_every: 400,
        save_every: 2000,
        ..Training::default()
    };
    /// What becomes what: a2b (left to right) or b2a.
    direction: Direction = Direction::A2b;
    /// The generator: unet_256 or unet_128 (for pictures of 256 or 128 pixels), or a ResNet.
    #[arg(alias = "netG")]
    net_g: NetG = NetG::Unet256;
    /// The discriminator: patches of 70 pixels, of --layers-d halvings, or single pixels.
    #[arg(alias = "netD")]
    net_d: NetD = NetD::Basic;
    /// Halvings of an n_layers discriminator.
    #[arg(alias = "n-layers-D")]
    layers_d: usize = 3;
    /// Channels of the generator's first layer.
    #[arg(alias = "ngf")]
    width_g: usize = 64;
    /// Channels of the discriminator's first layer.
    #[arg(alias = "ndf")]
    width_d: usize = 64;
    /// Normalisation of both networks.
    norm: Norm = Norm::Batch;
    /// Dropout in the generator, its only noise (section 3.2.1).
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    dropout: bool = true;
    /// Channels of the input: 3, or 1 for grey.
    #[arg(alias = "input-nc")]
    input_channels: usize = 3;
    /// Channels of the output: 3, or 1 for grey.
    #[arg(alias = "output-nc")]
    output_channels: usize = 3;
    /// Side in pixels to which pictures are resized first (section 6.2).
    load_size: usize = 286;
    /// Side in pixels of what is cut out of them, at random places.
    crop_size: usize = 256;
    /// Mirror half of the pairs.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = true;
    /// What both players minimise: cross-entropy or least squares.
    gan_mode: GanMode = GanMode::Vanilla;
    /// Weight of the L1 distance to the right answer (section 3.1).
    #[arg(alias = "lambda-L1")]
    lambda_l1: f64 = 100.0;
    /// Adam's learning rate.
    lr: f64 = 2e-4;
    /// Adam's first decay.
    beta1: f64 = 0.5;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the run after which the learning rates fall linearly to 0: 100 of 200 epochs.
    decay_start: f64 = 0.5;
    /// Pairs of the test set that are translated after each epoch; their L1 decides which checkpoint is best.
    validation: usize = 50;
}

impl Configuration for Config {
    const WORD: &'static str = "pix2pix";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/pix2pix/quick.toml")),
        ("paper", include_str!("../../../configs/pix2pix/paper.toml")),
        (
            "facades",
            include_str!("../../../configs/pix2pix/facades.toml"),
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
        let discriminator = crate::discriminator::shape(self);
        settings::check_networks(&generator, &discriminator)?;
        settings::check_sizes(self.load_size, self.crop_size, &generator, &discriminator)?;
        settings::check_descent(self.lr, self.beta1, self.beta2, self.decay_start)?;
        settings::check_weights(&[("lambda_l1", self.lambda_l1)])
    }
}

impl Translates for Config {
    fn dropout(&self) -> bool {
        self.dropout
    }
}
