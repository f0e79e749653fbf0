//! The `eval` binary: how good generated pictures are, measured as the reference tools measure it.

use eval::paired::{self, Measure};
use eval::{compare, fid, pixels, scores, voxels};
use gan_core::command::{self, EXIT_CODES};
use gan_core::published::WeightsCommand;
use std::process::ExitCode;

/// Measures generated pictures as the reference tools do, to the digit, and says how.
#[derive(clap::Parser)]
#[command(name = "eval", version, after_help = EXIT_CODES)]
enum Eval {
    /// Fréchet Inception Distance (Heusel et al. 2017); without flags, of the newest run.
    Fid(fid::FidCommand),
    /// Inception Score (Salimans et al. 2016).
    Is(scores::InceptionScoreCommand),
    /// Mode Score (Che et al. 2017), in three variants.
    ModeScore(scores::ModeScoreCommand),
    /// Kernel Inception Distance (Binkowski et al. 2018).
    Kid(scores::KidCommand),
    /// Precision, recall, density, coverage.
    Prdc(scores::PrdcCommand),
    /// Peak signal-to-noise ratio of pictures in pairs.
    Psnr(paired::PairedCommand),
    /// Structural similarity of pictures in pairs (Wang et al. 2004).
    Ssim(paired::PairedCommand),
    /// Structural similarity at five scales (Wang et al. 2003).
    MsSsim(paired::PairedCommand),
    /// Log-likelihood under Gaussian windows on the samples (Goodfellow et al. 2014).
    Parzen(pixels::ParzenCommand),
    /// Kullback-Leibler and Jensen-Shannon divergence of histograms.
    Divergence(pixels::DivergenceCommand),
    /// The nearest training picture of each sample, and a memorisation score.
    Nn(pixels::NearestCommand),
    /// Coverage, minimum matching distance and 1-NN accuracy of generated shapes.
    Voxels(voxels::VoxelsCommand),
    /// Every measure of several sides in one pass, as a table and a page.
    Compare(compare::CompareCommand),
    /// Save, merge or show statistics (.npz).
    #[command(subcommand)]
    Stats(fid::StatsCommand),
    /// List published weights, or fetch the network's.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Say which devices this program can compute on, and which are here.
    Devices,
}

fn main() -> ExitCode {
    command::run(|command: Eval| match command {
        Eval::Fid(command) => command.run(),
        Eval::Is(command) => command.run(),
        Eval::ModeScore(command) => command.run(),
        Eval::Kid(command) => command.run(),
        Eval::Prdc(command) => command.run(),
        Eval::Psnr(command) => command.run(Measure::Psnr),
        Eval::Ssim(command) => command.run(Measure::Ssim),
        Eval::MsSsim(command) => command.run(Measure::MsSsim),
        Eval::Parzen(command) => command.run(),
        Eval::Divergence(command) => command.run(),
        Eval::Nn(command) => command.run(),
        Eval::Voxels(command) => command.run(),
        Eval::Compare(command) => command.run(),
        Eval::Stats(command) => command.run(),
        Eval::Weights(command) => command.run(),
        Eval::Devices => {
            command::print(&gan_core::device::table());
            Ok(())
        }
    })
}
