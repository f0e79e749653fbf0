//! What only holds for the workspace as a whole: the dependency arrows, the configurations, and that
//! every architecture has the same files. The fixtures and the scripts that make them are beside this
//! file.

#[cfg(test)]
mod tests {
    use gan_core::config::{Configuration, Layer, merge};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// The architectures; a new one is added here and in the workspace's manifest.
    const ARCHITECTURES: [&str; 8] = [
        "vanilla", "dcgan", "pix2pix", "cyclegan", "srgan", "gan3d", "cgan", "stackgan",
    ];

    /// Every other crate.
    const OTHERS: [&str; 9] = [
        "bench",
        "convolution",
        "crypto",
        "eval",
        "gan-core",
        "metrics",
        "shapes",
        "translation",
        "workspace-tests",
    ];

    /// The crates of the workspace that a crate needs for its work, in alphabetical order.
    fn needed(name: &str) -> Option<&'static [&'static str]> {
        match name {
            "convolution" => Some(&[]),
            "gan-core" => Some(&["convolution"]),
            "metrics" | "shapes" | "translation" | "stackgan" | "crypto" => Some(&["gan-core"]),
            "vanilla" | "dcgan" | "srgan" => Some(&["gan-core", "metrics"]),
            "eval" => Some(&["gan-core", "metrics", "shapes"]),
            "gan3d" => Some(&["gan-core", "shapes"]),
            // Its generator is DCGAN's.
            "cgan" => Some(&["dcgan", "gan-core"]),
            "cyclegan" => Some(&["gan-core", "translation"]),
            "pix2pix" => Some(&["gan-core", "metrics", "translation"]),
            // They may look at everything.
            "bench" | "workspace-tests" => None,
            _ => panic!("{name} is new: say here what it may depend on"),
        }
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn the_dependency_arrows_point_one_way() {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--offline",
            ])
            .current_dir(root())
            .output()
            .unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
        let mut expected: Vec<&str> = ARCHITECTURES.into_iter().chain(OTHERS).collect();
        expected.sort_unstable();
        let mut members = names.clone();
        members.sort_unstable();
        assert_eq!(members, expected, "the members of the workspace");
        for package in packages {
            let name = package["name"].as_str().unwrap();
            // Of every kind: what tests use is an arrow, too.
            let mut inner: Vec<&str> = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|dependency| names.contains(dependency))
                .collect();
            inner.sort_unstable();
            inner.dedup();
            if let Some(needed) = needed(name) {
                assert_eq!(inner, needed, "{name}");
            }
        }
    }

    #[test]
    fn what_is_shared_names_no_architecture() {
        let shared = ["gan-core", "metrics", "shapes", "translation"];
        let sources = shared.map(|name| root().join("crates").join(name).join("src"));
        for path in sources
            .iter()
            .flat_map(|source| gan_core::contract::walk(source))
        {
            let text = read(&path);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                for word in ARCHITECTURES {
                    let quoted = format!("\"{word}\"");
                    assert!(!line.contains(&quoted), "{}: {line}", path.display());
                }
            }
        }
    }

    #[test]
    fn every_architecture_has_the_same_files() {
        for word in ARCHITECTURES {
            let folder = root().join("crates").join(word);
            for file in [
                "Cargo.toml",
                "README.md",
                "src/lib.rs",
                "src/config.rs",
                "src/data.rs",
                "src/generator.rs",
                "src/discriminator.rs",
                "src/train.rs",
                "src/main.rs",
            ] {
                assert!(folder.join(file).is_file(), "{word} lacks {file}");
            }
            // From a checkpoint alone come samples, translations of pictures, or larger ones.
            let uses = ["generate", "translate", "upscale"];
            let uses = uses.map(|verb| folder.join(format!("src/{verb}.rs")).is_file());
            let count = uses.iter().filter(|is_there| **is_there).count();
            assert_eq!(count, 1, "{word} generates, translates or upscales");
            let needs_translation = needed(word).unwrap_or_default().contains(&"translation");
            assert_eq!(uses[1], needs_translation, "{word}");
            assert!(folder.join(format!("tests/{word}.rs")).is_file());
            let main = read(&folder.join("src/main.rs"));
            assert!(main.lines().count() <= 45, "{word}/src/main.rs is thin");
        }
    }

    /// Every file in configs/ is a preset that is compiled in, and parses; `paper` names every key
    /// and equals the defaults.
    fn check_configs<C: Configuration + PartialEq + std::fmt::Debug>() {
        let folder = root().join("configs").join(C::WORD);
        let mut found = Vec::new();
        for path in gan_core::contract::walk(&folder) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let preset = C::PRESETS.iter().find(|(preset, _)| *preset == name);
            let (_, text) = preset.unwrap_or_else(|| panic!("{} is no preset", path.display()));
            assert_eq!(*text, read(&path), "{name} is compiled in as it is");
            let layer = Layer::read(&path).unwrap();
            let config: C = merge(std::slice::from_ref(&layer)).unwrap();
            if name == "paper" {
                assert_eq!(config, C::default(), "{} paper.toml", C::WORD);
                let all = toml::Table::try_from(C::default()).unwrap();
                assert_eq!(
                    all.keys().collect::<Vec<_>>(),
                    layer.table.keys().collect::<Vec<_>>()
                );
            }
            found.push(name);
        }
        assert_eq!(
            found.len(),
            C::PRESETS.len(),
            "{} configs {found:?}",
            C::WORD
        );
        assert!(found.contains(&"quick".to_owned()) && found.contains(&"paper".to_owned()));
    }

    #[test]
    fn every_config_parses_and_paper_is_the_default() {
        check_configs::<vanilla::Config>();
        check_configs::<dcgan::Config>();
        check_configs::<pix2pix::Config>();
        check_configs::<cyclegan::Config>();
        check_configs::<srgan::Config>();
        check_configs::<gan3d::Config>();
        check_configs::<cgan::Config>();
        check_configs::<stackgan::Config>();
        check_configs::<crypto::Config>();
    }

    #[test]
    fn the_collapsing_ring_differs_in_one_switch() {
        let table = |name: &str| -> toml::Table {
            let path = root().join(format!("configs/vanilla/{name}.toml"));
            read(&path).parse().unwrap()
        };
        let (covers, collapses) = (table("ring"), table("ring-collapse"));
        let differing: Vec<_> = covers
            .iter()
            .filter(|(key, value)| collapses.get(*key) != Some(value))
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(differing, ["n_critic"]);
        assert_eq!(covers.len(), collapses.len());
    }
}
