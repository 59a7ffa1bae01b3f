//! Microsoft's Agent Framework in Python: the conventions, and workflows of executors with keys of their own.
//!
//! | span | row |
//! |---|---|
//! | `workflow.build`, `workflow.run` | a step, the graph's own |
//! | `executor.process ID` | a step: the node is the executor |
//! | `edge_group.process` | none: it only passes messages on |
//! | `message.send` | a step |
//!
//! Source: `agent-framework-core` 1.23. Its agents repeat the usage and the messages of all their calls.

use super::Dialect;
use super::draft::Draft;
use super::genai;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "agent-framework",
    scopes: &["agent_framework"],
    keys: &["executor.id", "edge_group."],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.is_log {
        return;
    }
    let name = source.name;
    if name.starts_with("edge_group.process") {
        return draft.noise();
    }
    if name.starts_with("executor.process") {
        draft.kind(event_type::GRAPH_STEP);
        let named = name.strip_prefix("executor.process").map(str::trim).filter(|id| !id.is_empty());
        if let Some(id) = source.text("executor.id").or(named) {
            draft.graph().node_path.get_or_insert_with(|| id.to_owned());
        }
        draft.detail_from(&source.attributes, "executor.type", "executor_type");
    } else if name.starts_with("workflow.") || name.starts_with("message.send") {
        draft.kind(event_type::GRAPH_STEP);
        draft.detail_from(&source.attributes, "workflow.definition", "definition");
    } else {
        genai::kind(source, draft);
        genai::before_openinference(source, draft);
    }
}
