//! A disk in memory that fails on command and forgets what was not synced.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::storage::{Storage, StoredFile};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call fails, once.
    Error,
    /// The power goes: this call has half an effect, every later one fails.
    PowerCut,
    /// The call panics, once.
    Panic,
}

#[derive(Default, Clone)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default)]
struct Platter {
    files: Vec<Bytes>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    calls: u64,
    syncs: u64,
    fault: Option<(u64, Fault)>,
    off: bool,
}

#[derive(Clone, Default)]
pub(super) struct Disk {
    platter: Arc<Mutex<Platter>>,
    held: Arc<AtomicBool>,
}

struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Platter {
    /// Counts a call that changes something; says whether it is the one that loses power.
    fn call(&mut self) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("no power"));
        }
        self.calls += 1;
        match self.fault {
            Some((at, Fault::Error)) if at == self.calls => Err(io::Error::other("injected")),
            Some((at, Fault::PowerCut)) if at == self.calls => {
                self.off = true;
                Ok(true)
            }
            Some((at, Fault::Panic)) if at == self.calls => panic!("injected"),
            _ => Ok(false),
        }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.seen
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn cut(power: bool) -> io::Result<()> {
    if power {
        Err(io::Error::other("the power went"))
    } else {
        Ok(())
    }
}

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_fault(&self, call: u64, fault: Fault) {
        let mut platter = self.platter();
        let at = platter.calls + call;
        platter.fault = Some((at, fault));
    }

    /// Successful syncs of files so far.
    pub(super) fn syncs(&self) -> u64 {
        self.platter().syncs
    }

    /// What a process finds after the power came back: everything synced, and of the rest, in
    /// blocks, any part that `seed` chooses. Seed 0 keeps nothing, seed 1 everything (as after a
    /// killed process).
    pub(super) fn after_power_cut(&self, seed: u64) -> Disk {
        let platter = self.platter();
        let mut luck = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut keep = || {
            luck ^= luck << 13;
            luck ^= luck >> 7;
            luck ^= luck << 17;
            match seed {
                0 => false,
                1 => true,
                _ => luck & 2 == 0,
            }
        };
        let names = if keep() {
            platter.seen.clone()
        } else {
            platter.durable.clone()
        };
        let files = platter.files.iter().map(|file| {
            let mut bytes = file.durable.clone();
            let changed = file.seen != file.durable;
            if changed && bytes.len() != file.seen.len() && keep() {
                bytes.resize(file.seen.len(), 0);
            }
            for (to, from) in bytes.chunks_mut(64).zip(file.seen.chunks(64)) {
                if to.len() == from.len() && keep() {
                    to.copy_from_slice(from);
                }
            }
            Bytes {
                seen: bytes.clone(),
                durable: bytes,
            }
        });
        let files = files.collect();
        let platter = Platter {
            files,
            seen: names.clone(),
            durable: names,
            ..Platter::default()
        };
        Disk {
            platter: Arc::new(Mutex::new(platter)),
            held: Arc::default(),
        }
    }

    /// A copy in which one file's bytes are changed.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Disk {
        let copy = self.after_power_cut(1);
        {
            let mut platter = copy.platter();
            let file = platter.file(name).unwrap();
            change(&mut platter.files[file].seen);
        }
        copy
    }

    pub(super) fn without(&self, name: &str) -> Disk {
        let copy = self.after_power_cut(1);
        copy.platter().seen.remove(name);
        copy
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let platter = self.platter();
        platter.files[platter.file(name).unwrap()].seen.clone()
    }
}

impl Storage for Disk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.platter().seen.keys().cloned().collect())
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        if self.held.swap(true, Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held(Arc::clone(&self.held))))
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn StoredFile>> {
        let mut platter = self.platter();
        let power = platter.call()?;
        let seen = vec![0; length as usize];
        platter.files.push(Bytes {
            seen,
            durable: Vec::new(),
        });
        let file = platter.files.len() - 1;
        platter.seen.insert(name.to_owned(), file);
        cut(power)?;
        Ok(Arc::new(Open {
            disk: self.clone(),
            file,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = self.platter().file(name)?;
        Ok(Arc::new(Open {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.platter();
        let power = platter.call()?;
        let file = platter.file(from)?;
        platter.seen.remove(from);
        platter.seen.insert(to.to_owned(), file);
        cut(power)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut platter = self.platter();
        let power = platter.call()?;
        platter.seen.remove(name);
        cut(power)
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut platter = self.platter();
        cut(platter.call()?)?;
        platter.durable = platter.seen.clone();
        Ok(())
    }
}

struct Open {
    disk: Disk,
    file: usize,
}

impl StoredFile for Open {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.platter().files[self.file].seen.len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let platter = self.disk.platter();
        if platter.off {
            return Err(io::Error::other("no power"));
        }
        let bytes = platter.files[self.file]
            .seen
            .get(offset as usize..offset as usize + length);
        bytes
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.platter();
        let power = platter.call()?;
        let file = &mut platter.files[self.file].seen;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        let done = if power { bytes.len() / 2 } else { bytes.len() };
        file[start..start + done].copy_from_slice(&bytes[..done]);
        cut(power)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.disk.platter();
        cut(platter.call()?)?;
        platter.syncs += 1;
        let file = &mut platter.files[self.file];
        file.durable = file.seen.clone();
        Ok(())
    }
}
