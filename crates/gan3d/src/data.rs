//! What a batch is: shapes of files as cubes of the network's side, or procedural furniture.

mod prepare;

use crate::config::Config;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::sha256;
use gan_core::command::print;
use gan_core::dataset::{Datasets, Known, KnownFile};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::images::MOST_BROKEN;
use gan_core::random::{Orders, Stream};
use gan_core::samples::in_parallel;
use gan_core::stage::Source;
use shapes::dataset::{Part, Reading, Shape, Shapes, overlooked};
use shapes::fit::fitted;
use shapes::furniture::{self, Piece};
use shapes::voxels::Voxels;
use shapes::{files, volumetric};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Pieces of furniture of the stand-in that is trained on without files.
pub const PROCEDURAL_COUNT: usize = 3000;

/// What the built-in data is, for the first line, the configuration and the report.
pub const PROCEDURAL: &str =
    "constructed chairs, tables and shelves, not scans and not designers' models";

/// The classes of the stand-in.
const KINDS: [(&str, furniture::Kind); 3] = [
    ("chair", furniture::Kind::Chair),
    ("shelf", furniture::Kind::Shelf),
    ("table", furniture::Kind::Table),
];

/// `batch_size` volumes of 0 and 1, one after the other.
pub type Batch = Vec<f32>;

/// Shapes in an order that is a pure function of (seed, epoch).
#[derive(Debug)]
pub struct Data {
    shapes: Vec<Voxels>,
    config: Config,
    fingerprint: String,
    /// Files that could not be read, with the reason; they are left out.
    pub broken: Vec<String>,
    /// What lies there, could be shapes and is not looked at, in a line.
    pub overlooked: Option<String>,
    orders: Orders,
}

impl Data {
    /// Opens the folder or file that a configuration names, or builds procedural furniture.
    ///
    /// # Errors
    /// [`Kind::Data`] when there are no shapes, fewer than a batch, or too many broken ones.
    pub fn open(config: &Config) -> Result<Self> {
        let (shapes, broken, overlooked) = read(config, Part::Train)?;
        let count = shapes.len();
        let place = &config.training.data;
        let batch_size = config.training.batch_size;
        if count < batch_size {
            return Err(failure(
                Kind::Data,
                format!(
                    "{count} shapes to train on under {place} are fewer than a batch of {batch_size}: lower \
                     --batch-size, or add shapes"
                ),
            ));
        }
        let sums: String = shapes.iter().map(sum).collect();
        Ok(Self {
            fingerprint: format!("{count} shapes, sha256 {}", sha256(sums.as_bytes())),
            shapes,
            config: config.clone(),
            broken,
            overlooked,
            orders: Orders::new(config.training.seed, count),
        })
    }

    /// How many shapes there are.
    pub fn shapes(&self) -> usize {
        self.shapes.len()
    }
}

/// How files become voxels for a network of this side.
pub(crate) fn reading<'a>(side: usize, part: Part, class: &'a str) -> Reading<'a> {
    Reading {
        part,
        class,
        files: files::Reading {
            side,
            ..files::Reading::default()
        },
    }
}

/// The shapes of a part as their files have them, what could not be read, and what was overlooked.
fn read(config: &Config, part: Part) -> Result<(Vec<Voxels>, Vec<String>, Option<String>)> {
    let place = &config.training.data;
    if place.is_empty() {
        return Ok((drawn(&config.class)?, Vec::new(), None));
    }
    let reading = reading(config.resolution, part, &config.class);
    let found = Shapes::open(Path::new(place), &reading)?;
    let voxels = found.shapes.into_iter().map(|shape| shape.voxels).collect();
    Ok((voxels, found.broken, overlooked(&found.left_out)))
}

/// Piece `number` of the stand-in, and the number of its class.
fn procedural(number: usize, kinds: &[(&str, furniture::Kind)]) -> (usize, Voxels) {
    // Not the run's seed: every run sees the same stand-in.
    let mut stream = Stream::new(0, "furniture", number as u64);
    let kind = number % kinds.len();
    let mut uniform = || f64::from(stream.uniform(1, 0.0, 1.0)[0]);
    let piece = Piece::draw(kinds[kind].1, &mut uniform);
    let orientation = (uniform() * furniture::ORIENTATIONS as f64) as usize;
    (kind, piece.voxels(furniture::SIDE, orientation))
}

/// The stand-in, all of it or one class.
fn drawn(class: &str) -> Result<Vec<Voxels>> {
    let kinds: Vec<_> = KINDS
        .into_iter()
        .filter(|(name, _)| class.is_empty() || *name == class)
        .collect();
    if kinds.is_empty() {
        let names: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        return Err(failure(
            Kind::Usage,
            format!(
                "--class {class} is not one of the procedural furniture: {}",
                names.join(", ")
            ),
        ));
    }
    let numbers: Vec<usize> = (0..PROCEDURAL_COUNT).collect();
    Ok(in_parallel(&numbers, |number| {
        procedural(*number, &kinds).1
    }))
}

fn sum(voxels: &Voxels) -> String {
    let bytes: Vec<u8> = voxels
        .bits()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    format!("{:?} {}\n", voxels.size(), sha256(&bytes))
}

/// Appends a cube as numbers, mirrored left to right where asked.
fn append(voxels: &Voxels, is_mirrored: bool, out: &mut Vec<f32>) {
    let side = voxels.size()[0];
    let start = out.len();
    out.resize(start + side.pow(3), 0.0);
    for [x, y, z] in voxels.full() {
        let y = if is_mirrored { side - 1 - y } else { y };
        out[start + (x * side + y) * side + z] = 1.0;
    }
}

/// Shapes as the numbers that the network takes, one after the other.
pub fn numbers<'a>(shapes: impl IntoIterator<Item = &'a Voxels>, resolution: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for shape in shapes {
        append(&fitted(shape, resolution), false, &mut all);
    }
    all
}

/// Volumes on a device, `[count, 1, resolution, resolution, resolution]`.
pub fn volumes(values: Vec<f32>, config: &Config, device: &Device) -> Tensor<5> {
    let side = config.resolution;
    let count = values.len() / config.voxels();
    Tensor::from_data(
        TensorData::new(values, [count, 1, side, side, side]),
        device,
    )
}

impl Source for Data {
    type Batch = Batch;

    fn len(&self) -> usize {
        // The last incomplete batch of an epoch is left out: its statistics would be others.
        self.shapes.len() / self.config.training.batch_size
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn batch(&self, epoch: u64, index: usize) -> Result<Batch> {
        let config = &self.config;
        let count = config.training.batch_size;
        let order = self.orders.of(epoch);
        let number = epoch * self.len() as u64 + index as u64;
        let mirrored = if config.flip {
            Stream::new(config.training.seed, "flip", number).integers(count, 2)
        } else {
            vec![0; count]
        };
        let mut batch = Vec::with_capacity(count * config.voxels());
        let places = &order[index * count..(index + 1) * count];
        for (place, mirrored) in places.iter().zip(mirrored) {
            let shape = fitted(&self.shapes[*place as usize], config.resolution);
            append(&shape, mirrored == 1, &mut batch);
        }
        Ok(batch)
    }
}

/// What `data` does for this architecture.
pub const DATASETS: Datasets = Datasets {
    word: "gan3d",
    known: &[Known {
        name: "3DShapeNets",
        about: "volumetric models of 40 classes in 12 orientations, 30 x 30 x 30, for academic use",
        page: "get 3DShapeNetsCode.zip from http://3dshapenets.cs.princeton.edu",
        files: &[KnownFile {
            name: "3DShapeNetsCode.zip",
            mirrors: &[
                "http://3dshapenets.cs.princeton.edu/3DShapeNetsCode.zip",
                "http://vision.princeton.edu/projects/2014/3DShapeNets/3DShapeNetsCode.zip",
            ],
            sha256: None,
            bytes: None,
            most_bytes: 4 << 30,
        }],
    }],
    procedural: write_procedural,
    procedural_count: 600,
    procedural_about: PROCEDURAL,
    suggest: |_| Vec::new(),
    check: Some(check),
    pairs: None,
    resolutions: None,
    shapes: Some(prepare::prepare),
};

/// Writes furniture in the layout of 3D-ShapeNets; every tenth piece is for the test.
fn write_procedural(folder: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let (kind, voxels) = procedural(number, &KINDS);
        let name = KINDS[kind].0;
        let part = if number % 10 == 9 { "test" } else { "train" };
        let place = folder
            .join("volumetric_data")
            .join(name)
            .join("30")
            .join(part);
        std::fs::create_dir_all(&place)
            .map_err(|error| at_path(Kind::Disk, "create", &place, &error))?;
        volumetric::write(&voxels, &place.join(format!("{name}_{number:09}_1.mat")))?;
    }
    Ok(())
}

/// Looks at every file of a dataset: what is there, how full it is, what cannot be read, what is not looked at.
fn check(place: &Path) -> Result<String> {
    let mut text = String::new();
    let files = shapes::dataset::find(place)?;
    let (mut all, mut bad, mut trained) = (0, 0, 0);
    for part in [Part::Train, Part::Test] {
        if !files.entries.iter().any(|entry| entry.part == part) {
            continue;
        }
        let found = Shapes::read_all(place, &reading(64, part, ""))?;
        let name = match part {
            Part::Train => "train",
            Part::Test => "test",
        };
        text.push_str(&format!("{name}: {} shapes\n", found.shapes.len()));
        for (class, label) in found.classes.iter().enumerate() {
            let of_class = found.shapes.iter().filter(|shape| shape.class == class);
            text.push_str(&occupancy(label, of_class));
        }
        let mut sizes: BTreeMap<[usize; 3], usize> = BTreeMap::new();
        for shape in &found.shapes {
            *sizes.entry(shape.voxels.size()).or_default() += 1;
        }
        for ([x, y, z], count) in sizes {
            text.push_str(&format!("  {x} x {y} x {z} voxels: {count}\n"));
        }
        let different: BTreeSet<_> = found
            .shapes
            .iter()
            .map(|shape| (shape.voxels.size(), shape.voxels.bits()))
            .collect();
        let repeated = found.shapes.len() - different.len();
        if repeated > 0 {
            text.push_str(&format!("  equal to another one: {repeated}\n"));
        }
        let empty = found
            .shapes
            .iter()
            .filter(|shape| shape.voxels.count() == 0);
        let empty: Vec<&str> = empty.map(|shape| shape.name.as_str()).collect();
        if let Some(first) = empty.first() {
            text.push_str(&format!(
                "  without a full voxel: {}, the first: {first}\n",
                empty.len()
            ));
        }
        for line in found.broken.iter().take(20) {
            text.push_str(&format!("unusable: {line}\n"));
        }
        if found.broken.len() > 20 {
            text.push_str(&format!("unusable: {} more\n", found.broken.len() - 20));
        }
        all += found.shapes.len() + found.broken.len();
        bad += found.broken.len();
        if part == Part::Train {
            trained = found.shapes.len();
        }
    }
    text.push_str(&others(&files.left_out));
    print(text.trim_end());
    if bad as f64 > MOST_BROKEN * all as f64 {
        return Err(failure(
            Kind::Data,
            format!(
                "{bad} of {all} files under {} cannot be used: training would refuse them",
                place.display()
            ),
        ));
    }
    if trained == 0 {
        return Err(failure(
            Kind::Data,
            format!(
                "{} has no part to train on: put shapes into a folder train, or name the folder above",
                place.display()
            ),
        ));
    }
    let usual = Config::default().training.batch_size;
    Ok(if trained < usual {
        format!("suggestion: --batch-size at most {trained}")
    } else {
        "an epoch shows each shape once".to_owned()
    })
}

/// What lies in a dataset and is not looked at, a line each.
fn others(left_out: &BTreeMap<String, usize>) -> String {
    let mut text: String = left_out
        .iter()
        .map(|(what, count)| format!("not looked at: {what}: {count}\n"))
        .collect();
    if let Some(line) = overlooked(left_out) {
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// How full the shapes of a class are, in a line; none without shapes.
fn occupancy<'a>(label: &str, shapes: impl Iterator<Item = &'a Shape>) -> String {
    let mut shares: Vec<f64> = shapes
        .map(|shape| shape.voxels.count() as f64 / shape.voxels.len() as f64)
        .collect();
    shares.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (shares.first(), shares.last()) else {
        return String::new();
    };
    format!(
        "  {label}: {}, full voxels {:.1} % on average, from {:.1} to {:.1} %\n",
        shares.len(),
        100.0 * shares.iter().sum::<f64>() / shares.len() as f64,
        100.0 * least,
        100.0 * most
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::config::Training;
    use gan_core::failure::exit_code;

    fn config(place: &Path) -> Config {
        Config {
            resolution: 32,
            training: Training {
                data: place.display().to_string(),
                batch_size: 4,
                ..Config::default().training
            },
            ..Config::default()
        }
    }

    fn refused(config: &Config) -> (u8, String) {
        let error = Data::open(config).unwrap_err();
        (exit_code(&error), error.to_string())
    }

    #[test]
    fn the_stand_in_lies_as_the_real_data_does_and_is_read_as_such() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 30).unwrap();
        let place = folder.path().join("volumetric_data/chair/30");
        assert!(place.join("train/chair_000000000_1.mat").is_file());
        let data = Data::open(&config(folder.path())).unwrap();
        assert_eq!((data.shapes(), data.broken.len(), data.len()), (27, 0, 6));
        let mut chairs = config(folder.path());
        chairs.class = "chair".to_owned();
        assert_eq!(Data::open(&chairs).unwrap().shapes(), 9);
        // The folder of a class is as good.
        assert_eq!(Data::open(&config(&place)).unwrap().shapes(), 9);
        chairs.class = "sofa".to_owned();
        let (code, said) = refused(&chairs);
        assert!(
            code == 3 && said.contains("there are chair, shelf, table"),
            "{said}"
        );
        assert_eq!(
            check(folder.path()).unwrap(),
            "suggestion: --batch-size at most 27"
        );
    }

    #[test]
    fn a_batch_is_a_pure_function_of_seed_epoch_and_index() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 12).unwrap();
        let mut config = config(folder.path());
        let data = Data::open(&config).unwrap();
        let first = data.batch(0, 0).unwrap();
        assert_eq!(first.len(), 4 * 32usize.pow(3));
        assert_eq!(first, Data::open(&config).unwrap().batch(0, 0).unwrap());
        assert_ne!(first, data.batch(1, 0).unwrap());
        assert_ne!(first, data.batch(0, 1).unwrap());
        config.flip = true;
        let flipped = Data::open(&config).unwrap();
        let all = |data: &Data| {
            (0..8)
                .map(|epoch| data.batch(epoch, 0).unwrap())
                .collect::<Vec<_>>()
        };
        assert_ne!(all(&data), all(&flipped));
        // Mirrored: as many full voxels in each layer of the height.
        let layers = |values: &[f32]| -> Vec<f32> {
            (0..32)
                .map(|z| values.iter().skip(z).step_by(32).sum())
                .collect()
        };
        for (plain, turned) in all(&data).iter().zip(all(&flipped)) {
            assert_eq!(layers(plain), layers(&turned));
        }
    }

    #[test]
    fn broken_files_are_left_out_and_too_many_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 24).unwrap();
        let place = folder.path().join("volumetric_data/chair/30/train");
        std::fs::write(place.join("a.mat"), "<html>").unwrap();
        let data = Data::open(&config(folder.path())).unwrap();
        assert_eq!((data.shapes(), data.broken.len()), (22, 1));
        assert!(data.broken[0].contains("a.mat"), "{:?}", data.broken);
        for name in ["b.mat", "c.npy", "d.binvox"] {
            std::fs::write(place.join(name), "").unwrap();
        }
        let (code, said) = refused(&config(folder.path()));
        assert!(code == 3 && said.contains("4 of 26 files"), "{said}");
        assert!(
            check(folder.path())
                .unwrap_err()
                .to_string()
                .contains("4 of 28 files")
        );
        let mut few = config(&folder.path().join("volumetric_data/table"));
        few.training.batch_size = 64;
        let (code, said) = refused(&few);
        assert!(
            code == 3 && said.contains("fewer than a batch of 64"),
            "{said}"
        );
    }

    #[test]
    fn what_is_not_looked_at_is_told() {
        let folder = tempfile::tempdir().unwrap();
        write_procedural(folder.path(), 24).unwrap();
        let data = Data::open(&config(folder.path())).unwrap();
        assert_eq!(data.overlooked, None);
        for name in ["notes.txt", "volumetric_data/chair/a.glb"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let data = Data::open(&config(folder.path())).unwrap();
        let said = data.overlooked.unwrap();
        assert!(
            said.contains("files ending in .glb: 1") && !said.contains("txt"),
            "{said}"
        );
        let left_out = shapes::dataset::find(folder.path()).unwrap().left_out;
        let said = others(&left_out);
        for line in ["files ending in .glb: 1", "files ending in .txt: 1"] {
            assert!(said.contains(&format!("not looked at: {line}\n")), "{said}");
        }
    }

    #[test]
    fn without_data_furniture_is_built() {
        let config = Config {
            training: Training {
                data: String::new(),
                batch_size: 4,
                ..Config::default().training
            },
            class: "table".to_owned(),
            ..Config::default()
        };
        assert_eq!(Data::open(&config).unwrap().shapes(), PROCEDURAL_COUNT);
        let (code, said) = refused(&Config {
            class: "boat".to_owned(),
            ..config
        });
        assert!(code == 2 && said.contains("chair, shelf, table"), "{said}");
    }

    /// The real files, where there are some.
    #[test]
    fn real_chairs_are_read() {
        let Some(data) = std::env::var_os("GAN_DATA") else {
            return;
        };
        let place = Path::new(&data).join("3d/volumetric_data");
        if !place.is_dir() {
            return;
        }
        let data = Data::open(&config(&place)).unwrap();
        assert_eq!((data.shapes(), data.broken.len()), (1212, 0));
        assert_eq!(check(&place).unwrap(), "an epoch shows each shape once");
    }
}
