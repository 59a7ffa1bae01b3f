//! A store of objects, as narrow as the lake needs it: create-only puts, whole reads, ordered lists.
//!
//! One call is one attempt. What is promised is what S3, GCS, Azure and a local folder all keep, and no more:
//! - After [`Objects::create`] succeeded the object is there, whole and durable. Nobody ever replaces one.
//! - After a failure it says whether it may be there ([`Failure`]).
//!
//! [`super::remote`] has the real ones. [`Memory`] is complete, [`FaultObjects`] makes chosen calls go wrong; both are
//! public, so that tests and simulations can use them.

mod fault;

pub use fault::Call;
pub use fault::Fault;
pub use fault::FaultObjects;
pub use fault::Outcome;

use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// A store of objects.
#[async_trait]
pub trait Objects: Send + Sync + Debug {
    /// Puts an object under a key that has none.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure>;

    /// Reads an object.
    async fn read(&self, key: &str) -> Result<Bytes, Failure>;

    /// Lists objects whose keys begin with the folder `folder` (without a slash at its end; empty for all) and come
    /// after `after`, in the order of their keys, at most `limit` of them.
    async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure>;

    /// Lists the folders right below a folder, by their whole paths, in order.
    async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure>;
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// When it was put, microseconds since 1970, by the store's clock.
    pub modified: i64,
}

/// Why an operation failed, and what has happened by then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is an object under the key already, or another put of the same key is under way.
    #[error("an object with this key exists")]
    Exists,
    /// There is no object under the key.
    #[error("no object has this key")]
    NotFound,
    /// It has not happened. Again may help.
    #[error("{0}")]
    NotWritten(String),
    /// It may have happened or not. Again may help.
    #[error("{0}")]
    Unknown(String),
    /// It has not happened, and again will not help until somebody changes something.
    #[error("{why}")]
    Refused {
        /// What the store refuses.
        scope: Scope,
        /// What it said, and the way out.
        why: String,
    },
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The store as a whole: a bucket that is missing, a credential that is none.
    Store,
    /// This object, or those under its prefix.
    Object,
}

impl Failure {
    /// A word for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::NotWritten(_) => "not_written",
            Self::Unknown(_) => "unknown",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether trying the same again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NotWritten(_) | Self::Unknown(_))
    }
}

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Memory {
    /// Every object, by key.
    pub fn all(&self) -> BTreeMap<String, Bytes> {
        self.hold().clone()
    }

    /// Puts an object, whatever is there: for tests that play another writer, or damage.
    pub fn replace(&self, key: &str, bytes: impl Into<Bytes>) {
        self.hold().insert(key.to_owned(), bytes.into());
    }

    /// Takes an object away.
    pub fn remove(&self, key: &str) {
        self.hold().remove(key);
    }

    fn hold(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Objects for Memory {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        let mut objects = self.hold();
        if objects.contains_key(key) {
            return Err(Failure::Exists);
        }
        objects.insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Bytes, Failure> {
        self.hold().get(key).cloned().ok_or(Failure::NotFound)
    }

    async fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, Failure> {
        let objects = self.hold();
        let wanted = objects
            .iter()
            .filter(|(key, _)| below(folder, key).is_some() && after.is_none_or(|after| key.as_str() > after));
        let listed = |(key, bytes): (&String, &Bytes)| Listed {
            key: key.clone(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            modified: 0,
        };
        Ok(wanted.take(limit).map(listed).collect())
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let objects = self.hold();
        let name = |key: &String| Some(below(folder, key)?.split_once('/')?.0.to_owned());
        let names: BTreeSet<String> = objects.keys().filter_map(name).collect();
        let path = |name| if folder.is_empty() { name } else { format!("{folder}/{name}") };
        Ok(names.into_iter().map(path).collect())
    }
}

/// What a key says below a folder.
fn below<'a>(folder: &str, key: &'a str) -> Option<&'a str> {
    if folder.is_empty() { Some(key) } else { key.strip_prefix(folder)?.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_store_in_memory_creates_once_and_lists_in_order() {
        let store = Memory::default();
        for key in ["b/2", "a", "b/1/x", "b", "b/10", "bc/1"] {
            store.create(key, Bytes::from(key.to_owned())).await.unwrap();
        }
        assert_eq!(store.create("a", Bytes::new()).await, Err(Failure::Exists));
        assert_eq!(store.read("a").await.unwrap(), "a");
        assert_eq!(store.read("c").await, Err(Failure::NotFound));
        let keys = async |folder, after, limit| {
            let listed = store.list(folder, after, limit).await.unwrap();
            listed.into_iter().map(|object| object.key).collect::<Vec<_>>()
        };
        assert_eq!(keys("b", None, 9).await, ["b/1/x", "b/10", "b/2"]);
        assert_eq!(keys("b", Some("b/1/x"), 1).await, ["b/10"]);
        assert_eq!(keys("", Some("b/2"), 9).await, ["bc/1"]);
        assert_eq!(store.folders("").await.unwrap(), ["b", "bc"]);
        assert_eq!(store.folders("b").await.unwrap(), ["b/1"]);
    }
}
