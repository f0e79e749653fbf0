//! `voxels`: how well generated shapes cover real ones.

use crate::table::{Table, digits, finite};
use anyhow::Result;
use gan_core::command::print;
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, failure};
use gan_core::random::Stream;
use gan_core::samples::in_parallel;
use metrics::sets::{Distances, Matching, NearestNeighbour, matching, one_nearest_neighbour};
use serde_json::{Value, json};
use shapes::chamfer::Compared;
use shapes::dataset::{Part, Reading, Shape, Shapes};
use shapes::files;
use shapes::fit::fitted;
use shapes::voxels::Voxels;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `voxels`.
#[derive(Debug, Clone, clap::Args)]
pub struct VoxelsCommand {
    /// Real shapes: a folder of .mat, .binvox, .npy, .npz or meshes. Its test part is what the generated shapes are
    /// compared with, its training part is compared with the same beside them; without parts, half is each.
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// Generated shapes: such a folder, or a file.
    #[arg(long, alias = "generated", value_name = "DIR|FILE")]
    fake: PathBuf,
    /// One class of the real shapes alone, the name of its folder.
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// Voxels along each side at which shapes are compared; without it, those of the first generated shape.
    #[arg(long, value_name = "VOXELS")]
    resolution: Option<usize>,
    /// Shapes of each set at most, drawn at random; the three sets become equally large. 0 keeps all.
    #[arg(long, default_value_t = 500)]
    num: usize,
    /// From this number on, a voxel of a generated file of numbers is full.
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// The random choice follows from it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is measured with one distance between shapes.
struct Measured {
    matching: Matching,
    nearest: NearestNeighbour,
    spread: f64,
}

/// How full the shapes of a set are.
struct Filled {
    mean: f64,
    deviation: f64,
    empty: usize,
}

impl Filled {
    fn of(shapes: &[Voxels]) -> Self {
        let count = shapes.len() as f64;
        let shares = || {
            shapes
                .iter()
                .map(|shape| shape.count() as f64 / shape.len() as f64)
        };
        let mean = shares().sum::<f64>() / count;
        let variance = shares().map(|share| (share - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            deviation: variance.sqrt(),
            empty: shapes.iter().filter(|shape| shape.count() == 0).count(),
        }
    }
}

/// How alike the places are that two sets fill: the Jensen-Shannon divergence, in bits, of how often each voxel is full
/// (Achlioptas et al. 2018, section 5). Infinite where one of them fills none.
fn occupancy_divergence(first: &[Voxels], second: &[Voxels]) -> f64 {
    let often = |shapes: &[Voxels]| -> Vec<f64> {
        let mut counts = vec![0u32; shapes[0].len()];
        for shape in shapes {
            for (word, bits) in shape.bits().iter().enumerate() {
                let mut bits = *bits;
                while bits != 0 {
                    counts[64 * word + bits.trailing_zeros() as usize] += 1;
                    bits &= bits - 1;
                }
            }
        }
        let all: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        counts.iter().map(|count| f64::from(*count) / all).collect()
    };
    let (first, second) = (often(first), often(second));
    if first[0].is_nan() || second[0].is_nan() {
        return f64::INFINITY;
    }
    let half = |p: &[f64], q: &[f64]| -> f64 {
        let terms = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
        terms
            .map(|(p, q)| 0.5 * p * (2.0 * p / (p + q)).log2())
            .sum()
    };
    half(&first, &second) + half(&second, &first)
}

/// A set with what its distances need.
struct Set {
    shapes: Vec<Voxels>,
    compared: Vec<Compared>,
}

impl Set {
    fn new(shapes: Vec<Voxels>) -> Self {
        let compared = in_parallel(&shapes, Compared::new);
        Self { shapes, compared }
    }

    fn by_iou(&self, other: &Self) -> Result<Distances> {
        let rows = in_parallel(&self.shapes, |shape| -> Vec<f32> {
            let distance = |other: &Voxels| (1.0 - shape.intersection_over_union(other)) as f32;
            other.shapes.iter().map(distance).collect()
        });
        Distances::new(self.shapes.len(), other.shapes.len(), rows.concat())
    }

    fn by_chamfer(&self, other: &Self) -> Result<Distances> {
        let rows = in_parallel(&self.compared, |shape| -> Vec<f32> {
            let distance = |other: &Compared| shape.distance(other) as f32;
            other.compared.iter().map(distance).collect()
        });
        Distances::new(self.compared.len(), other.compared.len(), rows.concat())
    }

    fn measure(
        &self,
        real: &Self,
        distance: impl Fn(&Self, &Self) -> Result<Distances>,
    ) -> Result<Measured> {
        let between = distance(self, real)?;
        let own = distance(self, self)?;
        Ok(Measured {
            matching: matching(&between),
            nearest: one_nearest_neighbour(&distance(real, real)?, &own, &between),
            spread: own.mean_of_pairs(),
        })
    }
}

/// Some of the shapes, at one size.
fn chosen(shapes: Vec<Voxels>, most: usize, side: usize, stream: &mut Stream) -> Vec<Voxels> {
    let order = stream.permutation(shapes.len());
    let some = order
        .iter()
        .take(most)
        .map(|place| &shapes[*place as usize]);
    some.map(|shape| fitted(shape, side)).collect()
}

impl VoxelsCommand {
    /// Prints coverage, minimum matching distance, 1-NN accuracy and spread, of the generated shapes and of training
    /// shapes, against test shapes.
    ///
    /// # Errors
    /// [`Kind::Data`] for folders without shapes or too many broken files, [`Kind::Usage`] for an illegal flag.
    pub fn run(&self) -> Result<()> {
        let console = Console::new(Voice::Normal);
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            return Err(failure(Kind::Usage, "--threshold must be above 0"));
        }
        let fake = self.open(&self.fake, Part::Train, "", &console)?;
        let side = match (self.resolution, fake.first()) {
            (Some(side), _) => side,
            (None, Some(first)) => first.size()[0],
            (None, None) => {
                let what = format!("{} has no shapes outside of test", self.fake.display());
                return Err(failure(Kind::Data, what));
            }
        };
        if !(2..=256).contains(&side) {
            return Err(failure(
                Kind::Usage,
                format!("--resolution {side} is not legal: 2 to 256 voxels"),
            ));
        }
        let mut train = self.open(&self.real, Part::Train, &self.class, &console)?;
        let mut test = self.open(&self.real, Part::Test, &self.class, &console)?;
        let has_test = !test.is_empty();
        let mut stream = Stream::new(self.seed, "voxels", 0);
        if !has_test {
            // Neighbours in a folder are often the same thing turned.
            let order = stream.permutation(train.len());
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for (place, index) in order.iter().enumerate() {
                let half = if place % 2 == 0 {
                    &mut first
                } else {
                    &mut second
                };
                half.push(train[*index as usize].clone());
            }
            (train, test) = (first, second);
        }
        let least = fake.len().min(train.len()).min(test.len());
        if least < 2 {
            return Err(failure(
                Kind::Data,
                format!(
                    "each set needs two shapes: {} has {}, {} has {} to train on and {} to test on",
                    self.fake.display(),
                    fake.len(),
                    self.real.display(),
                    train.len(),
                    test.len()
                ),
            ));
        }
        if self.num == 1 {
            return Err(failure(
                Kind::Usage,
                "--num 1 is not legal: 0 for all, or at least 2",
            ));
        }
        let most = if self.num == 0 {
            least
        } else {
            self.num.min(least)
        };
        let mut set = |shapes| Set::new(chosen(shapes, most, side, &mut stream));
        let (fake, train, test) = (set(fake), set(train), set(test));
        let sides = [("generated", &fake), ("training", &train)];
        let mut rows = Vec::new();
        for (name, set) in sides {
            let iou = set.measure(&test, Set::by_iou)?;
            let chamfer = set.measure(&test, Set::by_chamfer)?;
            rows.push((name, set, iou, chamfer));
        }
        let of_test = (
            test.by_iou(&test)?.mean_of_pairs(),
            test.by_chamfer(&test)?.mean_of_pairs(),
        );
        if self.json {
            let side_of = |set: &Set, iou: &Measured, chamfer: &Measured| {
                let filled = Filled::of(&set.shapes);
                json!({
                    "iou": numbers(iou),
                    "chamfer": numbers(chamfer),
                    "occupancy_mean": filled.mean,
                    "occupancy_deviation": filled.deviation,
                    "occupancy_jensen_shannon_bits": finite(occupancy_divergence(&set.shapes, &test.shapes)),
                    "empty": filled.empty,
                })
            };
            let mut row = json!({
                "shapes": most,
                "resolution": side,
                "test": {
                    "iou": {"mean_pairwise_distance": of_test.0},
                    "chamfer": {"mean_pairwise_distance": of_test.1},
                    "occupancy_mean": Filled::of(&test.shapes).mean,
                },
            });
            for (name, set, iou, chamfer) in &rows {
                row[*name] = side_of(set, iou, chamfer);
            }
            print(&row.to_string());
            return Ok(());
        }
        let mut table = Table::new(["against test shapes", "generated", "training"]);
        let mut line = |name: &str, of: &dyn Fn(&Set, &Measured, &Measured) -> f64| {
            let values = rows
                .iter()
                .map(|(_, set, iou, chamfer)| digits(of(set, iou, chamfer)));
            table.cells(std::iter::once(name.to_owned()).chain(values).collect());
        };
        line("coverage, IoU", &|_, iou, _| iou.matching.coverage);
        line("minimum matching distance, 1 - IoU", &|_, iou, _| {
            iou.matching.minimum_matching_distance
        });
        line("1-NN accuracy, IoU", &|_, iou, _| iou.nearest.accuracy);
        line("mean pairwise distance, 1 - IoU", &|_, iou, _| iou.spread);
        line("coverage, Chamfer", &|_, _, chamfer| {
            chamfer.matching.coverage
        });
        line("minimum matching distance, Chamfer", &|_, _, chamfer| {
            chamfer.matching.minimum_matching_distance
        });
        line("1-NN accuracy, Chamfer", &|_, _, chamfer| {
            chamfer.nearest.accuracy
        });
        line("mean pairwise distance, Chamfer", &|_, _, chamfer| {
            chamfer.spread
        });
        line("full voxels, mean", &|set, _, _| {
            Filled::of(&set.shapes).mean
        });
        line("full voxels, deviation", &|set, _, _| {
            Filled::of(&set.shapes).deviation
        });
        line(
            "occupancy, Jensen-Shannon divergence in bits",
            &|set, _, _| occupancy_divergence(&set.shapes, &test.shapes),
        );
        line("empty shapes", &|set, _, _| {
            Filled::of(&set.shapes).empty as f64
        });
        print(&table.text());
        print(&format!(
            "{most} shapes of each set at {side} voxels a side; test shapes among themselves: mean 1 - IoU {:.4}, Chamfer \
             {:.4}; Chamfer in sides of the cube; coverage and matching as Achlioptas et al. 2018, 1-NN accuracy (best \
             0.5) as Yang et al. 2019{}",
            of_test.0,
            of_test.1,
            if has_test {
                ""
            } else {
                "; the real shapes have no test part: half of them is it"
            }
        ));
        Ok(())
    }

    fn open(
        &self,
        place: &Path,
        part: Part,
        class: &str,
        console: &Console,
    ) -> Result<Vec<Voxels>> {
        let reading = Reading {
            part,
            class,
            files: files::Reading {
                side: self.resolution.unwrap_or(64),
                threshold: self.threshold,
                ..files::Reading::default()
            },
        };
        let mut found = Shapes::open(place, &reading)?;
        console.left_out("files", &found.broken);
        let others = keep_one_file_each(&mut found.shapes);
        if others > 0 {
            console.say(&format!(
                "{}: {others} more files of the same shapes were not counted again",
                place.display()
            ));
        }
        Ok(found.shapes.into_iter().map(|shape| shape.voxels).collect())
    }
}

/// Of files that differ in their endings alone (a sample in several formats, and its probabilities) keeps one: voxels
/// rather than meshes. Returns how many were dropped.
fn keep_one_file_each(shapes: &mut Vec<Shape>) -> usize {
    const PREFERRED: [&str; 4] = ["npy", "npz", "mat", "binvox"];
    let before = shapes.len();
    let key = |shape: &Shape| -> (String, usize) {
        let (stem, rest) = shape.name.rsplit_once('.').unwrap_or((&shape.name, ""));
        let ending: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .collect();
        let number = &rest[ending.len()..];
        let place = PREFERRED.iter().position(|known| *known == ending);
        let rank = place.unwrap_or(PREFERRED.len());
        match stem.strip_suffix("_probabilities") {
            Some(stem) => (format!("{stem}{number}"), PREFERRED.len() + 1),
            None => (format!("{stem}{number}"), rank),
        }
    };
    let mut best: BTreeMap<String, usize> = BTreeMap::new();
    for shape in shapes.iter() {
        let (stem, rank) = key(shape);
        let least = best.entry(stem).or_insert(rank);
        *least = rank.min(*least);
    }
    // Of several meshes, the first.
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    shapes.retain(|shape| {
        let (stem, rank) = key(shape);
        let ending = shape.name.rsplit_once('.').map_or("", |(_, rest)| rest);
        let is_best = best[&stem] == rank;
        is_best && *taken.entry(stem).or_insert_with(|| ending.to_owned()) == ending
    });
    before - shapes.len()
}

fn numbers(of: &Measured) -> Value {
    json!({
        "coverage": of.matching.coverage,
        "minimum_matching_distance": of.matching.minimum_matching_distance,
        "nearest_neighbour_accuracy": of.nearest.accuracy,
        "nearest_neighbour_accuracy_of_real": of.nearest.of_real,
        "nearest_neighbour_accuracy_of_generated": of.nearest.of_generated,
        "mean_pairwise_distance": of.spread,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_in_several_formats_is_one() {
        let shape = |name: &str| Shape {
            voxels: Voxels::from_fn([2; 3], |_| true),
            class: 0,
            name: name.to_owned(),
        };
        let names = [
            "seed_1.npy",
            "seed_1.glb",
            "seed_1_probabilities.npy",
            "seed_2.stl",
            "seed_2.obj",
            "a/seed_1.npy",
        ];
        let mut shapes: Vec<Shape> = names.into_iter().map(shape).collect();
        let dropped = keep_one_file_each(&mut shapes);
        let kept: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
        assert_eq!(kept, ["seed_1.npy", "seed_2.stl", "a/seed_1.npy"]);
        assert_eq!(dropped, 3);
    }

    fn block(side: usize, from: usize, to: usize) -> Voxels {
        Voxels::from_fn([side; 3], |at| at.iter().all(|at| (from..to).contains(at)))
    }

    #[test]
    fn occupancies_differ_by_at_most_a_bit() {
        let (first, second) = ([block(4, 0, 2)], [block(4, 2, 4)]);
        assert!((occupancy_divergence(&first, &second) - 1.0).abs() < 1e-12);
        assert_eq!(occupancy_divergence(&first, &first), 0.0);
        assert_eq!(
            occupancy_divergence(&first, &[Voxels::new([4; 3])]),
            f64::INFINITY
        );
    }

    #[test]
    fn a_repeated_shape_is_told_from_variety() {
        let real = Set::new((0..6).map(|from| block(8, from, from + 2)).collect());
        let same = Set::new(vec![block(8, 2, 4); 6]);
        for distance in [Set::by_iou, Set::by_chamfer] {
            let measured = same.measure(&real, distance).unwrap();
            assert_eq!(measured.matching.coverage, 1.0 / 6.0);
            assert_eq!(measured.spread, 0.0);
            let perfect = real.measure(&real, distance).unwrap();
            assert_eq!(perfect.matching.coverage, 1.0);
            assert_eq!(perfect.matching.minimum_matching_distance, 0.0);
        }
        assert_eq!(Filled::of(&same.shapes).mean, 8.0 / 512.0);
    }
}
