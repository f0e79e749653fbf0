//! Plots: lines, bands, dots and arrows over axes with numbers, drawn without jagged edges.
//!
//! ```
//! use gan_core::plot::{BLUE, Plot, Style, VERMILION};
//!
//! let curve = |f: fn(f64) -> f64| (0..=100).map(move |at| [f64::from(at) / 10.0, f(f64::from(at) / 10.0)]);
//! let picture = Plot::new("Two waves", "x", "y")
//!     .line("sine", curve(f64::sin), Style::solid(BLUE))
//!     .line("cosine", curve(f64::cos), Style::dashed(VERMILION))
//!     .draw(640, 480);
//! assert_eq!(picture.dimensions(), (640, 480));
//! ```
//!
//! Texts are printable ASCII, other characters appear as `?`; what follows a `^` up to the
//! next space or bracket is raised.

use crate::picture::{GLYPH_ADVANCE, GLYPH_HEIGHT, GLYPH_WIDTH, has_dot};
use image::{Rgb, RgbImage};

/// A position in the units of the axes: x, y.
pub type Point = [f64; 2];

/// Of axes and texts.
pub const INK: Rgb<u8> = Rgb([45, 48, 54]);
/// For what only accompanies the rest.
pub const GREY: Rgb<u8> = Rgb([140, 144, 150]);
/// The colours of Okabe and Ito (2008), which the colour-blind tell apart, too; yellow, which white swallows, is not
/// among them.
pub const BLUE: Rgb<u8> = Rgb([0, 114, 178]);
/// See [`BLUE`].
pub const VERMILION: Rgb<u8> = Rgb([213, 94, 0]);
/// See [`BLUE`].
pub const GREEN: Rgb<u8> = Rgb([0, 158, 115]);
/// See [`BLUE`].
pub const PURPLE: Rgb<u8> = Rgb([204, 121, 167]);
/// See [`BLUE`].
pub const ORANGE: Rgb<u8> = Rgb([230, 159, 0]);
/// See [`BLUE`].
pub const SKY: Rgb<u8> = Rgb([86, 180, 233]);
/// For a row of lines, in the order in which they are best told apart.
pub const COLOURS: [Rgb<u8>; 6] = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY];

const PAPER: [f32; 3] = [255.0; 3];
const GRID: Rgb<u8> = Rgb([230, 232, 235]);

/// Pixels a dot of the font.
const TITLE_DOT: f64 = 1.8;
const LABEL_DOT: f64 = 1.6;
const NUMBER_DOT: f64 = 1.4;

/// Distance between things that belong together, in pixels.
const GAP: f64 = 7.0;
/// Length of the line beside a name in the legend, in pixels.
const SAMPLE: f64 = 30.0;

/// Whether a line is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    /// It is not.
    Solid,
    /// Long pieces.
    Dashed,
    /// Dots.
    Dotted,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Its colour.
    pub colour: Rgb<u8>,
    /// Its width in pixels.
    pub width: f64,
    /// Whether it is interrupted.
    pub dash: Dash,
}

impl Style {
    /// A line without interruptions, 2 pixels wide.
    pub const fn solid(colour: Rgb<u8>) -> Self {
        Self {
            colour,
            width: 2.0,
            dash: Dash::Solid,
        }
    }

    /// A line of long pieces, 2 pixels wide.
    pub const fn dashed(colour: Rgb<u8>) -> Self {
        Self {
            dash: Dash::Dashed,
            ..Self::solid(colour)
        }
    }

    /// A line of dots, 2.6 pixels wide.
    pub const fn dotted(colour: Rgb<u8>) -> Self {
        Self {
            width: 2.6,
            dash: Dash::Dotted,
            ..Self::solid(colour)
        }
    }

    /// The same line of another width, in pixels.
    #[must_use]
    pub const fn width(self, width: f64) -> Self {
        Self { width, ..self }
    }
}

/// What stands in a plot.
#[derive(Clone, Debug)]
enum Mark {
    Line(Vec<Point>, Style),
    Band(Vec<[f64; 3]>, Rgb<u8>),
    Dots(Vec<Point>, Rgb<u8>, f64),
    Arrows(Vec<[Point; 2]>, Style),
    Text(Point, String),
}

#[derive(Clone, Debug, Default)]
struct Axis {
    label: String,
    range: Option<[f64; 2]>,
    is_log: bool,
    ticks: Option<Vec<f64>>,
}

/// A plot that is being put together.
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    axes: [Axis; 2],
    // Each with its name in the legend, or none.
    marks: Vec<(String, Mark)>,
    is_bare: bool,
}

impl Plot {
    /// An empty plot. Empty texts take no room.
    #[must_use]
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let axis = |label: &str| Axis {
            label: label.to_owned(),
            ..Axis::default()
        };
        Self {
            title: title.to_owned(),
            axes: [axis(x_label), axis(y_label)],
            marks: Vec::new(),
            is_bare: false,
        }
    }

    /// What the horizontal axis spans; without this, all that is drawn. A range that is empty or not finite counts as none.
    #[must_use]
    pub fn x_range(mut self, low: f64, high: f64) -> Self {
        self.axes[0].range = Some([low, high]);
        self
    }

    /// As [`Plot::x_range`], for the vertical axis.
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.axes[1].range = Some([low, high]);
        self
    }

    /// Makes the horizontal axis logarithmic: what is not positive is left out.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.axes[0].is_log = true;
        self
    }

    /// As [`Plot::log_x`], for the vertical axis.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.axes[1].is_log = true;
        self
    }

    /// Where numbers stand at the horizontal axis, instead of round ones.
    #[must_use]
    pub fn x_ticks(mut self, ticks: &[f64]) -> Self {
        self.axes[0].ticks = Some(ticks.to_vec());
        self
    }

    /// As [`Plot::x_ticks`], for the vertical axis.
    #[must_use]
    pub fn y_ticks(mut self, ticks: &[f64]) -> Self {
        self.axes[1].ticks = Some(ticks.to_vec());
        self
    }

    /// Leaves out axes, numbers and grid.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// A line through points in order. It is interrupted at points that are not finite. An empty name, here and below, is
    /// not in the legend; what comes later lies above what came before.
    #[must_use]
    pub fn line(self, name: &str, points: impl IntoIterator<Item = Point>, style: Style) -> Self {
        self.mark(name, Mark::Line(points.into_iter().collect(), style))
    }

    /// A pale area between two heights: x, lower, upper, in ascending order of x.
    #[must_use]
    pub fn band(
        self,
        name: &str,
        edges: impl IntoIterator<Item = [f64; 3]>,
        colour: Rgb<u8>,
    ) -> Self {
        self.mark(name, Mark::Band(edges.into_iter().collect(), colour))
    }

    /// Round dots with a radius in pixels.
    #[must_use]
    pub fn dots(
        self,
        name: &str,
        points: impl IntoIterator<Item = Point>,
        colour: Rgb<u8>,
        radius: f64,
    ) -> Self {
        self.mark(
            name,
            Mark::Dots(points.into_iter().collect(), colour, radius),
        )
    }

    /// Arrows, each from its first point to its second.
    #[must_use]
    pub fn arrows(
        self,
        name: &str,
        arrows: impl IntoIterator<Item = [Point; 2]>,
        style: Style,
    ) -> Self {
        self.mark(name, Mark::Arrows(arrows.into_iter().collect(), style))
    }

    /// A text with its middle at a point.
    #[must_use]
    pub fn text(self, middle: Point, text: &str) -> Self {
        self.mark("", Mark::Text(middle, text.to_owned()))
    }

    fn mark(mut self, name: &str, mark: Mark) -> Self {
        self.marks.push((name.to_owned(), mark));
        self
    }

    /// The plot as a picture of this size, in pixels. A size of 0 counts as 1; below about 200 x 150 the axes leave little
    /// room for anything else.
    #[must_use]
    pub fn draw(&self, width: u32, height: u32) -> RgbImage {
        let mut sheet = Sheet::new(width.max(1), height.max(1));
        let whole = sheet.whole();
        let scales = [self.scale(0), self.scale(1)];
        let area = self.area(whole, &scales);
        let frame = Frame { scales, area };
        if !self.is_bare {
            self.draw_axes(&mut sheet, &frame);
        }
        let limit = whole[2] - 2.0 * GAP;
        let title = Letters::fitting(&self.title, TITLE_DOT, limit);
        let middle = (area[0] + area[2]) / 2.0;
        // Over the middle of the axes, but never beyond the edge.
        let half = title.width() / 2.0;
        let middle = middle.min(whole[2] - GAP - half).max(GAP + half);
        sheet.write(&title, [middle, GAP + title.height() / 2.0], Towards::Right);
        for (_, mark) in &self.marks {
            frame.draw(&mut sheet, mark);
        }
        self.draw_legend(&mut sheet, &frame);
        sheet.finish()
    }

    /// Every finite value along an axis that is drawn.
    fn values(&self, axis: usize) -> impl Iterator<Item = f64> {
        let is_log = self.axes[axis].is_log;
        self.marks
            .iter()
            .flat_map(move |(_, mark)| -> Vec<f64> {
                match mark {
                    Mark::Line(points, _) | Mark::Dots(points, ..) => {
                        points.iter().map(|point| point[axis]).collect()
                    }
                    Mark::Band(edges, _) => edges
                        .iter()
                        .flat_map(|edge| {
                            if axis == 0 {
                                vec![edge[0]]
                            } else {
                                edge[1..].to_vec()
                            }
                        })
                        .collect(),
                    Mark::Arrows(arrows, _) => {
                        arrows.iter().flatten().map(|point| point[axis]).collect()
                    }
                    Mark::Text(middle, _) => vec![middle[axis]],
                }
            })
            .filter(move |value| value.is_finite() && (!is_log || *value > 0.0))
    }

    fn scale(&self, number: usize) -> Scale {
        let axis = &self.axes[number];
        let is_log = axis.is_log;
        let legal = |range: &[f64; 2]| {
            range
                .iter()
                .all(|end| end.is_finite() && (!is_log || *end > 0.0))
                && range[0] < range[1]
        };
        let place = |value: f64| if is_log { value.log10() } else { value };
        if let Some([low, high]) = axis.range.filter(legal) {
            return Scale::new(place(low), place(high), axis);
        }
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in self.values(number) {
            low = low.min(place(value));
            high = high.max(place(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let span = high - low;
        // The ends of a horizontal axis are often round numbers; at the vertical one, lines keep off the frame.
        let margin = if span <= 1e-12 * low.abs().max(high.abs()).max(1e-300) {
            if is_log {
                0.5
            } else {
                (0.5 * low.abs()).max(0.5)
            }
        } else if number == 1 {
            0.05 * span
        } else {
            0.0
        };
        Scale::new(low - margin, high + margin, axis)
    }

    /// Where marks are drawn: left, top, right, bottom.
    fn area(&self, whole: Area, scales: &[Scale; 2]) -> Area {
        let height = |text: &str, dot: f64| {
            if text.is_empty() {
                0.0
            } else {
                GAP + dot * GLYPH_ROWS
            }
        };
        let top = GAP + height(&self.title, TITLE_DOT);
        let (mut left, mut bottom) = (GAP, GAP);
        if !self.is_bare {
            let widest = scales[1]
                .ticks
                .iter()
                .map(|(_, text)| Letters::new(text, NUMBER_DOT).width())
                .fold(0.0, f64::max);
            left += height(&self.axes[1].label, LABEL_DOT) + widest + GAP;
            bottom += height(&self.axes[0].label, LABEL_DOT) + GAP + NUMBER_DOT * GLYPH_ROWS;
        }
        let right = (whole[2] - 2.0 * GAP).max(left + 1.0);
        [left, top, right, (whole[3] - bottom).max(top + 1.0)]
    }

    fn draw_axes(&self, sheet: &mut Sheet, frame: &Frame) {
        let whole = sheet.whole();
        let [left, top, right, bottom] = frame.area;
        let row = NUMBER_DOT * GLYPH_ROWS;
        let hair = |sheet: &mut Sheet, from: Point, to: Point, colour: Rgb<u8>| {
            sheet.stroke(&[vec![from, to]], 1.0, colour, 1.0, whole);
        };
        // Numbers that would touch the one before are left out.
        let mut free = f64::NEG_INFINITY;
        for (place, text) in &frame.scales[0].ticks {
            let x = (left + (right - left) * place).floor() + 0.5;
            hair(sheet, [x, top], [x, bottom], GRID);
            hair(sheet, [x, bottom], [x, bottom + 4.0], INK);
            let letters = Letters::new(text, NUMBER_DOT);
            let half = letters.width() / 2.0;
            if x - half > free {
                sheet.write(&letters, [x, bottom + GAP + row / 2.0], Towards::Right);
                free = x + half + GAP;
            }
        }
        let mut free = f64::INFINITY;
        for (place, text) in &frame.scales[1].ticks {
            let y = (bottom - (bottom - top) * place).floor() + 0.5;
            hair(sheet, [left, y], [right, y], GRID);
            hair(sheet, [left - 4.0, y], [left, y], INK);
            let letters = Letters::new(text, NUMBER_DOT);
            if y + row / 2.0 < free {
                let middle = left - GAP - letters.width() / 2.0;
                sheet.write(&letters, [middle, y], Towards::Right);
                free = y - row / 2.0 - 2.0;
            }
        }
        hair(sheet, [left, top], [left, bottom], INK);
        hair(sheet, [left, bottom], [right, bottom], INK);
        let label = Letters::fitting(&self.axes[0].label, LABEL_DOT, whole[2] - 2.0 * GAP);
        let middle = ((left + right) / 2.0).max(label.width() / 2.0 + GAP);
        let y = bottom + 2.0 * GAP + row + label.height() / 2.0;
        sheet.write(&label, [middle, y], Towards::Right);
        let label = Letters::fitting(&self.axes[1].label, LABEL_DOT, whole[3] - 2.0 * GAP);
        let middle = [GAP + label.height() / 2.0, (top + bottom) / 2.0];
        sheet.write(&label, middle, Towards::Up);
    }

    /// Draws the legend into the corner, or to the side, where least is in its way.
    fn draw_legend(&self, sheet: &mut Sheet, frame: &Frame) {
        let named: Vec<_> = self
            .marks
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .collect();
        if named.is_empty() {
            return;
        }
        let [left, top, right, bottom] = frame.area;
        let room = right - left - SAMPLE - 5.0 * GAP;
        let texts: Vec<_> = named
            .iter()
            .map(|(name, _)| Letters::fitting(name, NUMBER_DOT, room))
            .collect();
        let widest = texts.iter().map(Letters::width).fold(0.0, f64::max);
        let row = NUMBER_DOT * GLYPH_ROWS + GAP;
        let (width, height) = (SAMPLE + widest + 3.0 * GAP, row * texts.len() as f64 + GAP);
        let marked = frame.marked(&self.marks);
        let (near, far) = (left + GAP, right - GAP - width);
        let (high, low) = (top + GAP, bottom - GAP - height);
        let middle = (high + low) / 2.0;
        // In the order in which they are taken where nothing is in the way.
        let corners = [
            [far, high],
            [near, high],
            [far, low],
            [near, low],
            [far, middle],
            [near, middle],
            [(near + far) / 2.0, high],
            [(near + far) / 2.0, low],
        ];
        let in_the_way = |corner: &Point| {
            let covers = |point: &&Point| {
                (0.0..=width).contains(&(point[0] - corner[0]))
                    && (0.0..=height).contains(&(point[1] - corner[1]))
            };
            marked.iter().filter(covers).count()
        };
        let Some([x, y]) = corners.into_iter().min_by_key(in_the_way) else {
            return;
        };
        let outline = [x, y, x + width, y + height];
        sheet.fade(outline, 0.85);
        for (index, ((_, mark), text)) in named.iter().zip(&texts).enumerate() {
            let middle = y + GAP / 2.0 + row * (index as f64 + 0.5);
            let (from, to) = (x + GAP, x + GAP + SAMPLE);
            match mark {
                Mark::Line(_, style) | Mark::Arrows(_, style) => {
                    let line = [vec![[from, middle], [to, middle]]];
                    sheet.line(&line, *style, outline);
                }
                Mark::Band(_, colour) => {
                    let half = NUMBER_DOT * GLYPH_ROWS / 2.0;
                    sheet.between(
                        &[
                            [from, middle - half, middle + half],
                            [to, middle - half, middle + half],
                        ],
                        *colour,
                        outline,
                    );
                }
                Mark::Dots(_, colour, radius) => {
                    let dot = vec![[(from + to) / 2.0, middle]];
                    sheet.stroke(&[dot], 2.0 * radius, *colour, 1.0, outline);
                }
                Mark::Text(..) => {}
            }
            sheet.write(
                text,
                [to + GAP + text.width() / 2.0, middle],
                Towards::Right,
            );
        }
    }
}

/// Plots side by side, each as large as told, row by row; the end of an incomplete last row stays blank. 0 columns count
/// as 1, and no plots make a picture of one pixel.
#[must_use]
pub fn panels(plots: &[Plot], columns: usize, width: u32, height: u32) -> RgbImage {
    let columns = columns.clamp(1, plots.len().max(1));
    let rows = plots.len().div_ceil(columns) as u32;
    let (width, height) = (width.max(1), height.max(1));
    let white = Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(columns as u32 * width, (rows * height).max(1), white);
    for (index, plot) in plots.iter().enumerate() {
        let left = (index % columns) as u32 * width;
        let top = (index / columns) as u32 * height;
        let picture = plot.draw(width, height);
        image::imageops::replace(&mut sheet, &picture, i64::from(left), i64::from(top));
    }
    sheet
}

/// Left, top, right, bottom, in pixels.
type Area = [f64; 4];

/// What an axis spans (logarithms, of a logarithmic one), and its numbers with their places in 0..=1.
struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    fn new(low: f64, high: f64, axis: &Axis) -> Self {
        let mut scale = Self {
            low,
            high,
            is_log: axis.is_log,
            ticks: Vec::new(),
        };
        let texts = match &axis.ticks {
            Some(ticks) => {
                let decimals = ticks
                    .iter()
                    .map(|tick| decimals_of(*tick))
                    .max()
                    .unwrap_or(0);
                ticks
                    .iter()
                    .map(|tick| (*tick, fixed(*tick, decimals)))
                    .collect()
            }
            None if axis.is_log => log_ticks(low, high),
            None => ticks(low, high),
        };
        scale.ticks = texts
            .into_iter()
            .map(|(value, text)| (scale.place(value), text))
            .filter(|(place, _)| (-1e-9..=1.0 + 1e-9).contains(place))
            .collect();
        scale
    }

    /// Where a value stands: 0 at the low end, 1 at the high one; not finite for what has no place.
    fn place(&self, value: f64) -> f64 {
        let value = match self.is_log {
            true if value > 0.0 => value.log10(),
            true => f64::NAN,
            false => value,
        };
        (value - self.low) / (self.high - self.low)
    }
}

/// About five round numbers between two others, and how they are written.
fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = match rough / power {
        share if share < 1.5 => power,
        share if share < 3.5 => 2.0 * power,
        share if share < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    };
    let first = (low / step - 1e-6).ceil();
    let count = ((high / step + 1e-6).floor() - first).clamp(0.0, 20.0) as u32;
    let is_long = !(1e-3..1e6).contains(&low.abs().max(high.abs()));
    let decimals = decimals_of(step);
    (0..=count)
        .map(|index| {
            let value = (first + f64::from(index)) * step;
            let text = if is_long && value != 0.0 {
                scientific(value)
            } else {
                fixed(value, decimals)
            };
            (value, text)
        })
        .collect()
}

/// Powers of ten between two others, given as logarithms, or 1, 2, 5, 10 and so on where there are few.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let is_short = high - low < 1.5;
    let every = ((high - low) / 7.0).ceil().max(1.0) as i32;
    let mut ticks = Vec::new();
    for power in (first..=last).filter(|power| power.rem_euclid(every) == 0) {
        for digit in if is_short {
            &[1.0, 2.0, 5.0][..]
        } else {
            &[1.0]
        } {
            let value = digit * 10f64.powi(power);
            let text = match power {
                -2..=3 => fixed(value, decimals_of(value)),
                _ if *digit == 1.0 => format!("10^{power}"),
                _ => scientific(value),
            };
            ticks.push((value, text));
        }
    }
    ticks
}

/// How many decimals a round number needs, at most 6.
fn decimals_of(value: f64) -> usize {
    let is_whole = |decimals: &usize| {
        let scaled = value.abs() * 10f64.powi(*decimals as i32);
        (scaled - scaled.round()).abs() <= 1e-6 * scaled.max(1e-3)
    };
    (0..6).find(is_whole).unwrap_or(6)
}

fn fixed(value: f64, decimals: usize) -> String {
    // Rounding may leave a zero with a sign.
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|digit| digit == '0' || digit == '.') => rest.to_owned(),
        _ => text,
    }
}

fn scientific(value: f64) -> String {
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{power}")
        }
        None => text,
    }
}

/// From the units of the axes to pixels.
struct Frame {
    scales: [Scale; 2],
    area: Area,
}

impl Frame {
    fn pixel(&self, [x, y]: Point) -> Point {
        let [left, top, right, bottom] = self.area;
        let (across, up) = (self.scales[0].place(x), self.scales[1].place(y));
        [left + (right - left) * across, bottom - (bottom - top) * up]
    }

    /// The pieces of a line that are finite.
    fn pieces(&self, points: &[Point]) -> Vec<Vec<Point>> {
        let pixels: Vec<Point> = points.iter().map(|point| self.pixel(*point)).collect();
        pixels
            .split(|[x, y]| !(x.is_finite() && y.is_finite()))
            .filter(|piece| !piece.is_empty())
            .map(<[Point]>::to_vec)
            .collect()
    }

    fn draw(&self, sheet: &mut Sheet, mark: &Mark) {
        let area = self.area;
        // Lines along the edge of the area are not cut in half.
        let clip = [area[0] - 2.0, area[1] - 2.0, area[2] + 2.0, area[3] + 2.0];
        match mark {
            Mark::Line(points, style) => sheet.line(&self.pieces(points), *style, clip),
            Mark::Band(edges, colour) => {
                let edges: Vec<[f64; 3]> = edges
                    .iter()
                    .map(|[x, low, high]| {
                        let ([x, lower], [_, upper]) =
                            (self.pixel([*x, *low]), self.pixel([*x, *high]));
                        [x, upper, lower]
                    })
                    .collect();
                sheet.between(&edges, *colour, area);
            }
            Mark::Dots(points, colour, radius) => {
                let dots: Vec<Vec<Point>> = self
                    .pieces(points)
                    .into_iter()
                    .flatten()
                    .map(|dot| vec![dot])
                    .collect();
                sheet.stroke(&dots, 2.0 * radius, *colour, 1.0, clip);
            }
            Mark::Arrows(arrows, style) => {
                for arrow in arrows {
                    for piece in self.pieces(arrow).iter().filter(|piece| piece.len() == 2) {
                        let (from, to) = (piece[0], piece[1]);
                        sheet.line(&[vec![from, to]], *style, clip);
                        sheet.stroke(
                            &[head(from, to, *style)],
                            style.width,
                            style.colour,
                            1.0,
                            clip,
                        );
                    }
                }
            }
            Mark::Text(middle, text) => {
                let middle = self.pixel(*middle);
                if middle.iter().all(|value| value.is_finite()) {
                    sheet.write(&Letters::new(text, NUMBER_DOT), middle, Towards::Right);
                }
            }
        }
    }

    /// Places at small distances along everything that is drawn, in pixels.
    fn marked(&self, marks: &[(String, Mark)]) -> Vec<Point> {
        let mut places = Vec::new();
        for (_, mark) in marks {
            let lines = match mark {
                Mark::Line(points, _) => self.pieces(points),
                Mark::Dots(points, ..) => self
                    .pieces(points)
                    .into_iter()
                    .flatten()
                    .map(|dot| vec![dot])
                    .collect(),
                Mark::Band(edges, _) => edges
                    .iter()
                    .flat_map(|[x, low, high]| self.pieces(&[[*x, *low], [*x, *high]]))
                    .collect(),
                Mark::Arrows(arrows, _) => {
                    arrows.iter().flat_map(|arrow| self.pieces(arrow)).collect()
                }
                Mark::Text(middle, _) => self.pieces(&[*middle]),
            };
            for line in lines {
                places.extend(line.first());
                for pair in line.windows(2) {
                    // What lies far outside has no legend in its way.
                    let Some([from, to]) = clipped(pair[0], pair[1], self.area) else {
                        continue;
                    };
                    let count = (distance(from, to) / 4.0).ceil();
                    places.extend(
                        (1..=count as u32).map(|step| towards(from, to, f64::from(step) / count)),
                    );
                }
            }
        }
        places
    }
}

/// The two strokes at the end of an arrow.
fn head(from: Point, to: Point, style: Style) -> Vec<Point> {
    let length = distance(from, to);
    if length == 0.0 {
        return vec![to];
    }
    let size = (3.0 + 1.5 * style.width).min(length);
    let back = towards(to, from, size / length);
    let across = [
        (to[1] - from[1]) / length * size * 0.5,
        (from[0] - to[0]) / length * size * 0.5,
    ];
    vec![
        [back[0] + across[0], back[1] + across[1]],
        to,
        [back[0] - across[0], back[1] - across[1]],
    ]
}

fn distance(from: Point, to: Point) -> f64 {
    (to[0] - from[0]).hypot(to[1] - from[1])
}

fn towards(from: Point, to: Point, share: f64) -> Point {
    [
        from[0] + (to[0] - from[0]) * share,
        from[1] + (to[1] - from[1]) * share,
    ]
}

/// The part of a straight line inside an area (Liang and Barsky 1984).
fn clipped(from: Point, to: Point, area: Area) -> Option<[Point; 2]> {
    let (mut start, mut end) = (0.0, 1.0);
    for axis in 0..2 {
        let way = to[axis] - from[axis];
        let (low, high) = (area[axis] - from[axis], area[axis + 2] - from[axis]);
        if way == 0.0 {
            if low > 0.0 || high < 0.0 {
                return None;
            }
            continue;
        }
        let (enter, leave) = if way > 0.0 {
            (low / way, high / way)
        } else {
            (high / way, low / way)
        };
        start = f64::max(start, enter);
        end = f64::min(end, leave);
    }
    (start <= end).then(|| [towards(from, to, start), towards(from, to, end)])
}

/// Pieces of a line, each `on` pixels long, with `off` pixels between them.
fn interrupted(line: &[Point], on: f64, off: f64) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Point> = line.first().copied().into_iter().collect();
    let (mut is_on, mut left) = (true, on);
    for pair in line.windows(2) {
        let length = distance(pair[0], pair[1]);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let place = towards(pair[0], pair[1], gone / length);
            if is_on {
                piece.push(place);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece.push(place);
            }
            is_on = !is_on;
            left = if is_on { on } else { off };
        }
        left -= length - gone;
        if is_on {
            piece.push(pair[1]);
        }
    }
    if is_on && !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Rows of dots above the base line of the font.
const GLYPH_ROWS: f64 = (GLYPH_HEIGHT - 1) as f64;

/// Where a text leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Right,
    Up,
}

/// A text in its size: each character with the place of its left end and its pixels a dot.
struct Letters {
    letters: Vec<(char, Point, f64)>,
    width: f64,
    dot: f64,
}

impl Letters {
    fn new(text: &str, dot: f64) -> Self {
        let mut letters = Vec::new();
        let (mut left, mut is_raised) = (0.0, false);
        for character in text.chars() {
            if character == '^' {
                is_raised = true;
                continue;
            }
            is_raised &= !matches!(character, ' ' | '(' | ')');
            let (size, top) = if is_raised {
                (0.75 * dot, -2.5 * dot)
            } else {
                (dot, 0.0)
            };
            letters.push((character, [left, top], size));
            left += f64::from(GLYPH_ADVANCE) * size;
        }
        let space = f64::from(GLYPH_ADVANCE - GLYPH_WIDTH) * dot;
        Self {
            letters,
            width: (left - space).max(0.0),
            dot,
        }
    }

    /// The text, smaller if it would be wider than told, in pixels.
    fn fitting(text: &str, dot: f64, room: f64) -> Self {
        let letters = Self::new(text, dot);
        if letters.width <= room {
            return letters;
        }
        Self::new(text, dot * (room / letters.width).max(0.1))
    }

    fn width(&self) -> f64 {
        self.width
    }

    fn height(&self) -> f64 {
        self.dot * GLYPH_ROWS
    }

    /// What a pen draws, in pixels from the top left corner of the text.
    ///
    /// The font is one of dots. Dots beside each other are joined, so the same font is smooth at any size.
    fn strokes(&self) -> Vec<Vec<Point>> {
        let mut strokes = Vec::new();
        for (character, [left, top], dot) in &self.letters {
            let is_on = |column: u32, row: u32| {
                column < GLYPH_WIDTH && row < GLYPH_HEIGHT && has_dot(*character, column, row)
            };
            let place = |column: u32, row: u32| {
                [
                    left + (f64::from(column) + 0.5) * dot,
                    top + (f64::from(row) + 0.5) * dot,
                ]
            };
            for row in 0..GLYPH_HEIGHT {
                for column in (0..GLYPH_WIDTH).filter(|column| is_on(*column, row)) {
                    let here = place(column, row);
                    strokes.push(vec![here]);
                    let (right, down) = (is_on(column + 1, row), is_on(column, row + 1));
                    let before = column.checked_sub(1);
                    if right {
                        strokes.push(vec![here, place(column + 1, row)]);
                    }
                    if down {
                        strokes.push(vec![here, place(column, row + 1)]);
                    }
                    // A corner that is there already needs no short cut.
                    if !right && !down && is_on(column + 1, row + 1) {
                        strokes.push(vec![here, place(column + 1, row + 1)]);
                    }
                    if let Some(before) = before
                        && !is_on(before, row)
                        && !down
                        && is_on(before, row + 1)
                    {
                        strokes.push(vec![here, place(before, row + 1)]);
                    }
                }
            }
        }
        strokes
    }
}

/// Pixels while they are drawn on, 0..=255 a channel.
struct Sheet {
    width: u32,
    height: u32,
    pixels: Vec<[f32; 3]>,
}

impl Sheet {
    fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            pixels: vec![PAPER; width as usize * height as usize],
        }
    }

    fn whole(&self) -> Area {
        [0.0, 0.0, f64::from(self.width), f64::from(self.height)]
    }

    /// The pixels of an area that are on the sheet: left, top, width, height.
    fn pixels_of(&self, area: Area) -> [usize; 4] {
        let [_, _, width, height] = self.whole();
        // The cast of a value that is not finite saturates.
        let left = area[0].floor().clamp(0.0, width) as usize;
        let top = area[1].floor().clamp(0.0, height) as usize;
        let right = area[2].ceil().clamp(0.0, width) as usize;
        let bottom = area[3].ceil().clamp(0.0, height) as usize;
        [
            left,
            top,
            right.saturating_sub(left),
            bottom.saturating_sub(top),
        ]
    }

    fn blend(&mut self, column: usize, row: usize, colour: [f32; 3], opacity: f32) {
        let pixel = &mut self.pixels[row * self.width as usize + column];
        for (under, over) in pixel.iter_mut().zip(colour) {
            *under += (over - *under) * opacity;
        }
    }

    /// Draws with a round pen, inside `clip`. Each pixel is covered once, however often the pen passes.
    fn stroke(
        &mut self,
        lines: &[Vec<Point>],
        width: f64,
        colour: Rgb<u8>,
        opacity: f32,
        clip: Area,
    ) {
        let reach = width / 2.0 + 0.5;
        let clip = self.pixels_of(clip);
        let outer = [
            clip[0] as f64 - reach,
            clip[1] as f64 - reach,
            (clip[0] + clip[2]) as f64 + reach,
            (clip[1] + clip[3]) as f64 + reach,
        ];
        let mut segments = Vec::new();
        for line in lines {
            if let [dot] = line[..] {
                segments.extend(clipped(dot, dot, outer));
            }
            segments.extend(
                line.windows(2)
                    .filter_map(|pair| clipped(pair[0], pair[1], outer)),
            );
        }
        // Only where something is drawn.
        let mut bounds = [
            f64::INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NEG_INFINITY,
        ];
        for point in segments.iter().flatten() {
            for axis in 0..2 {
                bounds[axis] = bounds[axis].min(point[axis] - reach);
                bounds[axis + 2] = bounds[axis + 2].max(point[axis] + reach);
            }
        }
        let inside = [
            bounds[0].max(clip[0] as f64),
            bounds[1].max(clip[1] as f64),
            bounds[2].min((clip[0] + clip[2]) as f64),
            bounds[3].min((clip[1] + clip[3]) as f64),
        ];
        let [left, top, columns, rows] = self.pixels_of(inside);
        let mut cover = vec![0.0_f32; columns * rows];
        for [from, to] in segments {
            let range = |axis: usize, first: usize, count: usize| {
                let low = from[axis].min(to[axis]) - reach - first as f64;
                let high = from[axis].max(to[axis]) + reach - first as f64;
                (low.floor().max(0.0) as usize)..(high.ceil().max(0.0) as usize).min(count)
            };
            let way = [to[0] - from[0], to[1] - from[1]];
            let squared = way[0] * way[0] + way[1] * way[1];
            for row in range(1, top, rows) {
                for column in range(0, left, columns) {
                    let away = [
                        (left + column) as f64 + 0.5 - from[0],
                        (top + row) as f64 + 0.5 - from[1],
                    ];
                    let along = if squared > 0.0 {
                        ((away[0] * way[0] + away[1] * way[1]) / squared).clamp(0.0, 1.0)
                    } else {
                        0.0
                    };
                    let off = (away[0] - along * way[0]).hypot(away[1] - along * way[1]);
                    let covered = (reach - off).clamp(0.0, 1.0).min(width) as f32;
                    let place = &mut cover[row * columns + column];
                    *place = place.max(covered);
                }
            }
        }
        let colour = colour.0.map(f32::from);
        for row in 0..rows {
            for column in 0..columns {
                let covered = cover[row * columns + column];
                if covered > 0.0 {
                    self.blend(left + column, top + row, colour, covered * opacity);
                }
            }
        }
    }

    fn line(&mut self, pieces: &[Vec<Point>], style: Style, clip: Area) {
        // A pen is round, so a piece is longer than its line by the pen's width. What lies far outside is cut off first:
        // it might be interrupted a billion times.
        let margin = 50.0;
        let near = [
            clip[0] - margin,
            clip[1] - margin,
            clip[2] + margin,
            clip[3] + margin,
        ];
        let cut = |on: f64, off: f64| -> Vec<Vec<Point>> {
            visible(pieces, near)
                .iter()
                .flat_map(|piece| interrupted(piece, on, off))
                .collect()
        };
        let width = style.width;
        let lines = match style.dash {
            Dash::Solid => pieces.to_vec(),
            Dash::Dashed => cut(3.0 * width.max(1.0), 3.5 * width.max(1.0)),
            Dash::Dotted => cut(0.01, 1.9 * width.max(1.0)),
        };
        self.stroke(&lines, width, style.colour, 1.0, clip);
    }

    /// A pale area: x, upper, lower, in pixels and in ascending order of x.
    fn between(&mut self, edges: &[[f64; 3]], colour: Rgb<u8>, clip: Area) {
        let [left, top, columns, rows] = self.pixels_of(clip);
        let colour = colour.0.map(f32::from);
        for pair in edges.windows(2) {
            let ([from, ..], [to, ..]) = (pair[0], pair[1]);
            if !pair.iter().flatten().all(|value| value.is_finite()) || from >= to {
                continue;
            }
            let first = (from - 0.5).ceil().max(left as f64) as usize;
            // The pixel whose middle is the end belongs to the next pair.
            let end = ((to - 0.5).ceil().max(0.0) as usize).min(left + columns);
            for column in first..end {
                let share = (column as f64 + 0.5 - from) / (to - from);
                let at = |side: usize| pair[0][side] + (pair[1][side] - pair[0][side]) * share;
                let (upper, lower) = (at(1).min(at(2)), at(1).max(at(2)));
                for row in top..top + rows {
                    let row_top = row as f64;
                    let covered = (lower.min(row_top + 1.0) - upper.max(row_top)).max(0.0);
                    if covered > 0.0 {
                        self.blend(column, row, colour, 0.25 * covered as f32);
                    }
                }
            }
        }
    }

    /// Lets paper shine through what is there.
    fn fade(&mut self, area: Area, opacity: f32) {
        let [left, top, columns, rows] = self.pixels_of(area);
        for row in top..top + rows {
            for column in left..left + columns {
                self.blend(column, row, PAPER, opacity);
            }
        }
    }

    /// Writes a text with its middle at a place.
    fn write(&mut self, letters: &Letters, middle: Point, direction: Towards) {
        let (across, down) = (letters.width() / 2.0, letters.height() / 2.0);
        let strokes: Vec<Vec<Point>> = letters
            .strokes()
            .into_iter()
            .map(|stroke| {
                stroke
                    .into_iter()
                    .map(|[x, y]| match direction {
                        Towards::Right => [middle[0] + x - across, middle[1] + y - down],
                        Towards::Up => [middle[0] + y - down, middle[1] - x + across],
                    })
                    .collect()
            })
            .collect();
        let whole = self.whole();
        self.stroke(&strokes, 0.85 * letters.dot, INK, 1.0, whole);
    }

    fn finish(self) -> RgbImage {
        let bytes = self
            .pixels
            .iter()
            .flatten()
            .map(|value| value.round() as u8)
            .collect();
        RgbImage::from_raw(self.width, self.height, bytes)
            .unwrap_or_else(|| RgbImage::new(self.width, self.height))
    }
}

/// The parts of lines inside an area.
fn visible(lines: &[Vec<Point>], area: Area) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = Vec::new();
    for line in lines {
        let mut part: Vec<Point> = Vec::new();
        for pair in line.windows(2) {
            let Some([from, to]) = clipped(pair[0], pair[1], area) else {
                parts.push(std::mem::take(&mut part));
                continue;
            };
            if part.last() != Some(&from) {
                parts.push(std::mem::replace(&mut part, vec![from]));
            }
            part.push(to);
        }
        parts.push(part);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn is_like(pixel: &Rgb<u8>, colour: Rgb<u8>) -> bool {
        pixel
            .0
            .iter()
            .zip(colour.0)
            .all(|(a, b)| a.abs_diff(b) < 12)
    }

    fn count(picture: &RgbImage, colour: Rgb<u8>) -> usize {
        picture
            .pixels()
            .filter(|pixel| is_like(pixel, colour))
            .count()
    }

    #[test]
    fn round_numbers_stand_at_the_axes() {
        assert_eq!(
            texts(&ticks(0.0, 1.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            texts(&ticks(-3.0, 3.0)),
            ["-3", "-2", "-1", "0", "1", "2", "3"]
        );
        assert_eq!(texts(&ticks(0.0, 20_000.0))[1], "5000");
        assert_eq!(
            texts(&ticks(0.0, 3e6)),
            ["0", "5e5", "1e6", "1.5e6", "2e6", "2.5e6", "3e6"]
        );
        assert_eq!(texts(&ticks(1.0001, 1.0002))[0], "1.00010");
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten() {
        assert_eq!(
            texts(&log_ticks(-2.0, 3.0)),
            ["0.01", "0.1", "1", "10", "100", "1000"]
        );
        assert_eq!(texts(&log_ticks(-6.0, -4.0)), ["10^-6", "10^-5", "10^-4"]);
        assert!(log_ticks(-20.0, 0.0).len() <= 8);
        let short = log_ticks(0.0, 1.0);
        assert_eq!(texts(&short)[..4], ["1", "2", "5", "10"]);
    }

    #[test]
    fn a_line_is_where_its_points_are() {
        let across = [[0.0, 0.5], [1.0, 0.5]];
        let plot = Plot::new("", "", "").bare().y_range(0.0, 1.0);
        let picture = plot.line("", across, Style::solid(BLUE)).draw(200, 100);
        // 7 pixels above and below; the middle row of what is left.
        let rows: Vec<u32> = (0..100)
            .filter(|y| is_like(picture.get_pixel(100, *y), BLUE))
            .collect();
        assert_eq!(rows, [49, 50]);
        assert!(
            !is_like(picture.get_pixel(2, 50), BLUE),
            "nothing beside the area"
        );
    }

    #[test]
    fn dashes_and_dots_leave_paper_free() {
        let across = [[0.0, 0.5], [1.0, 0.5]];
        let blue = |style| {
            let plot = Plot::new("", "", "")
                .bare()
                .y_range(0.0, 1.0)
                .line("", across, style);
            count(&plot.draw(300, 60), BLUE)
        };
        let (solid, dashed, dotted) = (
            blue(Style::solid(BLUE)),
            blue(Style::dashed(BLUE)),
            blue(Style::dotted(BLUE)),
        );
        assert!(solid > 2 * 270, "{solid}");
        assert!(
            dashed > solid / 3 && dashed < solid * 9 / 10,
            "{dashed} of {solid}"
        );
        assert!(
            dotted > solid / 10 && dotted < solid * 6 / 10,
            "{dotted} of {solid}"
        );
    }

    #[test]
    fn dashes_have_their_lengths() {
        let line = [[0.0, 0.0], [4.0, 0.0], [10.0, 0.0]];
        let pieces = interrupted(&line, 3.0, 2.0);
        let ends: Vec<[f64; 2]> = pieces
            .iter()
            .map(|piece| [piece[0][0], piece[piece.len() - 1][0]])
            .collect();
        assert_eq!(ends, [[0.0, 3.0], [5.0, 8.0]]);
    }

    #[test]
    fn lines_are_cut_at_the_area() {
        let area = [0.0, 0.0, 10.0, 10.0];
        assert_eq!(
            clipped([-10.0, 5.0], [20.0, 5.0], area),
            Some([[0.0, 5.0], [10.0, 5.0]])
        );
        assert_eq!(clipped([-1.0, -1.0], [-1.0, 20.0], area), None);
        assert_eq!(clipped([-5.0, 0.0], [0.0, -5.0], area), None);
        let there_and_back = [vec![[5.0, 5.0], [5.0, 50.0], [6.0, 50.0], [6.0, 5.0]]];
        let parts = visible(&there_and_back, area);
        assert_eq!(
            parts,
            [vec![[5.0, 5.0], [5.0, 10.0]], vec![[6.0, 10.0], [6.0, 5.0]]]
        );
    }

    #[test]
    fn the_legend_keeps_out_of_the_way() {
        // A diagonal leaves the top left and the bottom right corner free, a second one through them neither.
        let rising = [[0.0, 0.0], [1.0, 1.0]];
        let plot = Plot::new("", "", "").line("rising", rising, Style::solid(GREEN));
        let picture = plot.draw(400, 300);
        let green = |left: u32, top: u32| {
            (left..left + 60)
                .flat_map(|x| (top..top + 40).map(move |y| (x, y)))
                .filter(|(x, y)| is_like(picture.get_pixel(*x, *y), GREEN))
                .count()
        };
        // Beside "rising", in the top left corner inside the axes, there is a sample of the line.
        assert!(green(45, 10) > 30, "{}", green(45, 10));
    }

    #[test]
    fn odd_requests_still_are_pictures() {
        let odd = [
            [f64::NAN, 1.0],
            [0.0, f64::INFINITY],
            [1e300, -1e300],
            [0.0, 0.0],
        ];
        for style in [Style::solid(BLUE), Style::dashed(BLUE), Style::dotted(BLUE)] {
            let plot = Plot::new("odd", "x", "y")
                .line("line", odd, style)
                .band("band", [[0.0, 1.0, f64::NAN], [0.0, 1.0, 2.0]], SKY)
                .dots("dots", odd, ORANGE, 3.0)
                .arrows("arrows", [[[0.0, 0.0], [0.0, 0.0]]], style)
                .text([f64::NAN, 0.0], "nowhere");
            let limited = plot.clone().x_range(0.0, 1e-3).y_range(5.0, 1.0);
            for plot in [
                &plot,
                &limited,
                &limited.clone().log_x().log_y(),
                &Plot::new("", "", ""),
            ] {
                for (width, height) in [(0, 0), (1, 1), (60, 40), (300, 200)] {
                    let picture = plot.draw(width, height);
                    assert_eq!(picture.dimensions(), (width.max(1), height.max(1)));
                }
            }
        }
        assert_eq!(panels(&[], 0, 10, 10).dimensions(), (10, 1));
    }

    #[test]
    fn panels_stand_side_by_side() {
        let one = |colour| {
            let dot = [[0.5, 0.5]];
            let plot = Plot::new("", "", "")
                .bare()
                .x_range(0.0, 1.0)
                .y_range(0.0, 1.0);
            plot.dots("", dot, colour, 8.0)
        };
        let sheet = panels(&[one(BLUE), one(VERMILION), one(GREEN)], 2, 80, 60);
        assert_eq!(sheet.dimensions(), (160, 120));
        assert!(is_like(sheet.get_pixel(38, 30), BLUE));
        assert!(is_like(sheet.get_pixel(118, 30), VERMILION));
        assert!(is_like(sheet.get_pixel(38, 90), GREEN));
        assert_eq!(sheet.get_pixel(118, 90).0, [255; 3]);
    }

    #[test]
    fn a_band_lies_between_its_edges() {
        let plot = Plot::new("", "", "").bare().y_range(0.0, 1.0);
        let picture = plot
            .band("", [[0.0, 0.25, 0.5], [1.0, 0.25, 0.5]], BLUE)
            .draw(114, 114);
        // 100 pixels of area from 7 to 107: from 0.25 to 0.5 is from row 57 to row 82.
        let coloured: Vec<u32> = (0..114)
            .filter(|y| picture.get_pixel(50, *y).0 != [255; 3])
            .collect();
        assert!(
            (56..=58).contains(&coloured[0]) && coloured.len().abs_diff(25) <= 1,
            "{coloured:?}"
        );
    }

    #[test]
    fn raised_numbers_are_smaller() {
        let (plain, raised) = (Letters::new("10-3", 2.0), Letters::new("10^-3", 2.0));
        assert!(raised.width() < plain.width());
        assert_eq!(raised.letters.len(), 4);
        assert!(Letters::fitting("a long text", 2.0, 50.0).width() < 50.5);
    }
}
