//! Columns of text.

/// Rows under a heading, as wide as they need.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Adds a row of as many cells as there are headings.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A table with headings that are known late.
    pub fn with_headings(headings: Vec<String>) -> Self {
        Self {
            rows: vec![headings],
        }
    }

    /// The lines; columns that nobody filled are left out.
    pub fn text(&self) -> String {
        let columns = self.rows[0].len();
        let is_filled =
            |column: usize| column == 0 || self.rows[1..].iter().any(|row| !row[column].is_empty());
        let shown: Vec<usize> = (0..columns).filter(|column| is_filled(*column)).collect();
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for column in &shown {
                let cell = &row[*column];
                let gap = " ".repeat(width(*column) - cell.chars().count());
                // Names to the left, numbers to the right.
                if *column == 0 {
                    line.push_str(&format!("{cell}{gap}"));
                } else {
                    line.push_str(&format!("  {gap}{cell}"));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number for JSON, which has no infinity.
pub fn finite(value: f64) -> serde_json::Value {
    if value.is_finite() {
        value.into()
    } else {
        value.to_string().into()
    }
}

/// Nine significant digits: more than any two tools share.
pub fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if value.abs() >= 1e15 {
        return format!("{value:.8e}");
    }
    let before = value.abs().log10().floor() as i32 + 1;
    let after = (9 - before).clamp(0, 12) as usize;
    format!("{value:.after$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let mut table = Table::new(["", "FID", "empty", "KID"]);
        table.row(["a".into(), "12.5".into(), String::new(), "1".into()]);
        table.row(["longer".into(), "3".into(), String::new(), "22".into()]);
        assert_eq!(
            table.text(),
            "         FID  KID\na       12.5    1\nlonger     3   22\n"
        );
    }

    #[test]
    fn nine_digits_are_shown() {
        assert_eq!(digits(78.573_177_758_183_25), "78.5731778");
        assert_eq!(digits(0.000_191_799_786_989_577), "0.000191799787");
        assert_eq!(digits(0.0), "0");
        assert_eq!(digits(123_456_789_012.0), "123456789012");
        assert_eq!(digits(-1.25e300), "-1.25000000e300");
    }
}
