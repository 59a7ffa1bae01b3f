//! Texts that are put together of redacted pieces are redacted once more: what was split over two of them is whole now.

use crate::event::Message;
use crate::event::Redaction;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Redacts a text by a policy that a row names, and says how often each rule acted.
type Redact = dyn Fn(&str, &mut String) -> BTreeMap<String, i64> + Send + Sync;

/// What redacts texts that were put together. Without one they stay as they are.
#[derive(Clone, Default)]
pub struct Rejoin(Option<Arc<Redact>>);

impl Rejoin {
    /// By a function of policy and text. It leaves what is redacted already.
    pub fn by(redact: impl Fn(&str, &mut String) -> BTreeMap<String, i64> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(redact)))
    }

    /// Redacts what messages say, and adds to the account of their row.
    pub(super) fn messages(&self, policy: &str, messages: &mut [Message], account: &mut Option<Redaction>) {
        let Some(redact) = &self.0 else { return };
        for Message { content, reasoning, .. } in messages {
            for text in [content, reasoning].into_iter().flatten() {
                for (rule, count) in redact(policy, text) {
                    *account.get_or_insert_default().counts.entry(rule).or_default() += count;
                }
            }
        }
    }
}

impl fmt::Debug for Rejoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejoin({})", if self.0.is_some() { "by a redactor" } else { "as it is" })
    }
}
