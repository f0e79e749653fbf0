//! The report of a run: one HTML file with the samples and the curves of a run folder, to be opened in any browser.
//!
//! The page holds everything it shows. It asks no server for anything, which its content security policy also forbids.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use crate::failure::{self, at_path};
use anyhow::{Context, Result, ensure};
use image::ImageReader;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use serde_json::{Value, json};

const FILE_NAME: &str = "report.html";

/// Sample sheets shown over time, the first and the last among them.
const MOST_SAMPLES: usize = 12;
/// Pictures shown that are neither a step nor the real images.
const MOST_OTHER_PICTURES: usize = 8;
/// Pictures above this size in bytes are made smaller before they are embedded.
const LARGEST_PICTURE: usize = 2 << 20;
const SHRUNK_SIDE: u32 = 1600;
const SHRUNK_JPEG_QUALITY: u8 = 90;
/// Animations above this size in bytes are linked: they cannot be made smaller without losing frames.
const LARGEST_ANIMATION: u64 = 12 << 20;

/// Longer series get a smoothed line.
const SMOOTHED_ABOVE: usize = 60;
/// A drawn line has at most this many points.
const MOST_POINTS: usize = 400;

const CHART_WIDTH: f64 = 480.0;
const CHART_HEIGHT: f64 = 276.0;
const PLOT_LEFT: f64 = 56.0;
const PLOT_RIGHT: f64 = 460.0;
const PLOT_TOP: f64 = 22.0;
const PLOT_BOTTOM: f64 = 238.0;
const COLOURS: usize = 6;

/// The beginning of a page, up to the content of `<main>`: `folder` stands small above the title, every line of
/// `notes` and of `warnings` is a banner below it.
pub fn opening(title: &str, folder: &str, notes: &[String], warnings: &[String]) -> String {
    let mut page = String::new();
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; ");
    page.push_str("style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    page.push_str(&format!(
        "<title>{}</title>\n<style>{STYLE}</style></head><body><main>\n",
        escape(title)
    ));
    page.push_str(&format!(
        "<header><p class=\"folder\">{}</p><h1>{}</h1>\n",
        escape(folder),
        escape(title)
    ));
    for (class, lines) in [("note", notes), ("note warning", warnings)] {
        for line in lines {
            page.push_str(&format!("<p class=\"{class}\">{}</p>\n", escape(line)));
        }
    }
    page.push_str("</header>\n");
    page
}

/// Writes `<run>/report.html` and returns its path.
///
/// `title` heads the page; every line of `notes` becomes a banner below it, for what a reader must not miss. What else
/// is on the page comes from the run folder, and whatever is missing there is left out:
///
/// - `metrics.jsonl`: one JSON object a line with the number `step`, optionally the text `stage`, and any other
///   numbers. Every stage gets a section with summary cards and one chart for each kind of value. Of two values of
///   one name at one step the later line counts. `null` and the texts `"NaN"` and `"inf"` are values that were not
///   finite: gaps in the curve and a warning on the page. A line that ends early is skipped.
/// - `samples/reals.png`, `samples/step_<8 digits>.png` (at most 12, evenly picked), other `.png` files there
///   (at most 8; of several named `<name>_<8 digits>.png` the latest)
///   and the first `.gif`. Pictures above 2 MiB are made smaller.
/// - `config.toml`, shown as it is.
///
/// The file is written beside its place and renamed, so a reader never sees half of a report.
///
/// # Errors
///
/// `run` is not a folder, the log or the configuration exists and cannot be read from the disk, or the report cannot
/// be written. A damaged or unreadable picture or line is no error; the page names it.
pub fn write(run: &Path, title: &str, notes: &[String]) -> Result<PathBuf> {
    ensure!(run.is_dir(), "{} is not a run folder", run.display());
    let mut warnings = Vec::new();
    let metrics = match read_if_there(&run.join("metrics.jsonl"))? {
        Some(bytes) => Metrics::parse(&bytes),
        None => Metrics::default(),
    };
    if metrics.unreadable_lines > 0 {
        warnings.push(format!(
            "metrics.jsonl: {} could not be read",
            counted(metrics.unreadable_lines, "line")
        ));
    }
    let samples = Samples::read(&run.join("samples"), &mut warnings)?;
    let config = read_if_there(&run.join("config.toml"))?;

    // The folder is often given as `.`, which names nothing.
    let folder = fs::canonicalize(run)
        .ok()
        .and_then(|folder| {
            folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| run.display().to_string());

    // What the doctor says stands beside what was known before.
    let mut notes = notes.to_vec();
    for (stage, doctor) in crate::doctor::read(run).unwrap_or_default() {
        if !doctor.is_silent() {
            notes.push(format!("Health of stage {stage}: {}", doctor.health()));
        }
    }
    let mut page = String::new();
    page.push_str(&opening(title, &folder, &notes, &warnings));

    // With one stage the numbers come first: they are what a reader looks for, and nothing else claims the top.
    if let [stage] = &metrics.stages[..] {
        page.push_str(&cards_html(stage));
    } else if metrics.stages.len() > 1 {
        page.push_str("<nav>");
        for (index, stage) in metrics.stages.iter().enumerate() {
            page.push_str(&format!(
                "<a href=\"#stage-{index}\">{}</a>",
                escape(&stage.name)
            ));
        }
        page.push_str("</nav>\n");
    }
    page.push_str(&samples.html());
    for (index, stage) in metrics.stages.iter().enumerate() {
        page.push_str(&format!("<section id=\"stage-{index}\">\n"));
        if metrics.stages.len() > 1 {
            page.push_str(&format!(
                "<h2>Stage: {}</h2>\n{}",
                escape(&stage.name),
                cards_html(stage)
            ));
        } else {
            page.push_str("<h2>Training curves</h2>\n");
        }
        page.push_str(&charts_html(stage, index));
        page.push_str("</section>\n");
    }
    if metrics.stages.is_empty() {
        page.push_str(
            "<section><p class=\"empty\">No metrics were recorded in this folder.</p></section>\n",
        );
    }
    if let Some(config) = config {
        page.push_str(&format!(
            "<section><details><summary>Configuration <code>config.toml</code></summary><pre>{}</pre></details></section>\n",
            escape(&String::from_utf8_lossy(&config))
        ));
    }
    page.push_str(&format!("</main><script>{SCRIPT}</script></body></html>\n"));

    let path = run.join(FILE_NAME);
    let partial = run.join(format!("{FILE_NAME}.partial"));
    let written = fs::write(&partial, page)
        .map_err(|error| at_path(failure::Kind::Disk, "write", &partial, &error))
        .and_then(|()| {
            fs::rename(&partial, &path)
                .map_err(|error| at_path(failure::Kind::Disk, "write", &path, &error))
        });
    if written.is_err() {
        // The error that matters is the one of writing; a partial file that stays behind is overwritten next time.
        let _ = fs::remove_file(&partial);
    }
    written.map(|()| path)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[derive(Default)]
struct Metrics {
    /// In the order in which they first appear.
    stages: Vec<Stage>,
    unreadable_lines: usize,
}

struct Stage {
    name: String,
    steps: BTreeSet<u64>,
    /// Name, step, value; NaN stands for every value that was not finite.
    columns: BTreeMap<String, BTreeMap<u64, f64>>,
}

impl Metrics {
    fn parse(bytes: &[u8]) -> Self {
        let mut metrics = Self::default();
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        for (index, line) in lines.iter().enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let row = serde_json::from_slice::<Value>(line).ok();
            let step = row
                .as_ref()
                .and_then(|row| row.get("step"))
                .and_then(whole_number);
            match (row, step) {
                (Some(Value::Object(row)), Some(step)) => metrics.add(step, &row),
                // Without a line end after it, the line is one that is still being written or was torn by a crash.
                _ if index + 1 == lines.len() => {}
                _ => metrics.unreadable_lines += 1,
            }
        }
        metrics
    }

    fn add(&mut self, step: u64, row: &serde_json::Map<String, Value>) {
        let name = row
            .get("stage")
            .and_then(Value::as_str)
            .unwrap_or("training");
        let known = self.stages.iter().position(|stage| stage.name == name);
        let position = known.unwrap_or_else(|| {
            self.stages.push(Stage {
                name: name.to_string(),
                steps: BTreeSet::new(),
                columns: BTreeMap::new(),
            });
            self.stages.len() - 1
        });
        let stage = &mut self.stages[position];
        stage.steps.insert(step);
        for (key, value) in row {
            if key == "step" {
                continue;
            }
            let number = match value {
                Value::Number(number) => number
                    .as_f64()
                    .filter(|number| number.is_finite())
                    .unwrap_or(f64::NAN),
                Value::Null => f64::NAN,
                Value::String(text)
                    if text.parse::<f64>().is_ok_and(|number| !number.is_finite()) =>
                {
                    f64::NAN
                }
                _ => continue,
            };
            stage
                .columns
                .entry(key.clone())
                .or_default()
                .insert(step, number);
        }
    }
}

fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        value
            .as_f64()
            .filter(|number| *number >= 0.0 && number.fract() == 0.0)
            .map(|number| number as u64)
    })
}

impl Stage {
    fn last(&self, name: &str) -> Option<f64> {
        self.columns
            .get(name)?
            .values()
            .rev()
            .copied()
            .find(|value| value.is_finite())
    }

    /// The values of one name over the steps, with a NaN between two where values are missing.
    ///
    /// Lines need not all hold the same names, so a name that is absent here and there is only rarer than others. A
    /// gap is where it stays away for more than twice as many lines as it usually does.
    fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let Some(column) = self.columns.get(name) else {
            return Vec::new();
        };
        let rank: BTreeMap<u64, usize> = self
            .steps
            .iter()
            .enumerate()
            .map(|(rank, &step)| (step, rank))
            .collect();
        let ranked: Vec<(usize, u64, f64)> = column
            .iter()
            .map(|(&step, &value)| (rank.get(&step).copied().unwrap_or(0), step, value))
            .collect();
        let mut distances: Vec<usize> = ranked
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect();
        distances.sort_unstable();
        let usual = distances.get(distances.len() / 2).copied().unwrap_or(1);
        let mut curve = Vec::with_capacity(ranked.len());
        let mut previous: Option<(usize, u64)> = None;
        for (rank, step, value) in ranked {
            if let Some((previous_rank, previous_step)) = previous
                && rank - previous_rank > 2 * usual
            {
                curve.push(((previous_step as f64 + step as f64) / 2.0, f64::NAN));
            }
            curve.push((step as f64, value));
            previous = Some((rank, step));
        }
        curve
    }

    fn not_finite(&self, name: &str) -> usize {
        self.columns.get(name).map_or(0, |column| {
            column.values().filter(|value| !value.is_finite()).count()
        })
    }
}

fn cards_html(stage: &Stage) -> String {
    let mut cards = Vec::new();
    if let Some(step) = stage.steps.last() {
        cards.push(("Steps".to_string(), with_separators(*step)));
    }
    if let Some(epoch) = stage.last("epoch") {
        cards.push(("Epochs".to_string(), short_number(epoch)));
    }
    let is_shown = |name: &&String| {
        ["loss", "test_", "answer_", "changed_and_kept"]
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    for name in stage.columns.keys().filter(is_shown) {
        let value = stage
            .last(name)
            .map_or_else(|| "not finite".to_string(), short_number);
        cards.push((format!("{name}, last"), value));
    }
    if let Some(column) = stage.columns.get("images_per_second") {
        let mut speeds: Vec<f64> = column
            .values()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        speeds.sort_unstable_by(f64::total_cmp);
        if let Some(median) = speeds.get(speeds.len() / 2) {
            cards.push(("Images/s, median".to_string(), short_number(*median)));
        }
    }
    if let Some(column) = stage.columns.get("elapsed_s") {
        let seconds = column
            .values()
            .copied()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        cards.push(("Wall-clock".to_string(), duration(seconds)));
    }
    let mut html = String::from("<div class=\"cards\">");
    for (label, value) in cards {
        html.push_str(&format!(
            "<div><span>{}</span><b>{}</b></div>",
            escape(&label),
            escape(&value)
        ));
    }
    html.push_str("</div>\n");
    html
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Automatic,
    /// From 0 to 1 with a line at one half, as long as no value lies outside.
    Probability,
    /// Values that follow a plan: a moving average would only show them too late.
    Planned,
}

struct ChartGroup {
    title: String,
    unit: &'static str,
    kind: Kind,
    names: Vec<String>,
}

/// Names that go into one chart, by their beginning.
const GROUPS: [(&[&str], &str, &str, Kind); 10] = [
    (&["loss"], "Losses", "", Kind::Automatic),
    (
        &["G_GAN", "G_A", "G_B"],
        "Adversarial loss of generators",
        "",
        Kind::Automatic,
    ),
    (
        &["D_real", "D_fake", "D_A", "D_B"],
        "Loss of discriminators",
        "",
        Kind::Automatic,
    ),
    (
        &["cycle_", "idt_"],
        "Cycle and identity",
        "",
        Kind::Automatic,
    ),
    (
        &["changed", "kept"],
        "Pictures with known answers",
        "share",
        Kind::Probability,
    ),
    (
        &["d_real", "d_fake"],
        "Discriminator outputs",
        "probability of “real”",
        Kind::Probability,
    ),
    (&["grad_norm"], "Gradient norms", "", Kind::Automatic),
    (&["lr"], "Learning rates", "", Kind::Planned),
    (&["images_per_second"], "Speed", "images/s", Kind::Automatic),
    (
        &["data_wait"],
        "Data wait",
        "share of the time",
        Kind::Automatic,
    ),
];

const NOT_CHARTED: [&str; 2] = ["epoch", "elapsed_s"];

fn chart_groups(stage: &Stage) -> Vec<ChartGroup> {
    let mut left: Vec<String> = stage
        .columns
        .keys()
        .filter(|name| !NOT_CHARTED.contains(&name.as_str()))
        .cloned()
        .collect();
    let mut groups = Vec::new();
    for (beginnings, title, unit, kind) in GROUPS {
        let mut names = Vec::new();
        for beginning in beginnings {
            let (taken, rest) = left
                .into_iter()
                .partition(|name: &String| name.starts_with(beginning));
            left = rest;
            names.extend::<Vec<String>>(taken);
        }
        if !names.is_empty() {
            groups.push(ChartGroup {
                title: title.to_string(),
                unit,
                kind,
                names,
            });
        }
    }
    groups.extend(left.into_iter().map(|name| ChartGroup {
        title: title_of(&name),
        unit: "",
        kind: Kind::Automatic,
        names: vec![name],
    }));
    groups
}

fn title_of(name: &str) -> String {
    match name {
        "js_divergence" => return "Jensen–Shannon divergence".to_string(),
        "kl_divergence" => return "Kullback–Leibler divergence".to_string(),
        _ => {}
    }
    let words = name.replace(['_', '/'], " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn charts_html(stage: &Stage, stage_index: usize) -> String {
    let mut html = String::from("<div class=\"charts\">\n");
    for (index, group) in chart_groups(stage).into_iter().enumerate() {
        html.push_str(&chart_html(
            stage,
            &group,
            &format!("clip-{stage_index}-{index}"),
        ));
    }
    html.push_str("</div>\n");
    html
}

struct Line {
    name: String,
    raw: Vec<(f64, f64)>,
    smoothed: Option<Vec<(f64, f64)>>,
    memory: f64,
}

fn chart_html(stage: &Stage, group: &ChartGroup, clip: &str) -> String {
    let lines: Vec<Line> = group
        .names
        .iter()
        .map(|name| {
            let raw = stage.curve(name);
            let finite = raw.iter().filter(|(_, value)| value.is_finite()).count();
            let memory = (finite as f64 / 40.0).clamp(5.0, 500.0).round();
            let smoothed = (finite > SMOOTHED_ABOVE && group.kind != Kind::Planned)
                .then(|| smooth(&raw, memory));
            Line {
                name: name.clone(),
                raw,
                smoothed,
                memory,
            }
        })
        .collect();
    let mut html = format!(
        "<figure class=\"chart\"><figcaption><h3>{}</h3>",
        escape(&group.title)
    );
    if !group.unit.is_empty() {
        html.push_str(&format!("<span class=\"unit\">{}</span>", group.unit));
    }
    html.push_str("</figcaption>\n");

    let mut remarks = Vec::new();
    for name in &group.names {
        let count = stage.not_finite(name);
        if count > 0 {
            let total = stage.columns.get(name).map_or(0, BTreeMap::len);
            remarks.push(format!(
                "<b class=\"bad\">{} was not finite {} (of {} logged)</b>",
                escape(name),
                times(count),
                with_separators(total as u64)
            ));
        }
    }
    let finite: Vec<(f64, f64)> = lines
        .iter()
        .flat_map(|line| line.raw.iter().copied())
        .filter(|(_, value)| value.is_finite())
        .collect();
    if finite.is_empty() {
        html.push_str("<p class=\"empty\">No finite value.</p>");
    } else {
        let x_axis = x_axis(&finite);
        let values: Vec<f64> = finite.iter().map(|&(_, value)| value).collect();
        let (y_axis, cut) = y_axis(&values, group.kind);
        html.push_str(&legend_html(&lines));
        html.push_str(&plot_svg(&lines, &group.title, &x_axis, &y_axis, clip));
        html.push_str(&hover_data(&lines, &x_axis, &y_axis));
        if let Some(memory) = lines
            .iter()
            .filter(|line| line.smoothed.is_some())
            .map(|line| line.memory)
            .reduce(f64::max)
        {
            remarks.push(format!(
                "bold: moving average over about {memory} logged values; faint: as logged"
            ));
        }
        if cut > 0 {
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            remarks.push(format!(
                "{} beyond the axis (values from {} to {})",
                counted(cut, "value"),
                short_number(lowest),
                short_number(highest)
            ));
        }
    }
    if !remarks.is_empty() {
        html.push_str(&format!("<p class=\"remark\">{}</p>", remarks.join(" · ")));
    }
    html.push_str("</figure>\n");
    html
}

fn legend_html(lines: &[Line]) -> String {
    let mut html = String::from("<p class=\"legend\">");
    for (index, line) in lines.iter().enumerate() {
        let drawn = line.smoothed.as_ref().unwrap_or(&line.raw);
        let last = drawn
            .iter()
            .rev()
            .map(|&(_, value)| value)
            .find(|value| value.is_finite());
        html.push_str(&format!(
            "<span><i class=\"c{}\"></i>{} <output>{}</output></span>",
            index % COLOURS,
            escape(&line.name),
            last.map_or_else(|| "–".to_string(), short_number)
        ));
    }
    let rest = if lines.iter().any(|line| line.smoothed.is_some()) {
        "last, smoothed"
    } else {
        "last"
    };
    html.push_str(&format!("<span class=\"at\">{rest}</span></p>\n"));
    html
}

struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    /// Ticks are multiples of it; their labels have its decimals.
    step: f64,
    /// Where a dashed line is drawn.
    reference: Option<f64>,
}

impl Axis {
    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn x(&self, value: f64) -> f64 {
        PLOT_LEFT + self.share(value) * (PLOT_RIGHT - PLOT_LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        // Far outside the plot nothing is seen, and browsers stumble over huge coordinates.
        PLOT_BOTTOM - self.share(value).clamp(-5.0, 6.0) * (PLOT_BOTTOM - PLOT_TOP)
    }
}

fn x_axis(finite: &[(f64, f64)]) -> Axis {
    let low = finite
        .iter()
        .map(|&(step, _)| step)
        .fold(f64::INFINITY, f64::min);
    let high = finite
        .iter()
        .map(|&(step, _)| step)
        .fold(f64::NEG_INFINITY, f64::max);
    // Runs log their first line after some steps; an axis that starts at 80 of 40 000 only looks odd.
    let low = if low < 0.2 * high { 0.0 } else { low };
    let high = if high > low { high } else { low + 1.0 };
    let step = nice_step(high - low, 5.0).max(1.0);
    Axis {
        low,
        high,
        ticks: ticks_within(low, high, step),
        step,
        reference: None,
    }
}

/// The axis, and how many values lie beyond it.
fn y_axis(values: &[f64], kind: Kind) -> (Axis, usize) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (lowest, highest) = (at(0.0), at(1.0));
    if kind == Kind::Probability && lowest >= 0.0 && highest <= 1.0 {
        let axis = Axis {
            low: 0.0,
            high: 1.0,
            ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0],
            step: 0.05,
            reference: Some(0.5),
        };
        return (axis, 0);
    }
    let (mut low, mut high) = (lowest, highest);
    // A few spikes would press everything else flat. They may leave the plot, which the remark below it tells.
    if values.len() > SMOOTHED_ABOVE {
        let (usual_low, usual_high) = (at(0.005), at(0.995));
        if usual_high > usual_low && highest - lowest > 3.0 * (usual_high - usual_low) {
            let margin = 0.1 * (usual_high - usual_low);
            (low, high) = (
                (usual_low - margin).max(lowest),
                (usual_high + margin).min(highest),
            );
        }
    }
    if low >= 0.0 && low <= 0.6 * high {
        low = 0.0;
    }
    if high <= low {
        let margin = if low == 0.0 { 1.0 } else { low.abs() };
        (low, high) = (low - margin, high + margin);
        if lowest >= 0.0 {
            low = low.max(0.0);
        }
    }
    let step = nice_step(high - low, 5.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let cut = sorted
        .iter()
        .filter(|value| **value < low || **value > high)
        .count();
    (
        Axis {
            low,
            high,
            ticks: ticks_within(low, high, step),
            step,
            reference: None,
        },
        cut,
    )
}

/// 1, 2 or 5 times a power of ten, so that about `wanted` of them fill `range`.
fn nice_step(range: f64, wanted: f64) -> f64 {
    let rough = (range / wanted).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= rough * 0.999)
        .unwrap_or(10.0);
    factor * power
}

fn ticks_within(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-6).ceil();
    let count = ((high / step + 1e-6).floor() - first).clamp(0.0, 50.0) as usize;
    (0..=count)
        .map(|index| (first + index as f64) * step)
        .collect()
}

fn tick_labels(axis: &Axis) -> Vec<String> {
    let largest = axis
        .ticks
        .iter()
        .fold(0.0f64, |largest, tick| largest.max(tick.abs()));
    let (unit, suffix) = match largest {
        largest if largest >= 1e9 || (largest > 0.0 && largest < 1e-3) => {
            let exponent = largest.log10().floor();
            (10f64.powf(exponent), format!("e{exponent}"))
        }
        largest if largest >= 1e6 => (1e6, "M".to_string()),
        largest if largest >= 1e4 => (1e3, "k".to_string()),
        _ => (1.0, String::new()),
    };
    let decimals = (-(axis.step / unit).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    axis.ticks
        .iter()
        .map(|tick| {
            if tick.abs() < axis.step * 1e-6 {
                return "0".to_string();
            }
            let digits = format!("{:.decimals$}", tick / unit).replace('-', "−");
            format!("{digits}{}", suffix.replace('-', "−"))
        })
        .collect()
}

fn plot_svg(lines: &[Line], title: &str, x_axis: &Axis, y_axis: &Axis, clip: &str) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {CHART_WIDTH} {CHART_HEIGHT}\" role=\"img\" aria-label=\"{}\">\n<clipPath id=\"{clip}\"><rect x=\"{PLOT_LEFT}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>\n",
        escape(title),
        PLOT_TOP - 2.0,
        PLOT_RIGHT - PLOT_LEFT + 2.0,
        PLOT_BOTTOM - PLOT_TOP + 4.0
    );
    svg.push_str("<g class=\"axis\">");
    for (tick, label) in y_axis.ticks.iter().zip(tick_labels(y_axis)) {
        let y = y_axis.y(*tick);
        svg.push_str(&format!(
            "<path d=\"M{PLOT_LEFT} {y:.1}H{PLOT_RIGHT}\"/><text x=\"{}\" y=\"{:.1}\" class=\"y\">{label}</text>",
            PLOT_LEFT - 7.0,
            y + 4.0
        ));
    }
    for (tick, label) in x_axis.ticks.iter().zip(tick_labels(x_axis)) {
        let x = x_axis.x(*tick);
        svg.push_str(&format!(
            "<path d=\"M{x:.1} {PLOT_BOTTOM}v5\"/><text x=\"{x:.1}\" y=\"{}\" class=\"x\">{label}</text>",
            PLOT_BOTTOM + 18.0
        ));
    }
    svg.push_str(&format!(
        "<text x=\"{PLOT_RIGHT}\" y=\"{}\" class=\"name\">step</text>",
        PLOT_BOTTOM + 31.0
    ));
    svg.push_str("</g>");
    if let Some(reference) = y_axis.reference {
        svg.push_str(&format!(
            "<path class=\"half\" d=\"M{PLOT_LEFT} {:.1}H{PLOT_RIGHT}\"/>",
            y_axis.y(reference)
        ));
    }
    svg.push_str(&format!("<g clip-path=\"url(#{clip})\">"));
    let to_path = |curve: &[(f64, f64)]| path_of(curve, x_axis, y_axis);
    // All faint lines lie under all bold ones.
    for (index, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.smoothed.is_some())
    {
        svg.push_str(&format!(
            "<path class=\"raw s{}\" d=\"{}\"/>",
            index % COLOURS,
            to_path(&extremes(&line.raw))
        ));
    }
    for (index, line) in lines.iter().enumerate() {
        let bold = line
            .smoothed
            .as_ref()
            .map_or_else(|| extremes(&line.raw), |smoothed| averages(smoothed));
        // Two learning rates are often the same: the second would hide the first.
        let dashed = if lines[..index].iter().any(|earlier| earlier.raw == line.raw) {
            " dashed"
        } else {
            ""
        };
        svg.push_str(&format!(
            "<path class=\"bold{dashed} s{}\" d=\"{}\"/>",
            index % COLOURS,
            to_path(&bold)
        ));
        if line.raw.len() <= SMOOTHED_ABOVE / 2 {
            for &(step, value) in line.raw.iter().filter(|(_, value)| value.is_finite()) {
                svg.push_str(&format!(
                    "<circle class=\"f{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\"/>",
                    index % COLOURS,
                    x_axis.x(step),
                    y_axis.y(value)
                ));
            }
        }
    }
    svg.push_str("</g><g class=\"hover\" visibility=\"hidden\">");
    svg.push_str(&format!(
        "<path class=\"cursor\" d=\"M0 {PLOT_TOP}V{PLOT_BOTTOM}\"/>"
    ));
    for index in 0..lines.len() {
        svg.push_str(&format!("<circle class=\"f{}\" r=\"4\"/>", index % COLOURS));
    }
    svg.push_str("</g></svg>\n");
    svg
}

fn path_of(curve: &[(f64, f64)], x_axis: &Axis, y_axis: &Axis) -> String {
    let mut path = String::new();
    let mut pen_is_up = true;
    for &(step, value) in curve {
        if value.is_finite() {
            path.push_str(if pen_is_up { "M" } else { "L" });
            path.push_str(&format!("{:.1} {:.1}", x_axis.x(step), y_axis.y(value)));
            // A line of no length still shows its round cap: a value between two gaps is a dot.
            if pen_is_up {
                path.push_str("h0");
            }
        }
        pen_is_up = !value.is_finite();
    }
    path
}

/// What the read-out under the pointer shows: the bold lines, and where the plot lies.
fn hover_data(lines: &[Line], x_axis: &Axis, y_axis: &Axis) -> String {
    let series: Vec<Value> = lines
        .iter()
        .map(|line| {
            let bold = line
                .smoothed
                .as_ref()
                .map_or_else(|| averages(&line.raw), |smoothed| averages(smoothed));
            let bold: Vec<(f64, f64)> = bold
                .into_iter()
                .filter(|(_, value)| value.is_finite())
                .collect();
            json!({
                "x": bold.iter().map(|&(step, _)| step.round()).collect::<Vec<_>>(),
                "y": bold.iter().map(|&(_, value)| five_digits(value)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let data = json!({
        "x": [x_axis.low, x_axis.high],
        "y": [y_axis.low, y_axis.high],
        "plot": [PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_BOTTOM],
        "width": CHART_WIDTH,
        "series": series,
    });
    // Inside a script element entities do not count, but `</script>` would end it.
    format!(
        "<script type=\"application/json\">{}</script>\n",
        data.to_string().replace('<', "\\u003c")
    )
}

/// An exponential moving average that remembers about `memory` values and is not drawn towards zero at its start.
fn smooth(curve: &[(f64, f64)], memory: f64) -> Vec<(f64, f64)> {
    let keep = 1.0 - 2.0 / (memory + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    curve
        .iter()
        .map(|&(step, value)| {
            if !value.is_finite() {
                return (step, f64::NAN);
            }
            sum = sum * keep + value * (1.0 - keep);
            weight = weight * keep + (1.0 - keep);
            (step, sum / weight)
        })
        .collect()
}

/// At most [`MOST_POINTS`] finite points that keep every spike: the lowest and the highest of every bucket.
fn extremes(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if curve.len() <= MOST_POINTS {
        return curve.to_vec();
    }
    thinned(curve, MOST_POINTS / 2, |bucket| {
        let lowest = (0..bucket.len())
            .min_by(|&a, &b| bucket[a].1.total_cmp(&bucket[b].1))
            .unwrap_or(0);
        let highest = (0..bucket.len())
            .max_by(|&a, &b| bucket[a].1.total_cmp(&bucket[b].1))
            .unwrap_or(0);
        let (first, second) = (lowest.min(highest), lowest.max(highest));
        if first == second {
            vec![bucket[first]]
        } else {
            vec![bucket[first], bucket[second]]
        }
    })
}

/// At most [`MOST_POINTS`] finite points: the mean of every bucket.
fn averages(curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if curve.len() <= MOST_POINTS {
        return curve.to_vec();
    }
    thinned(curve, MOST_POINTS, |bucket| {
        let count = bucket.len() as f64;
        let step = bucket.iter().map(|&(step, _)| step / count).sum();
        let value = bucket.iter().map(|&(_, value)| value / count).sum();
        vec![(step, value)]
    })
}

/// Replaces each of `buckets` parts of the curve by the points `summary` makes of its finite ones. A part with a gap
/// keeps a gap at its end.
fn thinned(
    curve: &[(f64, f64)],
    buckets: usize,
    summary: impl Fn(&[(f64, f64)]) -> Vec<(f64, f64)>,
) -> Vec<(f64, f64)> {
    let mut thin = Vec::new();
    for bucket in 0..buckets {
        let part = &curve[bucket * curve.len() / buckets..(bucket + 1) * curve.len() / buckets];
        let finite: Vec<(f64, f64)> = part
            .iter()
            .copied()
            .filter(|(_, value)| value.is_finite())
            .collect();
        if !finite.is_empty() {
            thin.extend(summary(&finite));
        }
        if let Some(gap) = part.iter().rev().find(|(_, value)| !value.is_finite()) {
            thin.push(*gap);
        }
    }
    thin
}

struct Picture {
    caption: String,
    width: u32,
    height: u32,
    /// A `data:` URL.
    source: String,
}

#[derive(Default)]
struct Samples {
    reals: Option<Picture>,
    over_time: Vec<Picture>,
    sheets_there_are: usize,
    others: Vec<Picture>,
    animation: Option<Animation>,
}

enum Animation {
    Embedded(Picture),
    /// Too large; a name inside the folder of the samples.
    Linked(String),
}

impl Samples {
    fn read(folder: &Path, warnings: &mut Vec<String>) -> Result<Self> {
        let mut names = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    let entry =
                        entry.with_context(|| format!("cannot list {}", folder.display()))?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let is_shown = name.ends_with(".png") || name.ends_with(".gif");
                    // Reading a named pipe would wait for its writer.
                    if is_shown && !entry.path().is_file() {
                        warnings.push(format!("samples/{name} is left out: it is no plain file"));
                    } else {
                        names.push(name);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", folder.display()));
            }
        }
        names.sort_unstable();
        let mut sheets = BTreeMap::new();
        // Of pictures that are made again and again, the names sort the latest one last.
        let mut others = BTreeMap::new();
        for name in names.iter().filter_map(|name| name.strip_suffix(".png")) {
            match split_step(name) {
                Some(("step", step)) => {
                    sheets.insert(step, format!("{name}.png"));
                }
                None if name == "reals" => {}
                Some((series, step)) => {
                    let title = title_of(series);
                    let caption = format!("{title}, step {}", with_separators(step));
                    others.insert(series, (name, caption));
                }
                None => {
                    others.insert(name, (name, title_of(name)));
                }
            }
        }
        let mut embed = |name: &str, caption: String| embed_png(folder, name, caption, warnings);
        let mut samples = Self {
            sheets_there_are: sheets.len(),
            ..Self::default()
        };
        if names.iter().any(|name| name == "reals.png") {
            samples.reals = embed("reals.png", "Real images".to_string());
        }
        let sheets: Vec<(u64, String)> = sheets.into_iter().collect();
        for index in evenly_picked(sheets.len(), MOST_SAMPLES) {
            let (step, name) = &sheets[index];
            samples
                .over_time
                .extend(embed(name, format!("step {}", with_separators(*step))));
        }
        for (name, caption) in others.values().take(MOST_OTHER_PICTURES) {
            samples
                .others
                .extend(embed(&format!("{name}.png"), caption.clone()));
        }
        if let Some(left_out) = others
            .len()
            .checked_sub(MOST_OTHER_PICTURES)
            .filter(|count| *count > 0)
        {
            warnings.push(format!(
                "samples: {} not shown here",
                counted(left_out, "more picture")
            ));
        }
        if let Some(name) = names.iter().find(|name| name.ends_with(".gif")) {
            samples.animation = embed_gif(folder, name, warnings);
        }
        Ok(samples)
    }

    fn html(&self) -> String {
        let mut html = String::new();
        if let Some(last) = self.over_time.last() {
            html.push_str("<section class=\"samples\"><h2>Samples</h2>\n<div class=\"pair\">");
            if let Some(reals) = &self.reals {
                html.push_str(&figure_html(reals));
            }
            html.push_str(&format!(
                "<figure class=\"viewer\"><figcaption>Generated, <output>{}</output></figcaption>{}</figure></div>\n",
                escape(&last.caption),
                img_html(last)
            ));
            if self.over_time.len() > 1 {
                let last_index = self.over_time.len() - 1;
                html.push_str(&format!(
                    "<div class=\"slider\" hidden><button type=\"button\">Play</button><input type=\"range\" min=\"0\" max=\"{last_index}\" value=\"{last_index}\" aria-label=\"Training step of the samples shown\"></div>\n"
                ));
                html.push_str("<div class=\"strip\">");
                for picture in &self.over_time {
                    html.push_str(&figure_html(picture));
                }
                html.push_str("</div>\n");
                if self.sheets_there_are > self.over_time.len() {
                    html.push_str(&format!(
                        "<p class=\"remark\">{} of {} sheets, evenly picked</p>\n",
                        self.over_time.len(),
                        with_separators(self.sheets_there_are as u64)
                    ));
                }
            }
            html.push_str("</section>\n");
        } else if let Some(reals) = &self.reals {
            html.push_str(&format!(
                "<section class=\"samples\"><h2>Samples</h2><div class=\"pair\">{}</div></section>\n",
                figure_html(reals)
            ));
        }
        if self.animation.is_some() || !self.others.is_empty() {
            html.push_str("<section><h2>More pictures</h2><div class=\"gallery\">");
            match &self.animation {
                Some(Animation::Embedded(picture)) => html.push_str(&figure_html(picture)),
                Some(Animation::Linked(name)) => html.push_str(&format!(
                    "<p>The animation is too large for this page: <a href=\"samples/{}\">samples/{}</a></p>",
                    escape(&url_path(name)),
                    escape(name)
                )),
                None => {}
            }
            for picture in &self.others {
                html.push_str(&figure_html(picture));
            }
            html.push_str("</div></section>\n");
        }
        html
    }
}

/// `walk_00001000` is the series `walk` at step 1000.
fn split_step(name: &str) -> Option<(&str, u64)> {
    let (series, digits) = name.rsplit_once('_')?;
    // Fewer digits are rather part of a name, as in `seed_7`.
    let step = digits.parse().ok().filter(|_| digits.len() >= 8)?;
    Some((series, step))
}

fn figure_html(picture: &Picture) -> String {
    format!(
        "<figure><figcaption>{}</figcaption>{}</figure>",
        escape(&picture.caption),
        img_html(picture)
    )
}

fn img_html(picture: &Picture) -> String {
    // Pixels of small pictures are meant to be seen; a large one drawn smaller needs the browser's filter.
    let class = if picture.width.max(picture.height) < 400 {
        " class=\"pixels\""
    } else {
        ""
    };
    format!(
        "<img{class} src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
        picture.source,
        picture.width,
        picture.height,
        escape(&picture.caption)
    )
}

/// Indices of at most `most` of `count` things, the first and the last among them.
fn evenly_picked(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most)
        .map(|index| (index * (count - 1) + (most - 1) / 2) / (most - 1))
        .collect()
}

fn embed_png(
    folder: &Path,
    name: &str,
    caption: String,
    warnings: &mut Vec<String>,
) -> Option<Picture> {
    let path = folder.join(name);
    let picture = fs::read(&path)
        .map_err(image::ImageError::from)
        .and_then(|bytes| png_picture(bytes, caption));
    picture
        .map_err(|error| warnings.push(format!("samples/{name} is left out: {error}")))
        .ok()
}

fn png_picture(bytes: Vec<u8>, caption: String) -> Result<Picture, image::ImageError> {
    let reader = || ImageReader::new(Cursor::new(&bytes)).with_guessed_format();
    if bytes.len() <= LARGEST_PICTURE {
        let (width, height) = reader()?.into_dimensions()?;
        let source = data_url("image/png", &bytes);
        return Ok(Picture {
            caption,
            width,
            height,
            source,
        });
    }
    let mut picture = reader()?.decode()?;
    if picture.width().max(picture.height()) > SHRUNK_SIDE {
        picture = picture.resize(SHRUNK_SIDE, SHRUNK_SIDE, FilterType::CatmullRom);
    }
    let picture = picture.into_rgb8();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, SHRUNK_JPEG_QUALITY).encode_image(&picture)?;
    let (width, height) = picture.dimensions();
    Ok(Picture {
        caption,
        width,
        height,
        source: data_url("image/jpeg", &jpeg),
    })
}

fn embed_gif(folder: &Path, name: &str, warnings: &mut Vec<String>) -> Option<Animation> {
    let path = folder.join(name);
    let embed = || -> Result<Animation, image::ImageError> {
        if fs::metadata(&path)?.len() > LARGEST_ANIMATION {
            return Ok(Animation::Linked(name.to_string()));
        }
        let bytes = fs::read(&path)?;
        let (width, height) =
            ImageReader::with_format(Cursor::new(&bytes), image::ImageFormat::Gif)
                .into_dimensions()?;
        Ok(Animation::Embedded(Picture {
            caption: title_of(name.trim_end_matches(".gif")),
            width,
            height,
            source: data_url("image/gif", &bytes),
        }))
    };
    embed()
        .map_err(|error| warnings.push(format!("samples/{name} is left out: {error}")))
        .ok()
}

/// Bytes as a link that holds them.
pub fn data_url(media_type: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut url = format!("data:{media_type};base64,");
    url.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= three.len() {
                url.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
            } else {
                url.push('=');
            }
        }
    }
    url
}

fn url_path(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// Text as HTML shows it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn counted(count: usize, thing: &str) -> String {
    format!(
        "{} {thing}{}",
        with_separators(count as u64),
        if count == 1 { "" } else { "s" }
    )
}

fn times(count: usize) -> String {
    if count == 1 {
        "once".to_string()
    } else {
        format!("{} times", with_separators(count as u64))
    }
}

fn with_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Four significant digits, in powers of ten only where plain digits would be long.
fn short_number(value: f64) -> String {
    let magnitude = value.abs();
    let text = if value == 0.0 {
        "0".to_string()
    } else if !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:.3e}");
        match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", without_trailing_zeros(digits)),
            None => text,
        }
    } else if magnitude >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", with_separators(magnitude.round() as u64))
    } else {
        let decimals = (3.0 - magnitude.log10().floor()).clamp(0.0, 6.0) as usize;
        without_trailing_zeros(&format!("{value:.decimals$}")).to_string()
    };
    text.replace('-', "−")
}

fn without_trailing_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

fn five_digits(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds:02} s"),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

const STYLE: &str = r#"
:root{--page:#f5f6f8;--card:#fff;--ink:#1b2430;--soft:#5d6978;--line:#e1e5ea;--grid:#e9ecf0;--note:#fff3d6;--note-ink:#704c00;--note-line:#eccb7e;--bad:#b3261e;--bad-back:#fdeceb;--bad-line:#f0b9b5;--c0:#2563d9;--c1:#e06c0a;--c2:#12875c;--c3:#9333c4;--c4:#c8324f;--c5:#0e8494}
@media(prefers-color-scheme:dark){:root{--page:#0f1318;--card:#181e26;--ink:#e6eaf0;--soft:#98a4b3;--line:#2a323d;--grid:#252d37;--note:#352a0f;--note-ink:#ffd982;--note-line:#6b5418;--bad:#ff9b93;--bad-back:#3a1a19;--bad-line:#74322e;--c0:#6ea2ff;--c1:#ff9f4a;--c2:#45cf97;--c3:#c893ff;--c4:#ff7d93;--c5:#4cc7d8}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}
h1{margin:0 0 14px;font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{margin:0 0 14px;font-size:1.2rem;letter-spacing:-.01em}
h3{margin:0;font-size:1rem}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
section{margin-top:34px}
.folder{margin:0 0 2px;color:var(--soft);font-size:.86rem;overflow-wrap:anywhere}
.note{margin:8px 0 0;padding:9px 14px;border:1px solid var(--note-line);border-left-width:5px;border-radius:8px;background:var(--note);color:var(--note-ink);font-weight:600;overflow-wrap:anywhere}
.note.warning{background:var(--bad-back);border-color:var(--bad-line);color:var(--bad);font-weight:500}
nav{display:flex;flex-wrap:wrap;gap:8px;margin-top:18px}
nav a{padding:4px 14px;border:1px solid var(--line);border-radius:99px;background:var(--card);color:var(--ink);text-decoration:none}
nav a:hover{border-color:var(--c0)}
a{color:var(--c0)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:20px 0}
.cards div,.chart,.pair figure,.gallery figure,details{background:var(--card);border:1px solid var(--line);border-radius:12px}
.cards div{padding:11px 15px}
.cards span{display:block;color:var(--soft);font-size:.8rem}
.cards b{font-size:1.4rem;font-weight:650;letter-spacing:-.01em;font-variant-numeric:tabular-nums;white-space:nowrap}
figure{margin:0}
img{display:block;max-width:100%;height:auto;border-radius:6px}
.pixels{image-rendering:pixelated}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:16px;align-items:start}
.pair figure,.gallery figure{padding:12px}
.pair img{width:100%;max-height:78vh;object-fit:contain}
.pair figure:only-child{max-width:820px}
figcaption{margin-bottom:8px;color:var(--soft);font-size:.88rem}
.slider{display:flex;align-items:center;gap:14px;margin-top:14px}
.slider[hidden]{display:none}
.slider input{flex:1;min-width:0;accent-color:var(--c0)}
button{min-width:72px;padding:5px 14px;border:1px solid var(--line);border-radius:8px;background:var(--card);color:var(--ink);font:inherit;cursor:pointer}
button:hover{border-color:var(--c0)}
.strip{display:grid;grid-template-columns:repeat(12,1fr);gap:8px;margin-top:14px}
.strip figure{cursor:pointer;padding:5px;border:1px solid var(--line);border-radius:8px;background:var(--card)}
.strip figure.chosen{border-color:var(--c0);box-shadow:0 0 0 1px var(--c0)}
.strip figcaption{margin:0 0 3px;font-size:.72rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.strip img{width:100%;border-radius:4px}
.gallery{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:16px;align-items:start}
.gallery img{margin:0 auto}
.gallery figure:only-child{justify-self:start}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:16px}
.chart{padding:14px 16px 12px;min-width:0}
.chart figcaption{display:flex;align-items:baseline;gap:10px;margin-bottom:4px;color:var(--ink)}
.unit{color:var(--soft);font-size:.82rem}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:0 0 2px;font-size:.82rem}
.legend i{display:inline-block;width:14px;height:4px;margin:0 6px 3px 0;border-radius:2px}
.legend output{font-weight:650;font-variant-numeric:tabular-nums}
.legend .at{margin-left:auto;color:var(--soft);font-variant-numeric:tabular-nums}
.remark,.empty{margin:4px 0 0;color:var(--soft);font-size:.76rem}
.bad{color:var(--bad)}
svg{display:block;width:100%;height:auto;touch-action:pan-y;font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
.axis path{stroke:var(--grid);fill:none}
.axis text{fill:var(--soft);font-variant-numeric:tabular-nums}
.axis .y,.axis .name{text-anchor:end}
.axis .x{text-anchor:middle}
.half{stroke:var(--soft);stroke-dasharray:5 4;fill:none;opacity:.8}
.raw,.bold{fill:none;stroke-linejoin:round;stroke-linecap:round}
.raw{stroke-width:1;opacity:.28}
.bold{stroke-width:2}
.dashed{stroke-dasharray:7 9}
.cursor{stroke:var(--soft);stroke-width:1;fill:none}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.c0{background:var(--c0)}.c1{background:var(--c1)}.c2{background:var(--c2)}.c3{background:var(--c3)}.c4{background:var(--c4)}.c5{background:var(--c5)}
summary{cursor:pointer;padding:12px 16px;font-weight:600}
summary code{margin-left:6px;color:var(--soft);font-weight:400}
pre{margin:0;padding:4px 16px 16px;overflow-x:auto;line-height:1.5}
@media(max-width:960px){.strip{grid-template-columns:repeat(6,1fr)}}
@media(max-width:520px){main{padding:18px 12px 40px}h1{font-size:1.45rem}.cards{grid-template-columns:repeat(2,1fr);gap:8px}.cards b{font-size:1.15rem}.strip{grid-template-columns:repeat(4,1fr);gap:6px}svg{font-size:13px}}
@media print{.slider{display:none}.chart,.pair figure{break-inside:avoid}}
"#;

const SCRIPT: &str = r#"
(() => {
  'use strict';
  const short = value => {
    const size = Math.abs(value);
    if (value === 0) return '0';
    if (size < 1e-3 || size >= 1e7) return value.toExponential(3).replace(/\.?0+e/, 'e').replace('e+', 'e').replace(/-/g, '−');
    return value.toLocaleString('en-US', size >= 1000 ? {maximumFractionDigits: 0} : {maximumSignificantDigits: 4}).replace('-', '−');
  };
  const nearest = (sorted, wanted) => {
    let low = 0, high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < wanted) low = middle + 1; else high = middle;
    }
    return low > 0 && wanted - sorted[low - 1] < sorted[low] - wanted ? low - 1 : low;
  };

  for (const chart of document.querySelectorAll('.chart')) {
    const script = chart.querySelector('script'), svg = chart.querySelector('svg');
    if (!script || !svg) continue;
    const data = JSON.parse(script.textContent);
    const hover = svg.querySelector('.hover'), cursor = svg.querySelector('.cursor'), dots = hover.querySelectorAll('circle');
    const values = chart.querySelectorAll('.legend output'), at = chart.querySelector('.legend .at');
    const resting = [...values].map(value => value.textContent), restingAt = at.textContent;
    const [left, right, top, bottom] = data.plot;
    svg.addEventListener('pointermove', event => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width * data.width - left) / (right - left);
      const wanted = data.x[0] + Math.min(1, Math.max(0, share)) * (data.x[1] - data.x[0]);
      let step = null;
      for (const series of data.series) {
        if (!series.x.length) continue;
        const found = series.x[nearest(series.x, wanted)];
        if (step === null || Math.abs(found - wanted) < Math.abs(step - wanted)) step = found;
      }
      if (step === null) return;
      const x = left + (step - data.x[0]) / (data.x[1] - data.x[0]) * (right - left);
      cursor.setAttribute('transform', `translate(${x} 0)`);
      data.series.forEach((series, index) => {
        const found = series.x.length ? nearest(series.x, step) : -1;
        const y = found < 0 ? NaN : bottom - (series.y[found] - data.y[0]) / (data.y[1] - data.y[0]) * (bottom - top);
        const near = found >= 0 && Math.abs(series.x[found] - step) <= 0.02 * (data.x[1] - data.x[0]);
        values[index].textContent = near ? short(series.y[found]) : '–';
        dots[index].setAttribute('visibility', near && y >= top && y <= bottom ? 'inherit' : 'hidden');
        dots[index].setAttribute('cx', near ? x : 0);
        dots[index].setAttribute('cy', near ? y : 0);
      });
      at.textContent = 'step ' + step.toLocaleString('en-US');
      hover.setAttribute('visibility', 'visible');
    });
    svg.addEventListener('pointerleave', () => {
      hover.setAttribute('visibility', 'hidden');
      values.forEach((value, index) => { value.textContent = resting[index]; });
      at.textContent = restingAt;
    });
  }

  const slider = document.querySelector('.slider'), viewer = document.querySelector('.viewer');
  if (!slider || !viewer) return;
  const range = slider.querySelector('input'), button = slider.querySelector('button');
  const shown = viewer.querySelector('img'), caption = viewer.querySelector('output');
  const strip = [...document.querySelectorAll('.strip figure')];
  const show = index => {
    const source = strip[index].querySelector('img');
    shown.src = source.src;
    shown.className = source.className;
    for (const side of ['width', 'height', 'alt']) shown.setAttribute(side, source.getAttribute(side));
    caption.textContent = strip[index].querySelector('figcaption').textContent;
    range.value = index;
    strip.forEach((figure, other) => figure.classList.toggle('chosen', other === index));
  };
  let timer = null;
  const pause = () => { clearInterval(timer); timer = null; button.textContent = 'Play'; };
  range.addEventListener('input', () => { pause(); show(Number(range.value)); });
  strip.forEach((figure, index) => figure.addEventListener('click', () => { pause(); show(index); }));
  button.addEventListener('click', () => {
    if (timer !== null) { pause(); return; }
    button.textContent = 'Pause';
    if (Number(range.value) === strip.length - 1) show(0);
    timer = setInterval(() => {
      const next = Number(range.value) + 1;
      if (next >= strip.length) pause(); else show(next);
    }, 500);
  });
  slider.hidden = false;
  show(strip.length - 1);
})();
"#;

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn run_folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("report-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("samples")).unwrap();
        folder
    }

    fn save(path: &Path, width: u32, height: u32) {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90]))
            .save(path)
            .unwrap();
    }

    fn stage(lines: &str) -> Stage {
        Metrics::parse(lines.as_bytes()).stages.remove(0)
    }

    #[test]
    fn a_whole_run_becomes_one_page() {
        let run = run_folder("whole");
        let mut lines = String::new();
        for step in (10..=1000).step_by(10) {
            lines.push_str(&format!(
                "{{\"stage\":\"gan\",\"step\":{step},\"epoch\":{},\"loss_d\":1.3,\"loss_g\":0.8,\"d_real\":0.6,\"modes\":8,\"elapsed_s\":{step}}}\n",
                f64::from(step) / 100.0
            ));
        }
        lines.push_str("{\"stage\":\"gan\",\"step\":10");
        fs::write(run.join("metrics.jsonl"), lines).unwrap();
        fs::write(run.join("config.toml"), "name = \"<script>\"\n").unwrap();
        save(&run.join("samples/reals.png"), 8, 8);
        for step in 0..30 {
            save(
                &run.join(format!("samples/step_{:08}.png", step * 100)),
                8,
                8,
            );
        }
        RgbImage::new(4, 4)
            .save(run.join("samples/walk.gif"))
            .unwrap();
        for name in ["walk_00000100", "walk_00000200", "seed_7"] {
            save(&run.join(format!("samples/{name}.png")), 8, 8);
        }

        let path = write(
            &run,
            "A <b>GAN</b>",
            &["PROCEDURAL data: rings & dots".to_string()],
        )
        .unwrap();
        assert_eq!(path, run.join("report.html"));
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains("<h1>A &lt;b&gt;GAN&lt;/b&gt;</h1>"));
        assert!(page.contains("<p class=\"note\">PROCEDURAL data: rings &amp; dots</p>"));
        assert!(page.contains("name = &quot;&lt;script&gt;&quot;"));
        assert!(page.contains("<span>Steps</span><b>1,000</b>"));
        assert!(page.contains("<span>Epochs</span><b>10</b>"));
        assert!(page.contains("<span>Wall-clock</span><b>16 min 40 s</b>"));
        for title in ["Losses", "Discriminator outputs", "Modes"] {
            assert!(page.contains(&format!("<h3>{title}</h3>")), "{title}");
        }
        assert!(!page.contains("<h3>Epoch"));
        assert!(page.contains("class=\"half\""));
        assert!(page.contains("Walk, step 200<") && !page.contains("Walk, step 100<"));
        assert!(page.contains("Seed 7<"));
        // Real images, twelve sheets and the last of them once more, the latest walk and a seed.
        assert_eq!(page.matches("data:image/png;base64,").count(), 16);
        assert_eq!(page.matches("data:image/gif;base64,").count(), 1);
        assert!(
            page.contains("<figcaption>step 0</figcaption>")
                && page.contains("<figcaption>step 2,900</figcaption>")
        );
        assert!(
            !page.contains("note warning"),
            "a torn last line is nothing to warn about"
        );
        assert!(
            !page.contains("http://") && !page.contains("https://"),
            "nothing comes from elsewhere"
        );
        assert!(!run.join("report.html.partial").exists());
        fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn an_empty_folder_has_a_report_and_a_missing_one_has_not() {
        let run = run_folder("empty");
        let page = fs::read_to_string(write(&run, "Nothing", &[]).unwrap()).unwrap();
        assert!(page.contains("No metrics were recorded"));
        assert!(
            format!("{:#}", write(&run.join("missing"), "", &[]).unwrap_err()).contains("missing")
        );
        fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn damaged_files_are_named_on_the_page() {
        let run = run_folder("damaged");
        fs::write(
            run.join("metrics.jsonl"),
            b"{\"step\":1,\"loss\":2}\nnot json\n\xff\xfe\n{\"loss\":3}\n",
        )
        .unwrap();
        fs::write(run.join("samples/step_00000001.png"), b"\x89PNG torn").unwrap();
        let page = fs::read_to_string(write(&run, "", &[]).unwrap()).unwrap();
        assert!(page.contains("metrics.jsonl: 3 lines could not be read"));
        assert!(page.contains("samples/step_00000001.png is left out"));
        fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn stages_have_sections_and_large_pictures_shrink() {
        let run = run_folder("stages");
        fs::write(
            run.join("metrics.jsonl"),
            "{\"stage\":\"warm\",\"step\":1,\"loss\":1}\n{\"stage\":\"gan\",\"step\":1,\"loss\":null}\n",
        )
        .unwrap();
        let mut state = 1u32;
        let noise = RgbImage::from_fn(1700, 500, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
        });
        noise.save(run.join("samples/reals.png")).unwrap();
        let page = fs::read_to_string(write(&run, "", &[]).unwrap()).unwrap();
        assert!(page.find("Stage: warm").unwrap() < page.find("Stage: gan").unwrap());
        assert!(page.contains("loss was not finite once (of 1 logged)"));
        assert!(page.contains("data:image/jpeg;base64,") && page.contains("width=\"1600\""));
        assert!(page.len() < LARGEST_PICTURE * 4 / 3);
        fs::remove_dir_all(run).unwrap();
    }

    #[test]
    fn values_that_are_missing_or_not_finite_are_gaps() {
        let values = |lines: &str| {
            stage(lines)
                .curve("a")
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        let gaps = |lines: &str| {
            values(lines)
                .iter()
                .map(|value| value.is_nan())
                .collect::<Vec<_>>()
        };
        let line = |step: u32, rest: &str| format!("{{\"step\":{step}{rest}}}\n");
        let with_null = [
            line(1, ",\"a\":1"),
            line(2, ",\"a\":null"),
            line(3, ",\"a\":\"-inf\""),
            line(4, ",\"a\":2"),
        ];
        assert_eq!(gaps(&with_null.concat()), [false, true, true, false]);
        let rare: String = (0..30)
            .map(|step| line(step, if step % 10 == 0 { ",\"a\":1" } else { "" }))
            .collect();
        assert_eq!(gaps(&rare), [false; 3], "rarer than other names is no gap");
        let absent: String = (0..9)
            .map(|step| {
                line(
                    step,
                    if (4..7).contains(&step) {
                        ""
                    } else {
                        ",\"a\":1"
                    },
                )
            })
            .collect();
        assert_eq!(
            gaps(&absent),
            [false, false, false, false, true, false, false]
        );
        let twice = [
            line(5, ",\"a\":1"),
            line(6, ",\"a\":1"),
            line(5, ",\"a\":7,\"b\":1"),
        ];
        assert_eq!(values(&twice.concat()), [7.0, 1.0], "the later line counts");

        let axis = Axis {
            low: 0.0,
            high: 4.0,
            ticks: Vec::new(),
            step: 1.0,
            reference: None,
        };
        let path = path_of(&stage(&with_null.concat()).curve("a"), &axis, &axis);
        assert_eq!(path.matches('M').count(), 2);
        assert!(!path.contains('L') && !path.contains("NaN"));
    }

    #[test]
    fn long_curves_stay_small_and_keep_their_spikes_and_gaps() {
        let mut curve: Vec<(f64, f64)> = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        curve[5_123].1 = 50.0;
        curve[7_000].1 = f64::NAN;
        let finite =
            |curve: &[(f64, f64)]| curve.iter().filter(|(_, value)| value.is_finite()).count();
        let spiky = extremes(&curve);
        assert!(finite(&spiky) <= MOST_POINTS && finite(&spiky) >= MOST_POINTS / 2);
        assert!(spiky.contains(&(5_123.0, 50.0)));
        assert_eq!(spiky.len() - finite(&spiky), 1);
        let mean = averages(&curve);
        assert_eq!(finite(&mean), MOST_POINTS);
        assert!(
            mean.iter().any(|&(_, value)| (value - 2.96).abs() < 1e-9),
            "25 values to a bucket, one of them 50"
        );
        let smoothed = smooth(&curve, 20.0);
        assert_eq!(smoothed[0].1, 1.0, "not drawn towards zero");
        assert!(smoothed[5_122].1 < 1.001 && smoothed[5_123].1 > 5.0 && smoothed[5_400].1 < 1.001);
    }

    #[test]
    fn axes_have_nice_numbers() {
        let labels = |low: f64, high: f64| {
            let values = [low, high];
            tick_labels(&y_axis(&values, Kind::Automatic).0)
        };
        assert_eq!(labels(0.13, 1.9), ["0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(labels(-3.0, 4.0), ["−4", "−2", "0", "2", "4"]);
        assert_eq!(
            labels(0.0, 0.0002),
            ["0", "0.5e−4", "1.0e−4", "1.5e−4", "2.0e−4"]
        );
        assert_eq!(
            labels(10.0, 23_000.0),
            ["0", "5k", "10k", "15k", "20k", "25k"]
        );
        assert_eq!(labels(5.0, 5.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            labels(0.001, 0.001),
            ["0", "0.0005", "0.0010", "0.0015", "0.0020"]
        );
        let probabilities = y_axis(&[0.2, 0.9], Kind::Probability).0;
        assert_eq!(
            tick_labels(&probabilities),
            ["0", "0.25", "0.50", "0.75", "1.00"]
        );
        assert_eq!(probabilities.reference, Some(0.5));
        let critic = y_axis(&[-4.0, 0.9], Kind::Probability).0;
        assert_eq!(critic.reference, None, "a critic has no probabilities");
    }

    #[test]
    fn a_spike_does_not_flatten_the_rest() {
        let mut values = vec![1.0; 500];
        values.iter_mut().step_by(2).for_each(|value| *value = 2.0);
        values[7] = 1000.0;
        let (axis, cut) = y_axis(&values, Kind::Automatic);
        assert!(axis.high < 5.0 && cut == 1, "{} {cut}", axis.high);
    }

    #[test]
    fn samples_are_picked_evenly() {
        assert_eq!(evenly_picked(0, 12), [0usize; 0]);
        assert_eq!(evenly_picked(3, 12), [0, 1, 2]);
        let picked = evenly_picked(101, 12);
        assert_eq!((picked.len(), picked[0], picked[11]), (12, 0, 100));
        assert!(
            picked
                .windows(2)
                .all(|pair| (9..=10).contains(&(pair[1] - pair[0])))
        );
    }

    #[test]
    fn text_is_short_and_safe() {
        assert_eq!(data_url("a/b", b"Man"), "data:a/b;base64,TWFu");
        assert_eq!(data_url("a/b", b"Ma"), "data:a/b;base64,TWE=");
        assert_eq!(data_url("a/b", b"M"), "data:a/b;base64,TQ==");
        assert_eq!(
            escape("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
        let shorts = [0.0, 1.0, -0.51234, 812.04, 12_345.6, 2e-4, 0.004].map(short_number);
        assert_eq!(
            shorts,
            ["0", "1", "−0.5123", "812", "12,346", "2e−4", "0.004"]
        );
        assert_eq!(
            [7.0, 61.0, 7380.0].map(duration),
            ["7 s", "1 min 01 s", "2 h 03 min"]
        );
        assert_eq!(url_path("a b.gif"), "a%20b.gif");
    }
}
