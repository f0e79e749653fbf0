//! Chairs, tables and shelves made of random numbers: what stands in for the volumetric files of 3D-ShapeNets where
//! these have not been downloaded.
//!
//! Like the real files a piece stands within the middle of 30 voxels, on a floor 3 voxels above the lowest, and comes
//! in 12 orientations of 30 degrees; at the first the back of a chair is on the side of +x. A piece is a few solids in
//! exact coordinates, which are looked up at the middle of each voxel after it was turned: no voxels are rotated.

use crate::voxels::Voxels;

/// The side of the grid that lengths are measured in, as in 3D-ShapeNets.
pub const SIDE: usize = 30;

/// In how many orientations a piece comes.
pub const ORIENTATIONS: usize = 12;

/// The height of the floor.
const FLOOR: f64 = 3.0;

/// The farthest that a piece may reach from its middle in any direction along the floor.
const REACH: f64 = 13.0;

/// The highest that a piece may be.
const HEIGHT: f64 = 24.0;

/// Half the thickness of what stands upright: at any angle such a plate or rod has voxels that share faces.
const THIN: f64 = 0.75;

/// A kind of furniture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a back, with or without arms, on four legs, a pedestal, a sled or a solid base.
    Chair,
    /// Round or rectangular, on legs, a pedestal or a trestle, with or without a lower shelf.
    Table,
    /// A bookcase or an open rack, with or without back, divider and legs.
    Shelf,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Chair, Self::Table, Self::Shelf];
}

/// One piece of furniture, in voxels of a grid of [`SIDE`], around the middle of its place on the floor.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    solids: Vec<Solid>,
}

impl Piece {
    /// A random piece. `uniform` gives numbers from 0 to below 1; equal numbers make equal pieces.
    pub fn draw(kind: Kind, uniform: &mut dyn FnMut() -> f64) -> Self {
        let mut chance = Chance(uniform);
        let solids = match kind {
            Kind::Chair => chair(&mut chance),
            Kind::Table => table(&mut chance),
            Kind::Shelf => shelf(&mut chance),
        };
        Self { solids }
    }

    /// The piece in a cube of `side` voxels, turned counter-clockwise seen from above by `orientation` twelfths of a
    /// circle.
    ///
    /// The piece grows with the cube: at a `side` of 60 it is twice as large in voxels as at [`SIDE`].
    ///
    /// # Panics
    /// If `side` is below [`SIDE`], where thin parts would break, or above [`Voxels::MOST_SIDE`].
    pub fn voxels(&self, side: usize, orientation: usize) -> Voxels {
        assert!(side >= SIDE, "furniture in a cube of {side} voxels");
        let turn =
            std::f64::consts::TAU * (orientation % ORIENTATIONS) as f64 / ORIENTATIONS as f64;
        let (sin, cos) = turn.sin_cos();
        let unit = SIDE as f64 / side as f64;
        let middle = SIDE as f64 / 2.0;
        let mut voxels = Voxels::new([side; 3]);
        for z in 0..side {
            let up = (z as f64 + 0.5) * unit - FLOOR;
            let here: Vec<&Solid> = self.solids.iter().filter(|solid| solid.is_at(up)).collect();
            if up < 0.0 || here.is_empty() {
                continue;
            }
            for x in 0..side {
                for y in 0..side {
                    let [east, north] = [x, y].map(|index| (index as f64 + 0.5) * unit - middle);
                    let at = [east * cos + north * sin, north * cos - east * sin, up];
                    if here.iter().any(|solid| solid.holds(at)) {
                        voxels.set([x, y, z], true);
                    }
                }
            }
        }
        voxels
    }
}

/// Random choices.
struct Chance<'a>(&'a mut dyn FnMut() -> f64);

impl Chance<'_> {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.0)()
    }

    /// A whole number from `low` to `high`.
    fn whole(&mut self, low: usize, high: usize) -> usize {
        low + (((high - low + 1) as f64 * (self.0)()) as usize).min(high - low)
    }

    fn happens(&mut self, share: f64) -> bool {
        (self.0)() < share
    }

    /// The number of one of these shares, as often as it says.
    fn one_of<const N: usize>(&mut self, shares: [f64; N]) -> usize {
        let mut left = (self.0)() * shares.iter().sum::<f64>();
        for (number, share) in shares.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return number;
            }
        }
        N - 1
    }
}

/// A part of a piece, from height `low` to height `high`.
#[derive(Debug, Clone, PartialEq)]
struct Solid {
    low: f64,
    high: f64,
    form: Form,
}

/// A shape along the floor, which may change with height. Depth is along x, width along y.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// A rectangle with corners rounded by `round`, whose middle moves by `lean` along x and y for each unit of height.
    Block {
        middle: [f64; 2],
        half: [f64; 2],
        round: f64,
        lean: [f64; 2],
    },
    /// An ellipse, whose radii grow by `flare` for each unit of height.
    Round {
        middle: [f64; 2],
        radii: [f64; 2],
        flare: f64,
    },
    /// A rectangle whose height ends in an arch: lower by `drop` at its ends along y.
    Arch {
        middle: [f64; 2],
        half: [f64; 2],
        lean: f64,
        drop: f64,
    },
    /// A wall along an ellipse, open towards -x: where x is above `from`.
    Wall {
        radii: [f64; 2],
        thickness: f64,
        from: f64,
        lean: f64,
    },
    /// A bar of half-width `half` between two places.
    Bar { ends: [[f64; 2]; 2], half: f64 },
}

impl Solid {
    fn is_at(&self, up: f64) -> bool {
        (self.low..self.high).contains(&up)
    }

    fn holds(&self, [x, y, up]: [f64; 3]) -> bool {
        let risen = up - self.low;
        match &self.form {
            Form::Block {
                middle,
                half,
                round,
                lean,
            } => {
                let away = [
                    x - middle[0] - lean[0] * risen,
                    y - middle[1] - lean[1] * risen,
                ];
                let out: [f64; 2] = std::array::from_fn(|k| away[k].abs() - half[k] + round);
                out[0].max(0.0).hypot(out[1].max(0.0)) <= *round
            }
            Form::Round {
                middle,
                radii,
                flare,
            } => {
                let grown = flare * risen;
                let share = |k: usize, at: f64| (at - middle[k]) / (radii[k] + grown);
                share(0, x).hypot(share(1, y)) <= 1.0
            }
            Form::Arch {
                middle,
                half,
                lean,
                drop,
            } => {
                let across = (y - middle[1]) / half[1];
                (x - middle[0] - lean * risen).abs() <= half[0]
                    && across.abs() <= 1.0
                    && up <= self.high - drop * across * across
            }
            Form::Wall {
                radii,
                thickness,
                from,
                lean,
            } => {
                let x = x - lean * risen;
                let outer = (x / radii[0]).hypot(y / radii[1]);
                let inner = (x / (radii[0] - thickness)).hypot(y / (radii[1] - thickness));
                x >= *from && outer <= 1.0 && inner >= 1.0
            }
            Form::Bar { ends, half } => {
                let [from, to] = ends;
                let along = [to[0] - from[0], to[1] - from[1]];
                let square = along[0] * along[0] + along[1] * along[1];
                let share = ((x - from[0]) * along[0] + (y - from[1]) * along[1]) / square;
                let share = share.clamp(0.0, 1.0);
                let nearest = [from[0] + share * along[0], from[1] + share * along[1]];
                (x - nearest[0]).hypot(y - nearest[1]) <= *half
            }
        }
    }
}

/// A block from a place to another.
fn block(x: [f64; 2], y: [f64; 2], up: [f64; 2]) -> Solid {
    Solid {
        low: up[0],
        high: up[1],
        form: Form::Block {
            middle: [(x[0] + x[1]) / 2.0, (y[0] + y[1]) / 2.0],
            half: [(x[1] - x[0]) / 2.0, (y[1] - y[0]) / 2.0],
            round: 0.0,
            lean: [0.0; 2],
        },
    }
}

fn round(middle: [f64; 2], radius: f64, up: [f64; 2]) -> Solid {
    Solid {
        low: up[0],
        high: up[1],
        form: Form::Round {
            middle,
            radii: [radius; 2],
            flare: 0.0,
        },
    }
}

fn bar(ends: [[f64; 2]; 2], half: f64, up: [f64; 2]) -> Solid {
    Solid {
        low: up[0],
        high: up[1],
        form: Form::Bar { ends, half },
    }
}

/// The same solid on both sides of the middle along y.
fn both_sides(solid: impl Fn(f64) -> Solid) -> [Solid; 2] {
    [solid(-1.0), solid(1.0)]
}

/// Four legs from the floor to `top`, whose middles are at `half` under the top and farther out by `splay` a unit
/// below.
fn four_legs(
    chance: &mut Chance,
    half: [f64; 2],
    top: f64,
    thickness: f64,
    splay: [f64; 2],
) -> Vec<Solid> {
    let is_round = chance.happens(0.4);
    let mut legs = Vec::new();
    for (x, y) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
        let sign = [x, y];
        legs.push(Solid {
            low: 0.0,
            high: top,
            form: Form::Block {
                middle: [0, 1].map(|k| sign[k] * (half[k] + splay[k] * top)),
                half: [thickness; 2],
                round: if is_round { thickness } else { 0.0 },
                lean: [0, 1].map(|k| -sign[k] * splay[k]),
            },
        });
    }
    legs
}

/// Bars between four legs, at one height.
fn stretchers(chance: &mut Chance, half: [f64; 2], up: f64) -> Vec<Solid> {
    let heights = [up, up + 1.0];
    let [x, y] = half;
    let rail = |from: [f64; 2], to: [f64; 2]| bar([from, to], THIN, heights);
    match chance.one_of([2.0, 1.0, 1.0]) {
        // On both sides, with one across.
        0 => vec![
            rail([-x, -y], [x, -y]),
            rail([-x, y], [x, y]),
            rail([0.0, -y], [0.0, y]),
        ],
        // All around.
        1 => vec![
            rail([-x, -y], [x, -y]),
            rail([-x, y], [x, y]),
            rail([-x, -y], [-x, y]),
            rail([x, -y], [x, y]),
        ],
        // From corner to corner.
        _ => vec![rail([-x, -y], [x, y]), rail([-x, y], [x, -y])],
    }
}

/// A column on a foot of some kind, from the floor to `top`; the foot reaches `reach` far.
fn pedestal(chance: &mut Chance, top: f64, reach: f64) -> Vec<Solid> {
    let thickness = chance.between(1.0, 2.2);
    let mut solids = vec![round([0.0; 2], thickness, [0.0, top])];
    match chance.one_of([3.0, 2.0, 1.5]) {
        0 => {
            // A star on castors.
            let feet = chance.whole(4, 6);
            let first = chance.between(0.0, 1.0);
            let lifted = if chance.happens(0.6) { 1.0 } else { 0.0 };
            for foot in 0..feet {
                let turn = std::f64::consts::TAU * (foot as f64 + first) / feet as f64;
                let end = [reach * turn.cos(), reach * turn.sin()];
                solids.push(bar([[0.0; 2], end], 0.8, [lifted, lifted + 1.0]));
                if lifted > 0.0 {
                    solids.push(round(end, 1.0, [0.0, lifted + 1.0]));
                }
            }
        }
        1 => {
            let height = chance.whole(1, 2) as f64;
            solids.push(round([0.0; 2], reach, [0.0, height]));
        }
        _ => {
            // A trumpet.
            let height = chance.between(0.3, 0.6) * top;
            solids.push(Solid {
                low: 0.0,
                high: height,
                form: Form::Round {
                    middle: [0.0; 2],
                    radii: [reach; 2],
                    flare: -(reach - thickness) / height,
                },
            });
        }
    }
    solids
}

/// The seat of a chair: what the other parts go by.
struct Seat {
    /// Half of depth and width.
    half: [f64; 2],
    bottom: f64,
    top: f64,
}

fn chair(chance: &mut Chance) -> Vec<Solid> {
    let half = [chance.between(5.8, 8.8), chance.between(5.8, 9.2)];
    let bottom = chance.whole(7, 11) as f64;
    let thickness = chance.whole(1, 3) as f64;
    let seat = Seat {
        half,
        bottom,
        top: bottom + thickness,
    };
    let is_tub = chance.happens(0.15);
    let is_round = is_tub || chance.happens(0.15);
    let corner = if chance.happens(0.5) {
        chance.between(0.5, 3.0)
    } else {
        0.0
    };
    let mut solids = vec![Solid {
        low: seat.bottom,
        high: seat.top,
        form: if is_round {
            Form::Round {
                middle: [0.0; 2],
                radii: half,
                flare: 0.0,
            }
        } else {
            Form::Block {
                middle: [0.0; 2],
                half,
                round: corner,
                lean: [0.0; 2],
            }
        },
    }];
    solids.extend(base_of_chair(chance, &seat, is_round));
    let top = chance.whole(19, HEIGHT as usize) as f64;
    if is_tub {
        let lean = chance.between(0.0, 0.12);
        solids.push(Solid {
            low: seat.bottom,
            high: top,
            form: Form::Wall {
                radii: half,
                thickness: chance.between(1.5, 2.4),
                from: chance.between(-0.5, 0.35) * half[0],
                lean,
            },
        });
    } else {
        solids.extend(back_of_chair(chance, &seat, top, is_round));
        if !is_round && chance.happens(0.45) {
            solids.extend(arms_of_chair(chance, &seat, top));
        }
    }
    solids
}

fn base_of_chair(chance: &mut Chance, seat: &Seat, is_round: bool) -> Vec<Solid> {
    let [depth, width] = seat.half;
    // Under a round seat legs stand nearer to the middle.
    let inset = if is_round { 0.62 } else { 1.0 };
    match chance.one_of([6.0, 2.2, 1.3, 1.3]) {
        0 => {
            let thickness = chance.between(THIN, 1.5);
            let splay = if chance.happens(0.4) {
                chance.between(0.05, 0.16)
            } else {
                0.0
            };
            // What leans needs more voxels to share faces.
            let thickness = thickness + splay;
            let half = [depth, width].map(|half| half * inset - thickness);
            let mut solids = four_legs(chance, half, seat.bottom, thickness, [splay; 2]);
            if chance.happens(0.4) {
                let up = chance.whole(2, 4) as f64;
                let half = half.map(|half| half + splay * (seat.bottom - up));
                solids.extend(stretchers(chance, half, up));
            }
            solids
        }
        1 => {
            let reach = chance.between(0.75, 1.0) * depth.min(width);
            pedestal(chance, seat.bottom, reach)
        }
        2 => {
            // Two runners on the floor; the seat rests on their front ends, or on both.
            let thickness = chance.between(THIN, 1.1);
            let [x, y] = [depth, width].map(|half| half * inset - thickness);
            let is_cantilever = chance.happens(0.6);
            let mut solids = Vec::new();
            for side in [-y, y] {
                solids.push(bar([[-x, side], [x, side]], thickness, [0.0, 1.0]));
                solids.push(bar(
                    [[-x, side], [-x + 0.1, side]],
                    thickness,
                    [0.0, seat.bottom],
                ));
                if !is_cantilever {
                    solids.push(bar(
                        [[x - 0.1, side], [x, side]],
                        thickness,
                        [0.0, seat.bottom],
                    ));
                }
            }
            if is_cantilever || chance.happens(0.5) {
                solids.push(bar([[x, -y], [x, y]], thickness, [0.0, 1.0]));
            }
            solids
        }
        _ => {
            let share = chance.between(0.75, 1.0) * inset;
            let lift = if chance.happens(0.5) { 2.0 } else { 0.0 };
            let [x, y] = [depth, width].map(|half| half * share);
            let mut solids = vec![block([-x, x], [-y, y], [lift, seat.bottom])];
            if lift > 0.0 {
                solids.extend(four_legs(chance, [x - 1.0, y - 1.0], lift, 1.0, [0.0; 2]));
            }
            solids
        }
    }
}

fn back_of_chair(chance: &mut Chance, seat: &Seat, top: f64, is_round: bool) -> Vec<Solid> {
    let thickness = chance.between(THIN, 1.4);
    let lean = if chance.happens(0.6) {
        chance.between(0.04, 0.2)
    } else {
        0.0
    };
    let half = thickness + lean;
    let width = seat.half[1]
        * if is_round {
            0.72
        } else {
            chance.between(0.82, 1.0)
        };
    // The back may lean out over its foot, not out of its room.
    let foot = (seat.half[0] * if is_round { 0.72 } else { 1.0 } - half)
        .min((REACH * REACH - width * width).sqrt() - half - lean * (top - seat.bottom));
    let plate = |y: [f64; 2], up: [f64; 2]| Solid {
        low: up[0],
        high: up[1],
        form: Form::Block {
            middle: [foot + lean * (up[0] - seat.bottom), (y[0] + y[1]) / 2.0],
            half: [half, (y[1] - y[0]) / 2.0],
            round: 0.0,
            lean: [lean, 0.0],
        },
    };
    let post = chance.between(THIN, 1.2) + lean;
    let posts = |top: f64| {
        both_sides(|side| {
            let at = side * (width - post);
            plate([at - post, at + post], [seat.bottom, top])
        })
    };
    match chance.one_of([3.0, 2.0, 2.0, 2.0, 1.5]) {
        0 => vec![plate([-width, width], [seat.bottom, top])],
        1 => vec![Solid {
            low: seat.bottom,
            high: top,
            form: Form::Arch {
                middle: [foot, 0.0],
                half: [half, width],
                lean,
                drop: chance.between(2.5, 7.0),
            },
        }],
        2 => {
            // Upright slats under a rail.
            let rail = chance.whole(2, 3) as f64;
            let mut solids = Vec::from(posts(top));
            solids.push(plate([-width, width], [top - rail, top]));
            let slats = chance.whole(1, 3);
            let slat = if slats == 1 {
                chance.between(1.2, 2.6)
            } else {
                THIN + lean / 2.0
            };
            for number in 0..slats {
                let at = 2.0 * width * ((number + 1) as f64 / (slats + 1) as f64 - 0.5);
                solids.push(plate([at - slat, at + slat], [seat.bottom, top - rail]));
            }
            solids
        }
        3 => {
            // A ladder.
            let rungs = chance.whole(2, 3);
            let height = chance.whole(2, 3) as f64;
            let mut solids = Vec::from(posts(top));
            let step = ((top - seat.top) / rungs as f64).floor();
            for rung in 0..rungs {
                let up = top - rung as f64 * step;
                solids.push(plate([-width, width], [up - height.min(step - 1.0), up]));
            }
            solids
        }
        _ => {
            // A cushion on posts, with a gap over the seat.
            let gap = chance.whole(2, 4) as f64;
            let mut solids = Vec::from(posts(top - 1.0));
            solids.push(plate([-width, width], [seat.top + gap, top]));
            solids
        }
    }
}

fn arms_of_chair(chance: &mut Chance, seat: &Seat, top: f64) -> Vec<Solid> {
    let [depth, width] = seat.half;
    let up = (seat.top + chance.whole(3, 5) as f64).min(top - 3.0);
    let half = chance.between(THIN, 1.3);
    let front = -depth * chance.between(0.5, 0.95);
    let is_solid = chance.happens(0.35);
    both_sides(|side| {
        let y = side * (width - half);
        block(
            [front, depth],
            [y - half, y + half],
            [if is_solid { seat.bottom } else { up - 1.0 }, up],
        )
    })
    .into_iter()
    .chain(both_sides(|side| {
        let y = side * (width - half);
        let post = half.min(1.0);
        block(
            [front, front + 2.0 * post],
            [y - post, y + post],
            [seat.bottom, up],
        )
    }))
    .collect()
}

fn table(chance: &mut Chance) -> Vec<Solid> {
    let top = chance.whole(9, 17) as f64;
    let thickness = chance.whole(1, 2) as f64;
    let under = top - thickness;
    let form = chance.one_of([5.0, 2.0, 1.5]);
    let half = match form {
        0 => {
            let width = chance.between(7.0, 11.6);
            let most = (REACH * REACH - width * width).sqrt().min(width);
            [chance.between(4.6, most), width]
        }
        1 => [chance.between(6.5, 12.0); 2],
        _ => {
            let width = chance.between(8.5, 12.5);
            [chance.between(0.55, 0.8) * width, width]
        }
    };
    let plate = |half: [f64; 2], up: [f64; 2], corner: f64| Solid {
        low: up[0],
        high: up[1],
        form: if form == 0 {
            Form::Block {
                middle: [0.0; 2],
                half,
                round: corner,
                lean: [0.0; 2],
            }
        } else {
            Form::Round {
                middle: [0.0; 2],
                radii: half,
                flare: 0.0,
            }
        },
    };
    let corner = if chance.happens(0.3) {
        chance.between(0.5, 3.0)
    } else {
        0.0
    };
    let mut solids = vec![plate(half, [under, top], corner)];
    // Where legs stand: under a round top nearer to the middle.
    let inset = if form == 0 { 1.0 } else { 0.66 };
    let base = chance.one_of([5.0, if form == 0 { 1.0 } else { 4.0 }, 1.6]);
    match base {
        0 => {
            let splay = if chance.happens(0.25) {
                chance.between(0.04, 0.12)
            } else {
                0.0
            };
            let thickness = chance.between(THIN, 1.7) + splay;
            let legs = half.map(|half| {
                half * inset - thickness - splay * under - chance.between(0.0, 0.12) * half
            });
            solids.extend(four_legs(chance, legs, under, thickness, [splay; 2]));
            if chance.happens(0.4) {
                // An apron.
                let height = chance.whole(1, 3) as f64;
                let [x, y] = legs;
                for (from, to) in [
                    ([-x, -y], [x, -y]),
                    ([-x, y], [x, y]),
                    ([-x, -y], [-x, y]),
                    ([x, -y], [x, y]),
                ] {
                    solids.push(bar([from, to], THIN, [under - height, under]));
                }
            }
            if chance.happens(0.3) {
                let up = chance.whole(2, 4) as f64;
                let reach = legs.map(|half| half + splay * (under - up) + 0.3);
                solids.push(block(
                    [-reach[0], reach[0]],
                    [-reach[1], reach[1]],
                    [up, up + 1.0],
                ));
            }
        }
        1 => {
            let reach = half[0].min(half[1]) * chance.between(0.5, 0.85);
            solids.extend(pedestal(chance, under, reach));
        }
        _ => {
            // Two ends and a beam between them.
            let at = half[1] * inset * chance.between(0.7, 0.9);
            let depth = half[0] * inset * chance.between(0.7, 0.95);
            let plate = chance.between(THIN, 1.3);
            let up = (under * chance.between(0.25, 0.7)).floor();
            let is_panel = chance.happens(0.5);
            for side in [-at, at] {
                if is_panel {
                    solids.push(block(
                        [-depth, depth],
                        [side - plate, side + plate],
                        [0.0, under],
                    ));
                } else {
                    let foot =
                        |up: [f64; 2]| block([-depth, depth], [side - plate, side + plate], up);
                    solids.push(foot([0.0, 1.0]));
                    solids.push(foot([under - 1.0, under]));
                    solids.push(block(
                        [-1.2, 1.2],
                        [side - plate, side + plate],
                        [0.0, under],
                    ));
                }
            }
            solids.push(bar([[0.0, -at], [0.0, at]], 0.9, [up, up + 2.0]));
        }
    }
    solids
}

fn shelf(chance: &mut Chance) -> Vec<Solid> {
    let height = chance.whole(14, HEIGHT as usize) as f64;
    let depth = chance.between(2.8, 5.0);
    let width = chance.between(4.8, 11.0);
    let legs = if chance.happens(0.35) {
        chance.whole(2, 3) as f64
    } else {
        0.0
    };
    // A high one without a board between the ends would be a frame.
    let fewest = if height < 18.0 { 2 } else { 3 };
    let boards = chance
        .whole(fewest, 6)
        .min(((height - legs) / 3.0) as usize);
    let side = chance.between(THIN, 1.0);
    let is_rack = chance.happens(0.25);
    let mut solids = Vec::new();
    let y = width - side;
    if is_rack {
        // Posts at the corners.
        let x = depth - side;
        solids.extend(four_legs(chance, [x, y], height, side, [0.0; 2]));
    } else {
        solids.extend(both_sides(|sign| {
            block(
                [-depth, depth],
                [sign * y - side, sign * y + side],
                [legs, height],
            )
        }));
        if legs > 0.0 {
            let x = depth - 1.0;
            solids.extend(four_legs(chance, [x, width - 1.0], legs, 1.0, [0.0; 2]));
        }
    }
    // The lowest and the highest board, and others between them.
    let room = height - 1.0 - legs;
    for board in 0..boards {
        let up = legs + (room * board as f64 / (boards - 1) as f64).round();
        solids.push(block([-depth, depth], [-width, width], [up, up + 1.0]));
    }
    if chance.happens(0.6) {
        solids.push(block(
            [depth - 2.0 * THIN, depth],
            [-width, width],
            [legs, height],
        ));
    }
    if width > 7.0 && chance.happens(0.4) {
        let at = if chance.happens(0.6) {
            0.0
        } else {
            chance.between(-0.35, 0.35) * width
        };
        solids.push(block(
            [-depth, depth],
            [at - THIN, at + THIN],
            [legs, height],
        ));
    }
    solids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{Components, Neighbours};

    fn uniform(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn pieces(kind: Kind, count: u64) -> Vec<Piece> {
        (0..count)
            .map(|seed| Piece::draw(kind, &mut uniform(seed + 1)))
            .collect()
    }

    #[test]
    fn every_piece_is_one_and_stands_on_the_floor() {
        for kind in Kind::ALL {
            for (seed, piece) in pieces(kind, 60).iter().enumerate() {
                for orientation in 0..ORIENTATIONS {
                    let what = format!("{kind:?} {seed} at {orientation}");
                    let voxels = piece.voxels(SIDE, orientation);
                    let sizes = Components::of(&voxels, Neighbours::Faces);
                    assert_eq!(sizes.sizes().len(), 1, "{what}: {:?}", sizes.sizes());
                    let (mut low, mut high) = ([SIDE; 3], [0; 3]);
                    for at in voxels.full() {
                        for axis in 0..3 {
                            low[axis] = low[axis].min(at[axis]);
                            high[axis] = high[axis].max(at[axis]);
                        }
                    }
                    assert_eq!(low[2], 3, "{what}");
                    assert!(high[2] <= 26, "{what}: {high:?}");
                    // The middle 28 voxels.
                    for axis in 0..2 {
                        assert!(
                            low[axis] >= 1 && high[axis] <= 28,
                            "{what}: {low:?} {high:?}"
                        );
                        let off = (low[axis] + high[axis]) as f64 / 2.0 - 14.5;
                        assert!(off.abs() <= 2.5, "{what}: {low:?} {high:?}");
                    }
                    let share = voxels.count() as f64 / voxels.len() as f64;
                    assert!((0.005..0.25).contains(&share), "{what}: {share}");
                }
            }
        }
    }

    #[test]
    fn quarter_turns_are_exact() {
        for kind in Kind::ALL {
            for piece in pieces(kind, 20) {
                let first = piece.voxels(SIDE, 0);
                let turned = piece.voxels(SIDE, 3);
                let differing = (0..SIDE.pow(3))
                    .map(|index| [index / 900, index / 30 % 30, index % 30])
                    .filter(|&[x, y, z]| first.is_full([x, y, z]) != turned.is_full([29 - y, x, z]))
                    .count();
                // Middles on the border of a solid may fall to either side.
                assert!(differing <= 12, "{differing}");
                assert_eq!(piece.voxels(SIDE, 12), first);
            }
        }
    }

    #[test]
    fn the_back_of_a_chair_is_where_the_real_ones_have_it() {
        let chairs = pieces(Kind::Chair, 60);
        for (orientation, axis, sign) in [(0, 0, 1.0), (3, 1, 1.0), (6, 0, -1.0), (9, 1, -1.0)] {
            for chair in &chairs {
                let high: Vec<f64> = chair
                    .voxels(SIDE, orientation)
                    .full()
                    .filter(|at| at[2] >= 20)
                    .map(|at| at[axis] as f64 - 14.5)
                    .collect();
                let mean = high.iter().sum::<f64>() / high.len() as f64;
                assert!(mean * sign > 1.0, "{orientation}: {mean}");
            }
        }
    }

    /// The share of voxels in which two shapes differ, of those full in either.
    fn difference(one: &Voxels, other: &Voxels) -> f64 {
        let (mut both, mut either) = (0, 0);
        for (a, b) in one.bits().iter().zip(other.bits()) {
            both += (a & b).count_ones();
            either += (a | b).count_ones();
        }
        1.0 - f64::from(both) / f64::from(either)
    }

    #[test]
    fn pieces_and_kinds_differ() {
        let count = 40;
        let shapes: Vec<Vec<Voxels>> = Kind::ALL
            .iter()
            .map(|&kind| {
                pieces(kind, count)
                    .iter()
                    .map(|piece| piece.voxels(SIDE, 0))
                    .collect()
            })
            .collect();
        let mean = |ones: &[Voxels], others: &[Voxels]| {
            let mut sum = (0.0, 0.0);
            for (i, one) in ones.iter().enumerate() {
                for (j, other) in others.iter().enumerate() {
                    if i != j {
                        sum = (sum.0 + difference(one, other), sum.1 + 1.0);
                    }
                }
            }
            sum.0 / sum.1
        };
        for (k, kind) in Kind::ALL.iter().enumerate() {
            let within = mean(&shapes[k], &shapes[k]);
            assert!((0.55..0.95).contains(&within), "{kind:?}: {within}");
            for (other, others) in shapes.iter().enumerate() {
                if other != k {
                    let between = mean(&shapes[k], others);
                    assert!(between > within, "{kind:?}: {within} and {between}");
                }
            }
            // No two are the same.
            for i in 0..shapes[k].len() {
                for j in 0..i {
                    assert_ne!(shapes[k][i], shapes[k][j]);
                }
            }
        }
    }

    #[test]
    fn a_larger_cube_holds_the_same_piece() {
        for kind in Kind::ALL {
            let piece = &pieces(kind, 1)[0];
            let small = piece.voxels(SIDE, 1);
            let large = piece.voxels(2 * SIDE, 1);
            let share = large.count() as f64 / (8 * small.count()) as f64;
            assert!((0.8..1.2).contains(&share), "{kind:?}: {share}");
            assert_eq!(large.full().map(|at| at[2]).min(), Some(6));
        }
    }

    #[test]
    fn equal_numbers_make_equal_pieces() {
        for kind in Kind::ALL {
            assert_eq!(pieces(kind, 5), pieces(kind, 5));
            // The ends of the range of a random number.
            for value in [0.0, 1.0 - f64::EPSILON / 2.0] {
                let piece = Piece::draw(kind, &mut || value);
                assert!(piece.voxels(SIDE, 5).count() > 100);
            }
        }
    }
}
