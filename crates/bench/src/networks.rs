//! Training steps and inference of the architectures' own networks.

use crate::Options;
use crate::machine::{self, time};
use crate::memory;
use crate::peer::Peer;
use crate::table::{self, Kind, Row, median};
use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Parser;
use gan_core::config::{Configuration, Layer, merge};
use gan_core::console::{Console, Voice};
use gan_core::layers::Statistics;
use gan_core::random::Stream;
use gan_core::stage::{At, Stage};
use gan_core::weights::{self, HostTensor, Metadata, Tensors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use translation::generator::Generator as Translator;
use translation::pictures::Batch;

/// Seconds that a turn of one side takes at most, unless one step takes longer.
const TURN: f64 = 4.0;
/// A step of more seconds needs no others before it, and few rounds.
const LONG: f64 = 3.0;
/// Rounds of long steps.
const FEW: u32 = 3;

/// A row: a network and what is done with it.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    word: &'static str,
    kind: Kind,
    preset: &'static str,
    /// What differs from the preset, as TOML.
    keys: &'static str,
    batch: usize,
}

const fn subject(
    name: &'static str,
    word: &'static str,
    kind: Kind,
    preset: &'static str,
    batch: usize,
) -> Subject {
    Subject {
        name,
        word,
        kind,
        preset,
        keys: "",
        batch,
    }
}

impl Subject {
    const fn with(self, keys: &'static str) -> Self {
        Self { keys, ..self }
    }
}

/// Both sides would draw other masks: dropout is left out on both.
const NO_DROPOUT: &str = "dropout = false";
/// The pool of made pictures is left out on both sides.
const NO_POOL: &str = "pool_size = 0";
/// The authors' choice for pictures of 128 pixels.
const SMALL: &str = "pool_size = 0\ncrop_size = 128\nload_size = 143\nnet_g = \"resnet_6blocks\"";

/// The squared error of pixels alone.
const FIRST_STAGE: &str = "adversarial = false\ncontent_loss = \"mse\"";
/// Its weights are not everywhere.
const NO_VGG: &str = "mse_steps = 0\ncontent_loss = \"mse\"";

/// The discriminator moves in each step, on both sides.
const OPEN_GATE: &str = "gate = 1.0";

/// Each architecture adds its rows here.
pub(crate) const SUBJECTS: &[Subject] = &[
    subject(
        "vanilla train, paper, batch 64",
        "vanilla",
        Kind::Train,
        "paper",
        64,
    ),
    subject(
        "vanilla train, paper, batch 128",
        "vanilla",
        Kind::Train,
        "paper",
        128,
    ),
    subject(
        "vanilla infer, paper, batch 64",
        "vanilla",
        Kind::Infer,
        "paper",
        64,
    ),
    subject(
        "dcgan train, paper, batch 32",
        "dcgan",
        Kind::Train,
        "paper",
        32,
    ),
    subject(
        "dcgan train, paper, batch 64",
        "dcgan",
        Kind::Train,
        "paper",
        64,
    ),
    subject(
        "dcgan infer, paper, batch 16",
        "dcgan",
        Kind::Infer,
        "paper",
        16,
    ),
    subject(
        "dcgan infer, paper, batch 64",
        "dcgan",
        Kind::Infer,
        "paper",
        64,
    ),
    subject(
        "pix2pix train, paper, batch 1",
        "pix2pix",
        Kind::Train,
        "paper",
        1,
    )
    .with(NO_DROPOUT),
    subject(
        "pix2pix infer, paper, batch 1",
        "pix2pix",
        Kind::Infer,
        "paper",
        1,
    )
    .with(NO_DROPOUT),
    subject(
        "cyclegan train, paper, batch 1",
        "cyclegan",
        Kind::Train,
        "paper",
        1,
    )
    .with(NO_POOL),
    subject(
        "cyclegan train, 128 px, 6 blocks, batch 1",
        "cyclegan",
        Kind::Train,
        "paper",
        1,
    )
    .with(SMALL),
    subject(
        "cyclegan infer, paper, batch 1",
        "cyclegan",
        Kind::Infer,
        "paper",
        1,
    )
    .with(NO_POOL),
    subject(
        "srgan train, first stage, paper, batch 16",
        "srgan",
        Kind::Train,
        "paper",
        16,
    )
    .with(FIRST_STAGE),
    subject(
        "srgan train, second stage without VGG, paper, batch 4",
        "srgan",
        Kind::Train,
        "paper",
        4,
    )
    .with(NO_VGG),
    subject(
        "srgan infer, paper, 64 to 256 px, batch 1",
        "srgan",
        Kind::Infer,
        "paper",
        1,
    )
    .with("crop_size = 256"),
    subject(
        "srgan upscale, paper, a folder of 4 pictures of 128 px",
        "upscale",
        Kind::Infer,
        "paper",
        4,
    )
    .with("crop_size = 512"),
    subject(
        "gan3d train, paper, 64 voxels, batch 4",
        "gan3d",
        Kind::Train,
        "paper",
        4,
    )
    .with(OPEN_GATE),
    subject(
        "gan3d train, 32 voxels, batch 32",
        "gan3d",
        Kind::Train,
        "chairs",
        32,
    )
    .with(OPEN_GATE),
    subject(
        "gan3d infer, paper, 64 voxels, batch 4",
        "gan3d",
        Kind::Infer,
        "paper",
        4,
    ),
    subject(
        "cgan train, 64 pixels, batch 32",
        "cgan",
        Kind::Train,
        "drawn",
        32,
    ),
    subject(
        "cgan infer, 64 pixels, batch 64",
        "cgan",
        Kind::Infer,
        "drawn",
        64,
    ),
    subject(
        "stackgan train, first stage, 64 pixels, batch 32",
        "stackgan",
        Kind::Train,
        "drawn",
        32,
    )
    .with("stages = \"one\""),
    subject(
        "stackgan train, second stage, 256 pixels, batch 4",
        "stackgan",
        Kind::Train,
        "drawn",
        4,
    )
    .with("stages = \"two\""),
    subject(
        "stackgan infer, both stages, 256 pixels, batch 8",
        "stackgan",
        Kind::Infer,
        "drawn",
        8,
    )
    .with("stages = \"two\""),
];

/// One step or one batch of ours. A training step gives its losses.
type Run = Box<dyn FnMut() -> Result<Vec<f32>>>;

/// A row made ready: our side as a function, PyTorch's as a request.
pub(crate) struct Ready {
    pub(crate) run: Run,
    pub(crate) request: Value,
    // Holds the files that the request names.
    pub(crate) folder: TempDir,
}

fn configuration<C: Configuration>(subject: &Subject) -> Result<C> {
    let text = format!("batch_size = {}\n{}\n", subject.batch, subject.keys);
    merge(&[
        Layer::preset::<C>(subject.preset)?,
        Layer::parse("bench", &text)?,
    ])
}

impl Subject {
    /// Draws weights and inputs, writes them for PyTorch, and makes our side ready.
    pub(crate) fn ready(&self) -> Result<Ready> {
        let folder = tempfile::tempdir().context("a folder for the weights")?;
        match self.word {
            "vanilla" => self.vanilla(folder),
            "dcgan" => self.dcgan(folder),
            "pix2pix" => self.pix2pix(folder),
            "cyclegan" => self.cyclegan(folder),
            "srgan" => self.srgan(folder),
            "gan3d" => self.gan3d(folder),
            "cgan" => self.cgan(folder),
            "stackgan" => self.stackgan(folder),
            _ => self.upscale(folder),
        }
    }

    fn vanilla(&self, folder: TempDir) -> Result<Ready> {
        let config: vanilla::Config = configuration(self)?;
        let (size, device) = ((28, 28), Device::flex());
        let pixels = size.0 * size.1;
        let mut gan = vanilla::train::Gan::new(&config, size, None, 100, &device);
        let files = weights_of(&mut gan)?;
        let latent = config.prior.draw(
            &mut Stream::new(config.training.seed, "latent", 0),
            self.batch * config.latent_dim,
        );
        let real = Stream::new(0, "real", 0).uniform(self.batch * pixels, -1.0, 1.0);
        let mut request = self.request(
            &folder,
            &config,
            &files,
            &[
                ("latent", &[self.batch, config.latent_dim], &latent),
                ("real", &[self.batch, pixels], &real),
            ],
            PLAYERS,
        )?;
        request["outputs"] = json!(pixels);
        let run: Run = if self.kind == Kind::Train {
            training(gan, real, config.training.seed, PLAYERS)
        } else {
            let network = weights::apply(
                vanilla::generator::Generator::new(&config, pixels, &device),
                &files["generator"],
            )?;
            let (batch, width) = (self.batch, config.latent_dim);
            Box::new(move || {
                let latent =
                    Tensor::from_data(TensorData::new(latent.clone(), [batch, width]), &device);
                Ok(weights::values(network.forward(latent)))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn dcgan(&self, folder: TempDir) -> Result<Ready> {
        let config: dcgan::Config = configuration(self)?;
        let device = Device::flex();
        let mut gan = dcgan::train::Gan::new(&config, &device);
        let files = weights_of(&mut gan)?;
        let latent = config.prior().draw(
            &mut Stream::new(config.training.seed, "latent", 0),
            self.batch * config.latent_dim,
        );
        let shape = [
            self.batch,
            config.channels,
            config.image_size,
            config.image_size,
        ];
        let real = Stream::new(0, "real", 0).uniform(shape.iter().product(), -1.0, 1.0);
        let request = self.request(
            &folder,
            &config,
            &files,
            &[
                ("latent", &[self.batch, config.latent_dim], &latent),
                ("real", &shape, &real),
            ],
            PLAYERS,
        )?;
        let run: Run = if self.kind == Kind::Train {
            training(gan, real, config.training.seed, PLAYERS)
        } else {
            let network = weights::apply(
                dcgan::generator::Generator::new(&config, &device),
                &files["generator"],
            )?;
            let (batch, width) = (self.batch, config.latent_dim);
            Box::new(move || {
                let latent =
                    Tensor::from_data(TensorData::new(latent.clone(), [batch, width]), &device);
                let pictures = network.forward(latent, Statistics::Running);
                Ok(weights::values(pictures))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn gan3d(&self, folder: TempDir) -> Result<Ready> {
        let config: gan3d::Config = configuration(self)?;
        let device = Device::flex();
        let mut gan = gan3d::train::Gan::new(&config, &device);
        let files = weights_of(&mut gan)?;
        let (batch, width, side) = (self.batch, config.latent_dim, config.resolution);
        let seed = config.training.seed;
        let mut stream = Stream::new(seed, "latent", 0);
        let latent = config.prior.draw(&mut stream, batch * width);
        let count = batch * config.voxels();
        let real = Stream::new(0, "real", 0).uniform(count, 0.0, 1.0);
        let real: Vec<f32> = real.into_iter().map(|value| value.round()).collect();
        let inputs: [Input<'_>; 2] = [
            ("latent", &[batch, width], &latent),
            ("real", &[batch, 1, side, side, side], &real),
        ];
        let request = self.request(&folder, &config, &files, &inputs, PLAYERS)?;
        let run: Run = if self.kind == Kind::Train {
            training(gan, real, seed, PLAYERS)
        } else {
            let network = gan3d::generator::Generator::new(&config, &device);
            let network = weights::apply(network, &files["generator"])?;
            Box::new(move || {
                let latent = TensorData::new(latent.clone(), [batch, width]);
                let volumes =
                    network.forward(Tensor::from_data(latent, &device), Statistics::Running);
                Ok(weights::values(volumes))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn cgan(&self, folder: TempDir) -> Result<Ready> {
        let config: cgan::Config = configuration(self)?;
        let device = Device::flex();
        let mut gan = cgan::gan::Gan::new(&config, &device);
        let files = weights_of(&mut gan)?;
        let (batch, width, seed) = (self.batch, config.latent_dim, config.training.seed);
        let classes = config.classes();
        let count = classes.count();
        let drawn = |name: &str| Stream::new(seed, name, 0);
        let latent = config.prior().draw(&mut drawn("latent"), batch * width);
        let shape = [batch, config.channels, config.image_size, config.image_size];
        let real = Stream::new(0, "real", 0).uniform(shape.iter().product(), -1.0, 1.0);
        let told: Vec<usize> = (0..batch).map(|place| place % count).collect();
        let order = drawn("classes").permutation(batch);
        let asked: Vec<usize> = order.iter().map(|place| told[*place as usize]).collect();
        let steps = drawn("wrong").integers(batch, count - 1);
        let wrong: Vec<usize> = told
            .iter()
            .zip(steps)
            .map(|(class, step)| (class + 1 + step) % count)
            .collect();
        let [told_y, asked_y, wrong_y] = [&told, &asked, &wrong].map(|some| -> Vec<f32> {
            some.iter()
                .flat_map(|class| classes.condition(*class))
                .collect()
        });
        let conditions = [batch, count];
        let inputs: [Input<'_>; 5] = [
            ("latent", &[batch, width], &latent),
            ("real", &shape, &real),
            ("told", &conditions, &told_y),
            ("asked", &conditions, &asked_y),
            ("wrong", &conditions, &wrong_y),
        ];
        let mut request = self.request(&folder, &config, &files, &inputs, PLAYERS)?;
        request["classes"] = json!(count);
        let run: Run = if self.kind == Kind::Train {
            let classes = told.into_iter().map(|class| class as u8).collect();
            let batch = cgan::data::Batch {
                pixels: real,
                classes,
            };
            training(gan, batch, seed, PLAYERS)
        } else {
            let network = cgan::generator::Generator::new(&config, &device);
            let network = weights::apply(network, &files["generator"])?;
            Box::new(move || {
                let latent = TensorData::new(latent.clone(), [batch, width]);
                let asked = TensorData::new(asked_y.clone(), [batch, count]);
                let pictures = network.forward(
                    Tensor::from_data(latent, &device),
                    Tensor::from_data(asked, &device),
                    Statistics::Running,
                );
                Ok(weights::values(pictures))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    /// The first stage, or the second around it, as the configuration's stages say.
    fn stackgan(&self, folder: TempDir) -> Result<Ready> {
        let config: stackgan::Config = configuration(self)?;
        if config.has("two") {
            self.stackgan_stage::<stackgan::generator::StageTwo>(&config, folder)
        } else {
            self.stackgan_stage::<stackgan::generator::StageOne>(&config, folder)
        }
    }

    fn stackgan_stage<M: stackgan::gan::Maker + 'static>(
        &self,
        config: &stackgan::Config,
        folder: TempDir,
    ) -> Result<Ready> {
        use stackgan::gan::{Gan, Noise};
        let device = Device::flex();
        let mut gan = Gan::<M>::new(config, &device);
        let files = weights_of(&mut gan)?;
        let (batch, seed) = (self.batch, config.training.seed);
        let shape = stackgan::generator::Shape::new(config);
        let mut stream = Stream::new(seed, "latent", 0);
        let noise = Noise::values(&shape, M::IS_SECOND, batch, &mut stream);
        let side = config.side(M::IS_SECOND);
        let pictures = [batch, 3, side, side];
        let draw =
            |name: &str| Stream::new(0, name, 0).uniform(pictures.iter().product(), -1.0, 1.0);
        let (real, wrong) = (draw("real"), draw("wrong"));
        let text = Stream::new(0, "text", 0).normal(batch * shape.text);
        let (texts, latents) = ([batch, shape.text], [batch, shape.latent]);
        let conditions = [batch, shape.condition];
        let mut inputs: Vec<Input<'_>> = vec![
            ("real", &pictures, &real),
            ("wrong", &pictures, &wrong),
            ("text", &texts, &text),
            ("latent", &latents, &noise[0]),
            ("eps", &conditions, &noise[noise.len() - 1]),
        ];
        if M::IS_SECOND {
            inputs.push(("eps1", &conditions, &noise[1]));
        }
        let mut request = self.request(&folder, config, &files, &inputs, PLAYERS)?;
        request["stage"] = json!(1 + u8::from(M::IS_SECOND));
        let run: Run = if self.kind == Kind::Train {
            let batch = stackgan::data::Batch {
                pixels: real,
                wrong,
                text,
                captions: Vec::new(),
            };
            training(gan, batch, seed, PLAYERS)
        } else {
            let network = weights::apply(M::empty(&shape, &device), &files["generator"])?;
            Box::new(move || {
                let text = Tensor::from_data(TensorData::new(text.clone(), texts), &device);
                let noise = Noise::new(noise.clone(), &shape, &device);
                let (made, _) = network.make(text, noise, Statistics::Running);
                Ok(weights::values(made))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn pix2pix(&self, folder: TempDir) -> Result<Ready> {
        const LOSSES: &[&str] = &["G_GAN", "G_L1", "D_real", "D_fake"];
        let config: pix2pix::Config = configuration(self)?;
        let device = Device::flex();
        let translation = Translation {
            gan: pix2pix::train::Gan::new(&config, &device),
            network: pix2pix::generator::generator(&config, &device),
            name: "generator",
            channels: [config.input_channels, config.output_channels],
            side: config.crop_size,
            losses: LOSSES,
        };
        self.translation(folder, &config, translation, device)
    }

    fn cyclegan(&self, folder: TempDir) -> Result<Ready> {
        const LOSSES: &[&str] = &[
            "G_A", "G_B", "cycle_A", "cycle_B", "idt_A", "idt_B", "D_A", "D_B",
        ];
        let config: cyclegan::Config = configuration(self)?;
        let device = Device::flex();
        let [there, _] = cyclegan::generator::generators(&config, &device);
        let translation = Translation {
            gan: cyclegan::train::Gan::new(&config, &device),
            network: there,
            name: cyclegan::train::GENERATORS[0],
            channels: [config.input_channels, config.output_channels],
            side: config.crop_size,
            losses: LOSSES,
        };
        self.translation(folder, &config, translation, device)
    }

    fn translation<S: Stage<Batch = Batch> + 'static>(
        &self,
        folder: TempDir,
        config: &impl Configuration,
        mut translation: Translation<S>,
        device: Device,
    ) -> Result<Ready> {
        let files = weights_of(&mut translation.gan)?;
        let side = translation.side;
        let [from, to] = translation
            .channels
            .map(|channels| [self.batch, channels, side, side]);
        let draw = |name: &str, shape: [usize; 4]| {
            Stream::new(0, name, 0).uniform(shape.iter().product(), -1.0, 1.0)
        };
        let batch = Batch {
            a: draw("a", from),
            b: draw("b", to),
        };
        let inputs: [Input<'_>; 2] = [("a", &from, &batch.a), ("b", &to, &batch.b)];
        let request = self.request(&folder, config, &files, &inputs, translation.losses)?;
        let run: Run = if self.kind == Kind::Train {
            let seed = config.training().seed;
            training(translation.gan, batch, seed, translation.losses)
        } else {
            let network = weights::apply(translation.network, &files[translation.name])?;
            Box::new(move || {
                let input = Tensor::from_data(TensorData::new(batch.a.clone(), from), &device);
                // The authors' protocol, the statistics of the picture itself, but for dropout.
                let pictures = network.forward(input, Statistics::Batch, None);
                Ok(weights::values(pictures))
            })
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    fn srgan(&self, folder: TempDir) -> Result<Ready> {
        const FIRST: &[&str] = &["mse"];
        const SECOND: &[&str] = &["D_real", "D_fake", "content", "adversarial"];
        let config: srgan::Config = configuration(self)?;
        let device = Device::flex();
        let draw = |name: &str, side: usize| {
            let count = self.batch * 3 * side * side;
            Stream::new(0, name, 0).uniform(count, 0.0, 1.0)
        };
        let shape = |side: usize| [self.batch, 3, side, side];
        let sides = [config.low_side(), config.crop_size];
        let batch = srgan::data::Batch {
            low: draw("low", sides[0]),
            high: draw("high", sides[1]),
        };
        let [low, high] = sides.map(shape);
        let inputs: [Input<'_>; 2] = [("low", &low, &batch.low), ("high", &high, &batch.high)];
        let seed = config.training.seed;
        let (run, request): (Run, Value) = if self.kind == Kind::Infer {
            let network = srgan_generator(&config, &device);
            let files = [("generator".to_owned(), weights::collect(&network))].into();
            let request = self.request(&folder, &config, &files, &inputs, &[])?;
            let run = Box::new(move || {
                let input = Tensor::from_data(TensorData::new(batch.low.clone(), low), &device);
                Ok(weights::values(network.forward(input, Statistics::Running)))
            });
            (run, request)
        } else if config.adversarial {
            let mut gan = srgan::train::Gan::new(&config, None, &device);
            let files = weights_of(&mut gan)?;
            let request = self.request(&folder, &config, &files, &inputs, SECOND)?;
            (training(gan, batch, seed, SECOND), request)
        } else {
            let mut resnet = srgan::train::Resnet::new(&config, &device);
            let files = weights_of(&mut resnet)?;
            let request = self.request(&folder, &config, &files, &inputs, FIRST)?;
            (training(resnet, batch, seed, FIRST), request)
        };
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    /// The whole verb, files included.
    fn upscale(&self, folder: TempDir) -> Result<Ready> {
        let config: srgan::Config = configuration(self)?;
        let (device, side) = (Device::flex(), config.low_side());
        let network = srgan_generator(&config, &device);
        let files = [("generator".to_owned(), weights::collect(&network))].into();
        let request = self.request(&folder, &config, &files, &[], &[])?;
        let place = |name: &str| folder.path().join(name).display().to_string();
        for number in 0..self.batch {
            let mut stream = Stream::new(0, "picture", number as u64);
            let picture = srgan::scenes::scene(side as u32, &mut stream);
            let path = folder.path().join(format!("in/{number}.png"));
            std::fs::create_dir_all(folder.path().join("in"))?;
            picture.save(path)?;
        }
        let (input, output, weights) = (place("in"), place("out"), place("generator.safetensors"));
        let words = [
            "upscale",
            "--checkpoint",
            &weights,
            "-i",
            &input,
            "-o",
            &output,
        ];
        let command = Upscale::try_parse_from(words.iter().chain(&["--overwrite"]))?;
        let first = folder.path().join("out/0.png");
        let run = Box::new(move || {
            let mut console = Console::new(Voice::Quiet);
            srgan::upscale::upscale_with(&command.upscale, &mut console)?;
            let picture = gan_core::images::to_rgb(&gan_core::images::read(&first)?);
            let bytes = gan_core::images::planar(&picture, 3);
            Ok(bytes.into_iter().map(f32::from).collect())
        });
        Ok(Ready {
            run,
            request,
            folder,
        })
    }

    /// Writes weights and inputs, and says to PyTorch where they are and which losses to answer.
    fn request(
        &self,
        folder: &TempDir,
        config: &impl Configuration,
        files: &BTreeMap<String, Tensors>,
        inputs: &[Input<'_>],
        losses: &[&str],
    ) -> Result<Value> {
        let write = |name: &str, tensors: &Tensors| -> Result<String> {
            let path = folder.path().join(format!("{name}.safetensors"));
            weights::write(&path, tensors, &Metadata::new())?;
            Ok(path.display().to_string())
        };
        let inputs: Tensors = inputs
            .iter()
            .map(|(name, shape, values)| {
                let mut tensor = HostTensor::vector(values.to_vec());
                tensor.shape = shape.to_vec();
                ((*name).to_owned(), tensor)
            })
            .collect();
        let paths: BTreeMap<&String, String> = files
            .iter()
            .map(|(name, tensors)| Ok((name, write(name, tensors)?)))
            .collect::<Result<_>>()?;
        Ok(json!({
            "do": self.kind,
            "word": self.word,
            "config": serde_json::to_value(config)?,
            "weights": paths,
            "inputs": write("inputs", &inputs)?,
            "losses": losses,
            "outputs_to": folder.path().join("outputs.safetensors"),
        }))
    }
}

#[derive(Parser)]
struct Upscale {
    #[command(flatten)]
    upscale: srgan::upscale::UpscaleCommand,
}

fn srgan_generator(config: &srgan::Config, device: &Device) -> srgan::generator::Generator {
    let shape = srgan::generator::Shape::new(config);
    srgan::generator::Generator::new(&shape, device).initialised(config.training.seed)
}

/// What the rows of pix2pix and cyclegan have in common.
struct Translation<S> {
    gan: S,
    /// The generator that inference runs, and its name in a checkpoint.
    network: Translator,
    name: &'static str,
    /// Of domain A, or the inputs, and of domain B, or the targets.
    channels: [usize; 2],
    side: usize,
    losses: &'static [&'static str],
}

/// Name, shape and values of what goes into a network.
type Input<'a> = (&'a str, &'a [usize], &'a [f32]);

/// The losses of vanilla and dcgan.
const PLAYERS: &[&str] = &["loss_d", "loss_g"];

/// The weights of each part by its name.
fn weights_of(gan: &mut impl Stage) -> Result<BTreeMap<String, Tensors>> {
    let mut files = BTreeMap::new();
    gan.parts(&mut |name, part| {
        files.extend(
            part.files()
                .into_iter()
                .filter(|file| file.suffix.is_empty())
                .map(|file| (name.to_owned(), file.tensors)),
        );
        Ok(())
    })?;
    Ok(files)
}

fn training<S: Stage<Batch: Clone> + 'static>(
    mut gan: S,
    batch: S::Batch,
    seed: u64,
    losses: &'static [&'static str],
) -> Run {
    let mut step = 0;
    Box::new(move || {
        let scalars = gan.step(batch.clone(), &At::new(seed, step, 1_000_000_000))?;
        step += 1;
        let scalars: BTreeMap<_, _> = scalars.read().into_iter().collect();
        let values = losses.iter().filter_map(|name| scalars.get(name));
        Ok(values.map(|value| *value as f32).collect())
    })
}

pub(crate) fn measure(options: &Options, threads: usize) -> Result<Vec<Row>> {
    let mut peer = Peer::start(&options.python, threads)?;
    match &peer {
        Some(peer) => table::say(&format!("{threads} threads; PyTorch {}", peer.version)),
        None => table::say(&format!(
            "{threads} threads; no PyTorch in {:?} (--python PATH): our times alone",
            options.python
        )),
    }
    table::start();
    let mut rows = Vec::new();
    for subject in SUBJECTS
        .iter()
        .filter(|subject| subject.name.contains(&options.only))
    {
        let Ready {
            mut run,
            request,
            folder,
        } = subject.ready()?;
        let mut first = Vec::new();
        let once = time(&mut || {
            first = run()?;
            Ok(())
        })?;
        let mut difference = None;
        if let Some(peer) = &mut peer {
            peer.ask(&request)?;
            peer.times(1)?;
            difference = Some(difference_of(subject.kind, &first, peer, folder.path())?);
        }
        let mut ours = Vec::new();
        let mut torch: Vec<Vec<f64>> = Vec::new();
        // Some steps a turn, and fewer of long ones.
        let most = if subject.kind == Kind::Train {
            3.0
        } else {
            10.0
        };
        let turn = (TURN / once).clamp(1.0, most) as u32;
        let rounds = if once > LONG {
            options.rounds.min(FEW)
        } else {
            options.rounds
        };
        for _ in 0..rounds {
            if once <= LONG {
                machine::settle(&mut || run().map(drop))?;
            }
            for _ in 0..turn {
                ours.push(time(&mut || run().map(drop))?);
            }
            if let Some(peer) = &mut peer {
                let times = peer.times(turn)?;
                torch.resize(times.len(), Vec::new());
                torch
                    .iter_mut()
                    .zip(times)
                    .for_each(|(all, times)| all.extend(times));
            }
        }
        drop(run);
        let best = torch
            .iter()
            .map(|times| median(times))
            .min_by(f64::total_cmp);
        let mut row = Row::new(subject.name, subject.kind, &ours, best);
        row.difference = difference;
        if subject.kind == Kind::Train {
            row.ours_mib = memory::ours(subject.name, threads)?;
            if peer.is_some() {
                row.torch_mib = memory::torch(subject, options, threads)?;
            }
        }
        table::print(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// The largest difference between both sides' results: of pictures as a share of the largest value, of losses each as
/// a share of itself.
fn difference_of(kind: Kind, ours: &[f32], peer: &mut Peer, folder: &Path) -> Result<f64> {
    let theirs: Vec<f32> = if kind == Kind::Train {
        serde_json::from_value(peer.ask(&json!({"do": "losses"}))?["losses"].clone())?
    } else {
        let file = weights::read(&folder.join("outputs.safetensors"))?;
        file.tensors
            .into_values()
            .next()
            .map(|tensor| tensor.values)
            .unwrap_or_default()
    };
    anyhow::ensure!(
        ours.len() == theirs.len(),
        "{} results beside {} of PyTorch",
        ours.len(),
        theirs.len()
    );
    let largest = theirs
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| {
            let whole = if kind == Kind::Train {
                theirs.abs()
            } else {
                largest
            };
            (ours - theirs).abs() / whole
        })
        // `max` would lose a value that is no number.
        .fold(0.0_f32, |most, away| {
            if away.is_nan() {
                f32::INFINITY
            } else {
                most.max(away)
            }
        });
    Ok(f64::from(difference))
}
