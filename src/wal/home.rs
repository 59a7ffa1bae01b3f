//! The data directory: one process has it, and it knows who writes in it.
//!
//! The file `writer` is text, made once and never changed; a new directory is a new writer:
//!
//! ```text
//! chatlake writer, format 2
//! name gateway-3
//! id 5b8efff798038103
//! check 1c291ca3
//! ```
//!
//! The last line is the crc32 of those before it, in hex. It stands twice: `writer.copy` is the same again. Should both
//! be lost or damaged, the id is taken from the segments that are there.

use super::disk;
use super::disk::Disk;
use super::disk::Lock;
use super::files::FileId;
use super::segment::HEADER;
use super::segment::Header;
use super::segment::HeaderRead;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The version of the directory's layout that this program reads and writes.
const FORMAT: u32 = 2;
/// Who writes here, and the same again.
const FILE: &str = "writer";
const COPY: &str = "writer.copy";
/// Characters of a name that are kept.
const NAME: usize = 64;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("data directory {} is in use by another process: stop that one, or set another `data.dir`", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// Another version of the program made it.
    #[error(
        "{} has format {found}, this program reads format {FORMAT}: drain it with the program that wrote it, or set \
         another `data.dir`",
        path.display()
    )]
    Version {
        /// What has that format.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file of another directory was put here.
    #[error("{} was not written in this data directory: move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The disk says no.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(doing: String) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Who writes in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name that was configured when the directory was made, as far as its characters are fit for a key.
    pub name: String,
    /// Random.
    pub id: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.name, self.id)
    }
}

/// A data directory that this process has. Others can have it once this is dropped.
#[derive(Debug)]
pub struct Home {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    writer: Identity,
    _lock: Lock,
}

impl Home {
    /// Locks a data directory, making it if it is missing, and reads who writes in it. `name` and `random` become
    /// the writer of a directory that has none.
    ///
    /// # Errors
    /// [`OpenError::Locked`], [`OpenError::Version`], or what the disk says. Nothing has been changed but that the
    /// directory may be there now.
    pub fn claim(disk: Arc<dyn Disk>, dir: &Path, name: &str, random: u64) -> Result<Self, OpenError> {
        let doing = || format!("use {} (data.dir): name a folder that this user can write", dir.display());
        disk::create_dir_all(disk.as_ref(), dir).map_err(OpenError::io(doing()))?;
        let lock = disk.lock(&dir.join("lock")).map_err(OpenError::io(doing()))?;
        let Some(lock) = lock else { return Err(OpenError::Locked { dir: dir.to_owned() }) };
        disk::create_dir_all(disk.as_ref(), &dir.join("wal")).map_err(OpenError::io(doing()))?;
        let writer = match read(disk.as_ref(), &dir.join(FILE))? {
            Some(writer) => writer,
            None => {
                let writer = match read(disk.as_ref(), &dir.join(COPY))? {
                    Some(writer) => writer,
                    None => {
                        let id = id_of_segments(disk.as_ref(), &dir.join("wal")).map_err(OpenError::io(doing()))?;
                        Identity { name: fit(name), id: id.unwrap_or(random) }
                    }
                };
                write(disk.as_ref(), dir, &writer).map_err(OpenError::io(doing()))?;
                writer
            }
        };
        Ok(Self { disk, dir: dir.to_owned(), writer, _lock: lock })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who writes in it.
    pub fn writer(&self) -> &Identity {
        &self.writer
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

/// What the file says; `None` when it is missing or damaged.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Identity>, OpenError> {
    let bytes = match disk::read(disk, path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(format!("read {}", path.display()))(error)),
    };
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let Some((head, check)) = text.rsplit_once("check ") else { return Ok(None) };
    if u32::from_str_radix(check.trim_end(), 16) != Ok(crc32fast::hash(head.as_bytes())) {
        return Ok(None);
    }
    let mut lines = head.lines();
    let found = lines.next().and_then(|line| line.strip_prefix("chatlake writer, format ")?.parse().ok());
    match found {
        Some(FORMAT) => {}
        Some(found) => return Err(OpenError::Version { path: path.to_owned(), found }),
        None => return Ok(None),
    }
    let name = lines.next().and_then(|line| line.strip_prefix("name "));
    let id = lines.next().and_then(|line| u64::from_str_radix(line.strip_prefix("id ")?, 16).ok());
    Ok(name.zip(id).map(|(name, id)| Identity { name: name.to_owned(), id }))
}

fn write(disk: &dyn Disk, dir: &Path, writer: &Identity) -> io::Result<()> {
    let head = format!("chatlake writer, format {FORMAT}\nname {}\nid {:016x}\n", writer.name, writer.id);
    let text = format!("{head}check {:08x}\n", crc32fast::hash(head.as_bytes()));
    for name in [COPY, FILE] {
        let new = dir.join("writer.tmp");
        disk::write(disk, &new, text.as_bytes())?;
        disk.rename(&new, &dir.join(name))?;
    }
    disk.sync_dir(dir)
}

fn id_of_segments(disk: &dyn Disk, wal: &Path) -> io::Result<Option<u64>> {
    for entry in disk.list(wal)? {
        if FileId::parse(&entry.name).is_none() {
            continue;
        }
        let mut header = [0; HEADER];
        disk.open(&wal.join(&entry.name))?.read_at(0, &mut header)?;
        if let HeaderRead::Valid(header) = Header::read(&header) {
            return Ok(Some(header.writer));
        }
    }
    Ok(None)
}

/// A name as it can stand in object keys.
fn fit(name: &str) -> String {
    let is_fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fit: String = name.chars().map(|c| if is_fit(&c) { c } else { '-' }).take(NAME).collect();
    let fit = fit.trim_matches(['.', '-']);
    if fit.is_empty() { "chatlake".into() } else { fit.into() }
}
