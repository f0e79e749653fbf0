//! The program as a user meets it: its numbers against the reference tools' (tests/fixtures/metrics.py), its
//! messages, its exit codes.

#[path = "../../metrics/tests/network/mod.rs"]
mod network;

use gan_core::weights;
use network::fixtures;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Relative. The tools' own roots of rank-deficient products are 1e-6 off, and their networks sum in another
/// order.
const TOLERANCE: f64 = 1e-5;

/// A weights file of the hash-made network, which lives as long as the tests.
fn weights_file() -> &'static Path {
    static ONE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ONE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.safetensors");
        weights::write(&path, &network::tensors(), &Default::default()).unwrap();
        (folder, path)
    });
    path
}

fn real() -> String {
    fixtures().join("metrics/real").display().to_string()
}

fn fake() -> String {
    fixtures().join("metrics/fake").display().to_string()
}

/// Runs the program in a folder of its own, with a cache of its own.
fn eval(arguments: &[&str]) -> Output {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let place = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_eval"))
        .args(arguments)
        .current_dir(place.path())
        .env("GAN_CACHE", cache.path())
        .env("TORCH_HOME", cache.path().join("torch"))
        .env("HOME", cache.path())
        .output()
        .unwrap()
}

/// Runs a measure with the hash-made network and gives its JSON.
fn measured(arguments: &[&str]) -> Value {
    let weights = weights_file().display().to_string();
    let mut all = arguments.to_vec();
    all.extend(["--weights", &weights, "--json"]);
    let output = eval(&all);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{arguments:?}: {error}: {}",
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

fn reference(name: &str) -> f64 {
    let text = std::fs::read_to_string(fixtures().join("metrics.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all[name].as_f64().unwrap_or_else(|| panic!("no {name}"))
}

#[track_caller]
fn assert_near(what: &str, ours: &Value, theirs: f64, tolerance: f64) {
    let ours = ours.as_f64().unwrap_or_else(|| panic!("{what}: {ours}"));
    let away = (ours - theirs).abs() / theirs.abs();
    assert!(
        away <= tolerance,
        "{what}: {ours} instead of {theirs}, {away:.1e} away"
    );
}

#[test]
fn fid_is_that_of_every_tool_and_layer() {
    let (real, fake) = (real(), fake());
    let of = |arguments: &[&str]| {
        let mut all = vec!["fid", "--real", &real, "--fake", &fake];
        all.extend(arguments);
        measured(&all)["frechet_inception_distance"].clone()
    };
    for dims in ["64", "192", "768", "2048"] {
        let theirs = reference(&format!("pytorch-fid.fid.{dims}"));
        assert_near(dims, &of(&["--dims", dims]), theirs, TOLERANCE);
    }
    for dims in ["64", "192", "768"] {
        let ours = of(&["--compat", "torch-fidelity", "--dims", dims]);
        let theirs = reference(&format!("torch-fidelity.fid.{dims}"));
        assert_near(dims, &ours, theirs, TOLERANCE);
    }
    for (compat, name) in [
        (
            "torch-fidelity",
            "torch-fidelity.frechet_inception_distance",
        ),
        ("clean", "clean-fid.fid"),
        ("clean-legacy-pytorch", "clean-fid.legacy_pytorch"),
        ("torchmetrics", "torchmetrics.fid"),
        ("torchmetrics-plain", "torchmetrics.plain.fid"),
    ] {
        assert_near(
            compat,
            &of(&["--compat", compat]),
            reference(name),
            TOLERANCE,
        );
    }
}

#[test]
fn scores_are_those_of_torch_fidelity_and_clean_fid() {
    let (real, fake) = (real(), fake());
    let found = measured(&["is", "--fake", &fake]);
    let theirs = |name: &str| reference(&format!("torch-fidelity.{name}"));
    let mean = theirs("inception_score_mean");
    assert_near("IS", &found["inception_score_mean"], mean, TOLERANCE);
    // Of two pictures a split, the deviation shows the network's own rounding.
    let deviation = theirs("inception_score_std");
    assert_near("IS", &found["inception_score_std"], deviation, 3e-5);
    let found = measured(&["is", "--fake", &fake, "--no-shuffle"]);
    assert_near(
        "IS",
        &found["inception_score_mean"],
        theirs("unshuffled"),
        TOLERANCE,
    );

    let subsets = ["--subsets", "20", "--subset-size", "12"];
    let mut arguments = vec!["kid", "--real", &real, "--fake", &fake];
    arguments.extend(subsets);
    let found = measured(&arguments);
    for key in [
        "kernel_inception_distance_mean",
        "kernel_inception_distance_std",
    ] {
        // Kernels near 3 that cancel: the tool itself, its network in float32, is 1.3e-5 from its own in float64.
        assert_near(key, &found[key], theirs(key), 3e-5);
    }
    arguments.extend(["--compat", "clean"]);
    let found = measured(&arguments);
    let ours = &found["kernel_inception_distance_mean"];
    // A difference of large kernels that nearly cancel: 2e-4 of values near 3.
    assert_near("clean KID", ours, reference("clean-fid.kid"), 1e-2);

    let found = measured(&["prdc", "--real", &real, "--fake", &fake]);
    for key in ["precision", "recall", "f_score"] {
        assert_near(key, &found[key], theirs(key), 1e-6);
    }
}

#[test]
fn a_set_is_at_distance_zero_from_itself() {
    let real = real();
    let found = measured(&["fid", "--real", &real, "--fake", &real]);
    assert_eq!(found["frechet_inception_distance"], 0.0);
}

#[test]
fn statistics_travel_and_say_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let (real, fake) = (real(), fake());
    let npz = |name: &str| folder.path().join(name).display().to_string();
    let of = |statistics: &str, arguments: &[&str]| {
        let mut all = vec!["fid", "--real", statistics, "--fake", &fake];
        all.extend(arguments);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        measured(&arguments)
    };
    let whole = npz("whole.npz");
    measured(&["stats", "save", &real, "-o", &whole, "--dims", "64"]);
    let found = run(of(&whole, &["--dims", "64"]));
    assert_near(
        "from a file",
        &found["frechet_inception_distance"],
        reference("pytorch-fid.fid.64"),
        // The way over the covariances of 19 and 22 pictures in 64 dimensions keeps fewer digits.
        1e-4,
    );
    // Two halves, computed apart, are the whole.
    let mut files: Vec<PathBuf> = std::fs::read_dir(&real)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut shards = Vec::new();
    for (number, some) in files.chunks(11).enumerate() {
        let place = folder.path().join(format!("part{number}"));
        std::fs::create_dir(&place).unwrap();
        for file in some {
            std::fs::copy(file, place.join(file.file_name().unwrap())).unwrap();
        }
        let shard = npz(&format!("shard{number}.npz"));
        let place = place.display().to_string();
        measured(&["stats", "save", &place, "-o", &shard, "--dims", "64"]);
        shards.push(shard);
    }
    let merged = npz("merged.npz");
    let output = eval(&["stats", "merge", &shards[0], &shards[1], "-o", &merged]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let of_merged = run(of(&merged, &["--dims", "64"]));
    let theirs = found["frechet_inception_distance"].as_f64().unwrap();
    assert_near(
        "merged",
        &of_merged["frechet_inception_distance"],
        theirs,
        1e-9,
    );
    // Other rules, another layer: refused by name.
    let weights = weights_file().display().to_string();
    for (more, expected) in [
        (
            vec!["--dims", "64", "--compat", "clean"],
            "rules: pytorch-fid",
        ),
        (vec!["--dims", "192"], "statistics of 64 features"),
    ] {
        let mut arguments = of(&whole, &more);
        arguments.extend(["--weights".to_owned(), weights.clone()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = eval(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let output = eval(&["stats", "show", &merged]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("22 pictures") && text.contains("pytorch-fid"),
        "{text}"
    );
}

#[test]
fn pairs_are_found_by_name_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let place = folder.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        place
    };
    let (first, second) = (place("first"), place("second"));
    for seed in 0..3u32 {
        let picture = |shift: u32| {
            image::RgbImage::from_fn(40, 33, |x, y| {
                image::Rgb(
                    [0, 1, 2].map(|c| ((x * (3 + c) + y * 5 + seed * 17) % 200 + shift) as u8),
                )
            })
        };
        picture(0).save(first.join(format!("{seed}.png"))).unwrap();
        picture(4).save(second.join(format!("{seed}.bmp"))).unwrap();
    }
    let (first, second) = (first.display().to_string(), second.display().to_string());
    let run = |verb: &str, fake: &str| -> Value {
        let output = eval(&[verb, "--real", &first, "--fake", fake, "--json"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // A difference of 4 everywhere: 20 log10(255 / 4).
    let psnr = run("psnr", &second);
    for key in ["psnr", "psnr_of_all_pixels"] {
        assert_near(key, &psnr[key], 20.0 * (255.0_f64 / 4.0).log10(), 1e-12);
    }
    assert_eq!(run("psnr", &first)["psnr"], "inf");
    assert_eq!(run("ssim", &first)["ssim"], 1.0);
    let ssim = run("ssim", &second)["ssim"].as_f64().unwrap();
    assert!((0.9..0.9999).contains(&ssim), "{ssim}");
    // Too small for five scales; one side without a partner.
    let output = eval(&["ms-ssim", "--real", &first, "--fake", &second]);
    assert_eq!(output.status.code(), Some(3));
    std::fs::remove_file(Path::new(&second).join("1.bmp")).unwrap();
    let output = eval(&["psnr", "--real", &first, "--fake", &second]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(
        error.contains("1.png") && error.contains("no partner"),
        "{error}"
    );
}

#[test]
fn what_is_missing_is_said_with_the_way_to_it() {
    let (real, fake) = (real(), fake());
    let empty = tempfile::tempdir().unwrap();
    let nothing = empty.path().display().to_string();
    let sheets = tempfile::tempdir().unwrap();
    let sheet = image::RgbImage::new(8, 8);
    sheet.save(sheets.path().join("step_00000500.png")).unwrap();
    let sheets = sheets.path().display().to_string();
    let weights = weights_file().display().to_string();
    let network = ["--weights", weights.as_str()];
    let cases: [(&[&str], i32, &str); 11] = [
        (
            &["divergence", "--real", &real, "--fake", &fake],
            2,
            "--weights means nothing",
        ),
        (
            &[
                "kid",
                "--real",
                &real,
                "--fake",
                &fake,
                "--subsets",
                "99999999999",
            ],
            2,
            "1 to 100000",
        ),
        (
            &[
                "divergence",
                "--of",
                "labels",
                "--real",
                &real,
                "--fake",
                &fake,
                "--bins",
                "1",
            ],
            2,
            "--bins",
        ),
        (&["fid"], 2, "there is no run under runs"),
        (
            &["fid", "--real", &real, "--fake", "no-such"],
            3,
            "no-such does not exist",
        ),
        (&["fid", "--real", &real, "--fake", &nothing], 3, &nothing),
        (
            &["fid", "--real", &real, "--fake", &sheets],
            2,
            "is a sheet of many samples",
        ),
        (
            &["fid", "--real", &real, "--fake", &fake, "--compat", "best"],
            2,
            "pytorch-fid",
        ),
        (
            &[
                "fid", "--real", &real, "--fake", &fake, "--device", "cuda:7",
            ],
            2,
            "cuda",
        ),
        (&["is", "--fake", &fake, "--splits", "30"], 3, "splits"),
        (&["stats", "show", "no.npz"], 3, "no.npz"),
    ];
    for (arguments, code, expected) in cases {
        let mut all = arguments.to_vec();
        if arguments[0] != "stats" {
            all.extend(network);
        }
        let output = eval(&all);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

/// Numbers of rows and of files differ once a file is left out; pairs must be of the right ones.
#[test]
fn neighbours_are_named_although_pictures_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let place = folder.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        place
    };
    let (real, fake) = (place("real"), place("fake"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures().join("metrics/real"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for (number, file) in files.iter().take(8).enumerate() {
        let ending = file.extension().unwrap().to_str().unwrap();
        std::fs::copy(file, real.join(format!("{number}.{ending}"))).unwrap();
        if number % 2 == 1 {
            std::fs::copy(file, fake.join(format!("copy{number}.{ending}"))).unwrap();
        }
    }
    std::fs::write(real.join("0bad.png"), "bad").unwrap();
    std::fs::write(fake.join("copy0.png"), "bad").unwrap();
    let (real, fake) = (real.display().to_string(), fake.display().to_string());
    let run = |more: &[&str]| {
        let mut all = vec!["nn", "--real", &real, "--fake", &fake, "--json"];
        all.extend(more);
        eval(&all)
    };
    let refused = run(&[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{error}");
    assert!(
        error.contains("0bad.png") && error.contains("--skip-broken"),
        "{error}"
    );
    let weights = weights_file().display().to_string();
    let network = [
        "--skip-broken",
        "--space",
        "inception",
        "--weights",
        &weights,
    ];
    for more in [&["--skip-broken"][..], &network] {
        let output = run(more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let pairs = found["nearest"].as_array().unwrap();
        assert_eq!(pairs.len(), 4);
        for pair in pairs {
            let name = |key: &str| {
                let path = Path::new(pair[key].as_str().unwrap());
                path.file_stem().unwrap().to_string_lossy().into_owned()
            };
            assert_eq!(name("sample"), format!("copy{}", name("nearest")), "{pair}");
            assert_eq!(pair["distance"], 0.0, "{pair}");
        }
    }
}

/// Nothing stands in for the network: without its file the program says where it is, and fails.
#[test]
fn without_weights_there_is_no_number() {
    let output = Command::new(env!("CARGO_BIN_EXE_eval"))
        .args(["fid", "--real", &real(), "--fake", &fake()])
        .env("GAN_CACHE", tempfile::tempdir().unwrap().path())
        .env("TORCH_HOME", "/nowhere")
        .env("HOME", "/nowhere")
        // Nobody listens there: a download fails at once, with and without a network.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{error}");
    assert!(
        error.contains("pt_inception-2015-12-05-6726825d.pth"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_comparison_is_one_page_with_every_number() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html").display().to_string();
    let (real, fake) = (real(), fake());
    let found = measured(&[
        "compare", "--real", &real, "--fake", &fake, &real, "-o", &page,
    ]);
    let rows = found["results"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let theirs = reference("pytorch-fid.fid.2048");
    assert_near(
        "FID",
        &rows[0]["frechet_inception_distance"],
        theirs,
        TOLERANCE,
    );
    assert_eq!(rows[1]["frechet_inception_distance"], 0.0);
    assert_eq!(rows[1]["precision"], 1.0);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("78.573") && html.matches("data:image/png").count() == 3);
    assert!(
        !html.contains("http://") && !html.contains("src=\"/"),
        "the page needs no server"
    );
}

#[test]
fn shapes_are_compared_with_a_part_that_is_kept_out() {
    use gan_core::contract::{fail, succeed};
    use shapes::voxels::Voxels;
    const BINARY: &str = env!("CARGO_BIN_EXE_eval");
    let folder = tempfile::tempdir().unwrap();
    let write = |place: &str, count: usize, from: usize| {
        let place = folder.path().join(place);
        std::fs::create_dir_all(&place).unwrap();
        for number in 0..count {
            let low = from + number;
            let shape = Voxels::from_fn([16; 3], |at| {
                at.iter().all(|at| (low..low + 3).contains(at))
            });
            shapes::volumetric::write(&shape, &place.join(format!("{number}.mat"))).unwrap();
        }
    };
    write("real/chair/train", 6, 1);
    write("real/chair/test", 6, 5);
    write("same", 6, 5);
    write("one", 6, 5);
    for number in 1..6 {
        let place = |number: usize| folder.path().join(format!("one/{number}.mat"));
        std::fs::copy(place(0), place(number)).unwrap();
    }
    let text = |place: &str| folder.path().join(place).display().to_string();
    let (real, same, one) = (text("real"), text("same"), text("one"));
    let measured = |fake: &str| -> serde_json::Value {
        let said = succeed(
            BINARY,
            &["voxels", "--real", &real, "--fake", fake, "--json"],
        );
        let line = said.lines().find(|line| line.starts_with('{')).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let found = measured(&same);
    assert_eq!(
        (&found["shapes"], &found["resolution"]),
        (&6.into(), &16.into())
    );
    for distance in ["iou", "chamfer"] {
        assert_eq!(found["generated"][distance]["coverage"], 1.0);
        assert_eq!(
            found["generated"][distance]["minimum_matching_distance"],
            0.0
        );
        assert!(found["training"][distance]["coverage"].as_f64().unwrap() < 1.0);
    }
    // One shape for all: a sixth is found, and nothing differs.
    let found = measured(&one);
    assert_eq!(found["generated"]["iou"]["coverage"], 1.0 / 6.0);
    assert_eq!(found["generated"]["iou"]["mean_pairwise_distance"], 0.0);
    let said = succeed(
        BINARY,
        &["voxels", "--real", &real, "--fake", &same, "--num", "4"],
    );
    assert!(
        said.contains("coverage, Chamfer") && said.contains("4 shapes of each set"),
        "{said}"
    );
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let said = fail(
        BINARY,
        &["voxels", "--real", &real, "--fake", &text("empty")],
        3,
    );
    assert!(said.contains("there are no shapes under"), "{said}");
    let said = fail(
        BINARY,
        &[
            "voxels", "--real", &real, "--fake", &same, "--class", "sofa",
        ],
        3,
    );
    assert!(said.contains("has no class sofa"), "{said}");
}
