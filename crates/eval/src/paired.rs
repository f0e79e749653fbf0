//! Measures of pictures in pairs: `psnr`, `ssim`, `ms-ssim`.

use crate::session::FileArguments;
use crate::sides::{Role, Side};
use crate::table::{Table, digits, finite};
use anyhow::Result;
use clap::ValueEnum;
use gan_core::command::print;
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, failure};
use metrics::paired::{Colour, Pair, Picture, Rule, SquaredError, View};
use metrics::source::Source;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Which values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Channels {
    /// Red, green and blue.
    Rgb,
    /// Luma of BT.601 in studio swing, as papers on super-resolution report.
    Y,
    /// The same, rounded to whole numbers as MATLAB does.
    YRounded,
}

/// Whose rules SSIM follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SsimRule {
    /// torchmetrics 1.9.0: reflects at the edges.
    Torchmetrics,
    /// pytorch-msssim 1.0.0: only whole windows, as in the paper's code.
    PytorchMsssim,
}

/// What two folders of pictures are compared by.
#[derive(Debug, Clone, clap::Args)]
pub struct PairedCommand {
    /// The folder of pictures as they should be.
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// The folders of pictures as they are, with the same file names (endings may differ).
    #[arg(long, alias = "generated", value_name = "DIR", num_args = 1.., required = true)]
    fake: Vec<PathBuf>,
    #[command(flatten)]
    files: FileArguments,
    /// Which values are compared.
    #[arg(long, value_enum, default_value = "rgb")]
    channels: Channels,
    /// Pixels that are cut off at each edge first; super-resolution by a factor usually cuts as many.
    #[arg(long, default_value_t = 0, value_name = "PIXELS")]
    crop_border: usize,
    /// Whose rules SSIM and MS-SSIM follow.
    #[arg(long, value_enum, default_value = "torchmetrics")]
    rule: SsimRule,
    /// Print each pair's value too.
    #[arg(long)]
    each: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Peak signal-to-noise ratio.
    Psnr,
    /// Structural similarity.
    Ssim,
    /// Structural similarity at five scales.
    MsSsim,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR (dB)",
            Self::Ssim => "SSIM",
            Self::MsSsim => "MS-SSIM",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Psnr => "psnr",
            Self::Ssim => "ssim",
            Self::MsSsim => "ms_ssim",
        }
    }
}

impl PairedCommand {
    /// Prints the measure of each fake folder.
    ///
    /// # Errors
    /// [`Kind::Data`] for pictures without a partner, of another size, or unreadable.
    pub fn run(&self, measure: Measure) -> Result<()> {
        let choice = self.files.choice(Default::default());
        let real = Side::open(&self.real, Role::Real, choice)?;
        let mut table = Table::new(["", measure.name(), "deviation", "of all pixels", "pairs"]);
        let mut rows = Vec::new();
        for place in &self.fake {
            let fake = Side::open(place, Role::Fake, choice)?;
            for side in [&real, &fake] {
                for line in side.listed.iter().flat_map(|listed| &listed.remarks) {
                    Console::new(Voice::Normal).warn(&format!("{}: {line}", side.name));
                }
            }
            let pairs = partners(&real, &fake)?;
            let found = self.compare(measure, &real, &fake, &pairs)?;
            let values: Vec<f64> = found.iter().map(|each| each.value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let spread = values
                .iter()
                .map(|value| (value - mean).powi(2))
                .sum::<f64>();
            let deviation = (spread / values.len() as f64).sqrt();
            // torchmetrics' PSNR is of the squared error over the whole batch, not the mean of the pictures'.
            let whole = (measure == Measure::Psnr).then(|| {
                let errors = found.iter().map(|each| each.error);
                let error = errors.fold(SquaredError::default(), SquaredError::and);
                error.psnr(found[0].peak)
            });
            let mut row = json!({
                "fake": fake.name,
                measure.key(): finite(mean),
                "std": finite(deviation),
                "pairs": values.len(),
            });
            if let Some(whole) = whole {
                row["psnr_of_all_pixels"] = finite(whole);
            }
            if self.each {
                let each: BTreeMap<String, Value> = found
                    .iter()
                    .map(|each| (each.name.clone(), finite(each.value)))
                    .collect();
                row["each"] = json!(each);
            }
            rows.push(row);
            if self.each && !self.json {
                for each in &found {
                    print(&format!("{}  {}", each.name, digits(each.value)));
                }
            }
            table.row([
                fake.name.clone(),
                digits(mean),
                // Among infinite values there is no deviation.
                if deviation.is_nan() {
                    String::new()
                } else {
                    digits(deviation)
                },
                whole.map_or_else(String::new, digits),
                values.len().to_string(),
            ]);
        }
        let line = self.line(measure);
        if self.json {
            let all = match rows.as_mut_slice() {
                [row] => row.take(),
                _ => json!({"results": rows}),
            };
            let mut all = all;
            all["rules"] = line.into();
            print(&all.to_string());
        } else {
            print(&table.text());
            print(&line);
        }
        Ok(())
    }

    fn line(&self, measure: Measure) -> String {
        let channels = match self.channels {
            Channels::Rgb => "RGB, data range 255",
            Channels::Y => "luma of BT.601 (16 to 235), not rounded, peak 255",
            Channels::YRounded => "luma of BT.601 (16 to 235), rounded, peak 255",
        };
        let rule = match (measure, self.rule) {
            (Measure::Psnr, _) => String::new(),
            (_, SsimRule::Torchmetrics) => ", torchmetrics 1.9.0".to_owned(),
            (_, SsimRule::PytorchMsssim) => ", pytorch-msssim 1.0.0".to_owned(),
        };
        format!(
            "rules    {channels}, {} pixels cut off each edge{rule}",
            self.crop_border
        )
    }

    fn compare(
        &self,
        measure: Measure,
        real: &Side,
        fake: &Side,
        pairs: &[(usize, usize)],
    ) -> Result<Vec<Compared>> {
        let (real, fake) = (
            real.pictures("a comparison in pairs")?,
            fake.pictures("a comparison in pairs")?,
        );
        let view = View {
            data_range: 255.0,
            colour: match self.channels {
                Channels::Rgb => Colour::Channels,
                Channels::Y => Colour::Luma,
                Channels::YRounded => Colour::RoundedLuma,
            },
            crop_border: self.crop_border,
        };
        let rule = match self.rule {
            SsimRule::Torchmetrics => Rule::Torchmetrics,
            SsimRule::PytorchMsssim => Rule::PytorchMsssim,
        };
        let one = |(real_index, fake_index): &(usize, usize)| -> Result<Compared> {
            let name = fake.name(*fake_index);
            let compare = || -> Result<Compared> {
                let [first, second] =
                    [real.picture(*real_index)?, fake.picture(*fake_index)?].map(|picture| {
                        let (width, height) = (picture.width, picture.height);
                        (planes(&picture.pixels), width, height)
                    });
                let [first, second] = [&first, &second]
                    .map(|(planes, width, height)| Picture::bytes(3, *height, *width, planes));
                let pair = Pair::new(&first, &second, &view)?;
                let value = match measure {
                    Measure::Psnr => pair.psnr(),
                    Measure::Ssim => pair.ssim(rule)?,
                    Measure::MsSsim => pair.ms_ssim(rule)?,
                };
                Ok(Compared {
                    name: name.clone(),
                    value,
                    error: pair.squared_error(),
                    peak: pair.peak(),
                })
            };
            compare().map_err(|error| {
                failure(
                    Kind::Data,
                    format!("{} and {name}: {error:#}", real.name(*real_index)),
                )
            })
        };
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for result in metrics::parallel::map(pairs, &one) {
            match result {
                Ok(compared) => found.push(compared),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        match problems.is_empty() {
            true => Ok(found),
            false => Err(failure(
                Kind::Data,
                format!(
                    "{} of {} pairs cannot be compared:\n  {}",
                    problems.len(),
                    pairs.len(),
                    problems[..problems.len().min(20)].join("\n  ")
                ),
            )),
        }
    }
}

struct Compared {
    name: String,
    value: f64,
    error: SquaredError,
    peak: f64,
}

/// Planes of interleaved RGB.
pub fn planes(pixels: &[u8]) -> Vec<u8> {
    let channel = |channel: usize| pixels.iter().skip(channel).step_by(3).copied();
    (0..3).flat_map(channel).collect()
}

/// The pictures of both sides that bear the same name.
fn partners(real: &Side, fake: &Side) -> Result<Vec<(usize, usize)>> {
    let (real_source, fake_source) = (
        real.pictures("a comparison in pairs")?,
        fake.pictures("a comparison in pairs")?,
    );
    let (Source::Files(real_files), Source::Files(fake_files)) = (real_source, fake_source) else {
        return Err(failure(
            Kind::Usage,
            "pairs are found by file names: name two folders of pictures",
        ));
    };
    let stem = |path: &PathBuf, root: &str| -> OsString {
        let below = path.strip_prefix(root).unwrap_or(path);
        below.with_extension("").into_os_string()
    };
    let mut known: BTreeMap<OsString, usize> = BTreeMap::new();
    for (index, path) in real_files.iter().enumerate() {
        if known.insert(stem(path, &real.name), index).is_some() {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has two pictures of the name {}",
                    real.name,
                    path.display()
                ),
            ));
        }
    }
    let mut pairs = Vec::new();
    let mut lonely = Vec::new();
    for (index, path) in fake_files.iter().enumerate() {
        match known.remove(&stem(path, &fake.name)) {
            Some(partner) => pairs.push((partner, index)),
            None => lonely.push(path.display().to_string()),
        }
    }
    lonely.extend(
        known
            .values()
            .map(|index| real_files[*index].display().to_string()),
    );
    if lonely.is_empty() {
        return Ok(pairs);
    }
    let more = lonely.len().saturating_sub(5);
    lonely.truncate(5);
    Err(failure(
        Kind::Data,
        format!(
            "{} pictures have no partner of the same name on the other side: {}{}",
            lonely.len() + more,
            lonely.join(", "),
            if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            }
        ),
    ))
}
