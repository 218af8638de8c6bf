//! One table's file: a head, the chunks of its blocks, a directory, and where that begins.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use obscura_model::ids::Digest;
use obscura_model::schema::{Domain, Table};

use super::TableError;
use super::chunk::{Kind, read_column, read_runs, write_column, write_runs};
use super::directory::{Block, Chunk, Directory};
use super::words::Words;
use crate::batch::Batch;
use crate::fold::FoldError;
use crate::ingest::SortedPart;
use crate::source::{Desk, Span};

/// A block is closed at the first subject boundary from here on, or earlier if texts are long: so
/// many rows of a few columns stay in a processor's second cache from decoding to adding.
const BLOCK_ROWS: usize = 16_384;
/// The most bytes of texts in a block, by their declared length, unless one subject has more.
const BLOCK_TEXT_BYTES: usize = 1 << 28;

/// What the name of a file ends with while it is written.
pub(crate) const WRITING: &str = "writing";

const HEAD: [u8; 12] = *b"obscuratable";
/// 2 was Parquet.
const FORMAT: u32 = 3;
/// How a file of the format before began.
const FORMER: [u8; 4] = *b"PAR1";
/// Head and format.
const CHUNKS_FROM: u64 = 16;
/// The directory's length and digest.
const TAIL_BYTES: u64 = 40;

/// A temporary name, whose file is removed unless it gets its own.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is when the node starts.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file under its temporary name, synced.
pub(super) struct Written {
    temporary: Temporary,
    pub(super) digest: Digest,
}

impl Written {
    /// Gives the file its name.
    pub(super) fn rename(self, path: &Path) -> Result<(), TableError> {
        std::fs::rename(&self.temporary.0, path).map_err(|source| TableError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), TableError> {
    let failed = |source| TableError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

/// Which table of which description a file has.
#[derive(Clone, Copy)]
pub(super) struct Which<'a> {
    pub(super) description: Digest,
    pub(super) number: usize,
    pub(super) table: &'a Table,
}

impl Which<'_> {
    fn kinds(&self) -> Vec<Kind> {
        let columns = self.table.columns.iter();
        columns.map(|c| Kind::of(&c.domain)).collect()
    }

    /// A description has few tables.
    fn number(&self) -> u32 {
        self.number as u32
    }
}

/// Writes a table under a temporary name beside `path`.
pub(super) fn write(
    part: &SortedPart,
    which: Which<'_>,
    path: &Path,
) -> Result<Written, TableError> {
    let failed = |source| TableError::Write {
        path: path.to_owned(),
        source,
    };
    let temporary = Temporary(path.with_extension(WRITING));
    let file = File::create(&temporary.0).map_err(failed)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let digest = encode(part, which, path, &mut file)?;
    let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(Written { temporary, digest })
}

/// How many rows a block has before it is closed, from declared lengths alone.
fn block_rows(table: &Table) -> usize {
    let bytes = table.columns.iter().map(|c| match &c.domain {
        // At most 4 bytes each.
        Domain::Text { most_characters } => 4 * *most_characters as usize,
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 0,
    });
    let longest = bytes.max().unwrap_or(0).max(1);
    BLOCK_ROWS.min(BLOCK_TEXT_BYTES / longest).max(1)
}

fn encode(
    part: &SortedPart,
    which: Which<'_>,
    path: &Path,
    file: &mut impl Write,
) -> Result<Digest, TableError> {
    let failed = |source| TableError::Write {
        path: path.to_owned(),
        source,
    };
    file.write_all(&HEAD).map_err(failed)?;
    file.write_all(&FORMAT.to_le_bytes()).map_err(failed)?;
    let kinds = which.kinds();
    let mut at = CHUNKS_FROM;
    let mut blocks = Vec::new();
    part.blocks(block_rows(which.table), |block| {
        blocks.extend(write_block(&block, &kinds, &mut at, file).map_err(failed)?);
        Ok::<(), TableError>(())
    })?;
    let directory = Directory {
        description: which.description,
        table: which.number(),
        kinds: kinds.iter().map(|k| k.byte()).collect(),
        blocks,
    };
    let bytes = directory.encode();
    let digest = digest_of(&bytes);
    file.write_all(&bytes).map_err(failed)?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())
        .map_err(failed)?;
    file.write_all(digest.as_bytes()).map_err(failed)?;
    Ok(digest)
}

/// Writes the chunks of a block, which begin at `at`.
fn write_block(
    rows: &crate::ingest::Block,
    kinds: &[Kind],
    at: &mut u64,
    file: &mut impl Write,
) -> std::io::Result<Option<Block>> {
    let mut bytes = Vec::new();
    let mut chunks = Vec::with_capacity(1 + kinds.len());
    let mut put = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        // Texts of a block have less than 2^31 bytes, and other values eight each.
        let chunk = chunk_of(bytes, *at)?;
        *at += u64::from(chunk.length);
        chunks.push(chunk);
        file.write_all(bytes)?;
        bytes.clear();
        Ok(())
    };
    let subjects = rows.subjects.as_slice();
    write_runs(subjects, &mut bytes);
    put(&mut bytes)?;
    for (column, kind) in rows.columns.iter().zip(kinds) {
        write_column(column, 0..subjects.len(), *kind, &mut bytes);
        put(&mut bytes)?;
    }
    let (Some(first), Some(last)) = (subjects.first(), subjects.last()) else {
        return Ok(None);
    };
    Ok(Some(Block {
        span: Span {
            first: *first,
            last: *last,
        },
        subjects: subjects.chunk_by(|a, b| a == b).count() as u32,
        rows: subjects.len() as u32,
        chunks,
    }))
}

/// The digest that a version is registered with, of the directory with its format.
fn digest_of(directory: &[u8]) -> Digest {
    Digest::of_parts(&[b"obscura table", &FORMAT.to_le_bytes(), directory])
}

fn chunk_of(bytes: &[u8], start: u64) -> std::io::Result<Chunk> {
    let length = u32::try_from(bytes.len());
    Ok(Chunk {
        start,
        length: length.map_err(|_| std::io::ErrorKind::FileTooLarge)?,
        digest: *blake3::hash(bytes).as_bytes(),
    })
}

/// One stored table, opened. Its chunks are compared with the directory when they are read.
pub(super) struct Stored {
    path: PathBuf,
    /// Where the directory ends and the tail begins.
    tail_at: u64,
    kinds: Vec<Kind>,
    directory: Directory,
    digest: Digest,
}

impl Stored {
    pub(super) fn open(path: &Path, which: Which<'_>) -> Result<Self, TableError> {
        let path = path.to_owned();
        let unread = |source| TableError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        let read = |from: u64, length: u64| match usize::try_from(length) {
            Ok(length) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, from).map_err(unread)?;
                Ok(bytes)
            }
            Err(_) => Err(damaged(&path)),
        };
        let head = read(0, CHUNKS_FROM.min(length))?;
        let chunks_to = check_head(&head, length).map_err(|wrong| wrong.of(&path))?;
        let tail = read(chunks_to, TAIL_BYTES)?;
        let mut tail = Words(&tail);
        let end = tail.u64().and_then(|bytes| {
            let start = chunks_to.checked_sub(bytes)?;
            (start >= CHUNKS_FROM).then_some((start, bytes))
        });
        let (start, bytes) = end.ok_or_else(|| damaged(&path))?;
        let bytes = read(start, bytes)?;
        let digest = digest_of(&bytes);
        if tail.digest() != Some(*digest.as_bytes()) {
            return Err(damaged(&path));
        }
        let directory = Directory::decode(&bytes, CHUNKS_FROM, start);
        let directory = directory.ok_or_else(|| damaged(&path))?;
        if directory.description != which.description {
            return Err(TableError::OtherDescription { path });
        }
        let kinds = which.kinds();
        if !directory.has(&kinds) || directory.table != which.number() {
            return Err(damaged(&path));
        }
        Ok(Self {
            path,
            tail_at: chunks_to,
            kinds,
            directory,
            digest,
        })
    }

    /// A handle on the file, if it still ends as it did when it was opened: chunks say for
    /// themselves that they are the same, and this that nobody put another file in its place.
    fn reopen(&self) -> Result<File, FoldError> {
        let file = File::open(&self.path).map_err(|_| FoldError::Store)?;
        let length = file.metadata().map_err(|_| FoldError::Store)?.len();
        let mut tail = [0; TAIL_BYTES as usize];
        file.read_exact_at(&mut tail, self.tail_at)
            .map_err(|_| FoldError::Store)?;
        let same = tail.get(8..) == Some(self.digest.as_bytes().as_slice());
        if same && length == self.tail_at + TAIL_BYTES {
            Ok(file)
        } else {
            Err(FoldError::Store)
        }
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.directory.blocks.iter().map(|b| b.span).collect()
    }

    /// One block, each of its chunks compared with its digest.
    pub(super) fn load(
        &self,
        number: usize,
        block: usize,
        columns: &BTreeSet<usize>,
        desk: &mut Desk,
    ) -> Result<Batch, FoldError> {
        let Desk { files, bytes } = desk;
        let file = match files.entry(number) {
            Entry::Occupied(open) => open.into_mut(),
            // A handle of its own, and only as long as it is needed: what is erased is gone.
            Entry::Vacant(place) => place.insert(self.reopen()?),
        };
        let block = self.directory.blocks.get(block).ok_or(FoldError::Store)?;
        let rows = block.rows as usize;
        let chunk = block.chunks.first().ok_or(FoldError::Store)?;
        let stored = read(file, chunk, bytes)?;
        let runs = read_runs(stored, block.span, block.subjects, rows);
        let mut batch = Batch {
            runs: runs.ok_or(FoldError::Store)?,
            columns: vec![None; self.kinds.len()],
        };
        for column in columns {
            let chunk = block.chunks.get(column + 1).ok_or(FoldError::Store)?;
            let kind = self.kinds.get(*column).ok_or(FoldError::Store)?;
            let place = batch.columns.get_mut(*column).ok_or(FoldError::Store)?;
            let values = read_column(read(file, chunk, bytes)?, rows, *kind);
            *place = Some(values.ok_or(FoldError::Store)?);
        }
        Ok(batch)
    }
}

/// A chunk's bytes, if they are those that were written.
fn read<'b>(file: &File, chunk: &Chunk, bytes: &'b mut Vec<u8>) -> Result<&'b [u8], FoldError> {
    let length = chunk.length as usize;
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
    let bytes = bytes.get_mut(..length).ok_or(FoldError::Store)?;
    file.read_exact_at(bytes, chunk.start)
        .map_err(|_| FoldError::Store)?;
    if *blake3::hash(bytes).as_bytes() == chunk.digest {
        Ok(bytes)
    } else {
        Err(FoldError::Store)
    }
}

/// What a head says against a file.
enum WrongHead {
    Damaged,
    OtherFormat,
}

impl WrongHead {
    fn of(self, path: &Path) -> TableError {
        match self {
            WrongHead::Damaged => damaged(path),
            WrongHead::OtherFormat => TableError::OtherFormat {
                path: path.to_owned(),
            },
        }
    }
}

/// Where the tail of a file of this length begins, if its head is ours.
fn check_head(head: &[u8], length: u64) -> Result<u64, WrongHead> {
    if head.starts_with(&FORMER) {
        return Err(WrongHead::OtherFormat);
    }
    let mut words = Words(head);
    if words.bytes(HEAD.len()) != Some(&HEAD) {
        return Err(WrongHead::Damaged);
    }
    match words.u32() {
        Some(FORMAT) => {}
        Some(_) => return Err(WrongHead::OtherFormat),
        None => return Err(WrongHead::Damaged),
    }
    let tail = length.checked_sub(TAIL_BYTES);
    tail.filter(|tail| *tail >= CHUNKS_FROM)
        .ok_or(WrongHead::Damaged)
}

fn damaged(path: &Path) -> TableError {
    TableError::Damaged {
        path: path.to_owned(),
    }
}
