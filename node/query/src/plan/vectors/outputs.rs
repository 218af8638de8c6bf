//! From what is released to vectors and how it follows from them.

use obscura_model::answer::{
    Arrange, Centred, Function, Moments, OrderBy, Output, OutputKind, Tree,
};

use super::{
    Aggregate, Any, Arith, Bool, COUNT_GRID, COUNT_SCALE, COVERAGE, CUT, Comparison, Draft,
    Interval, Mask, Num, Printer, Quantity, Refusal, Released, Vector, identifier, mask,
};
use crate::expr::literal;

/// The leaves of a tree over numbers: four levels.
const LEAVES: u32 = 256;

impl Draft<'_> {
    pub(super) fn kind(&mut self, value: &Released, output: &str) -> Result<OutputKind, Refusal> {
        Ok(match value {
            Released::Aggregate(aggregate) => self.aggregate(aggregate, output)?,
            Released::Literal(v) => OutputKind::Literal(*v),
            Released::Missing => OutputKind::Missing,
            Released::Key(key) => OutputKind::KeyPosition(*key),
            Released::KeyAmong { key, labels } => OutputKind::KeyAmong {
                key: *key,
                labels: labels.iter().copied().collect(),
            },
            Released::Apply(function, arguments) => {
                let arguments = arguments.iter().map(|a| self.kind(a, output));
                OutputKind::Apply(*function, arguments.collect::<Result<_, _>>()?)
            }
        })
    }

    /// HAVING and ORDER BY over released values.
    pub(super) fn arrange(&mut self) -> Result<Arrange, Refusal> {
        let arrangement = self.definition.arrangement.clone();
        let having = match &arrangement.having {
            Some(having) => Some(self.kind(having, "HAVING")?),
            None => None,
        };
        let mut order = Vec::with_capacity(arrangement.order.len());
        for (value, descending) in &arrangement.order {
            order.push(OrderBy {
                value: self.kind(value, "ORDER BY")?,
                descending: *descending,
            });
        }
        Ok(Arrange {
            having,
            order,
            limit: arrangement.limit,
            offset: arrangement.offset,
        })
    }

    fn aggregate(&mut self, aggregate: &Aggregate, output: &str) -> Result<OutputKind, Refusal> {
        Ok(match aggregate {
            Aggregate::Rows => OutputKind::Count {
                vector: self.rows(Mask::Everything),
            },
            Aggregate::Known(value) => OutputKind::Count {
                vector: self.known(value),
            },
            Aggregate::Subjects => OutputKind::Subjects {
                vector: self.subjects(),
            },
            Aggregate::Categories(column) => OutputKind::Categories {
                vector: self.present_in(*column),
            },
            Aggregate::Sum(value) => {
                let bounds = self.bounds(value, output)?;
                OutputKind::Sum {
                    vector: self.sum(value, bounds, 0.0),
                }
            }
            Aggregate::Average(value) => self.average(value, output)?,
            Aggregate::Variance { value, sample } => {
                let bounds = self.bounds(value, output)?;
                OutputKind::Variance {
                    x: self.moments(value, bounds, output)?,
                    count: self.known(&Any::Num(value.clone())),
                    sample: *sample,
                }
            }
            Aggregate::Covariance { x, y, sample } => self.covariance((x, y), *sample, output)?,
            Aggregate::Correlation { x, y } => self.correlation((x, y), output)?,
            Aggregate::Quantile { value, share } => {
                let bounds = self.bounds(value, output)?;
                OutputKind::Quantile {
                    tree: self.tree(value, bounds),
                    share: *share,
                }
            }
        })
    }

    fn average(&mut self, value: &Num, output: &str) -> Result<OutputKind, Refusal> {
        let bounds = self.bounds(value, output)?;
        let centred = self.centred(value, bounds);
        Ok(OutputKind::Average {
            sum: centred.sum,
            count: self.known(&Any::Num(value.clone())),
            middle: centred.middle,
            lowest: bounds.low,
            highest: bounds.high,
        })
    }

    fn covariance(
        &mut self,
        (x, y): (&Num, &Num),
        sample: bool,
        output: &str,
    ) -> Result<OutputKind, Refusal> {
        let (x, y) = self.both(x, y);
        let (a, b) = (self.bounds(&x, output)?, self.bounds(&y, output)?);
        let (centred_x, centred_y) = (self.centred(&x, a), self.centred(&y, b));
        Ok(OutputKind::Covariance {
            x: centred_x,
            y: centred_y,
            products: self.products((&x, centred_x), (&y, centred_y), output)?,
            count: self.pairs(&x, &y),
            sample,
        })
    }

    fn correlation(&mut self, (x, y): (&Num, &Num), output: &str) -> Result<OutputKind, Refusal> {
        let (x, y) = self.both(x, y);
        let (a, b) = (self.bounds(&x, output)?, self.bounds(&y, output)?);
        let moments_x = self.moments(&x, a, output)?;
        let moments_y = self.moments(&y, b, output)?;
        let pair = ((&x, moments_x.centred), (&y, moments_y.centred));
        Ok(OutputKind::Correlation {
            x: moments_x,
            y: moments_y,
            products: self.products(pair.0, pair.1, output)?,
            count: self.pairs(&x, &y),
        })
    }

    fn centred(&mut self, value: &Num, Interval { low, high }: Interval) -> Centred {
        let middle = low + (high - low) / 2.0;
        Centred {
            sum: self.sum(value, Interval { low, high }, middle),
            middle,
            half: (high - middle).max(middle - low),
        }
    }

    /// The squares about the middle lie between 0 and the square of half the range; about the
    /// middle of that in turn they need half the clip norm.
    fn moments(&mut self, value: &Num, bounds: Interval, output: &str) -> Result<Moments, Refusal> {
        let centred = self.centred(value, bounds);
        let most = self.finite(centred.half * centred.half, value, output)?;
        let from_middle = about(value, centred.middle);
        let square = Num::chain(from_middle.clone(), Arith::Multiply, from_middle);
        let within = Interval {
            low: 0.0,
            high: most,
        };
        let squares = self.sum(&square, within, most / 2.0);
        Ok(Moments { centred, squares })
    }

    fn products(
        &mut self,
        (x, centred_x): (&Num, Centred),
        (y, centred_y): (&Num, Centred),
        output: &str,
    ) -> Result<usize, Refusal> {
        let most = self.finite(centred_x.half * centred_y.half, x, output)?;
        let (a, b) = (about(x, centred_x.middle), about(y, centred_y.middle));
        let within = Interval {
            low: -most,
            high: most,
        };
        Ok(self.sum(&Num::chain(a, Arith::Multiply, b), within, 0.0))
    }

    fn finite(&self, most: f64, value: &Num, output: &str) -> Result<f64, Refusal> {
        if most < 2f64.powi(super::MOST_EXPONENT) {
            return Ok(most);
        }
        Err(self.unbounded(value, output))
    }

    /// The rows that have both, as one count.
    fn pairs(&mut self, x: &Num, y: &Num) -> usize {
        let both = Num::chain(x.clone(), Arith::Add, y.clone());
        self.known(&Any::Num(both))
    }

    /// Each of two values where both are known: as it is where the other is known whenever it is
    /// itself, so that sums can be shared.
    fn both(&self, x: &Num, y: &Num) -> (Num, Num) {
        (self.where_known(x, y), self.where_known(y, x))
    }

    fn where_known(&self, value: &Num, other: &Num) -> Num {
        let of = |n: &Num| mask(&Any::Num(n.clone()), &self.known, self.scope);
        let implied = match (of(value), of(other)) {
            (_, Mask::Everything) => true,
            (Mask::Columns(own), Mask::Columns(others)) => others.is_subset(&own),
            _ => value == other,
        };
        if implied {
            return value.clone();
        }
        let condition = Bool::IsNull {
            value: Box::new(Any::Num(other.clone())),
            negated: true,
        };
        Num::Case(crate::expr::Case {
            arms: vec![(condition, value.clone())],
            otherwise: None,
        })
    }

    /// A count for each level. Every row adds 1 on each level, all of a subject's rows perhaps in
    /// one node.
    fn tree(&mut self, value: &Num, Interval { low, high }: Interval) -> Tree {
        let steps = high - low + 1.0;
        let few = is_whole(value, self.scope) && steps <= f64::from(LEAVES);
        let (leaves, first_edge, last_edge) = if few {
            // At most 256, by the line above.
            (steps as u32, low - 0.5, high + 0.5)
        } else if low == high {
            (1, low, high)
        } else {
            (LEAVES, low, high)
        };
        let width = (last_edge - first_edge) / f64::from(leaves);
        let sizes = Tree::sizes(leaves as usize);
        let mut levels = Vec::with_capacity(sizes.len());
        for (depth, size) in sizes.iter().enumerate() {
            let below = u32::try_from(sizes.len() - 1 - depth).unwrap_or(0);
            let together = (Tree::BRANCHING as u32).saturating_pow(below);
            let text = Printer { scope: self.scope }.num(value);
            let summed = format!(
                "COUNT({text}) IN {size} STEPS FROM {} TO {}",
                literal(first_edge),
                literal(last_edge)
            );
            let vector = Vector {
                what: self.what(&summed, None),
                quantity: Quantity::Leaf {
                    value: value.clone(),
                    first_edge,
                    width,
                    leaves,
                    together,
                },
                grid: COUNT_GRID,
                clip_squared: self
                    .clip(COUNT_GRID.bound, self.scope.most_rows_per_subject().into()),
                parts: u32::try_from(*size).unwrap_or(u32::MAX),
                grouped: true,
            };
            levels.push(self.push(vector));
        }
        Tree {
            levels,
            leaves,
            first_edge,
            last_edge,
            lowest: low,
            highest: high,
        }
    }

    /// Subjects for each category. One subject can be in as many pairs of cell and category as it
    /// has rows, and adds 1 in each: the norm is the square root of their number.
    fn present_in(&mut self, column: usize) -> usize {
        let domain = self.scope.get(column).map(|c| &c.domain);
        let categories = domain.and_then(|d| d.key_count()).unwrap_or(1);
        let in_each = if self.is_constant(column) {
            1
        } else {
            categories
        };
        let pairs = self.cells_per_subject().saturating_mul(in_each);
        let pairs = pairs.min(self.scope.most_rows_per_subject().into());
        let subject = identifier(self.scope.subject_column());
        let name = Printer { scope: self.scope }.column(column);
        let scale = u128::from(COUNT_SCALE.unsigned_abs());
        let vector = Vector {
            what: self.what(&format!("COUNT(DISTINCT {subject}) FOR EACH {name}"), None),
            quantity: Quantity::Present(column),
            grid: COUNT_GRID,
            clip_squared: u128::from(pairs) * scale * scale,
            parts: u32::try_from(categories).unwrap_or(u32::MAX),
            grouped: true,
        };
        self.push(vector)
    }

    fn whole(&mut self, what: String, quantity: Quantity) -> usize {
        let scale = u128::from(COUNT_SCALE.unsigned_abs());
        self.push(Vector {
            what,
            quantity,
            grid: COUNT_GRID,
            clip_squared: scale * scale,
            parts: 1,
            grouped: false,
        })
    }

    /// The number of subjects of the dataset who contribute, matching or not.
    pub(super) fn coverage(&mut self) -> Output {
        let subject = identifier(self.scope.subject_column());
        let what = format!("COUNT(DISTINCT {subject}) OF ALL");
        Output {
            name: COVERAGE.to_owned(),
            unit: self.scope.subject_unit().to_owned(),
            kind: OutputKind::Subjects {
                vector: self.whole(what, Quantity::Everybody),
            },
        }
    }

    pub(super) fn cut(&mut self) -> Output {
        let mut conditions: Vec<Bool> = Vec::new();
        for output in &self.definition.outputs {
            output.value.each(&mut |aggregate| {
                for value in summed(aggregate) {
                    clips(value, &mut conditions);
                }
            });
        }
        let subject = identifier(self.scope.subject_column());
        let printer = Printer { scope: self.scope };
        let cut: Vec<String> = conditions.iter().map(|c| printer.bool(c)).collect();
        let mut summed = format!("COUNT(DISTINCT {subject}) WITH ROWS LEFT OUT");
        if !cut.is_empty() {
            summed.push_str(&format!(" OR {}", cut.join(" OR ")));
        }
        let what = self.what(&summed, None);
        Output {
            name: CUT.to_owned(),
            unit: self.scope.subject_unit().to_owned(),
            kind: OutputKind::Subjects {
                vector: self.whole(what, Quantity::Cut(conditions)),
            },
        }
    }

    pub(super) fn unit_of(&self, value: &Released) -> String {
        match value {
            Released::Aggregate(aggregate) => match aggregate {
                Aggregate::Rows | Aggregate::Known(_) => "rows".to_owned(),
                Aggregate::Subjects => self.scope.subject_unit().to_owned(),
                Aggregate::Sum(value)
                | Aggregate::Average(value)
                | Aggregate::Quantile { value, share: _ } => self.unit(value),
                Aggregate::Categories(_)
                | Aggregate::Variance { .. }
                | Aggregate::Covariance { .. }
                | Aggregate::Correlation { .. } => String::new(),
            },
            Released::Apply(Function::Sqrt, list) => match list.as_slice() {
                [Released::Aggregate(Aggregate::Variance { value, sample: _ })] => self.unit(value),
                _ => String::new(),
            },
            Released::Apply(
                Function::Round | Function::Floor | Function::Ceil | Function::Abs,
                list,
            ) => list.first().map_or_else(String::new, |v| self.unit_of(v)),
            _ => String::new(),
        }
    }
}

/// The value less its middle.
fn about(value: &Num, middle: f64) -> Num {
    if middle == 0.0 {
        value.clone()
    } else {
        Num::chain(value.clone(), Arith::Subtract, Num::Literal(middle))
    }
}

/// The values that an aggregate sums.
pub(crate) fn summed(aggregate: &Aggregate) -> Vec<&Num> {
    match aggregate {
        Aggregate::Rows | Aggregate::Known(_) | Aggregate::Subjects | Aggregate::Categories(_) => {
            Vec::new()
        }
        Aggregate::Sum(value)
        | Aggregate::Average(value)
        | Aggregate::Variance { value, sample: _ }
        | Aggregate::Quantile { value, share: _ } => vec![value],
        Aggregate::Covariance { x, y, sample: _ } | Aggregate::Correlation { x, y } => vec![x, y],
    }
}

/// The conditions under which the clips at the top of a value cut it.
fn clips(value: &Num, into: &mut Vec<Bool>) {
    let (list, beyond) = match value {
        Num::Least(list) => (list, Comparison::Greater),
        Num::Greatest(list) => (list, Comparison::Less),
        _ => return,
    };
    let (Some(inner), Some(end)) = clipped(list) else {
        return;
    };
    let condition = Bool::Compare(beyond, Box::new(inner.clone()), Box::new(Num::Literal(end)));
    if !into.contains(&condition) {
        into.push(condition);
    }
    clips(inner, into);
}

/// What is clipped, and at which number.
pub(crate) fn clipped(list: &[Num]) -> (Option<&Num>, Option<f64>) {
    match list {
        [Num::Literal(end), inner] | [inner, Num::Literal(end)] => (Some(inner), Some(*end)),
        _ => (None, None),
    }
}

/// Whether every value is a whole number.
fn is_whole(value: &Num, scope: &crate::scope::Scope) -> bool {
    use obscura_model::schema::Domain;
    match value {
        Num::Literal(v) => v.fract() == 0.0,
        Num::Column(column) => matches!(
            scope.get(*column).map(|c| &c.domain),
            Some(Domain::Integer { .. } | Domain::Date { .. })
        ),
        Num::Negate(inner) => is_whole(inner, scope),
        Num::Least(list) | Num::Greatest(list) => list.iter().all(|n| is_whole(n, scope)),
        Num::Chain { first, rest } => {
            is_whole(first, scope)
                && rest
                    .iter()
                    .all(|(op, n)| *op != Arith::Divide && is_whole(n, scope))
        }
        _ => false,
    }
}
