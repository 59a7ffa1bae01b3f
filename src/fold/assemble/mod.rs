//! Assembly: the records of the traces that are emitted together become rows.
//!
//! Pure, and blind to order: the same set of records gives the same rows, however they were shuffled, split over
//! requests or sent again. Everything is sorted by what it says before anything is decided; ties go by time, observed
//! time, position, role (system first, choice last) and content.
//!
//! The stages, in this order:
//!
//! | file | what it does |
//! |---|---|
//! | `posted` | gives the answers of posted events their requests |
//! | `gateway` | tells a gateway's calls what other spans of their trace know |
//! | `group` | drops resends, sorts, makes nodes of spans and single records, links children to parents |
//! | `join` | puts log records on the span whose call they tell |
//! | `relation` | decides what a dialect left to the tree: parts of a parent, outer calls |
//! | `calls` | finds spans that tell one model call, within a trace and across traces |
//! | `retold` | gives log records that tell a call or a tool's run once more to its span |
//! | `runs` | makes one run of a tool of two spans that tell a half of it each |
//! | `merge` | makes one node of two that tell one operation, and keeps what the other one said |
//! | `context` | lets conversation, user, agent and graph flow down, and keeps unknown ancestors |
//! | `tools` | pairs tool runs with the calls that asked for them |
//! | `finish` | ids, times, status, tokens, cost: the row itself |
//! | `tombstone` | what late records will need to know |
//!
//! Rules that are this room's own: of a merged row, `received_at` is the latest arrival of what it tells, and ids are
//! those of the telling with the richest content.

mod calls;
mod chat_format;
mod context;
mod finish;
mod gateway;
mod group;
mod join;
mod json;
mod merge;
mod origin;
mod posted;
mod rejoin;
mod relation;
mod retold;
mod runs;
#[cfg(test)]
mod tests;
mod tombstone;
mod tools;

use crate::event::Event;
use crate::event::record::Record;
use crate::fold::Dead;
use crate::fold::account::Fate;
use crate::pricing::Table;
use group::Group;
pub use origin::Origin;
pub use rejoin::Rejoin;
use std::sync::Arc;

/// What rows are made with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What calls cost.
    pub prices: Arc<Table>,
    /// What redacts texts that are put together here.
    pub rejoin: Rejoin,
}

/// A record and what it came with.
#[derive(Debug, Clone)]
pub struct Told {
    /// Shared by the records of one resource and scope of one request: equal records that share it are different
    /// ones, equal records of different envelopes are resends.
    pub envelope: Arc<Origin>,
    /// What it says.
    pub record: Record,
}

/// A trace that is emitted. Records without one are emitted without such an entry, each for itself.
#[derive(Debug)]
pub struct Trace<'a> {
    /// Bound from the credential.
    pub tenant: &'a str,
    /// Prefix in the store, bound from the credential.
    pub prefix: &'a str,
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
    pub event: Box<Event>,
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
pub fn assemble(mut told: Vec<Told>, traces: &[Trace<'_>], settings: &Settings) -> Assembled {
    posted::join(&mut told);
    gateway::tell(&mut told);
    let mut group = Group::new(told, traces);
    join::logs_to_spans(&mut group, &settings.rejoin);
    relation::settle(&mut group);
    calls::merge_tellings(&mut group);
    runs::merge_halves(&mut group);
    retold::give_to_spans(&mut group);
    context::flow_down(&mut group);
    tools::pair(&mut group);
    finish::rows(group, &settings.prices)
}
