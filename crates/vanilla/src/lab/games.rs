//! Two games: the prisoner's dilemma, whose only equilibrium is bad for both, and the smallest game in which two players
//! that descend at the same time never arrive, `min_x max_y x y` (Goodfellow 2016, <https://arxiv.org/abs/1701.00160>,
//! section 8.2).

use super::{Experiment, Report, check};
use anyhow::Result;
use gan_core::plot::{BLUE, GREEN, INK, ORANGE, Plot, SKY, Style, VERMILION, panels};
use serde::Serialize;
use std::fmt::Write as _;

/// A game of two players with finitely many moves: `costs[a][b]` is what the first and the second player pay when they
/// choose moves `a` and `b`.
pub type Costs = Vec<Vec<[f64; 2]>>;

/// The moves of the prisoner's dilemma.
pub const MOVES: [&str; 2] = ["betray", "be silent"];

/// Years in prison of both.
pub fn prisoners() -> Costs {
    vec![vec![[2.0, 2.0], [0.0, 3.0]], vec![[3.0, 0.0], [1.0, 1.0]]]
}

/// Every pair of moves from which neither player gains by moving alone: Nash equilibria in pure strategies, found by
/// looking at all pairs.
pub fn equilibria(costs: &Costs) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (a, row) in costs.iter().enumerate() {
        for (b, [first, second]) in row.iter().enumerate() {
            let first_stays = costs.iter().all(|other| other[b][0] >= *first);
            let second_stays = row.iter().all(|other| other[1] >= *second);
            if first_stays && second_stays {
                found.push((a, b));
            }
        }
    }
    found
}

/// How the two players of `min_x max_y x y` move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Both from where both are.
    Simultaneous,
    /// The second player sees the first one's new place.
    Alternating,
    /// Both from where they are, but with the slopes that they would have after a step (Korpelevich 1976).
    Extragradient,
}

/// The places of both players, the first one at the start.
pub fn walk(rule: Rule, rate: f64, steps: u64) -> Vec<[f64; 2]> {
    let mut place = [1.0, 0.0];
    let mut places = vec![place];
    // The slope of x y is y along x, and x along y: x goes down, y up.
    let moved = |from: [f64; 2], at: [f64; 2]| [from[0] - rate * at[1], from[1] + rate * at[0]];
    for _ in 0..steps {
        place = match rule {
            Rule::Simultaneous => moved(place, place),
            Rule::Alternating => {
                let x = place[0] - rate * place[1];
                [x, place[1] + rate * x]
            }
            Rule::Extragradient => moved(place, moved(place, place)),
        };
        places.push(place);
    }
    places
}

/// The mean of all places up to each.
pub fn averaged(places: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut sum = [0.0, 0.0];
    places
        .iter()
        .enumerate()
        .map(|(index, place)| {
            for (sum, value) in sum.iter_mut().zip(place) {
                *sum += value;
            }
            sum.map(|sum| sum / (index + 1) as f64)
        })
        .collect()
}

/// How far each place is from the equilibrium.
pub fn radii(places: &[[f64; 2]]) -> Vec<f64> {
    places.iter().map(|[x, y]| x.hypot(*y)).collect()
}

/// `lab games`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Games {
    /// Learning rate of both players.
    #[arg(long, default_value_t = 0.12)]
    pub lr: f64,
    /// Steps of both players.
    #[arg(long, default_value_t = 150)]
    pub steps: u64,
}

impl Default for Games {
    fn default() -> Self {
        Self {
            lr: 0.12,
            steps: 150,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The pure equilibria of the prisoner's dilemma.
    pub equilibria: Vec<[&'static str; 2]>,
    /// How much the distance from the equilibrium grows with a simultaneous step.
    pub growth: f64,
    /// `sqrt(1 + lr^2)`.
    pub growth_in_theory: f64,
    /// Distances from the equilibrium in the end.
    pub simultaneous: f64,
    /// The same.
    pub alternating: f64,
    /// The smallest and the largest distance of the alternating players.
    pub alternating_range: [f64; 2],
    /// The distance of the mean of the alternating players' places.
    pub averaged: f64,
    /// The distance with the extragradient.
    pub extragradient: f64,
}

impl Games {
    /// Plays both games.
    pub fn observe(&self) -> Found {
        let last = |places: &[[f64; 2]]| radii(places).last().copied().unwrap_or(0.0);
        let of = |rule| walk(rule, self.lr, self.steps);
        let (simultaneous, alternating) = (of(Rule::Simultaneous), of(Rule::Alternating));
        let around = radii(&alternating);
        Found {
            equilibria: equilibria(&prisoners())
                .into_iter()
                .map(|(a, b)| [MOVES[a], MOVES[b]])
                .collect(),
            growth: last(&simultaneous).powf(1.0 / self.steps as f64),
            growth_in_theory: self.lr.hypot(1.0),
            simultaneous: last(&simultaneous),
            alternating: last(&alternating),
            alternating_range: [
                around.iter().copied().fold(f64::INFINITY, f64::min),
                around.iter().copied().fold(0.0, f64::max),
            ],
            averaged: last(&averaged(&alternating)),
            extragradient: last(&of(Rule::Extragradient)),
        }
    }

    /// The table of years, with the equilibria marked.
    fn table() -> Plot {
        let costs = prisoners();
        let frame = Style::solid(INK).width(1.2);
        let mut plot = Plot::new("Years in prison (of A, of B)", "", "")
            .bare()
            .x_range(-0.75, 2.1)
            .y_range(-0.3, 2.75);
        for (a, b) in equilibria(&costs) {
            let (left, bottom) = (b as f64, 1.0 - a as f64);
            plot = plot.band(
                "",
                [
                    [left, bottom, bottom + 1.0],
                    [left + 1.0, bottom, bottom + 1.0],
                ],
                ORANGE,
            );
        }
        for place in [0.0, 1.0, 2.0] {
            plot = plot.line("", [[place, 0.0], [place, 2.0]], frame).line(
                "",
                [[0.0, place], [2.0, place]],
                frame,
            );
        }
        for (a, row) in costs.iter().enumerate() {
            plot = plot
                .text([-0.37, 1.5 - a as f64], MOVES[a])
                .text([0.5 + a as f64, 2.15], MOVES[a]);
            for (b, [first, second]) in row.iter().enumerate() {
                plot = plot.text(
                    [0.5 + b as f64, 1.5 - a as f64],
                    &format!("{first}, {second}"),
                );
            }
        }
        plot.text([1.0, 2.45], "B")
            .text([-0.37, 2.15], "A")
            .text([1.0, -0.17], "shaded: neither gains by moving alone")
    }
}

impl Experiment for Games {
    const WORD: &'static str = "games";

    fn with(self, _: Option<u64>, _: u64) -> Self {
        self
    }

    fn check(&self) -> Result<()> {
        check("lr", self.lr, 0.001..=1.0)?;
        check("steps", self.steps, 1..=1000)
    }

    fn report(&self) -> Result<Report> {
        let found = self.observe();
        let mut text = String::from("prisoner's dilemma, pure equilibria:");
        for [a, b] in &found.equilibria {
            let _ = write!(text, " ({a}, {b})");
        }
        let [low, high] = found.alternating_range;
        let _ = write!(
            text,
            "\nmin_x max_y x y from (1, 0), learning rate {}, distance from (0, 0) after {} steps:\n\
             simultaneous           {:.4}: times {:.6} a step, sqrt(1 + lr^2) = {:.6}\n\
             alternating            {:.4}: {low:.4} to {high:.4} all the way\n\
             mean of alternating    {:.4}\n\
             extragradient          {:.4}\n",
            self.lr,
            self.steps,
            found.simultaneous,
            found.growth,
            found.growth_in_theory,
            found.alternating,
            found.averaged,
            found.extragradient
        );
        let alternating = walk(Rule::Alternating, self.lr, self.steps);
        let ways = [
            (
                "simultaneous",
                walk(Rule::Simultaneous, self.lr, self.steps),
                Style::solid(VERMILION),
            ),
            ("alternating", alternating.clone(), Style::solid(BLUE)),
            (
                "mean of alternating",
                averaged(&alternating),
                Style::solid(SKY),
            ),
            (
                "extragradient",
                walk(Rule::Extragradient, self.lr, self.steps),
                Style::solid(GREEN),
            ),
        ];
        // Those that run away leave the picture.
        let limit = found.simultaneous.clamp(1.5, 4.0);
        let mut plane = Plot::new("min_x max_y x y, from (1, 0)", "x", "y")
            .x_range(-limit, limit)
            .y_range(-limit, limit);
        let mut course = Plot::new("Distance from the equilibrium", "step", "sqrt(x^2 + y^2)")
            .log_y()
            .y_range(5e-4, 1.5 * found.simultaneous);
        for (name, places, style) in &ways {
            plane = plane.line("", places.iter().copied(), *style);
            let distances = radii(places).into_iter().enumerate();
            course = course.line(
                name,
                distances.map(|(step, radius)| [step as f64, radius]),
                *style,
            );
        }
        let plane = plane.dots("", [[0.0, 0.0]], INK, 4.0);
        let theory =
            (0..=self.steps).map(|step| [step as f64, found.growth_in_theory.powf(step as f64)]);
        let course = course.line("sqrt(1 + lr^2)^step", theory, Style::dotted(INK));
        Ok(Report {
            text,
            numbers: serde_json::to_value(&found)?,
            plot: panels(&[Self::table(), plane, course], 3, 500, 480),
            frames: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prisoners_betray_each_other() {
        assert_eq!(equilibria(&prisoners()), [(0, 0)]);
        assert_eq!(
            Games::default().observe().equilibria,
            [["betray", "betray"]]
        );
        // Both would be better off otherwise.
        let costs = prisoners();
        assert!(costs[1][1][0] < costs[0][0][0] && costs[1][1][1] < costs[0][0][1]);
    }

    #[test]
    fn other_games_have_two_equilibria_or_none() {
        // Driving on the same side, and matching pennies.
        let sides = vec![vec![[0.0, 0.0], [9.0, 9.0]], vec![[9.0, 9.0], [0.0, 0.0]]];
        assert_eq!(equilibria(&sides), [(0, 0), (1, 1)]);
        let pennies = vec![
            vec![[1.0, -1.0], [-1.0, 1.0]],
            vec![[-1.0, 1.0], [1.0, -1.0]],
        ];
        assert!(equilibria(&pennies).is_empty());
        // Three moves against two.
        let uneven = vec![
            vec![[3.0, 1.0], [3.0, 2.0]],
            vec![[1.0, 5.0], [2.0, 4.0]],
            vec![[2.0, 0.0], [1.0, 3.0]],
        ];
        assert_eq!(equilibria(&uneven), []);
    }

    #[test]
    fn simultaneous_players_leave_by_the_same_factor_each_step() {
        for rate in [0.01, 0.1, 0.5, 1.0] {
            let distances = radii(&walk(Rule::Simultaneous, rate, 100));
            let factor = (1.0 + rate * rate).sqrt();
            for pair in distances.windows(2) {
                assert!((pair[1] / pair[0] - factor).abs() < 1e-12, "{rate}");
            }
        }
    }

    #[test]
    fn alternating_players_stay_on_an_ellipse() {
        for rate in [0.01, 0.1, 0.5, 1.0] {
            for [x, y] in walk(Rule::Alternating, rate, 1000) {
                // x^2 + y^2 - lr x y never changes.
                assert!((x * x + y * y - rate * x * y - 1.0).abs() < 1e-10, "{rate}");
                let squared = x * x + y * y;
                let (low, high) = (1.0 / (1.0 + rate / 2.0), 1.0 / (1.0 - rate / 2.0));
                assert!(
                    low - 1e-9 <= squared && squared <= high + 1e-9,
                    "{rate}: {squared}"
                );
            }
        }
    }

    #[test]
    fn means_and_extragradients_arrive() {
        let rate: f64 = 0.2;
        let steps = 1000;
        let factor = (1.0 - rate.powi(2) + rate.powi(4)).sqrt();
        let distances = radii(&walk(Rule::Extragradient, rate, steps));
        for pair in distances.windows(2) {
            assert!((pair[1] / pair[0] - factor).abs() < 1e-9);
        }
        assert!(distances[steps as usize] < 1e-6);
        let means = radii(&averaged(&walk(Rule::Alternating, rate, steps)));
        assert!(means[steps as usize] < 0.02, "{}", means[steps as usize]);
    }
}
