//! DuckDB and pyarrow as the lake's readers, in a Python process that answers one question after the other.

use super::python;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where an S3 server is and whom it knows.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    /// `host:port`.
    pub(crate) endpoint: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
}

/// A running reader.
#[derive(Debug)]
pub(crate) struct Reader {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    /// Starts a reader whose relative paths begin at `folder`.
    ///
    /// The error says why there is no Python here.
    pub(crate) fn new(folder: &Path, s3: Option<&S3>) -> Result<Self, String> {
        let s3 = s3.map(|s3| json!({"endpoint": s3.endpoint, "key_id": s3.key_id, "secret": s3.secret}));
        let mut child = Command::new(python::interpreter()?)
            .arg(super::project().join("tests/python/reader.py"))
            .arg(json!(s3).to_string())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let requests = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Ok(Self { child, requests, answers })
    }

    /// The rows of a query, or DuckDB's complaint.
    pub(crate) fn try_sql(&mut self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        let answer = self.ask(&json!({ "sql": sql }))?;
        let rows = answer["rows"].as_array().expect("rows");
        Ok(rows.iter().map(|row| row.as_array().expect("a row").clone()).collect())
    }

    /// The rows of a query that must work.
    pub(crate) fn sql(&mut self, sql: &str) -> Vec<Vec<Value>> {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// The one number that a query gives.
    pub(crate) fn number(&mut self, sql: &str) -> i64 {
        self.sql(sql)[0][0].as_i64().unwrap_or_else(|| panic!("not a number: {sql}"))
    }

    /// Every `event_id` below a path, read by pyarrow, in order.
    pub(crate) fn arrow_ids(&mut self, path: &str) -> Vec<String> {
        let answer = self.ask(&json!({ "arrow": path })).unwrap_or_else(|error| panic!("pyarrow: {path}: {error}"));
        let ids = answer["ids"].as_array().expect("ids");
        let mut ids: Vec<String> = ids.iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
        ids.sort_unstable();
        ids
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.requests, "{request}").expect("the reader listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the reader answers");
        let answer: Value = serde_json::from_str(&line).expect("the reader speaks JSON");
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
