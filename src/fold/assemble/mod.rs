//! Assembly: the records of the traces that are emitted together become rows.
//!
//! Pure, and independent of the order of its records.

use crate::event::Envelope;
use crate::event::Event;
use crate::event::record::Record;
use crate::fold::Dead;
use crate::fold::account::Fate;
use std::sync::Arc;

/// What rows are made with.
#[derive(Debug, Default)]
pub struct Settings {}

/// A record and what it came with.
#[derive(Debug)]
pub struct Told {
    /// Shared by the records of one resource and scope of one request.
    pub envelope: Arc<Envelope>,
    /// What it says.
    pub record: Record,
}

/// A trace that is emitted. Records without one are emitted without such an entry, each for itself.
#[derive(Debug)]
pub struct Trace<'a> {
    /// Bound from the credential.
    pub tenant: &'a str,
    /// The trace id, or the hash of what posted events wait for.
    pub id: [u8; 16],
    /// Why it was emitted before it was finished: stands in `details.trace_closed`.
    pub closed: Option<&'static str>,
    /// What earlier assemblies left of it: their facts.
    pub earlier: &'a [Vec<u8>],
}

/// A row and where it belongs.
#[derive(Debug)]
pub struct Row {
    /// Prefix in the store.
    pub prefix: String,
    /// The row.
    pub event: Event,
}

/// What became of the records.
#[derive(Debug, Default)]
pub struct Assembled {
    /// In no particular order.
    pub rows: Vec<Row>,
    /// Records that could not be mapped, with their prefix.
    pub dead: Vec<(String, Dead)>,
    /// One for each record given, in the same order.
    pub fates: Vec<Fate>,
    /// One for each trace given, in the same order: what late records are to be read with.
    pub facts: Vec<Vec<u8>>,
}

/// Makes rows of records.
pub fn assemble(told: Vec<Told>, traces: &[Trace<'_>], _settings: &Settings) -> Assembled {
    let mut out = Assembled { facts: vec![Vec::new(); traces.len()], ..Assembled::default() };
    for told in told {
        out.fates.push(Fate::Landed);
        let prefix = told.envelope.prefix.clone().unwrap_or_default();
        out.rows.push(Row { prefix, event: told.record.partial.row.unwrap_or_default() });
    }
    out
}
