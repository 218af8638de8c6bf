//! What a query releases: aggregates, and post-processing over them.

use std::collections::BTreeSet;

use obscura_model::answer::Function;
use obscura_model::schema::{Domain, TextKeys};

use crate::expr::{Any, Bool, Case, Num, Printer, Text, Words, identifier, literal};
use crate::expr::{cost_of_bool, cost_of_characters, cost_of_num};
use crate::scope::Scope;

/// Skipping a blank before a key, in nanoseconds: at least twice what is measured.
const BLANK: u64 = 20;

/// What one output aggregates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Aggregate {
    /// COUNT(*).
    Rows,
    /// COUNT(x): the rows in which x is not missing.
    Known(Any),
    /// COUNT(DISTINCT subject).
    Subjects,
    /// COUNT(DISTINCT category), by column.
    Categories(usize),
    /// SUM(x).
    Sum(Num),
    /// AVG(x).
    Average(Num),
    /// VAR_POP(x) or VAR_SAMP(x).
    Variance { value: Num, sample: bool },
    /// COVAR_POP(x, y) or COVAR_SAMP(x, y).
    Covariance { x: Num, y: Num, sample: bool },
    /// CORR(x, y).
    Correlation { x: Num, y: Num },
    /// APPROX_PERCENTILE_CONT(x, share).
    Quantile { value: Num, share: f64 },
}

/// A released value, or a condition over released values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Released {
    Aggregate(Aggregate),
    Literal(f64),
    Missing,
    /// The position of the group in a key: to order by only.
    Key(usize),
    /// Whether the group is one of these in a key.
    KeyAmong {
        key: usize,
        labels: BTreeSet<usize>,
    },
    Apply(Function, Vec<Released>),
}

/// One group key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyDefinition {
    pub(crate) name: String,
    pub(crate) value: KeyValue,
    /// In declared order.
    pub(crate) labels: Vec<String>,
}

/// What a key's groups are told by. Whatever is outside the list belongs to no group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyValue {
    /// A category column.
    Category(usize),
    /// false, true.
    Truth(Bool),
    /// A number with these values, by label.
    Number { value: Num, values: Vec<f64> },
    /// A CASE that gives texts.
    Texts(Case<String>),
    /// A text made of one category, with what it is for each of the column's declared labels, in
    /// order, and last for a missing value.
    Made {
        value: Text,
        column: usize,
        texts: Vec<Option<String>>,
    },
    /// The values of a text column that enough people have; nobody declared them.
    Found { column: usize, keys: TextKeys },
}

impl KeyValue {
    /// Adds the columns that the key reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            KeyValue::Category(column)
            | KeyValue::Found { column, keys: _ }
            | KeyValue::Made {
                value: _,
                column,
                texts: _,
            } => {
                into.insert(*column);
            }
            KeyValue::Truth(condition) => condition.columns(into),
            KeyValue::Number { value, values: _ } => value.columns(into),
            KeyValue::Texts(case) => case.arms.iter().for_each(|(b, _)| b.columns(into)),
        }
    }

    /// The column, if the key is a column alone.
    pub(crate) fn column(&self) -> Option<usize> {
        match self {
            KeyValue::Category(column)
            | KeyValue::Found { column, keys: _ }
            | KeyValue::Truth(Bool::Column(column)) => Some(*column),
            KeyValue::Number {
                value: Num::Column(column),
                values: _,
            } => Some(*column),
            _ => None,
        }
    }

    /// What the key costs on each row beyond its words and signs.
    pub(crate) fn cost(&self, scope: &Scope) -> u64 {
        match self {
            // Skipping blanks, of which the whole text may be made; cutting the key, and comparing
            // it with the subject's other keys.
            KeyValue::Found { column, keys } => {
                let whole = match scope.get(*column).map(|c| &c.domain) {
                    Some(Domain::Text { most_characters }) => *most_characters,
                    _ => u32::MAX,
                };
                let key = u64::from(keys.characters) * u64::from(keys.per_person);
                cost_of_characters(whole.into(), BLANK).saturating_add(key)
            }
            // A text made of a category is looked up.
            KeyValue::Category(_)
            | KeyValue::Made {
                value: _,
                column: _,
                texts: _,
            } => 0,
            // It and its opposite.
            KeyValue::Truth(condition) => cost_of_bool(condition, scope).saturating_mul(2),
            KeyValue::Number { value, values: _ } => cost_of_num(value, scope),
            KeyValue::Texts(case) => {
                let arms = case.arms.iter().map(|(b, _)| cost_of_bool(b, scope));
                arms.fold(0, u64::saturating_add)
            }
        }
    }

    /// How the key's groups are found, if nobody declared them.
    pub(crate) fn found(&self) -> Option<TextKeys> {
        match self {
            KeyValue::Found { column: _, keys } => Some(*keys),
            _ => None,
        }
    }

    pub(crate) fn print(&self, printer: &Printer<'_>) -> String {
        match self {
            KeyValue::Category(column) | KeyValue::Found { column, keys: _ } => {
                printer.column(*column)
            }
            KeyValue::Truth(condition) => printer.bool(condition),
            KeyValue::Number { value, values: _ } => printer.num(value),
            KeyValue::Texts(case) => printer.case(case, |_, text| quoted(text)),
            KeyValue::Made {
                value,
                column: _,
                texts: _,
            } => printer.text(value),
        }
    }

    pub(crate) fn words(&self, words: &Words<'_>) -> String {
        match self {
            KeyValue::Category(column) | KeyValue::Found { column, keys: _ } => {
                words.any(&Any::Category(*column))
            }
            KeyValue::Truth(condition) => words.any(&Any::Bool(condition.clone())),
            KeyValue::Number { value, values: _ } => words.num(value),
            KeyValue::Texts(case) => words.case(case, |_, text| format!("'{text}'")),
            KeyValue::Made {
                value,
                column: _,
                texts: _,
            } => words.any(&Any::Text(value.clone())),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Aggregate {
    /// Adds the columns that the aggregate reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            Aggregate::Rows | Aggregate::Subjects => {}
            Aggregate::Known(value) => value.columns(into),
            Aggregate::Categories(column) => {
                into.insert(*column);
            }
            Aggregate::Sum(value)
            | Aggregate::Average(value)
            | Aggregate::Variance { value, sample: _ }
            | Aggregate::Quantile { value, share: _ } => value.columns(into),
            Aggregate::Covariance { x, y, sample: _ } | Aggregate::Correlation { x, y } => {
                x.columns(into);
                y.columns(into);
            }
        }
    }

    fn print(&self, printer: &Printer<'_>, scope: &Scope) -> String {
        let two = |name: &str, x: &Num, y: &Num| {
            format!("{name}({}, {})", printer.num(x), printer.num(y))
        };
        match self {
            Aggregate::Rows => "COUNT(*)".to_owned(),
            Aggregate::Known(value) => format!("COUNT({})", printer.any(value)),
            Aggregate::Subjects => {
                format!("COUNT(DISTINCT {})", identifier(scope.subject_column()))
            }
            Aggregate::Categories(column) => format!("COUNT(DISTINCT {})", printer.column(*column)),
            Aggregate::Sum(value) => format!("SUM({})", printer.num(value)),
            Aggregate::Average(value) => format!("AVG({})", printer.num(value)),
            Aggregate::Variance { value, sample } => {
                let name = if *sample { "VAR_SAMP" } else { "VAR_POP" };
                format!("{name}({})", printer.num(value))
            }
            Aggregate::Covariance { x, y, sample } => {
                two(if *sample { "COVAR_SAMP" } else { "COVAR_POP" }, x, y)
            }
            Aggregate::Correlation { x, y } => two("CORR", x, y),
            Aggregate::Quantile { value, share } => {
                let share = literal(*share);
                format!("APPROX_PERCENTILE_CONT({}, {share})", printer.num(value))
            }
        }
    }
}

/// How strongly a form binds, for parentheses.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Binds {
    Logic,
    Comparison,
    Sum,
    Product,
    Atom,
}

impl Released {
    /// Adds the columns that are read.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        self.each(&mut |aggregate| aggregate.columns(into));
    }

    /// Calls `each` with every aggregate, from left to right.
    pub(crate) fn each(&self, each: &mut dyn FnMut(&Aggregate)) {
        match self {
            Released::Aggregate(aggregate) => each(aggregate),
            Released::Apply(_, arguments) => arguments.iter().for_each(|a| a.each(each)),
            Released::Literal(_)
            | Released::Missing
            | Released::Key(_)
            | Released::KeyAmong { .. } => {}
        }
    }

    /// Whether it is a condition.
    pub(crate) fn is_condition(&self) -> bool {
        use Function as F;
        match self {
            Released::KeyAmong { .. } => true,
            Released::Apply(function, _) => matches!(
                function,
                F::Equal
                    | F::NotEqual
                    | F::Less
                    | F::LessOrEqual
                    | F::Greater
                    | F::GreaterOrEqual
                    | F::And
                    | F::Or
                    | F::Not
                    | F::IsMissing
            ),
            Released::Aggregate(_)
            | Released::Literal(_)
            | Released::Missing
            | Released::Key(_) => false,
        }
    }

    fn binds(&self) -> Binds {
        use Function as F;
        match self {
            Released::Apply(F::And | F::Or | F::Not, _) => Binds::Logic,
            Released::Apply(F::Add | F::Subtract, _) => Binds::Sum,
            Released::Apply(F::Multiply | F::Divide, _) => Binds::Product,
            Released::Literal(v) if *v < 0.0 => Binds::Sum,
            Released::Apply(F::Negate, _) => Binds::Sum,
            Released::KeyAmong { .. } => Binds::Comparison,
            other if other.is_condition() => Binds::Comparison,
            _ => Binds::Atom,
        }
    }

    /// As SQL, with parentheses wherever the text would read otherwise.
    pub(crate) fn print(
        &self,
        printer: &Printer<'_>,
        scope: &Scope,
        keys: &[KeyDefinition],
    ) -> String {
        let print = |r: &Released, least: Binds| {
            let text = r.print(printer, scope, keys);
            if r.binds() >= least {
                text
            } else {
                format!("({text})")
            }
        };
        let name = |key: &usize| {
            keys.get(*key)
                .map_or_else(String::new, |k| identifier(&k.name))
        };
        match self {
            Released::Aggregate(aggregate) => aggregate.print(printer, scope),
            Released::Literal(v) => literal(*v),
            Released::Missing => "NULL".to_owned(),
            Released::Key(key) => name(key),
            Released::KeyAmong { key, labels } => {
                let known = keys.get(*key).map_or(&[][..], |k| &k.labels);
                let labels: Vec<String> = labels
                    .iter()
                    .filter_map(|l| known.get(*l))
                    .map(|l| quoted(l))
                    .collect();
                format!("{} IN ({})", name(key), labels.join(", "))
            }
            Released::Apply(function, arguments) => apply(*function, arguments, &print),
        }
    }

    /// For people.
    pub(crate) fn words(&self, words: &Words<'_>, scope: &Scope, keys: &[KeyDefinition]) -> String {
        let tell = |r: &Released| {
            let text = r.words(words, scope, keys);
            match r {
                Released::Apply(_, list) if list.len() > 1 => format!("({text})"),
                _ => text,
            }
        };
        let name = |key: &usize| keys.get(*key).map_or("", |k| k.name.as_str());
        match self {
            Released::Aggregate(aggregate) => super::tell::short(aggregate, words, scope),
            Released::Literal(v) => literal(*v),
            Released::Missing => "nothing".to_owned(),
            Released::Key(key) => name(key).to_owned(),
            Released::KeyAmong { key, labels } => {
                let known = keys.get(*key).map_or(&[][..], |k| &k.labels);
                let labels: Vec<String> = labels
                    .iter()
                    .filter_map(|l| known.get(*l))
                    .map(|l| format!("'{l}'"))
                    .collect();
                format!("{} is {}", name(key), crate::expr::join(&labels, "or"))
            }
            Released::Apply(function, arguments) => {
                let told: Vec<String> = arguments.iter().map(tell).collect();
                super::tell::apply(*function, &told)
            }
        }
    }
}

fn apply(
    function: Function,
    arguments: &[Released],
    print: &dyn Fn(&Released, Binds) -> String,
) -> String {
    use Function as F;
    let infix = |sign: &str, left: Binds, right: Binds| match arguments {
        [a, b] => format!("{} {sign} {}", print(a, left), print(b, right)),
        _ => String::new(),
    };
    let one = |least: Binds| {
        arguments
            .first()
            .map_or_else(String::new, |a| print(a, least))
    };
    let list = |sign: &str, least: Binds| {
        let all: Vec<String> = arguments.iter().map(|a| print(a, least)).collect();
        all.join(sign)
    };
    let compared = |sign: &str| infix(sign, Binds::Sum, Binds::Sum);
    match function {
        F::Add => infix("+", Binds::Sum, Binds::Product),
        F::Subtract => infix("-", Binds::Sum, Binds::Product),
        F::Multiply => infix("*", Binds::Product, Binds::Atom),
        F::Divide => infix("/", Binds::Product, Binds::Atom),
        F::Negate => format!("-{}", one(Binds::Atom)),
        F::Equal => compared("="),
        F::NotEqual => compared("<>"),
        F::Less => compared("<"),
        F::LessOrEqual => compared("<="),
        F::Greater => compared(">"),
        F::GreaterOrEqual => compared(">="),
        F::And => list(" AND ", Binds::Comparison),
        F::Or => list(" OR ", Binds::Comparison),
        F::Not => format!("NOT ({})", one(Binds::Logic)),
        F::IsMissing => format!("{} IS NULL", one(Binds::Atom)),
        F::Case => {
            let mut text = "CASE".to_owned();
            for pair in arguments.chunks(2) {
                match pair {
                    [condition, value] => text.push_str(&format!(
                        " WHEN {} THEN {}",
                        print(condition, Binds::Logic),
                        print(value, Binds::Logic)
                    )),
                    [otherwise] => {
                        text.push_str(&format!(" ELSE {}", print(otherwise, Binds::Logic)));
                    }
                    _ => {}
                }
            }
            text + " END"
        }
        named => format!("{}({})", name(named), list(", ", Binds::Logic)),
    }
}

/// The name of a function that is written as a call.
pub(crate) fn name(function: Function) -> &'static str {
    NAMED
        .iter()
        .find(|(_, f)| *f == function)
        .map_or("", |(name, _)| name)
}

/// Functions of released values that are written as calls.
pub(crate) const NAMED: [(&str, Function); 13] = [
    ("ROUND", Function::Round),
    ("FLOOR", Function::Floor),
    ("CEIL", Function::Ceil),
    ("CEILING", Function::Ceil),
    ("ABS", Function::Abs),
    ("SQRT", Function::Sqrt),
    ("LN", Function::Ln),
    ("EXP", Function::Exp),
    ("LEAST", Function::Least),
    ("GREATEST", Function::Greatest),
    ("COALESCE", Function::Coalesce),
    ("NULLIF", Function::NullIf),
    ("IFNULL", Function::Coalesce),
];
