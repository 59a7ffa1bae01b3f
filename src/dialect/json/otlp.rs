//! OTLP's own values as nodes and JSON text.

use super::Node;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::borrow::Cow;

/// A value as it is structured on the wire; a text stays a text.
pub(in crate::dialect) fn any_node(value: &AnyValue) -> Node<'_> {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => Node::Null,
        Some(Value::StringValue(text)) => Node::String(Cow::Borrowed(text)),
        Some(Value::BoolValue(truth)) => Node::Bool(*truth),
        Some(Value::IntValue(number)) => Node::Number(Cow::Owned(number.to_string())),
        Some(Value::DoubleValue(number)) if number.is_finite() => Node::Number(Cow::Owned(format!("{number:?}"))),
        // JSON has no word for it; as text it is not lost.
        Some(Value::DoubleValue(number)) => Node::String(Cow::Owned(number.to_string())),
        Some(Value::BytesValue(bytes)) => Node::String(Cow::Owned(STANDARD.encode(bytes))),
        Some(Value::ArrayValue(list)) => Node::array(list.values.iter().map(any_node).collect()),
        Some(Value::KvlistValue(map)) => entries_node(&map.values),
    }
}

/// A list of keys and values as an object; a key that comes again is numbered, so that nothing is lost.
pub(in crate::dialect) fn entries_node(list: &[KeyValue]) -> Node<'_> {
    let mut entries: Vec<(Cow<'_, str>, Node<'_>)> = Vec::with_capacity(list.len());
    for entry in list {
        let mut key = Cow::Borrowed(entry.key.as_str());
        if entries.iter().any(|(known, _)| *known == key) {
            key = Cow::Owned(format!("{key}#{}", entries.len() + 1));
        }
        entries.push((key, entry.value.as_ref().map_or(Node::Null, any_node)));
    }
    Node::object(entries)
}

/// A value's JSON text.
pub(in crate::dialect) fn any_json(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => crate::event::json::string(text),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => any_node(value).json(),
    }
}

/// The text of a string value.
pub(in crate::dialect) fn any_text(value: &AnyValue) -> Option<&str> {
    match &value.value {
        Some(Value::StringValue(text)) => Some(text),
        _ => None,
    }
}
