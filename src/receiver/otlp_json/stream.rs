//! Requests one after the other in one text, as files hold them: where each ends, and by its keys what it carries.

use super::JsonError;
use super::reader::Next;
use super::reader::Reader;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// Spans.
    Spans,
    /// Log records.
    Logs,
    /// Data points.
    Metrics,
}

impl Top {
    /// What an object with this key at its top carries.
    pub(super) fn named(key: &str) -> Option<Self> {
        match key {
            "resourceSpans" | "resource_spans" => Some(Self::Spans),
            "resourceLogs" | "resource_logs" => Some(Self::Logs),
            "resourceMetrics" | "resource_metrics" => Some(Self::Metrics),
            _ => None,
        }
    }
}

/// The text of a value, and what it carries; none where no key tells.
pub type Found<'a> = (&'a [u8], Option<Top>);

/// The next value of a text from `at` on, which is moved behind it, and what it carries; the first key that tells
/// counts. Gives none at the end of the text.
///
/// # Errors
/// Where the text is no JSON; the place is counted from its beginning.
pub fn next<'a>(text: &'a [u8], at: &mut usize) -> Result<Option<Found<'a>>, JsonError> {
    let mut reader = Reader::starting(text, *at);
    let start = reader.begin();
    if start >= text.len() {
        return Ok(None);
    }
    let mut top = None;
    if reader.peek()? == Next::Object {
        reader.object(|reader, key| {
            top = top.or_else(|| Top::named(key));
            reader.skip().map(drop)
        })?;
    } else {
        reader.skip()?;
    }
    *at = reader.place();
    Ok(Some((text.get(start..*at).unwrap_or_default(), top)))
}
