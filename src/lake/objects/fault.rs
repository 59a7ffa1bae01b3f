//! A store on which chosen calls go wrong, as [`crate::wal::disk::FaultDisk`] is a disk on which they do.

use super::Failure;
use super::Listed;
use super::Objects;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Wraps a store and makes chosen calls fail. Clones share their faults and their record of calls.
#[derive(Debug, Clone)]
pub struct FaultObjects {
    inner: Arc<dyn Objects>,
    state: Arc<Mutex<State>>,
}

/// Which calls go wrong, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only calls of this kind; any when `None`.
    pub call: Option<Call>,
    /// Only keys that contain this text; empty for all.
    pub key: String,
    /// How many calls that match go well first.
    pub skip: u64,
    /// How many go wrong after that.
    pub times: u64,
    /// What happens to them.
    pub outcome: Outcome,
}

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of the same name")]
pub enum Call {
    Create,
    Read,
    List,
    Folders,
}

/// What happens to a call that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is not done, and this is reported.
    NotDone(Failure),
    /// It is done, and this is reported all the same.
    DoneButFailed(Failure),
    /// It is not done and never answers.
    Silent,
    /// It is done and never answers.
    DoneAndSilent,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    calls: Vec<(Call, String)>,
}

impl FaultObjects {
    /// A store on which nothing goes wrong yet.
    pub fn new(inner: Arc<dyn Objects>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Adds a fault. The first one that matches a call decides about it.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// All calls so far with their keys, in order, also those that went wrong.
    pub fn calls(&self) -> Vec<(Call, String)> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen to the next call.
    fn next(&self, call: Call, key: &str) -> Option<Outcome> {
        let mut state = self.state();
        state.calls.push((call, key.to_owned()));
        let mut outcome = None;
        for fault in &mut state.faults {
            if fault.call.is_some_and(|only| only != call) || !key.contains(&fault.key) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 && outcome.is_none() {
                fault.times -= 1;
                outcome = Some(fault.outcome.clone());
            }
        }
        outcome
    }

    async fn call<T>(
        &self,
        call: Call,
        key: &str,
        done: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        match self.next(call, key) {
            None => done.await,
            Some(Outcome::NotDone(failure)) => Err(failure),
            Some(Outcome::DoneButFailed(failure)) => done.await.and(Err(failure)),
            Some(Outcome::Silent) => std::future::pending().await,
            Some(Outcome::DoneAndSilent) => {
                drop(done.await);
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Objects for FaultObjects {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.call(Call::Create, key, self.inner.create(key, bytes)).await
    }

    async fn read(&self, key: &str) -> Result<Bytes, Failure> {
        self.call(Call::Read, key, self.inner.read(key)).await
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
        self.call(Call::List, folder, self.inner.list(folder, after, limit)).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
        self.call(Call::Folders, folder, self.inner.folders(folder)).await
    }
}
