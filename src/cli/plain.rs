//! Text from outside, made fit for a terminal: no character of it can move the cursor, hide or reorder what stands
//! beside it.

use chrono::DateTime;
use std::fmt::Write as _;
use std::io;
use std::io::Write;

/// Whether a character steers what shows it: the controls of both sets, marks of direction, invisible tags.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push(out: &mut String, c: char) {
    if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
}

/// A text on one line.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\r' => {}
            c => push(&mut out, c),
        }
    }
    out
}

/// A text on one line of at most so many characters.
pub fn short(text: &str, width: usize) -> String {
    let line = line(text);
    if line.chars().count() <= width {
        return line;
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text with its line breaks, each line behind `indent`.
pub fn block(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.trim_end().lines().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        out.push_str(indent);
        for c in line.chars() {
            if c == '\t' { out.push_str("    ") } else { push(&mut out, c) }
        }
    }
    out
}

/// A JSON text that says the same: within strings, where alone they can stand, such characters become escapes.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A field of CSV. What a table calculator would take for a formula begins with an apostrophe instead.
pub fn csv(text: &str) -> String {
    let mut text = block(text, "");
    if text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err() {
        text.insert(0, '\'');
    }
    if text.contains(['"', ',', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A line of CSV.
pub fn csv_line(fields: &[String]) -> String {
    fields.iter().map(|field| csv(field)).collect::<Vec<_>>().join(",")
}

/// Microseconds since 1970 as a time in UTC; nothing where no calendar reaches.
pub fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros);
    time.map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// Milliseconds, for people.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} min {:.0} s", (ms / 60_000.0).floor(), (ms % 60_000.0) / 1000.0),
    }
}

/// Prints a line to stdout. `false` when nobody reads any more: no fault of ours.
///
/// # Errors
/// When it cannot be written for another reason.
pub fn print(out: &mut impl Write, line: &str) -> io::Result<bool> {
    match out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// A table: columns as wide as they must be, those that `right` names by their places set to the right.
pub fn table(head: &[&str], rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(head.get(at).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if right.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(head.to_vec());
    std::iter::once(head).chain(rows.iter().map(|row| line(row.iter().map(String::as_str).collect()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A title, a clear screen, an 8-bit introducer, a backspace, a reordering mark, a tag, a lone carriage return.
    const EVIL: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2Jb\u{9b}31m\u{8}c\u{202e}d\u{e0041}\rnew";

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for text in [line(EVIL), short(EVIL, 500), block(EVIL, "  "), csv(EVIL), json(&format!("\"{EVIL}\""))] {
            assert!(!text.chars().any(steers), "{text:?}");
            assert!(text.contains('a') && text.contains("new"), "{text}");
        }
        assert!(line(EVIL).contains("\\u{1b}]0;owned\\u{7}"));
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::to_string(&serde_json::json!({ EVIL: [EVIL, "ü😀"] })).unwrap();
        let plain = json(&value);
        let (a, b): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&value).unwrap(), serde_json::from_str(&plain).unwrap());
        assert_eq!(a, b);
        assert!(plain.contains("ü😀"));
    }

    #[test]
    fn lines_blocks_and_fields_keep_what_was_said() {
        assert_eq!(line(" one\n\ttwo\r\n"), "one  two");
        assert_eq!(short("four words of text", 6), "four …");
        assert_eq!(block("a\r\n\tb\n", "| "), "| a\n|     b");
        assert_eq!(
            csv_line(&["plain".into(), "a \"b\", c".into(), "d\ne".into()]),
            "plain,\"a \"\"b\"\", c\",\"d\ne\""
        );
        for (text, field) in
            [("=1+1", "'=1+1"), ("@x", "'@x"), ("+351 9", "'+351 9"), ("-2.5", "-2.5"), ("-a,b", "\"'-a,b\"")]
        {
            assert_eq!(csv(text), field);
        }
        assert_eq!([0.4, 1500.0, 61_000.0].map(milliseconds), ["0 ms", "1.5 s", "1 min 1 s"]);
        assert_eq!(time(1_795_251_601_250_000), "2026-11-21 09:00:01");
        let rows = [vec!["x".to_owned(), "10".to_owned()], vec!["longer".to_owned(), "7".to_owned()]];
        assert_eq!(table(&["name", "n"], &rows, &[1]), ["name     n", "x       10", "longer   7"]);
    }
}
