//! What `srgan train` can be told, and the reason for each default.

use anyhow::Result;
use gan_core::config::{Configuration, Training, illegal};

/// Which generator.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum NetG {
    /// The paper's: batch normalisation and PReLU, pixel shuffle, tanh.
    Srresnet,
    /// The one of MMagic and BasicSR: no normalisation, leaky ReLU, the picture resized bilinearly added at the end.
    Msrresnet,
}

/// What the content loss compares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ContentLoss {
    /// Features of VGG19 after its sixteenth convolution, before the fifth pooling.
    Vgg54,
    /// Features of VGG19 after its fourth convolution, before the second pooling.
    Vgg22,
    /// Pixels.
    Mse,
}

gan_core::configuration! {
    /// The networks and the training of SRGAN. The defaults are the paper's.
    Config, Flags, training = Training {
        steps: 200_000,
        batch_size: 16,
        log_every: 100,
        sample_every: 500,
        save_every: 2000,
        ..Training::default()
    };
    /// By how much both sides grow: 2, 4 or 8.
    scale: usize = 4;
    /// The generator.
    net_g: NetG = NetG::Srresnet;
    /// Residual blocks of the generator.
    blocks: usize = 16;
    /// Channels of the generator.
    width_g: usize = 64;
    /// Channels of the discriminator's first layer.
    width_d: usize = 64;
    /// Side in pixels of the high-resolution crops (section 3.2).
    crop_size: usize = 96;
    /// Mirror half of the crops.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flip: bool = true;
    /// Turn the crops by multiples of 90 degrees.
    #[arg(num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    rotate: bool = true;
    /// Steps of the first stage, SRResNet by the squared error alone; --steps are those of the adversarial one after
    /// it. 0 leaves the first stage out.
    mse_steps: u64 = 1_000_000;
    /// What the adversarial stage's content loss compares; vgg54 and vgg22 need --vgg.
    content_loss: ContentLoss = ContentLoss::Vgg54;
    /// The weights of VGG19, torchvision's vgg19-dcbb9e9d.pth.
    vgg: String = String::new();
    /// Weight of the adversarial loss (equation 3).
    lambda_adversarial: f64 = 1e-3;
    /// Adam's learning rate.
    lr: f64 = 1e-4;
    /// Adam's first decay.
    beta1: f64 = 0.9;
    /// Adam's second decay.
    beta2: f64 = 0.999;
    /// Share of the adversarial stage after which the learning rate falls to a tenth (section 3.2).
    lr_drop: f64 = 0.5;
    /// Test pictures that are measured after each epoch; their PSNR decides which checkpoint is best.
    validation: usize = 20;
}

impl Configuration for Config {
    const WORD: &'static str = "srgan";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("quick", include_str!("../../../configs/srgan/quick.toml")),
        ("paper", include_str!("../../../configs/srgan/paper.toml")),
    ];

    fn training(&self) -> &Training {
        &self.training
    }

    fn validate(&self) -> Result<()> {
        if ![2, 4, 8].contains(&self.scale) {
            return Err(illegal("scale", self.scale, "2, 4 or 8"));
        }
        Ok(())
    }
}
