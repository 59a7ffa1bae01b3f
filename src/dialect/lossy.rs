//! Tells of calls whose producer is known to leave out what was said, though what it tells looks whole. Their rows say
//! so in `notes`, after `lossy_source:`; whoever compares histories must not take them for complete.
//!
//! | producer | leaves out | said where |
//! |---|---|---|
//! | OpenLIT | images, and turns of the assistant without text | there is an input |
//! | OpenLLMetry | the whole input when an image in it cannot be uploaded | there is an answer and no input |
//! | the conventions' packages for OpenAI | the Responses API's reasoning | tokens of reasoning are counted and none is told |
//! | Google ADK | which texts are thoughts | the same |
//! | OpenInference for LangChain | all prompts of a batch but the first | prompts are told |
//!
//! Source: these packages, run or read.

use super::draft::Draft;
use super::source::Source;
use crate::event::Message;
use crate::event::event_type;

/// Notes what is missing of a call.
pub(super) fn note(source: &Source<'_>, draft: &mut Draft) {
    if !draft.is(event_type::CHAT_COMPLETION) {
        return;
    }
    let scope = source.scope.name;
    let of_official_openai = ["opentelemetry.instrumentation.genai.openai", "opentelemetry.instrumentation.openai_v2"]
        .iter()
        .any(|name| scope.starts_with(name))
        // Chat Completions gives none to tell.
        && source.peek("openai.api.type") == Some("responses");
    let hides_reasoning = hides_reasoning(draft);
    let missing = match draft.row.dialect.as_str() {
        "openlit" if draft.has_input() => "openlit leaves out images and assistant turns without text",
        "openllmetry" if draft.has_output() && !draft.has_input() => {
            "openllmetry leaves out the whole input where an image in it is not uploaded"
        }
        "google-adk" if hides_reasoning => "google-adk tells thoughts as text",
        "openinference" if scope == "openinference.instrumentation.langchain" && has_prompts(source) => {
            "openinference tells only the first prompt of a batch"
        }
        _ if of_official_openai && hides_reasoning => "the instrumentation of openai leaves out reasoning",
        _ => return,
    };
    source.notes.add(|| format!("lossy_source: {missing}"));
}

/// Whether tokens of reasoning are counted and there is an answer, but no reasoning in it.
fn hides_reasoning(draft: &mut Draft) -> bool {
    let counted = draft.row.tokens.as_ref().and_then(|tokens| tokens.reasoning_tokens).is_some_and(|count| count > 0);
    let tells = |output: &mut Vec<Message>| output.iter().any(|message| message.reasoning.is_some());
    counted && draft.output_mut().is_some_and(|output| !tells(output))
}

fn has_prompts(source: &Source<'_>) -> bool {
    source.attributes.list().iter().any(|entry| entry.key.starts_with("llm.prompts"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_pass_by_value, reason = "literals read better without a reference")]

    use crate::dialect::tests::*;
    use serde_json::Value;
    use serde_json::json;

    fn marks(scope: &str, attributes: Value) -> Vec<String> {
        let partial = read_span(scope, a_span("chat", attributes));
        row(&partial).notes.iter().filter_map(|note| note.strip_prefix("lossy_source: ")).map(str::to_owned).collect()
    }

    fn call(more: Value) -> Value {
        let mut call = json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.output.messages": "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]",
        });
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    }

    #[test]
    fn a_call_of_a_producer_that_leaves_out_content_says_so() {
        let input = json!({"gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]}]"});
        let lit = marks("openlit.instrumentation.openai", call(input.clone()));
        assert_eq!(lit, ["openlit leaves out images and assistant turns without text"]);
        let reasoned = json!({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.reasoning.output_tokens": 2});
        assert!(marks("opentelemetry.instrumentation.genai.openai", call(reasoned.clone())).is_empty());
        let mut responses = reasoned.clone();
        responses["openai.api.type"] = json!("responses");
        let official = marks("opentelemetry.instrumentation.genai.openai", call(responses));
        assert_eq!(official, ["the instrumentation of openai leaves out reasoning"]);
        assert_eq!(marks("gcp.vertex.agent", call(reasoned.clone())), ["google-adk tells thoughts as text"]);
        let traceloop = json!({"traceloop.workflow.name": "w"});
        let llmetry = marks("opentelemetry.instrumentation.openai.v1", call(traceloop.clone()));
        assert_eq!(llmetry, ["openllmetry leaves out the whole input where an image in it is not uploaded"]);
        let prompts = json!({"openinference.span.kind": "LLM", "llm.prompts.0.prompt.text": "Hi"});
        let batch = marks("openinference.instrumentation.langchain", prompts);
        assert_eq!(batch, ["openinference tells only the first prompt of a batch"]);
        // Nothing is missing here.
        assert!(marks("opentelemetry.instrumentation.genai.openai", call(input)).is_empty());
        assert!(marks("someone.else", call(reasoned)).is_empty());
    }
}
