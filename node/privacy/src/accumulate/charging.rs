//! What one subject is charged, and whether it takes part.

use super::Known;
use crate::charge::{Coder, Divider};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::tally::FoldError;

/// Charges subjects under one permit, in ascending order.
pub(super) struct Charging {
    /// By vector.
    pub(super) dividers: Vec<Divider>,
    pub(super) door: Door,
}

/// Where it is decided who takes part.
pub(super) struct Door {
    capacity: u64,
    pub(super) filter: Filter,
    coder: Coder,
    /// Whoever takes part, and the code of its charge.
    pub(super) charges: Vec<(u32, u16)>,
    /// First and last subject seen, of each part merged so far.
    pub(super) ranges: Vec<(u32, u32)>,
    /// The exposures of the subject at hand, one for each account.
    exposures: Vec<u64>,
}

impl Charging {
    /// Nobody charged yet; and whether every vector has noise that can be charged, else nobody may
    /// be.
    pub(super) fn new(permit: &Permit) -> (Self, bool) {
        let vectors = permit.shape().vectors.iter();
        let dividers: Option<Vec<Divider>> = vectors.map(|v| Divider::new(v.sigma)).collect();
        let priced = dividers.is_some();
        let charging = Self {
            dividers: dividers.unwrap_or_default(),
            door: Door {
                capacity: permit.capacity(),
                filter: permit.filter().clone(),
                coder: Coder::new(permit.grid()),
                charges: Vec::new(),
                ranges: Vec::new(),
                exposures: vec![0; permit.filter().accounts().len()],
            },
        };
        (charging, priced)
    }

    /// The billionths that contributions of these squared norms, one for each vector, add up to.
    pub(super) fn nano(&self, norms_squared: &[u128]) -> Result<u128, FoldError> {
        let mut nano = 0u128;
        for (&norm, divider) in norms_squared.iter().zip(&self.dividers) {
            let part = divider.nano(norm).ok_or(FoldError::Charge)?;
            nano = nano.checked_add(part).ok_or(FoldError::Charge)?;
        }
        Ok(nano)
    }
}

impl Door {
    /// Whether a subject takes part whose clipped contribution adds `nano` billionths. If it does,
    /// its charge is noted: whatever happens next, nothing is added without one.
    #[inline]
    pub(super) fn admit(
        &mut self,
        subject: u32,
        nano: u128,
        known: Known<'_>,
    ) -> Result<bool, FoldError> {
        let barred = self.enter(subject, known)?;
        let (code, charge) = self.coder.code(nano).ok_or(FoldError::Charge)?;
        if code == 0 {
            return Ok(false);
        }
        if u128::from(charge.nano()) < nano {
            // The norms are clipped, so the price covers every subject.
            return Err(FoldError::Charge);
        }
        // Both are looked at, whatever the other says: the same work for everybody.
        let active = self.filter.active(&self.exposures, charge) & !barred;
        if active {
            self.charges.push((subject, code));
        }
        Ok(active)
    }

    /// Checks the subject's turn, looks its exposures up, and says whether it is barred.
    fn enter(&mut self, subject: u32, known: Known<'_>) -> Result<bool, FoldError> {
        match self.ranges.last_mut() {
            Some((_, last)) if *last < subject => *last = subject,
            Some(_) => return Err(FoldError::Order),
            None => self.ranges.push((subject, subject)),
        }
        let complete = known.accounts.len() == self.exposures.len();
        if !complete || u64::from(subject) >= self.capacity {
            return Err(FoldError::Subject);
        }
        for (exposure, account) in self.exposures.iter_mut().zip(known.accounts) {
            *exposure = *account.get(subject as usize).ok_or(FoldError::Subject)?;
        }
        let barred = known.barred.get(subject as usize);
        barred.copied().ok_or(FoldError::Subject)
    }
}
