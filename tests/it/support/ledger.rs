//! What was acknowledged, held against what landed.

use super::duck::Reader;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// Span ids of acknowledged requests, and of requests whose fate their sender does not know.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
    given_up: Mutex<BTreeSet<String>>,
}

/// The comparison's result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Acknowledged spans.
    pub(crate) acknowledged: usize,
    /// Spans of requests that were given up after a failure; they may land or not.
    pub(crate) given_up: usize,
    /// Rows in the lake.
    pub(crate) landed: i64,
    /// Acknowledged spans without a row.
    pub(crate) lost: i64,
    /// Spans with more than one row, and event ids that stand twice.
    pub(crate) duplicated: i64,
    /// Rows of spans that nobody sent.
    pub(crate) invented: i64,
}

impl Ledger {
    /// Notes the spans of an acknowledged request.
    pub(crate) fn acknowledge(&self, spans: impl IntoIterator<Item = String>) {
        self.acknowledged.lock().expect("the ledger").extend(spans);
    }

    /// Notes the spans of a request that was not acknowledged and is not sent again.
    pub(crate) fn give_up(&self, spans: impl IntoIterator<Item = String>) {
        self.given_up.lock().expect("the ledger").extend(spans);
    }

    /// How many spans were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().expect("the ledger").len()
    }

    /// Compares with the rows below `events`, a pattern of Parquet files, in DuckDB.
    pub(crate) fn compare(&self, reader: &mut Reader, scratch: &Path, events: &str) -> Verdict {
        let acknowledged = self.acknowledged.lock().expect("the ledger");
        let given_up = self.given_up.lock().expect("the ledger");
        load(reader, scratch, "acknowledged", &acknowledged);
        load(reader, scratch, "given_up", &given_up);
        reader.sql(&format!("CREATE OR REPLACE TABLE rows AS SELECT event_id, span_id FROM read_parquet('{events}')"));
        let twice = |key: &str| format!("SELECT count(*) FROM (FROM rows SELECT {key} GROUP BY 1 HAVING count(*) > 1)");
        Verdict {
            acknowledged: acknowledged.len(),
            given_up: given_up.len(),
            landed: reader.number("SELECT count(*) FROM rows"),
            lost: reader.number("SELECT count(*) FROM acknowledged ANTI JOIN rows USING (span_id)"),
            duplicated: reader.number(&twice("span_id")) + reader.number(&twice("event_id")),
            invented: reader
                .number("SELECT count(*) FROM rows ANTI JOIN (FROM acknowledged UNION FROM given_up) USING (span_id)"),
        }
    }
}

impl Verdict {
    /// Asserts the first promise.
    pub(crate) fn check(&self) {
        assert!(self.acknowledged > 0, "nothing was acknowledged: {self:?}");
        assert_eq!((self.lost, self.duplicated, self.invented), (0, 0, 0), "{self:?}");
    }
}

fn load(reader: &mut Reader, scratch: &Path, table: &str, spans: &BTreeSet<String>) {
    let file = scratch.join(format!("{table}.csv"));
    let lines: String = spans.iter().map(|span| format!("{span}\n")).collect();
    std::fs::write(&file, lines).expect("the ledger is written");
    let columns = "header = false, columns = {'span_id': 'VARCHAR'}";
    reader.sql(&format!("CREATE OR REPLACE TABLE {table} AS FROM read_csv('{}', {columns})", file.display()));
}
