//! Lines and words of text files that need not be UTF-8: names and comments may be in any encoding.

/// The lines of a text with their numbers from one, without their ends.
pub(crate) struct Lines<'a> {
    left: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// Of a text, without the mark of UTF-8 that Windows puts before it.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            left: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            number: 0,
        }
    }

    /// The number of the line that came last.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// What comes behind the line that came last.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// The next line that holds more than spaces and what follows a `#`, and its number.
    pub(crate) fn next_with_content(&mut self) -> Option<(usize, &'a [u8])> {
        loop {
            let line = without_comment(self.next()?);
            if !line.is_empty() {
                return Some((self.number, line));
            }
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, left) = match self.left.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&self.left[..end], &self.left[end + 1..]),
            None => (self.left, &[][..]),
        };
        self.left = left;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// A line up to its `#`, without spaces around it.
pub(crate) fn without_comment(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| *byte == b'#');
    line[..end.unwrap_or(line.len())].trim_ascii()
}

/// The words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// A number from a word, where there is one.
pub(crate) fn number<T: std::str::FromStr>(word: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

/// Three numbers from the next words.
pub(crate) fn three<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<[f32; 3]> {
    let mut next = || number(words.next());
    Some([next()?, next()?, next()?])
}

/// A line for a message: its start, without what a console would take for a command.
pub(crate) fn quoted(line: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * MOST)]);
    let mut short: String = text.trim().chars().take(MOST).collect();
    if short.len() < text.trim().len() || line.len() > 4 * MOST {
        short.push_str("...");
    }
    format!("`{}`", short.replace(char::is_control, "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_comments_left_out() {
        let mut lines = Lines::new(b"\xef\xbb\xbf# caf\xe9\r\n\n  a b # c\r\nlast");
        assert_eq!(lines.next_with_content(), Some((3, &b"a b"[..])));
        assert_eq!(lines.rest(), b"last");
        assert_eq!(lines.next_with_content(), Some((4, &b"last"[..])));
        assert_eq!(lines.next_with_content(), None);
        assert_eq!(lines.number(), 4);
    }

    #[test]
    fn numbers_are_of_any_usual_form() {
        let mut found = words(b" .5  -5. 1e-3\tx");
        assert_eq!(three(&mut found), Some([0.5, -5.0, 0.001]));
        assert_eq!(three(&mut found), None);
        assert_eq!(number::<u32>(Some(b"-1")), None);
    }

    #[test]
    fn quotes_are_short_and_plain() {
        assert_eq!(quoted(b" a\x1b[2J \r"), "`a?[2J`");
        let long = quoted(&[b'y'; 1 << 20]);
        assert_eq!(long.len(), 65);
        assert!(long.ends_with("y...`"));
    }
}
