//! The stored format: what is written comes back, and whatever else is read makes an error.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use obscura_model::ids::Digest;
use proptest::prelude::*;

use super::chunk::{Kind, read_column, read_runs, write_column, write_runs};
use super::directory::{Block, Chunk, Directory};
use super::words::Width;
use crate::ingest::RawColumn;
use crate::source::Span;

/// Of tests only: rows are made.
impl std::fmt::Debug for RawColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RawColumn::Number(values) => std::fmt::Debug::fmt(values, f),
            RawColumn::Category(codes) => std::fmt::Debug::fmt(codes, f),
            RawColumn::Boolean(truths) => std::fmt::Debug::fmt(truths, f),
            RawColumn::Text(texts) => std::fmt::Debug::fmt(texts, f),
        }
    }
}

/// What comes back, as it was.
fn raw(array: &ArrayRef, like: &RawColumn) -> Vec<Option<Vec<u8>>> {
    let each = (0..array.len()).map(|row| {
        array.is_valid(row).then(|| {
            match like {
                RawColumn::Number(_) => array.as_primitive::<Float64Type>().value(row).to_bits(),
                RawColumn::Category(_) => array.as_primitive::<Int32Type>().value(row) as u64,
                RawColumn::Boolean(_) => u64::from(array.as_boolean().value(row)),
                RawColumn::Text(_) => {
                    return array.as_string::<i32>().value(row).as_bytes().to_vec();
                }
            }
            .to_le_bytes()
            .to_vec()
        })
    });
    each.collect()
}

fn expected(column: &RawColumn) -> Vec<Option<Vec<u8>>> {
    let number = |n: u64| n.to_le_bytes().to_vec();
    match column {
        RawColumn::Number(v) => v.iter().map(|v| v.map(|v| number(v.to_bits()))).collect(),
        RawColumn::Category(v) => v.iter().map(|v| v.map(|v| number(v as u64))).collect(),
        RawColumn::Boolean(v) => v.iter().map(|v| v.map(|v| number(v.into()))).collect(),
        RawColumn::Text(v) => v
            .iter()
            .map(|v| v.as_ref().map(|v| v.bytes().collect()))
            .collect(),
    }
}

fn written(column: &RawColumn, rows: usize, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_column(column, 0..rows, kind, &mut bytes);
    bytes
}

/// Numbers of one kind: whole, decimal, or of any bits but NaN and the other zero.
fn number(form: u8) -> BoxedStrategy<f64> {
    match form {
        0 => (-300i64..300).prop_map(|n| n as f64).boxed(),
        1 => (0i64..5_000_000).prop_map(|n| n as f64 / 100.0).boxed(),
        2 => (-70_000i64..70_000)
            .prop_map(|n| n as f64 / 10_000.0)
            .boxed(),
        3 => prop_oneof![
            Just(-9_007_199_254_740_992.0),
            Just(4_503_599_627_370_495.0)
        ]
        .boxed(),
        _ => any::<f64>()
            .prop_map(|v| if v.is_nan() { 0.5 } else { v + 0.0 })
            .boxed(),
    }
}

fn column() -> impl Strategy<Value = (RawColumn, usize, Kind)> {
    let missing = prop_oneof![Just(1.0), Just(0.7), Just(0.0)];
    (0u8..9, missing, 0usize..70).prop_flat_map(|(form, known, rows)| {
        let option = move |strategy: BoxedStrategy<u32>| {
            let one = if known == 0.0 {
                Just(None).boxed()
            } else if known == 1.0 {
                strategy.prop_map(Some).boxed()
            } else {
                prop::option::weighted(known, strategy).boxed()
            };
            prop::collection::vec(one, rows)
        };
        let column = match form {
            0..=4 => {
                let values = prop::collection::vec(number(form), rows);
                (values, option(any::<u32>().boxed()))
                    .prop_map(|(values, known)| {
                        let both = values.iter().zip(known);
                        let column = both.map(|(v, known)| known.map(|_| *v)).collect();
                        (RawColumn::Number(column), Kind::Number)
                    })
                    .boxed()
            }
            5 | 6 => {
                let (most, width) = if form == 5 {
                    (256, Width::One)
                } else {
                    (10_000, Width::Two)
                };
                let code = |v: &Option<u32>| v.map(|v| v as i32);
                option((0u32..most).boxed())
                    .prop_map(move |v| {
                        let codes = v.iter().map(code).collect();
                        (RawColumn::Category(codes), Kind::Code(width))
                    })
                    .boxed()
            }
            7 => option((0u32..2).boxed())
                .prop_map(|v| {
                    let truths = v.iter().map(|v| v.map(|v| v == 1)).collect();
                    (RawColumn::Boolean(truths), Kind::Truth)
                })
                .boxed(),
            _ => option(any::<u32>().boxed())
                .prop_map(|v| {
                    let text = |n: u32| "aé中𝄞".chars().cycle().take((n % 9) as usize).collect();
                    let texts = v.iter().map(|v| v.map(text)).collect();
                    (RawColumn::Text(texts), Kind::Text)
                })
                .boxed(),
        };
        column.prop_map(move |(column, kind)| (column, rows, kind))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn columns_come_back_bit_for_bit((column, rows, kind) in column()) {
        let bytes = written(&column, rows, kind);
        let array = read_column(&bytes, rows, kind).unwrap();
        prop_assert_eq!(raw(&array, &column), expected(&column));
        // A column of one value, or of none, has no bytes for its rows.
        let light = rows == 0 || bytes.len() < 16;
        prop_assert!(light || read_column(&bytes, rows + 9, kind).is_none());
    }

    #[test]
    fn damaged_columns_never_panic(
        (column, rows, kind) in column(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        other in 0usize..200,
    ) {
        let mut bytes = written(&column, rows, kind);
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let cut = cut.index(bytes.len() + 1);
        for (bytes, rows) in [(&bytes[..], rows), (&bytes[..cut], rows), (&bytes[..], other)] {
            for kind in [Kind::Number, Kind::Code(Width::One), Kind::Truth, Kind::Text, kind] {
                if let Some(array) = read_column(bytes, rows, kind) {
                    prop_assert_eq!(array.len(), rows);
                }
            }
        }
    }

    #[test]
    fn whose_rows_they_are_comes_back_and_nothing_else_does(
        gaps in prop::collection::vec((0u32..70_000, 1usize..4), 1..60),
        dense in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut subjects: Vec<u32> = Vec::new();
        let mut next = 7;
        for (gap, rows) in gaps {
            subjects.extend(std::iter::repeat_n(next, rows));
            next += 1 + if dense { 0 } else { gap };
        }
        let span = Span { first: 7, last: *subjects.last().unwrap() };
        let people = subjects.chunk_by(|a, b| a == b).count() as u32;
        let mut bytes = Vec::new();
        write_runs(&subjects, &mut bytes);
        let runs = read_runs(&bytes, span, people, subjects.len()).unwrap();
        let again: Vec<u32> = runs.iter().flat_map(|(s, run)| run.map(move |_| s)).collect();
        prop_assert_eq!(&again, &subjects);
        prop_assert!(read_runs(&bytes, span, people, subjects.len() + 1).is_none());
        prop_assert!(read_runs(&bytes, span, people + 1, subjects.len()).is_none());
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let cut = cut.index(bytes.len() + 1);
        for bytes in [&bytes[..], &bytes[..cut]] {
            if let Some(runs) = read_runs(bytes, span, people, subjects.len()) {
                prop_assert_eq!(runs.len(), subjects.len());
                prop_assert!(runs.subjects().is_sorted_by(|a, b| a < b));
                prop_assert_eq!(runs.subjects().last(), Some(&span.last));
            }
        }
    }

    #[test]
    fn damaged_directories_never_panic(
        blocks in prop::collection::vec((1u32..5, 0u32..9, any::<[u8; 32]>()), 0..5),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut at = 16;
        let mut next = 0;
        let mut block = |(rows, length, digest): (u32, u32, [u8; 32])| {
            let span = Span { first: next, last: next + rows };
            next += rows + 2;
            let mut chunk = || {
                let chunk = Chunk { start: at, length, digest };
                at += u64::from(length);
                chunk
            };
            Block { span, subjects: rows.max(2).min(rows + 1), rows: rows + 1, chunks: vec![chunk(), chunk()] }
        };
        let directory = Directory {
            description: Digest::of(b"d"),
            table: 1,
            kinds: vec![1],
            blocks: blocks.into_iter().map(&mut block).collect(),
        };
        let mut bytes = directory.encode();
        let decoded = Directory::decode(&bytes, 16, at);
        prop_assert_eq!(decoded.as_ref(), Some(&directory));
        prop_assert_eq!(Directory::decode(&bytes, 16, at + 1), None);
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let cut = cut.index(bytes.len() + 1);
        let _ = Directory::decode(&bytes[..cut], 16, at);
        if let Some(read) = Directory::decode(&bytes, 16, at) {
            let ascending = |pair: &[Block]| pair[0].span.last < pair[1].span.first;
            prop_assert!(read.blocks.windows(2).all(ascending));
            prop_assert!(read.blocks.iter().all(|b| b.span.first <= b.span.last));
        }
    }
}

#[test]
fn light_encodings_are_light() {
    let of = |values: &[f64]| {
        let values = values.iter().copied().map(Some).collect();
        let rows = 100;
        let column = RawColumn::Number(values);
        (written(&column, rows, Kind::Number).len() - 12) / rows
    };
    let each = |f: fn(usize) -> f64| (0..100).map(f).collect::<Vec<f64>>();
    assert_eq!(of(&each(|_| 7.25)), 0);
    assert_eq!(of(&each(|i| i as f64 - 50.0)), 1);
    assert_eq!(of(&each(|i| (1e11 + i as f64) / 100.0)), 1);
    assert_eq!(of(&each(|i| (i * 307) as f64 / 100.0)), 2);
    assert_eq!(of(&each(|i| i as f64 * 1_000_000.0)), 4);
    // A third of nothing is a multiple of nothing.
    assert_eq!(
        written(
            &RawColumn::Number(vec![Some(1.0 / 3.0); 100]),
            100,
            Kind::Number
        )
        .len(),
        802
    );
}
