//! AutoGen's runtime: agents and tools without content, and spans of the messages that it passes.
//!
//! The latter say nothing that the operations do not: they only lend their context. Source: `autogen-core` 0.7.5.

use super::Dialect;

pub(super) const DIALECT: Dialect = Dialect {
    name: "autogen",
    scopes: &["autogen-core", "autogen SingleThreadedAgentRuntime", "autogen GrpcWorkerAgentRuntime"],
    probe: Some(|source| source.peek("gen_ai.system") == Some("autogen")),
    ..Dialect::NONE
};
