//! Features of many pictures: decoded and resized by worker threads, through the network in batches, kept on
//! disk by content.

use crate::features::Features;
use crate::inception::{FeatureLayer, Inception, SIDE};
use crate::resize::{Resize, Resizer};
use crate::source::Source;
use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use gan_core::checkpoint::sha256;
use gan_core::console::Console;
use gan_core::failure::{Kind, at_path, failure};
use gan_core::weights::{self, HostTensor, Metadata, Tensors};
use gan_core::{device, published};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// The sha256 of the published weights that FID means.
pub const PUBLISHED_SHA256: &str =
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";

/// Pictures of which features are kept on disk together.
const CHUNK: usize = 128;
/// Features of larger sets are not kept: they would push each other out.
const MOST_KEPT: usize = 100_000;
/// More pictures at once only leave the caches: measured at 2, 4, 8 and 16.
const MOST_AT_ONCE: usize = 8;

/// The network, loaded, and where it computes.
#[derive(Debug, Clone)]
pub struct Extractor {
    network: Inception,
    device: Device,
    /// The weights' file.
    pub path: PathBuf,
    /// Its sha256.
    pub sha256: String,
    /// Pictures that go through the network at once.
    pub batch_size: usize,
    /// Threads that decode and resize.
    pub workers: usize,
    /// Where features are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
}

/// The sum of a picture that cannot be read.
const UNKNOWN: [u8; 32] = [0; 32];

/// What happens to a picture that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Every one is listed, and the work refused.
    Refuse,
    /// They are left out, and listed.
    Skip,
}

/// What was seen while pictures were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Pictures that went through the network.
    pub used: usize,
    /// Pictures that could not be read, with the reasons.
    pub unreadable: Vec<String>,
    /// Their numbers in the source, ascending.
    pub left_out: Vec<usize>,
    /// Pictures that had an alpha channel, which every reference tool drops.
    pub with_alpha: usize,
    /// Grey pictures of more than eight bits, of which Pillow keeps only values up to 255.
    pub clipped: usize,
    /// Width and height of the pictures.
    pub sizes: BTreeSet<(u32, u32)>,
    /// Pictures whose file equals an earlier one's.
    pub duplicates: usize,
    /// The sum over all files, in order: equal sums are equal sets.
    pub sha256: String,
}

impl Seen {
    /// The number in the source of the picture whose features are row `row`.
    pub fn source_index(&self, row: usize) -> usize {
        self.left_out
            .iter()
            .fold(row, |index, broken| index + usize::from(*broken <= index))
    }
}

/// One picture on its way to the network.
struct Prepared {
    values: Vec<f32>,
    size: (u32, u32),
    had_alpha: bool,
    clipped: bool,
}

impl Extractor {
    /// Loads the network: `weights` is a file, or `None` for the published one, found in our cache or
    /// torch.hub's, or downloaded and checked.
    ///
    /// # Errors
    /// [`Kind::Download`] with the address when the published file is not here and cannot be fetched;
    /// [`Kind::Checkpoint`] for a file of another network; [`Kind::Usage`] for an unknown device.
    pub fn open(weights: Option<&str>, device: &str, console: &Console) -> Result<Self> {
        let device = device::parse(device)?;
        let path = match weights {
            Some(file) if Path::new(file).is_file() => PathBuf::from(file),
            Some(file) if file != "inception" => {
                return Err(failure(
                    Kind::Usage,
                    format!(
                        "--weights {file}: there is no such file (leave it out for the published ones)"
                    ),
                ));
            }
            _ => published::file_or_name("eval", "inception", console)?,
        };
        let bytes = std::fs::read(&path)
            .map_err(|error| at_path(Kind::Checkpoint, "read", &path, &error))?;
        let sum = sha256(&bytes);
        drop(bytes);
        if weights.is_none() && sum != PUBLISHED_SHA256 {
            return Err(failure(
                Kind::Checkpoint,
                format!(
                    "{} has the sha256 {sum}, the published weights have {PUBLISHED_SHA256}: remove it, or \
                     name it with --weights to use another network on purpose",
                    path.display()
                ),
            ));
        }
        let file = weights::read(&path)?;
        let network = weights::apply(Inception::new(&device), &file.tensors).map_err(|error| {
            failure(
                Kind::Checkpoint,
                format!("{} is not the FID network: {error:#}", path.display()),
            )
        })?;
        Ok(Self {
            network,
            device,
            path,
            sha256: sum,
            batch_size: 32,
            workers: 2,
            cache: Some(published::cache().join("features")),
        })
    }

    /// Whether these are the weights that everybody means.
    pub fn is_published(&self) -> bool {
        self.sha256 == PUBLISHED_SHA256
    }

    /// Features of pictures that are prepared already.
    ///
    /// # Shapes
    /// - `pictures`: each `3 * 299 * 299` values, planar, in the network's range
    pub fn run(&self, pictures: &[Vec<f32>], layers: &[FeatureLayer]) -> Vec<Features> {
        let mut found: Vec<Features> = layers
            .iter()
            .map(|layer| Features::empty(layer.dims()))
            .collect();
        for some in pictures.chunks(self.batch_size.clamp(1, MOST_AT_ONCE)) {
            let values = some.concat();
            let shape = [some.len(), 3, SIDE, SIDE];
            let batch = Tensor::<4>::from_data(TensorData::new(values, shape), &self.device);
            let outputs = self.network.forward(batch, layers);
            for (all, output) in found.iter_mut().zip(outputs) {
                all.append(&Features::new(all.dims(), weights::values(output)));
            }
        }
        found
    }

    /// Features of pictures, handed to `take` in order, some at a time; `tell` hears how many are done.
    ///
    /// # Errors
    /// [`Kind::Data`] that lists every unreadable picture, unless they are to be skipped; what `take` says.
    pub fn features(
        &self,
        source: &Source,
        resize: Resize,
        layers: &[FeatureLayer],
        unreadable: Unreadable,
        tell: &mut dyn FnMut(usize),
        take: &mut dyn FnMut(&[Features]) -> Result<()>,
    ) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut known = BTreeSet::new();
        let mut sum = Sha256::new();
        for first in (0..source.len()).step_by(CHUNK) {
            let chunk = first..(first + CHUNK).min(source.len());
            let mut key = Sha256::new();
            for content in self.digests(source, chunk.clone()) {
                key.update(content);
                sum.update(content);
                if content != UNKNOWN && !known.insert(content) {
                    seen.duplicates += 1;
                }
            }
            let key = self.key(&hex(&key.finalize()), resize, layers);
            let keeps = source.len() <= MOST_KEPT;
            let kept = match self.kept(&key, layers).filter(|_| keeps) {
                Some(kept) => kept,
                None => {
                    let before = seen.unreadable.len();
                    let kept = self.chunk(
                        source,
                        chunk.clone(),
                        resize,
                        layers,
                        unreadable,
                        &mut seen,
                        tell,
                    );
                    if keeps && seen.unreadable.len() == before {
                        self.keep(&key, layers, &kept);
                    }
                    kept
                }
            };
            tell(chunk.end);
            if unreadable == Unreadable::Refuse && !seen.unreadable.is_empty() {
                continue;
            }
            seen.used += kept.features.first().map_or(0, Features::rows);
            seen.with_alpha += kept.with_alpha;
            seen.clipped += kept.clipped;
            seen.sizes.extend(kept.sizes);
            take(&kept.features)?;
        }
        seen.sha256 = hex(&sum.finalize());
        if unreadable == Unreadable::Refuse && !seen.unreadable.is_empty() {
            return Err(refusal(&seen.unreadable, source.len()));
        }
        Ok(seen)
    }

    /// Runs one chunk through the network. Once it is clear that the work is refused, its pictures are only
    /// decoded, for the list.
    #[expect(clippy::too_many_arguments, reason = "the loop body of `features`")]
    fn chunk(
        &self,
        source: &Source,
        chunk: Range<usize>,
        resize: Resize,
        layers: &[FeatureLayer],
        unreadable: Unreadable,
        seen: &mut Seen,
        tell: &mut dyn FnMut(usize),
    ) -> Kept {
        let mut kept = Kept {
            features: layers
                .iter()
                .map(|layer| Features::empty(layer.dims()))
                .collect(),
            with_alpha: 0,
            clipped: 0,
            sizes: BTreeSet::new(),
        };
        let mut done = chunk.start;
        self.prepared(source, chunk, resize, &mut |pictures| {
            let first = done;
            done += pictures.len();
            let mut ready = Vec::new();
            for (index, picture) in (first..).zip(pictures) {
                match picture {
                    Ok(prepared) => {
                        kept.with_alpha += usize::from(prepared.had_alpha);
                        kept.clipped += usize::from(prepared.clipped);
                        kept.sizes.insert(prepared.size);
                        ready.push(prepared.values);
                    }
                    Err(error) => {
                        seen.unreadable.push(format!("{error:#}"));
                        seen.left_out.push(index);
                    }
                }
            }
            if unreadable == Unreadable::Skip || seen.unreadable.is_empty() {
                for (all, more) in kept.features.iter_mut().zip(self.run(&ready, layers)) {
                    all.append(&more);
                }
            }
            tell(done);
        });
        kept
    }

    /// The sums of some pictures, computed by the workers; [`UNKNOWN`] for what cannot be read, which is told
    /// when it is decoded.
    fn digests(&self, source: &Source, chunk: Range<usize>) -> Vec<[u8; 32]> {
        let share = chunk.len().div_ceil(self.workers.max(1)).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = chunk
                .clone()
                .step_by(share)
                .map(|first| {
                    let some = first..(first + share).min(chunk.end);
                    let count = some.len();
                    let sums = move || -> Vec<[u8; 32]> {
                        some.map(|index| source.digest(index).unwrap_or(UNKNOWN))
                            .collect()
                    };
                    (count, scope.spawn(sums))
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|(count, worker)| worker.join().unwrap_or_else(|_| vec![UNKNOWN; count]))
                .collect()
        })
    }

    /// Decodes and resizes pictures ahead of the network, and hands them over in order, a batch at a time.
    fn prepared(
        &self,
        source: &Source,
        chunk: Range<usize>,
        resize: Resize,
        take: &mut dyn FnMut(Vec<Result<Prepared>>),
    ) {
        let size = self.batch_size.max(1);
        let workers = self.workers.max(1);
        let batches: Vec<Range<usize>> = chunk
            .clone()
            .step_by(size)
            .map(|first| first..(first + size).min(chunk.end))
            .collect();
        let batches = &batches;
        std::thread::scope(|scope| {
            let channels: Vec<_> = (0..workers)
                .map(|worker| {
                    // A batch under way for each worker: enough to hide decoding, small in memory.
                    let (sender, receiver) = mpsc::sync_channel(1);
                    scope.spawn(move || {
                        let mut resizer = Resizer::for_inception(resize);
                        for batch in batches.iter().skip(worker).step_by(workers) {
                            let pictures: Vec<_> = batch
                                .clone()
                                .map(|index| prepare(source, index, &mut resizer))
                                .collect();
                            if sender.send(pictures).is_err() {
                                break;
                            }
                        }
                    });
                    receiver
                })
                .collect();
            for (number, batch) in batches.iter().enumerate() {
                let pictures = channels[number % workers].recv();
                take(pictures.unwrap_or_else(|_| {
                    let lost = batch.clone();
                    lost.map(|index| Err(crashed(source, index))).collect()
                }));
            }
        });
    }

    /// The name under which a chunk's features are kept: everything that decides them is in it.
    fn key(&self, contents: &str, resize: Resize, layers: &[FeatureLayer]) -> String {
        let names: Vec<&str> = layers.iter().map(|layer| layer.name()).collect();
        let text = format!(
            "features 1\n{contents}\n{resize:?}\n{}\n{}\n{:?}",
            names.join(","),
            self.sha256,
            self.device
        );
        sha256(text.as_bytes())
    }

    fn place(&self, key: &str) -> Option<PathBuf> {
        let cache = self.cache.as_ref()?;
        Some(cache.join(format!("{key}.safetensors")))
    }

    fn kept(&self, key: &str, layers: &[FeatureLayer]) -> Option<Kept> {
        let place = self.place(key).filter(|place| place.is_file())?;
        let bytes = std::fs::read(&place).ok()?;
        // A damaged file is no more than a missing one.
        let file = weights::parse_safetensors(&bytes).ok()?;
        let sizes = file.metadata.get("sizes")?;
        let count = |key: &str| file.metadata.get(key)?.parse().ok();
        let (with_alpha, clipped) = (count("with_alpha")?, count("clipped")?);
        if file.metadata.get("sum")? != &content_sum(&file.tensors) {
            return None;
        }
        let features = layers
            .iter()
            .map(|layer| {
                let tensor = file.tensors.get(layer.name())?;
                let is_right = tensor.shape.get(1) == Some(&layer.dims());
                is_right.then(|| Features::new(layer.dims(), tensor.values.clone()))
            })
            .collect::<Option<Vec<_>>>()?;
        let sizes = sizes
            .split_whitespace()
            .map(|size| {
                let (width, height) = size.split_once('x')?;
                Some((width.parse().ok()?, height.parse().ok()?))
            })
            .collect::<Option<_>>()?;
        Some(Kept {
            features,
            with_alpha,
            clipped,
            sizes,
        })
    }

    /// Keeps a chunk's features; a cache that cannot be written costs only time.
    fn keep(&self, key: &str, layers: &[FeatureLayer], kept: &Kept) {
        let Some(place) = self.place(key) else {
            return;
        };
        let tensors: Tensors = layers
            .iter()
            .zip(&kept.features)
            .map(|(layer, features)| {
                let tensor = HostTensor {
                    shape: vec![features.rows(), features.dims()],
                    values: features.values().to_vec(),
                };
                (layer.name().to_owned(), tensor)
            })
            .collect();
        let sizes: Vec<String> = kept
            .sizes
            .iter()
            .map(|(width, height)| format!("{width}x{height}"))
            .collect();
        let metadata = Metadata::from([
            ("sizes".to_owned(), sizes.join(" ")),
            ("with_alpha".to_owned(), kept.with_alpha.to_string()),
            ("clipped".to_owned(), kept.clipped.to_string()),
            ("sum".to_owned(), content_sum(&tensors)),
        ]);
        if let Some(folder) = place.parent()
            && std::fs::create_dir_all(folder).is_ok()
        {
            let _ = weights::write(&place, &tensors, &metadata);
            sweep(folder);
        }
    }
}

/// Features of a chunk with what was seen of it.
struct Kept {
    features: Vec<Features>,
    with_alpha: usize,
    clipped: usize,
    sizes: BTreeSet<(u32, u32)>,
}

/// Removes the oldest files of the cache beyond its size.
fn sweep(folder: &Path) {
    const MOST_BYTES: u64 = 4 << 30;
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), entry.path()))
        })
        .collect();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    if bytes <= MOST_BYTES {
        return;
    }
    files.sort();
    for (_, length, path) in files {
        if bytes <= MOST_BYTES {
            break;
        }
        if std::fs::remove_file(&path).is_ok() {
            bytes -= length;
        }
    }
}

fn content_sum(tensors: &Tensors) -> String {
    sha256(&weights::to_safetensors(tensors, &Metadata::new()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The refusal of pictures that cannot be read, with a list of them.
pub fn refusal(unreadable: &[String], all: usize) -> anyhow::Error {
    const SHOWN: usize = 20;
    let mut list = unreadable[..unreadable.len().min(SHOWN)].to_vec();
    if unreadable.len() > SHOWN {
        list.push(format!("and {} more", unreadable.len() - SHOWN));
    }
    failure(
        Kind::Data,
        format!(
            "{} of {all} pictures cannot be read (--skip-broken leaves them out):\n  {}",
            unreadable.len(),
            list.join("\n  ")
        ),
    )
}

fn crashed(source: &Source, index: usize) -> anyhow::Error {
    failure(
        Kind::Data,
        format!("{}: its decoder ended unexpectedly", source.name(index)),
    )
}

fn prepare(source: &Source, index: usize, resizer: &mut Resizer) -> Result<Prepared> {
    let picture = source.picture(index)?;
    Ok(Prepared {
        size: (picture.width as u32, picture.height as u32),
        had_alpha: picture.had_alpha,
        clipped: picture.clipped,
        values: resizer.planar(&picture),
    })
}
