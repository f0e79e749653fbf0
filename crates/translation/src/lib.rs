//! What pix2pix (Isola et al. 2017) and CycleGAN (Zhu et al. 2017) share.
//!
//! Their authors publish both in one program, with the same networks: a generator from pictures to pictures, either
//! a U-Net or a ResNet, and a discriminator that judges patches. Here are those networks under the authors' tensor
//! names, the recognition of a network from the tensors of a file, pictures that are resized and cropped the
//! authors' way, and the verb `translate`. What is learned, and from which data, is in the crates `pix2pix` and
//! `cyclegan`.

pub mod discriminator;
pub mod generator;
pub mod norm;
pub mod patch;
pub mod pictures;
pub mod recognise;
pub mod resnet;
pub mod settings;
pub mod translate;
pub mod translator;
pub mod unet;

pub use discriminator::Discriminator;
pub use generator::Generator;
