//! Canonical SQL: one text for one tree, and parsing it gives the tree again.

use obscura_model::calendar;
use obscura_model::schema::Domain;
use sqlparser::ast::Expr;
use sqlparser::dialect::AnsiDialect;
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::Parser;

use super::{Any, Arith, Bool, Call, Case, Comparison, Num, PatternKind, Text, is_date};
use crate::functions::Form;
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

/// A text as SQL.
pub(super) fn quoted(text: &str, quote: char) -> String {
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
        self.scope.sql(column)
    }

    pub(crate) fn any(&self, value: &Any) -> String {
        match value {
            Any::Num(n) | Any::Date(n) => self.num(n),
            Any::Bool(b) => self.bool(b),
            Any::Text(t) => self.text(t),
            Any::Category(column) => self.column(*column),
            Any::Null => "NULL".to_owned(),
        }
    }

    pub(crate) fn num(&self, value: &Num) -> String {
        match value {
            Num::Null => "NULL".to_owned(),
            Num::Literal(v) => literal(*v),
            Num::Day(day) => day_literal(*day),
            Num::Column(column) => self.column(*column),
            Num::Call(call) => self.call(call),
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
                        Arith::Remainder => " % ",
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
            Num::Call(call) => !matches!(call.function.form, Form::Infix(_)),
            Num::Null
            | Num::Day(_)
            | Num::Column(_)
            | Num::Case(_)
            | Num::Least(_)
            | Num::Greatest(_) => true,
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
            Num::Call(call) if !matches!(call.function.form, Form::Infix(_)) => self.num(value),
            Num::Null
            | Num::Day(_)
            | Num::Column(_)
            | Num::Case(_)
            | Num::Least(_)
            | Num::Greatest(_) => self.num(value),
            Num::Literal(_) | Num::Negate(_) | Num::Chain { first: _, rest: _ } | Num::Call(_) => {
                format!("({})", self.num(value))
            }
        }
    }

    pub(crate) fn text(&self, value: &Text) -> String {
        match value {
            Text::Null => "NULL".to_owned(),
            Text::Literal(text) => quoted(text, '\''),
            Text::Column(column) | Text::Category { column, labels: _ } => self.column(*column),
            Text::Case(case) => self.case(case, Self::text),
            Text::Call(call) => self.call(call),
        }
    }

    fn call(&self, call: &Call) -> String {
        let arguments = || call.arguments.iter().map(|a| self.argument(a));
        match call.function.form {
            Form::Call => {
                let list: Vec<String> = arguments().collect();
                format!("{}({})", call.function.name, list.join(", "))
            }
            Form::Cast(name) => {
                let value: String = arguments().collect();
                format!("CAST({value} AS {name})")
            }
            Form::Extract => {
                let unit = call.arguments.iter().find_map(|a| match a {
                    Any::Text(Text::Literal(unit)) => Some(unit.to_ascii_uppercase()),
                    _ => None,
                });
                let value = arguments().next_back().unwrap_or_default();
                format!("EXTRACT({} FROM {value})", unit.unwrap_or_default())
            }
            Form::Infix(sign) => {
                let operands: Vec<String> = call.arguments.iter().map(|a| self.side(a)).collect();
                operands.join(&format!(" {sign} "))
            }
        }
    }

    /// A condition as an argument stands in parentheses, as everywhere inside an expression.
    fn argument(&self, value: &Any) -> String {
        match value {
            Any::Bool(b) => self.operand(b),
            other => self.any(other),
        }
    }

    /// A side of an operation on days.
    fn side(&self, value: &Any) -> String {
        match value {
            Any::Num(Num::Literal(v)) if *v >= 0.0 => literal(*v),
            Any::Num(n) | Any::Date(n) => self.atom(n),
            other => self.any(other),
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
                let sign = sign(*comparison);
                format!("{} {sign} {}", self.num(left), self.num(right))
            }
            Bool::CompareTexts(comparison, left, right) => {
                let sign = sign(*comparison);
                format!("{} {sign} {}", self.text(left), self.text(right))
            }
            Bool::InTexts { value: _, list: _ }
            | Bool::Matches {
                value: _,
                pattern: _,
            }
            | Bool::InCodes { value: _, codes: _ } => self.membership(value, ""),
            Bool::Is {
                value,
                truth,
                negated,
            } => {
                let word = if *truth { "TRUE" } else { "FALSE" };
                format!("{} IS {}{word}", self.operand(value), not(*negated))
            }
            Bool::Distinct {
                left,
                right,
                negated,
            } => format!(
                "{} IS {}DISTINCT FROM {}",
                self.argument(left),
                not(*negated),
                self.argument(right)
            ),
            Bool::Call(call) => self.call(call),
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
            } => self.in_numbers(value, list, not(*negated)),
            Bool::Among {
                column,
                positions,
                negated,
            } => self.among(*column, positions, *negated),
            Bool::IsNull { value, negated } => {
                format!("{} IS {}NULL", self.argument(value), not(*negated))
            }
            Bool::All(list) => self.join(list, " AND "),
            Bool::Either(list) => self.join(list, " OR "),
            Bool::Not(inner) => self.contrary(inner),
            Bool::Case(case) => self.case(case, Self::bool),
        }
    }

    fn in_numbers(&self, value: &Num, list: &[f64], not: &str) -> String {
        let days = is_date(value, self.scope);
        let print = |v: &f64| {
            if days {
                day_literal(*v as i32)
            } else {
                literal(*v)
            }
        };
        let list: Vec<String> = list.iter().map(print).collect();
        format!("{} {not}IN ({})", self.num(value), list.join(", "))
    }

    fn contrary(&self, of: &Bool) -> String {
        match of {
            Bool::InTexts { value: _, list: _ } | Bool::InCodes { value: _, codes: _ } => {
                self.membership(of, "NOT ")
            }
            Bool::Matches { value: _, pattern }
                if matches!(pattern.kind(), PatternKind::Like { .. }) =>
            {
                self.membership(of, "NOT ")
            }
            of => format!("NOT {}", self.operand(of)),
        }
    }

    /// Conditions that say NOT in their middle.
    fn membership(&self, condition: &Bool, not: &str) -> String {
        match condition {
            Bool::InTexts { value, list } => {
                let list: Vec<String> = list.iter().map(|t| quoted(t, '\'')).collect();
                format!("{} {not}IN ({})", self.text(value), list.join(", "))
            }
            Bool::InCodes { value, codes } => {
                let reference = quoted(&codes.reference, '\'');
                format!("{} {not}IN CODELIST({reference})", self.text(value))
            }
            Bool::Matches { value, pattern } => {
                let (value, source) = (self.text(value), quoted(pattern.source(), '\''));
                match pattern.kind() {
                    PatternKind::Like {
                        ignore_case,
                        escape,
                    } => {
                        let like = if ignore_case { "ILIKE" } else { "LIKE" };
                        let escape = escape.map_or_else(String::new, |c| {
                            format!(" ESCAPE {}", quoted(&c.to_string(), '\''))
                        });
                        format!("{value} {not}{like} {source}{escape}")
                    }
                    PatternKind::Regex { ignore_case } => {
                        let flag = if ignore_case { ", 'i'" } else { "" };
                        format!("{not}REGEXP_LIKE({value}, {source}{flag})")
                    }
                }
            }
            other => self.bool(other),
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

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A day as SQL.
fn day_literal(day: i32) -> String {
    format!("DATE '{}'", calendar::label(day))
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
