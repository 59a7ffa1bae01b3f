//! What is metadata and not content, to judge by a name and by how a value looks. The one list that says so.

/// Last words of names under which content stands whatever it looks like: all of it is taken, numbers too where it is
/// an object or a list.
const WHOLE: [&str; 12] = [
    "args",
    "arguments",
    "input",
    "inputs",
    "kwargs",
    "kwds",
    "output",
    "outputs",
    "reply",
    "result",
    "results",
    "return",
];

/// The same of names as clients of the logging SDKs use them.
const WHOLE_SENT: [&str; 11] = [
    "button",
    "contacts",
    "failed_data",
    "initial_context",
    "interactive",
    "location",
    "order",
    "parameters",
    "request_data",
    "response_data",
    "return_value",
];

/// Last words of names whose one-word values are metadata: what a thing is called, which kind it is, what became of
/// it, and where it ran.
const METADATA: [&str; 81] = [
    // Which one.
    "branch",
    "checksum",
    "commit",
    "component",
    "digest",
    "fingerprint",
    "hash",
    "hashes",
    "id",
    "ids",
    "model",
    "models",
    "name",
    "names",
    "node",
    "repo",
    "repository",
    "run",
    "sha",
    "slug",
    "tag",
    "tags",
    "team",
    "tool",
    "tools",
    "trigger",
    "triggers",
    "uuid",
    // Of what kind.
    "category",
    "channel",
    "class",
    "direction",
    "encoding",
    "format",
    "kind",
    "lang",
    "language",
    "locale",
    "method",
    "mode",
    "object",
    "op",
    "operation",
    "process",
    "protocol",
    "role",
    "roles",
    "scheme",
    "tier",
    "type",
    "types",
    "unit",
    "units",
    // What became of it.
    "code",
    "decision",
    "effort",
    "level",
    "outcome",
    "reason",
    "reasons",
    "severity",
    "state",
    "status",
    // By what, and where.
    "arch",
    "env",
    "environment",
    "framework",
    "host",
    "hostname",
    "integration",
    "namespace",
    "platform",
    "provider",
    "region",
    "route",
    "runtime",
    "source",
    "vendor",
    "version",
    "versions",
    "zone",
];

/// Names that are metadata though their last word is not.
const NAMED: [&str; 8] = [
    "advisor",
    "cwd",
    "finish_reasons_raw",
    "gen_ai.system",
    "net.peer.ip",
    "project",
    "reasoning_effort",
    "server.address",
];

/// Last words of names whose values are addresses of services: what stands behind `?` or `#` is taken.
const ADDRESSES: [&str; 8] = ["base", "endpoint", "full", "path", "target", "uri", "url", "urls"];

/// Objects in which names mean what they say: those that mappers make and those of known formats. In all others, what
/// is called `name` may be anything.
const OPEN: [&str; 63] = [
    "tool_hashes",
    "action",
    "actions",
    "agent",
    "api_call",
    "attributes",
    "billing",
    "choices",
    "client",
    "computed",
    "content_refs",
    "context",
    "conversation",
    "cost",
    "delta",
    "documents",
    "error",
    "evaluation",
    "events",
    "feedback",
    "function",
    "function_call",
    "functions",
    "generation_info",
    "git",
    "graph",
    "ids",
    "items",
    "json_schema",
    "links",
    "logs",
    "message",
    "messages",
    "metadata",
    "metric",
    "model",
    "modelmetadata",
    "node_info",
    "payload",
    "plan",
    "provider_metadata",
    "raw",
    "redaction",
    "requester_metadata",
    "resource",
    "response_format",
    "response_metadata",
    "schema",
    "scope",
    "server",
    "session",
    "stated",
    "step",
    "steps",
    "timing",
    "tool",
    "tool_call",
    "tool_calls",
    "tool_choice",
    "toolcalls",
    "tools",
    "user",
    "wa_meta",
];

/// Objects of definitions of tools in which names mean what they say, or are names of parameters.
const DEFINED: [&str; 6] = ["additionalProperties", "definitions", "$defs", "parameters", "input_schema", "properties"];

/// Characters of a name, a kind, a model.
const LABEL: usize = 64;
/// Words of one.
const LABEL_WORDS: usize = 4;
/// Letters of scripts that part no words: so many may make a word, more make a sentence.
const UNPARTED: usize = 8;
/// Characters of an id, an address, a name of a field.
const ID: usize = 256;

/// The last word of a name, and the last of its parts as names in camel case have them: `toolInput` gives `Input`.
fn last_words(name: &str) -> [&str; 2] {
    let last =
        name.rsplit(['.', ':', '/', '_', '-', ' ']).find(|word| word.bytes().any(|byte| byte.is_ascii_alphabetic()));
    let last = last.unwrap_or(name);
    let is_camel = last.contains(|c: char| c.is_ascii_lowercase());
    let word = last.rfind(|c: char| c.is_ascii_uppercase()).filter(|_| is_camel).and_then(|at| last.get(at..));
    [last, word.unwrap_or(last)]
}

fn ends_with_one_of(name: &str, words: &[&str]) -> bool {
    last_words(name).iter().any(|last| words.iter().any(|word| last.eq_ignore_ascii_case(word)))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether what stands under a name is content as a whole. `is_sent` says that a client named it.
pub(super) fn is_whole(name: &str, is_sent: bool) -> bool {
    ends_with_one_of(name, &WHOLE) || is_sent && is_one_of(name, &WHOLE_SENT)
}

/// Whether numbers that stand under a name are content.
pub(super) fn is_whole_number(name: &str) -> bool {
    const NUMBERS: [&str; 6] = ["args", "arguments", "kwargs", "result", "results", "return"];
    ends_with_one_of(name, &NUMBERS) || name == "return_value"
}

/// Whether names within an object or a list mean what they say.
pub(super) fn is_open(name: &str, is_object: bool) -> bool {
    is_one_of(name, &OPEN) || !is_object && ends_with_one_of(name, &METADATA)
}

/// The same within definitions of tools.
pub(super) fn is_defined(name: &str, is_object: bool) -> bool {
    is_open(name, is_object) || is_one_of(name, &DEFINED) || !is_object && name == "required"
}

/// What of a value under a name is metadata: all of it, an address without what it asks for, or nothing.
pub(super) fn kept<'t>(name: Option<&str>, text: &'t str) -> Option<&'t str> {
    if is_number(text) || is_time(text) {
        return Some(text);
    }
    let name = name?;
    if ends_with_one_of(name, &ADDRESSES) {
        let address = text.find(['?', '#']).map_or(text, |end| text.get(..end).unwrap_or_default());
        return (is_word(address, ID) && !address.starts_with("data:")).then_some(address);
    }
    let is_id = ends_with_one_of(name, &["id", "ids", "uuid"]);
    let is_named = is_id || ends_with_one_of(name, &METADATA) || is_one_of(name, &NAMED);
    (is_named && is_word(text, if is_id { ID } else { LABEL })).then_some(text)
}

/// Whether a text is a name of something: short, of few words, and no sentence.
pub(super) fn is_label(text: &str) -> bool {
    text.chars().count() <= LABEL
        && text.split(' ').count() <= LABEL_WORDS
        && text.split(' ').all(|word| word.is_empty() || is_word(word, LABEL))
}

/// Whether a path is made of names.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_label)
}

/// Whether a text is a name of a field.
pub(super) fn is_name(text: &str) -> bool {
    is_word(text, ID) || is_label(text)
}

/// Whether a text is one word of at most so many characters.
fn is_word(text: &str, most: usize) -> bool {
    let is_unparted = |char: &char| char.is_alphabetic() && !char.is_lowercase() && !char.is_uppercase();
    !text.contains(|char: char| char.is_whitespace() || char.is_control() || matches!(char, '?' | '!' | '"'))
        && text.chars().nth(most).is_none()
        && text.chars().filter(is_unparted).nth(UNPARTED).is_none()
}

/// Whether a text is a number or a truth.
fn is_number(text: &str) -> bool {
    const LONGEST: usize = 24;
    text.len() <= LONGEST && (text.parse::<f64>().is_ok() || is_one_of(text, &["true", "false", "null"]))
}

/// Whether a text is a date or a time as RFC 3339 writes it.
fn is_time(text: &str) -> bool {
    const LONGEST: usize = 40;
    let is_date = matches!(text.as_bytes(), [a, b, c, d, b'-', e, f, b'-', g, h, ..]
        if [a, b, c, d, e, f, g, h].into_iter().all(u8::is_ascii_digit));
    is_date
        && text.len() <= LONGEST
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z' | b'+' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_no_sentences() {
        for label in ["chat gpt-4o", "Responses API with 'gpt-4o-mini'", "São Paulo", "天気エージェント", "429", ""]
        {
            assert!(is_label(label), "{label}");
        }
        let long = "x".repeat(65);
        for other in ["Is it raining?", "it rains in all of Lisbon", "two\nlines", "今天里斯本的天气怎么样呢", &long]
        {
            assert!(!is_label(other), "{other}");
        }
        assert!(is_path("agent/Weather assistant/tools") && !is_path("agent/it rains in all of Lisbon"));
    }

    #[test]
    fn metadata_is_known_by_its_name_and_its_looks() {
        for (name, text) in [
            ("gen_ai.agent.id", "a-1"),
            ("modelName", "gpt-4o"),
            ("finish_reasons", "stop"),
            ("anything", "0.7"),
            ("anything", "2026-11-21T15:23:04.125Z"),
            ("server.address", "api.openai.com"),
            ("k8s.pod.name", "shop-1"),
        ] {
            assert_eq!(kept(Some(name), text), Some(text), "{name}");
        }
        assert_eq!(kept(Some("http.url"), "https://h/p?q=x#y"), Some("https://h/p"));
        for (name, text) in [
            ("note", "rain"),
            ("reason", "because it rains"),
            ("url", "data:,rain"),
            ("tool", "{\"a\":1}"),
            ("rename", "x"),
        ] {
            assert_eq!(kept(Some(name), text), None, "{name}");
        }
        assert_eq!(kept(None, "rain"), None);
        assert!(
            is_whole("traceloop.entity.input", false) && is_whole("toolArgs", false) && !is_whole("parameters", false)
        );
        assert!(is_open("tool_calls", true) && is_open("tags", false) && !is_open("name", true));
    }
}
