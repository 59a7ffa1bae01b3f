//! What a fold reads of earlier segments and entries.

use super::TOMBS;
use super::WINDOW;
use super::file_id;
use super::of_log;
use crate::fold::Past;
use crate::fold::open::SegmentId;
use crate::fold::window;
use crate::lake::outbox::Outbox;
use crate::wal::Files;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

/// Key files that are held in memory, because resends come in storms.
const CACHED_PARTS: usize = 16;

/// Earlier segments and entries.
pub(super) struct Earlier<'a> {
    files: &'a Files,
    outbox: &'a Outbox,
    keys: RefCell<VecDeque<(u64, Rc<Vec<u128>>)>>,
}

impl<'a> Earlier<'a> {
    pub(super) fn new(files: &'a Files, outbox: &'a Outbox) -> Self {
        Self { files, outbox, keys: RefCell::default() }
    }

    /// A file beside an entry. Damage to both of it is told, and costs what was in it.
    fn read(&self, segment: u64, name: &str, cost: &str) -> io::Result<Vec<u8>> {
        match self.outbox.read_beside(segment, name) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                tracing::error!(segment, file = name, "a file of the outbox is damaged, and so is its copy: {cost}");
                Ok(Vec::new())
            }
            read => read,
        }
    }

    fn keys(&self, segment: u64) -> io::Result<Rc<Vec<u128>>> {
        let mut cached = self.keys.borrow_mut();
        if let Some((_, keys)) = cached.iter().find(|(cached, _)| *cached == segment) {
            return Ok(Rc::clone(keys));
        }
        let bytes = self.read(segment, WINDOW, "its resends are not recognised any more")?;
        let keys = Rc::new(window::decode_keys(&bytes));
        if cached.len() >= CACHED_PARTS {
            cached.pop_front();
        }
        cached.push_back((segment, Rc::clone(&keys)));
        Ok(keys)
    }
}

impl Past for Earlier<'_> {
    fn blob(&self, segment: SegmentId, offset: u64, length: Option<u32>) -> io::Result<Bytes> {
        let file = file_id(segment.number, segment.kept);
        let blob = match length {
            Some(length) => self.files.blob_sized(file, offset, length),
            None => self.files.blob(file, offset),
        };
        Ok(blob.map_err(of_log)?.payload)
    }

    fn window_keys(&self, segment: u64) -> io::Result<Vec<u128>> {
        self.keys(segment).map(|keys| keys.to_vec())
    }

    fn window_has(&self, segment: u64, key: u128) -> io::Result<bool> {
        self.keys(segment).map(|keys| keys.binary_search(&key).is_ok())
    }

    fn tombs(&self, segment: u64) -> io::Result<Vec<u8>> {
        self.read(segment, TOMBS, "late records of its traces are read by themselves")
    }
}
