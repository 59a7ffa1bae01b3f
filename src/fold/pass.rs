//! A fold under way: reads the records that the index names, and makes rows of them.

use super::Batch;
use super::Dead;
use super::HandOn;
use super::Past;
use super::SMALLEST;
use super::Segment;
use super::assemble;
use super::assemble::Origin;
use super::invalid;
use super::keys::mark_clash;
use super::open::OpenRecord;
use super::open::Place;
use super::open::SegmentId;
use super::sort;
use crate::event::Envelope;
use crate::event::record::Record;
use crate::fold::account::Fate;
use ahash::HashMap;
use prost::Message as _;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// One fold under way.
pub(super) struct Pass<'a> {
    pub(super) segment: &'a Segment<'a>,
    pub(super) past: &'a dyn Past,
    pub(super) hand_on: &'a mut HandOn<'a>,
    /// Bytes of rows that are held at most.
    pub(super) most: u64,
    /// Bytes of rows that are held.
    pub(super) held: u64,
    pub(super) batches: BTreeMap<String, Batch>,
    pub(super) envelopes: HashMap<(SegmentId, u64), Arc<Origin>>,
    /// Records that wait for nothing.
    pub(super) loose: Vec<OpenRecord>,
}

impl Pass<'_> {
    pub(super) fn batch(&mut self, prefix: &str) -> &mut Batch {
        self.batches.entry(prefix.to_owned()).or_default()
    }

    pub(super) fn envelope(&mut self, segment: SegmentId, at: u64) -> io::Result<Arc<Origin>> {
        if let Some(envelope) = self.envelopes.get(&(segment, at)) {
            return Ok(Arc::clone(envelope));
        }
        let records = &self.segment.records;
        let here = self.is_this(segment).then(|| records.binary_search_by_key(&at, |record| record.envelope_at));
        let bytes = match here.and_then(|found| records.get(found.ok()?)) {
            Some(record) => Envelope::decode(record.envelope),
            None => Envelope::decode(self.past.blob(segment, at, None)?),
        };
        let envelope = Arc::new(Origin::from(bytes.map_err(invalid)?));
        self.envelopes.insert((segment, at), Arc::clone(&envelope));
        Ok(envelope)
    }

    pub(super) fn is_this(&self, segment: SegmentId) -> bool {
        segment == SegmentId { number: self.segment.number, kept: false }
    }

    pub(super) fn record(&self, place: Place) -> io::Result<Record> {
        let records = &self.segment.records;
        let here = self.is_this(place.segment).then(|| records.binary_search_by_key(&place.offset, |record| record.at));
        let record = match here.and_then(|found| records.get(found.ok()?)) {
            Some(record) => Record::decode(record.bytes),
            None => Record::decode(&self.past.blob(place.segment, place.offset, Some(place.length))?),
        };
        record.map_err(invalid)
    }

    /// Makes rows of records, and gives for each trace what its tombstone is to say.
    pub(super) fn emit(
        &mut self,
        records: &[OpenRecord],
        traces: &[assemble::Trace<'_>],
        settings: &assemble::Settings,
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut told = Vec::with_capacity(records.len());
        let mut readable = Vec::with_capacity(records.len());
        for open in records {
            let read = self.envelope(open.place.segment, open.place.envelope);
            let (envelope, mut record) = match read.and_then(|envelope| Ok((envelope, self.record(open.place)?))) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.set_aside(open, traces.first().map_or("", |trace| trace.prefix), &error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            readable.push((open.sequence, envelope.prefix.clone().unwrap_or_default()));
            if open.clashes {
                mark_clash(&mut record);
            }
            told.push(assemble::Told { envelope, record });
        }
        let assembled = assemble::assemble(told, traces, settings);
        for row in assembled.rows {
            self.batch(&row.prefix).rows.push(row.event);
        }
        for (prefix, dead) in assembled.dead {
            self.batch(&prefix).dead.push(dead);
        }
        for ((sequence, prefix), fate) in readable.into_iter().zip(assembled.fates) {
            self.batch(&prefix).account.decide(sequence, fate);
        }
        self.held += records.iter().map(|open| u64::from(open.place.length).max(SMALLEST)).sum::<u64>();
        if self.held > self.most {
            self.held = 0;
            for (prefix, batch) in &mut self.batches {
                let mut rows = std::mem::take(&mut batch.rows);
                sort(&mut rows);
                (self.hand_on)(prefix, rows)?;
            }
        }
        Ok(assembled.facts)
    }

    /// A record that cannot be read any more costs itself, and not its trace.
    pub(super) fn set_aside(&mut self, open: &OpenRecord, prefix: &str, error: &io::Error) {
        let envelope = self.envelope(open.place.segment, open.place.envelope).ok();
        let dead = Dead::of(&envelope.unwrap_or_default(), error.to_string(), String::new());
        let batch = self.batch(prefix);
        batch.dead.push(dead);
        batch.account.decide(open.sequence, Fate::Quarantined);
    }
}
