//! Admission: pure decisions on public values. No refusal here depends on a private row.

mod words;

pub use words::share;

use obscura_model::answer::{InvalidPrice, VectorShape};
use obscura_model::exposure::{Delta, DeltaCharge, Rho};

use crate::filter::{Filter, Mode};
use crate::price::{self, PriceError};

/// What a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything released about the population: the guarantee.
    Population,
    /// One dataset's own releases.
    Dataset,
}

impl Scope {
    const fn words(self) -> &'static str {
        match self {
            Scope::Population => "population limit",
            Scope::Dataset => "dataset limit",
        }
    }
}

/// One account that a release adds to, at the moment of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What its limit bounds.
    pub scope: Scope,
    /// How its limit is enforced.
    pub mode: Mode,
    /// Its limit in force.
    pub limit: Rho,
    /// Its public meter: the prices of all releases and of all open or failed intents, without
    /// the release at hand.
    pub meter: Rho,
    /// Room that is promised to others and not in the meter yet.
    pub reserved_by_others: Rho,
}

/// A release that asks to be admitted. All of it is public.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its vectors, with their sigmas.
    pub vectors: &'a [VectorShape],
    /// The most that one release may add: a share of the tighter limit.
    pub largest: Rho,
    /// The minimum price: a share of the tighter limit.
    pub smallest: Rho,
    /// What this scientist's releases and open or failed intents took of the scientist limit.
    pub scientist_used: Rho,
    /// The scientist limit.
    pub scientist_limit: Rho,
    /// The accounts concerned: the population, and the dataset when it has its own limit.
    pub accounts: &'a [Account],
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The public price, to be added to every meter and to what the scientist used.
    pub price: Rho,
    /// The filter of the fold, over the accounts in the order of the request.
    pub filter: Filter,
    /// Whether every meter, this release included, is within its limit: then no subject can have
    /// been left out for lack of room, and the answer says so.
    pub nobody_dropped: bool,
}

/// Why a release or a change of limits is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The vectors have no price.
    #[error("the release has no price: its noise is out of range")]
    NoPrice(#[source] InvalidPrice),
    /// The minimum price gives no sigma for these vectors.
    #[error("the release has more sums than the minimum price can be shared among")]
    NoMinimum(#[source] PriceError),
    /// No limit is set, so nothing may be released.
    #[error("no limit is set for these data; their owner has to set one first")]
    NoLimit,
    /// Above the share of the limit that one release may take.
    #[error(
        "the release would add {} times what one release may add: ask for a margin about {} times \
         as wide, or for fewer outputs", words::times(*.price, *.largest),
        words::wider(*.price, *.largest)
    )]
    OverShare {
        /// The release's price.
        price: Rho,
        /// The largest price.
        largest: Rho,
    },
    /// Below the minimum price; a plan for this limit would have been given smaller noise.
    #[error(
        "the release is below the least that such a release adds: preview it again to get the \
         noise that the least gives"
    )]
    UnderMinimum {
        /// The release's price.
        price: Rho,
        /// The least price of a release with these vectors.
        least: Rho,
    },
    /// Strict mode: the account has no room.
    #[error(
        "the release would add {} of the limit, and the {} has room for {}: {}",
        words::share(*.price, *.limit), .scope.words(), words::room(*.room, *.limit),
        words::remedy(*.price, *.room)
    )]
    OverLimit {
        /// Whose limit.
        scope: Scope,
        /// The limit in force.
        limit: Rho,
        /// The release's price.
        price: Rho,
        /// What the limit leaves after the meter and the reservations of others.
        room: Rho,
    },
    /// The scientist limit has no room.
    #[error(
        "the release would add {} of the limit, and your scientist limit has room for \
         {}: {}",
        words::share(*.price, *.limit), words::room(*.room, *.limit),
        words::remedy(*.price, *.room)
    )]
    OverScientistLimit {
        /// The scientist limit.
        limit: Rho,
        /// The release's price.
        price: Rho,
        /// What the scientist limit leaves.
        room: Rho,
    },
    /// The project's total has no room.
    #[error(
        "the release would add {} of the project's limit, which has room for {}: {}",
        words::share(*.price, *.limit), words::room(*.room, *.limit),
        words::remedy(*.price, *.room)
    )]
    OverProjectLimit {
        /// The project's limit.
        limit: Rho,
        /// The release's price.
        price: Rho,
        /// What the project's limit leaves.
        room: Rho,
    },
    /// The standing grant has no room.
    #[error(
        "the release would add {} of what the grant allows altogether, which has room for {}: {}",
        words::share(*.price, *.most), words::room(*.room, *.most),
        words::remedy(*.price, *.room)
    )]
    OverGrant {
        /// The most that the grant's releases add together.
        most: Rho,
        /// The release's price.
        price: Rho,
        /// What the grant leaves.
        room: Rho,
    },
    /// Strict mode cannot hold below what was already released.
    #[error(
        "what was released already is {} of this limit, and strict mode needs a limit of at least \
         that: choose a higher one, or the protect mode", words::share(*.meter, *.limit)
    )]
    LimitBelowMeter {
        /// The limit asked for.
        limit: Rho,
        /// The public meter.
        meter: Rho,
    },
    /// Delta is not below one in the declared upper end of the size.
    #[error("delta must be below 1 in {most_subjects}, the upper end of the declared size")]
    DeltaTooLarge {
        /// The declared upper end of the number of subjects.
        most_subjects: u64,
    },
}

/// Decides on a release: its share, the scientist limit, and in strict mode every account.
pub fn admit(request: &Request<'_>) -> Result<Decision, Refusal> {
    let price = fair_price(request.vectors, request.largest, request.smallest)?;
    within_scientist_limit(price, request.scientist_used, request.scientist_limit)?;
    if request.accounts.is_empty() {
        return Err(Refusal::NoLimit);
    }
    for account in request.accounts {
        within_account(price, account)?;
    }
    Ok(Decision {
        price,
        filter: filter(request.accounts),
        nobody_dropped: nobody_dropped(price, request.accounts),
    })
}

/// The price, if it is neither above the largest share nor below the minimum price. A release
/// with the very sigmas of the minimum price is not below it (see [`price::least_price`]).
pub fn fair_price(vectors: &[VectorShape], largest: Rho, smallest: Rho) -> Result<Rho, Refusal> {
    let price = vectors.iter().try_fold(Rho::ZERO, |sum, vector| {
        let price = vector.price().map_err(Refusal::NoPrice)?;
        sum.checked_add(price)
            .ok_or(Refusal::NoPrice(InvalidPrice::OutOfRange))
    })?;
    if price == Rho::ZERO {
        return Err(Refusal::NoPrice(InvalidPrice::OutOfRange));
    }
    if price > largest {
        return Err(Refusal::OverShare { price, largest });
    }
    if price < smallest {
        let clips: Vec<u128> = vectors.iter().map(|v| v.clip_squared).collect();
        let least = price::least_price(smallest, &clips).map_err(Refusal::NoMinimum)?;
        if price < least {
            return Err(Refusal::UnderMinimum { price, least });
        }
    }
    Ok(price)
}

/// The scientist limit: `used + price` must fit it, in both modes.
pub fn within_scientist_limit(price: Rho, used: Rho, limit: Rho) -> Result<(), Refusal> {
    if fits(&[used, price], limit) {
        Ok(())
    } else {
        Err(Refusal::OverScientistLimit {
            limit,
            price,
            room: limit.saturating_sub(used),
        })
    }
}

/// What a project's members may take together: `used + price` must fit it, in both modes. Like
/// the scientist limit a brake on public values, so that a project does not grow with its members,
/// and not a guarantee.
pub fn within_project_limit(price: Rho, used: Rho, limit: Rho) -> Result<(), Refusal> {
    if fits(&[used, price], limit) {
        Ok(())
    } else {
        let room = limit.saturating_sub(used);
        Err(Refusal::OverProjectLimit { limit, price, room })
    }
}

/// What a standing grant allows altogether: the prices of all releases begun under it and of this
/// one.
pub fn within_grant(price: Rho, used: Rho, most: Rho) -> Result<(), Refusal> {
    if fits(&[used, price], most) {
        Ok(())
    } else {
        let room = most.saturating_sub(used);
        Err(Refusal::OverGrant { most, price, room })
    }
}

/// Whether a release that takes `asked` of delta for keys that are not declared has room for it,
/// in both modes: such a release charges everybody in full, so the filter never looks at it. One
/// that takes nothing always has room.
#[must_use]
pub fn keys_fit(asked: DeltaCharge, taken: DeltaCharge, limit: DeltaCharge) -> bool {
    let sum = taken.checked_add(asked);
    asked == DeltaCharge::ZERO || sum.is_some_and(|sum| sum <= limit)
}

/// Strict mode: meter, reservations of others and price must fit the limit. Protect mode: always.
pub fn within_account(price: Rho, account: &Account) -> Result<(), Refusal> {
    let Account {
        scope,
        mode,
        limit,
        meter,
        reserved_by_others,
    } = *account;
    match mode {
        Mode::Protect => Ok(()),
        Mode::Strict if fits(&[meter, reserved_by_others, price], limit) => Ok(()),
        Mode::Strict => {
            let room = limit
                .saturating_sub(meter)
                .saturating_sub(reserved_by_others);
            Err(Refusal::OverLimit {
                scope,
                limit,
                price,
                room,
            })
        }
    }
}

/// Whether every meter, this release included, is within its limit in force. No exposure exceeds
/// its meter, so then nobody is dropped from this release.
#[must_use]
pub fn nobody_dropped(price: Rho, accounts: &[Account]) -> bool {
    accounts
        .iter()
        .all(|account| fits(&[account.meter, price], account.limit))
}

/// Entering strict mode needs a limit of at least the meter.
pub fn entering_strict(limit: Rho, meter: Rho) -> Result<(), Refusal> {
    if limit >= meter {
        Ok(())
    } else {
        Err(Refusal::LimitBelowMeter { limit, meter })
    }
}

/// Lowering a limit stops future releases and undoes nothing. In strict mode it is refused below
/// what the meter says was released; in protect mode whoever is above it is inactive from then on.
pub fn lowering(mode: Mode, limit: Rho, meter: Rho) -> Result<(), Refusal> {
    match mode {
        Mode::Strict => entering_strict(limit, meter),
        Mode::Protect => Ok(()),
    }
}

/// Delta must be below 1/N, with N the upper end of the owner's declared public size.
pub fn delta_below_one_in(most_subjects: u64, delta: Delta) -> Result<(), Refusal> {
    if delta.get() * (most_subjects as f64) < 1.0 {
        Ok(())
    } else {
        Err(Refusal::DeltaTooLarge { most_subjects })
    }
}

/// As [`delta_below_one_in`], for a limit that also allows `keys` of delta for keys that are not
/// declared: both together are what may fail, so both together must be below 1/N.
pub fn deltas_below_one_in(
    most_subjects: u64,
    delta: Delta,
    keys: DeltaCharge,
) -> Result<(), Refusal> {
    if (delta.get() + keys.get()) * (most_subjects as f64) < 1.0 {
        Ok(())
    } else {
        Err(Refusal::DeltaTooLarge { most_subjects })
    }
}

/// The filter that enforces all accounts. With one account in protect mode every account is
/// filtered: for a strict one that changes nothing, because its meter has room for everybody.
fn filter(accounts: &[Account]) -> Filter {
    let strict = accounts.iter().all(|account| account.mode == Mode::Strict);
    let mode = if strict { Mode::Strict } else { Mode::Protect };
    Filter::new(mode, accounts.iter().map(|account| account.limit).collect())
}

/// Whether the sum is at most `limit`; a sum that does not fit 64 bits is not.
fn fits(parts: &[Rho], limit: Rho) -> bool {
    let sum = parts
        .iter()
        .try_fold(Rho::ZERO, |sum, &part| sum.checked_add(part));
    sum.is_some_and(|sum| sum <= limit)
}
