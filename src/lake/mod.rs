//! The lake: rows become files, files become objects, and a manifest makes them a visible batch.
//!
//! | file | pure | what it does |
//! |---|---|---|
//! | `jsonl` | yes | a row as a line of JSON |

pub mod jsonl;

/// Whether a JSON text says nothing: such a column is null.
fn is_empty_json(text: &str) -> bool {
    matches!(text.trim_ascii(), "" | "{}" | "[]" | "null")
}
