//! Redaction: the only maker of [`Redacted`], the only thing that the write-ahead log takes.
//!
//! | file | what it is |
//! |---|---|
//! | `fields` | the list of every text of a record, with what it is |
//! | `scrub` | takes one text: opens JSON in it (however often encoded) down to its decoded strings |
//! | `rule`, `floor`, `strict`, `custom` | what is searched for in a decoded string, and what takes its place |
//! | `gate` | one pass over the encoded record that lets clean ones through, which most are |
//! | `percent` | what percent-encoding hides, for `strict` |
//! | `key` | keyed hashes |
//! | `content` | how much is kept of what was said |
//!
//! Redacting twice is redacting once. Everything takes time linear in what came in.

mod config;
mod content;
mod custom;
mod fields;
mod floor;
mod gate;
mod json;
mod key;
mod key_file;
mod mark;
mod percent;
mod policies;
mod rule;
mod scrub;
mod strict;
mod trigger;

pub use config::{Config, Content, CustomRule, Fault, Mode, Policy};
pub use key::{Key, KeyText};
pub use key_file::{NAME as KEY_FILE, load_or_create};
pub use policies::Policies;

use crate::event::Envelope;
use crate::event::Partial;
use crate::event::Redaction;
use crate::event::record::Head;
use crate::event::record::Record;
use bytes::Bytes;
use prost::Message as _;
use scrub::Scrub;
use scrub::Tally;
use std::collections::BTreeMap;

/// Takes out of records what the configuration wants out, and encodes them.
#[derive(Debug)]
pub struct Redactor {
    scrub: Scrub,
}

impl Redactor {
    /// Prepares the rules of a configuration. The key is the configuration's ([`Key::from_text`]) or the data
    /// directory's ([`load_or_create`]).
    ///
    /// # Errors
    /// All faults of the configuration at once.
    pub fn new(config: &Config, key: Key) -> Result<Self, Vec<Fault>> {
        Ok(Self { scrub: Scrub::new(config, key)? })
    }

    /// The policy that is applied.
    pub fn policy(&self) -> Policy {
        self.scrub.policy()
    }

    /// Redacts the records of one request that share an envelope. What is redacted of the envelope counts for each of
    /// them, for it stands in each of their rows.
    pub fn redact(&self, mut envelope: Envelope, records: Vec<(u32, Partial)>) -> Redacted {
        let shared = self.envelope(&mut envelope);
        let mut buffer = Vec::new();
        let record = |(position, partial)| self.record(position, partial, &shared, &mut buffer);
        let records = records.into_iter().map(record).collect();
        Redacted { envelope: envelope.encode_to_vec().into(), records }
    }

    /// Redacts text that is no record: a line of a log, the reason of a refusal.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.scrub.text(&mut text);
        text
    }

    /// Redacts a text that was put together of redacted ones, and says how often each rule acted on what was whole only
    /// then. It leaves what is redacted already.
    pub fn joined(&self, text: &mut String) -> BTreeMap<String, i64> {
        let mut run = self.scrub.run();
        run.joined(text);
        self.scrub.named(&run.finish())
    }

    fn envelope(&self, envelope: &mut Envelope) -> Tally {
        let mut run = self.scrub.run();
        self.policy().as_str().clone_into(&mut envelope.policy);
        if self.scrub.suspects_record(&envelope.encode_to_vec()) {
            run.envelope(envelope);
        }
        run.finish()
    }

    fn record(&self, position: u32, mut partial: Partial, shared: &Tally, buffer: &mut Vec<u8>) -> Bytes {
        let on_arrival = partial.row.as_mut().and_then(|row| row.redaction.take());
        let mut tally = shared.clone();
        if let Some(redaction) = on_arrival {
            self.scrub.add_named(&mut tally, &redaction.counts);
        }
        self.state(&mut partial, &tally);
        let cut = |partial: &mut Partial| partial.row.as_mut().is_some_and(|row| row.cut_tags());
        let encoded = Record::encode(position, &partial, buffer);
        let is_clean = encoded.get(Head::SIZE..).is_some_and(|body| !self.scrub.suspects_record(body));
        if is_clean {
            return if cut(&mut partial) { Record::encode(position, &partial, buffer) } else { encoded };
        }
        let mut run = self.scrub.run();
        run.partial(&mut partial);
        self.scrub.add(&mut tally, &run.finish());
        self.state(&mut partial, &tally);
        cut(&mut partial);
        Record::encode(position, &partial, buffer)
    }

    /// Says in the row what was done.
    fn state(&self, partial: &mut Partial, tally: &Tally) {
        if let Some(row) = &mut partial.row {
            let counts: BTreeMap<String, i64> = self.scrub.named(tally);
            row.redaction = Some(Redaction { policy: self.policy().as_str().to_owned(), counts });
        }
    }
}

/// Records of one resource and scope of one request, redacted and encoded, ready for the write-ahead log.
#[derive(Debug, Clone)]
pub struct Redacted {
    envelope: Bytes,
    records: Vec<Bytes>,
}

impl Redacted {
    /// Stands in for the redactor in tests of what comes after it.
    #[cfg(test)]
    pub(crate) fn of_test(envelope: Bytes, records: Vec<Bytes>) -> Self {
        Self { envelope, records }
    }

    /// The encoded [`Envelope`].
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// The encoded records: see [`crate::event::record`] for their bytes.
    pub fn records(&self) -> &[Bytes] {
        &self.records
    }

    /// Bytes that the log will take, without its framing.
    pub fn size(&self) -> usize {
        self.envelope.len() + self.records.iter().map(Bytes::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
