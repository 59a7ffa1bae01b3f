//! Logfire around OpenAI's Agents SDK: what a span tells is said by its template, and content stands under plain names.
//!
//! Source: package `logfire` 5.2, module `openai_agents`, over the Responses API and over Chat Completions.

use crate::dialect::answer::Answer;
use crate::dialect::draft::Draft;
use crate::dialect::genai;
use crate::dialect::messages;
use crate::dialect::pydantic;
use crate::dialect::source::Source;
use crate::dialect::usage::Counts;
use crate::event::ToolExecution;
use crate::event::event_type;

pub(super) const SCOPE: &str = "logfire.openai_agents";

pub(super) fn read(source: &Source<'_>, draft: &mut Draft) {
    let Some(template) = source.peek("logfire.msg_template") else { return };
    let attributes = &source.attributes;
    if source.has("gen_ai.request.model") || source.has("response") {
        return call(source, draft);
    }
    let name = source.peek("name");
    match template.split([':', ' ']).next() {
        Some("Function") => tool(source, draft),
        Some("Agent") => {
            draft.kind(event_type::AGENT_INVOCATION);
            if let Some(name) = name {
                draft.agent().name.get_or_insert_with(|| name.to_owned());
                attributes.mark("name");
            }
            for (key, name) in [("tools", "tools"), ("handoffs", "handoffs"), ("output_type", "output_type")] {
                draft.detail_from(attributes, key, name);
            }
        }
        Some("Guardrail") => {
            draft.kind(event_type::GUARDRAIL);
            for key in ["name", "triggered"] {
                draft.detail_from(attributes, key, key);
            }
        }
        Some("OpenAI") => {
            draft.kind(event_type::GRAPH_STEP);
            group(source, draft);
        }
        Some("Turn" | "Handoff" | "Task") => draft.kind(event_type::GRAPH_STEP),
        _ => {}
    }
}

/// The SDK's trace: its group is the conversation, its name the workflow's.
fn group(source: &Source<'_>, draft: &mut Draft) {
    if let Some(group) = source.peek("group_id").filter(|group| !matches!(*group, "" | "null"))
        && draft.row.conversation_id.is_empty()
    {
        group.clone_into(&mut draft.row.conversation_id);
        "group_id".clone_into(&mut draft.row.conversation_id_source);
        source.attributes.mark("group_id");
    }
    if let Some(name) = source.text("name") {
        draft.graph().graph_id.get_or_insert_with(|| name.to_owned());
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::TOOL_EXECUTION);
    draft.tool(|| ToolExecution {
        name: source.text("name").unwrap_or(source.name).to_owned(),
        arguments: source.attributes.raw_json("input"),
        result: source.attributes.raw_json("output"),
        ..ToolExecution::default()
    });
}

/// One call: the answer stands whole under `response`, or as messages under `output`.
fn call(source: &Source<'_>, draft: &mut Draft) {
    draft.kind(event_type::CHAT_COMPLETION);
    let (attributes, notes) = (&source.attributes, &source.notes);
    let response = source.json("response");
    let response = response.as_ref().map(|doc| &doc.node).filter(|node| node.get("output").is_some());
    if let Some(response) = response {
        draft.output(messages::read(response, "assistant"), notes, "response");
        let mut tools = messages::Definitions::default();
        if response.get("tools").is_some_and(|list| tools.read(list)) {
            draft.tools(tools);
        }
    }
    for (key, is_input) in [("input", true), ("output", false)] {
        // Of a call that failed there is none.
        match source.peek(key) {
            None | Some("null") => {}
            Some(_) if is_input => draft.input_from(attributes, notes, key),
            Some(_) => draft.output_from(attributes, notes, key),
        }
    }
    // Input and answer in one list: an answer is what the assistant says last.
    pydantic::exchange(source, draft);
    let told = source.json("usage").map(|doc| Counts::of(&doc.node)).unwrap_or_default();
    draft.usage(attributes, || genai::counts(attributes, notes).beside(told));
    response.map(Answer::of).unwrap_or_default().fill(draft);
    if let Some(id) = source.peek("response_id").filter(|id| *id != "null") {
        draft.model().response_id.get_or_insert_with(|| id.to_owned());
        attributes.mark("response_id");
    }
}
