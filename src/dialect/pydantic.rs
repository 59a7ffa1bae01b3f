//! Pydantic AI's own spans, formats 1 to 6: messages as events in one attribute, later where the conventions put them.
//!
//! Source: `pydantic-ai` 0.8, 1.0 and 2.68.

use super::Dialect;
use super::draft::Draft;
use super::genai;
use super::genai_legacy;
use super::json::Node;
use super::messages;
use super::messages::Definitions;
use super::source::Source;
use super::usage::Counts;
use super::usage::Scheme;
use crate::event::ToolExecution;
use crate::event::event_type;
use std::collections::BTreeSet;

pub(super) const DIALECT: Dialect = Dialect {
    name: "pydantic-ai",
    scopes: &["pydantic-ai"],
    keys: &["pydantic_ai.", "model_request_parameters", "all_messages_events"],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    kind(source, draft);
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    } else if draft.is(event_type::AGENT_INVOCATION) {
        agent(source, draft);
    } else {
        events(source, draft);
        tools(source, draft);
        genai::before_openinference(source, draft);
    }
    cost(source, draft);
}

fn kind(source: &Source<'_>, draft: &mut Draft) {
    if let Some(kind) = source.peek("gen_ai.operation.name").and_then(genai::kind_of_operation) {
        draft.kind(kind);
    } else if source.name == "agent run" || source.has("all_messages_events") || source.has("pydantic_ai.all_messages")
    {
        draft.kind(event_type::AGENT_INVOCATION);
    } else if source.has("tool_arguments") || source.name == "running tool" {
        draft.kind(event_type::TOOL_EXECUTION);
    } else if source.name.starts_with("running ") && source.name.ends_with("tools") {
        draft.kind(event_type::GRAPH_STEP);
    } else if source.has("model_request_parameters") {
        draft.kind(event_type::CHAT_COMPLETION);
    }
}

/// Format 1: all messages as a list of events.
pub(super) fn events(source: &Source<'_>, draft: &mut Draft) {
    if !draft.has_input() && !draft.has_output() {
        listed(source, draft, false);
    }
}

/// The same of a call that was answered: where no event is the choice, what the assistant says last is the answer.
pub(super) fn exchange(source: &Source<'_>, draft: &mut Draft) {
    if !draft.has_input() {
        listed(source, draft, true);
    }
}

fn listed(source: &Source<'_>, draft: &mut Draft, answered: bool) {
    let Some(doc) = source.json("events") else { return };
    let (mut input, mut output) = genai_legacy::listed(&doc.node);
    if input.is_empty() && output.is_empty() {
        return;
    }
    if answered && output.is_empty() {
        (input, output) = input.into_exchange();
    }
    let whole = doc.whole && !input.lossy && !output.lossy;
    draft.kind(event_type::CHAT_COMPLETION);
    draft.input(input, &source.notes, "events");
    draft.output(output, &source.notes, "events");
    if whole {
        source.attributes.mark("events");
        names(&doc.node, draft);
    }
}

/// The names of events, each once: the roles of messages say what they mean, but not what they are.
fn names(events: &Node<'_>, draft: &mut Draft) {
    let names: BTreeSet<&str> =
        events.items().iter().filter_map(|event| event.first_text(&["event.name", "event_name"])).collect();
    if !names.is_empty() {
        let list = Node::array(names.into_iter().map(|name| Node::String(name.into())).collect());
        draft.detail("event_names", list.json());
    }
}

/// The whole run: what was said last is the output.
fn agent(source: &Source<'_>, draft: &mut Draft) {
    for key in ["pydantic_ai.all_messages", "all_messages_events"] {
        let Some(doc) = source.json(key).filter(|_| !draft.has_input() && !draft.has_output()) else { continue };
        let told = if key == "all_messages_events" {
            genai_legacy::listed(&doc.node).0
        } else {
            messages::read(&doc.node, "user")
        };
        let whole = doc.whole && !told.lossy;
        let (input, output) = told.into_run();
        draft.input(input, &source.notes, key);
        draft.output(output, &source.notes, key);
        if whole {
            source.attributes.mark(key);
            names(&doc.node, draft);
        }
    }
    draft.system_from(&source.attributes, &source.notes, "gen_ai.system_instructions");
    draft.detail_from(&source.attributes, "final_result", "final_result");
    draft.usage(&source.attributes, || aggregated(source));
    if let Some(name) = source.text("model_name") {
        draft.model().request.get_or_insert_with(|| name.to_owned());
    }
}

/// What all calls of a run used together: a name of its own keeps it from being added to theirs.
fn aggregated(source: &Source<'_>) -> Counts {
    let count = |name: &str| source.attributes.count(&format!("gen_ai.aggregated_usage.{name}"), &source.notes);
    Counts {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cached: count("cache_read.input_tokens").or_else(|| count("details.cache_read_tokens")),
        written: count("cache_creation.input_tokens").or_else(|| count("details.cache_write_tokens")),
        reasoning: count("details.reasoning_tokens"),
        scheme: Scheme::Inclusive,
        ..Counts::default()
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    draft.tool(|| ToolExecution {
        name: source.text("gen_ai.tool.name").unwrap_or(source.name).to_owned(),
        call_id: source.text("gen_ai.tool.call.id").map(str::to_owned),
        r#type: source.text("gen_ai.tool.type").map(str::to_owned),
        arguments: ["gen_ai.tool.call.arguments", "tool_arguments"].iter().find_map(|key| attributes.raw_json(key)),
        result: ["gen_ai.tool.call.result", "tool_response"].iter().find_map(|key| attributes.raw_json(key)),
        ..ToolExecution::default()
    });
}

/// What the model was asked with holds its tools; where the conventions' key does too, that is read.
fn tools(source: &Source<'_>, draft: &mut Draft) {
    let key = "model_request_parameters";
    if draft.has_tools() || source.has("gen_ai.tool.definitions") {
        return;
    }
    let Some(doc) = source.json(key) else { return };
    draft.tools(defined(&doc.node));
}

/// The tools among the parameters of a request.
pub(super) fn defined(parameters: &Node<'_>) -> Definitions {
    let mut tools = Definitions::default();
    for name in ["function_tools", "output_tools", "builtin_tools", "native_tools"] {
        tools.read(parameters.get(name).unwrap_or(&Node::Null));
    }
    tools
}

/// What Pydantic's tracer computed the call to cost.
pub(super) fn cost(source: &Source<'_>, draft: &mut Draft) {
    let key = "operation.cost";
    if !draft.has_cost()
        && let Some(usd) = source.number(key)
        && !draft.cost(usd, key)
    {
        source.attributes.unmark(key);
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn messages_of_format_one_are_a_list_of_events() {
        let partial = read_span(
            "pydantic-ai",
            a_span(
                "chat gpt-4o",
                json!({
                    "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
                    "model_request_parameters": "{\"function_tools\":[{\"name\":\"f\",\"description\":\"d\",\"parameters_json_schema\":{\"type\":\"object\"}}]}",
                    "operation.cost": 0.001,
                    "events": "[{\"event.name\":\"gen_ai.system.message\",\"content\":\"Be brief.\",\"role\":\"system\",\"gen_ai.message.index\":0},{\"event.name\":\"gen_ai.user.message\",\"content\":\"Hi\",\"role\":\"user\"},{\"event.name\":\"gen_ai.choice\",\"index\":0,\"message\":{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]",
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!(row.dialect, "pydantic-ai");
        assert_eq!(row.input_message_count, Some(2));
        assert_eq!(row.messages[2].tool_calls[0].id.as_deref(), Some("call_1"));
        assert_eq!(row.tokens.as_ref().unwrap().cost_usd, Some(0.001));
        let tools: serde_json::Value = serde_json::from_str(row.tools.as_deref().unwrap()).unwrap();
        assert_eq!(tools[0]["function"]["name"], "f");
        assert_eq!(left(&partial), ["model_request_parameters"]);
    }

    #[test]
    fn parts_with_texts_of_json_and_results_of_users_are_openais() {
        let partial = read_span(
            "pydantic-ai",
            a_span(
                "chat gpt-4o",
                json!({
                    "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.provider.name": "openai", "model_request_parameters": "{}",
                    "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]},{\"role\":\"assistant\",\"parts\":[{\"type\":\"thinking\",\"content\":\"Hm.\"},{\"type\":\"tool_call\",\"id\":\"call_1\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}]},{\"role\":\"user\",\"parts\":[{\"type\":\"tool_call_response\",\"id\":\"call_1\",\"name\":\"f\",\"result\":\"21\"}]}]",
                }),
            ),
        );
        assert_eq!(
            messages(&partial),
            json!([
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": null, "reasoning": "Hm.", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
                {"role": "tool", "content": "21", "name": "f", "tool_call_id": "call_1"},
            ])
        );
    }

    #[test]
    fn its_own_keys_are_read_before_what_openinference_made_of_them() {
        let partial = read_span(
            "pydantic-ai",
            a_span(
                "chat gpt-4o",
                json!({
                    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                    "gen_ai.response.model": "gpt-4o-2024-08-06", "model_request_parameters": "{}",
                    "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4,
                    "gen_ai.input.messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"tool_call_response\",\"id\":\"a\",\"name\":\"f\",\"result\":\"1\"},{\"type\":\"tool_call_response\",\"id\":\"b\",\"name\":\"f\",\"result\":\"2\"}]}]",
                    "gen_ai.tool.definitions": "[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{}}]",
                    "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 10,
                    "llm.token_count.completion": 5, "llm.input_messages.0.message.role": "tool",
                    "llm.input_messages.0.message.tool_call_id": "b", "llm.tools.0.tool.json_schema": "{}",
                }),
            ),
        );
        let ids: Vec<_> = row(&partial).messages.iter().filter_map(|message| message.tool_call_id.as_deref()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(row(&partial).tokens.as_ref().unwrap().cached_tokens, Some(4));
        assert_eq!(row(&partial).model.as_ref().unwrap().response.as_deref(), Some("gpt-4o-2024-08-06"));
        assert!(row(&partial).tools.as_deref().unwrap().contains("\"name\":\"f\""));
    }

    #[test]
    fn an_agents_run_and_a_tools_are_told_apart() {
        let run = read_span(
            "pydantic-ai",
            a_span(
                "agent run",
                json!({
                    "agent_name": "weather", "model_name": "gpt-4o", "final_result": "Sunny.",
                    "pydantic_ai.all_messages": "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"Hi\"}]},{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"Sunny.\"}]}]",
                    "gen_ai.usage.input_tokens": 5,
                }),
            ),
        );
        assert_eq!(row(&run).event_type, event_type::AGENT_INVOCATION);
        assert_eq!(row(&run).agent.as_ref().unwrap().name.as_deref(), Some("weather"));
        assert_eq!((row(&run).messages.len(), row(&run).input_message_count), (2, Some(1)));
        let run = read_span(
            "pydantic-ai",
            a_span(
                "invoke_agent weather",
                json!({
                    "gen_ai.operation.name": "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 114,
                    "gen_ai.aggregated_usage.output_tokens": 42, "gen_ai.aggregated_usage.details.reasoning_tokens": 7,
                }),
            ),
        );
        let tokens = row(&run).tokens.as_ref().unwrap();
        assert_eq!(
            (tokens.prompt_tokens, tokens.completion_tokens, tokens.reasoning_tokens),
            (Some(114), Some(42), Some(7))
        );
        assert!(left(&run).is_empty());
        let tool = read_span(
            "pydantic-ai",
            a_span(
                "running tool",
                json!({"gen_ai.tool.name": "f", "gen_ai.tool.call.id": "call_1", "tool_arguments": "{\"a\":1}", "tool_response": "21"}),
            ),
        );
        let tool = &row(&tool).tool_executions[0];
        assert_eq!(
            (tool.name.as_str(), tool.call_id.as_deref(), tool.result.as_deref()),
            ("f", Some("call_1"), Some("21"))
        );
    }
}
