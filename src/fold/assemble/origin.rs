//! Where records come from: their envelope, and who tells by it.

use crate::event::Envelope;
use std::ops::Deref;
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// An envelope. Many records of many traces share it: who tells by it is found once.
#[derive(Debug, Default)]
pub struct Origin {
    envelope: Envelope,
    teller: OnceLock<u64>,
}

impl From<Envelope> for Origin {
    fn from(envelope: Envelope) -> Self {
        Self { envelope, teller: OnceLock::new() }
    }
}

impl Deref for Origin {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.envelope
    }
}

impl Origin {
    /// Who tells: one service's instrumentation.
    pub(super) fn teller(&self) -> u64 {
        *self.teller.get_or_init(|| teller(&self.envelope))
    }
}

fn teller(envelope: &Envelope) -> u64 {
    #[derive(serde::Deserialize)]
    struct Resource<'a> {
        #[serde(borrow)]
        scope: Option<Scope<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Scope<'a> {
        #[serde(borrow)]
        name: Option<std::borrow::Cow<'a, str>>,
    }
    let resource = envelope.resource.as_deref().and_then(|json| serde_json::from_str::<Resource<'_>>(json).ok());
    let scope = resource.and_then(|resource| resource.scope?.name).unwrap_or_default();
    let service = envelope.service.as_deref().unwrap_or_default();
    xxh3_64(format!("{service}\0{scope}").as_bytes())
}
