//! Words and numbers of many vendors in one form: truths, counts, roles, finish reasons, providers, times.

use std::borrow::Cow;

/// A truth told as a word; Python writes it with a capital.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "True" | "TRUE" | "1" => Some(true),
        "false" | "False" | "FALSE" | "0" => Some(false),
        _ => None,
    }
}

/// A finite number told as text.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A count told as text.
pub(super) fn count(text: &str) -> Option<i64> {
    match text.trim().parse::<i64>() {
        Ok(value) => (value >= 0).then_some(value),
        Err(_) => number(text).and_then(whole),
    }
}

/// A count told as a floating number.
pub(super) fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if !(0.0..=LIMIT).contains(&value) || value.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    Some(value as i64)
}

/// The role of a message in OpenAI's words; None for a word that is no role.
pub(super) fn role(word: &str) -> Option<&'static str> {
    Some(match word {
        "system" | "developer" | "System" | "SystemMessage" | "SystemMessageChunk" | "SYSTEM" => "system",
        "user" | "human" | "User" | "Human" | "HumanMessage" | "HumanMessageChunk" | "USER" | "input" => "user",
        "assistant"
        | "ai"
        | "Assistant"
        | "AIMessage"
        | "AIMessageChunk"
        | "model"
        | "bot"
        | "MODEL"
        | "ASSISTANT"
        | "tool-call"
        | "MessageRole.ASSISTANT" => "assistant",
        "tool" | "function" | "Tool" | "ToolMessage" | "FunctionMessage" | "ToolMessageChunk" | "tool_result"
        | "tool-response" | "tool-result" | "tool_search" | "TOOL" => "tool",
        "MessageRole.SYSTEM" => "system",
        "MessageRole.USER" => "user",
        "MessageRole.TOOL_RESPONSE" => "tool",
        "MessageRole.TOOL_CALL" => "assistant",
        _ => return None,
    })
}

/// A finish reason in OpenAI's words; None for one that says nothing.
pub(super) fn finish_reason(raw: &str) -> Option<Cow<'_, str>> {
    let trimmed = raw.trim().trim_matches('"');
    let bare = trimmed.rsplit_once('.').map_or(trimmed, |(_, last)| last);
    let lower = bare.to_ascii_lowercase();
    let lower = lower.strip_prefix("finish_reason_").unwrap_or(&lower);
    Some(Cow::Borrowed(match lower {
        "" | "unknown" | "null" | "none" | "unspecified" => return None,
        "stop" | "end_turn" | "endturn" | "stop_sequence" | "stopsequence" | "pause_turn" | "complete"
        | "completed" | "eos" | "eos_token" | "done" | "finish" | "finished" => "stop",
        "tool_calls" | "tool_call" | "tool-calls" | "tool-call" | "tool_use" | "tool_execution" | "tooluse"
        | "function_call" | "function_calls" | "toolcalls" | "toolcall" | "functioncall" => "tool_calls",
        "length"
        | "max_tokens"
        | "maxtokens"
        | "max_output_tokens"
        | "model_context_window_exceeded"
        | "incomplete"
        | "max_length" => "length",
        "content_filter"
        | "content-filter"
        | "contentfilter"
        | "safety"
        | "blocklist"
        | "prohibited_content"
        | "refusal"
        | "guardrail_intervened"
        | "content_filtered"
        | "spii" => "content_filter",
        "error" | "failed" | "cancelled" | "canceled" | "recitation" | "malformed_function_call" | "other" => "error",
        _ => return Some(Cow::Borrowed(trimmed)),
    }))
}

/// Bytes of a provider's name that is written in lower case.
const LONGEST_PROVIDER: usize = 15;

/// The canonical name of a provider; None for the name of a framework.
pub(super) fn provider(raw: &str) -> Option<Cow<'_, str>> {
    let lower = raw.trim().to_ascii_lowercase();
    Some(Cow::Borrowed(match lower.as_str() {
        "" | "unknown" | "none" | "null" => return None,
        "langchain"
        | "langgraph"
        | "crewai"
        | "strands-agents"
        | "strands"
        | "microsoft.agent_framework"
        | "autogen"
        | "gcp.vertex.agent"
        | "llamaindex"
        | "llama_index"
        | "haystack"
        | "agno"
        | "spring_ai"
        | "smolagents"
        | "dspy"
        | "pydantic_ai"
        | "pydantic-ai"
        | "litellm"
        | "semantic_kernel"
        | "openai_agents"
        | "openai-agents"
        | "mastra"
        | "microsoft.agents" => return None,
        "openai" | "open_ai" | "openai.chat" | "openai.responses" | "openai.completion" | "openai.embedding" => {
            "openai"
        }
        "anthropic" | "anthropic.messages" => "anthropic",
        "azure.ai.inference" | "az.ai.inference" | "azure_ai_inference" => "azure.ai.inference",
        "azure.ai.openai"
        | "az.ai.openai"
        | "azure"
        | "azure-openai.chat"
        | "azure-openai.responses"
        | "azure_openai"
        | "azure-openai"
        | "azureopenai"
        | "azure_open_ai"
        | "openai.azure" => "azure.ai.openai",
        "aws.bedrock" | "aws" | "amazon" | "bedrock" | "amazon-bedrock" | "amazon_bedrock" | "bedrock_converse"
        | "aws_bedrock" => "aws.bedrock",
        "gcp.gemini"
        | "gemini"
        | "google"
        | "google.generative-ai"
        | "google_genai"
        | "googlegenerativeai"
        | "google-genai"
        | "google_ai_gemini" => "gcp.gemini",
        "gcp.vertex_ai"
        | "vertex_ai"
        | "vertexai"
        | "google-vertex"
        | "google_vertexai"
        | "google.vertex.chat"
        | "google_vertex_ai_gemini" => "gcp.vertex_ai",
        "x_ai" | "xai" | "xai.chat" | "x-ai" => "x_ai",
        "mistral_ai" | "mistral" | "mistralai" | "mistral.chat" => "mistral_ai",
        "ibm.watsonx.ai" | "watsonx" | "ibm" => "ibm.watsonx.ai",
        "moonshot_ai" | "moonshot" => "moonshot_ai",
        "cohere" | "cohere.chat" => "cohere",
        "groq" | "groq.chat" => "groq",
        "deepseek" | "deepseek.chat" => "deepseek",
        "perplexity" | "perplexity.chat" => "perplexity",
        // No name is as long as the shortest credential: in lower case, redaction would not know it for one.
        _ if lower == raw || lower.len() > LONGEST_PROVIDER => return Some(Cow::Borrowed(raw)),
        _ => return Some(Cow::Owned(lower)),
    }))
}

/// Words that stand for content that was withheld.
pub(super) fn is_withheld(text: &str) -> bool {
    matches!(text, "__REDACTED__" | "<REDACTED>" | "[REDACTED]" | "<elided>" | "<not serializable>" | "FILTERED")
        || text.starts_with("[Scrubbed due to '") && text.ends_with(']') && text.len() < 200
        || is_python_object(text)
}

/// What Python writes of an object that has no text, as of an answer that nobody has read yet: `<groq.Stream object at
/// 0x7f1c>`, `<coroutine object AsyncAPIResponse.parse at 0x7f1c>`.
fn is_python_object(text: &str) -> bool {
    let Some((what, address)) =
        text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).and_then(|text| text.rsplit_once(" at 0x"))
    else {
        return false;
    };
    let is_object = what.ends_with(" object") || what.contains(" object ") || what.starts_with("function ");
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b" ._<>[],".contains(&byte);
    is_object
        && what.bytes().all(is_name)
        && !address.is_empty()
        && address.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Milliseconds from one time to a later one.
pub(super) fn millis_between(from_ns: u64, to_ns: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a length of time: far below 2^53 nanoseconds matters")]
    to_ns.checked_sub(from_ns).map(|nanos| nanos as f64 / 1e6)
}

/// Nanoseconds since 1970 of an RFC 3339 time; one without a zone is UTC.
pub(super) fn time(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches('"');
    let parsed = chrono::DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_nanos_opt()).or_else(|_| {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok())
            .map(|time| time.and_utc().timestamp_nanos_opt())
            .ok_or(())
    });
    parsed.ok().flatten().and_then(|nanos| u64::try_from(nanos).ok())
}

/// An RFC 3339 text of a time in nanoseconds.
pub(super) fn time_text(nanos: u64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_nanos(i64::try_from(nanos).ok()?);
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// Lower-case hex of an id; None where it is empty or all zeros.
pub(super) fn hex(id: &[u8]) -> Option<String> {
    if id.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut out = String::with_capacity(id.len() * 2);
    for byte in id {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (text, want) in [
            ("12", Some(12)),
            (" 12 ", Some(12)),
            ("12.0", Some(12)),
            ("12.5", None),
            ("-1", None),
            ("NaN", None),
            ("1e30", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(count(text), want, "{text}");
        }
    }

    #[test]
    fn finish_reasons_are_openais_words() {
        for (raw, want) in [
            ("tool_use", Some("tool_calls")),
            ("ToolCalls", Some("tool_calls")),
            ("FINISH_REASON_STOP", Some("stop")),
            ("end_turn", Some("stop")),
            ("MAX_TOKENS", Some("length")),
            ("SAFETY", Some("content_filter")),
            ("FinishReason.STOP", Some("stop")),
            ("", None),
            ("unknown", None),
            ("compaction", Some("compaction")),
            ("failed", Some("error")),
            ("FINISH", Some("stop")),
        ] {
            assert_eq!(finish_reason(raw).as_deref(), want, "{raw}");
        }
    }

    #[test]
    fn frameworks_are_no_providers() {
        assert_eq!(provider("Langchain"), None);
        assert_eq!(provider("OpenAI").as_deref(), Some("openai"));
        assert_eq!(provider("AWS").as_deref(), Some("aws.bedrock"));
        assert_eq!(provider("Ollama").as_deref(), Some("ollama"));
        assert_eq!(provider("google.generative-ai").as_deref(), Some("gcp.gemini"));
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        assert_eq!(time("\"2026-11-21T09:00:01.250000+00:00\""), time("2026-11-21T09:00:01.25Z"));
        assert_eq!(time("2026-11-21T09:00:01.250000"), time("2026-11-21T09:00:01.25Z"));
        assert_eq!(time("yesterday"), None);
        assert_eq!(time_text(1_795_225_283_734_706_895).as_deref(), Some("2026-11-21T01:41:23.734706895Z"));
    }
}
