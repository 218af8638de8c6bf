//! Reads the clock, and how long processors worked.

use std::time::Instant;

/// How many milliseconds something takes, and what it gives.
#[allow(clippy::disallowed_methods)] // What is measured is time.
pub(crate) fn millis<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let given = run();
    (start.elapsed().as_secs_f64() * 1e3, given)
}

/// Milliseconds that processors worked for this process so far, in steps of ten, where the system
/// tells them: other programs on the machine make them little longer.
pub(crate) fn on_processors() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which is in brackets: the 12th and 13th, in hundredths of a second.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((times.next()?.ok()? + times.next()?.ok()?) * 10.0)
}
