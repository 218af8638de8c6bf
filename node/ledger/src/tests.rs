//! Claims about the whole crate, each on the disk that it needs: real files, or one that fails
//! and loses what was not synced.

mod admission;
mod compaction;
mod crashes;
mod damage;
mod disk;
mod failures;
mod faults;
mod forged;
mod golden;
mod journal;
mod model;
mod offers;
mod projects;
mod races;
mod sharing;
mod subjects;
mod world;
