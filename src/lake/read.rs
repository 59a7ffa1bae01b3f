//! The rows of a file, in any of the three forms, a batch at a time; and whether a file is what its manifest says.

#[cfg(test)]
mod tests;

use super::encode::sha256;
use super::jsonl;
use super::manifest;
use super::parquet;
use super::proto;
use crate::event::Event;
use bytes::Buf as _;
use bytes::Bytes;
use flate2::read::GzDecoder;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

/// Rows of a batch.
const BATCH: usize = 256;

/// Which rows and columns are wanted.
#[derive(Debug, Clone, Default)]
pub struct Pick {
    /// Rows of this conversation only.
    pub conversation: Option<String>,
    /// These columns only, where the form lets others be left: a field of a struct as `model.request`. All, when empty.
    pub columns: &'static [&'static str],
}

/// Why the rows of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Of a form that this program does not know.
    #[error("files of form {0:?} are not known here: use a newer chatlake")]
    Form(String),
    /// Not of the form that its manifest says.
    #[error("not a {form} file")]
    Content {
        /// The form.
        form: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn content<E: Into<Box<dyn std::error::Error + Send + Sync>>>(form: &'static str) -> impl FnOnce(E) -> ReadError {
    move |source| ReadError::Content { form, source: source.into() }
}

/// The rows of a file: an iterator of batches. Ends after an error.
pub struct Rows {
    form: Form,
    conversation: Option<String>,
}

enum Form {
    Parquet(Box<parquet::Batches>),
    Lines { lines: Box<dyn BufRead + Send>, line: String },
    Proto(Bytes),
    Ended,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// Opens a file.
///
/// # Errors
/// When it is not what its manifest says.
pub fn rows(file: &manifest::File, bytes: Bytes, pick: &Pick) -> Result<Rows, ReadError> {
    let form = match file.format.as_str() {
        "parquet" => {
            let batches = parquet::read(bytes, pick.conversation.as_deref(), pick.columns);
            Form::Parquet(Box::new(batches.map_err(content("Parquet"))?))
        }
        "jsonl" => Form::Lines { lines: lines(&file.key, bytes)?, line: String::new() },
        "proto" => Form::Proto(bytes),
        other => return Err(ReadError::Form(other.to_owned())),
    };
    Ok(Rows { form, conversation: pick.conversation.clone() })
}

fn lines(key: &str, bytes: Bytes) -> Result<Box<dyn BufRead + Send>, ReadError> {
    let bytes = bytes.reader();
    let unpacked: Box<dyn Read + Send> = if key.ends_with(".gz") {
        Box::new(GzDecoder::new(bytes))
    } else if key.ends_with(".zst") {
        Box::new(zstd::Decoder::new(bytes).map_err(content("zstd"))?)
    } else {
        Box::new(bytes)
    };
    Ok(Box::new(BufReader::new(unpacked)))
}

impl Iterator for Rows {
    type Item = Result<Vec<Event>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = match &mut self.form {
                Form::Ended => return None,
                // The reader has picked the rows already.
                Form::Parquet(batches) => batches.next()?.map_err(content("Parquet")),
                Form::Lines { lines, line } => batch(&self.conversation, || next_line(lines, line)),
                Form::Proto(bytes) => batch(&self.conversation, || next_message(bytes)),
            };
            match batch {
                Ok(rows) if rows.is_empty() => self.form = Form::Ended,
                Ok(rows) => return Some(Ok(rows)),
                Err(error) => {
                    self.form = Form::Ended;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The next rows that are wanted; none at the end.
fn batch(
    conversation: &Option<String>,
    mut next: impl FnMut() -> Option<Result<Event, ReadError>>,
) -> Result<Vec<Event>, ReadError> {
    let mut rows = Vec::new();
    while rows.len() < BATCH {
        let Some(row) = next() else { break };
        let row = row?;
        if conversation.as_ref().is_none_or(|wanted| *wanted == row.conversation_id) {
            rows.push(row);
        }
    }
    Ok(rows)
}

fn next_line(lines: &mut impl BufRead, line: &mut String) -> Option<Result<Event, ReadError>> {
    loop {
        line.clear();
        match lines.read_line(line) {
            Ok(0) => return None,
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => return Some(jsonl::parse(line).map_err(content("jsonl"))),
            Err(error) => return Some(Err(content("jsonl")(error))),
        }
    }
}

fn next_message(bytes: &mut Bytes) -> Option<Result<Event, ReadError>> {
    let mut rest: &[u8] = bytes;
    let row = proto::next(&mut rest);
    let left = rest.len();
    bytes.advance(bytes.len() - left);
    row.map(|row| row.map_err(content("proto")))
}

/// Holds a file of rows against what its manifest says: length, checksum, form, columns and number of rows.
///
/// # Errors
/// What differs, in words.
pub fn check(file: &manifest::File, bytes: &Bytes) -> Result<(), String> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length != file.bytes {
        return Err(format!("has {length} bytes, the manifest says {}", file.bytes));
    }
    if sha256(bytes) != file.sha256 {
        return Err("its bytes are not those that were written: SHA-256 differs".to_owned());
    }
    let rows = count(file, bytes).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    if rows != file.rows {
        return Err(format!("has {rows} rows, the manifest says {}", file.rows));
    }
    Ok(())
}

fn count(file: &manifest::File, bytes: &Bytes) -> Result<u64, ReadError> {
    match file.format.as_str() {
        "parquet" => parquet::check(bytes).map_err(content("Parquet")),
        "jsonl" if file.key.starts_with(super::key::DEAD) => {
            let lines = lines(&file.key, bytes.clone())?.lines().collect::<io::Result<Vec<_>>>();
            Ok(u64::try_from(lines.map_err(content("jsonl"))?.len()).unwrap_or(u64::MAX))
        }
        _ => {
            let mut rows = 0;
            for batch in self::rows(file, bytes.clone(), &Pick::default())? {
                let batch = batch?;
                if batch.iter().any(|row| row.event_id.is_empty() || row.event_type.is_empty()) {
                    return Err(content("row")("event_id or event_type is missing, which every version has"));
                }
                rows += u64::try_from(batch.len()).unwrap_or(u64::MAX);
            }
            Ok(rows)
        }
    }
}
