//! Expressions over released values, as a flat list in postfix order.

use obscura_wire::v1;
use obscura_wire::v1::expression_node::Kind;

use super::{InvalidWire, average_from};
use crate::answer::{Arrange, Centred, Disclosure, Function, Moments, OrderBy, OutputKind, Tree};

/// The most nodes of one expression.
const MOST_NODES: usize = 10_000;

/// The deepest nesting, so that what is read can be walked.
const MOST_DEPTH: usize = 256;

// Positions are below the number of vectors, which is far below 2^32.
fn place(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

pub(super) fn to(kind: &OutputKind) -> v1::Expression {
    let mut nodes = Vec::new();
    push(kind, &mut nodes);
    v1::Expression { nodes }
}

fn push(kind: &OutputKind, nodes: &mut Vec<v1::ExpressionNode>) {
    let kind = match kind {
        OutputKind::Apply(function, arguments) => {
            arguments.iter().for_each(|a| push(a, nodes));
            let number = Function::ALL.iter().position(|f| f == function);
            Kind::Call(v1::Call {
                function: place(number.unwrap_or(usize::MAX)),
                arguments: place(arguments.len()),
            })
        }
        leaf => leaf_to(leaf),
    };
    nodes.push(v1::ExpressionNode { kind: Some(kind) });
}

fn leaf_to(kind: &OutputKind) -> Kind {
    match kind {
        OutputKind::Count { vector } => Kind::Count(place(*vector)),
        OutputKind::Subjects { vector } => Kind::Subjects(place(*vector)),
        OutputKind::Sum { vector } => Kind::Sum(place(*vector)),
        OutputKind::Average {
            sum,
            count,
            middle,
            lowest,
            highest,
        } => Kind::Average(v1::Average {
            sum: place(*sum),
            count: place(*count),
            middle: *middle,
            lowest: *lowest,
            highest: *highest,
        }),
        OutputKind::Variance { x, count, sample } => Kind::Variance(v1::Variance {
            x: Some(moments_to(x)),
            count: place(*count),
            sample: *sample,
        }),
        OutputKind::Covariance {
            x,
            y,
            products,
            count,
            sample,
        } => Kind::Covariance(v1::Covariance {
            x: Some(centred_to(x)),
            y: Some(centred_to(y)),
            products: place(*products),
            count: place(*count),
            sample: *sample,
        }),
        OutputKind::Correlation {
            x,
            y,
            products,
            count,
        } => Kind::Correlation(v1::Correlation {
            x: Some(moments_to(x)),
            y: Some(moments_to(y)),
            products: place(*products),
            count: place(*count),
        }),
        OutputKind::Quantile { tree, share } => Kind::Quantile(quantile_to(tree, *share)),
        OutputKind::Categories { vector } => Kind::Categories(place(*vector)),
        OutputKind::Coverage { vector, declared } => Kind::Coverage(v1::Coverage {
            vector: place(*vector),
            declared: *declared,
        }),
        OutputKind::Literal(value) => Kind::Literal(*value),
        OutputKind::Missing | OutputKind::Apply(_, _) => Kind::Missing(true),
        OutputKind::KeyPosition(key) => Kind::KeyPosition(place(*key)),
        OutputKind::KeyAmong { key, labels } => Kind::KeyAmong(v1::KeyAmong {
            key: place(*key),
            labels: labels.iter().map(|l| place(*l)).collect(),
        }),
    }
}

fn centred_to(centred: &Centred) -> v1::Centred {
    let Centred { sum, middle, half } = *centred;
    v1::Centred {
        sum: place(sum),
        middle,
        half,
    }
}

fn moments_to(moments: &Moments) -> v1::Moments {
    v1::Moments {
        centred: Some(centred_to(&moments.centred)),
        squares: place(moments.squares),
    }
}

fn quantile_to(tree: &Tree, share: f64) -> v1::Quantile {
    let Tree {
        levels,
        leaves,
        first_edge,
        last_edge,
        lowest,
        highest,
    } = tree;
    v1::Quantile {
        levels: levels.iter().map(|l| place(*l)).collect(),
        leaves: *leaves,
        first_edge: *first_edge,
        last_edge: *last_edge,
        lowest: *lowest,
        highest: *highest,
        share,
    }
}

pub(super) fn from(expression: v1::Expression) -> Result<OutputKind, InvalidWire> {
    let v1::Expression { nodes } = expression;
    if nodes.len() > MOST_NODES {
        return Err(InvalidWire::Missing("an expression of reasonable size"));
    }
    let malformed = || InvalidWire::Missing("a well-formed expression");
    // Each with its depth.
    let mut stack: Vec<(OutputKind, usize)> = Vec::new();
    for v1::ExpressionNode { kind } in nodes {
        match kind.ok_or_else(malformed)? {
            Kind::Call(v1::Call {
                function,
                arguments,
            }) => {
                let function = *Function::ALL.get(function as usize).ok_or_else(malformed)?;
                let (least, most) = function.arity();
                let count = arguments as usize;
                let first = stack.len().checked_sub(count).ok_or_else(malformed)?;
                let taken = stack.split_off(first);
                let depth = taken.iter().map(|(_, d)| d + 1).max().unwrap_or(1);
                if !(least..=most).contains(&count) || depth > MOST_DEPTH {
                    return Err(malformed());
                }
                let arguments = taken.into_iter().map(|(kind, _)| kind).collect();
                stack.push((OutputKind::Apply(function, arguments), depth));
            }
            leaf => stack.push((leaf_from(leaf)?, 0)),
        }
    }
    match (stack.pop(), stack.is_empty()) {
        (Some((kind, _)), true) => Ok(kind),
        _ => Err(malformed()),
    }
}

fn leaf_from(kind: Kind) -> Result<OutputKind, InvalidWire> {
    Ok(match kind {
        Kind::Count(vector) => OutputKind::Count {
            vector: vector as usize,
        },
        Kind::Subjects(vector) => OutputKind::Subjects {
            vector: vector as usize,
        },
        Kind::Sum(vector) => OutputKind::Sum {
            vector: vector as usize,
        },
        Kind::Average(average) => average_from(average)?,
        Kind::Variance(v1::Variance { x, count, sample }) => OutputKind::Variance {
            x: moments_from(x)?,
            count: count as usize,
            sample,
        },
        Kind::Covariance(v1::Covariance {
            x,
            y,
            products,
            count,
            sample,
        }) => OutputKind::Covariance {
            x: centred_from(x)?,
            y: centred_from(y)?,
            products: products as usize,
            count: count as usize,
            sample,
        },
        Kind::Correlation(v1::Correlation {
            x,
            y,
            products,
            count,
        }) => OutputKind::Correlation {
            x: moments_from(x)?,
            y: moments_from(y)?,
            products: products as usize,
            count: count as usize,
        },
        Kind::Quantile(quantile) => quantile_from(quantile),
        Kind::Categories(vector) => OutputKind::Categories {
            vector: vector as usize,
        },
        Kind::Coverage(v1::Coverage { vector, declared }) => OutputKind::Coverage {
            vector: vector as usize,
            declared,
        },
        Kind::Literal(value) if value.is_finite() => OutputKind::Literal(value),
        Kind::Missing(_) => OutputKind::Missing,
        Kind::KeyPosition(key) => OutputKind::KeyPosition(key as usize),
        Kind::KeyAmong(v1::KeyAmong { key, labels }) => OutputKind::KeyAmong {
            key: key as usize,
            labels: labels.into_iter().map(|l| l as usize).collect(),
        },
        Kind::Literal(_) | Kind::Call(_) => {
            return Err(InvalidWire::Missing("a well-formed expression"));
        }
    })
}

/// The ranges of edges and share are checked with the answer's shape.
fn quantile_from(quantile: v1::Quantile) -> OutputKind {
    let v1::Quantile {
        levels,
        leaves,
        first_edge,
        last_edge,
        lowest,
        highest,
        share,
    } = quantile;
    let tree = Tree {
        levels: levels.into_iter().map(|l| l as usize).collect(),
        leaves,
        first_edge,
        last_edge,
        lowest,
        highest,
    };
    OutputKind::Quantile { tree, share }
}

fn centred_from(centred: Option<v1::Centred>) -> Result<Centred, InvalidWire> {
    let v1::Centred { sum, middle, half } = centred.ok_or(InvalidWire::Missing("a moment"))?;
    if !(middle.is_finite() && half.is_finite() && half >= 0.0) {
        return Err(InvalidWire::Missing("proper bounds of a moment"));
    }
    Ok(Centred {
        sum: sum as usize,
        middle,
        half,
    })
}

fn moments_from(moments: Option<v1::Moments>) -> Result<Moments, InvalidWire> {
    let v1::Moments { centred, squares } = moments.ok_or(InvalidWire::Missing("a moment"))?;
    Ok(Moments {
        centred: centred_from(centred)?,
        squares: squares as usize,
    })
}

pub(super) fn arrange_to(arrange: &Arrange) -> Option<v1::Arrange> {
    let Arrange {
        having,
        order,
        limit,
        offset,
    } = arrange;
    (!arrange.is_plain()).then(|| v1::Arrange {
        having: having.as_ref().map(to),
        order: order
            .iter()
            .map(|OrderBy { value, descending }| v1::OrderBy {
                value: Some(to(value)),
                descending: *descending,
            })
            .collect(),
        limit: *limit,
        offset: *offset,
    })
}

pub(super) fn arrange_from(arrange: Option<v1::Arrange>) -> Result<Arrange, InvalidWire> {
    let Some(v1::Arrange {
        having,
        order,
        limit,
        offset,
    }) = arrange
    else {
        return Ok(Arrange::default());
    };
    let order = order
        .into_iter()
        .map(|v1::OrderBy { value, descending }| {
            let value = from(value.ok_or(InvalidWire::Missing("what to order by"))?)?;
            Ok(OrderBy { value, descending })
        })
        .collect::<Result<_, InvalidWire>>()?;
    Ok(Arrange {
        having: having.map(from).transpose()?,
        order,
        limit,
        offset,
    })
}

pub(super) fn disclosure_to(disclosure: &Disclosure) -> Option<v1::Disclosure> {
    let Disclosure {
        size,
        minimum_cell,
        rounding,
    } = *disclosure;
    (*disclosure != Disclosure::default()).then(|| v1::Disclosure {
        size: size.map_or(0, |s| place(s).saturating_add(1)),
        minimum_cell: minimum_cell.unwrap_or(0),
        rounding: rounding.unwrap_or(0),
    })
}

pub(super) fn disclosure_from(disclosure: Option<v1::Disclosure>) -> Disclosure {
    let v1::Disclosure {
        size,
        minimum_cell,
        rounding,
    } = disclosure.unwrap_or_default();
    let some = |n: u32| (n > 0).then_some(n);
    Disclosure {
        size: size.checked_sub(1).map(|s| s as usize),
        minimum_cell: some(minimum_cell),
        rounding: some(rounding),
    }
}
