//! The commit of one shipment: its files, each created, and then the manifest that makes them visible.

use super::manifest::Manifest;
use super::objects::Failure;
use super::objects::Scope;
use super::outbox::Object;
use super::outbox::Outbox;
use super::outbox::Shipment;
use super::store::Store;
use crate::failpoint;
use crate::failpoint::Mutation;
use crate::failpoint::Point;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::Semaphore;

/// Where objects go to and come from.
#[derive(Debug)]
pub(super) struct Committer {
    outbox: Arc<Outbox>,
    store: Store,
    at_once: usize,
    /// How many objects may be in memory and on their way.
    slots: Semaphore,
    /// Files that this process has seen stored, by segment: after a failure they are not sent again.
    sent: Mutex<BTreeMap<u64, BTreeSet<String>>>,
}

/// Why a shipment did not arrive.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The store's.
    Store(Failure),
    /// The local disk's.
    Disk(io::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

impl Committer {
    pub(super) fn new(outbox: Arc<Outbox>, store: Store, at_once: usize) -> Self {
        Self { outbox, store, at_once, slots: Semaphore::new(at_once), sent: Mutex::default() }
    }

    /// Where they go.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Stores the files, as many at a time as there are slots, and the manifest when all of them are there. Stopped
    /// anywhere, it can be done again.
    pub(super) async fn commit(&self, segment: u64, shipment: &Shipment) -> Result<Manifest, Trouble> {
        if failpoint::has(Mutation::ManifestFirst) {
            self.store.create(&shipment.manifest.key, self.read(segment, &shipment.manifest)?).await?;
        }
        let files = futures::stream::iter(&shipment.files).map(|file| self.send(segment, file));
        files.buffer_unordered(self.at_once).try_collect::<()>().await?;
        let bytes = self.read(segment, &shipment.manifest)?;
        let manifest = Manifest::from_bytes(&bytes).map_err(|error| damaged(&error))?;
        let _slot = self.slots.acquire().await;
        failpoint::reached(Point::CommitBeforeManifest);
        self.store.create(&shipment.manifest.key, bytes).await?;
        failpoint::reached(Point::CommitAfterManifest);
        Ok(manifest)
    }

    async fn send(&self, segment: u64, object: &Object) -> Result<(), Trouble> {
        if self.sent().get(&segment).is_some_and(|sent| sent.contains(&object.key)) {
            return Ok(());
        }
        // The semaphore is never closed; and without a slot there would only be more at once.
        let _slot = self.slots.acquire().await;
        let bytes = self.read(segment, object)?;
        failpoint::reached(Point::StoreBeforePut);
        self.store.create(&object.key, bytes).await?;
        failpoint::reached(Point::StoreAfterPut);
        self.sent().entry(segment).or_default().insert(object.key.clone());
        Ok(())
    }

    fn read(&self, segment: u64, object: &Object) -> Result<Bytes, Trouble> {
        match self.outbox.object(segment, object) {
            Ok(bytes) => Ok(Bytes::from(bytes)),
            Err(error) => Err(local(error)),
        }
    }

    /// Says that an entry is done with.
    pub(super) fn forget(&self, segment: u64) {
        self.sent().remove(&segment);
    }

    fn sent(&self) -> MutexGuard<'_, BTreeMap<u64, BTreeSet<String>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Damage costs the entry that has it; any other error of the disk is the disk's.
pub(super) fn local(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound => damaged(&error),
        _ => Trouble::Disk(error),
    }
}

fn damaged(error: &dyn std::error::Error) -> Trouble {
    let why = format!("the outbox on the local disk is damaged: {error}");
    Trouble::Store(Failure::Refused { scope: Scope::Object, why })
}
