//! Weights as safetensors.
#![no_main]

use gan_core::weights;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = weights::parse_safetensors(bytes) {
        for tensor in file.tensors.values() {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
        }
        // What was read can be written, and is then read again with the same names.
        let written = weights::to_safetensors(&file.tensors, &file.metadata);
        let again = weights::parse_safetensors(&written).expect("what was written is read");
        assert!(file.tensors.keys().eq(again.tensors.keys()));
    }
});
