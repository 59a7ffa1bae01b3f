//! The key of the hashes on disk: the one file of this room that is not pure.
//!
//! 32 random bytes in `redaction.key` in the data directory, readable by its owner only.

use super::key::Key;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The file in a data directory.
pub const NAME: &str = "redaction.key";
const LEN: usize = 32;

/// Reads the key of a data directory, or makes it where there is none. It is on stable storage on return.
///
/// # Errors
/// When the file cannot be read or made, or is no key.
pub fn load_or_create(directory: &Path) -> io::Result<Key> {
    let path = directory.join(NAME);
    match File::open(&path) {
        Ok(file) => read(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, &path),
        Err(error) => Err(error),
    }
}

fn read(file: File) -> io::Result<Key> {
    let mut secret = Vec::with_capacity(LEN + 1);
    file.take(LEN as u64 + 1).read_to_end(&mut secret)?;
    if secret.len() != LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{NAME} is not {LEN} bytes long")));
    }
    Ok(Key::new(&secret))
}

/// The directory is locked by its process, so nobody else makes a key at the same time. A crash half-way leaves the
/// file under its temporary name, which the next start overwrites.
fn create(directory: &Path, path: &Path) -> io::Result<Key> {
    let mut secret = [0; LEN];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let temporary = directory.join(format!("{NAME}.tmp"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()?;
    Ok(Key::new(&secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = load_or_create(directory.path()).unwrap();
        let again = load_or_create(directory.path()).unwrap();
        assert_eq!(first.identity("jane"), again.identity("jane"));
        let mode = std::fs::metadata(directory.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(load_or_create(other.path()).unwrap().identity("jane"), first.identity("jane"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME), [7; 31]).unwrap();
        assert_eq!(load_or_create(directory.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
