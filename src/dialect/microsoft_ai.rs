//! Microsoft.Extensions.AI and the Agent Framework of .NET: the conventions as attributes, lists as JSON text.
//!
//! Its sources may be renamed by the application; what is read is the conventions'. `orchestrate_tools` is the loop
//! around calls and tools, not a call.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;
use crate::event::event_type;

pub(super) const DIALECT: Dialect = Dialect {
    name: "microsoft-extensions-ai",
    scopes: &["Experimental.Microsoft.Extensions.AI", "Microsoft.Extensions.AI", "Experimental.Microsoft.Agents"],
    read,
    ..Dialect::NONE
};

fn read(source: &Source<'_>, draft: &mut Draft) {
    if source.peek("gen_ai.operation.name") == Some("orchestrate_tools") {
        draft.kind(event_type::GRAPH_STEP);
    }
}
