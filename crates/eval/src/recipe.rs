//! What goes beside a number, so that somebody else can get it again: and what speaks against it.

use crate::sides::{Listed, Role};
use metrics::compat::Compat;
use metrics::extractor::{Extractor, Seen};
use metrics::npz::StatisticsFile;
use serde_json::{Map, Value, json};

/// Pictures below which a FID says more about their number than about their quality.
pub const FEW: u64 = 2048;

/// How a number was made.
#[derive(Debug)]
pub struct Recipe {
    /// The rules of the network's pictures; none where no network is run.
    compat: Option<Compat>,
    lines: Vec<String>,
    warnings: Vec<String>,
    json: Map<String, Value>,
}

impl Recipe {
    /// A recipe by the rules of a tool.
    pub fn new(compat: Compat) -> Self {
        let mut recipe = Self {
            compat: Some(compat),
            lines: Vec::new(),
            warnings: Vec::new(),
            json: Map::new(),
        };
        recipe.put("compat", compat.word());
        recipe.put("resize", compat.resize().name());
        recipe
    }

    /// No network is run: its rules mean nothing.
    pub fn without_network(&mut self) {
        self.compat = None;
        self.json.remove("compat");
        self.json.remove("resize");
    }

    /// Notes a side whose pixels are compared.
    pub fn pixels(
        &mut self,
        name: &str,
        listed: Option<&Listed>,
        used: usize,
        unreadable: &[String],
    ) {
        let types = listed.map_or_else(String::new, |listed| format!(", {}", listed.endings));
        self.line(format!("{name}  {used} pictures{types}"));
        for line in listed.iter().flat_map(|listed| &listed.remarks) {
            self.warn(format!("{name}: {line}"));
        }
        if let Some(first) = unreadable.first() {
            self.warn(format!(
                "{name}: {} pictures could not be read and were left out, the first: {first}",
                unreadable.len()
            ));
        }
    }

    /// Notes a value for `--json`.
    pub fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.json.insert(key.to_owned(), value.into());
    }

    /// Notes a line.
    pub fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// Notes what speaks against the number.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Notes the network.
    pub fn network(&mut self, extractor: &Extractor) {
        self.put("weights_sha256", extractor.sha256.clone());
        let known = if extractor.is_published() {
            "the published FID network"
        } else {
            "NOT the published FID network: compare only with numbers of the same file"
        };
        self.line(format!(
            "weights  {} (sha256 {}; {known})",
            extractor.path.display(),
            &extractor.sha256[..16]
        ));
        if !extractor.is_published() {
            self.warn(
                "the weights are not the published ones: the numbers are no FID in the usual sense",
            );
        }
    }

    /// Notes a side that is statistics.
    pub fn statistics(&mut self, name: &str, file: &StatisticsFile) {
        let count = file
            .count
            .map_or("an unknown number of".to_owned(), |n| n.to_string());
        self.line(format!("{name}  statistics of {count} pictures"));
        match &file.provenance {
            Some(provenance) => self.line(format!(
                "  made by {} with the rules of {}, {}, weights {}",
                provenance.tool,
                provenance.compat,
                provenance.resize,
                provenance.weights.get(..16).unwrap_or(&provenance.weights)
            )),
            None => self.warn(format!(
                "{name} does not say which tool, resize and weights made it: a number of mixed origin is \
                 silently wrong"
            )),
        }
        if let Some(count) = file.count {
            self.few(name, count);
        }
    }

    /// Notes a side of pictures, with what is odd about them.
    pub fn pictures(
        &mut self,
        name: &str,
        role: Role,
        listed: Option<&Listed>,
        seen: &Seen,
        total: usize,
    ) {
        let sizes = match seen.sizes.len() {
            0 => String::new(),
            1..=3 => {
                let sizes: Vec<String> = seen
                    .sizes
                    .iter()
                    .map(|(width, height)| format!("{width}x{height}"))
                    .collect();
                format!(", {}", sizes.join(", "))
            }
            many => format!(", {many} sizes"),
        };
        let types = listed.map_or_else(String::new, |listed| format!(", {}", listed.endings));
        self.line(format!(
            "{name}  {} pictures{sizes}{types}, sha256 {}",
            seen.used,
            seen.sha256.get(..16).unwrap_or_default()
        ));
        let mut warn = |text: String| self.warn(format!("{name}: {text}"));
        if let Some(listed) = listed {
            if listed.lossy > 0 && listed.lossless > 0 {
                warn("JPEG and lossless files are mixed; the artefacts of JPEG count as a difference".into());
            }
            if role == Role::Fake && listed.lossy > 0 {
                warn(format!(
                    "{} of the pictures to judge are JPEG, whose artefacts count as theirs: write PNG",
                    listed.lossy
                ));
            }
            for line in &listed.remarks {
                warn(line.clone());
            }
        }
        if seen.sizes.len() > 1 {
            warn(format!(
                "pictures of {} sizes; all are brought to 299 x 299, whatever their shape",
                seen.sizes.len()
            ));
        }
        if seen.with_alpha > 0 {
            warn(format!(
                "{} pictures have an alpha channel, which is dropped without compositing, as the reference \
                 tools do",
                seen.with_alpha
            ));
        }
        if seen.clipped > 0 {
            warn(format!(
                "{} grey pictures have more than 8 bits; Pillow, and so every tool, cuts them at 255: convert them",
                seen.clipped
            ));
        }
        if seen.duplicates > 0 {
            warn(format!("{} pictures equal an earlier one", seen.duplicates));
        }
        if !seen.unreadable.is_empty() {
            warn(format!(
                "{} of {total} pictures could not be read and were left out, the first: {}",
                seen.unreadable.len(),
                seen.unreadable[0]
            ));
        }
        self.few(name, seen.used as u64);
    }

    /// Warns of JPEG on one side only.
    pub fn compression(&mut self, real: Option<&Listed>, fake: Option<&Listed>) {
        if let (Some(real), Some(fake)) = (real, fake)
            && (real.lossy == 0) != (fake.lossy == 0)
        {
            self.warn(
                "one side is JPEG and the other is not: part of the distance is compression, not quality",
            );
        }
    }

    fn few(&mut self, name: &str, count: u64) {
        if count < FEW {
            self.warn(format!(
                "{name}: {count} pictures are few: FID falls as they grow in number; compare only numbers of \
                 equal counts (10,000 and more are usual)"
            ));
        }
    }

    /// What speaks against the numbers.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The recipe as text, under the numbers.
    pub fn text(&self) -> String {
        let mut text = match self.compat {
            Some(compat) => format!("rules    {}, {}\n", compat.tool(), compat.resize().name()),
            None => String::new(),
        };
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        for warning in &self.warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
        text
    }

    /// The recipe as JSON.
    pub fn json(&self) -> Value {
        let mut all = self.json.clone();
        all.insert("warnings".to_owned(), json!(self.warnings));
        Value::Object(all)
    }
}
