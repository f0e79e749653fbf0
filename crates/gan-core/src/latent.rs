//! Latent vectors that a user asks for: seeds, walks and arithmetic.

use crate::failure::{Kind, failure};
use crate::random::Prior;
use anyhow::Result;

/// Most samples that one command makes.
const MOST: usize = 1_000_000;

/// Parses `0,1,4-6` into `[0, 1, 4, 5, 6]`.
///
/// # Errors
/// A [`Kind::Usage`] failure that says what a list of seeds looks like.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>> {
    let wrong = || {
        failure(
            Kind::Usage,
            format!("--seeds {text} is not a list of seeds such as 0,1,4-6 (at most {MOST})"),
        )
    };
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u64 = first.trim().parse().map_err(|_| wrong())?;
        let last: u64 = last.trim().parse().map_err(|_| wrong())?;
        if last < first || last - first >= MOST as u64 {
            return Err(wrong());
        }
        seeds.extend(first..=last);
        if seeds.len() > MOST {
            return Err(wrong());
        }
    }
    Ok(seeds)
}

/// Parses `8x4` into (8 columns, 4 rows).
///
/// # Errors
/// A [`Kind::Usage`] failure that says what a grid looks like.
pub fn parse_grid(text: &str) -> Result<(usize, usize)> {
    text.split_once(['x', 'X'])
        .and_then(|(columns, rows)| Some((columns.trim().parse().ok()?, rows.trim().parse().ok()?)))
        .filter(|(columns, rows)| (1..=64).contains(columns) && (1..=64).contains(rows))
        .ok_or_else(|| {
            failure(
                Kind::Usage,
                format!("--grid {text} is not COLUMNSxROWS such as 8x8 (1 to 64 each)"),
            )
        })
}

/// A point between two latent vectors, `share` in [0, 1]: along the sphere for a normal prior
/// (slerp, White 2016, arXiv 1609.04468), along the line for a uniform one.
pub fn between(prior: Prior, from: &[f32], to: &[f32], share: f32) -> Vec<f32> {
    let dot: f64 = from.iter().zip(to).map(|(a, b)| f64::from(a * b)).sum();
    let cosine = (dot / (length(from) * length(to)).max(1e-12)).clamp(-1.0, 1.0);
    let angle = cosine.acos();
    let share = f64::from(share);
    let (weight_from, weight_to) = if prior != Prior::Normal || angle.sin() < 1e-4 {
        (1.0 - share, share)
    } else {
        (
            ((1.0 - share) * angle).sin() / angle.sin(),
            (share * angle).sin() / angle.sin(),
        )
    };
    from.iter()
        .zip(to)
        .map(|(a, b)| (weight_from * f64::from(*a) + weight_to * f64::from(*b)) as f32)
        .collect()
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt()
}

/// A sum of latent vectors with signs: `a-b+c`, where a letter is the seed at that place of
/// `--seeds` (a is the first), a number is a seed, and `[1,2,3]` is the mean of several
/// (Radford et al. 2016, section 6.3.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// Sign (+1 or -1), text and seeds of each term, in order.
    pub terms: Vec<(f32, String, Vec<u64>)>,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// A [`Kind::Usage`] failure that names the place and what was expected.
    pub fn parse(text: &str, seeds: &[u64]) -> Result<Self> {
        let wrong = |what: &str| {
            failure(
                Kind::Usage,
                format!(
                    "--expression {text}: {what}; write terms such as a-b+c (letters stand for \
                     --seeds in order), 12-7+3, or [1,2,3]-4"
                ),
            )
        };
        let mut rest = text.trim();
        let mut sign = 1.0;
        if let Some(after) = rest.strip_prefix('-') {
            (sign, rest) = (-1.0, after);
        }
        let mut terms = Vec::new();
        loop {
            rest = rest.trim_start();
            let end = if rest.starts_with('[') {
                rest.find(']').ok_or_else(|| wrong("a [ is not closed"))? + 1
            } else {
                rest.find(['+', '-']).unwrap_or(rest.len())
            };
            let (term, after) = rest.split_at(end);
            let term = term.trim();
            let list = term.trim_start_matches('[').trim_end_matches(']');
            let mut of_term = Vec::new();
            for name in list.split(',').map(str::trim) {
                let letter = name.chars().next().filter(char::is_ascii_lowercase);
                let seed = match letter {
                    Some(letter) if name.len() == 1 => {
                        let place = letter as usize - 'a' as usize;
                        *seeds.get(place).ok_or_else(|| {
                            wrong(&format!("{letter} needs {} seeds in --seeds", place + 1))
                        })?
                    }
                    _ => name
                        .parse()
                        .map_err(|_| wrong(&format!("{name:?} is neither a letter nor a seed")))?,
                };
                of_term.push(seed);
            }
            terms.push((sign, term.to_owned(), of_term));
            rest = after.trim_start();
            sign = match rest.chars().next() {
                None => return Ok(Self { terms }),
                Some('+') => 1.0,
                Some('-') => -1.0,
                Some(other) => return Err(wrong(&format!("{other:?} is not + or -"))),
            };
            rest = &rest[1..];
        }
    }

    /// The latent vector of one term, without its sign.
    pub fn term(&self, index: usize, prior: Prior, width: usize) -> Vec<f32> {
        let seeds = &self.terms[index].2;
        let mut mean = vec![0.0; width];
        for seed in seeds {
            for (sum, value) in mean.iter_mut().zip(prior.latent(*seed, width)) {
                *sum += value / seeds.len() as f32;
            }
        }
        rescale(mean)
    }

    /// The latent vector of the whole expression, brought to the length that the prior expects: a
    /// sum of three vectors is longer than any that the generator was trained on.
    pub fn result(&self, prior: Prior, width: usize) -> Vec<f32> {
        let mut sum = vec![0.0; width];
        for (index, (sign, _, _)) in self.terms.iter().enumerate() {
            for (sum, value) in sum.iter_mut().zip(self.term(index, prior, width)) {
                *sum += sign * value;
            }
        }
        rescale(sum)
    }
}

/// Both priors have variance 1, so a typical vector has length sqrt(width).
fn rescale(mut vector: Vec<f32>) -> Vec<f32> {
    let scale = (vector.len() as f64).sqrt() / length(&vector).max(1e-12);
    vector
        .iter_mut()
        .for_each(|value| *value = (f64::from(*value) * scale) as f32);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_grids() {
        assert_eq!(parse_seeds("0,1,4-6").unwrap(), [0, 1, 4, 5, 6]);
        for wrong in ["", "a", "5-3", "1,,2", "-1", "0-99999999999"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_grid("8x4").unwrap(), (8, 4));
        for wrong in ["8", "0x3", "8x65", "ax2"] {
            assert!(parse_grid(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_walk_stays_on_the_sphere() {
        let (a, b) = (vec![3.0f32, 0.0], vec![0.0f32, 3.0]);
        let middle = between(Prior::Normal, &a, &b, 0.5);
        let expected = 3.0 / 2f32.sqrt();
        assert!((middle[0] - expected).abs() < 1e-6 && (middle[1] - expected).abs() < 1e-6);
        assert_eq!(between(Prior::Uniform, &a, &b, 0.5), [1.5, 1.5]);
        assert_eq!(between(Prior::Normal, &a, &b, 0.0), a);
        assert_eq!(between(Prior::Normal, &a, &a, 0.3), a);
    }

    #[test]
    fn expressions() {
        let parsed = Expression::parse("a - b + [7,8]", &[3, 5]).unwrap();
        let signs: Vec<_> = parsed
            .terms
            .iter()
            .map(|(s, _, seeds)| (*s, seeds.clone()))
            .collect();
        assert_eq!(signs, [(1.0, vec![3]), (-1.0, vec![5]), (1.0, vec![7, 8])]);
        let result = parsed.result(Prior::Normal, 100);
        assert!((length(&result) - 10.0).abs() < 1e-4);
        let same = Expression::parse("3-5+5", &[])
            .unwrap()
            .result(Prior::Normal, 64);
        let alone = Expression::parse("a", &[3])
            .unwrap()
            .result(Prior::Normal, 64);
        assert!(same.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5));
        for wrong in ["", "c", "a*b", "a-", "[1,2", "x1"] {
            let error = Expression::parse(wrong, &[1, 2]).unwrap_err().to_string();
            assert!(error.contains("--expression"), "{wrong}: {error}");
        }
    }
}
