//! Functions that choose one of their arguments, of any type.

use super::{Cell, Form, Function, Gives, Missing, Reads, Takes, range};
use crate::expr::Interval;

pub(super) static TABLE: [Function; 2] = [
    Function {
        name: "COALESCE",
        also: &["IFNULL", "NVL"],
        takes: &[Takes::Same, Takes::Same],
        optional: 1,
        many: true,
        gives: Gives::Same,
        form: Form::Call,
        missing: Missing::WithAll,
        bounds: |a| {
            let known = a.iter().filter_map(|e| e.interval);
            known.reduce(|a, b| Interval {
                low: a.low.min(b.low),
                high: a.high.max(b.high),
            })
        },
        bounded: "those of all its arguments together",
        cost: 2,
        nanos: 8,
        reads: Reads::All,
        kernel: |c| {
            let known = c.iter().find(|c| **c != Cell::Missing);
            known.map_or(Cell::Missing, Cell::owned)
        },
        words: "the first known of {*}",
        sentence: "The first of its arguments, all of one type, that is not missing.",
        example: ("COALESCE(NULL, 3)", "3"),
    },
    Function {
        name: "NULLIF",
        also: &[],
        takes: &[Takes::Same, Takes::Same],
        optional: 0,
        many: false,
        gives: Gives::Same,
        form: Form::Call,
        missing: Missing::IfEqual,
        bounds: |a| range(a, 0),
        bounded: "those of x",
        cost: 2,
        nanos: 8,
        reads: Reads::All,
        kernel: |c| match c {
            [a, b] if a != b => a.owned(),
            _ => Cell::Missing,
        },
        words: "{0} (missing if it is {1})",
        sentence: "x, but missing where x and y are equal.",
        example: ("NULLIF(3, 3)", "missing"),
    },
];
