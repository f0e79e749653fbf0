//! Single-image super-resolution (Ledig et al. 2017, <https://arxiv.org/abs/1609.04802>).
//!
//! A generator enlarges `[batch, 3, height, width]` in [0, 1] by 2, 4 or 8. It first learns from the squared error
//! alone (SRResNet), which favours smooth pictures; then, from there, against a discriminator and from the features of
//! VGG19, which see textures where pixels see noise (SRGAN). How near a result comes is measured by PSNR and SSIM,
//! which favour the first.
//!
//! ```no_run
//! let upscaler = srgan::Upscaler::open("netG_epoch_4_100.pth")?;
//! let picture = image::open("small.png")?.to_rgb8();
//! upscaler.picture(&picture)?.save("large.png")?;
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod config;
pub mod data;
pub mod degrade;
pub mod discriminator;
pub mod evaluate;
pub mod generator;
mod msrresnet;
mod prelu;
pub mod recognise;
pub mod scenes;
mod shuffle;
mod srresnet;
pub mod train;
pub mod upscale;
mod validation;
pub mod vgg;

pub use config::Config;
pub use upscale::Upscaler;
