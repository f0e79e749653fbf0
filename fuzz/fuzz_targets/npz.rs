//! Statistics in numpy's files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("given.npz");
    std::fs::write(&place, bytes).expect("writing the input");
    if let Ok(file) = metrics::npz::StatisticsFile::read(&place) {
        assert_eq!(file.covariance.len(), file.mean.len() * file.mean.len());
        assert!(file.mean.iter().all(|value| value.is_finite()));
    }
});
