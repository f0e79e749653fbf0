//! Rows and how they are shown.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table on the terminal is what this program is for"
)]

use serde::Serialize;

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A whole training step: all players, all optimizers.
    Train,
    /// A generator from a latent vector, or from a picture, to pictures.
    Infer,
    /// One operator.
    Op,
    /// The wait for batches.
    Data,
    /// A measure of generated pictures.
    Metric,
}

/// One line of a table. What was not measured is absent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Median of our times.
    pub(crate) ours_ms: f64,
    /// Median of PyTorch's times, in the better of its two layouts.
    pub(crate) torch_ms: Option<f64>,
    /// Ours / PyTorch's.
    pub(crate) ratio: Option<f64>,
    /// Our arithmetic, counted without padding's zeros being skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gflops: Option<f64>,
    /// Our arithmetic / that of a large matrix product in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of_peak: Option<f64>,
    /// Peak memory of a process of its own, with all that it loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ours_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) torch_mib: Option<f64>,
    /// Largest difference of the pictures / largest value; of a training step, of a loss / that loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<f64>,
    /// Share of the time that waits for data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<f64>,
}

impl Row {
    /// A row with the medians of both sides' times, in seconds.
    pub(crate) fn new(name: &str, kind: Kind, ours: &[f64], torch: Option<f64>) -> Self {
        let ours = median(ours);
        Self {
            name: name.to_owned(),
            kind,
            ours_ms: ours * 1e3,
            torch_ms: torch.map(|torch| torch * 1e3),
            ratio: torch.map(|torch| ours / torch),
            gflops: None,
            of_peak: None,
            ours_mib: None,
            torch_mib: None,
            difference: None,
            wait: None,
        }
    }
}

/// The median of some times; NaN of none.
pub(crate) fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    match times.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => times[count / 2],
        count => f64::midpoint(times[count / 2 - 1], times[count / 2]),
    }
}

const HEADS: [&str; 9] = [
    "name",
    "ours ms",
    "torch ms",
    "ratio",
    "GFLOP/s",
    "of peak",
    "ours MiB",
    "torch MiB",
    "difference",
];

fn cells(row: &Row) -> [String; 9] {
    let show = |value: Option<f64>, digits: usize| {
        value.map_or(String::new(), |value| format!("{value:.digits$}"))
    };
    let wait = row.wait.map(|wait| format!("waits {:.2} %", wait * 100.0));
    let difference = row.difference.map(|value| format!("{value:.1e}"));
    [
        row.name.clone(),
        format!("{:.3}", row.ours_ms),
        show(row.torch_ms, 3),
        show(row.ratio, 2),
        show(row.gflops, 0),
        row.of_peak
            .map_or(String::new(), |share| format!("{:.0} %", share * 100.0)),
        show(row.ours_mib, 0),
        show(row.torch_mib, 0),
        difference.or(wait).unwrap_or_default(),
    ]
}

/// Prints the heads of the columns.
pub(crate) fn start() {
    println!("{}", line(&HEADS.map(str::to_owned)));
}

/// Prints a row.
pub(crate) fn print(row: &Row) {
    println!("{}", line(&cells(row)));
}

/// Says something about the run itself.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Says what went wrong.
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

fn line(cells: &[String; 9]) -> String {
    let mut text = format!("{:<44}", cells[0]);
    for cell in &cells[1..] {
        text += &format!(" {cell:>10}");
    }
    text.trim_end().to_owned()
}

/// The table as Markdown, without columns that are empty.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let all: Vec<[String; 9]> = rows.iter().map(cells).collect();
    let used: Vec<usize> = (0..HEADS.len())
        .filter(|column| all.iter().any(|cells| !cells[*column].is_empty()))
        .collect();
    let join = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = join(used.iter().map(|column| HEADS[*column]).collect());
    text += &join(
        used.iter()
            .map(|column| if *column == 0 { "---" } else { "---:" })
            .collect(),
    );
    for cells in &all {
        text += &join(used.iter().map(|column| cells[*column].as_str()).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_by_hand() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
        let row = Row::new("a", Kind::Op, &[0.002, 0.001, 0.009], Some(0.004));
        assert_eq!(row.ratio, Some(0.5));
        let text = markdown(std::slice::from_ref(&row));
        assert_eq!(
            text,
            "| name | ours ms | torch ms | ratio |\n| --- | ---: | ---: | ---: |\n| a | 2.000 | 4.000 | 0.50 |\n"
        );
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["kind"], "op");
        assert_eq!(json["ours_ms"], 2.0);
    }
}
