//! The lake: rows become files, files become objects, and a manifest makes them a visible batch.
//!
//! | file | pure | what it does |
//! |---|---|---|
//! | `key` | yes | keys of objects |
//! | `partition` | yes | which folder a row belongs to |
//! | `schema` | yes | names, kinds and field ids of the columns |
//! | `columns`, `rows` | yes | rows as Arrow columns, and back |
//! | `parquet` | yes | columns as a Parquet file, and back |
//! | `jsonl` | yes | a row as a line of JSON |
//! | `proto` | yes | a row as a length-delimited message |
//! | `read` | yes | the rows of a file, and whether it is what its manifest says |
//! | `encode` | yes | rows as files, ready to be stored |
//! | `manifest` | yes | what a fold decided under one prefix |
//! | `outbox` | | files on the local disk until the store has them |
//! | `pack` | | what a fold decided becomes an entry of the outbox |
//! | `objects` | | what a store of objects is, and one in memory |
//! | `remote` | | stores by URL |
//! | `store` | | a store with patience |
//! | `commit` | | files, and then the manifest, of one prefix of an entry |
//! | `scan` | | a lake as its manifests tell it |
//! | `verify` | | a lake held against its manifests |
//! | `upload` | | entries, oldest first; what is refused is parked |

mod columns;
mod commit;
pub mod encode;
pub mod jsonl;
pub mod key;
pub mod manifest;
pub mod objects;
pub mod outbox;
pub mod pack;
mod parquet;
pub mod partition;
pub mod proto;
pub mod remote;
pub mod read;
mod rows;
#[cfg(test)]
pub(crate) mod samples;
pub mod scan;
mod schema;
pub mod store;
pub mod upload;
pub mod verify;

/// Whether a JSON text says nothing: such a column is null.
fn is_empty_json(text: &str) -> bool {
    matches!(text.trim_ascii(), "" | "{}" | "[]" | "null")
}
