//! The manifest of a checkpoint beside one good weights file.
#![no_main]

use gan_core::checkpoint::Saved;
use gan_core::weights::{self, HostTensor, Metadata, Tensors};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let step = folder.path().join("step_00000007");
    std::fs::create_dir(&step).expect("making the step folder");
    let tensors = Tensors::from([("a".to_owned(), HostTensor::vector(vec![1.0]))]);
    let place = step.join("generator.safetensors");
    weights::write(&place, &tensors, &Metadata::new()).expect("writing the weights");
    std::fs::write(step.join("manifest.json"), bytes).expect("writing the input");
    if let Ok(saved) = Saved::open(&step) {
        for name in saved.manifest.files.keys() {
            assert!(step.join(name).is_file(), "{name}");
        }
        let _ = saved.read("generator", "");
    }
});
