//! CrewAI's own tracing: the conventions for calls, agents and tools, and crews, tasks, flows and methods around them.
//!
//! Source: `crewai` 1.15.30; `opentelemetry-instrumentation-crewai` 0.62 tells the same objects under other names. What
//! is too long it cuts and says so beside the key: `<key>.truncated`.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::ToolExecution;
use crate::event::event_type;
use crate::event::status;

pub(super) const DIALECT: Dialect =
    Dialect { name: "crewai", scopes: &["crewai"], keys: &["crewai."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    if let Some(kind) = kind(source) {
        draft.kind(kind);
    }
    graph(source, draft);
    if draft.is(event_type::TOOL_EXECUTION) {
        tool(source, draft);
    }
    details(source, draft);
    cuts(source);
}

fn kind(source: &Source<'_>) -> Option<&'static str> {
    Some(match source.name {
        "call llm" => event_type::CHAT_COMPLETION,
        "call tool" | "execute mcp tool" => event_type::TOOL_EXECUTION,
        "execute agent" | "execute lite agent" => event_type::AGENT_INVOCATION,
        "evaluate guardrail" => event_type::GUARDRAIL,
        "query memory" | "retrieve memory" | "query knowledge" | "search knowledge" => event_type::RETRIEVAL,
        _ if source.attributes.list().iter().any(|entry| entry.key.starts_with("crewai.")) => {
            // The operation says more, where there is one; OpenLLMetry calls crews and tasks agents too.
            let is_agents = source.attributes.list().iter().any(|entry| entry.key.starts_with("crewai.agent."));
            let operation = source.peek("gen_ai.operation.name").filter(|word| *word != "invoke_agent" || is_agents);
            match operation.and_then(super::genai::kind_of_operation) {
                Some(kind) => kind,
                None => event_type::GRAPH_STEP,
            }
        }
        _ => return None,
    })
}

fn graph(source: &Source<'_>, draft: &mut Draft) {
    let first = |keys: &[&str]| source.attributes.first_text(keys).map(|(_, text)| text.to_owned());
    let whole = matches!(source.name, "execute crew" | "execute flow" | "crewai.workflow");
    if whole && let Some(name) = first(&["crewai.crew.name", "crewai.flow.name", "crewai.crew.key"]) {
        draft.graph().graph_id.get_or_insert(name);
    }
    let node = match source.name {
        name if name == "execute task" || source.peek("traceloop.span.kind") == Some("task") => {
            first(&["crewai.task.name", "crewai.task.key", "crewai.task.id"])
        }
        "call method" => first(&["crewai.method.name"]),
        _ => None,
    };
    if let Some(node) = node {
        draft.graph().node_path.get_or_insert(node);
    }
    // The conventions' key holds a hash here.
    if let Some(role) = first(&["crewai.agent.role"]) {
        draft.agent().name.get_or_insert(role);
    }
}

fn tool(source: &Source<'_>, draft: &mut Draft) {
    let attributes = &source.attributes;
    let failure = attributes.first_text(&["crewai.tool.failure.message", "crewai.tool.failure.reason"]);
    if failure.is_some() {
        draft.row.status.get_or_insert_with(|| status::ERROR.to_owned());
    }
    draft.tool(|| {
        let first = |keys: [&str; 2]| attributes.first_text(&keys).map(|(_, text)| text.to_owned());
        let json = |keys: [&str; 2]| keys.iter().find_map(|key| attributes.raw_json(key));
        ToolExecution {
            name: first(["gen_ai.tool.name", "crewai.mcp.tool_name"]).unwrap_or_else(|| source.name.to_owned()),
            call_id: attributes.text("gen_ai.tool.call.id").map(str::to_owned),
            r#type: attributes.text("gen_ai.tool.type").map(str::to_owned),
            arguments: json(["gen_ai.tool.call.arguments", "crewai.mcp.tool_args"]),
            result: json(["gen_ai.tool.call.result", "crewai.mcp.tool_result"]),
            error: failure.map(|(_, text)| text.to_owned()),
            status: failure.map(|_| status::ERROR.to_owned()),
            ..ToolExecution::default()
        }
    });
}

/// Each operation's own keys; the last word of a key is its name.
fn details(source: &Source<'_>, draft: &mut Draft) {
    const KEYS: [&str; 28] = [
        "crewai.crew.inputs",
        "crewai.crew.output",
        "crewai.crew.result",
        "crewai.crew.process",
        "crewai.crew.usage_metrics",
        "crewai.flow.inputs",
        "crewai.flow.result",
        "crewai.flow.method_names",
        "crewai.task.description",
        "crewai.task.expected_output",
        "crewai.task.output",
        "crewai.task.output_format",
        "crewai.method.params",
        "crewai.method.result",
        "crewai.method.state",
        "crewai.memory.query",
        "crewai.memory.results",
        "crewai.memory.content",
        "crewai.memory.value",
        "crewai.knowledge.query",
        "crewai.knowledge.retrieved_knowledge",
        "crewai.guardrail.description",
        "crewai.guardrail.success",
        "crewai.guardrail.result",
        "crewai.reasoning.plan",
        "crewai.human_feedback.message",
        "crewai.human_feedback.feedback",
        "crewai.human_feedback.outcome",
    ];
    for key in KEYS {
        let name = match key.rsplit('.').next().unwrap_or(key) {
            "inputs" | "params" => "input",
            "result" | "output" => "output",
            "results" | "retrieved_knowledge" => "documents",
            name => name,
        };
        draft.detail_from(&source.attributes, key, name);
    }
}

fn cuts(source: &Source<'_>) {
    for entry in source.attributes.list() {
        if let Some(key) = entry.key.strip_suffix(".truncated")
            && source.attributes.truth(&entry.key) == Some(true)
        {
            source.notes.add(|| format!("cut before it came here: {key}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tests::*;
    use crate::event::event_type;
    use serde_json::json;

    #[test]
    fn a_crew_and_a_task_are_no_agents_though_openllmetry_says_so() {
        let scope = "opentelemetry.instrumentation.crewai.instrumentation";
        let crew =
            json!({"gen_ai.operation.name": "invoke_agent", "crewai.crew.name": "crew", "crewai.crew.result": "Done"});
        let crew = read_span(scope, a_span("crewai.workflow", crew));
        assert_eq!(row(&crew).event_type, event_type::GRAPH_STEP);
        assert_eq!(row(&crew).graph.as_ref().unwrap().graph_id.as_deref(), Some("crew"));
        assert_eq!(detail(&crew, "output"), Some(json!("Done")));
        let task =
            json!({"gen_ai.operation.name": "invoke_agent", "traceloop.span.kind": "task", "crewai.task.id": "t1"});
        let task = read_span(scope, a_span("Say hello.task", task));
        assert_eq!(row(&task).event_type, event_type::GRAPH_STEP);
        assert_eq!(row(&task).graph.as_ref().unwrap().node_path.as_deref(), Some("t1"));
        let agent =
            json!({"gen_ai.operation.name": "invoke_agent", "traceloop.span.kind": "agent", "crewai.agent.role": "r"});
        let agent = read_span(scope, a_span("r.agent", agent));
        assert_eq!(row(&agent).event_type, event_type::AGENT_INVOCATION);
    }
}
