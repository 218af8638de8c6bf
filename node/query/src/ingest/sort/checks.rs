//! What the rows of all ids together must keep to.

use obscura_model::schema::Table;

use super::{KEPT_TIMES, RawPart, SortError};

/// How many rows are kept, and how many are left out because their subject has too many.
pub(super) struct Kept {
    pub(super) rows: u64,
    pub(super) beyond: u64,
}

/// Counts what is kept if of each person at most so many rows are. `people` has index and number
/// of every id, those of a person together.
pub(super) fn kept(counts: &[u32], people: &[(u32, u32)], most: u64) -> Kept {
    let mut all = Kept { rows: 0, beyond: 0 };
    for ids in people.chunk_by(|a, b| a.0 == b.0) {
        let count = |(_, id): &(u32, u32)| counts.get(*id as usize).copied().unwrap_or(0);
        let rows: u64 = ids.iter().map(|id| u64::from(count(id))).sum();
        all.rows += rows.min(most);
        all.beyond += rows.saturating_sub(most);
    }
    all
}

/// Refuses more rows than slots are computed for. Otherwise several subjects with many rows each
/// would make every fold longer than its slot, or fail it, so that its time told how many there
/// are.
pub(super) fn fits<E: std::error::Error + 'static>(
    rows: u64,
    table: &Table,
    subjects: u64,
) -> Result<(), SortError<E>> {
    let each = table.most_rows_per_subject;
    let room = subjects
        .saturating_add(KEPT_TIMES)
        .saturating_mul(each.into());
    if rows <= room {
        return Ok(());
    }
    Err(SortError::Rows {
        table: table.name.clone(),
        each,
        subjects,
    })
}

/// Checks what is said to be constant per subject where a subject's rows lie under several ids.
pub(super) fn constants<E: std::error::Error + 'static>(
    part: &RawPart,
    people: &[(u32, u32)],
    table: &Table,
) -> Result<(), SortError<E>> {
    let differs = part.constants.differ(people);
    match differs.and_then(|position| table.columns.get(position)) {
        None => Ok(()),
        Some(column) => Err(SortError::Constant {
            table: table.name.clone(),
            column: column.name.clone(),
        }),
    }
}
