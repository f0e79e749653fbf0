//! What a training says while it runs: a progress bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};

/// How much is said, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Voice {
    /// A progress bar when the standard error is a terminal, one line a log interval otherwise.
    #[default]
    Normal,
    /// Warnings and errors only.
    Quiet,
    /// Every log row as one JSON object a line on the standard output.
    Json,
}

/// Where messages go.
#[derive(Debug)]
pub struct Console {
    voice: Voice,
    bar: Option<ProgressBar>,
}

impl Console {
    /// A console with the given voice.
    pub fn new(voice: Voice) -> Self {
        Self { voice, bar: None }
    }

    /// Its voice.
    pub fn voice(&self) -> Voice {
        self.voice
    }

    /// Says one line on the standard error, above the progress bar; nothing when quiet.
    pub fn say(&self, line: &str) {
        if self.voice == Voice::Normal {
            self.write(line);
        }
    }

    /// Says a warning, whatever the voice.
    pub fn warn(&self, line: &str) {
        self.write(&format!("warning: {line}"));
    }

    /// Warns of what cannot be used, by the first reason; nothing to say of nothing.
    pub fn left_out(&self, what: &str, reasons: &[String]) {
        if let Some(first) = reasons.first() {
            let count = reasons.len();
            self.warn(&format!("{count} {what} are left out, the first: {first}"));
        }
    }

    fn write(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            // A closed standard error must not stop a training.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// Writes one JSON row on the standard output when that was asked for.
    pub fn row(&self, row: &str) {
        if self.voice == Voice::Json {
            let _ = writeln!(std::io::stdout(), "{row}");
        }
    }

    /// Starts a progress bar over `total` steps when the standard error is a terminal.
    pub fn start(&mut self, done: u64, total: u64) {
        self.bar(done, total, "steps");
    }

    /// Starts a progress bar over `total` things that `unit` names, when the standard error is a terminal.
    pub fn count(&mut self, total: u64, unit: &str) {
        self.bar(0, total, unit);
    }

    fn bar(&mut self, done: u64, total: u64, unit: &str) {
        if self.voice != Voice::Normal || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4));
        if let Ok(style) = ProgressStyle::with_template(&format!(
            "{{bar:24.cyan/blue}} {{pos}}/{{len}} {unit}, {{eta_precise}} left {{wide_msg}}"
        )) {
            bar.set_style(style);
        }
        bar.set_position(done);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    /// Moves the progress bar.
    pub fn tick(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Says how training is doing: beside the bar on a terminal, as a line elsewhere.
    pub fn status(&self, prefix: &str, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.say(&format!("{prefix} {text}")),
        }
    }

    /// Removes the progress bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
