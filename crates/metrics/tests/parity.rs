//! The network and the way to it against the reference tools (tests/fixtures/metrics.py).

mod network;

use gan_core::weights::{self, Tensors};
use metrics::compat::Compat;
use metrics::extractor::{Extractor, Unreadable};
use metrics::features::Features;
use metrics::inception::FeatureLayer;
use metrics::source::Source;
use network::fixtures;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Absolute; the features' mean is 0.4. Sums of up to 3,456 products in another order differ by 1e-5.
const FEATURE_TOLERANCE: f32 = 2e-4;

/// The extractor with the hash-made network, its weights in a file as a user's are.
fn extractor() -> &'static Extractor {
    static ONE: OnceLock<(Extractor, tempfile::TempDir)> = OnceLock::new();
    let (extractor, _) = ONE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.safetensors");
        weights::write(&path, &network::tensors(), &Default::default()).unwrap();
        let console = gan_core::console::Console::new(gan_core::console::Voice::Quiet);
        let mut extractor =
            Extractor::open(Some(&path.display().to_string()), "cpu", &console).unwrap();
        extractor.cache = None;
        (extractor, folder)
    });
    extractor
}

fn pictures(kind: &str) -> Vec<PathBuf> {
    let folder = fixtures().join("metrics").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn features(
    extractor: &Extractor,
    files: Vec<PathBuf>,
    compat: Compat,
    layers: &[FeatureLayer],
) -> Vec<Features> {
    let mut all: Vec<Features> = layers
        .iter()
        .map(|layer| Features::empty(layer.dims()))
        .collect();
    extractor
        .features(
            &Source::Files(files),
            compat.resize(),
            layers,
            Unreadable::Refuse,
            &mut |_| {},
            &mut |some| {
                all.iter_mut()
                    .zip(some)
                    .for_each(|(all, more)| all.append(more));
                Ok(())
            },
        )
        .unwrap();
    all
}

fn reference() -> Tensors {
    weights::read(&fixtures().join("metrics_features.safetensors"))
        .unwrap()
        .tensors
}

#[track_caller]
fn assert_near(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let furthest = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| (ours - theirs).abs())
        .fold(0.0, f32::max);
    assert!(furthest <= tolerance, "{what} is {furthest:.1e} away");
}

#[test]
fn features_are_those_of_every_tool() {
    use FeatureLayer::{D64, D192, D768, D2048, Logits};
    let reference = reference();
    let some = || pictures("real")[..4].to_vec();
    for (compat, layers, name) in [
        (
            Compat::PytorchFid,
            &[D64, D192, D768, D2048][..],
            "pytorch-fid",
        ),
        (Compat::TorchFidelity, &[D2048, Logits], "torch-fidelity"),
        (Compat::Clean, &[D2048], "clean-fid"),
        (Compat::Torchmetrics, &[D2048], "torchmetrics"),
        (Compat::TorchmetricsPlain, &[D2048], "torchmetrics.plain"),
    ] {
        let ours = features(extractor(), some(), compat, layers);
        for (layer, ours) in layers.iter().zip(&ours) {
            let what = format!("{name}.{}", layer.name());
            // Logits are sums of 2,048 features with weights of up to 0.2.
            let tolerance = if *layer == Logits {
                2e-3
            } else {
                FEATURE_TOLERANCE
            };
            assert_near(&what, ours.values(), &reference[&what].values, tolerance);
        }
    }
}

#[test]
fn a_tools_resize_is_not_anothers() {
    let reference = reference();
    let one = vec![pictures("real")[0].clone()];
    let ours = features(extractor(), one, Compat::Clean, &[FeatureLayer::D2048]);
    for other in ["pytorch-fid", "torch-fidelity", "torchmetrics"] {
        let theirs = &reference[&format!("{other}.2048")].values[..2048];
        let furthest = ours[0]
            .row(0)
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| (ours - theirs).abs())
            .fold(0.0, f32::max);
        assert!(furthest > 10.0 * FEATURE_TOLERANCE, "{other}: {furthest}");
    }
}

/// The published file is a state dict from before PyTorch 1.6, with a counter beside each normalisation.
#[test]
fn the_layout_of_the_published_file_is_read() {
    let path = fixtures().join("dcgan_legacy.pth");
    let file = weights::read(&path).expect("a legacy state dict");
    assert!(!file.tensors.is_empty());
    let other = Extractor::open(
        Some(&path.display().to_string()),
        "cpu",
        &gan_core::console::Console::new(gan_core::console::Voice::Quiet),
    );
    let error = format!("{:#}", other.unwrap_err());
    assert!(error.contains("is not the FID network"), "{error}");
}

#[test]
fn the_result_depends_on_neither_batches_nor_workers_nor_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [FeatureLayer::D2048];
    let run = |batch_size: usize, workers: usize, cache: Option<&Path>| {
        let mut extractor = extractor().clone();
        extractor.cache = cache.map(Path::to_owned);
        extractor.batch_size = batch_size;
        extractor.workers = workers;
        features(
            &extractor,
            pictures("real")[..9].to_vec(),
            Compat::Clean,
            &layers,
        )
    };
    let one = run(32, 1, None);
    assert!(one == run(2, 3, None), "batches and workers");
    assert!(one == run(5, 2, Some(folder.path())), "filling the cache");
    let kept: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(kept.len(), 1, "one chunk is kept");
    assert!(one == run(32, 1, Some(folder.path())), "from the cache");
    // A damaged file of the cache is no more than a missing one.
    let mut bytes = std::fs::read(kept[0].path()).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(kept[0].path(), bytes).unwrap();
    assert!(
        one == run(32, 1, Some(folder.path())),
        "from a damaged cache"
    );
}

#[test]
fn unreadable_pictures_are_all_listed_and_refused_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("real")[..3].to_vec();
    for name in ["a.png", "b.jpg"] {
        let place = folder.path().join(name);
        std::fs::write(&place, b"<html>").unwrap();
        files.insert(1, place);
    }
    let run = |unreadable| {
        let mut rows = 0;
        let seen = extractor().features(
            &Source::Files(files.clone()),
            Compat::PytorchFid.resize(),
            &[FeatureLayer::D64],
            unreadable,
            &mut |_| {},
            &mut |some| {
                rows += some[0].rows();
                Ok(())
            },
        );
        (seen, rows)
    };
    let (refused, _) = run(Unreadable::Refuse);
    let error = format!("{:#}", refused.unwrap_err());
    assert!(
        error.contains("2 of 5") && error.contains("a.png") && error.contains("b.jpg"),
        "{error}"
    );
    let (seen, rows) = run(Unreadable::Skip);
    let seen = seen.unwrap();
    assert_eq!((seen.used, seen.unreadable.len(), rows), (3, 2, 3));
    let rows = [0, 1, 2].map(|row| seen.source_index(row));
    assert_eq!(rows, [0, 3, 4], "two files stand behind the first");
}
