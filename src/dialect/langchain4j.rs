//! LangChain4j's observations: the conventions by way of Micrometer, so that every value is a text.
//!
//! Nothing of content. Counts stand under bare names, and an outcome beside them. Source: `langchain4j-observation`
//! 1.19.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use super::usage::Counts;

pub(super) const DIALECT: Dialect = Dialect { name: "langchain4j", probe: Some(is_observation), read, ..Dialect::NONE };

/// No key is its own: a call with an outcome in Micrometer's words is.
fn is_observation(source: &Source<'_>) -> bool {
    !source.is_log
        && matches!(source.peek("outcome"), Some("SUCCESS" | "ERROR"))
        && source.peek("gen_ai.operation.name") == Some("chat")
        && source.has("gen_ai.provider.name")
}

fn read(source: &Source<'_>, draft: &mut Draft) {
    let count = |key| source.attributes.first_count(&[key], &source.notes);
    draft.usage(&source.attributes, || Counts {
        input: count("input_tokens"),
        output: count("output_tokens"),
        ..Counts::default()
    });
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use serde_json::json;

    #[test]
    fn bare_counts_and_unknown_names() {
        let told = json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "OPEN_AI", "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "unknown", "outcome": "SUCCESS", "input_tokens": "57", "output_tokens": "21",
        });
        let partial = read_span("org.springframework.boot", a_span("chatgpt-4o-mini", told));
        let tokens = row(&partial).tokens.as_ref().unwrap();
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens),
            (Some(57), Some(21), Some(78))
        );
        let model = row(&partial).model.as_ref().unwrap();
        assert_eq!((model.provider.as_deref(), model.response.as_deref()), (Some("openai"), None));
        assert_eq!(row(&partial).dialect, "langchain4j");
        assert_eq!(left(&partial), ["gen_ai.provider.name", "gen_ai.response.model", "outcome"]);
    }
}
