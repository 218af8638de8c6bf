//! The public data set of the demo, and each institution's part of it.
//!
//! Splitting plays the IT of each hospital: in a real network every institution has its own file
//! and nobody has them all.

use std::io::Read as _;

use anyhow::Context as _;
use flate2::read::GzDecoder;

/// See `deploy/demo/README.md` for where it comes from.
const PUBLISHED: &[u8] = include_bytes!("../../../../deploy/demo/rand_hie.csv.gz");

/// The columns that an institution's file has.
const COLUMNS: [&str; 5] = ["zper", "year", "cost_share", "mdvis", "outpdol"];

/// The levels of cost sharing, in the order of the description.
pub(super) const LEVELS: [&str; 4] = ["free", "25 %", "50 %", "95 % and over"];

/// One person-year.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// 1 to 6.
    pub(super) site: usize,
    /// The person.
    pub(super) person: String,
    /// One of [`LEVELS`].
    pub(super) level: String,
    /// Visits to a physician in the year.
    pub(super) visits: f64,
    /// Outpatient spending in the year, in dollars.
    pub(super) dollars: f64,
    /// The fields of [`COLUMNS`] as they stand in the file.
    fields: Vec<String>,
}

/// Every row of every site.
pub(super) fn rows() -> anyhow::Result<Vec<Row>> {
    let mut text = String::new();
    GzDecoder::new(PUBLISHED)
        .read_to_string(&mut text)
        .context("the demo's data cannot be unpacked")?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader
        .headers()
        .context("the demo's data has no head")?
        .clone();
    let place = |name: &str| {
        let place = head.iter().position(|h| h == name);
        place.with_context(|| format!("the demo's data has no column {name}"))
    };
    let site = place("site")?;
    let columns = COLUMNS
        .iter()
        .map(|c| place(c))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.context("the demo's data cannot be read")?;
        let field = |i: usize| record.get(i).unwrap_or_default().to_owned();
        let fields: Vec<String> = columns.iter().map(|c| field(*c)).collect();
        let [person, _, level, visits, dollars] = fields.as_slice() else {
            anyhow::bail!("the demo's data has a short row");
        };
        rows.push(Row {
            site: field(site)
                .parse()
                .context("a site of the demo's data is no number")?,
            person: person.clone(),
            level: level.clone(),
            visits: visits
                .parse()
                .context("a number of visits cannot be read")?,
            dollars: dollars
                .parse()
                .context("a number of dollars cannot be read")?,
            fields,
        });
    }
    Ok(rows)
}

/// One institution's file.
pub(super) fn csv_of(rows: &[Row], site: usize) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows.iter().filter(|r| r.site == site) {
        writer.write_record(&row.fields)?;
    }
    let bytes = writer
        .into_inner()
        .context("a site's file cannot be made")?;
    String::from_utf8(bytes).context("a site's file is not text")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn six_sites_share_out_every_person_and_no_person_is_at_two() {
        let rows = rows().unwrap();
        let mut sites = BTreeMap::<&str, BTreeSet<usize>>::new();
        for row in &rows {
            sites.entry(&row.person).or_default().insert(row.site);
            assert!(LEVELS.contains(&row.level.as_str()), "{}", row.level);
        }
        assert_eq!((rows.len(), sites.len()), (20_190, 5_912));
        assert!(sites.values().all(|s| s.len() == 1));
        let lines = |site| csv_of(&rows, site).unwrap().lines().count() - 1;
        assert_eq!((1..=6).map(lines).sum::<usize>(), rows.len());
    }
}
