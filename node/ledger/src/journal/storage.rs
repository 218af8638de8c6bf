//! Where the journal's bytes go: the one seam between the ledger and a disk.
//!
//! The contract, which the journal relies on and nothing more:
//! * what was written before a successful [`StoredFile::sync`] survives a power cut;
//! * what was not synced may survive in any part, in any order;
//! * a name made, replaced or removed is durable after a successful [`Storage::sync_folder`].

use std::any::Any;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

/// A flat folder of files with names chosen by the ledger.
pub(crate) trait Storage: Send + Sync {
    /// The names of all files, in order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Takes the folder for this process, until the value is dropped. `WouldBlock` if another
    /// holder exists.
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// Makes or replaces a file of `length` zero bytes with its blocks reserved on disk.
    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn StoredFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync_folder(&self) -> io::Result<()>;
}

/// One file.
pub(crate) trait StoredFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads exactly `length` bytes at `offset`.
    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Writes all of `bytes` at `offset`.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's content and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// All bytes of a file.
pub(crate) fn read_all(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    file.read(0, length)
}

/// Real files in one folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// The file whose advisory lock stands for the folder.
const LOCK: &str = "lock";

impl Folder {
    /// The folder is made if it is missing.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Folder {
    /// A folder that is only read.
    pub(crate) fn existing(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }
}

impl Storage for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.retain(|name| name != LOCK);
        names.sort();
        Ok(names)
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        let path = self.path.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn StoredFile>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.path.join(name))?;
        if length > 0 && fallocate(&file, FallocateFlags::empty(), 0, length).is_err() {
            write_zeros(&file, length)?;
        }
        Ok(Arc::new(DiskFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// For file systems without `fallocate`.
fn write_zeros(file: &File, length: u64) -> io::Result<()> {
    const BLOCK: u64 = 1 << 16;
    let zeros = vec![0u8; BLOCK as usize];
    let mut offset = 0;
    while offset < length {
        let part = (length - offset).min(BLOCK);
        file.write_all_at(&zeros[..part as usize], offset)?;
        offset += part;
    }
    Ok(())
}

#[derive(Debug)]
struct DiskFile {
    file: File,
}

impl StoredFile for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// `fdatasync`: it also writes the metadata needed to read the data back, such as the length.
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
