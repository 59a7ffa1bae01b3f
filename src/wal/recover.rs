//! What a process finds of the log that an earlier one left, and how it is made whole.
//!
//! Only segments behind the highest outbox entry are looked at: they are folded again. All of them but the last were
//! sealed before the next was begun, so it is enough to look at their seals; damage inside is found, and costs only
//! itself, when they are folded. What has no seal is read whole:
//!
//! - a torn tail is copied to the quarantine and cut at the last valid frame;
//! - damage in the middle is copied to the quarantine and left standing, for places behind it must not move;
//! - then the file gets a seal (`recovery`), with the time of its last record, because time spent down does not count;
//! - a file without any valid frame held nothing that was acknowledged, and is removed.

use super::files::FileId;
use super::files::Files;
use super::files::ReadError;
use super::home::OpenError;
use super::record::Frames;
use super::record::Seed;
use super::scan::End;
use super::scan::Gap;
use super::scan::Item;
use super::segment::Reason;
use super::segment::Seal;
use super::time::LogicalTime;
use crate::failpoint;
use crate::failpoint::Point;
use std::io;

/// How far the outbox has come: what its highest entry says. The default is an outbox without entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floor {
    /// The segment of the highest entry; 0 without entries.
    pub segment: u64,
    /// Number of the next record after that segment.
    pub next_sequence: u64,
    /// The time of that segment's seal.
    pub time: LogicalTime,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Sealed segments behind the floor, in order: to be folded again.
    pub segments: Vec<u64>,
    /// Numbers that were given behind the floor. Where damage has taken records, or a whole file is gone, there are
    /// fewer records than numbers.
    pub records: u64,
    /// Files up to the floor: the carry may point to them; those that it does not are left over and can be removed.
    pub old: Vec<FileId>,
    /// Bytes of torn tails that were cut.
    pub torn_bytes: u64,
    /// Bytes of damage before the end of segments that had no seal.
    pub damaged_bytes: u64,
}

/// Where the log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) segment: u64,
    pub(super) sequence: u64,
    pub(super) time: LogicalTime,
}

pub(super) fn recover(files: &Files, floor: Floor) -> Result<(Found, Next), OpenError> {
    let doing = || format!("list {}", files.dir().display());
    let mut found = Found::default();
    let mut next = Next { segment: floor.segment + 1, sequence: floor.next_sequence, time: floor.time };
    for (file, len) in files.list().map_err(OpenError::io(doing()))? {
        match file {
            FileId::Segment(number) if number > floor.segment => {
                let doing = || format!("recover {}", files.path(file).display());
                if let Some(seal) = make_whole(files, file, &next, &mut found, doing)? {
                    found.segments.push(number);
                    let sequence = next.sequence.max(seal.next_sequence);
                    next = Next { segment: number + 1, sequence, time: next.time.max(seal.time) };
                }
            }
            // The fold that made it never came to its end and will make it again, or not.
            FileId::Kept(number) if number > floor.segment => {
                files.remove(file).map_err(OpenError::io(format!("remove {}", files.path(file).display())))?;
            }
            FileId::Segment(_) | FileId::Kept(_) => {
                files.room().set(file, len);
                found.old.push(file);
            }
        }
    }
    found.records = next.sequence.saturating_sub(floor.next_sequence);
    Ok((found, next))
}

/// Sees to it that a segment has a seal; `None` when there was nothing in it and it is gone.
fn make_whole(
    files: &Files,
    file: FileId,
    before: &Next,
    found: &mut Found,
    doing: impl Fn() -> String,
) -> Result<Option<Seal>, OpenError> {
    let refuse = |error| match error {
        ReadError::Version { found, .. } => OpenError::Version { path: files.path(file), found },
        ReadError::Foreign { .. } | ReadError::Damaged { .. } => OpenError::Foreign { path: files.path(file) },
        ReadError::Io { source, .. } => OpenError::Io { doing: doing(), source },
    };
    let sealed = files.seal(file).map_err(refuse)?;
    let (seal, len) = match sealed {
        Some(seal) => {
            let handle = files.disk().open(&files.path(file)).map_err(OpenError::io(doing()))?;
            (seal, handle.len().map_err(OpenError::io(doing()))?)
        }
        None => {
            let whole = files.read(file).map_err(refuse)?;
            let mut scan = whole.scan();
            let mut gaps = Vec::new();
            for item in &mut scan {
                if let Item::Gap(gap) = item {
                    found.damaged_bytes += gap.len;
                    gaps.push(gap);
                }
            }
            let (records, envelopes) = scan.counts();
            let (seal, end, torn) = match scan.end() {
                Some(End::Sealed(seal, end)) => (Some(seal), end, None),
                Some(End::Torn { offset, end }) => (None, offset, Some(Gap { offset, len: end - offset, records: 0 })),
                Some(End::Open(end)) => (None, end, None),
                None => (None, 0, None),
            };
            found.torn_bytes += torn.map_or(0, |torn| torn.len);
            for gap in gaps.into_iter().chain(torn) {
                files.quarantine(&whole, gap).map_err(OpenError::io(doing()))?;
            }
            if seal.is_none() && envelopes == 0 {
                files.remove(file).map_err(OpenError::io(doing()))?;
                return Ok(None);
            }
            let seal = seal.map_or_else(
                || {
                    let seal = Seal {
                        time: scan.time().max(before.time),
                        reason: Reason::Recovery,
                        next_sequence: scan.next_sequence().unwrap_or(before.sequence),
                        records,
                        envelopes,
                    };
                    close(files, file, end, Some(seal)).map(|len| (seal, len))
                },
                |seal| close(files, file, end, None).map(|len| (seal, len)),
            );
            seal.map_err(OpenError::io(doing()))?
        }
    };
    files.room().set(file, len);
    Ok(Some(seal))
}

/// Cuts a file at `end`, behind a seal if it is given one, and returns its length.
fn close(files: &Files, file: FileId, end: u64, seal: Option<Seal>) -> io::Result<u64> {
    failpoint::reached(Point::RecoverBeforeSeal);
    let handle = files.disk().edit(&files.path(file))?;
    let mut frames = Frames::new(Seed::new(files.writer(), file), end);
    if let Some(seal) = seal {
        frames.push_seal(seal.next_sequence, seal.time, &seal.payload());
        handle.write_at(end, frames.bytes())?;
    }
    handle.set_len(frames.end())?;
    handle.sync()?;
    failpoint::reached(Point::RecoverAfterSeal);
    Ok(frames.end())
}
