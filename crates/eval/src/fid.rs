//! `fid`, and the statistics that it works on: `stats`.

use crate::session::{FileArguments, Keep, Measured, NetworkArguments, Session, SideArguments};
use crate::sides::{Content, Role, Side};
use crate::table::{Table, digits};
use anyhow::Result;
use clap::ValueEnum;
use gan_core::command::print;
use gan_core::failure::{Kind, failure};
use metrics::features::Features;
use metrics::frechet::{Distance, Extrapolation, exact, from_statistics, infinity, to_statistics};
use metrics::inception::FeatureLayer;
use metrics::kernel;
use metrics::npz::StatisticsFile;
use metrics::statistics::{Mean, Moments, Statistics};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dims {
    /// After the first max pool.
    #[value(name = "64")]
    D64,
    /// After the second max pool.
    #[value(name = "192")]
    D192,
    /// Before the auxiliary classifier.
    #[value(name = "768")]
    D768,
    /// Before the classifier: what FID means.
    #[value(name = "2048")]
    D2048,
}

impl Dims {
    /// The layer that has them.
    pub fn layer(self) -> FeatureLayer {
        match self {
            Self::D64 => FeatureLayer::D64,
            Self::D192 => FeatureLayer::D192,
            Self::D768 => FeatureLayer::D768,
            Self::D2048 => FeatureLayer::D2048,
        }
    }
}

/// `fid`.
#[derive(Debug, Clone, clap::Args)]
pub struct FidCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Features of a picture.
    #[arg(long, value_enum, default_value = "2048")]
    dims: Dims,
    /// Seed of the subsets that KID and the extrapolation draw, where there are few pictures.
    #[arg(long, default_value_t = 2020)]
    seed: u32,
}

impl FidCommand {
    /// Prints the distance of each fake side from the real one.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Default::default());
        let (real, fakes) = session.sides(&self.sides)?;
        let layer = self.dims.layer();
        for fake in &fakes {
            check_origin(&mut session, &real, fake, layer)?;
        }
        let real_listed = real.listed.clone();
        let real = session.measure(real, &[layer], Keep::RowsOrMoments)?;
        let mut found = Vec::new();
        for fake in fakes {
            session
                .recipe
                .compression(real_listed.as_ref(), fake.listed.as_ref());
            let fake = session.measure(fake, &[layer], Keep::RowsOrMoments)?;
            let distance = distance(&session, &real, &fake)?;
            let beside = Beside::of(&real, &fake, session.compat.mean_precision(), self.seed)?;
            found.push((fake.name, distance, beside));
        }
        if found.iter().any(|(_, _, beside)| beside.infinity.is_some()) {
            session.recipe.line(
                "at infinite N: a line through the distances of 15 subsets over 1 / N (Chong and Forsyth 2020); noise \
                 may take it below zero",
            );
        }
        session.recipe.put("seed", self.seed);
        session.recipe.put("feature_layer_fid", layer.name());
        if session.is_json() {
            print(&as_json(&session, &found).to_string());
            return Ok(());
        }
        let mut table = Table::new(["", "FID", "KID x 1000", "FID at infinite N"]);
        for (name, distance, beside) in &found {
            table.row([
                name.clone(),
                digits(distance.value),
                beside.kernel_text(),
                beside.infinity.map_or_else(String::new, digits),
            ]);
        }
        print(&table.text());
        print(&session.recipe.text());
        Ok(())
    }
}

fn as_json(session: &Session, found: &[(String, Distance, Beside)]) -> Value {
    let rows: Vec<Value> = found
        .iter()
        .map(|(name, distance, beside)| {
            let mut row = json!({
                "fake": name,
                "frechet_inception_distance": distance.value,
                "mean_term": distance.mean_term,
                "trace_term": distance.trace_term,
                "route": distance.route.to_string(),
            });
            if let Some(kernel) = &beside.kernel {
                row["kernel_inception_distance_mean"] = kernel.mean.into();
                row["kernel_inception_distance_std"] = kernel.deviation.into();
            }
            if let Some(infinity) = beside.infinity {
                row["fid_infinity"] = infinity.into();
            }
            row
        })
        .collect();
    session.json(rows)
}

/// What is told beside a FID of few pictures, because it depends less on their number.
#[derive(Debug, Default)]
struct Beside {
    kernel: Option<kernel::Distance>,
    infinity: Option<f64>,
}

impl Beside {
    fn of(real: &Measured, fake: &Measured, mean: Mean, seed: u32) -> Result<Self> {
        let (Some(real), Some(fake)) = (&real.rows, &fake.rows) else {
            return Ok(Self::default());
        };
        let fewest = real[0].rows().min(fake[0].rows());
        if fewest as u64 >= crate::recipe::FEW || fewest < 4 {
            return Ok(Self::default());
        }
        let settings = kernel::Settings {
            subset_size: fewest.min(1000),
            seed,
            ..kernel::Settings::default()
        };
        let kernel = kernel::distance(&fake[0], &real[0], settings)?;
        // A line through the distances of subsets needs subsets of clearly different sizes.
        let count = fake[0].rows();
        // Equal sets have no bias to take off.
        let infinity = if count >= 64 && real[0] != fake[0] {
            let settings = Extrapolation {
                points: 15,
                smallest: (count / 10).max(16),
                seed,
            };
            Some(infinity(&real[0], &fake[0], mean, settings)?.value)
        } else {
            None
        };
        Ok(Self {
            kernel: Some(kernel),
            infinity,
        })
    }

    fn kernel_text(&self) -> String {
        self.kernel.as_ref().map_or_else(String::new, |kernel| {
            format!("{:.4} ± {:.4}", 1e3 * kernel.mean, 1e3 * kernel.deviation)
        })
    }
}

/// The Fréchet distance of two sides: from the pictures where it is exact, from mean and covariance else.
///
/// # Errors
/// [`Kind::Usage`] for statistics of different origin.
pub fn distance(session: &Session, real: &Measured, fake: &Measured) -> Result<Distance> {
    let mean = session.compat.mean_precision();
    let found = match (&real.rows, &fake.rows) {
        (Some(real), Some(fake)) => exact(&real[0], &fake[0], mean),
        (None, Some(fake)) => to_statistics(&statistics(real, mean)?, &fake[0], mean),
        _ => from_statistics(&statistics(real, mean)?, &statistics(fake, mean)?, mean),
    };
    found.map_err(|error| {
        failure(
            Kind::Data,
            format!("{} (real) and {} (fake): {error:#}", real.name, fake.name),
        )
    })
}

/// Mean and covariance of the first layer.
fn statistics(side: &Measured, mean: Mean) -> Result<Statistics> {
    if let Some(file) = &side.statistics {
        return Statistics::new(file.mean.clone(), file.covariance.clone());
    }
    if let Some(moments) = &side.moments {
        return moments.statistics(mean);
    }
    let rows: Option<&Features> = side.rows.as_ref().and_then(|rows| rows.first());
    let mut moments = Moments::new(rows.map_or(1, Features::dims));
    rows.into_iter().for_each(|rows| moments.push(rows));
    moments.statistics(mean)
}

/// Refuses statistics that were made in different ways, before a network runs over anything.
///
/// # Errors
/// [`Kind::Usage`] that names both sides and what differs.
pub fn check_origin(
    session: &mut Session,
    real: &Side,
    fake: &Side,
    layer: FeatureLayer,
) -> Result<()> {
    let file = |side: &'_ Side| match &side.content {
        Content::Statistics(file) => Some(file.clone()),
        Content::Pictures(_) => None,
    };
    let files = [file(real), file(fake)];
    for (side, file) in [real, fake].into_iter().zip(&files) {
        if let Some(file) = file
            && file.mean.len() != layer.dims()
        {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} holds statistics of {} features, and --dims asks for {}",
                    side.name,
                    file.mean.len(),
                    layer.dims()
                ),
            ));
        }
    }
    let (ours, theirs) = match files {
        [None, None] => return Ok(()),
        [Some(one), Some(other)] => (one.provenance, other.provenance),
        [Some(one), None] | [None, Some(one)] => (one.provenance, Some(session.provenance(layer)?)),
    };
    if let (Some(ours), Some(theirs)) = (ours, theirs)
        && let Some(difference) = ours.difference(&theirs)
    {
        return Err(failure(
            Kind::Usage,
            format!(
                "{} and {} were not made in the same way ({difference}): their distance would mean nothing. \
                 Make both with one --compat, --dims and --weights",
                real.name, fake.name
            ),
        ));
    }
    Ok(())
}

/// `stats`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum StatsCommand {
    /// Mean and covariance of a folder's features, as a .npz that pytorch-fid reads too.
    Save(SaveCommand),
    /// Join the statistics of shards, computed anywhere, to those of the whole.
    Merge {
        /// The shards' .npz files; each says how many pictures it is of.
        #[arg(required = true, num_args = 2..)]
        shards: Vec<PathBuf>,
        /// The new file.
        #[arg(short, long, value_name = "NPZ")]
        output: PathBuf,
    },
    /// Say what a file of statistics is.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// `stats save`.
#[derive(Debug, Clone, clap::Args)]
pub struct SaveCommand {
    /// A folder of pictures, or a run (its training data).
    input: PathBuf,
    /// The new file.
    #[arg(short, long, value_name = "NPZ")]
    output: PathBuf,
    /// Features of a picture.
    #[arg(long, value_enum, default_value = "2048")]
    dims: Dims,
    #[command(flatten)]
    files: FileArguments,
    #[command(flatten)]
    network: NetworkArguments,
}

impl StatsCommand {
    /// Does what was asked.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Save(command) => command.run(),
            Self::Merge { shards, output } => merge(shards, output),
            Self::Show { file } => show(file),
        }
    }
}

impl SaveCommand {
    fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Default::default());
        let side = Side::open(&self.input, Role::Real, self.files.choice(session.compat))?;
        let source = side.pictures("stats save")?;
        let layer = self.dims.layer();
        let total = source.len();
        let mut moments = Moments::new(layer.dims());
        let (side_name, listed) = (side.name.clone(), side.listed.clone());
        let seen = session.stream(source, &side_name, layer, &mut moments)?;
        session
            .recipe
            .pictures(&side_name, Role::Real, listed.as_ref(), &seen, total);
        let file = StatisticsFile {
            mean: moments.mean(),
            covariance: moments.covariance()?,
            count: Some(moments.count() as u64),
            provenance: Some(session.provenance(layer)?),
        };
        file.write(&self.output)?;
        if session.is_json() {
            let row =
                json!({"output": self.output.display().to_string(), "count": moments.count()});
            print(&session.json(vec![row]).to_string());
        } else {
            print(&format!(
                "{}: mean and covariance of {} features of {} pictures",
                self.output.display(),
                layer.dims(),
                moments.count()
            ));
            print(&session.recipe.text());
        }
        Ok(())
    }
}

fn merge(shards: &[PathBuf], output: &std::path::Path) -> Result<()> {
    let mut whole: Option<StatisticsFile> = None;
    for place in shards {
        let file = StatisticsFile::read(place)?;
        whole = Some(match whole {
            None => file,
            Some(all) => all
                .merged(&file)
                .map_err(|error| failure(Kind::Usage, format!("{}: {error:#}", place.display())))?,
        });
    }
    let Some(file) = whole else {
        return Ok(());
    };
    file.write(output)?;
    print(&format!(
        "{}: {} pictures of {} shards",
        output.display(),
        file.count.unwrap_or(0),
        shards.len()
    ));
    Ok(())
}

fn show(place: &std::path::Path) -> Result<()> {
    let file = StatisticsFile::read(place)?;
    let d = file.mean.len();
    let trace: f64 = (0..d).map(|i| file.covariance[i * d + i]).sum();
    print(&format!(
        "{}: {d} features, {}; mean of the means {}, trace of the covariance {}",
        place.display(),
        file.count.map_or_else(
            || "the number of pictures is not in it".to_owned(),
            |count| format!("{count} pictures")
        ),
        digits(file.mean.iter().sum::<f64>() / d as f64),
        digits(trace)
    ));
    match &file.provenance {
        Some(provenance) => print(&format!(
            "made by {}: rules of {}, {}, layer {}, weights sha256 {}",
            provenance.tool,
            provenance.compat,
            provenance.resize,
            provenance.layer,
            provenance.weights
        )),
        None => print("it does not say how it was made (only `eval stats save` writes that)"),
    }
    Ok(())
}
