//! Days of the Gregorian calendar as numbers: days since 1970-01-01, years 1 to 9999.

use chrono::{Datelike, NaiveDate};

/// The first day that a text or a description may name: 0001-01-01.
pub const FIRST: i32 = -719_162;
/// The last: 9999-12-31.
pub const LAST: i32 = 2_932_896;

/// The number of a day, or nothing if there is no such day in the years 1 to 9999.
#[must_use]
pub fn number(year: i32, month: u32, day: u32) -> Option<i32> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    let days = date.to_epoch_days();
    (FIRST..=LAST).contains(&days).then_some(days)
}

/// Year, month (1 to 12) and day of a number of days, or nothing outside the years 1 to 9999.
#[must_use]
pub fn parts(days: i32) -> Option<(i32, u32, u32)> {
    let date = Some(days).filter(|d| (FIRST..=LAST).contains(d));
    let date = NaiveDate::from_epoch_days(date?)?;
    Some((date.year(), date.month(), date.day()))
}

/// `YYYY-MM-DD`; the number itself outside the years 1 to 9999.
#[must_use]
pub fn label(days: i32) -> String {
    match parts(days) {
        Some((year, month, day)) => format!("{year:04}-{month:02}-{day:02}"),
        None => days.to_string(),
    }
}

/// The number of the day that is written exactly as `YYYY-MM-DD`.
#[must_use]
pub fn parse(text: &str) -> Option<i32> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    if !form {
        return None;
    }
    number(
        text.get(0..4)?.parse().ok()?,
        text.get(5..7)?.parse().ok()?,
        text.get(8..10)?.parse().ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_reads_back_as_written() {
        let mut previous = String::new();
        for days in (FIRST..=LAST)
            .step_by(97)
            .chain([FIRST, LAST, 0, -1, 11_016])
        {
            let text = label(days);
            assert_eq!(parse(&text), Some(days));
            assert_ne!(text, previous);
            previous = text;
        }
        assert_eq!(label(0), "1970-01-01");
        assert_eq!(label(11_016), "2000-02-29");
        for wrong in [
            "2001-02-29",
            "0000-01-01",
            "2001-2-03",
            "+001-01-01",
            "2001-02-030",
            "",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(label(LAST + 1), (LAST + 1).to_string());
    }
}
