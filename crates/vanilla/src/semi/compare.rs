//! With a generator and without: what pictures without labels are worth.

use super::config::{Config, Flags, Method};
use super::evaluate::Mistakes;
use super::train;
use anyhow::Result;
use gan_core::command::{Launch, RunArguments, TrainCommand, print};
use gan_core::config::{Configuration, check_resumable};
use gan_core::failure::{Kind, failure};
use gan_core::{latent, run, weights};
use serde_json::json;
use std::path::PathBuf;

/// `semi compare`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompareCommand {
    /// Seeds, such as 0-2 or 3,7: each chooses labelled pictures and initial weights, the same pictures for both methods.
    #[arg(long, value_name = "LIST", default_value = "0-2")]
    pub seeds: String,
    /// How the names of the runs begin: NAME-SEED-labels and NAME-SEED-gan. Runs that are there already are gone on with,
    /// and finished ones are only measured.
    #[arg(long, default_value = "compare")]
    pub name: String,
    /// The root of all runs.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// A TOML file whose keys override the preset.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A configuration that is compiled in.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Say nothing but warnings, errors and the table.
    #[arg(long)]
    pub quiet: bool,
    /// Write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Overrides.
    #[command(flatten)]
    pub flags: Flags,
}

impl CompareCommand {
    /// The training of one seed by one method; what is there already is gone on with.
    fn training(&self, seed: u64, method: Method) -> Result<TrainCommand<Flags>> {
        let name = format!("{}-{seed}-{}", self.name, method.name());
        let mut flags = self.flags.clone();
        flags.training.seed = Some(seed);
        flags.method = Some(method);
        let mut command = TrainCommand {
            run: RunArguments {
                name: Some(name.clone()),
                out: self.out.clone(),
                config: self.config.clone(),
                preset: self.preset.clone(),
                quiet: self.quiet,
                ..RunArguments::default()
            },
            flags,
        };
        let folder = run::home(&self.out, Config::WORD).join(&name);
        if folder.join("config.toml").is_file() {
            let asked = Launch::<Config>::new(&command)?.config;
            command.run = RunArguments {
                resume: Some(folder.display().to_string()),
                out: self.out.clone(),
                quiet: self.quiet,
                ..RunArguments::default()
            };
            let saved = Launch::<Config>::new(&command)?.config;
            // A preset or a file may ask for other things than those that the run was made with.
            check_resumable(&saved, &asked)?;
            let lengths = |config: &Config| (config.training.steps, config.training.epochs);
            if lengths(&saved) != lengths(&asked) {
                command.flags.training.steps = Some(asked.training.steps);
                command.flags.training.epochs = Some(asked.training.epochs);
            }
        }
        Ok(command)
    }
}

/// The errors of both methods for a seed.
struct Row {
    seed: u64,
    labels: Mistakes,
    gan: Mistakes,
}

/// Mean and standard deviation over seeds, both 0 of none; the deviation as of a sample.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

fn table(rows: &[Row], config: &Config) -> String {
    let mut lines = vec![format!(
        "errors on {} test pictures, with {} labels",
        rows.first().map_or(0, |row| row.labels.pictures()),
        config.labels
    )];
    lines.push(format!(
        "{:<6} {:>22} {:>22}",
        "seed", "labels alone", "with a generator"
    ));
    let cell = |mistakes: &Mistakes| format!("{} ({:.2} %)", mistakes.errors(), mistakes.percent());
    for row in rows {
        lines.push(format!(
            "{:<6} {:>22} {:>22}",
            row.seed,
            cell(&row.labels),
            cell(&row.gan)
        ));
    }
    let pictures = rows.first().map_or(1, |row| row.labels.pictures()) as f64;
    let over = |of: &dyn Fn(&Row) -> &Mistakes| {
        let errors: Vec<f64> = rows.iter().map(|row| of(row).errors() as f64).collect();
        let (mean, deviation) = spread(&errors);
        format!(
            "{mean:.0} ± {deviation:.0} ({:.2} %)",
            100.0 * mean / pictures
        )
    };
    lines.push(format!(
        "{:<6} {:>22} {:>22}",
        "mean",
        over(&|row| &row.labels),
        over(&|row| &row.gan)
    ));
    lines.join("\n")
}

/// `vanilla semi compare`.
///
/// # Errors
/// As [`train::train`], and [`Kind::Usage`] for flags that the comparison sets itself.
pub(super) fn compare(command: &CompareCommand) -> Result<()> {
    let seeds = latent::parse_seeds(&command.seeds)?;
    if command.flags.training.seed.is_some() || command.flags.method.is_some() {
        return Err(failure(
            Kind::Usage,
            "a comparison has several seeds and both methods: give --seeds, and leave out --seed and --method",
        ));
    }
    let mut rows = Vec::new();
    let mut config = Config::default();
    for seed in seeds {
        let mut measured = Vec::new();
        for method in Method::ALL {
            let training = command.training(seed, method)?;
            config = Launch::<Config>::new(&training)?.config;
            if let Some(stage) = train::run(&training)? {
                measured.push(stage.mistakes()?);
            }
        }
        if let [labels, gan] = measured[..] {
            rows.push(Row { seed, labels, gan });
        }
    }
    print(&table(&rows, &config));
    if let Some(place) = &command.json {
        let of = |mistakes: &Mistakes| json!({"errors": mistakes.errors(), "percent": mistakes.percent()});
        let all: Vec<_> = rows
            .iter()
            .map(|row| json!({"seed": row.seed, "labels": of(&row.labels), "gan": of(&row.gan)}))
            .collect();
        let text = json!({
            "labels": config.labels,
            "pictures": rows.first().map_or(0, |row| row.labels.pictures()),
            "seeds": all,
        });
        weights::write_atomically(place, format!("{text:#}\n").as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_means_over_seeds() {
        let mistakes = |errors: usize| {
            let mut mistakes = Mistakes {
                counts: [100; super::super::CLASSES],
                wrong: [0; super::super::CLASSES],
            };
            mistakes.wrong[3] = errors;
            mistakes
        };
        let row = |seed, labels, gan| Row {
            seed,
            labels: mistakes(labels),
            gan: mistakes(gan),
        };
        let said = table(&[row(0, 30, 5), row(1, 50, 7)], &Config::default());
        for part in [
            "errors on 1000 test pictures, with 100 labels",
            "30 (3.00 %)",
            "7 (0.70 %)",
            // The deviation of 30 and 50 is sqrt 200.
            "40 ± 14 (4.00 %)",
            "6 ± 1 (0.60 %)",
        ] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        assert_eq!(spread(&[]), (0.0, 0.0));
        assert_eq!(spread(&[3.0]), (3.0, 0.0));
    }
}
