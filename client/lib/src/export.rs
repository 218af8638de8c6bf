//! A combined answer as files and pictures. All of them show the same [`Figures`]: one text for
//! each number, made once.

mod chart;
mod csv;
mod figures;
mod json;
mod svg;

pub use chart::{terminal, terminal_lines};
pub use csv::csv;
pub use figures::{Figure, FigureRow, Figures, margin, shown};
pub use json::json;
pub use svg::svg;

#[cfg(test)]
mod tests;
