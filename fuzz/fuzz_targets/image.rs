//! Pictures of every format, with all that is done to them before training.
#![no_main]

use gan_core::images;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("given.png");
    std::fs::write(&place, bytes).expect("writing the input");
    if let Ok(picture) = images::read(&place) {
        // Large ones are legal, but slow to resize.
        if u64::from(picture.width()) * u64::from(picture.height()) < 1_000_000 {
            let square = images::square(&images::to_rgb(&picture), 16);
            assert_eq!(square.dimensions(), (16, 16));
        }
    }
});
