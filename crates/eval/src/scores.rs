//! Measures on network features: `is`, `mode-score`, `kid`, `prdc`.

use crate::session::{FakeArguments, Keep, NetworkArguments, Session, SideArguments};
use crate::sides::Side;
use crate::table::{Table, digits};
use anyhow::Result;
use clap::ValueEnum;
use gan_core::command::print;
use gan_core::failure::{Kind, failure};
use metrics::compat::Compat;
use metrics::features::Features;
use metrics::inception::FeatureLayer;
use metrics::inception_score::{
    Division, InceptionScore, ModeScore, inception_score, label_distribution, mode_score,
};
use metrics::kernel;
use metrics::prdc;
use metrics::random::MersenneTwister;
use serde_json::json;

/// `is`.
#[derive(Debug, Clone, clap::Args)]
pub struct InceptionScoreCommand {
    #[command(flatten)]
    judged: FakeArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Parts whose scores are averaged.
    #[arg(long, default_value_t = 10)]
    splits: usize,
    /// Take the pictures in the order of their names instead of shuffling them.
    #[arg(long)]
    no_shuffle: bool,
    /// Seed of the shuffle, numpy's RandomState as in torch-fidelity.
    #[arg(long, default_value_t = 2020)]
    seed: u32,
}

/// The Inception Score of logits, as a tool computes it.
///
/// # Errors
/// [`Kind::Data`] for fewer pictures than splits.
pub fn score(
    logits: &Features,
    compat: Compat,
    splits: usize,
    shuffle: Option<u32>,
) -> Result<InceptionScore> {
    let count = logits.rows();
    let order = match shuffle {
        Some(seed) => MersenneTwister::new(seed).permutation(count),
        None => (0..count).collect(),
    };
    let division = match compat {
        Compat::Torchmetrics | Compat::TorchmetricsPlain => Division::Torchmetrics,
        _ => Division::TorchFidelity,
    };
    inception_score(logits, &order, splits, division)
}

impl InceptionScoreCommand {
    /// Prints the score of each fake side.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Compat::TorchFidelity);
        let shuffle = (!self.no_shuffle).then_some(self.seed);
        let mut table = Table::new(["", "Inception Score", "deviation"]);
        let mut rows = Vec::new();
        for fake in session.fakes(&self.judged)? {
            let fake = session.measure(fake, &[FeatureLayer::Logits], Keep::Rows)?;
            let logits = fake.rows(0, "the Inception Score")?;
            let found = score(logits, session.compat, self.splits, shuffle)?;
            rows.push(json!({
                "fake": fake.name,
                "inception_score_mean": found.mean,
                "inception_score_std": found.deviation,
            }));
            table.row([fake.name, digits(found.mean), digits(found.deviation)]);
        }
        session.recipe.put("seed", shuffle);
        session.recipe.put("splits", self.splits);
        session.recipe.line(match shuffle {
            Some(seed) => format!(
                "{} splits of the pictures in the order of numpy's RandomState({seed})",
                self.splits
            ),
            None => format!(
                "{} splits of the pictures in the order of their names",
                self.splits
            ),
        });
        finish(&session, &table, rows);
        Ok(())
    }
}

/// Refuses statistics on either side before a network has run over the other.
///
/// # Errors
/// As [`Side::pictures`].
pub fn need_pictures(real: &Side, fakes: &[Side], why: &str) -> Result<()> {
    let mut sides = std::iter::once(real).chain(fakes);
    sides.try_for_each(|side| side.pictures(why).map(drop))
}

/// Prints numbers and recipe, as text or as JSON.
pub fn finish(session: &Session, table: &Table, rows: Vec<serde_json::Value>) {
    if session.is_json() {
        print(&session.json(rows).to_string());
    } else {
        print(&table.text());
        print(&session.recipe.text());
    }
}

/// Which formula bears the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// exp(E KL(p(y|x) || p(y)) - KL(p(y) || p*)), the code of Xu et al. 2018.
    Xu,
    /// exp(E KL(p(y|x) || p*) - KL(p(y) || p*)), as surveys print it: the Inception Score in one split.
    Survey,
    /// exp(E KL(p(y|x) || p(y)) - KL(p* || p(y))).
    Reversed,
}

/// `mode-score`.
#[derive(Debug, Clone, clap::Args)]
pub struct ModeScoreCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Which of the formulas of this name.
    #[arg(long, value_enum, default_value = "xu")]
    variant: Variant,
}

impl ModeScoreCommand {
    /// Prints the score of each fake side.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Compat::TorchFidelity);
        let (real, fakes) = session.sides(&self.sides)?;
        need_pictures(&real, &fakes, "the Mode Score")?;
        let real = session.measure(real, &[FeatureLayer::Logits], Keep::Rows)?;
        let labels = label_distribution(real.rows(0, "the Mode Score")?)?;
        let variant = match self.variant {
            Variant::Xu => ModeScore::Xu,
            Variant::Survey => ModeScore::Survey,
            Variant::Reversed => ModeScore::Reversed,
        };
        let mut table = Table::new(["", "Mode Score"]);
        let mut rows = Vec::new();
        for fake in fakes {
            let fake = session.measure(fake, &[FeatureLayer::Logits], Keep::Rows)?;
            let found = mode_score(fake.rows(0, "the Mode Score")?, &labels, variant)?;
            rows.push(json!({"fake": fake.name, "mode_score": found}));
            table.row([fake.name, digits(found)]);
        }
        session.recipe.put("variant", variant.to_string());
        session.recipe.line(format!("variant  {variant}"));
        finish(&session, &table, rows);
        Ok(())
    }
}

/// `kid`.
#[derive(Debug, Clone, clap::Args)]
pub struct KidCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Subsets that are drawn of each side.
    #[arg(long, default_value_t = 100)]
    subsets: usize,
    /// Pictures of a subset; where a side has fewer, as many as it has.
    #[arg(long, default_value_t = 1000)]
    subset_size: usize,
    /// Seed of the subsets.
    #[arg(long, default_value_t = 2020)]
    seed: u32,
}

impl KidCommand {
    /// Prints the distance of each fake side.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        if !(1..=100_000).contains(&self.subsets) || self.subset_size < 2 {
            return Err(failure(
                Kind::Usage,
                "--subsets must be 1 to 100000 and --subset-size at least 2",
            ));
        }
        let mut session = Session::new(&self.network, Compat::TorchFidelity);
        let (real, fakes) = session.sides(&self.sides)?;
        need_pictures(&real, &fakes, "KID")?;
        let real = session.measure(real, &[FeatureLayer::D2048], Keep::Rows)?;
        let mut table = Table::new(["", "KID", "deviation"]);
        let mut rows = Vec::new();
        for fake in fakes {
            let fake = session.measure(fake, &[FeatureLayer::D2048], Keep::Rows)?;
            let (ours, theirs) = (fake.rows(0, "KID")?, real.rows(0, "KID")?);
            let size = self.subset_size.min(ours.rows()).min(theirs.rows());
            if size < 2 {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "KID needs 2 pictures on each side at least: {} has {}, {} has {}",
                        fake.name,
                        ours.rows(),
                        real.name,
                        theirs.rows()
                    ),
                ));
            }
            if size < self.subset_size {
                session.recipe.warn(format!(
                    "{}: subsets of {size} pictures instead of {}: there are no more",
                    fake.name, self.subset_size
                ));
            }
            let settings = kernel::Settings {
                subsets: self.subsets,
                subset_size: size,
                seed: self.seed,
                ..kernel::Settings::default()
            };
            let found = kernel::distance(ours, theirs, settings)?;
            rows.push(json!({
                "fake": fake.name,
                "kernel_inception_distance_mean": found.mean,
                "kernel_inception_distance_std": found.deviation,
                "kid_subset_size": size,
            }));
            table.row([fake.name, digits(found.mean), digits(found.deviation)]);
        }
        session.recipe.put("seed", self.seed);
        session.recipe.put("kid_subsets", self.subsets);
        session.recipe.line(format!(
            "{} subsets drawn by numpy's RandomState({}), kernel (x y / 2048 + 1)^3",
            self.subsets, self.seed
        ));
        finish(&session, &table, rows);
        Ok(())
    }
}

/// `prdc`.
#[derive(Debug, Clone, clap::Args)]
pub struct PrdcCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Neighbours whose distance is a ball's radius, for precision and recall.
    #[arg(long, default_value_t = 3)]
    neighbours: usize,
    /// The same for density and coverage.
    #[arg(long, default_value_t = 5)]
    density_neighbours: usize,
}

impl PrdcCommand {
    /// Prints the four shares of each fake side.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Compat::TorchFidelity);
        let (real, fakes) = session.sides(&self.sides)?;
        need_pictures(&real, &fakes, "prdc")?;
        let real = session.measure(real, &[FeatureLayer::D2048], Keep::Rows)?;
        let settings = prdc::Settings {
            neighbours: self.neighbours,
            density_neighbours: self.density_neighbours,
        };
        let mut table = Table::new(["", "precision", "recall", "F1", "density", "coverage"]);
        let mut rows = Vec::new();
        for fake in fakes {
            let fake = session.measure(fake, &[FeatureLayer::D2048], Keep::Rows)?;
            let found = prdc::coverage(real.rows(0, "prdc")?, fake.rows(0, "prdc")?, settings)?;
            rows.push(json!({
                "fake": fake.name,
                "precision": found.precision,
                "recall": found.recall,
                "f_score": found.f_score,
                "density": found.density,
                "coverage": found.coverage,
            }));
            table.row([
                fake.name,
                digits(found.precision),
                digits(found.recall),
                digits(found.f_score),
                digits(found.density),
                digits(found.coverage),
            ]);
        }
        session.recipe.put("prc_neighborhood", self.neighbours);
        session.recipe.line(format!(
            "balls to the {}th neighbour (precision, recall: Kynkaanniemi et al. 2019), to the {}th (density, \
             coverage: Naeem et al. 2020)",
            self.neighbours, self.density_neighbours
        ));
        finish(&session, &table, rows);
        Ok(())
    }
}
