//! What every measure on network features shares: flags, the network, and one pass over each picture.

use crate::recipe::Recipe;
use crate::sides::{Choice, Content, Role, Side, newest_run};
use anyhow::Result;
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, failure};
use metrics::compat::Compat;
use metrics::extractor::{Extractor, Seen, Unreadable, refusal};
use metrics::features::Features;
use metrics::files::{Listing, Recursion};
use metrics::inception::FeatureLayer;
use metrics::npz::{Provenance, StatisticsFile};
use metrics::source::Source;
use metrics::statistics::Moments;
use serde_json::Value;
use std::path::PathBuf;

/// The two sides.
#[derive(Debug, Clone, clap::Args)]
pub struct SideArguments {
    /// What to compare with: a folder of pictures, a .npz of statistics, or a run (its training data).
    #[arg(long, value_name = "DIR|NPZ|RUN")]
    pub real: Option<PathBuf>,
    /// The other side.
    #[command(flatten)]
    pub judged: FakeArguments,
}

/// What is judged.
#[derive(Debug, Clone, clap::Args)]
pub struct FakeArguments {
    /// What to judge: a folder of single pictures, a .npz of statistics, or a run (its generated/). Several
    /// make a table.
    #[arg(long, alias = "generated", value_name = "DIR|NPZ|RUN", num_args = 1..)]
    pub fake: Vec<PathBuf>,
    /// The root of all runs, where a side is left out.
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Which files of a folder count.
    #[command(flatten)]
    pub files: FileArguments,
}

/// Which files of a folder count.
#[derive(Debug, Clone, clap::Args)]
pub struct FileArguments {
    /// Take pictures of subfolders too.
    #[arg(long)]
    pub recursive: bool,
    /// Take exactly the files that the tool would take, and no others (endings in capitals, for instance).
    #[arg(long)]
    pub tool_files: bool,
}

impl FileArguments {
    /// The choice by the rules of a tool.
    pub fn choice(&self, compat: Compat) -> Choice {
        let tool = compat.listing();
        Choice {
            recursion: if self.recursive {
                Recursion::Deep
            } else {
                Recursion::Flat
            },
            listing: if self.tool_files { tool } else { Listing::All },
            tool,
        }
    }
}

/// How the network is run.
#[derive(Debug, Clone, clap::Args)]
pub struct NetworkArguments {
    /// The tool whose rules decide the digits: pytorch-fid, torch-fidelity, clean, clean-legacy-pytorch,
    /// clean-legacy-tensorflow, torchmetrics, torchmetrics-plain.
    #[arg(long, value_name = "TOOL")]
    pub compat: Option<Compat>,
    /// A file of the FID network's weights; without it the published one, from the cache, torch.hub's, or
    /// the web.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<String>,
    /// Where to compute.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Pictures that go through the network at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
    /// Threads that decode and resize ahead.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Leave out pictures that cannot be read, instead of refusing all.
    #[arg(long)]
    pub skip_broken: bool,
    /// Compute every feature anew, and keep none.
    #[arg(long)]
    pub no_cache: bool,
    /// Print one JSON object with torch-fidelity's names.
    #[arg(long)]
    pub json: bool,
    /// Warnings and the result only.
    #[arg(long)]
    pub quiet: bool,
}

/// What is wanted of the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Every row.
    Rows,
    /// Every row of a small set; of a large one its mean and covariance.
    RowsOrMoments,
}

/// Sets up to this size keep their rows for measures that do without: 20,000 rows of 2,048 take 164 MB.
const SMALL: usize = 20_000;

/// A side after its one pass through the network.
#[derive(Debug)]
pub struct Measured {
    /// What the user called it.
    pub name: String,
    /// Rows of each layer, where they were kept.
    pub rows: Option<Vec<Features>>,
    /// Mean and covariance of the first layer, where rows were not kept.
    pub moments: Option<Moments>,
    /// Statistics from a file instead.
    pub statistics: Option<StatisticsFile>,
    /// What was seen of the pictures.
    pub seen: Seen,
}

impl Measured {
    /// How many pictures, where it is known.
    pub fn count(&self) -> Option<u64> {
        match &self.statistics {
            Some(file) => file.count,
            None => Some(self.seen.used as u64),
        }
    }

    /// The rows of layer `index` of those that were asked for.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the side is statistics.
    pub fn rows(&self, index: usize, why: &str) -> Result<&Features> {
        let rows = self.rows.as_ref().map(|rows| &rows[index]);
        rows.ok_or_else(|| {
            failure(
                Kind::Usage,
                format!(
                    "{} holds statistics, and {why} needs the pictures themselves: name their folder",
                    self.name
                ),
            )
        })
    }
}

/// One call of a measure.
#[derive(Debug)]
pub struct Session {
    /// The rules that are followed.
    pub compat: Compat,
    /// What goes beside the number.
    pub recipe: Recipe,
    /// Where messages go.
    pub console: Console,
    extractor: Option<Extractor>,
    arguments: NetworkArguments,
}

impl Session {
    /// Begins; the network is loaded once it is needed.
    pub fn new(arguments: &NetworkArguments, usual: Compat) -> Self {
        let compat = arguments.compat.unwrap_or(usual);
        let voice = if arguments.quiet || arguments.json {
            Voice::Quiet
        } else {
            Voice::Normal
        };
        Self {
            compat,
            recipe: Recipe::new(compat),
            console: Console::new(voice),
            extractor: None,
            arguments: arguments.clone(),
        }
    }

    /// For measures of pixels: refuses what only a network could follow.
    ///
    /// # Errors
    /// [`Kind::Usage`] that names the flag.
    pub fn without_network(&mut self) -> Result<()> {
        let arguments = &self.arguments;
        let flags = [
            ("--compat", arguments.compat.is_some()),
            ("--weights", arguments.weights.is_some()),
            ("--no-cache", arguments.no_cache),
            ("--device", arguments.device != "auto"),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) {
            return Err(failure(
                Kind::Usage,
                format!("{flag} means nothing here: pixels are compared, no network is run"),
            ));
        }
        self.recipe.without_network();
        Ok(())
    }

    /// The results for the pictures of a side, each with its number; unreadable ones are listed and refused,
    /// or left out and told.
    ///
    /// # Errors
    /// [`Kind::Data`] with the list, unless they are to be skipped.
    pub fn readable<T>(&mut self, side: &Side, results: Vec<Result<T>>) -> Result<Vec<(usize, T)>> {
        let all = results.len();
        let mut unreadable = Vec::new();
        let mut found = Vec::new();
        for (index, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => found.push((index, value)),
                Err(error) => unreadable.push(format!("{error:#}")),
            }
        }
        if !unreadable.is_empty() && (!self.arguments.skip_broken || found.is_empty()) {
            return Err(refusal(&unreadable, all));
        }
        let listed = side.listed.as_ref();
        self.recipe
            .pixels(&side.name, listed, found.len(), &unreadable);
        Ok(found)
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.arguments.json
    }

    /// Finds both sides; without either, the newest run's.
    ///
    /// # Errors
    /// As [`Side::open`].
    pub fn sides(&mut self, arguments: &SideArguments) -> Result<(Side, Vec<Side>)> {
        let run = if arguments.real.is_none() || arguments.judged.fake.is_empty() {
            let run = newest_run(&arguments.judged.out)?;
            self.console.say(&format!("newest run: {}", run.display()));
            Some(run)
        } else {
            None
        };
        let named = |given: Option<&PathBuf>| given.or(run.as_ref()).cloned().unwrap_or_default();
        let choice = arguments.judged.files.choice(self.compat);
        let real = Side::open(&named(arguments.real.as_ref()), Role::Real, choice)?;
        let fakes = if arguments.judged.fake.is_empty() {
            vec![named(None)]
        } else {
            arguments.judged.fake.clone()
        };
        let fakes = fakes
            .iter()
            .map(|fake| Side::open(fake, Role::Fake, choice))
            .collect::<Result<_>>()?;
        Ok((real, fakes))
    }

    /// Only what is to be judged.
    ///
    /// # Errors
    /// As [`Side::open`].
    pub fn fakes(&mut self, arguments: &FakeArguments) -> Result<Vec<Side>> {
        let fakes = match arguments.fake.as_slice() {
            [] => {
                let run = newest_run(&arguments.out)?;
                self.console.say(&format!("newest run: {}", run.display()));
                vec![run]
            }
            named => named.to_vec(),
        };
        let choice = arguments.files.choice(self.compat);
        fakes
            .iter()
            .map(|fake| Side::open(fake, Role::Fake, choice))
            .collect()
    }

    /// The network, loaded at the first call.
    ///
    /// # Errors
    /// As [`Extractor::open`].
    pub fn extractor(&mut self) -> Result<&Extractor> {
        if self.extractor.is_none() {
            let arguments = &self.arguments;
            let mut extractor = Extractor::open(
                arguments.weights.as_deref(),
                &arguments.device,
                &self.console,
            )?;
            extractor.batch_size = arguments.batch_size.into();
            extractor.workers = arguments.workers.into();
            if arguments.no_cache {
                extractor.cache = None;
            }
            self.recipe.network(&extractor);
            self.extractor = Some(extractor);
        }
        let loaded = self.extractor.as_ref();
        loaded.ok_or_else(|| anyhow::anyhow!("the network was loaded a line ago"))
    }

    /// Where statistics that are made now come from.
    ///
    /// # Errors
    /// As [`Session::extractor`].
    pub fn provenance(&mut self, layer: FeatureLayer) -> Result<Provenance> {
        let compat = self.compat;
        let weights = self.extractor()?.sha256.clone();
        Ok(Provenance {
            tool: concat!("eval ", env!("CARGO_PKG_VERSION")).to_owned(),
            compat: compat.word().to_owned(),
            resize: compat.resize().name().to_owned(),
            layer: layer.name().to_owned(),
            weights,
        })
    }

    /// Runs every picture of a side through the network once; statistics are taken as they are.
    ///
    /// # Errors
    /// As [`Extractor::features`].
    pub fn measure(&mut self, side: Side, layers: &[FeatureLayer], keep: Keep) -> Result<Measured> {
        let source = match side.content {
            Content::Statistics(statistics) => {
                self.recipe.statistics(&side.name, &statistics);
                return Ok(Measured {
                    name: side.name,
                    rows: None,
                    moments: None,
                    statistics: Some(statistics),
                    seen: Seen::default(),
                });
            }
            Content::Pictures(source) => source,
        };
        let total = source.len();
        let keeps_rows = keep == Keep::Rows || total <= SMALL;
        let mut rows: Vec<Features> = layers
            .iter()
            .map(|layer| Features::empty(layer.dims()))
            .collect();
        let mut moments = (!keeps_rows).then(|| Moments::new(layers[0].dims()));
        let seen = self.pass(
            &source,
            &side.name,
            layers,
            &mut |some| match &mut moments {
                Some(moments) => moments.push(&some[0]),
                None => {
                    let pairs = rows.iter_mut().zip(some);
                    pairs.for_each(|(all, more)| all.append(more));
                }
            },
        )?;
        self.recipe
            .pictures(&side.name, side.role, side.listed.as_ref(), &seen, total);
        Ok(Measured {
            name: side.name,
            rows: keeps_rows.then_some(rows),
            moments,
            statistics: None,
            seen,
        })
    }
}

impl Session {
    /// Runs every picture of a source through the network into `moments`, in constant memory.
    ///
    /// # Errors
    /// As [`Extractor::features`].
    pub fn stream(
        &mut self,
        source: &Source,
        name: &str,
        layer: FeatureLayer,
        moments: &mut Moments,
    ) -> Result<Seen> {
        self.pass(source, name, &[layer], &mut |some| moments.push(&some[0]))
    }

    /// One pass over a source.
    fn pass(
        &mut self,
        source: &Source,
        name: &str,
        layers: &[FeatureLayer],
        take: &mut dyn FnMut(&[Features]),
    ) -> Result<Seen> {
        let unreadable = if self.arguments.skip_broken {
            Unreadable::Skip
        } else {
            Unreadable::Refuse
        };
        let resize = self.compat.resize();
        self.extractor()?;
        let extractor = self.extractor.as_ref();
        let extractor = extractor.ok_or_else(|| anyhow::anyhow!("the network was just loaded"))?;
        let mut progress = Progress::new(&mut self.console, name, source.len());
        let seen = extractor.features(
            source,
            resize,
            layers,
            unreadable,
            &mut |done| progress.tick(done),
            &mut |some| {
                take(some);
                Ok(())
            },
        );
        progress.finish();
        seen
    }

    /// Rows of results and the recipe as one JSON object: a single row's keys at the top, several under
    /// `results`.
    pub fn json(&self, mut rows: Vec<Value>) -> Value {
        let mut all = self.recipe.json();
        if let Some(bytes) = gan_core::run::peak_memory() {
            all["peak_memory"] = bytes.into();
        }
        if let [row] = rows.as_mut_slice()
            && let (Value::Object(all), Value::Object(row)) = (&mut all, row)
        {
            all.append(row);
        } else {
            all["results"] = Value::Array(rows);
        }
        all
    }
}

/// How far a side is: a bar on a terminal, a line for each tenth elsewhere.
struct Progress<'a> {
    console: &'a mut Console,
    name: String,
    total: usize,
    told: usize,
}

impl<'a> Progress<'a> {
    fn new(console: &'a mut Console, name: &str, total: usize) -> Self {
        console.count(total as u64, "pictures");
        Self {
            console,
            name: name.to_owned(),
            total,
            told: 0,
        }
    }

    fn tick(&mut self, done: usize) {
        self.console.tick(done as u64);
        let tenth = done * 10 / self.total.max(1);
        if tenth > self.told {
            self.told = tenth;
            let text = format!("{done} of {} pictures", self.total);
            self.console.status(&format!("{}:", self.name), &text);
        }
    }

    fn finish(&mut self) {
        self.console.finish();
    }
}
