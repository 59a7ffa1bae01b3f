//! What the policy `hash` tells of arguments that it takes out.

use crate::event::json::object;
use crate::event::json::push_string;
use crate::event::json::string;
use crate::redact::json;
use crate::redact::key::hex;
use serde::de::IgnoredAny;
use sha2::Digest as _;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is told of the arguments of one call: as the modelstat SDK for Python tells it, so that both can be joined.
pub(super) fn arguments(call_id: Option<&str>, name: &str, text: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let compact = if is_json { compact(text) } else { compact(&string(text)) };
    let names = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text);
    let signature =
        names.map_or_else(|_| "none".to_owned(), |names| sha256(&names.into_keys().collect::<Vec<_>>().join(",")));
    let id = call_id.map(string);
    let (name, hash, signature, bytes) =
        (string(name), string(&sha256(&compact)), string(&signature), compact.len().to_string());
    let told = [("name", &name), ("args_hash", &hash), ("signature_hash", &signature), ("args_bytes", &bytes)];
    let told = id.iter().map(|id| ("call_id", id)).chain(told);
    object(told.map(|(key, json)| (key, json.as_str())))
}

fn sha256(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).iter())
}

/// JSON without white space, with every character outside printable ASCII escaped.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        out.extend(rest.get(..quote).unwrap_or_default().split_ascii_whitespace());
        let inside = rest.get(quote + 1..).unwrap_or_default();
        let (len, _) = json::string_len(inside).unwrap_or((inside.len(), false));
        let mut quoted = String::new();
        push_string(&mut quoted, &json::escape::decode(inside.get(..len).unwrap_or_default()));
        push_ascii(&mut out, &quoted);
        rest = inside.get(len + 1..).unwrap_or_default();
    }
    out.extend(rest.split_ascii_whitespace());
    out
}

fn push_ascii(out: &mut String, quoted: &str) {
    let mut rest = quoted.chars().peekable();
    while let Some(char) = rest.next() {
        if matches!(char, ' '..='~') {
            out.push(char);
            // Python has shorter escapes for these two.
            if char == '\\' && rest.next_if_eq(&'u').is_some() {
                let digits: String = rest.by_ref().take(4).collect();
                match digits.as_str() {
                    "0008" => out.push('b'),
                    "000c" => out.push('f'),
                    _ => out.extend(['u'].into_iter().chain(digits.chars())),
                }
            } else if char == '\\' {
                out.extend(rest.next());
            }
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // A String grows, so writing cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_as_the_python_sdk_tells_them() {
        let lisbon = "1fcd654fd2f59fd6bc7421aef8e091316d7e10df5c14be36a25d3fb3da5da595";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, hash, signature, bytes) in [
            (
                "{ \"city\": \"Lisbon\",\n \"units\": \"metric\" }",
                "f5d2ab550502ac586fc9850a1328cd901ce7a78cdeebace8e4c2442cf072240c",
                lisbon,
                34,
            ),
            (
                "{\"units\":\"metric\",\"city\":\"Lisbon\"}",
                "dc7bf90f95b788a92cea6bf7170b56dce0cb17705f97554d2df017267a58e105",
                lisbon,
                34,
            ),
            (
                "{\"city\":\"São Paulo\"}",
                "994104c5ff665e26064568f187ddb34d4884ff22afdc84e8a329c612e1293028",
                "11a62c23412b77477a71481aa2dc7323bcc61d076c8449076c4c58a8356c1bb1",
                25,
            ),
            ("[\"ls\", \"-la\"]", "f77a57d61be9280480eba9e49f789995d6817c07cea996b4c77cf7b956c41304", "none", 12),
            ("str", "72495b0e1f3c6c961f46d3f249ce968ac758c43b88e50d32aa138681f8a38804", "none", 5),
            ("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", nothing, 2),
        ] {
            let told: serde_json::Value = serde_json::from_str(&arguments(None, "f", text)).unwrap();
            let expected =
                serde_json::json!({"name": "f", "args_hash": hash, "signature_hash": signature, "args_bytes": bytes});
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn compact_json_is_what_python_writes() {
        let text = "{ \"a\\u0008\\f\\n\\/\\\\u0008\" : [ 1.50 , true,\"\u{7f}😀\\ud83d\\ude00\" ] }";
        assert_eq!(compact(text), r#"{"a\b\f\n/\\u0008":[1.50,true,"\u007f\ud83d\ude00\ud83d\ude00"]}"#);
    }
}
