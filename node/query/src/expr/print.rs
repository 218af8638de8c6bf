//! Canonical SQL: one text for one tree, and parsing it gives the tree again.

use obscura_model::schema::Domain;
use sqlparser::ast::Expr;
use sqlparser::dialect::AnsiDialect;
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::Parser;

use super::{Any, Arith, Bool, Case, Comparison, Num};
use crate::scope::Scope;

/// Prints expressions with the names of a scope.
pub(crate) struct Printer<'a> {
    pub(crate) scope: &'a Scope,
}

/// A name as SQL: bare if it reads back as itself, quoted otherwise.
pub(crate) fn identifier(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let keyword = ALL_KEYWORDS.binary_search(&upper.as_str()).is_ok();
    if keyword && !reads_as_name(name) {
        quoted(name, '"')
    } else {
        output_name(name)
    }
}

/// Whether the parser takes this keyword for a name wherever the language has names: it knows
/// many more keywords than the language has.
fn reads_as_name(name: &str) -> bool {
    let is_name = |expr: &Expr| matches!(expr, Expr::Identifier(ident) if ident.value == name);
    let difference = format!("{name} - {name}");
    let parsed = Parser::new(&AnsiDialect {}).try_with_sql(&difference);
    let in_expression = match parsed.and_then(|mut p| p.parse_expr()) {
        Ok(Expr::BinaryOp { left, op: _, right }) => is_name(&left) && is_name(&right),
        _ => false,
    };
    let everywhere =
        format!("SELECT {name}, COUNT({name}) FROM {name} WHERE {name} GROUP BY {name}");
    in_expression && Parser::parse_sql(&AnsiDialect {}, &everywhere).is_ok_and(|s| s.len() == 1)
}

/// A name after AS, where keywords are names too.
pub(crate) fn output_name(name: &str) -> String {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(part) {
        name.to_owned()
    } else {
        quoted(name, '"')
    }
}

fn quoted(text: &str, quote: char) -> String {
    let doubled: String = [quote, quote].iter().collect();
    format!("{quote}{}{quote}", text.replace(quote, &doubled))
}

/// A number as SQL, the shortest that reads back as the same float.
pub(crate) fn literal(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-5..1e15).contains(&size) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

impl Printer<'_> {
    pub(crate) fn column(&self, column: usize) -> String {
        self.scope
            .get(column)
            .map_or_else(String::new, |c| identifier(&c.name))
    }

    pub(crate) fn any(&self, value: &Any) -> String {
        match value {
            Any::Num(n) => self.num(n),
            Any::Bool(b) => self.bool(b),
            Any::Category(column) => self.column(*column),
            Any::Null => "NULL".to_owned(),
        }
    }

    pub(crate) fn num(&self, value: &Num) -> String {
        match value {
            Num::Null => "NULL".to_owned(),
            Num::Literal(v) => literal(*v),
            Num::Column(column) => self.column(*column),
            Num::Negate(inner) => format!("-{}", self.atom(inner)),
            Num::Chain { first, rest } => {
                let sum = rest.first().is_some_and(|(op, _)| op.is_sum());
                let mut text = self.link(first, sum, true);
                for (op, next) in rest {
                    text.push_str(match op {
                        Arith::Add => " + ",
                        Arith::Subtract => " - ",
                        Arith::Multiply => " * ",
                        Arith::Divide => " / ",
                    });
                    text.push_str(&self.link(next, sum, false));
                }
                text
            }
            Num::Case(case) => self.case(case, Self::num),
            Num::Least(list) => format!("LEAST({})", self.list(list)),
            Num::Greatest(list) => format!("GREATEST({})", self.list(list)),
        }
    }

    fn list(&self, list: &[Num]) -> String {
        list.iter()
            .map(|n| self.num(n))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// An operand of a chain: parentheses wherever the text would read otherwise.
    fn link(&self, value: &Num, in_sum: bool, first: bool) -> String {
        let bare = match value {
            Num::Chain { first: _, rest } => {
                in_sum && rest.first().is_some_and(|(op, _)| !op.is_sum())
            }
            Num::Negate(_) => first,
            Num::Literal(v) => first || *v >= 0.0,
            Num::Null | Num::Column(_) | Num::Case(_) | Num::Least(_) | Num::Greatest(_) => true,
        };
        // A product that starts with a sign, inside a sum, is parenthesised as a whole.
        let text = self.num(value);
        if bare && (first || !text.starts_with('-')) {
            text
        } else {
            format!("({text})")
        }
    }

    fn atom(&self, value: &Num) -> String {
        match value {
            Num::Null | Num::Column(_) | Num::Case(_) | Num::Least(_) | Num::Greatest(_) => {
                self.num(value)
            }
            Num::Literal(_) | Num::Negate(_) | Num::Chain { first: _, rest: _ } => {
                format!("({})", self.num(value))
            }
        }
    }

    pub(crate) fn case<T>(&self, case: &Case<T>, print: impl Fn(&Self, &T) -> String) -> String {
        let mut text = "CASE".to_owned();
        for (condition, result) in &case.arms {
            text.push_str(&format!(
                " WHEN {} THEN {}",
                self.bool(condition),
                print(self, result)
            ));
        }
        if let Some(otherwise) = &case.otherwise {
            text.push_str(&format!(" ELSE {}", print(self, otherwise)));
        }
        text.push_str(" END");
        text
    }

    pub(crate) fn bool(&self, value: &Bool) -> String {
        match value {
            Bool::Null => "NULL".to_owned(),
            Bool::Literal(true) => "TRUE".to_owned(),
            Bool::Literal(false) => "FALSE".to_owned(),
            Bool::Column(column) => self.column(*column),
            Bool::Compare(comparison, left, right) => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::NotEqual => "<>",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                format!("{} {sign} {}", self.num(left), self.num(right))
            }
            Bool::Between {
                value,
                low,
                high,
                negated,
            } => format!(
                "{} {}BETWEEN {} AND {}",
                self.num(value),
                not(*negated),
                self.num(low),
                self.num(high)
            ),
            Bool::InNumbers {
                value,
                list,
                negated,
            } => {
                let list: Vec<String> = list.iter().map(|v| literal(*v)).collect();
                format!(
                    "{} {}IN ({})",
                    self.num(value),
                    not(*negated),
                    list.join(", ")
                )
            }
            Bool::Among {
                column,
                positions,
                negated,
            } => self.among(*column, positions, *negated),
            Bool::IsNull { value, negated } => {
                let text = match value.as_ref() {
                    Any::Bool(b) => self.operand(b),
                    other => self.any(other),
                };
                format!("{text} IS {}NULL", not(*negated))
            }
            Bool::All(list) => self.join(list, " AND "),
            Bool::Either(list) => self.join(list, " OR "),
            Bool::Not(inner) => format!("NOT {}", self.operand(inner)),
            Bool::Case(case) => self.case(case, Self::bool),
        }
    }

    fn join(&self, list: &[Bool], word: &str) -> String {
        let print = |b: &Bool| match b {
            // AND binds more than OR, but the parentheses keep readers from guessing.
            Bool::All(_) | Bool::Either(_) => format!("({})", self.bool(b)),
            other => self.bool(other),
        };
        list.iter().map(print).collect::<Vec<_>>().join(word)
    }

    fn operand(&self, value: &Bool) -> String {
        match value {
            Bool::Null | Bool::Literal(_) | Bool::Column(_) | Bool::Case(_) => self.bool(value),
            other => format!("({})", self.bool(other)),
        }
    }

    fn among(
        &self,
        column: usize,
        positions: &std::collections::BTreeSet<usize>,
        negated: bool,
    ) -> String {
        let labels: Vec<String> = positions
            .iter()
            .filter_map(|p| category_label(self.scope, column, *p))
            .map(|label| quoted(label, '\''))
            .collect();
        let name = self.column(column);
        match (labels.as_slice(), negated) {
            ([one], false) => format!("{name} = {one}"),
            ([one], true) => format!("{name} <> {one}"),
            (many, _) => format!("{name} {}IN ({})", not(negated), many.join(", ")),
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// The text of a category, by column and declared position.
pub(crate) fn category_label(scope: &Scope, column: usize, position: usize) -> Option<&str> {
    match &scope.get(column)?.domain {
        Domain::Category { values, other: _ } => values.get(position).map(String::as_str),
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Boolean
        | Domain::Date { .. }
        | Domain::Text { .. } => None,
    }
}
