//! The pure stretch of the road for posted bodies: body, partials, redacted records.

use crate::dialect::posted::Malformed;
use crate::dialect::posted::Posted;
use crate::event::Dead;
use crate::event::Envelope;
use crate::event::Kind;
use crate::event::Partial;
use crate::receiver::Caller;
use crate::receiver::Rejected;
use crate::receiver::Road;
use crate::redact::Redacted;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// A posted body that is ready for the log.
#[derive(Debug)]
pub(in crate::receiver) struct PreparedPost {
    /// What to append; none where the body tells nothing.
    pub(in crate::receiver) redacted: Option<Redacted>,
    /// Records whose mapping panicked.
    pub(in crate::receiver) panicked: u64,
    /// The body of the answer.
    pub(in crate::receiver) answer: String,
    /// The word for it in metrics.
    pub(in crate::receiver) outcome: &'static str,
}

impl Road {
    /// Reads and redacts a posted body.
    ///
    /// # Errors
    /// When the body is none of its door.
    pub(in crate::receiver) fn prepare_posted(
        &self,
        door: &str,
        body: &[u8],
        caller: &Caller,
        received_at: i64,
        read: impl Fn(&[u8]) -> Result<Posted, Malformed>,
    ) -> Result<PreparedPost, Rejected> {
        let mut panicked = 0;
        let posted = match catch_unwind(AssertUnwindSafe(|| read(body))) {
            Ok(posted) => posted.map_err(|malformed| Rejected::Malformed(malformed.to_string()))?,
            Err(_) => {
                panicked = 1;
                let text = String::from_utf8_lossy(body).into_owned();
                Posted { records: vec![(0, dead("the mapping panicked", text))], ..Posted::default() }
            }
        };
        let outcome = match (posted.records.is_empty(), posted.rejected()) {
            (true, _) if posted.ignored > 0 => "ignored",
            (_, 0) => "ok",
            _ => "partial",
        };
        let Posted { records, answer, .. } = posted;
        let envelope = Envelope {
            tenant: caller.tenant.clone(),
            app: caller.app.clone(),
            prefix: caller.prefix.clone(),
            service: caller.app.clone(),
            door: door.to_owned(),
            received_at,
            ..Envelope::default()
        };
        let redactor = self.redactor(caller);
        let redact = |records| redactor.redact(envelope.clone(), records);
        let redacted = (!records.is_empty()).then(|| {
            let places: Vec<u32> = records.iter().map(|(place, _)| *place).collect();
            // Should redaction panic, nothing unredacted is stored.
            catch_unwind(AssertUnwindSafe(|| redact(records))).unwrap_or_else(|_| {
                panicked += places.len() as u64;
                let lost = |place| (place, dead("the redaction panicked", String::new()));
                redact(places.into_iter().map(lost).collect())
            })
        });
        Ok(PreparedPost { redacted, panicked, answer, outcome })
    }
}

fn dead(reason: &str, text: String) -> Partial {
    let dead = Dead { reason: reason.to_owned(), text };
    Partial { kind: Kind::Dead.into(), dead: Some(dead), ..Partial::default() }
}
