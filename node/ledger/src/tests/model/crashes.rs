//! Histories that end in a merge and a compaction, with the power going at every single write.

use super::*;

impl Run {
    /// The same ledger in another process, on a disk of its own.
    fn copy(&self) -> Self {
        let mut copy = Self {
            disk: self.disk.after_power_cut(1),
            ledger: None,
            oracle: self.oracle.clone(),
            answers: self.answers.clone(),
            before: self.before.clone(),
            heads: self.heads.clone(),
            leaves: self.leaves.clone(),
        };
        copy.restart();
        copy
    }

    /// Every write fails once, in every way; afterwards it is done without a failure. Gives how
    /// many writes there were.
    fn crash_everywhere(&mut self, upkeep: &Upkeep) -> u64 {
        for call in 1.. {
            let mut fatal = false;
            for (fault, survivors) in [
                (Fault::Error, 1),
                (Fault::PowerCut, 0),
                (Fault::PowerCut, 1),
                (Fault::PowerCut, call + 2),
            ] {
                let crash = Crash {
                    call,
                    fault,
                    survivors,
                };
                let mut copy = self.copy();
                fatal |= copy.crash(upkeep, crash);
                copy.check();
                // What was left half done is done by whoever comes next.
                copy.upkeep(upkeep);
                copy.check();
                copy.check_all_proofs();
            }
            if !fatal {
                self.upkeep(upkeep);
                self.check();
                return call - 1;
            }
        }
        unreachable!()
    }

    fn upkeep(&mut self, upkeep: &Upkeep) {
        match upkeep {
            Upkeep::Compact => self.compact(),
            Upkeep::Merge(merge) => self.merge(merge),
        }
    }
}

/// Everybody under the id that they have in the other population, with as much as both promise.
fn whole_merge(keep: usize) -> Merge {
    Merge {
        keep,
        gone: 1 - keep,
        pairs: (0..24).map(|id| (id, id)).collect(),
        limit: 2 * WIDE,
        keys: 60,
        strict: false,
    }
}

fn few() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if asked.cases == 256 {
        8
    } else {
        asked.cases / 400
    };
    ProptestConfig {
        cases: cases.max(1),
        failure_persistence: None,
        ..asked
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn power_that_goes_at_any_write_of_a_merge_or_a_compaction_changes_no_exposure(
        steps in steps(),
        keep in 0usize..2,
    ) {
        let mut run = Run::begin();
        for step in steps {
            run.step(step);
        }
        run.before = None;
        run.check();
        for upkeep in [Upkeep::Compact, Upkeep::Merge(whole_merge(keep)), Upkeep::Compact] {
            run.crash_everywhere(&upkeep);
        }
    }
}

#[test]
fn a_merge_and_a_compaction_of_a_short_history_have_writes_to_fail_at() {
    let mut run = Run::begin();
    run.check();
    assert!(run.crash_everywhere(&Upkeep::Compact) > 10);
    assert!(run.crash_everywhere(&Upkeep::Merge(whole_merge(0))) > 1);
}
