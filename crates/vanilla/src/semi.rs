//! Semi-supervised learning (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>, section 5): a classifier that
//! knows the classes of a hundred pictures learns from sixty thousand without labels, because it has to tell them from
//! those of a generator.
//!
//! The classifier has one logit `l_k` for each of K classes, and a further one for "generated" that is fixed to 0, which
//! takes nothing away: logits that all grow alike mean the same. So it is a discriminator too, `D(x) = Z(x) / (Z(x) + 1)`
//! with `Z(x) = sum exp l_k(x)`, whose logit is `log Z(x)`. Beside it, for comparison, the same network learns from the
//! labelled pictures alone.
//!
//! Runs lie in `runs/vanilla semi/`, apart from those of `vanilla train`.

mod compare;
pub mod config;
pub mod data;
mod evaluate;
pub mod networks;
pub mod train;

pub use compare::CompareCommand;
pub use config::Config;
pub use evaluate::{EvaluateCommand, Mistakes};

use anyhow::Result;
use config::Flags;
use gan_core::command::{ExportCommand, InfoCommand, RunsCommand, TrainCommand};
use gan_core::config::Configuration;

/// Classes of the pictures: the ten digits, or Fashion-MNIST's articles.
pub const CLASSES: usize = 10;

/// `semi`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SemiCommand {
    /// Train a classifier on a few labelled pictures, beside a generator or alone; without data on procedural digits.
    Train(TrainCommand<Flags>),
    /// Count a classifier's errors on the test pictures.
    Evaluate(EvaluateCommand),
    /// Train both, with a generator and without, for several seeds, and print a table of their errors.
    Compare(CompareCommand),
    /// Describe a checkpoint.
    Info(InfoCommand),
    /// Write weights for PyTorch, as .pth or .safetensors.
    Export(ExportCommand),
    /// List runs, or free disk space.
    #[command(subcommand)]
    Runs(RunsCommand),
}

impl SemiCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// As each verb.
    pub fn run(&self) -> Result<()> {
        let (word, stages) = (Config::WORD, [train::STAGE]);
        match self {
            Self::Train(command) => train::train(command),
            Self::Evaluate(command) => evaluate::evaluate(command),
            Self::Compare(command) => compare::compare(command),
            Self::Info(command) => command.print(word, &stages),
            Self::Export(command) => command.write(word, &stages),
            Self::Runs(command) => command.print(word),
        }
    }
}
