//! The training doctor: what the log says of two players' health, and what may help.
//!
//! Cheap signals of each log line ([`signals`](crate::technique::signals) and the lengths of gradients) are compared
//! with what breaks GANs: a player that wins, gradients that vanish or explode, samples that are all alike, values that
//! stick to the end of their range. What lasts is told, once, with the numbers and with flags that the architecture has.

use crate::failure::{Kind, at_path, failure};
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What goes wrong between two players.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disease {
    /// It tells nearly all reals from nearly all fakes: what the generator learns from it is little.
    DiscriminatorWins,
    /// It takes nearly all fakes for real, or all reals for fakes: there is nothing to learn from it.
    DiscriminatorBlind,
    /// The generator's gradient is a five-hundredth of what it was.
    VanishingGradients,
    /// A player's gradient is a hundred times what it was.
    ExplodingGradients,
    /// Samples differ from each other far less than the data does: mode collapse.
    ModeCollapse,
    /// Far more values of samples than of the data lie at the end of the range.
    Saturation,
}

impl Disease {
    /// Every disease, the most certain signs first.
    pub const ALL: [Self; 6] = [
        Self::ModeCollapse,
        Self::ExplodingGradients,
        Self::VanishingGradients,
        Self::DiscriminatorWins,
        Self::DiscriminatorBlind,
        Self::Saturation,
    ];

    /// What it is, as a sentence without its end.
    pub fn name(self) -> &'static str {
        match self {
            Self::DiscriminatorWins => "the discriminator wins",
            Self::DiscriminatorBlind => "the discriminator is blind",
            Self::VanishingGradients => "the generator's gradient has vanished",
            Self::ExplodingGradients => "gradients explode",
            Self::ModeCollapse => "samples are all alike",
            Self::Saturation => "samples are saturated",
        }
    }

    /// Whether one log line shows it, and the numbers that say so. `usual` is what was usual for a name at first:
    /// the median, and the largest.
    fn sign(self, row: &Row, usual: &BTreeMap<String, [f64; 2]>) -> Option<String> {
        let value = |name: &str| row.values.get(name).copied();
        // Of a player, or of each of its networks: now, and usually.
        let lengths = |start: &'static str| {
            let of_player = row
                .values
                .iter()
                .filter(move |(name, _)| name.starts_with(start));
            of_player.filter_map(|(name, now)| {
                let usual = usual.get(name).copied().filter(|usual| usual[0] > 0.0)?;
                Some((*now, usual))
            })
        };
        match self {
            Self::DiscriminatorWins => {
                let (real, fake) = (value("accuracy_real")?, value("accuracy_fake")?);
                (real >= 0.97 && fake >= 0.97)
                    .then(|| format!("accuracy {real:.2} on reals and {fake:.2} on fakes"))
            }
            Self::DiscriminatorBlind => {
                let (real, fake) = (value("accuracy_real")?, value("accuracy_fake")?);
                (fake <= 0.05 || real <= 0.05)
                    .then(|| format!("accuracy {real:.2} on reals and {fake:.2} on fakes"))
            }
            Self::VanishingGradients => {
                let (now, [_, usual]) = lengths("grad_norm_g").next()?;
                (now < 2e-3 * usual)
                    .then(|| format!("its length is {}, and was {}", number(now), number(usual)))
            }
            Self::ExplodingGradients => {
                let players = [
                    ("grad_norm_g", "generator"),
                    ("grad_norm_d", "discriminator"),
                ];
                players.into_iter().find_map(|(start, player)| {
                    let mut found = lengths(start).map(|(now, [usual, _])| (now, usual));
                    let (now, usual) = found.find(|(now, usual)| *now > 100.0 * usual)?;
                    let (now, usual) = (number(now), number(usual));
                    Some(format!(
                        "the {player}'s has a length of {now}, and had {usual}"
                    ))
                })
            }
            Self::ModeCollapse => {
                let diversity = value("diversity")?;
                (diversity < 0.25)
                    .then(|| format!("they differ by {diversity:.2} of what the data differs by"))
            }
            Self::Saturation => {
                let (real, fake) = (value("saturation_real")?, value("saturation_fake")?);
                (fake > 0.9 && fake - real > 0.5 * (1.0 - real)).then(|| {
                    format!(
                        "{:.0} % of their values are at the end of the range, {:.0} % of the data's",
                        100.0 * fake,
                        100.0 * real
                    )
                })
            }
        }
    }

    /// What may help, the first choice first, each with the key that an architecture must have for it.
    fn remedies(self, row: &Row) -> Vec<(&'static str, String)> {
        let half = |name: &'static str| {
            let rate = row.values.get(name).copied().filter(|rate| *rate > 0.0);
            rate.map(|rate| format!("--{} {}", name.replace('_', "-"), number(rate / 2.0)))
        };
        let flag =
            |key: &'static str, text: &str| (key, format!("--{} {text}", key.replace('_', "-")));
        let half = |name: &'static str| half(name).map(|text| (name, text));
        let flag = |key: &'static str, text: &str| Some(flag(key, text));
        let all = match self {
            Self::DiscriminatorWins => vec![
                half("lr_d"),
                flag("label_smoothing", "0.9"),
                flag("instance_noise", "0.1"),
                flag("diffaugment", "translation-cutout"),
                flag("augment", "color-translation"),
                flag("buffer_size", "50"),
            ],
            Self::DiscriminatorBlind => vec![
                half("lr_g"),
                flag("n_critic", "2"),
                flag("width_d", "of twice as much"),
            ],
            Self::VanishingGradients => vec![
                flag("loss", "non-saturating"),
                half("lr_d"),
                flag("instance_noise", "0.1"),
            ],
            Self::ExplodingGradients => vec![
                flag("clip_gradients", "1"),
                flag("spectral_norm", ""),
                half("lr_d"),
                flag("lr", "of half as much"),
            ],
            Self::ModeCollapse => vec![
                flag("minibatch_kernels", "16"),
                half("lr_g"),
                flag("gradient_penalty", "1"),
                flag("instance_noise", "0.1"),
                flag("batch_size", "of twice as much"),
            ],
            Self::Saturation => vec![
                half("lr_g"),
                flag("norm_g", "batch"),
                flag("lr", "of half as much"),
            ],
        };
        all.into_iter().flatten().collect()
    }
}

/// A number of three digits.
fn number(value: f64) -> String {
    if value == 0.0 || (0.01..10_000.0).contains(&value.abs()) {
        let digits = 2 - (value.abs().max(1e-9).log10().floor() as i32).clamp(-2, 2);
        format!("{value:.*}", digits.max(0) as usize)
    } else {
        format!("{value:.1e}")
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    step: u64,
    values: BTreeMap<String, f64>,
}

/// A disease that lasted.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Finding {
    /// Which.
    pub disease: Disease,
    /// The first step that shows it.
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// Whether it has not ended.
    pub is_now: bool,
    /// The numbers of its last line.
    pub reason: String,
    /// Flags that may help; empty where the architecture has none.
    pub advice: String,
}

impl Finding {
    /// The finding in one line.
    pub fn line(&self) -> String {
        let lasted = if self.is_now {
            format!("for {} steps", self.to - self.from)
        } else {
            format!("from step {} to {}", self.from, self.to)
        };
        let advice = if self.advice.is_empty() {
            String::new()
        } else {
            format!(": try {}", self.advice)
        };
        format!(
            "{} ({}, {lasted}){advice}",
            self.disease.name(),
            self.reason
        )
    }
}

/// Steps at the start in which nothing is told: players have to find each other.
const WARM_UP: u64 = 300;

/// A disease lasts at least so many lines..
const LEAST_LINES: usize = 5;

/// ..and steps.
const LEAST_STEPS: u64 = 200;

/// So many lines in a row without its sign end it: a single step's gradient says little.
const WELL_LINES: usize = 3;

/// Lines from which it is taken what is usual.
const USUAL_LINES: usize = 10;

/// The log of one stage, as far as it tells of two players.
#[derive(Debug, Clone, Default)]
pub struct Doctor {
    rows: Vec<Row>,
    keys: BTreeSet<String>,
    told: BTreeSet<Disease>,
}

impl Doctor {
    /// For an architecture whose configuration has these keys.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            ..Self::default()
        }
    }

    /// For the run in a folder, whose configuration says what the architecture has.
    pub fn of(run: &Path) -> Self {
        let config = std::fs::read_to_string(run.join("config.toml")).unwrap_or_default();
        let table: toml::Table = config.parse().unwrap_or_default();
        Self::new(table.keys().cloned())
    }

    /// Adds a line of the log. Lines that tell nothing of two players are not kept; a run that was resumed before this
    /// line replaces what came later.
    pub fn observe<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) {
        let wanted = |name: &str| {
            ["accuracy_", "grad_norm_", "saturation_", "lr_"]
                .iter()
                .any(|start| name.starts_with(start))
                || name == "diversity"
        };
        let values: BTreeMap<String, f64> = values
            .into_iter()
            .filter(|(name, value)| wanted(name) && value.is_finite())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let tells = values.keys().any(|name| !name.starts_with("lr_"));
        if tells {
            self.rows.retain(|row| row.step < step);
            self.rows.push(Row { step, values });
        }
    }

    /// Whether there are two players to tell of.
    pub fn is_silent(&self) -> bool {
        let tells = |name: &String| {
            name == "accuracy_real" || name == "diversity" || name.starts_with("grad_norm_d")
        };
        !self.rows.iter().any(|row| row.values.keys().any(tells))
    }

    /// The median and the largest value of each name in the first lines.
    fn usual(&self) -> BTreeMap<String, [f64; 2]> {
        let mut first: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for row in &self.rows {
            for (name, value) in &row.values {
                let values = first.entry(name.clone()).or_default();
                if values.len() < USUAL_LINES {
                    values.push(*value);
                }
            }
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            [values[values.len() / 2], values[values.len() - 1]]
        };
        first
            .into_iter()
            .map(|(name, values)| (name, median(values)))
            .collect()
    }

    /// Every disease that lasted, in the order of [`Disease::ALL`], then of time.
    pub fn findings(&self) -> Vec<Finding> {
        let usual = self.usual();
        let mut found = Vec::new();
        for disease in Disease::ALL {
            let mut lines: Vec<(&Row, String)> = Vec::new();
            let mut end = |lines: &mut Vec<(&Row, String)>, is_now: bool| {
                if let (Some((first, _)), Some((last, reason))) = (lines.first(), lines.last())
                    && lines.len() >= LEAST_LINES
                    && last.step - first.step >= LEAST_STEPS
                {
                    found.push(Finding {
                        disease,
                        from: first.step,
                        to: last.step,
                        is_now,
                        reason: reason.clone(),
                        advice: self.advice(disease, last),
                    });
                }
                lines.clear();
            };
            let mut without = 0;
            for row in self.rows.iter().filter(|row| row.step > WARM_UP) {
                match disease.sign(row, &usual) {
                    Some(reason) => {
                        lines.push((row, reason));
                        without = 0;
                    }
                    None => without += 1,
                }
                if without >= WELL_LINES {
                    end(&mut lines, false);
                }
            }
            end(&mut lines, true);
        }
        found
    }

    fn advice(&self, disease: Disease, row: &Row) -> String {
        let remedies = disease.remedies(row).into_iter();
        let known = remedies.filter(|(key, _)| self.keys.contains(*key));
        let texts: Vec<String> = known
            .take(2)
            .map(|(_, text)| text.trim().to_owned())
            .collect();
        texts.join(" or ")
    }

    /// What is new since this was asked last: diseases that have begun to last, and the end of the last one.
    pub fn news(&mut self) -> Vec<String> {
        let now: Vec<Finding> = self.findings().into_iter().filter(|f| f.is_now).collect();
        let diseases: BTreeSet<Disease> = now.iter().map(|finding| finding.disease).collect();
        let mut lines: Vec<String> = now
            .iter()
            .filter(|finding| !self.told.contains(&finding.disease))
            .map(Finding::line)
            .collect();
        let step = self.rows.last().map_or(0, |row| row.step);
        for gone in self.told.difference(&diseases) {
            lines.push(format!("no longer at step {step}: {}", gone.name()));
        }
        self.told = diseases;
        lines
    }

    /// The state of the newest lines in one line.
    pub fn health(&self) -> String {
        let now: Vec<Finding> = self.findings().into_iter().filter(|f| f.is_now).collect();
        if !now.is_empty() {
            let lines: Vec<String> = now.iter().map(Finding::line).collect();
            return lines.join("; ");
        }
        let last = |name: &str| {
            let value = self.rows.iter().rev().find_map(|row| row.values.get(name));
            value.copied()
        };
        let mut parts = Vec::new();
        if let (Some(real), Some(fake)) = (last("accuracy_real"), last("accuracy_fake")) {
            parts.push(format!(
                "accuracy {real:.2} on reals and {fake:.2} on fakes"
            ));
        }
        if let Some(diversity) = last("diversity") {
            parts.push(format!("diversity {diversity:.2} of the data's"));
        }
        if let (Some(d), Some(g)) = (last("grad_norm_d"), last("grad_norm_g")) {
            parts.push(format!("gradients of {} and {}", number(d), number(g)));
        }
        format!("nothing lasting is wrong ({})", parts.join(", "))
    }
}

/// The stages of a run that has ended or still goes on, with what their logs tell, in the order of the log.
///
/// # Errors
/// [`Kind::Usage`] when there is no log, [`Kind::Disk`] when it cannot be read.
pub fn read(run: &Path) -> Result<Vec<(String, Doctor)>> {
    let place = run.join("metrics.jsonl");
    if !place.is_file() {
        let what = format!(
            "{} has no metrics.jsonl: name the folder of a run",
            run.display()
        );
        return Err(failure(Kind::Usage, what));
    }
    let text =
        std::fs::read(&place).map_err(|error| at_path(Kind::Disk, "read", &place, &error))?;
    let mut stages: Vec<(String, Doctor)> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // A torn last line of a run that was killed tells nothing.
        let Ok(Value::Object(row)) = serde_json::from_slice(line) else {
            continue;
        };
        let Some(step) = row.get("step").and_then(Value::as_u64) else {
            continue;
        };
        let name = row
            .get("stage")
            .and_then(Value::as_str)
            .unwrap_or("training");
        let known = stages.iter().position(|(stage, _)| stage == name);
        let place = known.unwrap_or_else(|| {
            stages.push((name.to_owned(), Doctor::of(run)));
            stages.len() - 1
        });
        let values = row
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)));
        stages[place].1.observe(step, values);
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = Vec<(&'static str, f64)>;

    fn healthy(step: u64) -> Values {
        let wave = (step as f64 / 300.0).sin();
        vec![
            ("accuracy_real", 0.75 + 0.2 * wave),
            ("accuracy_fake", 0.7 - 0.2 * wave),
            ("diversity", 0.8 + 0.1 * wave),
            ("grad_norm_d", 2.0 + wave),
            ("grad_norm_g", 5.0 - 2.0 * wave),
            ("saturation_real", 0.8),
            ("saturation_fake", 0.7),
            ("lr_d", 2e-4),
            ("lr_g", 2e-4),
            ("loss_d", 1.2),
        ]
    }

    const KEYS: [&str; 8] = [
        "lr_d",
        "lr_g",
        "label_smoothing",
        "loss",
        "clip_gradients",
        "minibatch_kernels",
        "norm_g",
        "n_critic",
    ];

    /// A run of 2,000 steps in which `change` is made from step 1,000 to `end`.
    fn run(end: u64, change: impl Fn(&mut BTreeMap<&'static str, f64>)) -> Doctor {
        let mut doctor = Doctor::new(KEYS.map(str::to_owned));
        for step in (50..=2000).step_by(50) {
            let mut values: BTreeMap<&str, f64> = healthy(step).into_iter().collect();
            if (1000..=end).contains(&step) {
                change(&mut values);
            }
            doctor.observe(step, values);
        }
        doctor
    }

    #[test]
    fn a_healthy_run_is_left_alone() {
        let mut doctor = run(0, |_| ());
        assert_eq!(doctor.findings(), []);
        assert_eq!(doctor.news(), Vec::<String>::new());
        assert!(
            doctor
                .health()
                .starts_with("nothing lasting is wrong (accuracy 0.")
        );
        assert!(!doctor.is_silent() && Doctor::new([]).is_silent());
    }

    #[test]
    fn each_disease_is_found_with_its_time_its_numbers_and_flags_that_exist() {
        type Change = fn(&mut BTreeMap<&'static str, f64>);
        let changes: [(Disease, Change, &str); 6] = [
            (
                Disease::DiscriminatorWins,
                |row| row.extend([("accuracy_real", 0.99), ("accuracy_fake", 0.985)]),
                "the discriminator wins (accuracy 0.99 on reals and 0.98 on fakes, for 1000 steps): try --lr-d \
                 1.0e-4 or --label-smoothing 0.9",
            ),
            (
                Disease::DiscriminatorBlind,
                |row| row.extend([("accuracy_real", 0.95), ("accuracy_fake", 0.02)]),
                "the discriminator is blind (accuracy 0.95 on reals and 0.02 on fakes, for 1000 steps): try --lr-g \
                 1.0e-4 or --n-critic 2",
            ),
            (
                Disease::VanishingGradients,
                |row| row.extend([("grad_norm_g", 1e-4)]),
                "the generator's gradient has vanished (its length is 1.0e-4, and was 4.67, for 1000 steps): try \
                 --loss non-saturating or --lr-d 1.0e-4",
            ),
            (
                Disease::ExplodingGradients,
                |row| row.extend([("grad_norm_d", 900.0)]),
                "gradients explode (the discriminator's has a length of 900, and had 2.84, for 1000 steps): try \
                 --clip-gradients 1 or --lr-d 1.0e-4",
            ),
            (
                Disease::ModeCollapse,
                |row| row.extend([("diversity", 0.04)]),
                "samples are all alike (they differ by 0.04 of what the data differs by, for 1000 steps): try \
                 --minibatch-kernels 16 or --lr-g 1.0e-4",
            ),
            (
                Disease::Saturation,
                |row| row.extend([("saturation_real", 0.1), ("saturation_fake", 0.97)]),
                "samples are saturated (97 % of their values are at the end of the range, 10 % of the data's, for \
                 1000 steps): try --lr-g 1.0e-4 or --norm-g batch",
            ),
        ];
        for (disease, change, line) in changes {
            let mut doctor = run(2000, change);
            let found = doctor.findings();
            assert_eq!(found.len(), 1, "{disease:?}: {found:?}");
            assert_eq!(
                (found[0].disease, found[0].from, found[0].to),
                (disease, 1000, 2000)
            );
            assert_eq!(found[0].line(), line);
            assert_eq!(
                (doctor.health(), doctor.news()),
                (line.to_owned(), vec![line.to_owned()])
            );
            assert_eq!(doctor.news(), Vec::<String>::new(), "told once");

            // What has passed is told with its time, and is no news.
            let passed = run(1400, change);
            let found = passed.findings();
            assert_eq!(
                (found[0].from, found[0].to, found[0].is_now),
                (1000, 1400, false)
            );
            assert!(passed.health().starts_with("nothing"));
            // What lasts a moment is nothing.
            assert_eq!(run(1100, change).findings(), []);
        }
    }

    #[test]
    fn the_end_of_a_disease_is_news() {
        let mut doctor = Doctor::new(KEYS.map(str::to_owned));
        let mut lines = Vec::new();
        for step in (50..=2000).step_by(50) {
            let mut values = healthy(step);
            if (600..1200).contains(&step) {
                values.push(("diversity", 0.1));
            }
            doctor.observe(step, values);
            lines.extend(doctor.news().into_iter().map(|line| (step, line)));
        }
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0].0, 800);
        assert!(lines[0].1.starts_with("samples are all alike"));
        assert_eq!(
            lines[1],
            (
                1300,
                "no longer at step 1300: samples are all alike".to_owned()
            )
        );
    }

    #[test]
    fn a_log_is_read_by_stage_and_torn_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut text =
            String::from("{\"stage\":\"text\",\"step\":50,\"joint_loss\":1.0,\"lr\":0.1}\n");
        for step in (50..=1000).step_by(50) {
            text += &format!(
                "{{\"stage\":\"one\",\"step\":{step},\"accuracy_real\":1.0,\"accuracy_fake\":1.0,\"lr_d\":0.1}}\n"
            );
        }
        std::fs::write(
            folder.path().join("metrics.jsonl"),
            text + "{\"stage\":\"one\",\"st",
        )
        .unwrap();
        std::fs::write(folder.path().join("config.toml"), "lr_d = 0.1\n").unwrap();
        let stages = read(folder.path()).unwrap();
        let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["text", "one"]);
        assert!(stages[0].1.is_silent());
        let found = stages[1].1.findings();
        assert_eq!(found[0].disease, Disease::DiscriminatorWins);
        assert_eq!(found[0].advice, "--lr-d 0.0500");
        let error = read(&folder.path().join("nowhere")).unwrap_err();
        assert_eq!(crate::failure::exit_code(&error), 2);
    }
}
