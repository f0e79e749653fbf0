//! `sweep`: one architecture on one data set with one budget, trained with one technique after the other, each with
//! several seeds, in one table and on one page.
//!
//! A row is a handful of keys over the configuration that the command line names. Every training is a run of its own
//! under the folder of the sweep: it can be looked at, diagnosed and generated from like any other. A sweep that was
//! stopped goes on where it was when the same command is given again.

use crate::command::{RunArguments, TrainCommand, print, save_picture};
use crate::config::{self, Configuration, Layer};
use crate::console::{Console, Voice};
use crate::doctor;
use crate::failure::{Kind, at_path, exit_code, failure};
use crate::latent::parse_seeds;
use crate::plot::{COLOURS, Plot, Style};
use crate::report::{data_url, escape, opening};
use crate::stage::Best;
use crate::weights::write_atomically;
use anyhow::{Context, Result};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One technique: what it is called, what it does, and the keys that switch it on.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// In the table, and in the names of its runs: letters, digits and hyphens.
    pub name: &'static str,
    /// One sentence, with its source.
    pub about: &'static str,
    /// TOML; empty for the configuration as it is.
    pub keys: &'static str,
}

/// A number that the table has for each row.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name in the log, or in what is measured at the end.
    pub name: &'static str,
    /// The head of its column.
    pub title: &'static str,
    /// Which values are good.
    pub best: Best,
    /// Decimals in the table.
    pub decimals: usize,
}

/// `sweep`.
#[derive(Debug, Clone, clap::Args)]
pub struct SweepCommand<F: clap::Args> {
    /// Name of the sweep; the same command with the same name goes on with it.
    #[arg(long, default_value = "sweep")]
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
    /// Which techniques, with commas between; all without it.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub rows: Vec<String>,
    /// A seed a training: 0,1,4-6.
    #[arg(long, default_value = "0-2")]
    pub seeds: String,
    /// Measure the FID of each run, too, with these weights: a file, or `published`.
    #[arg(long, value_name = "WEIGHTS")]
    pub fid: Option<String>,
    /// Samples of each run that are measured at the end.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub samples: u32,
    /// List the techniques with their keys, and train nothing.
    #[arg(long)]
    pub list: bool,
    /// Overrides for every row; they win over a row's own keys.
    #[command(flatten)]
    pub flags: F,
}

/// What one training came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    row: String,
    seed: u64,
    /// Why it has no values: it diverged.
    failed: Option<String>,
    values: BTreeMap<String, f64>,
    health: String,
    seconds: f64,
}

/// From the folder of a finished run and its configuration to measured values by name.
pub type Finish<'a, C> = dyn Fn(&Path, &C) -> Result<BTreeMap<String, f64>> + 'a;

/// What an architecture gives to a sweep.
pub struct Sweep<'a, C, F: clap::Args> {
    /// Every technique, the plain configuration first.
    pub rows: &'a [Row],
    /// The columns, for a configuration.
    pub measures: &'a dyn Fn(&C) -> Vec<Measure>,
    /// Trains.
    pub train: &'a dyn Fn(&TrainCommand<F>) -> Result<()>,
    /// Measures a finished run beyond what is in its log. Further files go into the run's folder.
    pub finish: &'a Finish<'a, C>,
}

/// The mean and the standard deviation (of a sample) of some values; no deviation of a single one.
fn spread(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (
        mean,
        (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
    )
}

impl<C: Configuration, F: clap::Args + Clone + Default + Serialize> Sweep<'_, C, F> {
    /// Trains what is not trained yet, and writes the table and the page.
    ///
    /// # Errors
    /// [`Kind::Usage`] for rows, keys or seeds that are none, before anything is trained; what training reports, but
    /// for [`Kind::Diverged`], which is a result.
    pub fn run(&self, command: &SweepCommand<F>) -> Result<()> {
        let rows = self.chosen(&command.rows)?;
        if command.list {
            let lines = rows.iter().map(|row| {
                let keys = row.keys.trim().replace('\n', ", ");
                format!("{:<26}{}\n{:<26}{keys}", row.name, row.about, "")
            });
            print(&lines.collect::<Vec<_>>().join("\n"));
            return Ok(());
        }
        let seeds = parse_seeds(&command.seeds)?;
        let flags = Layer::flags(&command.flags)?;
        if flags.table.contains_key("seed") {
            let what = "a sweep has several seeds: --seeds 0-2 in place of --seed";
            return Err(failure(Kind::Usage, what));
        }
        let base = self.base(command, &flags)?;
        // Everything is checked before the first hour is spent.
        let mut configs = Vec::new();
        for row in &rows {
            let layers = self.layers(&base, row, &flags)?;
            let config: C = config::merge(&layers).with_context(|| format!("row {}", row.name))?;
            configs.push(config);
        }
        let measures = (self.measures)(&configs[0]);
        let folder = command
            .out
            .join(format!("{}-sweeps", C::WORD))
            .join(&command.name);
        std::fs::create_dir_all(folder.join("configs"))
            .map_err(|error| at_path(Kind::Disk, "create", &folder, &error))?;
        let asked = format!("{}\n# flags\n{}", config::to_toml(&base)?, flags.table);
        self.claim(&folder, &asked)?;
        let console = Console::new(Voice::Normal);
        let mut outcomes = read_outcomes(&folder)?;
        let total = rows.len() * seeds.len();
        for (row, config) in rows.iter().zip(&configs) {
            for seed in &seeds {
                let is_done = |done: &Outcome| done.row == row.name && done.seed == *seed;
                if outcomes.iter().any(is_done) {
                    continue;
                }
                let number = outcomes.len() + 1;
                console.say(&format!("{number} of {total}: {}, seed {seed}", row.name));
                let outcome = self.one(command, &folder, &base, row, *seed, config, &measures)?;
                outcomes.push(outcome);
                write_outcomes(&folder, &outcomes)?;
            }
        }
        let wanted = |done: &Outcome| {
            rows.iter().any(|row| row.name == done.row) && seeds.contains(&done.seed)
        };
        outcomes.retain(wanted);
        let table = table(&rows, &measures, &outcomes);
        write_atomically(&folder.join("table.md"), table.as_bytes())?;
        let page = page(&folder, C::WORD, &rows, &measures, &outcomes);
        write_atomically(&folder.join("sweep.html"), page.as_bytes())?;
        print(&format!(
            "{table}\n{}\n{}",
            folder.join("table.md").display(),
            folder.join("sweep.html").display()
        ));
        Ok(())
    }

    fn chosen(&self, names: &[String]) -> Result<Vec<Row>> {
        if names.is_empty() {
            return Ok(self.rows.to_vec());
        }
        let find = |name: &String| {
            let found = self.rows.iter().find(|row| row.name == name.trim());
            found.copied().ok_or_else(|| {
                let known: Vec<&str> = self.rows.iter().map(|row| row.name).collect();
                failure(
                    Kind::Usage,
                    format!("there is no row {name}; there are: {}", known.join(", ")),
                )
            })
        };
        names.iter().map(find).collect()
    }

    /// The configuration under every row: what `train` would take without flags.
    fn base(&self, command: &SweepCommand<F>, flags: &Layer) -> Result<C> {
        let mut layers = Vec::new();
        match &command.preset {
            Some(name) => layers.push(Layer::preset::<C>(name)?),
            None if command.config.is_none() => {
                layers.push(Layer::preset::<C>(C::default_preset(&flags.table))?);
            }
            None => {}
        }
        if let Some(path) = &command.config {
            layers.push(Layer::read(path)?);
        }
        config::merge(&layers)
    }

    fn layers(&self, base: &C, row: &Row, flags: &Layer) -> Result<[Layer; 3]> {
        let base = Layer::parse("the sweep", &config::to_toml(base)?)?;
        let row = Layer::parse(&format!("row {}", row.name), row.keys)?;
        Ok([base, row, flags.clone()])
    }

    /// Makes sure that the folder is of this sweep: results of another budget would stand beside it.
    fn claim(&self, folder: &Path, asked: &str) -> Result<()> {
        let place = folder.join("sweep.toml");
        match std::fs::read_to_string(&place) {
            Ok(before) if before == asked => Ok(()),
            Ok(_) => Err(failure(
                Kind::Usage,
                format!(
                    "{} is of another configuration: give this sweep another --name",
                    place.display()
                ),
            )),
            Err(_) => write_atomically(&place, asked.as_bytes()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that one training needs")]
    fn one(
        &self,
        command: &SweepCommand<F>,
        folder: &Path,
        base: &C,
        row: &Row,
        seed: u64,
        config: &C,
        measures: &[Measure],
    ) -> Result<Outcome> {
        let name = format!("{}-{seed}", row.name);
        let run = folder.join(C::WORD).join(&name);
        let seeded = Layer::parse("the seed", &format!("seed = {seed}"))?;
        let [base, keys, _] = self.layers(base, row, &seeded)?;
        let keys: C = config::merge(&[base, keys, seeded])?;
        let place = folder.join("configs").join(format!("{name}.toml"));
        write_atomically(&place, config::to_toml(&keys)?.as_bytes())?;
        let is_begun = run.join("config.toml").is_file();
        let training = TrainCommand {
            run: RunArguments {
                out: folder.to_owned(),
                quiet: true,
                name: (!is_begun).then(|| name.clone()),
                config: (!is_begun).then_some(place),
                resume: is_begun.then(|| name.clone()),
                ..RunArguments::default()
            },
            flags: if is_begun {
                F::default()
            } else {
                command.flags.clone()
            },
        };
        let failed = match (self.train)(&training) {
            Ok(()) => None,
            Err(error) if exit_code(&error) == Kind::Diverged.exit_code() => {
                Some(format!("{error:#}"))
            }
            Err(error) => return Err(error.context(format!("row {}, seed {seed}", row.name))),
        };
        let mut values = BTreeMap::new();
        if failed.is_none() {
            let logged = last_values(&run)?;
            values = (self.finish)(&run, config)?;
            for measure in measures {
                if let Some(value) = logged.get(measure.name) {
                    values.insert(measure.name.to_owned(), *value);
                }
            }
        }
        let logs = doctor::read(&run).unwrap_or_default();
        let health: Vec<String> = logs
            .iter()
            .filter(|(_, doctor)| !doctor.is_silent())
            .map(|(_, doctor)| doctor.health())
            .collect();
        Ok(Outcome {
            row: row.name.to_owned(),
            seed,
            failed,
            values,
            health: health.join("; "),
            seconds: last_values(&run)?
                .get("elapsed_s")
                .copied()
                .unwrap_or(f64::NAN),
        })
    }
}

/// Writes pictures into a folder as 000000.png, 000001.png, ..., and gives their places in order.
///
/// # Errors
/// [`Kind::Disk`].
pub fn write_pictures(pictures: &[RgbImage], folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)
        .map_err(|error| at_path(Kind::Disk, "create", folder, &error))?;
    let write = |(number, picture): (usize, &RgbImage)| {
        let place = folder.join(format!("{number:06}.png"));
        save_picture(&place, picture)?;
        Ok(place)
    };
    pictures.iter().enumerate().map(write).collect()
}

/// The lines of a log, in order.
fn log(run: &Path) -> Result<Vec<serde_json::Map<String, Value>>> {
    let place = run.join("metrics.jsonl");
    let text = match std::fs::read_to_string(&place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(at_path(Kind::Disk, "read", &place, &error)),
    };
    let row = |line: &str| serde_json::from_str(line).ok();
    Ok(text.lines().filter_map(row).collect())
}

/// The newest value of each name in a log.
fn last_values(run: &Path) -> Result<BTreeMap<String, f64>> {
    let mut last = BTreeMap::new();
    for row in log(run)? {
        for (name, value) in row {
            if let Some(value) = value.as_f64() {
                last.insert(name, value);
            }
        }
    }
    Ok(last)
}

fn read_outcomes(folder: &Path) -> Result<Vec<Outcome>> {
    let place = folder.join("results.jsonl");
    let text = match std::fs::read_to_string(&place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at_path(Kind::Disk, "read", &place, &error)),
    };
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                failure(
                    Kind::Usage,
                    format!(
                        "{} line {}: {error}: remove the line, and its training is done again",
                        place.display(),
                        number + 1
                    ),
                )
            })
        })
        .collect()
}

fn write_outcomes(folder: &Path, outcomes: &[Outcome]) -> Result<()> {
    let mut text = String::new();
    for outcome in outcomes {
        text += &serde_json::to_string(outcome)?;
        text.push('\n');
    }
    write_atomically(&folder.join("results.jsonl"), text.as_bytes())
}

/// The values of a measure for a row that did not fail.
fn values_of(outcomes: &[Outcome], row: &str, measure: &str) -> Vec<f64> {
    let of_row = outcomes.iter().filter(|outcome| outcome.row == row);
    of_row
        .filter_map(|outcome| outcome.values.get(measure).copied())
        .collect()
}

fn cell(values: &[f64], decimals: usize) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    match spread(values) {
        (mean, Some(deviation)) => format!("{mean:.decimals$} ± {deviation:.decimals$}"),
        (mean, None) => format!("{mean:.decimals$}"),
    }
}

/// The table as Markdown: mean and standard deviation over the seeds.
fn table(rows: &[Row], measures: &[Measure], outcomes: &[Outcome]) -> String {
    let mut text = String::from("| technique | keys |");
    for measure in measures {
        let _ = write!(text, " {} |", measure.title);
    }
    text.push_str(" seeds | seconds |\n|---|---|");
    text.push_str(&"---|".repeat(measures.len() + 2));
    text.push('\n');
    for row in rows {
        let own: Vec<&Outcome> = outcomes
            .iter()
            .filter(|done| done.row == row.name)
            .collect();
        let keys: Vec<String> = row
            .keys
            .trim()
            .lines()
            .map(|key| format!("`{key}`"))
            .collect();
        let _ = write!(text, "| {} | {} |", row.name, keys.join(", "));
        for measure in measures {
            let values = values_of(outcomes, row.name, measure.name);
            let _ = write!(text, " {} |", cell(&values, measure.decimals));
        }
        let failed = own.iter().filter(|done| done.failed.is_some()).count();
        let failed = match failed {
            0 => String::new(),
            some => format!(", {some} diverged"),
        };
        let seconds: Vec<f64> = own.iter().map(|done| done.seconds).collect();
        let _ = writeln!(text, " {}{failed} | {} |", own.len(), cell(&seconds, 1));
    }
    text
}

const STYLE: &str = "<style>table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
    td,th{padding:.3rem .7rem;text-align:left;border-bottom:1px solid #8884}\
    td.best{font-weight:700}.shots{display:flex;flex-wrap:wrap;gap:.6rem}\
    .shots img{height:220px;width:auto}.wide img{max-width:100%}</style>\n";

/// The page: the table, the curves of each measure, and each row's last samples beside what the doctor says.
fn page(
    folder: &Path,
    word: &str,
    rows: &[Row],
    measures: &[Measure],
    outcomes: &[Outcome],
) -> String {
    let mut page = opening(
        &format!("{word}: techniques side by side"),
        &folder.display().to_string(),
        &["Means and standard deviations over the seeds; nothing was chosen.".to_owned()],
        &[],
    );
    page.push_str(STYLE);
    page.push_str("<section><table><tr><th>technique</th>");
    for measure in measures {
        let _ = write!(page, "<th>{}</th>", escape(measure.title));
    }
    page.push_str("</tr>\n");
    let means: Vec<Vec<Option<f64>>> = rows
        .iter()
        .map(|row| {
            let of = |measure: &Measure| {
                let values = values_of(outcomes, row.name, measure.name);
                (!values.is_empty()).then(|| spread(&values).0)
            };
            measures.iter().map(of).collect()
        })
        .collect();
    for (row, own) in rows.iter().zip(&means) {
        let _ = write!(
            page,
            "<tr><td><a href=\"#{0}\">{0}</a></td>",
            escape(row.name)
        );
        for (place, measure) in measures.iter().enumerate() {
            let all = means.iter().filter_map(|row| row[place]);
            let best = match measure.best {
                Best::Largest => all.reduce(f64::max),
                Best::Smallest => all.reduce(f64::min),
                Best::Untold => None,
            };
            let is_best = own[place].is_some() && own[place] == best;
            let class = if is_best { " class=\"best\"" } else { "" };
            let values = values_of(outcomes, row.name, measure.name);
            let _ = write!(page, "<td{class}>{}</td>", cell(&values, measure.decimals));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></section>\n");
    for row in rows {
        let _ = writeln!(
            page,
            "<section id=\"{0}\"><h2>{0}</h2><p>{1}</p><p><code>{2}</code></p>",
            escape(row.name),
            escape(row.about),
            escape(&row.keys.trim().replace('\n', ", "))
        );
        let own: Vec<&Outcome> = outcomes
            .iter()
            .filter(|done| done.row == row.name)
            .collect();
        page.push_str("<ul>");
        for done in &own {
            let said = done.failed.as_deref().unwrap_or(&done.health);
            let _ = write!(page, "<li>seed {}: {}</li>", done.seed, escape(said));
        }
        page.push_str("</ul>\n<div class=\"shots\">");
        let runs: Vec<PathBuf> = own
            .iter()
            .map(|done| {
                folder
                    .join(word)
                    .join(format!("{}-{}", row.name, done.seed))
            })
            .collect();
        for (run, done) in runs.iter().zip(&own) {
            if let Some(bytes) = last_sample(run) {
                let _ = write!(
                    page,
                    "<img alt=\"samples of {}, seed {}\" src=\"{}\">",
                    escape(row.name),
                    done.seed,
                    data_url("image/png", &bytes)
                );
            }
        }
        page.push_str("</div>\n<div class=\"wide\">");
        for measure in measures {
            if let Some(bytes) = curves(&runs, measure) {
                let _ = write!(
                    page,
                    "<img alt=\"{} over the steps\" src=\"{}\">",
                    escape(measure.title),
                    data_url("image/png", &bytes)
                );
            }
        }
        page.push_str("</div></section>\n");
    }
    page.push_str("</main></body></html>\n");
    page
}

/// The newest picture of samples of a run.
fn last_sample(run: &Path) -> Option<Vec<u8>> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(run.join("samples"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("step_") && name.ends_with(".png")
        })
        .collect();
    names.sort();
    std::fs::read(names.last()?).ok()
}

/// A plot of a measure over the steps, a line for each seed, as PNG; none where it is not in the logs.
fn curves(runs: &[PathBuf], measure: &Measure) -> Option<Vec<u8>> {
    let mut plot = Plot::new(measure.title, "step", "");
    let mut has_any = false;
    for (run, colour) in runs.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<[f64; 2]> = log(run)
            .ok()?
            .iter()
            .filter_map(|row| Some([row.get("step")?.as_f64()?, row.get(measure.name)?.as_f64()?]))
            .collect();
        if points.len() < 2 {
            continue;
        }
        has_any = true;
        let name = run.file_name().unwrap_or_default().to_string_lossy();
        plot = plot.line(&name, points, Style::solid(*colour));
    }
    if !has_any {
        return None;
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    plot.draw(420, 260)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .ok()?;
    Some(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [Row; 2] = [
        Row {
            name: "plain",
            about: "As it is.",
            keys: "",
        },
        Row {
            name: "smooth",
            about: "Less certain.",
            keys: "label_smoothing = 0.9\nfake_label = 0.1",
        },
    ];

    const MEASURES: [Measure; 2] = [
        Measure {
            name: "modes",
            title: "modes",
            best: Best::Largest,
            decimals: 1,
        },
        Measure {
            name: "fid",
            title: "FID",
            best: Best::Smallest,
            decimals: 2,
        },
    ];

    fn outcome(row: &str, seed: u64, modes: Option<f64>) -> Outcome {
        Outcome {
            row: row.to_owned(),
            seed,
            failed: modes.is_none().then(|| "loss_d is NaN <here>".to_owned()),
            values: modes
                .map(|modes| ("modes".to_owned(), modes))
                .into_iter()
                .collect(),
            health: "nothing lasting is wrong".to_owned(),
            seconds: 2.0,
        }
    }

    #[test]
    fn the_table_has_means_spreads_and_what_diverged() {
        let outcomes = [
            outcome("plain", 0, Some(2.0)),
            outcome("plain", 1, Some(4.0)),
            outcome("smooth", 0, Some(8.0)),
            outcome("smooth", 1, None),
        ];
        let lines: Vec<String> = table(&ROWS, &MEASURES, &outcomes)
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(
            lines,
            [
                "| technique | keys | modes | FID | seeds | seconds |",
                "|---|---|---|---|---|---|",
                "| plain |  | 3.0 ± 1.4 | - | 2 | 2.0 ± 0.0 |",
                "| smooth | `label_smoothing = 0.9`, `fake_label = 0.1` | 8.0 | - | 2, 1 diverged | 2.0 ± 0.0 |",
            ]
        );
        let folder = tempfile::tempdir().unwrap();
        let page = page(folder.path(), "sample", &ROWS, &MEASURES, &outcomes);
        assert!(
            page.contains("<td class=\"best\">8.0</td>")
                && page.contains("loss_d is NaN &lt;here&gt;")
        );
    }

    #[test]
    fn results_are_read_again_and_a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let outcomes = vec![outcome("plain", 0, Some(2.0)), outcome("smooth", 3, None)];
        write_outcomes(folder.path(), &outcomes).unwrap();
        assert_eq!(read_outcomes(folder.path()).unwrap(), outcomes);
        let place = folder.path().join("results.jsonl");
        let text = std::fs::read_to_string(&place).unwrap();
        std::fs::write(&place, text + "{\"row\":").unwrap();
        let error = read_outcomes(folder.path()).unwrap_err().to_string();
        assert!(error.contains("results.jsonl line 3"), "{error}");
    }
}
