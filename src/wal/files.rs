//! The log's folder: names, reading, copying damage away, deleting.

use super::disk;
use super::disk::Disk;
use super::disk::File;
use super::home::Home;
use super::kept::Kept;
use super::record::FRAME;
use super::record::Head;
use super::record::Kind;
use super::record::Seed;
use super::room::Limits;
use super::room::Room;
use super::scan::Blob;
use super::scan::Gap;
use super::scan::Scan;
use super::segment::HEADER;
use super::segment::Header;
use super::segment::HeaderRead;
use super::segment::SEAL;
use super::segment::Seal;
use super::segment::VERSION;
use super::time::LogicalTime;
use crate::clock::ManualClock;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Files that are held open for reading single blobs.
const OPEN_FILES: usize = 16;
/// Bytes that are read for a single blob at first: most records are smaller.
const FIRST_READ: usize = 4096;
/// Bytes of damage that are kept at most; what goes beyond is only counted.
const QUARANTINE: u64 = 256 << 20;

/// A file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// A segment, by its number.
    Segment(u64),
    /// The records that the fold of the segment of this number copied.
    Kept(u64),
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(number) => write!(f, "{number:012}.seg"),
            Self::Kept(number) => write!(f, "{number:012}.kept"),
        }
    }
}

impl FileId {
    /// Reads a file's name; `None` when it is no file of the log.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (number, kind) = name.split_once('.')?;
        let is_number = number.len() >= 12 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number)?;
        let file = match kind {
            "seg" => Self::Segment(number),
            "kept" => Self::Kept(number),
            _ => return None,
        };
        (file.to_string() == name).then_some(file)
    }
}

/// Why a file of the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk says no.
    #[error("read {file}")]
    Io {
        /// The file.
        file: FileId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another version of the program wrote it.
    #[error("{file} has version {found} of the log's format, this program reads version {VERSION}")]
    Version {
        /// The file.
        file: FileId,
        /// Its version.
        found: u32,
    },
    /// It belongs to another data directory.
    #[error("{file} was written by another writer, or under another name: it does not belong into this directory")]
    Foreign {
        /// The file.
        file: FileId,
    },
    /// There is no valid blob at the place.
    #[error("{file} is damaged at byte {offset}")]
    Damaged {
        /// The file.
        file: FileId,
        /// The place.
        offset: u64,
    },
}

type OpenFiles = VecDeque<(FileId, Arc<dyn File>)>;

/// The files of the log. Clones are the same.
#[derive(Debug, Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    quarantine: PathBuf,
    writer: u64,
    room: Arc<Room>,
    /// Least recently opened first.
    open: Arc<Mutex<OpenFiles>>,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, data_dir: &Path, writer: u64, room: Arc<Room>) -> Self {
        Self {
            disk,
            dir: data_dir.join("wal"),
            quarantine: data_dir.join("quarantine"),
            writer,
            room,
            open: Arc::default(),
        }
    }

    /// The files of a directory whose log is not open: to look at what an earlier process left.
    pub fn of(home: &Home) -> Self {
        let limits = Limits { cap: u64::MAX, reserve: 0, segment: 0, in_flight: 0 };
        let clock = Arc::new(ManualClock::default());
        let room = Room::new(limits, Arc::clone(home.disk()), home.dir().to_owned(), clock);
        Self::new(Arc::clone(home.disk()), home.dir(), home.writer().id, Arc::new(room))
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn writer(&self) -> u64 {
        self.writer
    }

    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    pub(super) fn path(&self, file: FileId) -> PathBuf {
        self.dir.join(file.to_string())
    }

    /// The files that are there and their lengths, segments first, by number.
    pub(super) fn list(&self) -> io::Result<Vec<(FileId, u64)>> {
        let entries = self.disk.list(&self.dir)?;
        let mut files: Vec<_> =
            entries.iter().filter_map(|entry| Some((FileId::parse(&entry.name)?, entry.len))).collect();
        files.sort_unstable();
        Ok(files)
    }

    /// The files up to the fold of a segment. Those that its carry does not point to are left over.
    ///
    /// # Errors
    /// What the disk says.
    pub fn old(&self, segment: u64) -> io::Result<Vec<FileId>> {
        let is_old = |file: &FileId| matches!(file, FileId::Segment(n) | FileId::Kept(n) if *n <= segment);
        Ok(self.list()?.into_iter().map(|(file, _)| file).filter(is_old).collect())
    }

    /// Reads a whole file, to go through it.
    ///
    /// # Errors
    /// When it is not there, not of this format, not of this directory, or the disk fails. Damage is no error.
    pub fn read(&self, file: FileId) -> Result<Whole, ReadError> {
        let bytes = disk::read(self.disk(), &self.path(file)).map_err(|source| ReadError::Io { file, source })?;
        check(&bytes, file, self.writer)?;
        Ok(Whole { file, writer: self.writer, bytes })
    }

    /// Reads one envelope or record.
    ///
    /// # Errors
    /// As for [`Files::read`], and when what stands at the offset is not what was written.
    pub fn blob(&self, file: FileId, offset: u64) -> Result<Blob<Bytes>, ReadError> {
        self.blob_of(file, offset, FIRST_READ)
    }

    /// [`Files::blob`] of one whose payload is known to have this length: it is read at once.
    ///
    /// # Errors
    /// As for [`Files::blob`].
    pub fn blob_sized(&self, file: FileId, offset: u64, length: u32) -> Result<Blob<Bytes>, ReadError> {
        self.blob_of(file, offset, usize::try_from(length).unwrap_or(FIRST_READ).saturating_add(FRAME))
    }

    fn blob_of(&self, file: FileId, offset: u64, first: usize) -> Result<Blob<Bytes>, ReadError> {
        let io = |source| ReadError::Io { file, source };
        let damaged = ReadError::Damaged { file, offset };
        let handle = self.handle(file)?;
        let mut bytes = vec![0; first];
        let read = handle.read_at(offset, &mut bytes).map_err(io)?;
        bytes.truncate(read);
        let seed = Seed::new(self.writer, file);
        let Some(head) = Head::read(&bytes, seed, offset) else { return Err(damaged) };
        let Ok(size) = usize::try_from(head.size()) else { return Err(damaged) };
        if size > read {
            let behind = offset.saturating_add(head.size());
            if read < first || handle.len().map_err(io)? < behind {
                return Err(damaged);
            }
            bytes.resize(size, 0);
            let rest = bytes.get_mut(read..).unwrap_or_default();
            handle.read_at(offset + read as u64, rest).map_err(io)?;
        }
        bytes.truncate(size);
        if !head.matches(&bytes, seed, offset) {
            return Err(damaged);
        }
        let envelope = match head.kind {
            Kind::Record => offset.saturating_sub(u64::from(head.envelope)),
            Kind::Envelope | Kind::Seal => offset,
        };
        let payload = Bytes::from(bytes).slice(FRAME..);
        Ok(Blob { offset, kind: head.kind, time: head.time, sequence: head.sequence, envelope, payload })
    }

    /// The seal of a file, from its last bytes; `None` when they are none.
    pub(super) fn seal(&self, file: FileId) -> Result<Option<Seal>, ReadError> {
        let io = |source| ReadError::Io { file, source };
        let handle = self.disk.open(&self.path(file)).map_err(io)?;
        let mut header = [0; HEADER];
        let read = handle.read_at(0, &mut header).map_err(io)?;
        check(header.get(..read).unwrap_or_default(), file, self.writer)?;
        let Some(offset) = handle.len().map_err(io)?.checked_sub(SEAL as u64) else { return Ok(None) };
        let mut bytes = [0; SEAL];
        handle.read_at(offset, &mut bytes).map_err(io)?;
        let seed = Seed::new(self.writer, file);
        let head = Head::read(&bytes, seed, offset)
            .filter(|head| head.kind == Kind::Seal && head.matches(&bytes, seed, offset));
        let payload = bytes.get(FRAME..).unwrap_or_default();
        Ok(head.and_then(|head| Seal::read(payload, head.time, head.sequence)))
    }

    /// Begins the kept file of the fold of a segment, over what an earlier try may have left.
    ///
    /// # Errors
    /// When it cannot be made. Nothing is durable yet.
    pub fn keep(&self, number: u64, time: LogicalTime) -> io::Result<Kept> {
        self.forget(FileId::Kept(number));
        Kept::new(self.clone(), number, time)
    }

    /// Deletes a file; one that is not there is no error. Not durable by itself: after a power cut it may be back.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, file: FileId) -> io::Result<()> {
        self.forget(file);
        match self.disk.remove_file(&self.path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => {
                self.room.remove(file);
                Ok(())
            }
        }
    }

    /// Takes a file out of the log, which nobody reads from then on: nobody knows which of its records have landed. It
    /// stays where it is, under its name with `.aside` behind it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_aside(&self, file: FileId) -> io::Result<()> {
        self.forget(file);
        let path = self.path(file);
        self.disk.rename(&path, &self.dir.join(format!("{file}.aside")))?;
        self.disk.sync_dir(&self.dir)?;
        self.room.remove(file);
        Ok(())
    }

    /// Copies damaged bytes away before their file is deleted. Does nothing when they are there already, or when the
    /// quarantine is full.
    ///
    /// # Errors
    /// When the disk fails; a full disk is no failure here, for the bytes are damage.
    pub fn quarantine(&self, whole: &Whole, gap: Gap) -> io::Result<()> {
        match self.copy_away(whole, gap) {
            Err(error) if disk::is_full(&error) => Ok(()),
            result => result,
        }
    }

    fn copy_away(&self, whole: &Whole, gap: Gap) -> io::Result<()> {
        let range = usize::try_from(gap.offset).ok().zip(usize::try_from(gap.offset.saturating_add(gap.len)).ok());
        let bytes = range.and_then(|(start, end)| whole.bytes.get(start..end)).unwrap_or_default();
        disk::create_dir_all(self.disk(), &self.quarantine)?;
        let name = format!("{}.{}", whole.file, gap.offset);
        let there = self.disk.list(&self.quarantine)?;
        let used: u64 = there.iter().map(|entry| entry.len).sum();
        let is_there = there.iter().any(|entry| entry.name == name && entry.len == gap.len);
        if is_there || bytes.is_empty() || used.saturating_add(gap.len) > QUARANTINE {
            return Ok(());
        }
        disk::write(self.disk(), &self.quarantine.join(name), bytes)?;
        self.disk.sync_dir(&self.quarantine)
    }

    fn handle(&self, file: FileId) -> Result<Arc<dyn File>, ReadError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, handle)) = open.iter().find(|(id, _)| *id == file) {
            return Ok(Arc::clone(handle));
        }
        let handle = self.disk.open(&self.path(file)).map_err(|source| ReadError::Io { file, source })?;
        let handle: Arc<dyn File> = Arc::from(handle);
        if open.len() >= OPEN_FILES {
            open.pop_front();
        }
        open.push_back((file, Arc::clone(&handle)));
        Ok(handle)
    }

    fn forget(&self, file: FileId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != file);
    }
}

/// A whole file in memory.
#[derive(Debug)]
pub struct Whole {
    file: FileId,
    writer: u64,
    bytes: Vec<u8>,
}

impl Whole {
    /// Which file it is.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Goes through it.
    pub fn scan(&self) -> Scan<'_> {
        Scan::new(&self.bytes, self.writer, self.file)
    }
}

/// Refuses files that were not written here by this version; a damaged header passes.
fn check(bytes: &[u8], file: FileId, writer: u64) -> Result<(), ReadError> {
    match Header::read(bytes) {
        HeaderRead::OtherVersion(found) => Err(ReadError::Version { file, found }),
        HeaderRead::Valid(header) if header.writer != writer || header.file != file => Err(ReadError::Foreign { file }),
        HeaderRead::Valid(_) | HeaderRead::Damaged => Ok(()),
    }
}
