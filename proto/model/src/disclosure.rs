//! Rules that an owner has signed besides differential privacy: a minimum cell size and rounding.
//!
//! They read released noisy values only, and never replace the noise.

/// The rules of one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Cells whose noisy count is below this are not shown.
    pub minimum_cell: Option<u32>,
    /// Counts are rounded to multiples of this.
    pub rounding: Option<u32>,
}
