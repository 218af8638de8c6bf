//! What changes nobody's exposure: offers, compactions, merges (which add exposures of the same
//! person and no others), and crashes in the middle of them.

use super::*;
use crate::{Error, OfferRequest};

impl Run {
    /// A question that was answered to this person before is offered that answer, and no other.
    pub(super) fn offer(&mut self, asked: &Asked) {
        let (ask, request) = self.request(asked);
        let offer = OfferRequest {
            key: request.key,
            body_digest: request.body_digest,
            plan: request.plan,
            dataset: request.dataset,
        };
        let offered = self.ledger().offer(offer, NOW).unwrap();
        let earlier = self.oracle.offered(&ask);
        let earlier = earlier.map(|(who, n)| self.answers[&key(who, n)].clone());
        assert_eq!(offered, earlier);
        if let Some(answer) = earlier {
            let before = self.answers.insert(request.key, answer);
            assert_eq!(before, None, "a second answer");
        }
    }

    /// Refused while any release is open; otherwise nothing that anybody sees changes.
    pub(super) fn compact(&mut self) {
        let before = self.see();
        let compacted = self.ledger().compact(NOW);
        let open = self.oracle.people.iter().any(|p| p.open.is_some());
        match compacted {
            Ok(_) => assert!(!open),
            Err(error) => assert!(open && !error.is_fatal(), "{error:?}"),
        }
        assert_eq!(self.see(), before);
        // By itself it waits where it was refused, and goes on with the next releases.
        self.ledger().tend(NOW).unwrap();
        assert_eq!(self.see(), before);
    }

    fn ask_to_merge(&self, merge: &Merge) -> Result<u64, Error> {
        let mode = if merge.strict {
            Mode::Strict
        } else {
            Mode::Protect
        };
        let limit = limit_set(merge.keep, merge.limit, mode, merge.keys);
        let (keep, gone) = (population_name(merge.keep), population_name(merge.gone));
        let pairs = merge.pairs.iter().map(|(a, b)| ([*a; 16], [*b; 16]));
        self.ledger()
            .merge_populations(&keep, &gone, pairs.collect(), limit, vec![], NOW)
    }

    pub(super) fn merge(&mut self, merge: &Merge) {
        let before = self.see();
        let done = self.ask_to_merge(merge);
        let merged = self.oracle.merge(merge);
        assert_eq!(done.is_ok(), merged.is_some(), "{merge:?} {done:?}");
        self.merged(&before, merged);
    }

    /// What was before is compared here and not with the next operation: subjects have moved.
    fn merged(&mut self, before: &Seen, merged: Option<invariants::Merged>) {
        if let Some(merged) = merged {
            invariants::a_merge_adds(before, &self.see(), &merged);
            self.before = None;
        }
    }

    /// Gives whether the failure came before the end.
    pub(super) fn crash(&mut self, upkeep: &Upkeep, crash: Crash) -> bool {
        let before = self.see();
        self.disk.set_fault(crash.call, crash.fault);
        let done = match upkeep {
            Upkeep::Compact => self.ledger().compact(NOW).map(|_| ()),
            Upkeep::Merge(merge) => self.ask_to_merge(merge).map(|_| ()),
        };
        let fatal = done.as_ref().is_err_and(Error::is_fatal);
        assert_eq!(self.ledger().health().is_err(), fatal, "{done:?}");
        let Upkeep::Merge(merge) = upkeep else {
            let open = self.oracle.people.iter().any(|p| p.open.is_some());
            assert_eq!(done.is_err(), open || fatal);
            self.reopen(crash.survivors);
            return fatal;
        };
        let mut after = self.oracle.clone();
        let merged = after.merge(merge);
        assert_eq!(done.is_ok() || fatal, merged.is_some(), "{done:?}");
        drop(self.ledger.take());
        self.disk = self.disk.after_power_cut(crash.survivors);
        self.ledger = Some(compaction::open(&self.disk).unwrap());
        let gone = self.ledger().population(&population_name(merge.gone), NOW);
        let gone = gone.is_none();
        assert!(gone || done.is_err(), "an acknowledged merge is not there");
        // What was not acknowledged may have happened or not, but not in part.
        let merged = merged.filter(|_| gone);
        if merged.is_some() {
            self.oracle = after;
        }
        self.merged(&before, merged);
        self.restarted();
        fatal
    }
}
