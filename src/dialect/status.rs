//! How an operation ended: every carrier of an error in one place.

use super::draft::Draft;
use super::source::Source;
use crate::event::Error;
use crate::event::status;

/// OTLP's status codes.
const STATUS_OK: i32 = 1;
pub(super) const STATUS_ERROR: i32 = 2;

/// Fills status and error of a span, where its dialect has not.
pub(super) fn read(source: &Source<'_>, draft: &mut Draft) {
    let error = error_of(source).or_else(|| if draft.has_kind() { refused(source) } else { None });
    if draft.row.error.is_none() {
        draft.row.error = error;
    }
    if !source.status_message.is_empty() && !is_told(source.status_message, draft.row.error.as_ref()) {
        draft.detail("status_message", crate::event::json::string(source.status_message));
    }
    if draft.row.status.is_some() {
        return;
    }
    draft.row.status = if let Some(error) = &draft.row.error {
        Some(if is_timeout(error) { status::TIMEOUT } else { status::ERROR }.to_owned())
    } else if source.status_code == STATUS_ERROR {
        Some(status::ERROR.to_owned())
    } else if source.is_log {
        None
    } else if source.end_ns == 0 {
        Some(status::INCOMPLETE.to_owned())
    } else {
        Some(status::OK.to_owned())
    };
}

/// The error that attributes, status and an exception event tell together.
fn error_of(source: &Source<'_>) -> Option<Error> {
    let mut error = Error::default();
    // A status of OK says that an exception on the way was dealt with: the event stays an event.
    if source.status_code != STATUS_OK
        && let Some(event) = source.events.iter().rev().find(|event| event.name == "exception")
    {
        event.used.set(true);
        error = exception(&event.attributes);
    }
    if source.is_log {
        error = exception(&source.attributes);
    }
    if let Some(kind) = source.text("error.type")
        && let Some(known) = error.r#type.replace(kind.to_owned()).filter(|known| !same_type(known, kind))
    {
        // The exception's own class says more than a number does.
        error.code = Some(kind.to_owned());
        error.r#type = Some(known);
    }
    if source.status_code == STATUS_ERROR && !source.status_message.is_empty() && error.message.is_none() {
        error.message = Some(source.status_message.to_owned());
    }
    if source.status_code == STATUS_ERROR && error.message.is_none() {
        error.message = source.text("error.message").map(str::to_owned);
    }
    let failed = error != Error::default();
    if failed && error.code.is_none() {
        error.code = ["http.response.status_code", "http.status_code", "error.code"]
            .iter()
            .find_map(|key| source.attributes.id(key))
            .map(|code| code.into_owned());
    }
    failed.then_some(error)
}

/// The status of HTTP where it is the only one that says that an operation failed.
fn refused(source: &Source<'_>) -> Option<Error> {
    const KEY: &str = "http.response.status_code";
    if source.is_log || source.status_code == STATUS_OK {
        return None;
    }
    let code = source.number(KEY)?;
    if !(400.0..600.0).contains(&code) {
        source.attributes.unmark(KEY);
        return None;
    }
    Some(Error { code: Some(code.to_string()), ..Error::default() })
}

/// Whether the error's message or its stack says a status message, which often has the error's type before it.
fn is_told(status_message: &str, error: Option<&Error>) -> bool {
    let texts = error.map(|error| [error.message.as_deref(), error.stack.as_deref()]);
    texts.into_iter().flatten().flatten().any(|text| text.contains(status_message))
}

/// What an exception event says.
pub(super) fn exception(attributes: &super::attributes::Attributes<'_>) -> Error {
    let text = |key: &str| attributes.text(key).map(str::to_owned);
    let error = Error {
        r#type: text("exception.type"),
        message: text("exception.message"),
        stack: text("exception.stacktrace"),
        ..Error::default()
    };
    if attributes.truth("exception.escaped") == Some(true) {
        // It says nothing that the span's status does not.
        attributes.mark("exception.escaped");
    }
    error
}

fn same_type(one: &str, other: &str) -> bool {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    one == other || last(one) == last(other)
}

fn is_timeout(error: &Error) -> bool {
    error.r#type.as_deref().is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.contains("timeout") || kind.contains("timedout") || kind.contains("deadline")
    })
}
