//! The training doctor on runs that are broken on purpose, and sweeps, with the binary.

use gan_core::contract::{fail, succeed};
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_vanilla");

const SMALL: [&str; 16] = [
    "--generator-hidden",
    "32",
    "--discriminator-hidden",
    "32",
    "--batch-size",
    "32",
    "--steps",
    "900",
    "--log-every",
    "5",
    "--sample-every",
    "900",
    "--save-every",
    "900",
    "--decay-start",
    "1",
];

/// What `diagnose --json` finds in a run of a preset with these flags: the diseases, and what training itself said.
fn diseases(out: &Path, name: &str, preset: &str, flags: &[&str]) -> (Vec<String>, String) {
    let place = out.to_str().unwrap();
    let mut command = vec!["train", "--preset", preset, "--name", name, "--out", place];
    command.extend(SMALL);
    command.extend(flags);
    let said = succeed(BINARY, &command);
    let json = succeed(BINARY, &["diagnose", name, "--out", place, "--json"]);
    let stages: serde_json::Value = serde_json::from_str(&json).unwrap();
    let findings = stages[0]["findings"].as_array().unwrap();
    let names = findings.iter().map(|finding| {
        assert!(!finding["reason"].as_str().unwrap().is_empty());
        finding["disease"].as_str().unwrap().to_owned()
    });
    (names.collect(), said)
}

#[test]
fn runs_that_are_broken_on_purpose_are_diagnosed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let cases: [(&str, &[&str], &[&str]); 5] = [
        (
            "wins",
            &["--lr-g", "1e-9", "--lr-d", "1e-3"],
            &["discriminator-wins"],
        ),
        (
            "vanishing",
            &["--loss", "saturating", "--lr-g", "1e-9", "--lr-d", "1e-2"],
            &["vanishing-gradients", "discriminator-wins"],
        ),
        (
            "exploding",
            &["--loss", "wasserstein", "--lr-d", "0.1", "--lr-g", "1e-4"],
            &["exploding-gradients"],
        ),
        (
            "blind",
            &["--lr-d", "1e-9", "--lr-g", "1e-2"],
            &["mode-collapse", "discriminator-blind"],
        ),
        (
            "saturated",
            &["--lr-d", "1e-9", "--lr-g", "0.3"],
            &["saturation"],
        ),
    ];
    for (name, flags, expected) in cases {
        let (found, said) = diseases(out, name, "quick", flags);
        for disease in expected {
            assert!(
                found.iter().any(|found| found == disease),
                "{name}: {found:?}"
            );
        }
        assert!(
            said.contains("health: ") && said.contains("try --"),
            "{name}: {said}"
        );
        let report = std::fs::read_to_string(out.join(format!("vanilla/{name}/report.html")));
        assert!(report.unwrap().contains("Health of stage gan"));
    }
    let (found, said) = diseases(out, "healthy", "ring", &[]);
    assert!(found.is_empty(), "{found:?}");
    assert!(said.contains("health: nothing lasting is wrong"), "{said}");
    let text = succeed(
        BINARY,
        &["diagnose", out.join("vanilla/wins").to_str().unwrap()],
    );
    assert!(
        text.contains("stage gan: the discriminator wins (accuracy 1.00"),
        "{text}"
    );
    let error = fail(
        BINARY,
        &["diagnose", "nothing", "--out", out.to_str().unwrap()],
        2,
    );
    assert!(error.contains("there is no run nothing"), "{error}");
}

#[test]
fn a_sweep_makes_a_table_goes_on_where_it_was_and_refuses_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let sweep = |more: &[&'static str]| {
        let mut command = vec!["sweep", "--preset", "ring", "--out", out, "--seeds", "0-1"];
        command.extend([
            "--rows",
            "plain,hinge",
            "--sample-every",
            "20",
            "--log-every",
            "10",
        ]);
        command.extend(more);
        command
    };
    let text = succeed(BINARY, &sweep(&["--steps", "40"]));
    let place = folder.path().join("vanilla-sweeps/sweep");
    let table = std::fs::read_to_string(place.join("table.md")).unwrap();
    assert!(text.contains(&table));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(
        lines[0].starts_with("| technique | keys | modes | high quality | JS to uniform | seeds")
    );
    assert!(lines[3].starts_with("| hinge | `loss = \"hinge\"` |") && lines[3].contains(" ± "));
    let page = std::fs::read_to_string(place.join("sweep.html")).unwrap();
    assert!(
        page.matches("data:image/png").count() >= 2 * (2 + 3),
        "samples and curves"
    );
    assert!(page.contains("hinge loss"));
    // Each training is a run like any other.
    let run = place.join("vanilla/hinge-1");
    succeed(BINARY, &["info", run.to_str().unwrap()]);

    // A training that was lost is done again, and nothing else.
    let results = std::fs::read_to_string(place.join("results.jsonl")).unwrap();
    let kept: Vec<&str> = results.lines().take(3).collect();
    std::fs::write(place.join("results.jsonl"), kept.join("\n")).unwrap();
    let said = succeed(BINARY, &sweep(&["--steps", "40"]));
    assert!(
        said.contains("4 of 4: hinge, seed 1") && !said.contains("3 of 4"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(place.join("table.md")).unwrap(),
        table
    );

    for (flags, told) in [
        (vec!["--steps", "50"], "give this sweep another --name"),
        (vec!["--seed", "3"], "--seeds 0-2 in place of --seed"),
        (
            vec!["--steps", "40", "--fid", "published"],
            "points have modes",
        ),
    ] {
        let error = fail(BINARY, &sweep(&flags), 2);
        assert!(error.contains(told), "{error}");
    }
    let wrong = [
        "sweep",
        "--preset",
        "ring",
        "--rows",
        "plain,magic",
        "--out",
        out,
    ];
    let error = fail(BINARY, &wrong, 2);
    assert!(
        error.contains("there is no row magic; there are: plain, saturating"),
        "{error}"
    );
    let list = succeed(BINARY, &["sweep", "--preset", "ring", "--list"]);
    assert!(list.contains("spectral_norm = true") && !list.contains("translation-cutout"));
}
