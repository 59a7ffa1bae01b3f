//! Messages and tools in the conventions' own form and in OpenAI's, read from their text without a tree between.
//!
//! Nearly all content comes so. What is read here is what the readers of trees make of the same text; at anything
//! else this gives None, and the text is read that way.

use super::Definitions;
use super::Told;
use super::build::Answer;
use super::build::Builder;
use super::parts;
use super::tools::function;
use crate::dialect::json::Cursor;
use crate::dialect::value;
use memchr::memmem;
use std::borrow::Cow;

/// A list of messages, each with a role and either parts or a text.
pub(in crate::dialect) fn messages(text: &str) -> Option<Told> {
    let mut told = Told::default();
    let mut cursor = Cursor::new(text);
    cursor.list(|cursor| message(cursor).map(|builder| builder.finish(&mut told)))?;
    cursor.is_at_end().then_some(told)
}

/// A list of texts, as one system message.
pub(in crate::dialect) fn instructions(text: &str) -> Option<Told> {
    let mut told = Told::default();
    let mut builder = Builder::new("system");
    let mut cursor = Cursor::new(text);
    cursor.list(|cursor| part(cursor)?.text(&mut builder))?;
    builder.finish(&mut told);
    (cursor.is_at_end() && !told.is_empty()).then_some(told)
}

/// A list of tool definitions, flat or OpenAI's.
pub(in crate::dialect) fn definitions(text: &str) -> Option<Definitions> {
    let mut tools = Definitions::default();
    let mut cursor = Cursor::new(text);
    cursor.list(|cursor| {
        tools.push(definition(cursor)?);
        Some(())
    })?;
    cursor.is_at_end().then_some(tools)
}

/// Fills a place once.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

fn message(cursor: &mut Cursor<'_>) -> Option<Builder> {
    let mut builder = Builder::new("");
    let (mut role, mut parted, mut content, mut reason, mut name) = (None, None, None, None, None);
    cursor.object(|cursor, key| match key {
        "role" => once(&mut role, value::role(&cursor.string()?)),
        "parts" => once(&mut parted, cursor.list(|cursor| part(cursor)?.add_to(&mut builder))),
        "content" => once(&mut content, cursor.text_or_null()),
        "finish_reason" => once(&mut reason, cursor.text_or_null()),
        "name" => once(&mut name, cursor.text_or_null()),
        _ => None,
    })?;
    builder.role = role?;
    if let Some(text) = content.flatten() {
        // A text may be the JSON of parts; one beside parts repeats them.
        if parted.is_some() || text.trim_start().starts_with("[{") {
            return None;
        }
        builder.text(text);
    }
    let said = |text: Cow<'_, str>| (!text.is_empty()).then(|| text.into_owned());
    let reason = reason.flatten();
    builder.open = reason.as_deref() == Some("");
    builder.reason = reason.and_then(said);
    builder.name = name.flatten().and_then(said);
    Some(builder)
}

/// A value that stands as it is: a text, or the JSON text of anything else.
enum Value<'a> {
    Null,
    Text(Cow<'a, str>),
    Json(&'a str),
}

impl<'a> Value<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.is_at_string() {
            return cursor.string().map(Self::Text);
        }
        cursor.raw().map(|raw| if raw == "null" { Self::Null } else { Self::Json(raw) })
    }

    /// What a chat message holds of it.
    fn plain(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.into_owned()),
            Self::Json(raw) => Some(raw.to_owned()),
        }
    }
}

#[derive(Default)]
struct Part<'a> {
    kind: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    id: Option<Option<Cow<'a, str>>>,
    name: Option<Cow<'a, str>>,
    arguments: Option<Value<'a>>,
    result: Option<Value<'a>>,
}

fn part<'a>(cursor: &mut Cursor<'a>) -> Option<Part<'a>> {
    let mut part = Part::default();
    cursor.object(|cursor, key| match key {
        "type" => once(&mut part.kind, cursor.string()),
        "content" | "text" => once(&mut part.text, cursor.string()),
        "id" => once(&mut part.id, cursor.text_or_null()),
        "name" => once(&mut part.name, cursor.string()),
        "arguments" => once(&mut part.arguments, Value::read(cursor)),
        "response" | "result" => once(&mut part.result, Value::read(cursor)),
        _ => None,
    })?;
    Some(part)
}

impl Part<'_> {
    fn add_to(self, builder: &mut Builder) -> Option<()> {
        match self.kind.as_deref()? {
            "text" => self.text(builder),
            "reasoning" => self.reasoning(builder),
            "tool_call" => self.call(builder),
            "tool_call_response" => self.answer(builder),
            _ => None,
        }
    }

    fn text(self, builder: &mut Builder) -> Option<()> {
        let Self { kind: Some(kind), text: Some(text), id: None, name: None, arguments: None, result: None } = self
        else {
            return None;
        };
        (kind == "text" && !parts::may_be_block(&text)).then(|| builder.text(text))
    }

    fn reasoning(self, builder: &mut Builder) -> Option<()> {
        let Self { text: Some(text), id: None, name: None, arguments: None, result: None, .. } = self else {
            return None;
        };
        if text.is_empty() || text.trim_start().starts_with("[{") || value::is_withheld(&text) {
            return None;
        }
        builder.reasoning.push(text.into_owned());
        Some(())
    }

    fn call(self, builder: &mut Builder) -> Option<()> {
        let Self { text: None, id, name: Some(name), arguments, result: None, .. } = self else { return None };
        if name.is_empty() {
            return None;
        }
        let id = id.flatten().filter(|id| !id.is_empty()).map(Cow::into_owned);
        let arguments = arguments.and_then(Value::plain).filter(|text| !text.is_empty());
        builder.calls.push(parts::tool_call(id, None, &name, arguments));
        Some(())
    }

    fn answer(self, builder: &mut Builder) -> Option<()> {
        let Self { text: None, id, name: None, arguments: None, result, .. } = self else { return None };
        let content = match result {
            // A list may be one of parts, and an object one that says what type its value is.
            Some(Value::Json(raw)) if raw.starts_with('[') || memmem::find(raw.as_bytes(), b"\"value\"").is_some() => {
                return None;
            }
            Some(Value::Text(text)) if value::is_withheld(&text) => return None,
            result => result.and_then(Value::plain),
        };
        let call_id = id.flatten().filter(|id| !id.is_empty()).map(Cow::into_owned);
        builder.results.push(Answer { call_id, name: None, content, content_parts: None });
        Some(())
    }
}

fn definition(cursor: &mut Cursor<'_>) -> Option<String> {
    let (mut kind, mut name, mut description, mut schema, mut inner) = (None, None, None, None, None);
    let whole = cursor.spanned(|cursor| {
        cursor.object(|cursor, key| match key {
            "type" => once(&mut kind, cursor.string()),
            "name" => once(&mut name, cursor.string()),
            "description" => once(&mut description, cursor.text_or_null()),
            "parameters" if cursor.is_at_object() => once(&mut schema, cursor.raw()),
            "function" if cursor.is_at_object() => once(&mut inner, cursor.raw()),
            _ => None,
        })
    })?;
    let kind = kind?;
    match (name, description, schema, inner) {
        (None, None, None, Some(_)) if !kind.is_empty() => Some(whole.to_owned()),
        (Some(name), description, schema, None) if kind == "function" && !name.is_empty() => {
            // A schema may stand one level deeper.
            if schema.is_some_and(|schema| memmem::find(schema.as_bytes(), b"\"json\"").is_some()) {
                return None;
            }
            let description = description.flatten().filter(|text| !text.is_empty());
            Some(function(&name, description.as_deref(), schema, &[]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
