//! A calendar of its own: days are counted one year and one month at a time.

const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn length(year: i64, month: i64) -> i64 {
    LENGTHS[month as usize - 1] + i64::from(month == 2 && leap(year))
}

/// The days of all years before this one, from year 1 on.
fn before(year: i64) -> i64 {
    let y = year - 1;
    y * 365 + y / 4 - y / 100 + y / 400
}

const EPOCH: i64 = 719_162;

pub(super) fn number(year: i64, month: i64, day: i64) -> Option<f64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=length(year, month)).contains(&day) {
        return None;
    }
    let months: i64 = (1..month).map(|m| length(year, m)).sum();
    Some((before(year) + months + day - 1 - EPOCH) as f64)
}

/// Year, month, day and day of the year.
pub(super) fn parts(day: f64) -> (i64, i64, i64, i64) {
    let mut rest = day as i64 + EPOCH;
    let mut year = rest / 366 + 1;
    while before(year + 1) <= rest {
        year += 1;
    }
    rest -= before(year);
    let of_year = rest + 1;
    let mut month = 1;
    while rest >= length(year, month) {
        rest -= length(year, month);
        month += 1;
    }
    (year, month, rest + 1, of_year)
}

/// Monday is 1.
pub(super) fn weekday(day: f64) -> i64 {
    (day as i64 + EPOCH) % 7 + 1
}

/// The number of the ISO week, by counting whole weeks from the first Monday on or before
/// 4 January.
pub(super) fn week(day: f64) -> i64 {
    let (year, ..) = parts(day);
    let first = |year: i64| {
        let fourth = (before(year) + 3 - EPOCH) as f64;
        fourth as i64 - (weekday(fourth) - 1)
    };
    let day = day as i64;
    let begin = if day >= first(year + 1) {
        first(year + 1)
    } else if day >= first(year) {
        first(year)
    } else {
        first(year - 1)
    };
    (day - begin) / 7 + 1
}
