//! Writing a kept file: the few records of dying segments that are still open, copied with their envelopes.
//!
//! Nothing points to the file before the outbox entry of its fold is in place, so it may be begun again at any time.

use super::disk::File;
use super::files::FileId;
use super::files::Files;
use super::record::Frames;
use super::record::Seed;
use super::segment::Header;
use super::segment::Reason;
use super::segment::Seal;
use super::time::LogicalTime;
use std::io;

/// Bytes that are collected before they are written.
const CHUNK: usize = 1 << 20;

/// A kept file that is being written.
#[derive(Debug)]
pub struct Kept {
    files: Files,
    id: FileId,
    file: Box<dyn File>,
    frames: Frames,
    time: LogicalTime,
    records: u32,
    envelopes: u32,
}

impl Kept {
    pub(super) fn new(files: Files, number: u64, time: LogicalTime) -> io::Result<Self> {
        let id = FileId::Kept(number);
        files.remove(id)?;
        let file = files.disk().create(&files.path(id))?;
        let mut frames = Frames::new(Seed::new(files.writer(), id), 0);
        frames.push_raw(&Header { writer: files.writer(), file: id, first_sequence: 0, begun: time }.encode());
        Ok(Self { files, id, file, frames, time, records: 0, envelopes: 0 })
    }

    /// Copies an envelope; the records that are copied next belong to it. Returns its offset in this file.
    ///
    /// # Errors
    /// When the disk fails: begin the file again.
    pub fn envelope(&mut self, time: LogicalTime, payload: &[u8]) -> io::Result<u64> {
        self.envelopes += 1;
        let offset = self.frames.push_envelope(0, time, payload);
        self.spill()?;
        Ok(offset)
    }

    /// Copies a record of the last envelope, with its number and time. Returns its offset in this file.
    ///
    /// # Errors
    /// When the disk fails: begin the file again.
    pub fn record(&mut self, sequence: u64, time: LogicalTime, payload: &[u8]) -> io::Result<u64> {
        self.records += 1;
        let offset = self.frames.push_record(sequence, time, payload);
        self.spill()?;
        Ok(offset)
    }

    /// Puts the file on stable storage and returns its length.
    ///
    /// # Errors
    /// When the disk fails: begin the file again if it was full, else stop.
    pub fn finish(mut self) -> io::Result<u64> {
        let seal = Seal {
            time: self.time,
            reason: Reason::Copied,
            next_sequence: 0,
            records: self.records,
            envelopes: self.envelopes,
        };
        self.frames.push_seal(0, self.time, &seal.payload());
        self.write()?;
        self.file.sync()?;
        self.files.disk().sync_dir(self.files.dir())?;
        let len = self.frames.end();
        self.files.room().set(self.id, len);
        Ok(len)
    }

    /// Which file this is.
    pub fn id(&self) -> FileId {
        self.id
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.frames.bytes().len() < CHUNK {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_at(self.frames.base(), self.frames.bytes())?;
        self.frames.advance();
        Ok(())
    }
}
