//! Pictures as the reference tools read them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = metrics::decode::decode(bytes) {
        assert_eq!(picture.pixels.len(), picture.width * picture.height * 3);
        assert!(!picture.pixels.is_empty());
    }
});
