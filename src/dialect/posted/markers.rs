//! Tool calls that a model wrote as text between markers, as Stackspot's does.
//!
//! ```text
//! FUNCTION_CALL_START
//! name                      or `function_name: name`
//! arguments: {"a": 1}       may be missing
//! FUNCTION_CALL_END         may be missing at the end of the text
//! ```
//!
//! Also `TOOL_CALL_START {"function_name": .., "arguments": ..} TOOL_CALL_END`, and that object bare on lines of its
//! own. The text around stays; a call that comes twice is one; prose that mentions a marker stays as it is.

use crate::dialect::json::Node;
use crate::dialect::json::parse;
use crate::event::Message;
use crate::event::ToolCall;

/// What the platform adds to the arguments.
const PLATFORM: [&str; 2] = ["step_id", "tool_execution_id"];
const FUNCTION_START: &str = "FUNCTION_CALL_START";
const FUNCTION_END: &str = "FUNCTION_CALL_END";
const TOOL_START: &str = "TOOL_CALL_START";
const TOOL_END: &str = "TOOL_CALL_END";
/// Places that look like a call, within one text: each may be read to the end of the text.
const MOST_TRIES: usize = 256;
const NAME_PREFIX: &str = "function_name:";

/// Whether text of this provider or of these models is to be read so.
pub fn applies<'a>(words: &[String], names: impl IntoIterator<Item = &'a str>) -> bool {
    let contains = |name: &str, word: &String| !word.is_empty() && name.to_lowercase().contains(&word.to_lowercase());
    names.into_iter().any(|name| words.iter().any(|word| contains(name, word)))
}

/// Reads the calls in an assistant's message. True where it changed.
pub fn read_message(message: &mut Message) -> bool {
    if message.role != "assistant" {
        return false;
    }
    let mut changed = false;
    if message.tool_calls.is_empty()
        && message.content_parts.is_none()
        && let Some((text, calls)) = message.content.as_deref().and_then(extract)
    {
        message.content = (!text.is_empty()).then_some(text);
        message.tool_calls = calls;
        changed = true;
    }
    let before = message.tool_calls.len();
    message.tool_calls = once(std::mem::take(&mut message.tool_calls));
    changed || message.tool_calls.len() != before
}

/// The text around the calls, and the calls; none where there are no calls.
pub fn extract(text: &str) -> Option<(String, Vec<ToolCall>)> {
    let mut around = String::new();
    let mut calls = Vec::new();
    let (mut from, mut at, mut tries) = (0, 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() && tries < MOST_TRIES) {
        let starts_line = text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('\n'));
        let is_marker = strip(rest, FUNCTION_START).is_some() || strip(rest, TOOL_START).is_some();
        let is_bare = starts_line && rest.starts_with('{');
        tries += usize::from(is_marker || is_bare);
        let found = match (is_marker, is_bare) {
            (true, _) => block(rest),
            (_, true) => bare(rest),
            _ => None,
        };
        match found {
            Some((call, length)) => {
                around.push_str(text.get(from..at).unwrap_or_default());
                calls.push(call);
                at += length;
                from = at;
            }
            None => at += next_start(rest),
        }
    }
    if calls.is_empty() {
        return None;
    }
    around.push_str(text.get(from..).unwrap_or_default());
    Some((around.trim().to_owned(), once(calls)))
}

/// Bytes to the next place where a call may begin: a marker's first letter, or a line.
fn next_start(rest: &str) -> usize {
    let mut places = rest.char_indices().skip(1);
    let next = places.find(|(place, c)| {
        let before = rest.get(..*place).unwrap_or_default();
        matches!(c, 'F' | 'f' | 'T' | 't') || *c == '{' && before.ends_with('\n')
    });
    next.map_or(rest.len(), |(place, _)| place)
}

/// A block that begins here, and its length.
fn block(text: &str) -> Option<(ToolCall, usize)> {
    if let Some(rest) = strip(text, FUNCTION_START) {
        let (call, rest) = function_block(rest)?;
        return Some((call, text.len() - rest.len()));
    }
    let rest = strip(text, TOOL_START)?.trim_start();
    let (node_text, rest) = json_value(rest)?;
    let call = named_call(node_text)?;
    let rest = ended(rest, TOOL_END)?;
    Some((call, text.len() - rest.len()))
}

/// `{"function_name": .., "arguments": ..}` up to the end of its line.
fn bare(text: &str) -> Option<(ToolCall, usize)> {
    let (node_text, rest) = json_value(text.trim_start())?;
    let line_ends = rest.trim_start_matches([' ', '\t', '\r']);
    if !(line_ends.is_empty() || line_ends.starts_with('\n')) {
        return None;
    }
    Some((named_call(node_text)?, text.len() - rest.len()))
}

fn function_block(text: &str) -> Option<(ToolCall, &str)> {
    // The marker ends its line.
    let (gap, rest) = text.split_once('\n')?;
    if !gap.trim().is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let name = strip(line.trim(), NAME_PREFIX).unwrap_or(line).trim();
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'));
    if !is_name || strip(name, FUNCTION_END).is_some() {
        return None;
    }
    match strip(after.trim_start(), "arguments:") {
        None => {
            let rest = strip(after.trim_start(), FUNCTION_END)?;
            Some((call(name, "{}".to_owned()), rest))
        }
        Some(value) => {
            let (arguments, rest) = arguments(value.trim_start());
            Some((call(name, arguments), rest))
        }
    }
}

/// The arguments as JSON, and what stands behind the block.
fn arguments(text: &str) -> (String, &str) {
    if let Some((value, rest)) = json_value(text)
        && let (Some(parsed), Some(rest)) = (object_or_list(value), ended(rest, FUNCTION_END))
    {
        return (parsed, rest);
    }
    let (value, rest) = until_end(text, FUNCTION_END);
    let value = value.trim();
    if let Some(parsed) = object_or_list(value) {
        return (parsed, rest);
    }
    if value.is_empty() {
        return ("{}".to_owned(), rest);
    }
    let key = if value.starts_with(['{', '[']) { "raw" } else { "value" };
    let scalar = parse(value).filter(|parsed| parsed.flaws == crate::dialect::json::Flaws::default());
    let json = scalar.map_or_else(|| crate::event::json::string(value), |parsed| parsed.node.json());
    (crate::event::json::object([(key, json.as_str())]), rest)
}

/// An object without what the platform added, or a list.
fn object_or_list(text: &str) -> Option<String> {
    let parsed = parse(text).filter(|parsed| !parsed.flaws.truncated && !parsed.flaws.python)?;
    match &parsed.node {
        node @ Node::Object(_) if PLATFORM.iter().any(|key| node.get(key).is_some()) => {
            Some(crate::dialect::posted::draft::without(node, &PLATFORM).unwrap_or_else(|| "{}".to_owned()))
        }
        node @ (Node::Object(_) | Node::Array(_)) => Some(node.json()),
        _ => None,
    }
}

fn named_call(text: &str) -> Option<ToolCall> {
    let parsed = parse(text).filter(|parsed| !parsed.flaws.truncated && !parsed.flaws.python)?;
    let name = parsed.node.text("function_name")?;
    let arguments = parsed.node.get("arguments")?;
    let arguments = object_or_list(&arguments.plain()).unwrap_or_else(|| {
        let value = arguments.json();
        crate::event::json::object([("value", value.as_str())])
    });
    Some(call(name, arguments))
}

fn call(name: &str, arguments: String) -> ToolCall {
    ToolCall { id: None, r#type: Some("function".to_owned()), name: name.to_owned(), arguments: Some(arguments) }
}

/// Calls without repeats. LiteLLM's handler gives a prefixed block twice, once with the prefix in its name: the call
/// that is named well stays.
fn once(calls: Vec<ToolCall>) -> Vec<ToolCall> {
    let mut out: Vec<(bool, ToolCall)> = Vec::new();
    for mut call in calls {
        let bare = strip(&call.name, NAME_PREFIX).map(|name| name.trim().to_owned());
        let prefixed = bare.is_some();
        if let Some(name) = bare {
            call.name = name;
        }
        let same = out.iter_mut().find(|(_, known)| known.name == call.name && known.arguments == call.arguments);
        match same {
            Some((known_prefixed, known)) if *known_prefixed && !prefixed => (*known_prefixed, *known) = (false, call),
            Some(_) => {}
            None => out.push((prefixed, call)),
        }
    }
    out.into_iter().map(|(_, call)| call).collect()
}

/// What stands behind a word, whatever its case.
fn strip<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    if head.eq_ignore_ascii_case(word) { text.get(word.len()..) } else { None }
}

/// What stands behind the end marker, which may be missing where the text ends.
fn ended<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let text = text.trim_start();
    if text.is_empty() { Some(text) } else { strip(text, marker) }
}

/// The text up to an end marker that begins a line, or all of it; and what stands behind.
fn until_end<'a>(text: &'a str, marker: &str) -> (&'a str, &'a str) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(rest) = strip(line.trim_start(), marker) {
            let behind = at + line.len() - rest.len();
            return (text.get(..at).unwrap_or_default(), text.get(behind..).unwrap_or_default());
        }
        at += line.len();
    }
    (text, "")
}

/// The text of one object or list that begins here, and what stands behind it.
fn json_value(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let (mut open, mut in_string, mut escaped) = (0usize, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => open += 1,
            b'}' | b']' if !in_string => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return text.split_at_checked(place + 1);
                }
            }
            _ => {}
        }
    }
    None
}
