//! What only holds for the workspace as a whole: the dependency arrows, the configurations, and that
//! every architecture has the same files. The fixtures and the scripts that make them are beside this
//! file.

#[cfg(test)]
mod tests {
    use gan_core::config::{Configuration, Layer, merge};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// The architectures; a new one is added here and in the workspace's manifest.
    const ARCHITECTURES: [&str; 2] = ["vanilla", "dcgan"];

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
        for word in ARCHITECTURES {
            assert!(names.contains(&word), "{word} is a member");
        }
        for package in packages {
            let name = package["name"].as_str().unwrap();
            let inner: Vec<&str> = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|dependency| names.contains(dependency))
                .collect();
            match name {
                "convolution" => assert!(inner.is_empty(), "convolution depends on {inner:?}"),
                "gan-core" => assert_eq!(inner, ["convolution"], "gan-core"),
                "metrics" => assert_eq!(inner, ["gan-core"], "metrics"),
                "eval" => assert_eq!(inner, ["gan-core", "metrics"], "eval"),
                "workspace-tests" | "bench" => {}
                _ => assert_eq!(inner, ["gan-core"], "{name}"),
            }
        }
    }

    #[test]
    fn gan_core_names_no_architecture() {
        let source = root().join("crates/gan-core/src");
        for path in gan_core::contract::walk(&source) {
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
                "src/generate.rs",
                "src/main.rs",
            ] {
                assert!(folder.join(file).is_file(), "{word} lacks {file}");
            }
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
