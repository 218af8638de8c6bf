//! Claims about disks that are full, broken or cut off, under load: what was acknowledged stays,
//! the first error stops the ledger, and nothing is tried again.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use obscura_model::exposure::Rho;
use obscura_privacy::Mode;

use super::disk::Disk;
use super::world::*;
use crate::journal::storage::{Storage, StoredFile};
use crate::ledger::Site;
use crate::{Admission, Committed, Error, Ledger, RequestKey};

/// A request of its own for each number: of a number's first byte only half enters an id.
fn spread(n: u16) -> u16 {
    (n & 15) | (n >> 4) << 8
}

/// Releases under load: more than two hundred writes.
const REQUESTS: u16 = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No room for this write, of which half fits, nor for any later one.
    Full,
    Write,
    WritesForGood,
    Sync,
    SyncsForGood,
}

/// A disk that fails at its n-th write or sync, and counts what is asked of it afterwards.
#[derive(Clone)]
struct Faulty {
    disk: Disk,
    kind: Kind,
    at: u64,
    writes: Arc<AtomicU64>,
    syncs: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
    later: Arc<AtomicU64>,
}

impl Faulty {
    fn new(disk: &Disk, kind: Kind, at: u64) -> Self {
        Self {
            disk: disk.clone(),
            kind,
            at,
            writes: Arc::default(),
            syncs: Arc::default(),
            failed: Arc::default(),
            later: Arc::default(),
        }
    }

    fn site(&self) -> Site {
        Site {
            storage: Arc::new(self.clone()),
            ..site(&self.disk)
        }
    }

    /// Counts a call; an error if it is the one that fails.
    fn call(&self, sync: bool) -> io::Result<()> {
        if self.failed.load(SeqCst) {
            self.later.fetch_add(1, SeqCst);
        }
        let counter = if sync { &self.syncs } else { &self.writes };
        let number = counter.fetch_add(1, SeqCst) + 1;
        let fails = match self.kind {
            Kind::Full | Kind::WritesForGood => !sync && number >= self.at,
            Kind::Write => !sync && number == self.at,
            Kind::Sync => sync && number == self.at,
            Kind::SyncsForGood => sync && number >= self.at,
        };
        if !fails {
            return Ok(());
        }
        self.failed.store(true, SeqCst);
        let full = self.kind == Kind::Full;
        let kind = if full {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::Other
        };
        Err(io::Error::new(kind, "injected"))
    }
}

impl Storage for Faulty {
    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.disk.lock()
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn StoredFile>> {
        self.call(false)?;
        let file = self.disk.create(name, length)?;
        Ok(Arc::new(FaultyFile {
            file,
            faulty: self.clone(),
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = self.disk.open(name)?;
        Ok(Arc::new(FaultyFile {
            file,
            faulty: self.clone(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.call(true)?;
        self.disk.sync_folder()
    }
}

struct FaultyFile {
    file: Arc<dyn StoredFile>,
    faulty: Faulty,
}

impl StoredFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.file.read(offset, length)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.faulty.call(false) {
            if self.faulty.kind == Kind::Full {
                self.file.write(offset, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        self.file.write(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faulty.call(true)?;
        self.file.sync()
    }
}

type Received = BTreeMap<RequestKey, Committed>;

/// Does whatever is not done yet; a second answer to a request must be the first.
fn load(ledger: &Ledger, received: &mut Received, seed: u64) -> Result<(), Error> {
    furnish(ledger)?;
    let population = ledger.population(&people_of(), NOW);
    if population.is_none_or(|p| p.account.limit.is_none()) {
        wide_limits(ledger, Mode::Protect)?;
    }
    ledger.set_scientist_limit(None, Rho::from_nano(10_000_000_000), vec![], NOW)?;
    approve(ledger, new_study(1, ANN, u32::from(REQUESTS)))?;
    for open in ledger.reruns() {
        let permit = ledger.rerun(open.index, shape(), NOW)?;
        let noised = fold(ledger, permit, seed)?;
        commit(ledger, noised)?;
    }
    for n in 0..REQUESTS {
        match run(ledger, request(1, ANN, spread(n)), seed + u64::from(n))? {
            Admission::Known(answer) => {
                let before = received.insert(key(ANN, spread(n)), answer.clone());
                assert!(before.is_none_or(|b| b == answer), "two answers for one id");
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

fn begin(site: impl Fn() -> Site) -> Result<Ledger, Error> {
    Ledger::open_at(site(), NODE, entropy(2), NOW)
        .or_else(|_| Ledger::create_at(site(), NODE, entropy(1), NOW))
}

/// Everything that was answered is there, and the rest is made, each priced once.
fn comes_right(disk: &Disk, mut received: Received, what: &str) {
    let sound = || site(disk);
    let ledger = begin(sound).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (key, answer) in &received {
        let kept = ledger.release(key).unwrap();
        assert_eq!(kept.as_ref(), Some(answer), "{what}");
    }
    load(&ledger, &mut received, 500).unwrap_or_else(|error| panic!("{what}: {error}"));
    let price = u64::from(REQUESTS) * PRICE.nano();
    assert_eq!(meter(&ledger).nano(), price, "{what}");
    assert_eq!(ledger.person(&ANN).unwrap().taken.nano(), price, "{what}");
    let exposures = ledger.peek_for_tests();
    assert!(
        exposures.iter().all(|exposure| *exposure <= price),
        "{what}"
    );
    drop(ledger);
    // What was served after the fault is durable, too.
    let disk = disk.after_power_cut(0);
    let ledger = begin(|| site(&disk)).unwrap();
    for (key, answer) in &received {
        assert_eq!(
            ledger.release(key).unwrap().as_ref(),
            Some(answer),
            "{what}"
        );
    }
    assert_eq!(ledger.peek_for_tests(), exposures, "{what}");
}

/// Loads a ledger on a disk with one fault; says whether it came.
fn with_fault(kind: Kind, at: u64) -> bool {
    let (disk, mut received, what) = (Disk::default(), Received::new(), format!("{kind:?} {at}"));
    let faulty = Faulty::new(&disk, kind, at);
    let begun = Ledger::create_at(faulty.site(), NODE, entropy(1), NOW);
    if let Ok(ledger) = begun {
        let ended = load(&ledger, &mut received, 100);
        assert_eq!(ended.is_err(), faulty.failed.load(SeqCst), "{what}");
        if let Err(error) = ended {
            // Once, and never again: no call is served, nothing is asked of the disk.
            assert!(error.is_fatal(), "{what}: {error}");
            let later = faulty.later.load(SeqCst);
            assert_eq!(later, 0, "{what}: {later} calls after the first error");
            assert!(ledger.health().is_err(), "{what}");
            let refused = run(&ledger, request(1, ANN, 0), 900);
            assert!(refused.is_err_and(|error| error.is_fatal()), "{what}");
            assert_eq!(faulty.later.load(SeqCst), 0, "{what}: it was tried again");
        }
    }
    let came = faulty.failed.load(SeqCst);
    if came && matches!(kind, Kind::Full | Kind::WritesForGood | Kind::SyncsForGood) {
        // While the fault lasts a start fails, and changes nothing that counts.
        let again = Ledger::open_at(faulty.site(), NODE, entropy(2), NOW);
        assert!(
            again.is_err(),
            "{what}: served on a disk that does not write"
        );
    }
    comes_right(&disk, received, &what);
    came
}

#[test]
fn h04_a_full_disk_at_the_nth_write_loses_nothing_and_goes_on_with_space() {
    for at in 1..=200 {
        assert!(with_fault(Kind::Full, at), "there is no write {at}");
    }
}

#[test]
fn h05_a_failed_write_or_sync_stops_at_once_and_is_never_tried_again() {
    for kind in [
        Kind::Write,
        Kind::WritesForGood,
        Kind::Sync,
        Kind::SyncsForGood,
    ] {
        for at in (1..=20).chain((21..120).step_by(9)) {
            let came = with_fault(kind, at);
            assert!(came || at > 60, "{kind:?}: there is no call {at}");
        }
    }
}

/// The power goes while the ledger is at work, right after an acknowledgement.
#[test]
fn h03_a_power_cut_after_any_acknowledgement_keeps_it() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, u32::from(REQUESTS));
    let mut received = Received::new();
    for n in 0..REQUESTS {
        received.insert(
            key(ANN, spread(n)),
            answer(&ledger, request(1, ANN, spread(n)), u64::from(n)),
        );
        let exposures = ledger.peek_for_tests();
        for seed in 0..4 {
            let after = disk.after_power_cut(seed);
            let ledger = open(&after).unwrap_or_else(|error| panic!("{n}: {error}"));
            for (key, answer) in &received {
                assert_eq!(ledger.release(key).unwrap().as_ref(), Some(answer), "{n}");
            }
            assert_eq!(
                ledger.peek_for_tests(),
                exposures,
                "{n}: every charge is there"
            );
        }
    }
}
