//! What the rows of all ids together must keep to.

use obscura_model::schema::Table;

use super::{KEPT_TIMES, SortError, SortedPart};

/// Refuses more rows than slots are computed for. Otherwise several subjects with many rows each
/// would make every fold longer than its slot, or fail it, so that its time told how many there
/// are.
pub(super) fn fits<E: std::error::Error + 'static>(
    part: &SortedPart,
    table: &Table,
    subjects: u64,
) -> Result<(), SortError<E>> {
    let each = table.most_rows_per_subject;
    let room = subjects
        .saturating_add(KEPT_TIMES)
        .saturating_mul(each.into());
    if part.subjects.len() as u64 <= room {
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
    part: &SortedPart,
    table: &Table,
) -> Result<(), SortError<E>> {
    let columns = table.columns.iter().zip(&part.columns);
    for (column, values) in columns.filter(|(c, _)| c.constant_per_subject) {
        let mut neighbours = part.subjects.windows(2).enumerate();
        if neighbours.any(|(i, pair)| pair.first() == pair.last() && !values.same(i, i + 1)) {
            return Err(SortError::Constant {
                table: table.name.clone(),
                column: column.name.clone(),
            });
        }
    }
    Ok(())
}
