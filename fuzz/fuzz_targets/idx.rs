//! Pictures in idx files, gzipped or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("given");
    std::fs::write(&place, bytes).expect("writing the input");
    if let Ok(pictures) = gan_core::idx::Pictures::read(&place, "train") {
        assert_eq!(pictures.mean().len(), pictures.height * pictures.width);
        assert!(!pictures.picture(pictures.len() - 1).is_empty());
    }
    let _ = gan_core::idx::read_idx(&place, 1);
});
