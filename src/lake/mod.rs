//! The lake: rows become files, files become objects, and a manifest makes them a visible batch.
//!
//! | file | pure | what it does |
//! |---|---|---|
//! | `schema` | yes | names, kinds and field ids of the columns |
//! | `columns` | yes | rows as Arrow columns |
//! | `rows` | yes | Arrow columns as rows |
//! | `parquet` | yes | columns as a Parquet file |
//! | `jsonl` | yes | a row as a line of JSON |

mod columns;
pub mod jsonl;
pub mod parquet;
mod rows;
#[cfg(test)]
mod samples;
mod schema;

/// Whether a JSON text says nothing: such a column is null.
fn is_empty_json(text: &str) -> bool {
    matches!(text.trim_ascii(), "" | "{}" | "[]" | "null")
}
