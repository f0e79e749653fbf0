//! Damaged files from a whole one, the same each time.

/// The parts of `whole` that end early, then `cases` copies with one to four bytes changed, cut or doubled.
pub(crate) fn damaged(whole: &[u8], cases: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = whole.len() as u64;
    let mut draw = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit.max(1)
    };
    let step = (whole.len() / 400).max(1);
    let cut = (0..whole.len())
        .step_by(step)
        .map(|length| whole[..length].to_vec());
    let changed = (0..cases).map(move |_| {
        let mut bytes = whole.to_vec();
        for _ in 0..=draw(4) {
            // Half of the changes go where headers are.
            let reach = match draw(2) {
                0 => bytes.len().min(200),
                _ => bytes.len(),
            };
            let place = draw(reach);
            match draw(8) {
                0 => bytes[place] = draw(256) as u8,
                1 => bytes[place] = b"0123456789-.e #\n"[draw(16)],
                2 => bytes[place] = 0xff,
                3 if bytes.len() > 20 => {
                    let end = (place + 1 + draw(8)).min(bytes.len());
                    bytes.drain(place..end);
                }
                4 => {
                    let end = (place + 1 + draw(8)).min(bytes.len());
                    let part = bytes[place..end].to_vec();
                    bytes.splice(place..place, part);
                }
                _ => bytes[place] ^= 1 << draw(8),
            }
        }
        bytes
    });
    cut.chain(changed)
}
