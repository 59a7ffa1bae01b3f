//! The store with patience: attempts are timed, repeated with backoff, and what is there is looked at before anything
//! is believed.
//!
//! A create that finds an object under its key is no proof of another writer: our own answer may have been lost. It
//! reads back and compares; same is success.

#[cfg(test)]
mod tests;

use super::encode::sha256;
use super::key;
use super::key::Prefix;
use super::key::Writer;
use super::objects::Failure;
use super::objects::Listed;
use super::objects::Objects;
use super::objects::Scope;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::metrics::Metrics;
use bytes::Bytes;
use futures::future::Either;
use futures::future::select;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// What the start-up probe writes.
const PROBE: &[u8] = b"chatlake was here: it can write, and this store refuses to write twice\n";

/// How much a read is given time for, for its length is not known before.
const READ_BYTES: usize = 64 << 20;

/// How long one call is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts of one call.
    pub attempts: u32,
    /// The wait after the first failed attempt; it doubles.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How long one attempt may take, apart from its bytes.
    pub attempt: Duration,
    /// Bytes a second below which an attempt is given up.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            attempt: Duration::from_secs(20),
            slowest: 256 << 10,
        }
    }
}

impl Patience {
    /// As short as a test needs it.
    #[cfg(test)]
    pub(super) fn short() -> Self {
        let (first, longest) = (Duration::from_millis(1), Duration::from_millis(30));
        Self { first, longest, attempt: Duration::from_millis(50), slowest: u64::MAX, ..Self::default() }
    }

    /// The wait after failure number `failed`, counted from 0. `seed` spreads those who failed together.
    pub fn wait(&self, failed: u32, seed: &str) -> Duration {
        let whole = self.first.saturating_mul(1u32.checked_shl(failed.min(20)).unwrap_or(u32::MAX)).min(self.longest);
        let chance = xxh3_64(format!("{seed} {failed}").as_bytes()) % 512;
        whole.mul_f64(0.5 + f64::from(u16::try_from(chance).unwrap_or_default()) / 1024.0)
    }

    fn limit(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.attempt.saturating_add(Duration::from_secs(bytes / self.slowest.max(1)))
    }
}

/// How an object came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// Put now.
    New,
    /// It was there, with the same bytes.
    Same,
}

/// A store.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn Objects>,
    patience: Patience,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// A store that tries as long as `patience` says.
    pub fn new(objects: Arc<dyn Objects>, patience: Patience, metrics: Arc<Metrics>) -> Self {
        Self { objects, patience, metrics, clock: Arc::new(SystemClock::new()) }
    }

    /// Waits on this clock; without it, on the machine's.
    #[must_use]
    pub fn on(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The clock that it waits on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How long it tries.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Puts an object, unless it is there with the same bytes.
    ///
    /// # Errors
    /// [`Failure::Refused`] also where another object is under the key; the others when the last attempt gave them.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, Failure> {
        self.patiently(key, || self.create_once(key, &bytes)).await
    }

    async fn create_once(&self, key: &str, bytes: &Bytes) -> Result<Created, Failure> {
        let put = self.attempt("put", bytes.len(), self.objects.create(key, bytes.clone())).await;
        match put {
            Ok(()) => return Ok(Created::New),
            Err(Failure::Exists) if failpoint::has(Mutation::ExistsIsSuccess) => return Ok(Created::Same),
            Err(Failure::Exists) => {}
            Err(failure) => return Err(failure),
        }
        match self.attempt("get", bytes.len(), self.objects.read(key)).await {
            Ok(there) if there == *bytes => Ok(Created::Same),
            Ok(there) => {
                self.metrics.store_errors.count("put", "refused");
                let (theirs, ours) = (sha256(&there), sha256(bytes));
                let why = format!(
                    "another object is under the key {key}: SHA-256 {theirs} where ours has {ours}; \
                     does another chatlake write under the same name and id?"
                );
                Err(Failure::Refused { scope: Scope::Object, why })
            }
            // Two puts of one key at once, or an object that was deleted meanwhile.
            Err(Failure::NotFound | Failure::Exists) => {
                Err(Failure::NotWritten(format!("another put of {key} is under way")))
            }
            Err(Failure::Refused { scope, why }) => {
                let why = format!("{why}; {key} exists and cannot be read back: allow this credential to get objects");
                Err(Failure::Refused { scope, why })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// What the last attempt gave.
    pub async fn read(&self, key: &str) -> Result<Bytes, Failure> {
        self.patiently(key, || self.attempt("get", READ_BYTES, self.objects.read(key))).await
    }

    /// Lists objects: see [`Objects::list`].
    ///
    /// # Errors
    /// What the last attempt gave.
    pub async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
        self.patiently(folder, || self.attempt("list", 0, self.objects.list(folder, after, limit))).await
    }

    /// Lists folders: see [`Objects::folders`].
    ///
    /// # Errors
    /// What the last attempt gave.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
        self.patiently(folder, || self.attempt("list", 0, self.objects.folders(folder))).await
    }

    async fn patiently<T, F>(&self, seed: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut failed = 0;
        loop {
            let failure = match call().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            failed += 1;
            if !failure.is_passing() || failed >= self.patience.attempts {
                return Err(failure);
            }
            self.clock.sleep(self.patience.wait(failed - 1, seed)).await;
        }
    }

    async fn attempt<T>(
        &self,
        operation: &'static str,
        bytes: usize,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.patience.limit(bytes);
        let result = match select(pin!(call), self.clock.sleep(limit)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                Err(Failure::Unknown(format!("the store has not answered a {operation} within {limit:?}")))
            }
        };
        // What a store should say is no error: whoever asked looks at what is there.
        if let Err(failure) = &result
            && *failure != Failure::Exists
        {
            self.metrics.store_errors.count(operation, failure.kind());
        }
        result
    }

    /// Finds out whether the store takes objects, refuses to replace them, and gives them back. Leaves one small object
    /// for each writer and prefix.
    ///
    /// # Errors
    /// [`Failure::Refused`] says what is missing and the way out; the others that the store could not be asked.
    pub async fn probe(&self, prefix: &Prefix, writer: &Writer) -> Result<(), Failure> {
        let key = key::probe(prefix, writer);
        let bytes = Bytes::from_static(PROBE);
        if self.create(&key, bytes.clone()).await? == Created::New {
            // A second time: a store that takes it would let writers overwrite each other.
            match self.attempt("put", bytes.len(), self.objects.create(&key, bytes.clone())).await {
                Err(Failure::Exists) => {}
                Ok(()) => {
                    let why = format!(
                        "the store replaced {key} although it was asked not to: it does not support conditional puts \
                         (If-None-Match), which chatlake needs; use a store or a version that does"
                    );
                    return Err(Failure::Refused { scope: Scope::Store, why });
                }
                Err(failure) => return Err(failure),
            }
            self.read(&key).await?;
        }
        Ok(())
    }
}
