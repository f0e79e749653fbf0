//! Configuration: defaults, overlaid by a preset, by a file, by flags.
//!
//! One declaration ([`configuration!`](crate::configuration)) gives the typed configuration with
//! its defaults and the command-line flags of the same names. A key is a flag: `batch_size` in TOML
//! is `--batch-size`.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Declares a configuration struct with its defaults, and a struct of optional flags with the same
/// names. With `, training = DEFAULTS;` both also hold the shared [`Training`] keys, flattened.
#[macro_export]
macro_rules! configuration {
    (
        $(#[$outer:meta])*
        $config:ident, $flags:ident, training = $training:expr
            $(, $group:ident: $keys:ty, $key_flags:ty)?;
        $(
            $(#[doc = $doc:literal])+
            $(#[arg($($argument:tt)*)])?
            $name:ident : $kind:ty = $default:expr;
        )*
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $config {
            $( $(#[doc = $doc])+ pub $name: $kind, )*
            /// The keys that every architecture has.
            #[serde(flatten)]
            pub training: $crate::config::Training,
            $(
                /// Keys that some architectures have.
                #[serde(flatten)]
                pub $group: $keys,
            )?
        }
        impl Default for $config {
            fn default() -> Self {
                Self {
                    $( $name: $default, )*
                    training: $training,
                    $( $group: <$keys>::default(), )?
                }
            }
        }
        #[doc = concat!("Flags that override a [`", stringify!($config), "`].")]
        #[derive(Debug, Clone, Default, ::serde::Serialize, ::clap::Args)]
        pub struct $flags {
            $(
                $(#[doc = $doc])+
                #[arg(long, allow_negative_numbers = true $(, $($argument)*)?)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$kind>,
            )*
            /// The flags that every architecture has.
            #[command(flatten)]
            #[serde(flatten)]
            pub training: $crate::config::TrainingFlags,
            $(
                /// Flags that some architectures have.
                #[command(flatten)]
                #[serde(flatten)]
                pub $group: $key_flags,
            )?
        }
    };
    (
        $(#[$outer:meta])*
        $config:ident, $flags:ident;
        $(
            $(#[doc = $doc:literal])+
            $(#[arg($($argument:tt)*)])?
            $name:ident : $kind:ty = $default:expr;
        )*
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $config {
            $( $(#[doc = $doc])+ pub $name: $kind, )*
        }
        impl Default for $config {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }
        #[doc = concat!("Flags that override a [`", stringify!($config), "`].")]
        #[derive(Debug, Clone, Default, ::serde::Serialize, ::clap::Args)]
        pub struct $flags {
            $(
                $(#[doc = $doc])+
                #[arg(long, allow_negative_numbers = true $(, $($argument)*)?)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$kind>,
            )*
        }
    };
}

configuration! {
    /// What every training can be told.
    Training, TrainingFlags;
    /// Folder or file of training data; empty for the built-in procedural stand-in.
    #[arg(alias = "dataroot", value_name = "PATH")]
    data: String = String::new();
    /// Where to compute: auto, cpu, or a backend that was compiled in (ndarray, tch, cuda, wgpu, ...).
    device: String = "auto".to_owned();
    /// Every random number of the run follows from it.
    seed: u64 = 0;
    /// Steps (batches) to train; 0 leaves it to --epochs.
    steps: u64 = 0;
    /// Passes over the data, where --steps is 0.
    epochs: u64 = 25;
    /// Pictures a step.
    batch_size: usize = 128;
    /// Parts of a batch that are computed one after the other, their gradients added up: as many times less memory
    /// for about the same time. Each part has batch statistics of its own.
    accumulate: usize = 1;
    /// Threads that prepare batches ahead; the result does not depend on it.
    workers: usize = 1;
    /// Steps between log lines.
    log_every: u64 = 50;
    /// Steps between sample pictures.
    sample_every: u64 = 500;
    /// Steps between checkpoints.
    save_every: u64 = 1000;
    /// Checkpoints kept; at least the newest always is.
    keep: usize = 2;
}

/// Keys that do not decide the bytes of a checkpoint, or say where a file lies that does.
const VOLATILE: [&str; 10] = [
    "data",
    "vgg",
    "device",
    "workers",
    "steps",
    "epochs",
    "log_every",
    "sample_every",
    "save_every",
    "keep",
];

/// Keys that may differ between a run and its resumption.
const RESUMABLE: [&str; 6] = ["steps", "epochs", "data", "vgg", "device", "workers"];

/// A whole configuration of an architecture.
pub trait Configuration: Serialize + DeserializeOwned + Default + Clone {
    /// The architecture's word.
    const WORD: &'static str;
    /// Name and TOML text of every preset that is compiled in; `quick` and `paper` are among them.
    const PRESETS: &'static [(&'static str, &'static str)];

    /// The preset that `train` uses when neither data, configuration nor preset is named.
    fn default_preset(_flags: &toml::Table) -> &'static str {
        "quick"
    }

    /// The shared keys.
    fn training(&self) -> &Training;

    /// Further keys that may differ between a run and its resumption: lengths of stages that nothing follows.
    fn lengths(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether learning rates depend on the length of the run, so that a longer one has others at the same step.
    fn decays(&self) -> bool {
        false
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// A [`Kind::Usage`] failure that names the key, its value and what is legal.
    fn validate(&self) -> Result<()>;
}

/// The origin of what the command line says.
const FLAGS: &str = "flags";

/// Keys and values from one place, for messages.
#[derive(Debug, Clone)]
pub struct Layer {
    /// "preset mnist", a file's path, or "flags".
    pub origin: String,
    /// The keys that it sets.
    pub table: toml::Table,
}

impl Layer {
    /// The keys of a TOML text.
    ///
    /// # Errors
    /// A [`Kind::Usage`] failure with line and column.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let table = text
            .parse()
            .map_err(|error| failure(Kind::Usage, format!("{origin}: {error}")))?;
        Ok(Self {
            origin: origin.to_owned(),
            table,
        })
    }

    /// The keys of a TOML file.
    ///
    /// # Errors
    /// A [`Kind::Usage`] failure that names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| at_path(Kind::Usage, "read", path, &error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The flags that were given.
    ///
    /// # Errors
    /// Never in practice: flags are plain values.
    pub fn flags(flags: &impl Serialize) -> Result<Self> {
        Ok(Self {
            origin: FLAGS.to_owned(),
            table: toml::Table::try_from(flags).map_err(|error| match too_large(flags) {
                Some((key, value)) => {
                    illegal(&key, value, "it is too large; at most 9223372036854775807")
                }
                None => failure(Kind::Usage, format!("a flag's value is not legal: {error}")),
            })?,
        })
    }

    /// The keys of a preset.
    ///
    /// # Errors
    /// A [`Kind::Usage`] failure that lists the presets.
    pub fn preset<C: Configuration>(name: &str) -> Result<Self> {
        let known = || C::PRESETS.iter().map(|(name, _)| *name);
        match C::PRESETS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(&format!("preset {name}"), text),
            None => Err(failure(
                Kind::Usage,
                format!(
                    "there is no preset {name} of {}; there are: {}",
                    C::WORD,
                    known().collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }
}

/// Overlays the defaults with each layer in turn.
///
/// # Errors
/// A [`Kind::Usage`] failure that names the layer and the key: unknown (with the nearest known key),
/// of the wrong type, or refused by [`Configuration::validate`].
pub fn merge<C: Configuration>(layers: &[Layer]) -> Result<C> {
    let defaults = toml::Table::try_from(C::default())?;
    let mut table = defaults.clone();
    for layer in layers {
        for (key, value) in &layer.table {
            if !defaults.contains_key(key) {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "{}: unknown key {key}{}",
                        layer.origin,
                        nearest(key, defaults.keys())
                            .map(|near| format!("; did you mean {near}?"))
                            .unwrap_or_default()
                    ),
                ));
            }
            let mut single = defaults.clone();
            single.insert(key.clone(), value.clone());
            if let Err(error) = single.try_into::<C>() {
                let reason = error.to_string();
                let reason = reason.lines().next().unwrap_or("wrong value");
                return Err(failure(
                    Kind::Usage,
                    format!("{}: {key} = {value}: {reason}", layer.origin),
                ));
            }
            table.insert(key.clone(), value.clone());
        }
        if layer.table.contains_key("epochs") && !layer.table.contains_key("steps") {
            // Steps of an earlier layer would hide the epochs that are asked for here.
            table.insert("steps".to_owned(), 0.into());
        }
    }
    let config: C = table.try_into()?;
    if let Err(error) = check(&config) {
        // The first layer with which it goes wrong is the place to mend it.
        let guilty = (1..layers.len()).find(|&some| merge::<C>(&layers[..some]).is_err());
        let origin = match guilty {
            Some(some) => &layers[some - 1].origin,
            None => layers.last().map_or(FLAGS, |layer| &layer.origin),
        };
        return Err(if origin == FLAGS {
            error
        } else {
            failure(Kind::Usage, format!("{origin}: {error}"))
        });
    }
    Ok(config)
}

fn check<C: Configuration>(config: &C) -> Result<()> {
    check_training(config.training())?;
    config.validate()
}

fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known
        .map(|candidate| (strsim::jaro_winkler(key, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A [`Kind::Usage`] failure for a key whose value is not legal.
pub fn illegal(key: &str, value: impl std::fmt::Display, legal: &str) -> anyhow::Error {
    let flag = key.replace('_', "-");
    failure(
        Kind::Usage,
        format!("{key} = {value} is not legal: {legal} (flag --{flag})"),
    )
}

/// The flag whose number TOML cannot hold.
fn too_large(flags: &impl Serialize) -> Option<(String, serde_json::Value)> {
    let all = serde_json::to_value(flags).ok()?;
    let is_too_large = |value: &serde_json::Value| {
        value
            .as_u64()
            .is_some_and(|number| i64::try_from(number).is_err())
    };
    all.as_object()?
        .iter()
        .find(|(_, value)| is_too_large(value))
        .map(|(key, value)| (key.clone(), value.clone()))
}

/// No memory holds a step of more samples.
const MOST_BATCH: usize = 1 << 20;

fn check_training(training: &Training) -> Result<()> {
    let at_least_one = [
        ("accumulate", training.accumulate as u64),
        ("batch_size", training.batch_size as u64),
        ("log_every", training.log_every),
        ("sample_every", training.sample_every),
        ("save_every", training.save_every),
        ("keep", training.keep as u64),
    ];
    for (key, value) in at_least_one {
        if value == 0 {
            return Err(illegal(key, value, "it must be at least 1"));
        }
    }
    if training.batch_size > MOST_BATCH {
        let legal = format!("it must be at most {MOST_BATCH}");
        return Err(illegal("batch_size", training.batch_size, legal.as_str()));
    }
    if !training.batch_size.is_multiple_of(training.accumulate) {
        let legal = format!("it must divide batch_size = {}", training.batch_size);
        return Err(illegal("accumulate", training.accumulate, &legal));
    }
    if training.steps == 0 && training.epochs == 0 {
        return Err(illegal("epochs", 0, "steps and epochs cannot both be 0"));
    }
    if training.workers > 64 {
        return Err(illegal("workers", training.workers, "at most 64"));
    }
    // TOML integers are signed.
    if training.seed > i64::MAX as u64 {
        return Err(illegal("seed", training.seed, "at most 2^63 - 1"));
    }
    Ok(())
}

/// The configuration as TOML, re-runnable with `--config`.
///
/// # Errors
/// Never in practice: a configuration is plain values.
pub fn to_toml<C: Configuration>(config: &C) -> Result<String> {
    Ok(toml::to_string(config)?)
}

/// The part of the configuration that decides the bytes of a checkpoint, as TOML.
///
/// # Errors
/// Never in practice: a configuration is plain values.
pub fn identity<C: Configuration>(config: &C) -> Result<String> {
    let mut table = toml::Table::try_from(config)?;
    for key in VOLATILE.iter().chain(config.lengths()) {
        table.remove(*key);
    }
    Ok(toml::to_string(&table)?)
}

/// Reads a configuration back from [`identity`]; keys that are missing take their defaults.
///
/// # Errors
/// A [`Kind::Checkpoint`] failure with the reason of [`merge`] and `origin`.
pub fn from_identity<C: Configuration>(origin: &str, text: &str) -> Result<C> {
    Layer::parse(origin, text)
        .and_then(|layer| merge(&[layer]))
        .map_err(|error| failure(Kind::Checkpoint, format!("its configuration: {error:#}")))
}

/// Refuses to resume when a key other than `steps`, `epochs`, `data`, `vgg`, `device`, `workers` or one of
/// [`Configuration::lengths`] differs.
///
/// # Errors
/// A [`Kind::Usage`] failure that names every differing key with both values.
pub fn check_resumable<C: Configuration>(saved: &C, asked: &C) -> Result<()> {
    let saved_table = toml::Table::try_from(saved)?;
    let asked_table = toml::Table::try_from(asked)?;
    let mut differing = Vec::new();
    for (key, old) in &saved_table {
        let new = &asked_table[key];
        let mut free = RESUMABLE.iter().chain(saved.lengths());
        if old != new && !free.any(|free| free == key) {
            differing.push(format!("{key} is {old} in the run, {new} was asked for"));
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    let lengths: String = saved
        .lengths()
        .iter()
        .map(|key| format!(", --{}", key.replace('_', "-")))
        .collect();
    Err(failure(
        Kind::Usage,
        format!(
            "cannot resume with another configuration: {}. Only --steps and --epochs{lengths} may be raised; \
             start a new run with --init-from to change the rest",
            differing.join("; ")
        ),
    ))
}

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the macro declares public items, as architectures need them"
)]
mod tests {
    use super::*;

    configuration! {
        /// For these tests.
        Sample, SampleFlags, training = Training { batch_size: 64, ..Training::default() };
        /// Width.
        latent_dim: usize = 100;
        /// Rate.
        lr: f64 = 2e-4;
    }

    impl Configuration for Sample {
        const WORD: &'static str = "sample";
        const PRESETS: &'static [(&'static str, &'static str)] = &[("wide", "latent_dim = 200")];
        fn training(&self) -> &Training {
            &self.training
        }
        fn validate(&self) -> Result<()> {
            if self.lr > 0.0 {
                Ok(())
            } else {
                Err(illegal("lr", self.lr, "it must be above 0"))
            }
        }
    }

    fn layer(text: &str) -> Layer {
        Layer::parse("my.toml", text).unwrap()
    }

    #[test]
    fn later_layers_win() {
        let flags = SampleFlags {
            lr: Some(0.1),
            training: TrainingFlags {
                seed: Some(7),
                ..Default::default()
            },
            ..Default::default()
        };
        let config: Sample = merge(&[
            Layer::preset::<Sample>("wide").unwrap(),
            layer("lr = 0.5\nbatch_size = 8"),
            Layer::flags(&flags).unwrap(),
        ])
        .unwrap();
        assert_eq!((config.latent_dim, config.lr), (200, 0.1));
        assert_eq!((config.training.batch_size, config.training.seed), (8, 7));
        assert_eq!(Sample::default().training.batch_size, 64);
    }

    #[test]
    fn errors_name_the_key_and_the_file() {
        let error = |text: &str| merge::<Sample>(&[layer(text)]).unwrap_err().to_string();
        assert_eq!(
            error("bathc_size = 3"),
            "my.toml: unknown key bathc_size; did you mean batch_size?"
        );
        assert!(error("lr = \"fast\"").starts_with("my.toml: lr = \"fast\": invalid type"));
        assert!(error("lr = 0.0").starts_with("my.toml: lr = 0 is not legal"));
        let flags = SampleFlags {
            lr: Some(-1.0),
            ..Default::default()
        };
        let error_of_flag = merge::<Sample>(&[layer("seed = 3"), Layer::flags(&flags).unwrap()]);
        let text = error_of_flag.unwrap_err().to_string();
        assert!(text.starts_with("lr = -1 is not legal"), "{text}");
        assert!(error("batch_size = 0").contains("at least 1"));
        assert!(
            Layer::parse("x.toml", "a = ")
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }

    #[test]
    fn only_steps_may_be_raised_on_resume() {
        let saved = Sample::default();
        let mut asked = saved.clone();
        asked.training.steps = 10;
        check_resumable(&saved, &asked).unwrap();
        asked.latent_dim = 3;
        let error = check_resumable(&saved, &asked).unwrap_err().to_string();
        assert!(
            error.contains("latent_dim is 100 in the run, 3 was asked for"),
            "{error}"
        );
    }

    #[test]
    fn identity_reads_back() {
        let config = Sample {
            latent_dim: 5,
            ..Sample::default()
        };
        let text = identity(&config).unwrap();
        assert!(!text.contains("device"));
        assert_eq!(from_identity::<Sample>("x", &text).unwrap().latent_dim, 5);
    }
}
