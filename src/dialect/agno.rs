//! Agno: OpenInference, with the places of its workflows, teams and agents beside it.
//!
//! Source: `agno` 3.1 and `openinference-instrumentation-agno` 1.0.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;

pub(super) const DIALECT: Dialect = Dialect { name: "agno", keys: &["agno."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    let first = |keys: &[&str]| source.attributes.first_text(keys).map(|(_, text)| text.to_owned());
    if let Some(name) = first(&["agno.workflow.name", "agno.workflow.id"]) {
        draft.graph().graph_id.get_or_insert(name);
    }
    if let Some(name) = first(&["agno.step.name", "agno.step.id"]) {
        draft.graph().node_path.get_or_insert(name);
    }
    if let Some(id) = first(&["agno.agent.id"]) {
        draft.agent().id.get_or_insert(id);
    }
    draft.detail_from(&source.attributes, "agno.team.id", "team");
    draft.detail_from(&source.attributes, "agno.tools", "tools");
}
