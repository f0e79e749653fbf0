//! What a trained run is worth: do generated faces have the asked age, and does a face stay the same person (Antipov et
//! al. 2017, sections 4.1 and 4.2)?

use crate::age::embedded;
use crate::classes::Classes;
use crate::config::Config;
use crate::data::{Faces, PROCEDURAL, Part, Sample};
use crate::embedding::Embedding;
use crate::generate::{Sampler, run_config};
use crate::latents::{self, Latent};
use crate::recognise::{classified, classifier, similarities, similarity};
use anyhow::{Context, Result};
use gan_core::command::{CheckpointArguments, print, run_of};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::images::{planar, to_unit};
use gan_core::judge::Judge;
use gan_core::located::{self, Located};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `evaluate`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// A run of `cgan train-classifier` on the same classes, which says what age a face has.
    #[arg(long, value_name = "PATH")]
    pub classifier: PathBuf,
    /// An embedding that was not optimised against (another seed, another network, other persons), which says whether two
    /// faces are of one person; without it, identity is not measured.
    #[arg(long, value_name = "PATH")]
    pub judge: Option<PathBuf>,
    /// Generated faces: seed 0 of the first class, seed 1 of the second, and so on in a circle.
    #[arg(long, default_value_t = 1200)]
    pub num: usize,
    /// The data whose held-out part the judges are measured on; the run's own without it.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Write all numbers as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How many of each class there are, and how many were taken to be of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accuracy {
    /// Pictures of each class.
    pub counts: Vec<usize>,
    /// Those whose class was recognised.
    pub right: Vec<usize>,
}

impl Accuracy {
    /// Compares classes that were found with those that are.
    ///
    /// # Panics
    /// If there are more or fewer of one.
    pub fn new(found: &[u8], told: &[u8], classes: usize) -> Self {
        assert_eq!(found.len(), told.len());
        let mut accuracy = Self {
            counts: vec![0; classes],
            right: vec![0; classes],
        };
        for (found, told) in found.iter().zip(told) {
            accuracy.counts[usize::from(*told)] += 1;
            accuracy.right[usize::from(*told)] += usize::from(found == told);
        }
        accuracy
    }

    /// The share of a class that was recognised; nothing where there are none of it.
    pub fn of(&self, class: usize) -> Option<f64> {
        (self.counts[class] > 0).then(|| self.right[class] as f64 / self.counts[class] as f64)
    }

    /// The mean over the classes that are there, and that `others` have too, so that each counts as much as another.
    pub fn mean(&self, others: &Self) -> f64 {
        let shares: Vec<f64> = (0..self.counts.len())
            .filter(|class| others.counts[*class] > 0)
            .filter_map(|class| self.of(class))
            .collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }
}

/// How often the classifier sees the asked class in generated faces: seed 0 of the first class, seed 1 of the second, and
/// so on in a circle.
fn of_generated(sampler: &Sampler, network: &Judge, num: usize) -> Accuracy {
    let config = sampler.config();
    let classes = config.classes();
    let count = classes.count();
    let (mut all_found, mut all_asked) = (Vec::with_capacity(num), Vec::with_capacity(num));
    let seeds: Vec<u64> = (0..num as u64).collect();
    // Pictures are not kept: a million of them would not fit.
    for some in seeds.chunks(64) {
        let asked: Vec<usize> = some.iter().map(|seed| *seed as usize % count).collect();
        let pictures = sampler.sample(some, &asked);
        let samples: Vec<Sample> = pictures
            .iter()
            .zip(&asked)
            .map(|(picture, class)| Sample {
                pixels: planar(picture, config.channels),
                class: *class as u8,
                age: classes.middle(*class),
                person: None,
            })
            .collect();
        all_found.extend(classified(network, &samples, config, &sampler.device));
        all_asked.extend(told(&samples));
    }
    Accuracy::new(&all_found, &all_asked, count)
}

fn told(samples: &[Sample]) -> Vec<u8> {
    samples.iter().map(|sample| sample.class).collect()
}

/// Whether faces are still the same person, as a judge sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// How the latent vectors were found.
    pub by: Latent,
    /// Of how many faces.
    pub faces: usize,
    /// The mean similarity of a face and its picture at the same age.
    pub reconstructed: f64,
    /// Of a face and its pictures at all other ages.
    pub aged: f64,
    /// Of a face and the pictures of others.
    pub random: f64,
    /// The share of pictures at the same age that pass for the same person.
    pub same: f64,
    /// The share of pictures at other ages that do.
    pub same_aged: f64,
    /// The share of pictures of others that do.
    pub same_random: f64,
}

/// What two real faces have to reach to pass for one person: what separates pairs of one person from pairs of two with
/// as many errors of either kind; where persons are not known, what one pair in twenty of different pictures reaches.
fn threshold(embedded: &[Vec<f32>], persons: &[Option<u32>]) -> (f32, bool) {
    let (mut same, mut other) = similarities(embedded, persons);
    if same.is_empty() || other.is_empty() {
        let unknown: Vec<Option<u32>> = (0..embedded.len() as u32).map(Some).collect();
        let (_, mut all) = similarities(embedded, &unknown);
        all.sort_by(f32::total_cmp);
        let place = (all.len() * 19 / 20).min(all.len().saturating_sub(1));
        return (all.get(place).copied().unwrap_or(1.0), false);
    }
    same.sort_by(f32::total_cmp);
    other.sort_by(f32::total_cmp);
    let errors = |limit: f32| {
        let missed = same.partition_point(|value| *value < limit) as f64 / same.len() as f64;
        let passed = other.partition_point(|value| *value < limit) as f64 / other.len() as f64;
        (missed - (1.0 - passed)).abs()
    };
    let best = same
        .iter()
        .min_by(|a, b| errors(**a).total_cmp(&errors(**b)));
    (best.copied().unwrap_or(1.0), true)
}

/// Of no values, none.
fn mean(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
}

fn passing(values: &[f32], limit: f32) -> f64 {
    let count = values.iter().filter(|value| **value >= limit).count();
    count as f64 / values.len() as f64
}

/// The latent vectors of the run's last stage.
fn latents(sampler: &Sampler, out: &Path, arguments: &CheckpointArguments) -> Result<Located> {
    let run = run_of(&sampler.path);
    let place = run.as_deref().or(arguments.checkpoint.as_deref());
    located::find(place, out, "cgan", &["latent"], &["latents"])
        .context("identity is measured on what the stage latent found")
}

/// Measures how similar faces are to their pictures.
fn identity(
    sampler: &Sampler,
    judge: &Embedding,
    faces: &[Sample],
    found: &[f32],
    by: Latent,
    limit: f32,
) -> Identity {
    let config = sampler.config();
    let device = &sampler.device;
    let classes = config.classes();
    let count = classes.count();
    let unit = |samples: &[Sample]| -> Vec<f32> {
        let bytes = samples.iter().flat_map(|sample| &sample.pixels);
        bytes.copied().map(to_unit).collect()
    };
    let own = embedded(judge, unit(faces), config, device);
    let (mut reconstructed, mut aged, mut random) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = Vec::new();
    for (place, latent) in found.chunks_exact(config.latent_dim).enumerate() {
        let latents = vec![latent.to_vec(); count];
        let told: Vec<_> = (0..count).map(|class| classes.condition(class)).collect();
        let pictures = sampler.decode(&latents, &told);
        let bytes = pictures
            .iter()
            .flat_map(|picture| planar(picture, config.channels));
        let rows = embedded(judge, bytes.map(to_unit).collect(), config, device);
        for (class, row) in rows.iter().enumerate() {
            let value = similarity(&own[place], row);
            if class == usize::from(faces[place].class) {
                reconstructed.push(value);
            } else {
                aged.push(value);
            }
        }
        made.push(rows);
    }
    for (place, face) in own.iter().enumerate() {
        for (other, rows) in made.iter().enumerate() {
            let is_other = match (faces[place].person, faces[other].person) {
                (Some(one), Some(two)) => one != two,
                _ => place != other,
            };
            if is_other {
                random.push(similarity(face, &rows[usize::from(faces[other].class)]));
            }
        }
    }
    Identity {
        by,
        faces: faces.len(),
        reconstructed: mean(&reconstructed),
        aged: mean(&aged),
        random: mean(&random),
        same: passing(&reconstructed, limit),
        same_aged: passing(&aged, limit),
        same_random: passing(&random, limit),
    }
}

/// What `evaluate` found.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The classes.
    pub classes: Classes,
    /// Of held-out real faces.
    pub real: Accuracy,
    /// Of generated faces.
    pub generated: Accuracy,
    /// Of faces that were trained on: what a generator that learned its data by heart would reach.
    pub trained: Accuracy,
    /// What the faces are.
    pub data: String,
    /// Where a judge was named.
    pub identity: Option<Persons>,
}

/// What a judge says of the persons.
#[derive(Debug, Clone)]
pub struct Persons {
    /// What the judge is.
    pub judge: &'static str,
    /// From this similarity on, two faces pass for one person.
    pub limit: f32,
    /// How often, of a real pair of one person and a real pair of two, the judge finds the first more alike; nothing where
    /// persons are not known.
    pub area: Option<f64>,
    /// Real pairs of one person and of two behind these.
    pub pairs: [usize; 2],
    /// Held-out persons in these pairs.
    pub judged: usize,
    /// Faces whose pictures were looked at.
    pub faces: usize,
    /// Whose faces these are, by name; none where persons are not known.
    pub names: Vec<String>,
    /// What became of them, for each way to their latent vectors.
    pub all: Vec<Identity>,
}

/// Measures a run.
///
/// # Errors
/// When a checkpoint or the data cannot be used.
pub fn measure(command: &EvaluateCommand) -> Result<Measured> {
    if !(1..=1_000_000).contains(&command.num) {
        return Err(failure(
            Kind::Usage,
            format!("--num {} is not legal: 1 to 1000000", command.num),
        ));
    }
    let sampler = Sampler::find(&command.weights)?;
    let mut config = sampler.config().clone();
    config.training.data = match &command.data {
        Some(place) => place.display().to_string(),
        None => match run_config(&sampler.path) {
            Some(config) => config.training.data,
            None => {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "{} lies in no run that says what it was trained on: name the data with --data",
                        sampler.path.display()
                    ),
                ));
            }
        },
    };
    let out = &command.weights.out;
    let device = sampler.device.clone();
    let network = classifier(&command.classifier, out, &config, &device)?;
    let train = Faces::open(&config, Part::Train)?;
    let held = Faces::open(&config, Part::Held)?;
    let classes = config.classes();
    let of_faces = |faces: &Faces, most: usize| -> Result<Accuracy> {
        let some = faces.some(most)?;
        let found = classified(&network, &some, &config, &device);
        Ok(Accuracy::new(&found, &told(&some), classes.count()))
    };
    let identity = match &command.judge {
        Some(place) => Some(judged(command, &sampler, &config, &held, place)?),
        None => None,
    };
    Ok(Measured {
        data: if config.training.data.is_empty() {
            format!("PROCEDURAL: {PROCEDURAL}")
        } else {
            config.training.data.clone()
        },
        real: of_faces(&held, usize::MAX)?,
        trained: of_faces(&train, TRAINED)?,
        generated: of_generated(&sampler, &network, command.num),
        classes,
        identity,
    })
}

/// Faces that were trained on, on which the classifier is measured, too.
const TRAINED: usize = 1000;

/// Held-out faces on which a judge of persons is measured.
const JUDGED: usize = 720;

/// Of fewer persons, a share says little: each is a twentieth of it, or more.
const FEW: usize = 20;

/// What a judge says of the persons.
fn judged(
    command: &EvaluateCommand,
    sampler: &Sampler,
    config: &Config,
    held: &Faces,
    place: &Path,
) -> Result<Persons> {
    let out = &command.weights.out;
    let device = &sampler.device;
    let judge = Embedding::open(place, out, config, device)?;
    let own = run_of(&sampler.path).and_then(|run| {
        let of_run = run_config(&sampler.path).map(|config| PathBuf::from(config.embedding));
        let place = of_run
            .filter(|place| !place.as_os_str().is_empty())
            .unwrap_or(run);
        Embedding::open(&place, out, config, device).ok()
    });
    if own.is_some_and(|own| own.is(&judge)) {
        return Err(failure(
            Kind::Usage,
            format!(
                "--judge {} is the embedding that the latent vectors were optimised against, which proves nothing: train another \
                 with `cgan train-embedding --seed 1 --persons odd`",
                place.display()
            ),
        ));
    }
    let some = held.some(JUDGED)?;
    let bytes = some.iter().flat_map(|sample| &sample.pixels);
    let rows = embedded(
        &judge,
        bytes.copied().map(to_unit).collect(),
        config,
        device,
    );
    let persons: Vec<_> = some.iter().map(|sample| sample.person).collect();
    let (limit, _) = threshold(&rows, &persons);
    let (same, other) = similarities(&rows, &persons);
    let judged: BTreeSet<_> = persons.iter().flatten().collect();
    let found = latents(sampler, out, &command.weights)?;
    let damaged = |what: &str| {
        failure(
            Kind::Checkpoint,
            format!("{}: {what}", found.path.display()),
        )
    };
    let (mut all, mut shown) = (Vec::new(), BTreeSet::new());
    for by in Latent::ALL {
        let Some(tensor) = found.file.tensors.get(by.name()) else {
            return Err(damaged(&format!("no tensor {}", by.name())));
        };
        let &[count, width] = tensor.shape.as_slice() else {
            return Err(damaged(&format!("tensor {} has no rows", by.name())));
        };
        let mut faces = held.some(count)?;
        if width != config.latent_dim
            || found.file.metadata.get(latents::FACES) != Some(&latents::sum_of(&faces))
        {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} holds latent vectors of other faces than those that are held out of {:?}: name the data that the run \
                     was trained on with --data",
                    found.path.display(),
                    config.training.data
                ),
            ));
        }
        let done = found.file.metadata.get(latents::FOUND);
        let done: usize = done.and_then(|text| text.parse().ok()).unwrap_or(0);
        faces.truncate(done);
        if faces.is_empty() {
            return Err(damaged("no latent vector was found yet: resume the run"));
        }
        shown.extend(faces.iter().filter_map(|face| face.person));
        let values = &tensor.values[..faces.len() * width];
        all.push(identity(sampler, &judge, &faces, values, by, limit));
    }
    Ok(Persons {
        judge: judge.name(),
        limit,
        area: crate::recognise::verification(&rows, &persons),
        pairs: [same.len(), other.len()],
        judged: judged.len(),
        faces: all.first().map_or(0, |found| found.faces),
        names: shown.into_iter().map(|person| held.name(person)).collect(),
        all,
    })
}

impl Measured {
    /// Tables of all numbers.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "faces: {}\nclass     held out          trained on        generated\n",
            self.data
        );
        let share = |accuracy: &Accuracy, class: usize| match accuracy.of(class) {
            Some(share) => format!("{:5.1} % of {:<6}", 100.0 * share, accuracy.counts[class]),
            None => format!("{:17}", "   none"),
        };
        for class in 0..self.classes.count() {
            let _ = writeln!(
                text,
                "{:<8} {} {} {}",
                self.classes.name(class),
                share(&self.real, class),
                share(&self.trained, class),
                share(&self.generated, class)
            );
        }
        let (real, made) = (
            self.real.mean(&self.generated),
            self.generated.mean(&self.real),
        );
        let _ = writeln!(
            text,
            "mean     {:5.1} %           {:5.1} %           {:5.1} %: {:.1} % of what held-out faces reach, a gap of {:.1} points",
            100.0 * real,
            100.0 * self.trained.mean(&self.generated),
            100.0 * made,
            100.0 * made / real.max(1e-9),
            100.0 * (real - made)
        );
        let Some(persons) = &self.identity else {
            return text;
        };
        let (limit, [same, other], judged) = (persons.limit, persons.pairs, persons.judged);
        let _ = match persons.area {
            Some(area) => writeln!(
                text,
                "\njudge: {}. Area under its ROC curve on {same} real pairs of one person against {other} of two, of {judged} \
                 held-out persons: {area:.4}; from a similarity of {limit:.3} on, where it errs as often either way, two faces \
                 pass for one person",
                persons.judge
            ),
            None => {
                let why = match judged {
                    0 => "Who real faces are is not known".to_owned(),
                    _ => format!(
                        "The {judged} held-out persons who are known make {same} real pairs of one person and {other} of two, \
                         and it takes both"
                    ),
                };
                writeln!(
                    text,
                    "\njudge: {}. {why}: from {limit:.3} on, which one pair in twenty of different faces reaches, two faces pass \
                     for one person. A judge that was trained without persons knows pictures again, not persons",
                    persons.judge
                )
            }
        };
        let shown = persons.names.len();
        if (1..FEW).contains(&shown) {
            let _ = writeln!(
                text,
                "FEW PERSONS: the {} faces below are of {shown}: {}. Each weighs about {:.0} points of a share, and how alike their \
                 faces are by chance does not average out: the figures are about these persons, not about others. Hold out more \
                 with more persons in the data, or with a larger --latent-pictures",
                persons.faces,
                persons.names.join(", "),
                100.0 / shown as f64
            );
        }
        let whose = match shown {
            0 => String::new(),
            _ => format!(" of {shown} persons"),
        };
        let _ = writeln!(
            text,
            "{} faces{whose}\n          same age        other ages      other persons   (mean similarity, share that passes)",
            persons.faces
        );
        for found in &persons.all {
            let pair = |value: f64, share: f64| {
                if value.is_nan() {
                    format!("{:14}", "  none")
                } else {
                    format!("{value:6.3} {:5.1} %", 100.0 * share)
                }
            };
            let _ = writeln!(
                text,
                "{:<9} {}  {}  {}",
                found.by.name(),
                pair(found.reconstructed, found.same),
                pair(found.aged, found.same_aged),
                pair(found.random, found.same_random)
            );
        }
        text
    }

    /// All numbers, by name.
    pub fn json(&self) -> Value {
        let accuracy = |accuracy: &Accuracy| json!({"mean": accuracy.mean(accuracy), "counts": accuracy.counts, "right": accuracy.right});
        let finite = |value: f64| value.is_finite().then_some(value);
        let identity = self.identity.as_ref().map(|persons| {
            let rows: Vec<Value> = persons
                .all
                .iter()
                .map(|found| {
                    json!({
                        "latent": found.by.name(),
                        "same_age": finite(found.reconstructed),
                        "other_ages": finite(found.aged),
                        "other_persons": finite(found.random),
                        "passing_same_age": finite(found.same),
                        "passing_other_ages": finite(found.same_aged),
                        "passing_other_persons": finite(found.same_random),
                    })
                })
                .collect();
            json!({
                "judge": persons.judge,
                "threshold": persons.limit,
                "verification": persons.area,
                "pairs": persons.pairs[0],
                "pairs_of_two": persons.pairs[1],
                "judged_persons": persons.judged,
                "faces": persons.faces,
                "persons": persons.names,
                "latents": rows,
            })
        });
        json!({
            "data": self.data,
            "classes": self.classes.names(),
            "trained": accuracy(&self.trained),
            "real": accuracy(&self.real),
            "generated": accuracy(&self.generated),
            "identity": identity,
        })
    }
}

/// `cgan evaluate`.
///
/// # Errors
/// As [`measure`], and when the file cannot be written.
pub fn evaluate(command: &EvaluateCommand) -> Result<()> {
    let measured = measure(command)?;
    print(&measured.text());
    if let Some(path) = &command.json {
        let text = serde_json::to_string_pretty(&measured.json())?;
        std::fs::write(path, text).map_err(|error| at_path(Kind::Disk, "write", path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_counts_as_much_as_another() {
        let accuracy = Accuracy::new(&[0, 0, 0, 1, 2], &[0, 0, 0, 0, 1], 3);
        assert_eq!(
            (accuracy.of(0), accuracy.of(1), accuracy.of(2)),
            (Some(0.75), Some(0.0), None)
        );
        assert_eq!(accuracy.mean(&accuracy), 0.375);
        let others = Accuracy::new(&[0], &[0], 3);
        assert_eq!(accuracy.mean(&others), 0.75);
    }

    #[test]
    fn few_persons_are_named() {
        let told = |judged: usize, area: Option<f64>, names: Vec<String>| {
            let accuracy = Accuracy::new(&[0], &[0], 2);
            let identity = Persons {
                judge: "a judge",
                limit: 0.5,
                area,
                pairs: [4, 9],
                judged,
                faces: 40,
                names,
                all: Vec::new(),
            };
            let measured = Measured {
                classes: Classes::Ages(vec![40]),
                real: accuracy.clone(),
                generated: accuracy.clone(),
                trained: accuracy,
                data: String::new(),
                identity: Some(identity),
            };
            measured.text()
        };
        let names = |count: usize| (0..count).map(|number| format!("p{number}")).collect();
        let text = told(6, Some(0.9), names(4));
        for words in [
            "4 real pairs of one person against 9 of two, of 6 held-out",
            "are of 4: p0, p1, p2, p3.",
            "about 25 points",
            "40 faces of 4 persons",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!told(30, Some(0.9), names(20)).contains("FEW"));
        let text = told(1, None, names(1));
        assert!(
            text.contains("The 1 held-out persons who are known") && text.contains("FEW"),
            "{text}"
        );
        let text = told(0, None, Vec::new());
        assert!(
            text.contains("is not known") && !text.contains("FEW") && text.contains("40 faces\n"),
            "{text}"
        );
    }

    #[test]
    fn the_threshold_makes_as_many_errors_of_either_kind() {
        let turn = |degrees: f32| vec![degrees.to_radians().cos(), degrees.to_radians().sin()];
        let rows = [turn(0.0), turn(10.0), turn(90.0), turn(100.0)];
        let persons = [Some(1), Some(1), Some(2), Some(2)];
        let (limit, is_of_persons) = threshold(&rows, &persons);
        assert!(is_of_persons && (0.18..0.99).contains(&limit), "{limit}");
        let (limit, is_of_persons) = threshold(&rows, &[None; 4]);
        assert!(
            !is_of_persons && (limit - turn(10.0)[0]).abs() < 1e-3,
            "{limit}"
        );
    }
}
