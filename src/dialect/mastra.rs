//! Mastra: the conventions, with a type, input and output of each span under keys of its own.
//!
//! Source: `@mastra/core` 1.71 with `@mastra/observability` 1.17 and `@mastra/otel-exporter` 1.4. A generation holds a
//! step for each model call, a step one inference. The inference tells model, usage and the text of the answer; what
//! was asked, and the calls of the answer, stand on the step: as texts, where a call of an earlier message is
//! `[tool: name]` and its result `[tool-result: name]`.

use super::Dialect;
use super::draft::Draft;
use super::json::Node;
use super::messages;
use super::messages::Said;
use super::sides;
use super::source::Source;
use super::value;
use crate::event::Message;
use crate::event::Relation;
use crate::event::ToolCall;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect { name: "mastra", keys: &["mastra."], read, ..Dialect::NONE };

const FIRST_TOKEN: &str = "mastra.completion_start_time";

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let kind = source.peek("mastra.span.type");
    match kind {
        Some("model_generation" | "llm_generation") => {
            draft.kind(event_type::CHAT_COMPLETION);
            draft.relation = Relation::CallIfNoCallBelow;
        }
        Some("model_inference") => draft.kind(event_type::CHAT_COMPLETION),
        Some("tool_call" | "mcp_tool_call" | "client_tool_call" | "provider_tool_call") => {
            draft.kind(event_type::TOOL_EXECUTION);
        }
        Some("agent_run") => draft.kind(event_type::AGENT_INVOCATION),
        Some(_) => draft.kind(event_type::GRAPH_STEP),
        None => {}
    }
    if let Some(kind) = kind {
        own(source, draft, kind);
    }
    if let Some(start) = source.peek(FIRST_TOKEN).and_then(value::time)
        && let Some(millis) = value::millis_between(source.start_ns, start)
    {
        draft.first_token(source, millis, FIRST_TOKEN);
    }
}

/// `mastra.<type>.{input,output,step_index}`.
fn own(source: &Source<'_>, draft: &mut Draft, kind: &str) {
    let attributes = &source.attributes;
    let key = |name: &str| format!("mastra.{kind}.{name}");
    if let Some(step) = attributes.count(&key("step_index"), &source.notes) {
        draft.graph().step_index.get_or_insert(step.value);
    }
    let (input, output) = (key("input"), key("output"));
    if draft.is(event_type::TOOL_EXECUTION) {
        draft.tool(|| {
            let text = |key: &str| attributes.text(key).map(str::to_owned);
            let first = |one: &str, other: &str| attributes.raw_json(one).or_else(|| attributes.raw_json(other));
            ToolExecution {
                name: text("gen_ai.tool.name")
                    .unwrap_or_else(|| source.name.trim_start_matches("execute_tool ").to_owned()),
                call_id: text("gen_ai.tool.call.id"),
                r#type: text("gen_ai.tool.type"),
                arguments: first("gen_ai.tool.call.arguments", &input),
                result: first("gen_ai.tool.call.result", &output),
                ..ToolExecution::default()
            }
        });
    } else if kind == "model_step" {
        step(source, draft, &input, &output);
    } else if draft.is(event_type::GRAPH_STEP) {
        sides::step(source, draft, &input, &output);
        if kind.starts_with("workflow_step") && !source.name.is_empty() {
            draft.graph().node_path.get_or_insert_with(|| node_name(source.name).to_owned());
        }
    } else {
        // The conventions' own lists say more, where they are sent.
        if !source.has("gen_ai.input.messages") {
            draft.input_from(attributes, &source.notes, &input);
        }
        if !source.has("gen_ai.output.messages") {
            draft.output_from(attributes, &source.notes, &output);
        }
    }
}

/// The node in `workflow step: 'fetch'`. A name of another form stays whole: redaction knows a secret by what is around.
fn node_name(span: &str) -> &str {
    let quoted = span.strip_prefix("workflow step: '").and_then(|rest| rest.strip_suffix('\''));
    quoted.filter(|name| !name.is_empty() && !name.contains('\'')).unwrap_or(span)
}

/// What the one inference below the step was asked, and what it answered: `{text, toolCalls}`.
fn step(source: &Source<'_>, draft: &mut Draft, input: &str, output: &str) {
    draft.relation = Relation::StepOfCall;
    if let Some(doc) = source.json(input) {
        let mut told = messages::read(&doc.node, "user");
        told.said = told.said.into_iter().flat_map(named_only).collect();
        draft.input(told, &source.notes, input);
    }
    if let Some(doc) = source.json(output) {
        let keys = [("text", "content"), ("toolCalls", "tool_calls")];
        let side = |(key, name): (&str, &'static str)| Some((name.into(), doc.node.get(key)?.clone()));
        let answer = Node::object(keys.into_iter().filter_map(side).collect());
        draft.output(messages::read_message(&answer, "assistant"), &source.notes, output);
    }
    sides::step(source, draft, input, output);
}

/// Calls of which only the tool's name is told, after the text of their message; results likewise, of one or several
/// calls in one message.
fn named_only(mut said: Said) -> Vec<Said> {
    if said.message.role == "assistant" {
        let message = &mut said.message;
        while let Some((before, name)) = message.content.as_deref().and_then(|text| last_mark(text, "[tool: ")) {
            let call = ToolCall { name: name.to_owned(), ..ToolCall::default() };
            message.content = Some(before.trim_end().to_owned()).filter(|text| !text.is_empty());
            message.tool_calls.insert(0, call);
        }
    } else if said.message.role == "tool" {
        let mut rest = said.message.content.as_deref().unwrap_or_default();
        let mut results = Vec::new();
        while let Some((before, name)) = last_mark(rest, "[tool-result: ") {
            let message = Message { name: Some(name.to_owned()), content: None, ..said.message.clone() };
            results.push(Said { message, ..said.clone() });
            rest = before;
        }
        if rest.is_empty() && !results.is_empty() {
            results.reverse();
            return results;
        }
    }
    vec![said]
}

/// The mark that a text ends with: what stands before it, and the name in it.
fn last_mark<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    text.strip_suffix(']')?.rsplit_once(mark).filter(|(_, name)| !name.contains(['[', ']']))
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::Relation;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn a_node_is_named_as_its_span_quotes_it_and_a_secret_keeps_what_is_around_it() {
        assert_eq!(super::node_name("workflow step: 'fetch'"), "fetch");
        for whole in ["fetch", "workflow step: 'fetch' DB_PASSWORD: 'x'", "DB_PASSWORD: 'x' workflow step: 'fetch'"] {
            assert_eq!(super::node_name(whole), whole);
        }
    }

    #[test]
    fn a_step_tells_its_inference_what_was_asked_and_which_tools_were_called_before() {
        let input = json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "[tool: x]"},
            {"role": "assistant", "content": "Let me see. [tool: get_weather][tool: get_time]"},
            {"role": "tool", "content": "[tool-result: get_weather][tool-result: get_time]"},
            {"role": "tool", "content": "noon"},
        ]);
        let output = json!({"text": "", "toolCalls": [{"toolCallId": "c", "toolName": "f", "args": {"a": 1}}]});
        let partial = read_span(
            "@mastra/otel-exporter",
            a_span(
                "agent_step Wx",
                json!({
                    "gen_ai.operation.name": "agent_step", "mastra.span.type": "model_step",
                    "mastra.model_step.input": input.to_string(), "mastra.model_step.output": output.to_string(),
                    "mastra.model_step.step_index": 1,
                }),
            ),
        );
        let row = row(&partial);
        assert_eq!((row.event_type.as_str(), partial.relation()), (event_type::GRAPH_STEP, Relation::StepOfCall));
        let texts: Vec<Option<&str>> = row.messages.iter().map(|message| message.content.as_deref()).collect();
        assert_eq!(texts, [Some("Be brief."), Some("[tool: x]"), Some("Let me see."), None, None, Some("noon"), None]);
        let calls: Vec<&str> = row.messages[2].tool_calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!((calls, row.messages[4].name.as_deref()), (vec!["get_weather", "get_time"], Some("get_time")));
        let answer = &row.messages[6].tool_calls[0];
        assert_eq!((answer.id.as_deref(), answer.arguments.as_deref()), (Some("c"), Some("{\"a\":1}")));
        // The step's own row has both sides as they were sent.
        let own = partial.details.iter().find(|entry| entry.key == "input").unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&own.json).unwrap(), input);
    }
}
