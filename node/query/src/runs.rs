//! Whose rows they are: subjects in ascending order, each with rows that follow each other.

use std::ops::Range;
use std::sync::Arc;

/// Rows of subjects in ascending order. Parts of it share what they are parts of.
#[derive(Clone)]
pub(crate) struct Runs {
    all: Arc<All>,
    /// The subjects that have rows here.
    people: Range<usize>,
    /// The rows, among all. The first subject's may have begun before, the last's may go on.
    rows: Range<usize>,
}

struct All {
    subjects: Vec<u32>,
    /// Where the rows of each subject begin, and at last how many there are.
    starts: Vec<usize>,
}

impl Runs {
    /// These subjects, ascending, and the number of rows of each.
    pub(crate) fn new(people: impl IntoIterator<Item = (u32, usize)>) -> Self {
        let mut subjects = Vec::new();
        let mut starts = vec![0];
        let mut rows = 0;
        for (subject, own) in people {
            rows += own;
            subjects.push(subject);
            starts.push(rows);
        }
        Self {
            people: 0..subjects.len(),
            rows: 0..rows,
            all: Arc::new(All { subjects, starts }),
        }
    }

    /// The subject of each row, ascending.
    pub(crate) fn of_rows(subjects: &[u32]) -> Self {
        let runs = subjects.chunk_by(|a, b| a == b);
        Self::new(runs.filter_map(|run| Some((*run.first()?, run.len()))))
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The subjects, ascending.
    pub(crate) fn subjects(&self) -> &[u32] {
        self.all
            .subjects
            .get(self.people.clone())
            .unwrap_or_default()
    }

    /// Each subject with its rows here.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Range<usize>)> {
        let window = self.people.start..self.people.end + 1;
        let starts = self.all.starts.get(window).unwrap_or_default();
        let (first, last) = (self.rows.start, self.rows.end);
        let place = move |row: usize| row.clamp(first, last) - first;
        let pairs = self.subjects().iter().zip(starts.windows(2));
        pairs.filter_map(move |(subject, run)| match run {
            [start, end] => Some((*subject, place(*start)..place(*end))),
            _ => None,
        })
    }

    /// The most rows that anybody has here.
    pub(crate) fn longest(&self) -> usize {
        self.iter().map(|(_, run)| run.len()).fold(0, usize::max)
    }

    /// The rows from `start` on.
    pub(crate) fn slice(&self, start: usize, rows: usize) -> Self {
        let start = self.rows.start + start.min(self.len());
        let end = (start + rows).min(self.rows.end);
        let window = self.people.start..self.people.end + 1;
        let starts = self.all.starts.get(window).unwrap_or_default();
        // Who has the first row: the last to begin at or before it. Who has the last: the last to
        // begin before the end.
        let before = |beyond: &dyn Fn(&usize) -> bool| {
            let found = starts.partition_point(|s| !beyond(s));
            self.people.start + found
        };
        let first = before(&|s| *s > start).max(self.people.start + 1) - 1;
        let last = before(&|s| *s >= end).min(self.people.end);
        let people = if start < end {
            first..last
        } else {
            first.min(self.people.end)..first.min(self.people.end)
        };
        Self {
            all: Arc::clone(&self.all),
            people,
            rows: start..end,
        }
    }

    /// Some of the subjects, by position, with all of their rows here.
    pub(crate) fn people(&self, people: Range<usize>) -> (Self, Range<usize>) {
        let end = (self.people.start + people.end).min(self.people.end);
        let start = (self.people.start + people.start).min(end);
        let row = |person: usize| {
            let row = self.all.starts.get(person).copied();
            row.unwrap_or(self.rows.end)
                .clamp(self.rows.start, self.rows.end)
        };
        let rows = row(start)..row(end);
        let here = rows.start - self.rows.start..rows.end - self.rows.start;
        let runs = Self {
            all: Arc::clone(&self.all),
            people: start..end,
            rows,
        };
        (runs, here)
    }

    /// The position after those subjects that have at least so many rows together, from position
    /// `from` on, or after the last.
    pub(crate) fn until(&self, from: usize, rows: usize) -> usize {
        let start = self.people.start + from;
        let starts = self.all.starts.get(start..=self.people.end);
        let starts = starts.unwrap_or_default();
        let enough = starts.first().copied().unwrap_or(0) + rows.max(1);
        let people = starts.partition_point(|s| *s < enough).max(1);
        (from + people).min(self.people.len())
    }

    /// How many rows subjects before `limit` have here.
    pub(crate) fn before(&self, limit: u64) -> usize {
        let people = self.subjects().partition_point(|s| u64::from(*s) < limit);
        self.people(0..people).1.end
    }

    /// Who has a row.
    pub(crate) fn subject_at(&self, row: usize) -> Option<u32> {
        let slice = self.slice(row, 1);
        slice.subjects().first().copied()
    }

    /// One after the other: all subjects of a part come before those of the next.
    pub(crate) fn concatenated<'a>(parts: impl Iterator<Item = &'a Runs>) -> Self {
        Self::new(parts.flat_map(|part| part.iter().map(|(subject, run)| (subject, run.len()))))
    }

    /// The same subjects with other numbers of rows, those left out who have none.
    pub(crate) fn with_rows(&self, rows: impl Fn(Range<usize>) -> usize) -> Self {
        let people = self.iter().map(|(subject, run)| (subject, rows(run)));
        Self::new(people.filter(|(_, rows)| *rows > 0))
    }

    /// The same rows, and everybody of `all`, ascending, who has none.
    pub(crate) fn among(&self, all: &[u32]) -> Self {
        let mut own = self.iter().peekable();
        let people = all.iter().map(|subject| {
            let run = own.next_if(|(s, _)| s == subject);
            (*subject, run.map_or(0, |(_, run)| run.len()))
        });
        Self::new(people.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(runs: &Runs) -> Vec<u32> {
        let each = runs.iter().flat_map(|(s, run)| run.map(move |_| s));
        each.collect()
    }

    proptest! {
        #[test]
        fn every_part_has_the_rows_of_its_part(
            mut all in prop::collection::vec(0u32..20, 0..60),
            start in 0usize..70, length in 0usize..70, again in 0usize..70, most in 0usize..70,
            limit in 0u64..22,
        ) {
            all.sort_unstable();
            let runs = Runs::of_rows(&all);
            prop_assert_eq!(rows(&runs), all.clone());
            let start = start.min(all.len());
            let end = (start + length).min(all.len());
            let (part, expected) = (runs.slice(start, length), &all[start..end]);
            prop_assert_eq!(rows(&part), expected);
            prop_assert_eq!(part.len(), expected.len());
            prop_assert!(part.iter().all(|(_, run)| !run.is_empty()));
            prop_assert_eq!(part.iter().map(|(_, r)| r.start).next().unwrap_or(0), 0);
            let from = again.min(expected.len());
            let to = (from + most).min(expected.len());
            prop_assert_eq!(rows(&part.slice(again, most)), &expected[from..to]);
            let before = expected.iter().filter(|s| u64::from(**s) < limit).count();
            prop_assert_eq!(part.before(limit), before);
            for row in 0..expected.len() + 1 {
                prop_assert_eq!(part.subject_at(row), expected.get(row).copied());
            }
            let people = part.subjects().len();
            let (some, here) = part.people(people / 3..people);
            prop_assert_eq!(rows(&some), &expected[here]);
            let everybody: Vec<u32> = (0..20).collect();
            let among = part.among(&everybody);
            prop_assert_eq!(among.subjects().len(), 20);
            prop_assert_eq!(rows(&among), expected);
        }
    }
}
