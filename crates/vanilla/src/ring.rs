//! The ring of Gaussians: a data set on which mode collapse can be seen and counted
//! (Metz et al. 2017, <https://arxiv.org/abs/1611.02163>; the measures follow Srivastava et al.
//! 2017, <https://arxiv.org/abs/1705.07761>).

use gan_core::random::Stream;

/// Gaussians at equal distances on a circle, their angles distinct (`2 pi m / modes`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ring {
    /// How many.
    pub modes: usize,
    /// Radius of the circle.
    pub radius: f64,
    /// Standard deviation of each.
    pub std: f64,
}

/// How well samples cover a ring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Modes that hold at least 1 % of all samples within 3 standard deviations.
    pub modes: usize,
    /// Share of samples within 3 standard deviations of some mode.
    pub high_quality: f64,
    /// Jensen-Shannon divergence, in nats (0 to ln 2), between the histogram of the high-quality
    /// samples over the modes and the uniform one.
    pub divergence: f64,
}

impl Ring {
    /// The centre of every Gaussian.
    pub fn centres(&self) -> Vec<[f32; 2]> {
        (0..self.modes)
            .map(|mode| {
                let angle = std::f64::consts::TAU * mode as f64 / self.modes as f64;
                [
                    (self.radius * angle.cos()) as f32,
                    (self.radius * angle.sin()) as f32,
                ]
            })
            .collect()
    }

    /// `count` points as x, y, x, y, ...
    pub fn draw(&self, stream: &mut Stream, count: usize) -> Vec<f32> {
        self.draw_parts(stream, count, 1)
    }

    /// As [`Ring::draw`], where the Gaussians are dealt out to `parts` in turn: the first of `parts` equal shares of the
    /// points comes from the first part's alone, and so on.
    pub fn draw_parts(&self, stream: &mut Stream, count: usize, parts: usize) -> Vec<f32> {
        let centres = self.centres();
        let mut modes = Vec::with_capacity(count);
        for part in 0..parts {
            let own = (self.modes - part).div_ceil(parts);
            let drawn = stream.integers(count / parts, own);
            modes.extend(drawn.into_iter().map(|mode| part + parts * mode));
        }
        let noise = stream.normal(2 * modes.len());
        let std = self.std as f32;
        (0..2 * modes.len())
            .map(|at| centres[modes[at / 2]][at % 2] + std * noise[at])
            .collect()
    }

    /// Measures `points` (x, y, x, y, ...).
    pub fn coverage(&self, points: &[f32]) -> Coverage {
        let centres = self.centres();
        let mut histogram = vec![0usize; self.modes];
        let total = (points.len() / 2).max(1);
        for point in points.chunks_exact(2) {
            let squared = |centre: &[f32; 2]| {
                f64::from(centre[0] - point[0]).powi(2) + f64::from(centre[1] - point[1]).powi(2)
            };
            let nearest = centres
                .iter()
                .map(squared)
                .enumerate()
                .min_by(|(_, a), (_, b)| a.total_cmp(b));
            if let Some((mode, distance)) = nearest
                && distance.sqrt() <= 3.0 * self.std
            {
                histogram[mode] += 1;
            }
        }
        let good: usize = histogram.iter().sum();
        Coverage {
            modes: histogram
                .iter()
                .filter(|count| **count * 100 >= total)
                .count(),
            high_quality: good as f64 / total as f64,
            divergence: divergence_to_uniform(&histogram),
        }
    }
}

/// Jensen-Shannon divergence (nats) of a histogram to the uniform one; ln 2 for an empty histogram.
fn divergence_to_uniform(histogram: &[usize]) -> f64 {
    let total: usize = histogram.iter().sum();
    if total == 0 {
        return std::f64::consts::LN_2;
    }
    let uniform = 1.0 / histogram.len() as f64;
    let part = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
    histogram
        .iter()
        .map(|count| {
            let p = *count as f64 / total as f64;
            let middle = 0.5 * (p + uniform);
            0.5 * part(p, middle) + 0.5 * part(uniform, middle)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Ring = Ring {
        modes: 8,
        radius: 2.0,
        std: 0.02,
    };

    #[test]
    fn the_eight_centres_are_distinct() {
        let centres = RING.centres();
        for (i, a) in centres.iter().enumerate() {
            for b in &centres[..i] {
                assert!((a[0] - b[0]).hypot(a[1] - b[1]) > 1.0);
            }
        }
    }

    #[test]
    fn parts_have_gaussians_of_their_own() {
        let points = RING.draw_parts(&mut Stream::new(0, "ring", 0), 3000, 3);
        let mut seen = [0; 3];
        for (part, points) in points.chunks_exact(2000).enumerate() {
            for point in points.chunks_exact(2) {
                let angle = f64::from(point[1]).atan2(f64::from(point[0]));
                let mode = (angle / std::f64::consts::TAU * 8.0)
                    .round()
                    .rem_euclid(8.0);
                assert_eq!(mode as usize % 3, part);
                seen[part] |= 1 << mode as usize;
            }
        }
        assert_eq!(seen, [0b0100_1001, 0b1001_0010, 0b0010_0100]);
    }

    #[test]
    fn data_covers_itself() {
        let points = RING.draw(&mut Stream::new(0, "ring", 0), 20_000);
        let coverage = RING.coverage(&points);
        assert_eq!(coverage.modes, 8);
        // In two dimensions 1 - e^(-9/2) of a Gaussian lies within 3 standard deviations.
        assert!((coverage.high_quality - (1.0 - (-4.5f64).exp())).abs() < 0.003);
        assert!(coverage.divergence < 1e-3);
    }

    #[test]
    fn collapse_is_seen() {
        let one: Vec<f32> = (0..100).flat_map(|_| [2.0f32, 0.0]).collect();
        let coverage = RING.coverage(&one);
        assert_eq!((coverage.modes, coverage.high_quality), (1, 1.0));
        // By hand: p = (1, 0 x 7), m = (9/16, 1/16 x 7).
        let by_hand = 0.5 * (16f64 / 9.0).ln()
            + 0.5 * ((1.0 / 8.0) * (2f64 / 9.0).ln() + (7.0 / 8.0) * 2f64.ln());
        assert!((coverage.divergence - by_hand).abs() < 1e-12);
        let nothing = RING.coverage(&[50.0, 50.0]);
        assert_eq!((nothing.modes, nothing.high_quality), (0, 0.0));
        assert_eq!(nothing.divergence, std::f64::consts::LN_2);
    }
}
