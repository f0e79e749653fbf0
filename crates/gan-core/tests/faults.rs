//! Damaged and hostile files, for every parser: thousands of seeded mutations that must end in a value
//! or an error, never in a panic or in gigabytes, and hand-made files that must be refused by name.

use gan_core::checkpoint::{self, Identity, PartFile, Saved};
use gan_core::config::{self, Configuration, Layer, Training};
use gan_core::failure::exit_code;
use gan_core::weights::{self, HostTensor, Metadata, Tensors};
use gan_core::{idx, images, run};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations of each kind of file.
const CASES: u64 = 3000;

/// The most that this process may ever hold, in bytes: every file here is below 100 kB, but one picture
/// may take up to 512 MiB while it is decoded, and tests run side by side.
const MOST_MEMORY: u64 = 2 << 30;

/// The SplitMix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Changes one to eight bytes; one time in four cuts the end off, one in four repeats a stretch.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        // Half of the changes fall on the first bytes, where headers are.
        let near = bytes.len().min(96);
        for _ in 0..=self.below(8) {
            let reach = if self.below(2) == 0 {
                near
            } else {
                bytes.len()
            };
            let at = self.below(reach);
            bytes[at] = match self.below(4) {
                0 => [0, 0xff, 0x7f, 0x80][self.below(4)],
                1 => self.next() as u8,
                _ => bytes[at] ^ 1 << self.below(8),
            };
        }
        match self.below(4) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let start = self.below(bytes.len());
                let length = 1 + self.below((bytes.len() - start).min(200));
                let stretch = bytes[start..start + length].to_vec();
                let at = self.below(bytes.len());
                bytes.splice(at..at, stretch);
            }
            _ => {}
        }
    }
}

/// Writes a file anew: some file systems flush a file that is cut to nothing and written again, which
/// takes milliseconds each time.
fn renew(place: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(place);
    std::fs::write(place, bytes).unwrap();
}

/// Damages `whole` [`CASES`] times, writes it to `place` and calls `parse`. Errors must name the file and
/// have the exit code `code`; a panic fails the test with the case's seed.
fn survives<T>(
    whole: &[u8],
    place: &Path,
    code: u8,
    mut parse: impl FnMut(&Path) -> anyhow::Result<T>,
) {
    std::fs::write(place, whole).unwrap();
    parse(place).expect("the undamaged file is read");
    let name = place.file_name().unwrap().to_string_lossy().into_owned();
    let mut refused = 0;
    for seed in 0..CASES {
        let mut bytes = whole.to_vec();
        Random(seed).damage(&mut bytes);
        renew(place, &bytes);
        match catch_unwind(AssertUnwindSafe(|| parse(place))) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                refused += 1;
                let message = format!("{error:#}");
                assert!(message.contains(&name), "seed {seed}: {message}");
                assert_eq!(exit_code(&error), code, "seed {seed}: {message}");
            }
            Err(_) => panic!("seed {seed} of {name} made the parser panic"),
        }
    }
    assert!(refused > CASES / 10, "only {refused} cases were refused");
    if let Some(peak) = run::peak_memory() {
        assert!(
            peak < MOST_MEMORY,
            "{peak} bytes of memory for small files: {name}"
        );
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_bytes() -> Vec<u8> {
    let mut bytes = 0x0803_u32.to_be_bytes().to_vec();
    for size in [6_u32, 8, 8] {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend((0..6 * 64).map(|at| (at * 7) as u8));
    bytes
}

#[test]
fn damaged_idx_files() {
    let folder = folder();
    let read = |path: &Path| idx::Pictures::read(path, "train");
    survives(&idx_bytes(), &folder.path().join("digits"), 3, read);
    let packed = gzip(&idx_bytes());
    survives(&packed, &folder.path().join("digits.gz"), 3, read);
}

fn small_tensors() -> Tensors {
    Tensors::from([
        (
            "main.0.weight".to_owned(),
            HostTensor {
                shape: vec![4, 3],
                values: (0..12).map(|value| value as f32).collect(),
            },
        ),
        (
            "main.0.bias".to_owned(),
            HostTensor::vector(vec![0.5, -1.0]),
        ),
    ])
}

#[test]
fn damaged_safetensors() {
    let folder = folder();
    let metadata = Metadata::from([("architecture".to_owned(), "sample".to_owned())]);
    let whole = weights::to_safetensors(&small_tensors(), &metadata);
    let place = folder.path().join("small.safetensors");
    survives(&whole, &place, 4, |path| {
        let file = weights::read(path)?;
        for (name, tensor) in &file.tensors {
            let product: usize = tensor.shape.iter().product();
            assert_eq!(product, tensor.values.len(), "{name}");
        }
        Ok(())
    });
}

fn damaged_pytorch(name: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let whole = std::fs::read(fixtures.join(name)).unwrap();
    let folder = folder();
    survives(&whole, &folder.path().join(name), 4, |path| {
        let file = weights::read(path)?;
        for (name, tensor) in &file.tensors {
            let product: usize = tensor.shape.iter().product();
            assert_eq!(product, tensor.values.len(), "{name}");
        }
        Ok(())
    });
}

#[test]
fn damaged_zip_state_dict() {
    damaged_pytorch("dcgan_zip.pth");
}

#[test]
fn damaged_legacy_state_dict() {
    damaged_pytorch("dcgan_legacy.pth");
}

#[test]
fn damaged_data_parallel_state_dict() {
    damaged_pytorch("dcgan_module.pth");
}

fn picture_bytes(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(13, 9, |x, y| {
        Rgb([(x * 19) as u8, (y * 28) as u8, (x * y) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

/// `closing` bytes at the end may be missing: every pixel lies before them.
fn damaged_pictures(format: ImageFormat, name: &str, closing: usize) {
    let folder = folder();
    let place = folder.path().join(name);
    let whole = picture_bytes(format);
    for length in 0..whole.len() - closing {
        renew(&place, &whole[..length]);
        let error = images::read(&place).err();
        let error = error.unwrap_or_else(|| panic!("{name} is read from {length} bytes"));
        assert_eq!(exit_code(&error), 3, "{length} bytes: {error:#}");
    }
    survives(&whole, &place, 3, |path| {
        let picture = images::read(path)?;
        assert!(picture.width() > 0 && picture.height() > 0);
        // Large ones are real decodes; the small ones go the whole way.
        if picture.width() * picture.height() < 10_000 {
            images::square(&images::to_rgb(&picture), 8);
        }
        Ok(())
    });
}

#[test]
fn damaged_png() {
    damaged_pictures(ImageFormat::Png, "picture.png", 0);
}

#[test]
fn damaged_jpeg() {
    damaged_pictures(ImageFormat::Jpeg, "picture.jpg", 0);
}

#[test]
fn damaged_gif() {
    damaged_pictures(ImageFormat::Gif, "picture.gif", 4);
}

#[test]
fn damaged_bmp() {
    damaged_pictures(ImageFormat::Bmp, "picture.bmp", 0);
}

#[test]
fn damaged_webp() {
    damaged_pictures(ImageFormat::WebP, "picture.webp", 0);
}

fn png_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(body);
    let length = (body.len() as u32).to_be_bytes();
    [&length[..], kind, body, &sum.sum().to_be_bytes()].concat()
}

/// A well-formed PNG whose header claims any size; its few pixel bytes never fill it.
fn png_of(width: u32, height: u32, colour: u8) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, colour, 0, 0, 0]);
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&[0; 4096]).unwrap();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", &header),
        png_chunk(b"IDAT", &packed.finish().unwrap()),
        png_chunk(b"IEND", b""),
    ]
    .concat()
}

#[test]
fn pictures_of_absurd_size_are_refused_from_their_header() {
    let folder = folder();
    let place = folder.path().join("bomb.png");
    for (width, height, colour) in [
        (30_000, 30_000, 2),
        (20_000, 20_000, 0),
        (20_000, 20_000, 2),
        (1, 1_000_000, 0),
        (1_000_000, 1, 0),
        (u32::MAX, u32::MAX, 6),
        (0, 5, 2),
        (5, 0, 2),
        // Few enough pixels, but never filled.
        (12_000, 12_000, 0),
    ] {
        std::fs::write(&place, png_of(width, height, colour)).unwrap();
        let error = images::read(&place).expect_err("no such picture is decoded");
        let message = format!("{error:#}");
        assert!(message.contains("bomb.png"), "{message}");
        assert_eq!(exit_code(&error), 3, "{message}");
    }
    // The same maker gives a picture that is read, so it is the size that is refused above.
    std::fs::write(&place, png_of(60, 60, 0)).unwrap();
    assert_eq!(images::read(&place).unwrap().width(), 60);
}

/// A configuration with one key of each kind.
mod sample {
    use super::*;

    gan_core::configuration! {
        /// For these tests.
        Sample, SampleFlags, training = Training::default();
        /// Width.
        latent_dim: usize = 100;
        /// Rate.
        lr: f64 = 2e-4;
        /// Widths.
        hidden: Vec<usize> = vec![5, 6];
        /// Whether.
        flip: bool = true;
    }

    impl Configuration for Sample {
        const WORD: &'static str = "sample";
        const PRESETS: &'static [(&'static str, &'static str)] = &[];
        fn training(&self) -> &Training {
            &self.training
        }
        fn validate(&self) -> anyhow::Result<()> {
            Ok(())
        }
    }
}
use sample::Sample;

#[test]
fn damaged_configurations() {
    let folder = folder();
    let text = config::to_toml(&Sample::default()).unwrap();
    let whole = format!("# A comment.\n{text}");
    survives(
        whole.as_bytes(),
        &folder.path().join("my.toml"),
        2,
        |path| {
            let layer = Layer::read(path)?;
            match config::merge::<Sample>(&[layer]) {
                // What the file says is legal, or a key or value is named.
                Ok(config) => assert!(config.training.batch_size > 0),
                Err(error) => assert_eq!(exit_code(&error), 2, "{error:#}"),
            }
            Ok(())
        },
    );
    // Nesting that would overflow the stack of a parser that follows it without a limit.
    for deep in ["[".repeat(100_000), "{a=".repeat(100_000)] {
        let error = Layer::parse("deep.toml", &format!("lr = {deep}")).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains("deep.toml"));
    }
}

/// A stage that only counts, and data that end before the training does.
mod counting {
    use super::*;
    use gan_core::checkpoint::Checkpoint;
    use gan_core::failure::{Kind, failure};
    use gan_core::stage::{At, Panel, Scalars, Source, Stage};
    use gan_core::weights::WeightFile;

    #[derive(Default)]
    pub(crate) struct Counter(pub(crate) f32);

    impl Checkpoint for Counter {
        fn files(&self) -> Vec<PartFile> {
            let count = HostTensor::vector(vec![self.0]);
            vec![PartFile::weights([("count".to_owned(), count)].into())]
        }

        fn restore(
            &mut self,
            read: &mut dyn FnMut(&str) -> anyhow::Result<WeightFile>,
        ) -> anyhow::Result<()> {
            self.0 = read("")?.tensors["count"].values[0];
            Ok(())
        }
    }

    impl Stage for Counter {
        type Batch = f32;
        const NAME: &'static str = "gan";

        fn step(&mut self, batch: f32, _at: &At) -> anyhow::Result<Scalars> {
            self.0 += 1.0;
            let mut scalars = Scalars::default();
            scalars.put("loss", f64::from(batch));
            Ok(scalars)
        }

        fn preview(&self, _at: &At) -> anyhow::Result<(Vec<Panel>, Scalars)> {
            Ok(Default::default())
        }

        fn parts(
            &mut self,
            visit: &mut dyn FnMut(&str, &mut dyn Checkpoint) -> anyhow::Result<()>,
        ) -> anyhow::Result<()> {
            visit("counter", self)
        }
    }

    /// Batches of one value; the one after the last of them cannot be read.
    pub(crate) struct Ending(pub(crate) Vec<f32>);

    impl Source for Ending {
        type Batch = f32;

        fn len(&self) -> usize {
            1000
        }

        fn batch(&self, _epoch: u64, index: usize) -> anyhow::Result<f32> {
            let gone = || failure(Kind::Data, "data/0007.png: gone");
            self.0.get(index).copied().ok_or_else(gone)
        }

        fn fingerprint(&self) -> String {
            "numbers".to_owned()
        }
    }
}

#[test]
fn data_that_end_cost_no_step() {
    use counting::{Counter, Ending};
    let train = |out: &Path, workers: usize, values: Vec<f32>| {
        let plan = gan_core::stage::Plan {
            steps: 100,
            seed: 3,
            batch_size: 1,
            accumulate: 1,
            workers,
            log_every: 50,
            sample_every: 50,
            save_every: 5,
            keep: 2,
            identity: String::new(),
            data: "numbers".to_owned(),
            initialised: false,
            extra: Metadata::new(),
            trace: None,
        };
        let quiet = gan_core::console::Voice::Quiet;
        let mut run = run::Run::create(out, "sample", Some("run"), "", quiet, vec![]).unwrap();
        let error = gan_core::stage::fit(&mut Counter(0.0), &Ending(values), &plan, &mut run);
        let newest = checkpoint::newest(&out.join("sample/run/checkpoints/gan")).unwrap();
        (
            error.unwrap_err(),
            newest.map_or(0, |(saved, _)| saved.manifest.step),
        )
    };
    for workers in [0, 2] {
        let out = folder();
        let (error, newest) = train(out.path(), workers, vec![1.0; 7]);
        assert_eq!((exit_code(&error), newest), (3, 7), "{error:#}");
        let said = format!("{error:#}");
        assert!(
            said.contains("0007.png") && said.contains("at step 7 of 100; the checkpoint is saved"),
            "{said}"
        );
    }
    // What was learned from a value that is no number is not kept.
    let mut values = vec![1.0; 7];
    values[6] = f32::NAN;
    let out = folder();
    let (error, newest) = train(out.path(), 0, values);
    assert_eq!((exit_code(&error), newest), (3, 5), "{error:#}");
}

fn checkpoint_in(folder: &Path) -> PathBuf {
    let identity = Identity {
        architecture: "sample".to_owned(),
        stage: "gan".to_owned(),
        step: 7,
        seed: 3,
        config: "lr = 0.1\n".to_owned(),
        data: "6 pictures".to_owned(),
        extra: Metadata::new(),
    };
    let parts = [(
        "generator".to_owned(),
        vec![PartFile::weights(small_tensors())],
    )];
    checkpoint::save(folder, &identity, &parts).unwrap()
}

#[test]
fn damaged_manifests() {
    let folder = folder();
    let step = checkpoint_in(folder.path());
    let place = step.join("manifest.json");
    let whole = std::fs::read(&place).unwrap();
    std::fs::write(&place, &whole).unwrap();
    let mut refused = 0;
    for seed in 0..CASES {
        let mut bytes = whole.clone();
        Random(seed).damage(&mut bytes);
        renew(&place, &bytes);
        let outcome = catch_unwind(|| {
            let saved = Saved::open(&step)?;
            saved.read("generator", "")
        });
        match outcome {
            Ok(Ok(_)) => assert!(bytes == whole, "seed {seed} is not noticed"),
            Ok(Err(error)) => {
                refused += 1;
                let message = format!("{error:#}");
                assert!(message.contains("step_00000007"), "seed {seed}: {message}");
                assert_eq!(exit_code(&error), 4, "seed {seed}: {message}");
            }
            Err(_) => panic!("seed {seed} made the manifest's parser panic"),
        }
    }
    assert!(refused > CASES / 10, "only {refused} cases were refused");
}

/// Changes a manifest and gives it the sum that belongs to it, as somebody would who means harm.
fn forge(place: &Path, change: impl Fn(&mut checkpoint::Manifest)) {
    let mut manifest = serde_json::from_slice(&std::fs::read(place).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(place, manifest.text().unwrap()).unwrap();
}

#[test]
fn a_manifest_that_names_another_step_than_its_folder_is_refused() {
    let folder = folder();
    let step = checkpoint_in(folder.path());
    let place = step.join("manifest.json");
    forge(&place, |manifest| manifest.step = 5);
    let error = Saved::open(&step).expect_err("a run would go on from another step");
    assert_eq!(exit_code(&error), 4, "{error:#}");
    assert!(format!("{error:#}").contains("manifest.json"), "{error:#}");
}

#[test]
fn every_flipped_bit_of_a_manifest_falls_back_to_the_checkpoint_before() {
    let folder = folder();
    let step = checkpoint_in(folder.path());
    let older = folder.path().join("step_00000005");
    std::fs::create_dir(&older).unwrap();
    for name in ["manifest.json", "generator.safetensors"] {
        std::fs::copy(step.join(name), older.join(name)).unwrap();
    }
    forge(&older.join("manifest.json"), |manifest| manifest.step = 5);
    let place = step.join("manifest.json");
    let whole = std::fs::read(&place).unwrap();
    let newest = || checkpoint::newest(folder.path()).unwrap().unwrap();
    assert_eq!(newest().0.manifest.step, 7);
    for at in 0..whole.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 0x2a] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            renew(&place, &bytes);
            let (saved, warnings) = newest();
            let case = format!("byte {at} changed by {change}");
            assert_eq!((saved.manifest.step, warnings.len()), (5, 1), "{case}");
            assert!(
                warnings[0].contains("step_00000007"),
                "{case}: {warnings:?}"
            );
        }
    }
    // Alone, it is refused.
    std::fs::remove_dir_all(&older).unwrap();
    let error = checkpoint::newest(folder.path()).unwrap_err();
    assert_eq!(exit_code(&error), 4);
    // Earlier programs wrote no sum.
    let mut value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    value.as_object_mut().unwrap().remove("sum").unwrap();
    renew(&place, value.to_string().as_bytes());
    assert_eq!(newest().0.manifest.step, 7);
}

#[test]
fn a_manifest_never_leads_out_of_its_folder() {
    let folder = folder();
    std::fs::write(folder.path().join("secret"), "x").unwrap();
    let step = checkpoint_in(folder.path());
    let place = step.join("manifest.json");
    let mut whole: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&place).unwrap()).unwrap();
    whole.as_object_mut().unwrap().remove("sum").unwrap();
    let record = &whole["files"]["generator.safetensors"];
    for name in [
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "..\\secret",
        "..",
        ".",
        "",
    ] {
        let mut changed = whole.clone();
        changed["files"] = serde_json::json!({ name: record });
        std::fs::write(&place, changed.to_string()).unwrap();
        let error = Saved::open(&step).expect_err(name);
        assert_eq!(exit_code(&error), 4, "{name:?}: {error:#}");
        assert!(!format!("{error:#}").contains("sha256"), "{error:#}");
    }
    let mut newer = whole.clone();
    newer["format"] = 2.into();
    newer["colour"] = "blue".into();
    std::fs::write(&place, newer.to_string()).unwrap();
    let message = Saved::open(&step).unwrap_err().to_string();
    assert!(
        message.contains("format 2") && message.contains("newer version"),
        "{message}"
    );
}

/// Opening a named pipe waits for somebody who writes into it: nobody does.
#[cfg(unix)]
#[test]
fn nobody_waits_for_a_pipe() {
    let folder = folder();
    let step = checkpoint_in(folder.path());
    let make = |place: &Path| {
        let made = std::process::Command::new("mkfifo").arg(place).status();
        made.is_ok_and(|status| status.success())
    };
    let pipe = folder.path().join("pipe");
    if !make(&pipe) {
        return;
    }
    let error_of = |place: &Path| -> [(u8, anyhow::Error); 5] {
        let (into, limits) = (folder.path().join("into"), Default::default());
        [
            (4, weights::read(place).map(drop).unwrap_err()),
            (3, images::read(place).map(drop).unwrap_err()),
            (3, idx::read_idx(place, 3).map(drop).unwrap_err()),
            (
                3,
                gan_core::archive::extract(place, &into, &limits, &mut |_, _| ())
                    .map(drop)
                    .unwrap_err(),
            ),
            (4, Saved::open(&step).map(drop).unwrap_err()),
        ]
    };
    for name in ["generator.safetensors", "manifest.json"] {
        let place = step.join(name);
        let whole = std::fs::read(&place).unwrap();
        std::fs::remove_file(&place).unwrap();
        assert!(make(&place));
        for (code, error) in error_of(&pipe) {
            let said = format!("{error:#}");
            assert_eq!(exit_code(&error), code, "{said}");
            assert!(
                said.contains("a named pipe") || said.contains("not a regular file"),
                "{said}"
            );
        }
        std::fs::remove_file(&place).unwrap();
        std::fs::write(&place, whole).unwrap();
    }
    assert!(Saved::open(&step).is_ok());
}

/// Writes `bytes` as a weights file, insists that it is refused by name with exit code 4, and returns
/// what was said.
fn refused(folder: &Path, bytes: &[u8], what: &str) -> String {
    let place = folder.join("hostile.weights");
    std::fs::write(&place, bytes).unwrap();
    let outcome = catch_unwind(|| weights::read(&place));
    let Ok(outcome) = outcome else {
        panic!("{what}: the reader panicked")
    };
    let error = outcome.expect_err(what);
    let message = format!("{error:#}");
    assert!(message.contains("hostile.weights"), "{what}: {message}");
    assert_eq!(exit_code(&error), 4, "{what}: {message}");
    message
}

fn safetensors_of(header: &[u8], body: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header, body].concat()
}

#[test]
fn hostile_safetensors_are_refused() {
    let folder = folder();
    let good = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(weights::parse_safetensors(&safetensors_of(good, &[0; 8])).is_ok());
    let header = |text: &str, body: usize| safetensors_of(text.as_bytes(), &vec![0; body]);
    let with_length = |length: u64| [&length.to_le_bytes()[..], b"{\"a\":", &[0; 64]].concat();
    let cases = [
        ("a header of 2^63 bytes", with_length(1 << 63)),
        ("a header of 2^64 - 1 bytes", with_length(u64::MAX)),
        ("a header of 4 GB", with_length(4 << 30)),
        ("a header longer than the file", with_length(1000)),
        (
            "overlapping tensors",
            header(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
        ),
        (
            "a hole between tensors",
            header(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                12,
            ),
        ),
        (
            "a tensor that does not begin at 0",
            header(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                8,
            ),
        ),
        (
            "a type of number that nobody knows",
            header(
                r#"{"a":{"dtype":"F37","shape":[2],"data_offsets":[0,8]}}"#,
                8,
            ),
        ),
        (
            "a shape whose product overflows",
            header(
                r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,8]}}"#,
                8,
            ),
        ),
        (
            "a shape whose bytes overflow",
            header(
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}"#,
                0,
            ),
        ),
        (
            "a negative extent",
            header(
                r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
                8,
            ),
        ),
        (
            "offsets past the end",
            header(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                4,
            ),
        ),
        (
            "offsets that run backwards",
            header(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
                8,
            ),
        ),
        ("bytes after the last tensor", safetensors_of(good, &[0; 9])),
        (
            "a header that is not UTF-8",
            safetensors_of(b"{\"\xff\xfe\":{}}", b""),
        ),
        ("a header that is not JSON", header("{not json", 0)),
        ("a header that is a list", header("[1,2]", 0)),
        (
            "metadata that are numbers",
            header(r#"{"__metadata__":{"step":3}}"#, 0),
        ),
        (
            "deep nesting",
            header(&format!("{{\"a\":{}", "[".repeat(100_000)), 0),
        ),
        ("no bytes", Vec::new()),
        ("five bytes", vec![1; 5]),
        (
            "a page of HTML",
            b"<!DOCTYPE html><html>404</html>".to_vec(),
        ),
        (
            "a pointer to a large file",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
        ),
    ];
    for (what, bytes) in cases {
        refused(folder.path(), &bytes, what);
    }
    let nothing = folder.path().join("nothing.safetensors");
    let error = weights::read(&nothing).unwrap_err();
    assert_eq!(exit_code(&error), 4);
    assert!(error.to_string().contains("check the path"), "{error}");
    let error = weights::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
}

/// A zip file as `torch.save` writes it.
fn torch_zip(pickle: &[u8], storage: Option<&[u8]>, packed: bool) -> Vec<u8> {
    let method = if packed {
        zip::CompressionMethod::Deflated
    } else {
        zip::CompressionMethod::Stored
    };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry("data.pkl", pickle);
    entry("byteorder", b"little");
    if let Some(storage) = storage {
        entry("data/0", storage);
    }
    entry("version", b"3\n");
    zip.finish().unwrap().into_inner()
}

fn pickled_text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}

fn pickled_integer(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

fn pickled_tuple(values: &[i64]) -> Vec<u8> {
    let mut bytes = b"(".to_vec();
    for value in values {
        bytes.extend(pickled_integer(*value));
    }
    bytes.push(b't');
    bytes
}

/// The pickle of `{"w": tensor}` over a storage of `count` floats.
fn pickled_tensor(count: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    [
        b"\x80\x02}(".to_vec(),
        pickled_text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        pickled_text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        pickled_text("0"),
        pickled_text("cpu"),
        pickled_integer(count),
        b"tQ".to_vec(),
        pickled_integer(offset),
        pickled_tuple(shape),
        pickled_tuple(stride),
        b"\x89ccollections\nOrderedDict\n)RtRu.".to_vec(),
    ]
    .concat()
}

#[test]
fn hostile_state_dicts_are_refused() {
    let folder = folder();
    let good = torch_zip(
        &pickled_tensor(4, 0, &[2, 2], &[2, 1]),
        Some(&[0; 16]),
        false,
    );
    let place = folder.path().join("good.pth");
    std::fs::write(&place, &good).unwrap();
    let read = weights::read(&place).expect("the maker of these files makes good ones");
    assert_eq!(read.tensors["w"].shape, [2, 2]);

    let tensor = |offset, shape: &[i64], stride: &[i64]| {
        torch_zip(
            &pickled_tensor(4, offset, shape, stride),
            Some(&[0; 16]),
            false,
        )
    };
    let cases = [
        (
            "a view of 8 GB over 16 bytes",
            tensor(0, &[2_000_000_000], &[0]),
        ),
        (
            "a view of 80 MB over 16 bytes",
            tensor(0, &[20_000_000], &[0]),
        ),
        (
            "a shape whose product overflows",
            tensor(0, &[1 << 32, 1 << 32, 16], &[0, 0, 0]),
        ),
        (
            "a shape whose bytes overflow",
            tensor(0, &[i64::MAX / 2], &[0]),
        ),
        ("a negative extent", tensor(0, &[-2], &[1])),
        ("a negative stride", tensor(3, &[4], &[-1])),
        ("a stride past the end", tensor(0, &[2, 2], &[1_000_000, 1])),
        ("a stride that overflows", tensor(0, &[3], &[i64::MAX])),
        ("an offset past the end", tensor(1_000_000, &[2], &[1])),
        ("an offset that overflows", tensor(i64::MAX, &[2], &[1])),
        ("a negative offset", tensor(-1, &[2], &[1])),
        (
            "a storage that is missing",
            torch_zip(&pickled_tensor(4, 0, &[4], &[1]), None, false),
        ),
        (
            "a storage that is short",
            torch_zip(&pickled_tensor(4, 0, &[4], &[1]), Some(&[0; 12]), false),
        ),
        (
            "a storage of absurd length",
            torch_zip(
                &pickled_tensor(i64::MAX, 0, &[4], &[1]),
                Some(&[0; 8]),
                false,
            ),
        ),
        (
            "a dictionary without tensors",
            torch_zip(b"\x80\x02}.", None, false),
        ),
        ("a pickle that is empty", torch_zip(b"", None, false)),
        (
            "a pickle that only ends",
            torch_zip(b"\x80\x02.", None, false),
        ),
        (
            "a text of 4 GB in a small pickle",
            torch_zip(b"\x80\x02X\xff\xff\xff\xffab.", None, false),
        ),
        (
            "deep nesting",
            torch_zip(
                &[
                    &b"\x80\x02"[..],
                    &b"]".repeat(200_000),
                    &b"a".repeat(199_999),
                    b".",
                ]
                .concat(),
                None,
                true,
            ),
        ),
        (
            "deep nesting, not in a zip file",
            [
                &b"\x80\x02"[..],
                &b"]".repeat(200_000),
                &b"a".repeat(199_999),
                b".",
            ]
            .concat(),
        ),
        (
            "a pickle that unpacks to 150 MB",
            torch_zip(&vec![b'N'; 150 << 20], None, true),
        ),
        ("half a zip file", good[..good.len() / 2].to_vec()),
        ("only the start of a zip file", b"PK\x03\x04".to_vec()),
        ("only the start of a pickle", vec![0x80, 2]),
        (
            "a page of HTML",
            b"<!DOCTYPE html><html>404</html>".to_vec(),
        ),
    ];
    for (what, bytes) in cases {
        refused(folder.path(), &bytes, what);
    }
}

#[test]
fn a_pickle_never_runs_code() {
    let folder = folder();
    let mark = folder.path().join("PWNED");
    let call = [
        b"cposix\nsystem\n(".to_vec(),
        pickled_text(&format!("touch {}", mark.display())),
        b"tR".to_vec(),
    ]
    .concat();
    let at_root = [b"\x80\x02", &call[..], b"."].concat();
    let inside = [b"\x80\x02}(", &pickled_text("w")[..], &call[..], b"u."].concat();
    for (what, pickle) in [("at the root", at_root), ("inside a dictionary", inside)] {
        for bytes in [torch_zip(&pickle, Some(&[0; 16]), false), pickle] {
            refused(folder.path(), &bytes, what);
            assert!(!mark.exists(), "{what}: a stranger's command was run");
        }
    }
}
