//! The leaves of OTLP/JSON: numbers, ids and `AnyValue`, in every spelling that producers use. A leaf of the wrong kind
//! costs that leaf only: its text is kept where a text can be, and a note says so.

use super::reader::Fault;
use super::reader::Next;
use super::reader::Reader;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::KeyValueList;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::borrow::Cow;

const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Reads a text; a value of another kind is taken as it is written.
pub(super) fn text(reader: &mut Reader<'_>) -> Result<String, Fault> {
    Ok(scalar(reader, "text")?.unwrap_or_default().into_owned())
}

/// Reads a count or a time; what is none is 0.
pub(super) fn unsigned<N: TryFrom<i128> + Default>(reader: &mut Reader<'_>, key: &str) -> Result<N, Fault> {
    let Some(text) = scalar(reader, "a number")? else { return Ok(N::default()) };
    match integral(&text).and_then(|number| N::try_from(number).ok()) {
        Some(number) => Ok(number),
        None if text.is_empty() => Ok(N::default()),
        None => {
            reader.note(format!("{key} is no number"));
            Ok(N::default())
        }
    }
}

/// Reads a value of an enum, by number or by name; `named` knows the names.
pub(super) fn choice(
    reader: &mut Reader<'_>,
    key: &str,
    named: impl FnOnce(&str) -> Option<i32>,
) -> Result<i32, Fault> {
    let Some(text) = scalar(reader, "a name or number")? else { return Ok(0) };
    let number = integral(&text).and_then(|number| i32::try_from(number).ok()).or_else(|| named(&text));
    if number.is_none() && !text.is_empty() {
        reader.note(format!("unknown {key}"));
    }
    Ok(number.unwrap_or(0))
}

/// Reads a trace or span id of `length` bytes, in hexadecimal digits (also with dashes) or base64. Another text gives
/// the bytes that it has as hexadecimal digits, or none: whether that is an id is for the caller to judge.
pub(super) fn id(reader: &mut Reader<'_>, length: usize) -> Result<Vec<u8>, Fault> {
    let text = scalar(reader, "an id")?.unwrap_or_default();
    let hex = hex(&text);
    if let Some(id) = hex.as_ref().filter(|id| id.len() == length) {
        return Ok(id.clone());
    }
    Ok(base64(&text).filter(|id| id.len() == length).or(hex).unwrap_or_default())
}

/// Reads a list of attributes.
pub(super) fn attributes(reader: &mut Reader<'_>, depth: Depth) -> Result<Vec<KeyValue>, Fault> {
    let mut attributes = Vec::new();
    reader.list(|reader| {
        let noted = reader.noted();
        let attribute = key_value(reader, depth)?;
        for note in reader.take_notes(noted) {
            reader.note(format!("{note} in {}", attribute.key));
        }
        attributes.push(attribute);
        Ok(())
    })?;
    Ok(attributes)
}

/// How many messages may still nest, counted as protobuf readers count them, so that both encodings end alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth(u8);

impl Depth {
    /// What is left below a value that stands within this many messages, itself among them.
    pub(super) fn below(levels: u8) -> Self {
        Self(100_u8.saturating_sub(levels))
    }

    fn deeper(self, levels: u8) -> Option<Self> {
        self.0.checked_sub(levels).map(Self)
    }
}

fn key_value(reader: &mut Reader<'_>, depth: Depth) -> Result<KeyValue, Fault> {
    reader.spend(size_of::<KeyValue>())?;
    let mut found = KeyValue::default();
    reader.object(|reader, key| {
        match key {
            "key" => found.key = text(reader)?,
            "value" => found.value = any(reader, depth)?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads an `AnyValue`; a plain JSON scalar in its place is taken for what it is.
pub(super) fn any(reader: &mut Reader<'_>, depth: Depth) -> Result<Option<AnyValue>, Fault> {
    let value = match reader.peek()? {
        Next::Null => return reader.skip().map(|_| None),
        Next::Object => tagged(reader, depth)?,
        Next::Text => Some(Value::StringValue(text(reader)?)),
        Next::Bool => Some(Value::BoolValue(reader.bool()?)),
        Next::Number => Some(number(reader.number()?)),
        Next::List => {
            reader.note("a list where a value belongs, kept as text");
            Some(raw(reader)?)
        }
    };
    Ok(Some(AnyValue { value }))
}

fn tagged(reader: &mut Reader<'_>, depth: Depth) -> Result<Option<Value>, Fault> {
    let mut value = None;
    reader.object(|reader, kind| {
        if reader.peek()? == Next::Null {
            return reader.skip().map(drop);
        }
        match kind {
            "stringValue" | "string_value" => value = Some(Value::StringValue(text(reader)?)),
            "boolValue" | "bool_value" => {
                let text = scalar(reader, "a boolean")?.unwrap_or_default();
                value = Some(match text.parse() {
                    Ok(truth) => Value::BoolValue(truth),
                    Err(_) => kept(reader, text, "a boolean"),
                });
            }
            "intValue" | "int_value" => {
                let text = scalar(reader, "an integer")?.unwrap_or_default();
                value = Some(match integral(&text).and_then(|number| i64::try_from(number).ok()) {
                    Some(number) => Value::IntValue(number),
                    None => kept(reader, text, "a 64-bit integer"),
                });
            }
            "doubleValue" | "double_value" => {
                let text = scalar(reader, "a number")?.unwrap_or_default();
                value = Some(match double(&text) {
                    Some(number) => Value::DoubleValue(number),
                    None => kept(reader, text, "a double"),
                });
            }
            "bytesValue" | "bytes_value" => {
                let text = scalar(reader, "bytes")?.unwrap_or_default();
                value = Some(match base64(&text) {
                    Some(bytes) => Value::BytesValue(bytes),
                    None => kept(reader, text, "base64"),
                });
            }
            "arrayValue" | "array_value" => value = Some(array(reader, depth)?),
            "kvlistValue" | "kvlist_value" => value = Some(kvlist(reader, depth)?),
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(value)
}

fn array(reader: &mut Reader<'_>, depth: Depth) -> Result<Value, Fault> {
    // The list, and a value in it.
    let Some(depth) = depth.deeper(2) else { return too_deep(reader) };
    let mut values = Vec::new();
    reader.object(|reader, key| match key {
        "values" => reader.list(|reader| {
            reader.spend(size_of::<AnyValue>())?;
            values.push(any(reader, depth)?.unwrap_or_default());
            Ok(())
        }),
        _ => reader.skip().map(drop),
    })?;
    Ok(Value::ArrayValue(ArrayValue { values }))
}

fn kvlist(reader: &mut Reader<'_>, depth: Depth) -> Result<Value, Fault> {
    // The list, an entry in it, and its value.
    let Some(depth) = depth.deeper(3) else { return too_deep(reader) };
    let mut values = Vec::new();
    reader.object(|reader, key| match key {
        "values" => reader.list(|reader| {
            values.push(key_value(reader, depth)?);
            Ok(())
        }),
        _ => reader.skip().map(drop),
    })?;
    Ok(Value::KvlistValue(KeyValueList { values }))
}

fn too_deep(reader: &mut Reader<'_>) -> Result<Value, Fault> {
    reader.note("value nested too deep, kept as text");
    raw(reader)
}

fn raw(reader: &mut Reader<'_>) -> Result<Value, Fault> {
    Ok(Value::StringValue(String::from_utf8_lossy(reader.skip()?).into_owned()))
}

/// The text of a string, number or boolean as it is written; none of null. A list or object gives its JSON.
fn scalar<'a>(reader: &mut Reader<'a>, wanted: &str) -> Result<Option<Cow<'a, str>>, Fault> {
    Ok(Some(match reader.peek()? {
        Next::Null => return reader.skip().map(|_| None),
        Next::Text => reader.text()?,
        Next::Number => Cow::Borrowed(reader.number()?),
        Next::Bool => Cow::Borrowed(if reader.bool()? { "true" } else { "false" }),
        Next::List | Next::Object => {
            let json = String::from_utf8_lossy(reader.skip()?);
            reader.note(format!("json where {wanted} belongs"));
            json
        }
    }))
}

fn kept(reader: &mut Reader<'_>, text: Cow<'_, str>, wanted: &str) -> Value {
    reader.note(format!("not {wanted}, kept as text"));
    Value::StringValue(text.into_owned())
}

fn number(text: &str) -> Value {
    let integer =
        integral(text).filter(|_| !text.contains(['.', 'e', 'E'])).and_then(|number| i64::try_from(number).ok());
    match (integer, double(text)) {
        (Some(integer), _) => Value::IntValue(integer),
        (None, Some(double)) => Value::DoubleValue(double),
        (None, None) => Value::StringValue(text.to_owned()),
    }
}

/// A double; none where the text is no number or a finite one that no double can hold.
fn double(text: &str) -> Option<f64> {
    let number = text.trim().parse::<f64>().ok()?;
    (number.is_finite() || !text.contains(|digit: char| digit.is_ascii_digit())).then_some(number)
}

/// The integer that a decimal number is, also one written with a fraction of zeros or an exponent.
fn integral(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
    if scale >= 0 { digits.checked_mul(factor) } else { (digits % factor == 0).then_some(digits / factor) }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.chars().filter(|digit| *digit != '-');
    let mut bytes = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        let byte = high.to_digit(16)? * 16 + digits.next()?.to_digit(16)?;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(bytes)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
