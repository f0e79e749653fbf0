//! `bench`: the workspace's networks and operators beside PyTorch, on this machine, in one run.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use convolution::threads;
use std::path::PathBuf;

mod loaders;
mod machine;
mod memory;
mod metrics;
mod networks;
mod operators;
mod peer;
mod table;

/// Times the networks and operators of this workspace, and PyTorch's in turn where it is installed.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Training steps and inference of every network (the default).
    Networks,
    /// Every convolution of the eight architectures: forward and both gradients.
    Ops,
    /// The measures of `eval` beside the reference tools.
    Metrics,
    /// The share of a training step that waits for its batch.
    Data,
    /// The memory that one row of `networks` takes in a process of its own.
    #[command(hide = true)]
    Memory { row: String },
    /// One piece of the measures' work in a process of its own.
    #[command(hide = true)]
    Metric { work: String, folder: PathBuf },
}

/// What all benchmarks share.
#[derive(Args)]
struct Options {
    /// Only rows whose name contains this.
    #[arg(long, global = true, default_value = "")]
    only: String,
    /// Rounds in which both sides take turns.
    #[arg(long, global = true, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The Python that has PyTorch, or "none" to leave PyTorch out.
    #[arg(long, global = true, default_value = "python3", env = "BENCH_PYTHON")]
    python: String,
    /// Threads of both sides; all cores by default.
    #[arg(long, global = true)]
    threads: Option<usize>,
    /// Writes the rows as JSON: `[{name, kind, ours_ms, torch_ms, ratio, ..}]`.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Writes the table as Markdown.
    #[arg(long, global = true)]
    markdown: Option<PathBuf>,
    /// Measures although other programs keep the machine busy: the ratios then mean little.
    #[arg(long, global = true)]
    busy: bool,
}

fn main() -> std::process::ExitCode {
    convolution::allocator::keep_memory();
    match run(&Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            table::complain(&format!("error: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let options = &cli.options;
    let threads = options.threads.unwrap_or_else(threads::usual);
    threads::take_part(threads);
    if let Some(Command::Memory { row }) = &cli.command {
        return memory::report(row);
    }
    if let Some(Command::Metric { work, folder }) = &cli.command {
        return metrics::report(work, folder, options.rounds);
    }
    if !options.busy {
        machine::check_idle()?;
    }
    let rows = match &cli.command {
        None | Some(Command::Networks | Command::Memory { .. } | Command::Metric { .. }) => {
            networks::measure(options, threads)?
        }
        Some(Command::Ops) => operators::measure(options, threads)?,
        Some(Command::Metrics) => metrics::measure(options, threads)?,
        Some(Command::Data) => loaders::measure(options)?,
    };
    if rows.is_empty() {
        anyhow::bail!("no row's name contains {:?}", options.only);
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &options.markdown {
        std::fs::write(path, table::markdown(&rows))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
