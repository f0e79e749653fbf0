//! From a checkpoint alone: a text becomes a ciphertext, and that a text again. A demonstration, which protects nothing.

use crate::config::Config;
use crate::mix::MixTransform;
use crate::train::STAGE;
use crate::{discriminator, generator};
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::sha256;
use gan_core::command::print;
use gan_core::config::from_identity;
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::located::{self, Located};
use gan_core::weights::{self, HostTensor, Metadata, Tensors, to_safetensors};
use gan_core::{device, regular};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A longer text is refused: it would take a ciphertext 32 times its size.
const MOST_BYTES: usize = 1 << 20;

/// Blocks computed at once.
const TOGETHER: usize = 8192;

/// What is said before anything is encrypted or decrypted.
const NOTE: &str = "this is a demonstration and no cryptography to rely on: every block has the same short key, equal \
                    blocks become equal, nothing notices a change, and what was tried against it are a few small networks";

/// Where weights come from.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WeightArguments {
    /// A run or a step folder; the newest run without it.
    #[arg(long, value_name = "PATH")]
    pub checkpoint: Option<PathBuf>,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

impl WeightArguments {
    /// Loads a player, and says from where.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(&self, name: &str, device: &Device) -> Result<Player> {
        self.open_with(name, device, Voice::Normal)
    }

    fn open_with(&self, name: &str, device: &Device, voice: Voice) -> Result<Player> {
        let place = self.checkpoint.as_deref();
        let found = located::find(place, &self.out, "crypto", &[STAGE], &[name])?;
        let console = Console::new(voice);
        for warning in &found.warnings {
            console.warn(warning);
        }
        console.say(&format!("weights: {}", found.path.display()));
        Player::new(found, name, device)
    }
}

/// A trained network without autodiff.
#[derive(Debug)]
pub struct Player {
    /// The network.
    pub network: MixTransform,
    /// The configuration that it was trained with.
    pub config: Config,
    /// Where it was.
    pub path: PathBuf,
    /// The sha256 of its weights.
    pub sum: String,
}

impl Player {
    fn new(found: Located, name: &str, device: &Device) -> Result<Self> {
        let path = found.path.clone();
        let Some(text) = found.config() else {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} lacks the metadata config: a file that this program wrote is needed",
                    path.display()
                ),
            ));
        };
        let config: Config = from_identity(&path.display().to_string(), text)?;
        let is_eve = name == "eve";
        let size = if is_eve {
            discriminator::size(&config)
        } else {
            generator::size(&config)
        };
        let tensors = &found.file.tensors;
        weights::check_size(size, tensors)
            .with_context(|| format!("reading {}", path.display()))?;
        let network = if is_eve {
            discriminator::new(&config, device)
        } else {
            generator::new(&config, device)
        };
        let network = weights::apply(network, tensors)
            .with_context(|| format!("loading {}", path.display()))?;
        Ok(Self {
            network: network.valid(),
            sum: sha256(&to_safetensors(tensors, &Metadata::new())),
            config,
            path,
        })
    }
}

/// Refuses players that were not trained together with these bits.
///
/// # Errors
/// [`Kind::Checkpoint`].
pub(crate) fn check_together(players: &[&Player]) -> Result<()> {
    let bits = |player: &Player| (player.config.message_bits, player.config.key_bits);
    match players
        .windows(2)
        .find(|pair| bits(pair[0]) != bits(pair[1]))
    {
        None => Ok(()),
        Some(pair) => Err(failure(
            Kind::Checkpoint,
            format!(
                "{} and {} are of different trainings",
                pair[0].path.display(),
                pair[1].path.display()
            ),
        )),
    }
}

/// An encrypted text.
#[derive(Debug, Clone, PartialEq)]
pub struct Ciphertext {
    /// Blocks of `message_bits` numbers in (-1, 1), one after the other.
    pub blocks: Vec<f32>,
    /// Bytes of the text; the end of the last block is no text.
    pub bytes: usize,
    /// The sha256 of the weights of the Bob who can read it.
    pub reader: String,
}

/// Alice and Bob.
#[derive(Debug)]
pub struct Pair {
    alice: Player,
    bob: Player,
    device: Device,
}

impl Pair {
    /// Loads a run or a step folder, on the CPU.
    ///
    /// # Errors
    /// When there is no such checkpoint, or it is damaged or of another model.
    pub fn open(checkpoint: impl AsRef<Path>) -> Result<Self> {
        let arguments = WeightArguments {
            checkpoint: Some(checkpoint.as_ref().to_owned()),
            out: PathBuf::from("runs"),
            device: "cpu".to_owned(),
        };
        Self::find(&arguments, Voice::Quiet)
    }

    fn find(arguments: &WeightArguments, voice: Voice) -> Result<Self> {
        let device = device::parse(&arguments.device)?;
        let alice = arguments.open_with("alice", &device, voice)?;
        let bob = arguments.open_with("bob", &device, voice)?;
        check_together(&[&alice, &bob])?;
        Ok(Self { alice, bob, device })
    }

    /// What Alice makes of a text, with the key that belongs to a phrase.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an empty phrase, or a text that is empty or longer than a megabyte.
    pub fn encrypt(&self, text: &[u8], phrase: &str) -> Result<Ciphertext> {
        if text.is_empty() || text.len() > MOST_BYTES {
            return Err(failure(
                Kind::Usage,
                format!(
                    "a text of {} bytes cannot be encrypted: 1 to {MOST_BYTES} bytes",
                    text.len()
                ),
            ));
        }
        let size = self.alice.config.message_bits;
        let mut blocks = to_bits(text);
        // Where the text ends within a block, the rest of it is zeros.
        blocks.resize(blocks.len().next_multiple_of(size), -1.0);
        Ok(Ciphertext {
            blocks: through(&self.alice, &blocks, phrase, &self.device)?,
            bytes: text.len(),
            reader: self.bob.sum.clone(),
        })
    }

    /// What Bob makes of a ciphertext. With the wrong phrase, that is something else: nothing can notice it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an empty phrase, [`Kind::Checkpoint`] for a ciphertext of another training.
    pub fn decrypt(&self, cipher: &Ciphertext, phrase: &str) -> Result<Vec<u8>> {
        check_reader(&self.bob, cipher)?;
        let mut bytes = to_bytes(&through(&self.bob, &cipher.blocks, phrase, &self.device)?);
        bytes.truncate(cipher.bytes);
        Ok(bytes)
    }
}

/// Refuses a ciphertext that is not for this Bob.
fn check_reader(bob: &Player, cipher: &Ciphertext) -> Result<()> {
    let size = bob.config.message_bits;
    let needed = (cipher.bytes * 8).next_multiple_of(size);
    if cipher.reader == bob.sum && cipher.blocks.len() == needed {
        return Ok(());
    }
    Err(failure(
        Kind::Checkpoint,
        format!(
            "the ciphertext was made for another Bob than that of {}: name the run or step folder that it was made \
             with (--checkpoint)",
            bob.path.display()
        ),
    ))
}

/// What Alice or Bob makes of block after block, all with the key of one phrase.
fn through(player: &Player, blocks: &[f32], phrase: &str, device: &Device) -> Result<Vec<f32>> {
    let Config {
        message_bits,
        key_bits,
        ..
    } = player.config;
    let key = key_of(phrase, key_bits)?;
    let mut made = Vec::with_capacity(blocks.len());
    for some in blocks.chunks(TOGETHER * message_bits) {
        let count = some.len() / message_bits;
        // A file holds block after block; the network takes a block a column.
        let text = TensorData::new(some.to_vec(), [count, message_bits]);
        let text = Tensor::<2>::from_data(text, device).transpose();
        let key = Tensor::<1>::from_data(TensorData::new(key.clone(), [key_bits]), device);
        let key = key.reshape([key_bits, 1]).repeat_dim(1, count);
        let output = player.network.with_key(text, key);
        made.extend(weights::values(output.transpose()));
    }
    Ok(made)
}

/// The key of a phrase: the first bits of the sha256 of `0:<phrase>`, `1:<phrase>` and so on, as -1 and 1.
///
/// # Errors
/// [`Kind::Usage`] for an empty phrase.
pub fn key_of(phrase: &str, bits: usize) -> Result<Vec<f32>> {
    if phrase.is_empty() {
        return Err(failure(Kind::Usage, "--key is empty: give any text"));
    }
    let mut key = Vec::with_capacity(bits);
    for number in 0.. {
        let sum = sha256(format!("{number}:{phrase}").as_bytes());
        let digits = sum.chars().filter_map(|digit| digit.to_digit(16));
        key.extend(
            digits.flat_map(|digit| (0..4).rev().map(move |bit| sign(digit >> bit & 1 == 1))),
        );
        if key.len() >= bits {
            break;
        }
    }
    key.truncate(bits);
    Ok(key)
}

fn sign(bit: bool) -> f32 {
    if bit { 1.0 } else { -1.0 }
}

/// The bits of bytes as -1 and 1, the highest of each byte first.
fn to_bits(bytes: &[u8]) -> Vec<f32> {
    bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| sign(byte >> bit & 1 == 1)))
        .collect()
}

/// The bytes of numbers by their sides of 0; what does not fill a byte is left out.
fn to_bytes(bits: &[f32]) -> Vec<u8> {
    bits.chunks_exact(8)
        .map(|bits| {
            bits.iter()
                .fold(0, |byte, bit| byte << 1 | u8::from(*bit > 0.0))
        })
        .collect()
}

impl Ciphertext {
    /// Writes a safetensors file: the tensor `ciphertext` `[blocks, message_bits]`, and what belongs to it.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub fn write(&self, path: &Path, message_bits: usize) -> Result<()> {
        let blocks = HostTensor {
            shape: vec![self.blocks.len() / message_bits, message_bits],
            values: self.blocks.clone(),
        };
        let tensors = Tensors::from([("ciphertext".to_owned(), blocks)]);
        let metadata = [
            ("bytes", self.bytes.to_string()),
            ("reader", self.reader.clone()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
        weights::write(path, &tensors, &metadata.into())
    }

    /// Reads what [`Ciphertext::write`] wrote.
    ///
    /// # Errors
    /// [`Kind::Data`] for a file that is missing, damaged or something else.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |what: &str| {
            failure(
                Kind::Data,
                format!(
                    "{} is no ciphertext of `crypto encrypt`: {what}",
                    path.display()
                ),
            )
        };
        let mut file =
            weights::read(path).map_err(|error| failure(Kind::Data, format!("{error:#}")))?;
        let blocks = file
            .tensors
            .remove("ciphertext")
            .ok_or_else(|| refuse("it has no tensor ciphertext"))?;
        if blocks.values.iter().any(|value| !value.is_finite()) {
            return Err(refuse("it holds a value that is not finite"));
        }
        let bytes = file.metadata.get("bytes");
        let bytes: usize = bytes
            .and_then(|bytes| bytes.parse().ok())
            .filter(|bytes| (1..=MOST_BYTES).contains(bytes))
            .ok_or_else(|| refuse("it does not say how long the text is"))?;
        let reader = file
            .metadata
            .remove("reader")
            .ok_or_else(|| refuse("it does not say who can read it"))?;
        Ok(Self {
            blocks: blocks.values,
            bytes,
            reader,
        })
    }
}

/// `encrypt`.
#[derive(Debug, Clone, clap::Args)]
pub struct EncryptCommand {
    /// The text.
    #[arg(
        value_name = "TEXT",
        required_unless_present = "input",
        conflicts_with = "input"
    )]
    pub text: Option<String>,
    /// A file with the text instead.
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The phrase that the key of all blocks is made from.
    #[arg(short, long, value_name = "PHRASE")]
    pub key: String,
    /// The file of the ciphertext.
    #[arg(short, long, value_name = "FILE", default_value = "cipher.safetensors")]
    pub output: PathBuf,
    /// Which weights.
    #[command(flatten)]
    pub weights: WeightArguments,
}

/// `decrypt`.
#[derive(Debug, Clone, clap::Args)]
pub struct DecryptCommand {
    /// The file of the ciphertext.
    #[arg(value_name = "FILE", default_value = "cipher.safetensors")]
    pub input: PathBuf,
    /// The phrase that it was encrypted with.
    #[arg(short, long, value_name = "PHRASE")]
    pub key: String,
    /// The file of the text; without it, the text is printed.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which weights.
    #[command(flatten)]
    pub weights: WeightArguments,
}

/// A text from a file, of bearable length.
fn text_of(path: &Path) -> Result<Vec<u8>> {
    let (file, _) = regular::open(Kind::Data, "open", path)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| at_path(Kind::Data, "read", path, &error))?;
    if text.len() > MOST_BYTES {
        return Err(failure(
            Kind::Data,
            format!(
                "{} is longer than {MOST_BYTES} bytes: encrypt a shorter text",
                path.display()
            ),
        ));
    }
    Ok(text)
}

/// `crypto encrypt`.
///
/// # Errors
/// When the checkpoint cannot be used, the text is empty or too long, or a file cannot be read or written.
pub fn encrypt(command: &EncryptCommand) -> Result<()> {
    key_of(&command.key, 1)?;
    let text = match (&command.input, &command.text) {
        (Some(path), _) => text_of(path)?,
        (None, text) => text.clone().unwrap_or_default().into_bytes(),
    };
    let pair = Pair::find(&command.weights, Voice::Normal)?;
    let console = Console::new(Voice::Normal);
    console.warn(NOTE);
    let cipher = pair.encrypt(&text, &command.key)?;
    let bits = pair.alice.config.message_bits;
    cipher.write(&command.output, bits)?;
    let read = to_bits(&pair.decrypt(&cipher, &command.key)?);
    let sent = to_bits(&text);
    let wrong = sent.iter().zip(&read).filter(|(sent, read)| sent != read);
    let wrong = wrong.count();
    if wrong > 0 {
        console.warn(&format!(
            "Bob reads {wrong} of {} bits wrong: these two do not understand each other well enough",
            sent.len()
        ));
    }
    console.say(&format!(
        "{} bytes in {} blocks of {bits} numbers in {}",
        text.len(),
        cipher.blocks.len() / bits,
        command.output.display()
    ));
    Ok(())
}

/// `crypto decrypt`.
///
/// # Errors
/// When the checkpoint cannot be used or is another one, or a file cannot be read or written.
pub fn decrypt(command: &DecryptCommand) -> Result<()> {
    key_of(&command.key, 1)?;
    let cipher = Ciphertext::read(&command.input)?;
    let device = device::parse(&command.weights.device)?;
    let bob = command.weights.open("bob", &device)?;
    Console::new(Voice::Normal).warn(NOTE);
    check_reader(&bob, &cipher)?;
    let bits = through(&bob, &cipher.blocks, &command.key, &device)?;
    let mut text = to_bytes(&bits);
    text.truncate(cipher.bytes);
    match &command.output {
        Some(path) => weights::write_atomically(path, &text)?,
        None => {
            // With another key there may be anything in it, which a terminal should not obey.
            let safe = |letter: char| match letter {
                '\n' | '\t' => letter,
                letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
                letter => letter,
            };
            let text: String = String::from_utf8_lossy(&text).chars().map(safe).collect();
            print(&text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_bytes_again() {
        assert_eq!(to_bits(&[0b1010_0001])[..4], [1.0, -1.0, 1.0, -1.0]);
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(&to_bits(&bytes)), bytes);
        // A network's numbers are read by their side.
        assert_eq!(
            to_bytes(&[0.1, -0.2, 0.0, 0.9, -0.9, -0.9, -0.9, 0.01]),
            [0b1001_0001]
        );
    }

    #[test]
    fn a_phrase_is_a_key_of_any_length() {
        let key = key_of("a", 600).unwrap();
        assert_eq!(key.len(), 600);
        assert_eq!(key_of("a", 16).unwrap(), key[..16]);
        assert_ne!(key_of("b", 16).unwrap(), key[..16]);
        assert!(key_of("", 16).is_err());
        let ones = key.iter().filter(|bit| **bit > 0.0).count();
        assert!((250..350).contains(&ones), "{ones}");
    }
}
