//! Measures on pixels: `parzen`, `divergence`, `nn`.

use crate::paired::planes;
use crate::scores::{finish, need_pictures};
use crate::session::{FileArguments, Keep, NetworkArguments, Session, SideArguments};
use crate::sides::{Content, Role, Side};
use crate::table::{Table, digits, finite};
use anyhow::Result;
use clap::ValueEnum;
use gan_core::command::{print, save_picture};
use gan_core::failure::{Kind, failure};
use gan_core::{idx, picture};
use image::RgbImage;
use metrics::divergence::{
    Divergences, HistogramOf, Logarithm, divergences, label_histogram, pixel_histogram,
};
use metrics::features::Features;
use metrics::inception::FeatureLayer;
use metrics::neighbours::memorisation;
use metrics::resize::{Resize, Resizer};
use metrics::source::Source;
use metrics::{paired, parallel, parzen};
use serde_json::json;
use std::path::PathBuf;

/// `parzen`.
#[derive(Debug, Clone, clap::Args)]
pub struct ParzenCommand {
    /// Pictures to be likely: a folder of idx files (t10k is the test set, the end of train the validation
    /// set), or a folder of test pictures.
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// The folder of samples, or a run (its generated/).
    #[arg(long, alias = "generated", value_name = "DIR|RUN")]
    fake: PathBuf,
    /// A folder of validation pictures, where --real is no folder of idx files.
    #[arg(long, value_name = "DIR")]
    validation: Option<PathBuf>,
    /// Validation pictures that choose the width.
    #[arg(long, default_value_t = 1000)]
    validation_count: usize,
    /// Widths to try, as logarithms to base 10: FROM,TO,STEPS.
    #[arg(
        long,
        default_value = "-1,0,10",
        value_name = "FROM,TO,STEPS",
        allow_hyphen_values = true
    )]
    sigmas: String,
    #[command(flatten)]
    files: FileArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Validation pictures of MNIST: the last 10,000 of its 60,000 training pictures, as Goodfellow split it.
const VALIDATION: usize = 10_000;

impl ParzenCommand {
    /// Prints the log-likelihood of the test pictures.
    ///
    /// # Errors
    /// [`Kind::Data`] for pictures of different sizes, [`Kind::Usage`] for illegal widths.
    pub fn run(&self) -> Result<()> {
        let sigmas = self.sigmas()?;
        let (test, validation) = self.real_sets()?;
        let grey = matches!(test, Source::Grey(_));
        let samples = Side::open(
            &self.fake,
            Role::Fake,
            self.files.choice(Default::default()),
        )?;
        let samples = rows(samples.pictures("parzen")?, grey)?;
        let (test, validation) = (rows(&test, grey)?, rows(&validation, grey)?);
        let chosen = Features::new(
            validation.dims(),
            validation.values()[..validation.dims() * self.validation_count.min(validation.rows())]
                .to_vec(),
        );
        let found = parzen::parzen(&samples, &chosen, &test, &sigmas)?;
        if self.json {
            let row = json!({
                "fake": self.fake.display().to_string(),
                "log_likelihood_mean": found.mean,
                "log_likelihood_standard_error": found.standard_error,
                "sigma": found.sigma,
                "samples": samples.rows(),
                "validation": chosen.rows(),
                "test": test.rows(),
                "dims": test.dims(),
            });
            print(&row.to_string());
            return Ok(());
        }
        print(&format!(
            "log-likelihood {:.2} ± {:.2} nats (mean and its standard error)",
            found.mean, found.standard_error
        ));
        print(&format!(
            "sigma {:.6} of {}, chosen on {} validation pictures; Gaussian windows on {} samples, {} test pictures \
             of {} values in [0, 1] (Goodfellow et al. 2014, section 5)",
            found.sigma,
            sigmas.len(),
            chosen.rows(),
            samples.rows(),
            test.rows(),
            test.dims()
        ));
        if found.sigma_is_at_an_end() {
            print("warning: the best width is at an end of those tried: widen --sigmas");
        }
        Ok(())
    }

    fn sigmas(&self) -> Result<Vec<f64>> {
        let illegal = || {
            failure(
                Kind::Usage,
                format!(
                    "--sigmas {} is not FROM,TO,STEPS such as -1,0,10",
                    self.sigmas
                ),
            )
        };
        let parts: Vec<f64> = self
            .sigmas
            .split(',')
            .map(|part| part.trim().parse().map_err(|_| illegal()))
            .collect::<Result<_>>()?;
        let [from, to, steps] = parts[..] else {
            return Err(illegal());
        };
        let is_legal = from.abs() <= 6.0 && to.abs() <= 6.0 && (1.0..=1000.0).contains(&steps);
        if !is_legal || steps.fract() != 0.0 {
            return Err(illegal());
        }
        let last = (steps - 1.0).max(1.0);
        Ok((0..steps as usize)
            .map(|step| 10f64.powf(from + (to - from) * step as f64 / last))
            .collect())
    }

    fn real_sets(&self) -> Result<(Source, Source)> {
        if idx::is_here(&self.real, "t10k") && self.validation.is_none() {
            let test = idx::Pictures::read(&self.real, "t10k")?;
            let train = idx::Pictures::read(&self.real, "train")?;
            return Ok((Source::Grey(test), Source::Grey(last_of(train))));
        }
        let Some(validation) = &self.validation else {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} holds no idx files with a test set (t10k-*): name the validation pictures with --validation",
                    self.real.display()
                ),
            ));
        };
        let open = |place: &PathBuf| -> Result<Source> {
            let side = Side::open(place, Role::Real, self.files.choice(Default::default()))?;
            match side.content {
                Content::Pictures(source) => Ok(source),
                Content::Statistics(_) => Err(failure(
                    Kind::Usage,
                    format!("{} holds statistics; parzen needs pictures", side.name),
                )),
            }
        };
        Ok((open(&self.real)?, open(validation)?))
    }
}

fn last_of(mut pictures: idx::Pictures) -> idx::Pictures {
    let each = pictures.height * pictures.width;
    let first = pictures.len().saturating_sub(VALIDATION);
    pictures.pixels.drain(..first * each);
    if !pictures.labels.is_empty() {
        pictures.labels.drain(..first);
    }
    pictures
}

/// Pixels in [0, 1], one row a picture; one channel where all pictures must be grey.
fn rows(source: &Source, grey: bool) -> Result<Features> {
    let indices: Vec<usize> = (0..source.len()).collect();
    let decoded = parallel::map(&indices, &|index| source.picture(*index));
    let mut size = None;
    let mut values = Vec::new();
    for (index, picture) in decoded.into_iter().enumerate() {
        let picture = picture?;
        let now = (picture.width, picture.height);
        let (width, height) = *size.get_or_insert(now);
        if (width, height) != now {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} is {} x {}, the ones before are {width} x {height}: likelihoods need one size (`data \
                     prepare --size`)",
                    source.name(index),
                    now.0,
                    now.1
                ),
            ));
        }
        let pixels = picture.pixels.chunks_exact(3);
        if grey {
            if pixels
                .clone()
                .any(|pixel| pixel[0] != pixel[1] || pixel[0] != pixel[2])
            {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "{} is coloured, the test pictures are grey",
                        source.name(index)
                    ),
                ));
            }
            values.extend(pixels.map(|pixel| f32::from(pixel[0]) / 255.0));
        } else {
            values.extend(picture.pixels.iter().map(|byte| f32::from(*byte) / 255.0));
        }
    }
    let (width, height) = size.unwrap_or((1, 1));
    Ok(Features::new(
        width * height * if grey { 1 } else { 3 },
        values,
    ))
}

/// A histogram with its name.
type Histogram = (&'static str, Vec<f64>);

/// Histograms of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// The classes that the network sees (the largest of 1,008 logits).
    Labels,
    /// Values of red, green and blue.
    Pixels,
    /// Brightness.
    Luma,
}

/// The unit of a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Natural logarithms.
    Nats,
    /// Logarithms to base 2.
    Bits,
}

/// `divergence`.
#[derive(Debug, Clone, clap::Args)]
pub struct DivergenceCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// What is counted.
    #[arg(long, value_enum, default_value = "pixels")]
    of: Of,
    /// Bins of a channel, for pixels and luma.
    #[arg(long, default_value_t = 256)]
    bins: usize,
    /// The unit.
    #[arg(long, value_enum, default_value = "nats")]
    unit: Unit,
    /// Added to every bin's share before the comparison; without it an empty bin makes KL infinite.
    #[arg(long, default_value_t = 0.0)]
    smoothing: f64,
}

impl DivergenceCommand {
    /// Prints the divergences of each fake side from the real one.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Default::default());
        if !(2..=65_536).contains(&self.bins) {
            return Err(failure(Kind::Usage, "--bins must be 2 to 65536"));
        }
        if self.of != Of::Labels {
            session.without_network()?;
        }
        let (real, fakes) = session.sides(&self.sides)?;
        need_pictures(&real, &fakes, "a histogram")?;
        let real = self.histograms(&mut session, real)?.1;
        let mut table = Table::new([
            "",
            "histogram",
            "KL(real || fake)",
            "KL(fake || real)",
            "JS divergence",
            "JS distance",
        ]);
        let mut rows = Vec::new();
        let logarithm = match self.unit {
            Unit::Nats => Logarithm::Natural,
            Unit::Bits => Logarithm::Two,
        };
        for fake in fakes {
            let (name, histograms) = self.histograms(&mut session, fake)?;
            for ((what, real), (_, fake)) in real.iter().zip(&histograms) {
                let found = divergences(real, fake, self.smoothing, logarithm)?;
                rows.push(json!({
                    "fake": name,
                    "histogram": what,
                    "kl_real_fake": finite(found.first_to_second),
                    "kl_fake_real": finite(found.second_to_first),
                    "js_divergence": found.jensen_shannon,
                    "js_distance": found.jensen_shannon_distance,
                }));
                table.row(Self::cells(&name, what, &found));
            }
        }
        session.recipe.line(format!(
            "{} in {}, smoothing {}",
            match self.of {
                Of::Labels => "histogram of the classes that the network sees".to_owned(),
                Of::Pixels => format!("histograms of each channel in {} bins", self.bins),
                Of::Luma => format!("histogram of brightness (BT.601) in {} bins", self.bins),
            },
            match self.unit {
                Unit::Nats => "nats",
                Unit::Bits => "bits",
            },
            self.smoothing
        ));
        finish(&session, &table, rows);
        Ok(())
    }

    fn cells(name: &str, what: &str, found: &Divergences) -> [String; 6] {
        [
            name.to_owned(),
            what.to_owned(),
            digits(found.first_to_second),
            digits(found.second_to_first),
            digits(found.jensen_shannon),
            digits(found.jensen_shannon_distance),
        ]
    }

    fn histograms(&self, session: &mut Session, side: Side) -> Result<(String, Vec<Histogram>)> {
        let name = side.name.clone();
        if self.of == Of::Labels {
            let measured = session.measure(side, &[FeatureLayer::Logits], Keep::Rows)?;
            let histogram = label_histogram(measured.rows(0, "a histogram of labels")?)?;
            return Ok((name, vec![("labels", histogram)]));
        }
        let source = side.pictures("a histogram of pixels")?;
        let of = match self.of {
            Of::Luma => HistogramOf::Luma,
            _ => HistogramOf::Channels,
        };
        let indices: Vec<usize> = (0..source.len()).collect();
        let counted = parallel::map(&indices, &|index| -> Result<Vec<Vec<f64>>> {
            let picture = source.picture(*index)?;
            let planes = planes(&picture.pixels);
            let view = paired::Picture::bytes(3, picture.height, picture.width, &planes);
            pixel_histogram(&[view], self.bins, of, 255.0)
        });
        let mut sums: Vec<Vec<f64>> = Vec::new();
        for (_, counts) in session.readable(&side, counted)? {
            if sums.is_empty() {
                sums = counts;
                continue;
            }
            for (sum, count) in sums.iter_mut().flatten().zip(counts.iter().flatten()) {
                *sum += count;
            }
        }
        let names: &[&'static str] = match self.of {
            Of::Luma => &["luma"],
            _ => &["red", "green", "blue"],
        };
        Ok((name, names.iter().copied().zip(sums).collect()))
    }
}

/// Where distances are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Space {
    /// Pixels of small copies.
    Pixels,
    /// The network's 2,048 features.
    Inception,
}

/// `nn`.
#[derive(Debug, Clone, clap::Args)]
pub struct NearestCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Where distances are measured.
    #[arg(long, value_enum, default_value = "pixels")]
    space: Space,
    /// Side of the copies whose pixels are compared.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    size: u16,
    /// Samples shown in the picture: the first ones.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    num: u16,
    /// A sample whose distance to its nearest training picture is below this share of that picture's own
    /// nearest distance counts as a copy.
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// The picture: samples above, below each its nearest training picture.
    #[arg(short, long, default_value = "nearest.png", value_name = "PNG")]
    output: PathBuf,
}

/// Side of a picture that is shown, in pixels.
const SHOWN: usize = 96;

impl NearestCommand {
    /// Writes the picture and prints the memorisation score.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Default::default());
        let (real, mut fakes) = session.sides(&self.sides)?;
        if fakes.len() != 1 {
            return Err(failure(Kind::Usage, "nn takes one --fake at a time"));
        }
        let fake = fakes.remove(0);
        let fake_name = fake.name.clone();
        let [real_source, fake_source] =
            [real.pictures("nn")?.clone(), fake.pictures("nn")?.clone()];
        let [(training, training_numbers), (samples, sample_numbers)] = match self.space {
            Space::Pixels => {
                session.without_network()?;
                [
                    self.small(&mut session, &real)?,
                    self.small(&mut session, &fake)?,
                ]
            }
            Space::Inception => {
                let mut of = |side: Side| -> Result<(Features, Vec<usize>)> {
                    let measured = session.measure(side, &[FeatureLayer::D2048], Keep::Rows)?;
                    let rows = measured.rows(0, "nn")?.clone();
                    let seen = &measured.seen;
                    let numbers = (0..rows.rows()).map(|row| seen.source_index(row)).collect();
                    Ok((rows, numbers))
                };
                [of(real)?, of(fake)?]
            }
        };
        let found = memorisation(&samples, &training, self.threshold)?;
        let shown = samples.rows().min(self.num.into());
        let mut cells = Vec::new();
        let columns = shown.clamp(1, 16);
        for first in (0..shown).step_by(columns) {
            let some = first..(first + columns).min(shown);
            for index in some.clone() {
                cells.push(thumbnail(&fake_source, sample_numbers[index])?);
            }
            // A last row that is not full is filled, so that the partners stand below their samples.
            cells.extend((some.len()..columns).map(|_| RgbImage::new(SHOWN as u32, SHOWN as u32)));
            for index in some.clone() {
                let nearest = found.pictures[index].nearest.index;
                cells.push(thumbnail(&real_source, training_numbers[nearest])?);
            }
            cells.extend((some.len()..columns).map(|_| RgbImage::new(SHOWN as u32, SHOWN as u32)));
        }
        save_picture(&self.output, &picture::grid(&cells, columns, 2))?;
        let mut table = Table::new(["", "authenticity", "median ratio", "copies", "replicas"]);
        table.row([
            fake_name.clone(),
            digits(found.authenticity),
            digits(found.median_ratio),
            digits(found.copies),
            digits(found.replicas),
        ]);
        session.recipe.line(match self.space {
            Space::Pixels => format!(
                "distances between pixels of {} x {} copies",
                self.size, self.size
            ),
            Space::Inception => "distances between 2,048 network features".to_owned(),
        });
        session.recipe.line(format!(
            "authenticity: share of samples farther from their nearest training picture than it is from its own \
             nearest (Alaa et al. 2022); copies: ratio of the two distances below {}; picture: {}",
            self.threshold,
            self.output.display()
        ));
        let row = json!({
            "fake": fake_name,
            "authenticity": found.authenticity,
            "median_ratio": found.median_ratio,
            "copies": found.copies,
            "replicas": found.replicas,
            "picture": self.output.display().to_string(),
            "nearest": found.pictures.iter().enumerate().map(|(sample, one)| json!({
                "sample": fake_source.name(sample_numbers[sample]),
                "nearest": real_source.name(training_numbers[one.nearest.index]),
                "distance": one.nearest.distance,
                "ratio": one.ratio(),
            })).collect::<Vec<_>>(),
        });
        finish(&session, &table, vec![row]);
        Ok(())
    }

    /// Pixels in [0, 1] of small copies, one row a picture, with each one's number in the source.
    fn small(&self, session: &mut Session, side: &Side) -> Result<(Features, Vec<usize>)> {
        let width = usize::from(self.size);
        let source = side.pictures("nn")?;
        let indices: Vec<usize> = (0..source.len()).collect();
        let chunks: Vec<&[usize]> = indices.chunks(64).collect();
        let rows = parallel::map(&chunks, &|chunk| -> Vec<Result<Vec<f32>>> {
            let mut resizer = Resizer::new(Resize::TorchAntialias, width, width);
            let mut small = |index: &usize| -> Result<Vec<f32>> {
                let small = resizer.resized(&source.picture(*index)?);
                Ok(small
                    .pixels
                    .iter()
                    .map(|byte| f32::from(*byte) / 255.0)
                    .collect())
            };
            chunk.iter().map(&mut small).collect()
        });
        let rows = session.readable(side, rows.into_iter().flatten().collect())?;
        let (numbers, rows): (Vec<usize>, Vec<Vec<f32>>) = rows.into_iter().unzip();
        Ok((Features::new(3 * width * width, rows.concat()), numbers))
    }
}

/// A picture at the size in which it is shown.
pub fn thumbnail(source: &Source, index: usize) -> Result<RgbImage> {
    let shown = Resizer::new(Resize::TorchAntialias, SHOWN, SHOWN).resized(&source.picture(index)?);
    RgbImage::from_raw(SHOWN as u32, SHOWN as u32, shown.pixels)
        .ok_or_else(|| anyhow::anyhow!("a resized picture has all its pixels"))
}
