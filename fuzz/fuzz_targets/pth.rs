//! Weights as PyTorch saves them: told apart by content, as `--checkpoint` does.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("given.pth");
    std::fs::write(&place, bytes).expect("writing the input");
    if let Ok(file) = gan_core::weights::read(&place) {
        for tensor in file.tensors.values() {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
        }
    }
});
