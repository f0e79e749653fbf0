//! Archives: zip, tar and gzip-compressed tar. Nothing may appear beside the folder that is asked for.
#![no_main]

use gan_core::archive::{Limits, extract};

const LIMITS: Limits = Limits {
    entries: 100,
    bytes: 4 << 20,
    file_bytes: 2 << 20,
    ratio: 100,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("given");
    std::fs::write(&place, bytes).expect("writing the input");
    let into = folder.path().join("into");
    let taken = extract(&place, &into, &LIMITS, &mut |_, _| {}).is_ok();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("listing the folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    let expected: &[&str] = if taken {
        &["given", "into"]
    } else {
        &["given"]
    };
    assert_eq!(names, expected);
});
