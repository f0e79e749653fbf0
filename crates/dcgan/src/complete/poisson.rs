//! Poisson blending (Pérez et al. 2003, equation 4): what is filled in has the gradients of a guide, and meets what lies
//! around it without a step.

/// How much of the first residual is left when the solution is taken.
const TOLERANCE: f64 = 1e-10;

/// Fills the `missing` pixels of a plane of `side * side` values such that their differences to their neighbours are as
/// near as possible to those of `guide`, while the others stay. At least one pixel is known.
///
/// The equations are solved by conjugate gradients: their matrix is symmetric, and positive definite since every missing
/// part borders on a known pixel.
pub(super) fn solve(around: &[f64], guide: &[f64], missing: &[bool], side: usize) -> Vec<f64> {
    let places: Vec<usize> = (0..side * side).filter(|place| missing[*place]).collect();
    let mut numbers = vec![usize::MAX; side * side];
    for (number, place) in places.iter().enumerate() {
        numbers[*place] = number;
    }
    // Of each unknown: how many neighbours it has, and which of them are unknown too.
    let neighbours: Vec<Vec<usize>> = places.iter().map(|place| beside(*place, side)).collect();
    let apply = |values: &[f64]| -> Vec<f64> {
        let rows = values.iter().zip(&neighbours);
        rows.map(|(value, beside)| {
            let unknown = beside.iter().filter(|place| missing[**place]);
            let sum: f64 = unknown.map(|place| values[numbers[*place]]).sum();
            beside.len() as f64 * value - sum
        })
        .collect()
    };
    let wanted: Vec<f64> = places
        .iter()
        .zip(&neighbours)
        .map(|(place, beside)| {
            beside
                .iter()
                .map(|other| {
                    let known = if missing[*other] { 0.0 } else { around[*other] };
                    guide[*place] - guide[*other] + known
                })
                .sum()
        })
        .collect();

    // From the guide itself, which is near.
    let mut solution: Vec<f64> = places.iter().map(|place| guide[*place]).collect();
    let mut residual: Vec<f64> = wanted
        .iter()
        .zip(apply(&solution))
        .map(|(wanted, is)| wanted - is)
        .collect();
    let mut direction = residual.clone();
    let mut square = dot(&residual, &residual);
    let enough = square * TOLERANCE * TOLERANCE;
    // In exact arithmetic as many steps as unknowns suffice.
    for _ in 0..2 * places.len() {
        if square <= enough {
            break;
        }
        let image = apply(&direction);
        let step = square / dot(&direction, &image);
        for (value, direction) in solution.iter_mut().zip(&direction) {
            *value += step * direction;
        }
        for (value, image) in residual.iter_mut().zip(&image) {
            *value -= step * image;
        }
        let next = dot(&residual, &residual);
        let share = next / square;
        for (direction, residual) in direction.iter_mut().zip(&residual) {
            *direction = residual + share * *direction;
        }
        square = next;
    }
    let mut filled = around.to_vec();
    for (place, value) in places.into_iter().zip(solution) {
        filled[place] = value;
    }
    filled
}

/// The places above, below, left and right of one.
fn beside(place: usize, side: usize) -> Vec<usize> {
    let (x, y) = (place % side, place / side);
    let mut found = Vec::with_capacity(4);
    if y > 0 {
        found.push(place - side);
    }
    if y + 1 < side {
        found.push(place + side);
    }
    if x > 0 {
        found.push(place - 1);
    }
    if x + 1 < side {
        found.push(place + 1);
    }
    found
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 16;

    fn plane(value: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        (0..SIDE * SIDE)
            .map(|place| value((place % SIDE) as f64, (place / SIDE) as f64))
            .collect()
    }

    /// A square and a corner.
    fn missing() -> Vec<bool> {
        (0..SIDE * SIDE)
            .map(|place| {
                let (x, y) = (place % SIDE, place / SIDE);
                (4..11).contains(&x) && (3..12).contains(&y) || x + y < 3
            })
            .collect()
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
    }

    #[test]
    fn a_guide_that_differs_by_a_constant_gives_the_picture_back() {
        let picture = plane(|x, y| (x * 0.7).sin() * (y * 0.3).cos());
        let guide: Vec<f64> = picture.iter().map(|value| value + 5.0).collect();
        assert_near(&solve(&picture, &guide, &missing(), SIDE), &picture);
    }

    #[test]
    fn without_gradients_a_slope_goes_on() {
        // A slope is harmonic; at the picture's edge the missing corner would bend it.
        let slope = plane(|x, y| 0.2 * x - 0.1 * y);
        let mut hole = slope.clone();
        let square: Vec<bool> = missing()
            .iter()
            .enumerate()
            .map(|(place, missing)| *missing && place % SIDE > 2)
            .collect();
        for (value, missing) in hole.iter_mut().zip(&square) {
            if *missing {
                *value = 9.0;
            }
        }
        assert_near(
            &solve(&hole, &vec![0.0; SIDE * SIDE], &square, SIDE),
            &slope,
        );
    }

    #[test]
    fn one_pixel_by_hand() {
        // Around it 1, 2, 3, 4; the guide stands 1 above each of its neighbours: the mean, and 1 more.
        let around = [0.0, 1.0, 0.0, 2.0, 9.0, 3.0, 0.0, 4.0, 0.0];
        let guide = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let missing: Vec<bool> = (0..9).map(|place| place == 4).collect();
        let found = solve(&around, &guide, &missing, 3);
        assert!((found[4] - 3.5).abs() < 1e-9);
        assert_eq!((found[1], found[8]), (1.0, 0.0));
    }
}
