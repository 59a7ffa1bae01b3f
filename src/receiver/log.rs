//! The log as the doors see it.

use super::Rejected;
use crate::redact::Redacted;
use crate::wal::AppendError;
use crate::wal::Wal;
use async_trait::async_trait;
use std::fmt::Debug;
use std::time::Duration;

/// Where requests are made durable: the write-ahead log, or a stand-in for it.
#[async_trait]
pub trait Log: Send + Sync + Debug {
    /// Whether a request would find room now. Asked before a request is read.
    fn has_room(&self) -> bool;

    /// Makes a request durable. `deadline`, on the clock's monotonic scale, is when its sender stops waiting: it is
    /// not appended after that.
    ///
    /// # Errors
    /// Nothing of the request is acknowledged.
    async fn append(&self, request: Vec<Redacted>, deadline: Duration) -> Result<(), Rejected>;
}

#[async_trait]
impl Log for Wal {
    fn has_room(&self) -> bool {
        Self::has_room(self)
    }

    async fn append(&self, request: Vec<Redacted>, deadline: Duration) -> Result<(), Rejected> {
        let unavailable = |reason, after| Rejected::Unavailable { reason, after };
        match Self::append(self, request, Some(deadline)).await {
            Ok(_) => Ok(()),
            Err(AppendError::Full { retry_after }) => Err(unavailable(FULL, retry_after)),
            Err(AppendError::TooLarge) => Err(Rejected::Malformed(
                "request is larger than the write-ahead log takes (buffer.cap): send smaller batches".to_owned(),
            )),
            Err(AppendError::Closed) => Err(unavailable("chatlake is stopping", Duration::from_secs(2))),
            Err(AppendError::Poisoned) => Err(unavailable("the disk has failed", Duration::from_secs(10))),
        }
    }
}

/// Why a request is shed that finds no room.
pub(super) const FULL: &str = "the write-ahead log has no room (buffer.cap, disk.reserve)";
