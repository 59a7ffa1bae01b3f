//! smolagents, which OpenInference reads: what an agent was given to do, and what with.

use super::Dialect;
use super::draft::Draft;
use super::source::Source;

pub(super) const DIALECT: Dialect = Dialect { name: "smolagents", keys: &["smolagents."], read, ..Dialect::NONE };

fn read(source: &Source<'_>, draft: &mut Draft) {
    for (key, name) in
        [("smolagents.task", "task"), ("smolagents.max_steps", "max_steps"), ("smolagents.tools_names", "tools")]
    {
        draft.detail_from(&source.attributes, key, name);
    }
}
