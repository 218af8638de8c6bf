//! Sentences about exposure and limits: plain first, epsilon and rho under details only.

use obscura_client::model::answer::Shape;
use obscura_client::model::exposure::{DeltaCharge, Limit, Mode, Rho, epsilon};
use obscura_client::model::ids::UnixMillis;
use obscura_client::model::odds;
use obscura_client::model::study::ReleaseOptions;
use obscura_client::{Account, AccountLimit, OutputMargin, Preview, Share, export};

use super::supposed;
use super::tables::wrapped;

/// Of every result that leaves.
pub(crate) const PERMANENT: &str = "Once released, this exposure is permanent. Deleting the \
    result, the request, or the account does not undo it.";

/// Of results that had left before.
pub(crate) const NOTHING_ADDED: &str = "These are the same answers; nothing was added.";

/// Over everything that shows invented rows.
pub(crate) const PRACTICE: &str = "▢ Practice data: invented rows. Nothing here adds to exposure.";

/// Over everything computed without reading a row.
pub(crate) const ESTIMATE: &str = "◇ Estimate: no row was read.";

/// Over everything that left an institution.
pub(crate) const RELEASED: &str = "● Released result";

/// Beside a preview near a limit that leaves people out.
pub(crate) const COVERAGE: &str = "With this release a limit is passed: people who have reached it \
    would be left out. A study runs all the same only with require_complete = false, a sent one \
    only under a new id; with coverage = true it also tells how many people contributed.";

/// Beside a preview that compares noise with a smaller study.
pub(crate) const LIKE_A_STUDY: &str = "At best as good as a study: a simple random sample of so \
    many of these people would be as uncertain as the noise makes the answer, if half of them match \
    (for an average: have either extreme value). Otherwise a smaller sample would be.";

/// What part of `limit` this is, in per cent, rounded up.
pub(crate) fn percent(part: Rho, limit: Rho) -> u64 {
    let percent = (u128::from(part.nano()) * 100).div_ceil(u128::from(limit.nano().max(1)));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// The same for something that is added: "less than 1" or "3".
pub(crate) fn added_percent(part: Rho, limit: Rho) -> String {
    match percent(part, limit) {
        1 if u128::from(part.nano()) * 100 < u128::from(limit.nano()) => "less than 1".to_owned(),
        percent => percent.to_string(),
    }
}

/// The tightest limit of several accounts.
pub(crate) fn tightest(accounts: &[Account]) -> Option<AccountLimit> {
    accounts
        .iter()
        .filter_map(|a| a.limit)
        .min_by_key(|l| l.rho)
}

/// "22 % of its lifetime limit"; where the limit is not known there is only rho, under details.
pub(crate) fn added(price: Rho, limit: Option<Rho>, details: bool) -> String {
    match limit {
        Some(limit) if details => {
            format!(
                "{} % of its lifetime limit (rho {price})",
                added_percent(price, limit)
            )
        }
        Some(limit) => format!("{} % of its lifetime limit", added_percent(price, limit)),
        None if details => format!("rho {price}"),
        None => "a limit not known here; --details shows rho".to_owned(),
    }
}

/// The rung of the limit that an exposure has reached: shown instead of the exposure itself,
/// because questioning may stop at a moment of its choosing.
pub(crate) fn rung(limit: &AccountLimit, exposure: Rho) -> (u32, Rho) {
    let rungs = u128::from(Limit::RUNGS);
    let full = u128::from(limit.rho.nano().max(1));
    let rung = (u128::from(exposure.nano()) * rungs).div_ceil(full);
    let top = (full * rung).div_ceil(rungs);
    let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
    (
        u32::try_from(rung).unwrap_or(u32::MAX),
        Rho::from_nano(narrow(top)),
    )
}

/// One account in words: the limit, what was released, what is reserved.
pub(crate) fn account(account: &Account, details: bool) -> Vec<String> {
    let Some(limit) = &account.limit else {
        return vec![
            account.name.clone(),
            "not set yet: nothing can be released".to_owned(),
            String::new(),
            String::new(),
        ];
    };
    let guarantee = odds::presence(limit.guarantee);
    let mut promise = format!(
        "{}: at most {} → {} out of 100",
        limit.mode.as_str(),
        guarantee.without,
        guarantee.with
    );
    // The promise is about what was allowed at the most; a lower number only stops earlier.
    let lowered = limit.rho < limit.guarantee;
    if details {
        let (rho, delta) = (limit.guarantee, limit.delta);
        let epsilon = match lowered {
            true => format!("{:.3}", epsilon(rho, delta)),
            false => limit.epsilon.to_string(),
        };
        let delta = delta.get();
        promise.push_str(&format!(
            " (epsilon {epsilon} at delta {delta:e}, rho {rho})"
        ));
    }
    if lowered {
        promise.push_str(&format!("; releases stop at epsilon {}", limit.epsilon));
    }
    if lowered && details {
        promise.push_str(&format!(" (rho {})", limit.rho));
    }
    if limit.keys_guarantee != DeltaCharge::ZERO {
        promise.push_str(&format!("; {}", keys(limit, account.keys_taken)));
    }
    vec![
        account.name.clone(),
        promise,
        reached(limit, account.meter, details),
        reserved(limit, account.reserved, details),
    ]
}

/// "keys not declared: 1e-8 of 1e-7 reached, so that the whole holds at delta 1.1e-6".
fn keys(limit: &AccountLimit, taken: DeltaCharge) -> String {
    let whole = limit.delta.get() + limit.keys_guarantee.get();
    format!(
        "keys not declared: {:e} of {:e} reached, so that the whole holds at delta {whole:e}",
        taken.get(),
        limit.keys.get()
    )
}

/// "48 % of the limit (rung 4 of 8)".
fn reached(limit: &AccountLimit, meter: Rho, details: bool) -> String {
    if meter == Rho::ZERO {
        return "nothing released yet".to_owned();
    }
    let (rung, top) = rung(limit, meter);
    let mut text = if meter >= limit.rho {
        "at the limit".to_owned()
    } else {
        let percent = percent(meter, limit.rho);
        format!("{percent} % of the limit (rung {rung} of {})", Limit::RUNGS)
    };
    if details {
        let shown = epsilon(top, limit.delta.per_rung(Limit::RUNGS));
        text.push_str(&format!(
            ", rho {meter}, epsilon at this rung {}",
            up(shown)
        ));
    }
    text
}

fn reserved(limit: &AccountLimit, reserved: Rho, details: bool) -> String {
    if reserved == Rho::ZERO {
        return "nothing reserved".to_owned();
    }
    let mut text = format!("{} % reserved", percent(reserved, limit.rho));
    if details {
        text.push_str(&format!(" (rho {reserved})"));
    }
    text
}

/// The heads of [`account`]'s columns.
pub(crate) const ACCOUNT: [&str; 4] = [
    "Limit of",
    "Someone who sees every result, about one person's presence",
    "Released",
    "Reserved",
];

/// What the arrow in a table of [`account`]s means, with the first of its numbers.
pub(crate) fn legend<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> String {
    let limit = accounts.into_iter().find_map(|a| a.limit);
    limit.map_or_else(String::new, |limit| {
        let odds = odds::presence(limit.guarantee);
        let (a, b) = (odds.without, odds.with);
        let text = format!(
            "{a} → {b}: of 100 possible releases, {a} would make such an onlooker think that a \
             person's record was used when it was not, and {b} when it was. Without any release \
             it is 50 → 50."
        );
        wrapped(&text, 0) + "\n"
    })
}

/// Of an answer that was asked for before.
pub(crate) fn earlier(committed: UnixMillis) -> String {
    format!(
        "You asked this on {}; this is that answer. It added nothing. Say --again for a new one.",
        committed.date()
    )
}

/// What to look at twice before asking, and whether to ask for coverage.
pub(crate) fn preview_notes(preview: &Preview) -> Vec<String> {
    let warnings = preview.warnings.iter();
    let mut notes: Vec<_> = warnings.map(|w| format!("Look twice: {w}")).collect();
    if preview.proposes_coverage() {
        notes.push(COVERAGE.to_owned());
    }
    notes.extend(supposed::of(&preview.shape));
    notes.extend(supposed::more_keys(preview));
    notes
}

/// What is added to a question, as sentences with a space behind each.
pub(crate) fn options(options: &ReleaseOptions) -> String {
    let mut text = String::new();
    if options.require_complete {
        text.push_str("Only while nobody is left out. ");
    }
    if options.coverage {
        text.push_str("With the number of people who contributed. ");
    }
    if options.count_clipped {
        text.push_str("With the number of people who were clipped. ");
    }
    text
}

/// For an owner: what a release does that finds values nobody declared; nothing if it does not.
/// `unit` is what a data subject is called.
pub(crate) fn keys_found(shape: &Shape, unit: &str) -> Option<String> {
    let people = shape.threshold()?.ceil();
    let column = &shape.keys.iter().find(|k| k.discovered.is_some())?.column;
    Some(format!(
        "It finds values of {column} that nobody declared: values that fewer than about {people} \
         data subjects (each a {unit}) have will not be shown. Every run takes {:e} of delta for \
         that, from everybody.",
        shape.delta_keys().get()
    ))
}

/// "once" or "3 times".
pub(crate) fn times(times: u64) -> String {
    match times {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// "visits (a year) ± 0.11 (standard error 0.056) if at least 5000 rows match".
pub(crate) fn margin(margin: &OutputMargin) -> String {
    let name = super::answers::heading(&margin.output, &margin.unit);
    if !margin.margin.is_finite() {
        return format!("{name}: no margin can be said beforehand");
    }
    let mut text = format!(
        "{name} ± {} (standard error {})",
        export::margin(margin.margin),
        export::margin(margin.standard_error)
    );
    if let Some(rows) = margin.rows {
        text.push_str(&format!(" if at least {rows} rows match"));
    }
    if let Some(people) = margin.like_a_study_of {
        let plural = if people == 1 { "person" } else { "people" };
        text.push_str(&format!(
            ", at best as good as a study of {people} {plural}"
        ));
    }
    text
}

/// A scientist's share in words.
pub(crate) fn share(share: &Share, details: bool) -> String {
    let mut text = match share.limit {
        None => "no scientist limit is set".to_owned(),
        Some(limit) => format!("{} % of the scientist limit", percent(share.used, limit)),
    };
    if share.limit.is_some_and(|limit| share.used >= limit) {
        text.push_str("; nothing more can be released");
    }
    if details {
        text.push_str(&format!(" (rho {}", share.used));
        if let Some(limit) = share.limit {
            text.push_str(&format!(" of {limit}"));
        }
        text.push(')');
    }
    text
}

/// A project's share in words.
pub(crate) fn project_share(share: &Share, details: bool) -> String {
    let mut text = match share.limit {
        None => "no limit is set".to_owned(),
        Some(limit) => format!("{} % of its limit", percent(share.used, limit)),
    };
    if share.limit.is_some_and(|limit| share.used >= limit) {
        text.push_str("; nothing more can be released");
    }
    if details {
        text.push_str(&format!(" (rho {}", share.used));
        if let Some(limit) = share.limit {
            text.push_str(&format!(" of {limit}"));
        }
        text.push(')');
    }
    text
}

/// What a limit means: for presence, for value, and what it does not hide.
pub(crate) fn promise(rho: Rho, person: &str) -> String {
    format!(
        "{}\n\n{}\n\nThis does not hide what a study finds about people in general, and it bounds \
         this institution alone: the exposure of a {person} known to two institutions adds up.\n",
        odds::presence(rho).presence_sentence(person),
        odds::value(rho).value_sentence(person)
    )
}

/// What happens near a limit.
pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Protect => {
            "near the limit, whoever has reached it no longer contributes, and answers say that \
             some may be missing"
        }
        Mode::Strict => "a release that does not fit for everybody is refused",
    }
}

/// An epsilon with three digits after the point, rounded up.
pub(crate) fn up(epsilon: f64) -> f64 {
    (epsilon * 1000.0).ceil() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::model::answer::{Discovered, Key, VectorShape};
    use obscura_client::model::exposure::Delta;

    fn limit() -> AccountLimit {
        AccountLimit {
            mode: Mode::Protect,
            epsilon: 5.0,
            delta: Delta::new(1e-6).unwrap(),
            rho: Rho::from_nano(463_064_990),
            largest_release: Rho::from_nano(115_766_247),
            smallest_release: Rho::from_nano(46_307),
            guarantee: Rho::from_nano(463_064_990),
            keys: DeltaCharge::ZERO,
            keys_guarantee: DeltaCharge::ZERO,
        }
    }

    #[test]
    fn percentages_round_up_and_rungs_are_those_of_the_model() {
        assert_eq!(percent(Rho::from_nano(220_000_000), limit().rho), 48);
        assert_eq!(percent(Rho::from_nano(1), limit().rho), 1);
        let says = |nano| added_percent(Rho::from_nano(nano), Rho::from_nano(1000));
        assert_eq!([says(9), says(10), says(11)], ["less than 1", "1", "2"]);
        let model = Limit::new(5.0, limit().delta).unwrap();
        for nano in [1, 57_883_124, 220_000_000, 463_064_990] {
            let (mine, top) = rung(&limit(), Rho::from_nano(nano));
            assert_eq!(mine, model.rung(Rho::from_nano(nano)).0);
            assert!(top.nano() >= nano);
        }
    }

    #[test]
    fn a_lowered_limit_stops_earlier_and_promises_what_the_highest_did() {
        let lowered = Account {
            name: "population people".to_owned(),
            limit: Some(AccountLimit {
                epsilon: 0.5,
                rho: Rho::from_nano(6_623_000),
                ..limit()
            }),
            meter: Rho::ZERO,
            reserved: Rho::ZERO,
            keys_taken: DeltaCharge::ZERO,
        };
        let plain = account(&lowered, false)[1].clone();
        assert!(
            plain.contains("26 → 74 out of 100; releases stop at epsilon 0.5"),
            "{plain}"
        );
        let whole = account(&lowered, true)[1].clone();
        let both = "(epsilon 5.000 at delta 1e-6, rho 0.46306499); releases stop at epsilon 0.5 \
                    (rho 0.006623)";
        assert!(whole.contains(both), "{whole}");
    }

    #[test]
    fn a_meter_over_a_limit_that_was_lowered_is_at_the_limit() {
        let limit = limit();
        let over = Rho::from_nano(1_200_000_000);
        assert_eq!(reached(&limit, over, false), "at the limit");
        assert_eq!(reached(&limit, limit.rho, false), "at the limit");
        let under = reached(&limit, Rho::from_nano(463_064_989), false);
        assert_eq!(under, "100 % of the limit (rung 8 of 8)");
    }

    #[test]
    fn a_share_that_is_used_up_says_so_and_the_arrow_is_explained() {
        let share = |used| Share {
            limit: Some(Rho::from_nano(100)),
            used: Rho::from_nano(used),
        };
        let says = |used| super::share(&share(used), false);
        assert_eq!(says(99), "99 % of the scientist limit");
        assert!(says(100).ends_with("; nothing more can be released"));
        assert!(says(266).starts_with("266 % of the scientist limit;"));
        let project = project_share(&share(266), false);
        assert_eq!(project, "266 % of its limit; nothing more can be released");
        let account = |limit| Account {
            name: "population people".to_owned(),
            limit,
            meter: Rho::ZERO,
            reserved: Rho::ZERO,
            keys_taken: DeltaCharge::ZERO,
        };
        let legend = legend(&[account(None), account(Some(limit()))]);
        assert!(legend.starts_with("26 → 74: of 100 possible releases, 26"));
        assert_eq!(super::legend(&[account(None)]), "");
        assert_eq!((times(1), times(2)), ("once".into(), "2 times".into()));
    }

    #[test]
    fn epsilon_and_rho_stand_under_details_only() {
        let account = Account {
            name: "population people".to_owned(),
            limit: Some(limit()),
            meter: Rho::from_nano(220_000_000),
            reserved: Rho::from_nano(1_000),
            keys_taken: DeltaCharge::ZERO,
        };
        let plain = super::account(&account, false).join(" ");
        let detailed = super::account(&account, true).join(" ");
        assert!(
            !plain.contains("rho") && !plain.contains("epsilon"),
            "{plain}"
        );
        assert!(
            detailed.contains("rho 0.22") && detailed.contains("epsilon 5"),
            "{detailed}"
        );
        assert!(plain.contains("26 → 74 out of 100"), "{plain}");
    }

    #[test]
    fn an_owner_reads_below_how_many_people_a_found_value_is_not_shown() {
        let gate = VectorShape {
            what: "people".to_owned(),
            step_exponent: 0,
            clip_squared: 1,
            sigma: 4,
            parts: 1,
            grouped: true,
        };
        let discovered = Discovered {
            gate: 0,
            per_person: 1,
            most: 3,
            characters: 8,
            delta: DeltaCharge::from_units(10_000_000_000),
        };
        let key = Key {
            column: "reason".to_owned(),
            labels: vec![String::new(); 3],
            discovered: Some(discovered),
        };
        let mut shape = Shape {
            keys: vec![key],
            vectors: vec![gate],
            outputs: Vec::new(),
            arrange: Default::default(),
            disclosure: Default::default(),
        };
        // One person and 4 sqrt(2 ln(1e8)).
        let said = keys_found(&shape, "patient").unwrap();
        assert!(
            said.contains("fewer than about 26 data subjects (each a patient)"),
            "{said}"
        );
        assert!(said.contains("1e-8 of delta"), "{said}");
        shape.keys[0].discovered = None;
        assert_eq!(keys_found(&shape, "patient"), None);
    }
}
