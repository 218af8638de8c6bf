//! Functions, however they are written, by the table of functions.

use sqlparser::ast::{
    CastKind, CeilFloorKind, DateTimeField, Expr, ExtractSyntax, Function as Called,
    FunctionArguments, ObjectNamePart, TrimWhereField,
};
use sqlparser::tokenizer::Location;

use super::aggregate::{Call as Parts, call, expression};
use super::row::as_number;
use super::{Lowering, absent, advice, function_place, not_part, place};
use crate::expr::{Any, Arith, Bool, Call, Num, Text, identifier, longest, same};
use crate::functions::{self, Function, Gives, Takes};
use crate::limits::shown;
use crate::refusal::Refusal;

/// The most characters of a text that an expression makes.
pub(crate) const MOST_CHARACTERS: u32 = 20_000;

impl Lowering<'_> {
    /// An expression that applies a function or an operation with a form of its own.
    pub(super) fn applied(&mut self, expr: &Expr) -> Result<Any, Refusal> {
        let at = place(expr);
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::Cast {
                kind,
                expr: inner,
                data_type,
                format,
            } => {
                let plain = format.is_none();
                match kind {
                    CastKind::Cast | CastKind::TryCast if plain => {
                        self.cast(inner, data_type, expr)
                    }
                    CastKind::Cast
                    | CastKind::TryCast
                    | CastKind::SafeCast
                    | CastKind::DoubleColon => Err(self.without_rule(expr)),
                }
            }
            Expr::Like {
                negated,
                any: false,
                expr: value,
                pattern,
                escape_char,
            } => self.like(value, pattern, escape_char.as_deref(), false, *negated),
            Expr::ILike {
                negated,
                any: false,
                expr: value,
                pattern,
                escape_char,
            } => self.like(value, pattern, escape_char.as_deref(), true, *negated),
            Expr::Extract {
                field,
                syntax: ExtractSyntax::From,
                expr: day,
            } => match unit_of(field) {
                Some(unit) => {
                    let day = self.day(day)?;
                    self.extract(&unit, day, at)
                }
                None => Err(not_part(at, &shown(&field.to_string()))),
            },
            Expr::Ceil { expr, field } => self.rounded("CEIL", expr, field, at),
            Expr::Floor { expr, field } => self.rounded("FLOOR", expr, field, at),
            Expr::Substring {
                expr,
                substring_from: Some(from),
                substring_for,
                special: _,
                shorthand: _,
            } => {
                let mut arguments = vec![expr.as_ref(), from.as_ref()];
                arguments.extend(substring_for.as_deref());
                self.by_name("SUBSTR", &arguments, at)
            }
            Expr::Trim {
                expr,
                trim_where,
                trim_what,
                trim_characters: None,
            } if is_space(trim_what.as_deref()) => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "TRIM",
                    Some(TrimWhereField::Leading) => "LTRIM",
                    Some(TrimWhereField::Trailing) => "RTRIM",
                };
                self.by_name(name, &[expr.as_ref()], at)
            }
            Expr::TypedString(typed) => super::days::literal(typed).map(Any::Date),
            _ => Err(self.without_rule(expr)),
        }
    }

    fn rounded(
        &mut self,
        name: &str,
        expr: &Expr,
        field: &CeilFloorKind,
        at: Location,
    ) -> Result<Any, Refusal> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                self.by_name(name, &[expr], at)
            }
            CeilFloorKind::DateTimeField(_) | CeilFloorKind::Scale(_) => {
                Err(not_part(at, &format!("a second argument of {name}"))
                    .suggest("use ROUND(x, digits), or DATE_TRUNC('month', d)"))
            }
        }
    }

    fn function(&mut self, function: &Called) -> Result<Any, Refusal> {
        let at = function_place(function);
        if let [ObjectNamePart::Identifier(ident)] = function.name.0.as_slice()
            && ident.quote_style.is_none()
            && let Some(refused) = advice::never(&ident.value.to_ascii_uppercase())
        {
            let what = format!("the function {}", shown(&ident.value.to_ascii_uppercase()));
            return Err(not_part(at, &what).suggest(refused));
        }
        if matches!(function.args, FunctionArguments::None) {
            return Err(not_part(at, &shown(&function.name.to_string())));
        }
        let Parts {
            name,
            distinct,
            arguments,
        } = call(function)?;
        if advice::is_aggregate(&name) || advice::is_of_person(&name) {
            return Err(self.no_aggregate(&name, at));
        }
        absent(!distinct, at, "DISTINCT here")?;
        let arguments = arguments
            .into_iter()
            .map(|a| expression(a).map_err(|r| r.or_at(at)))
            .collect::<Result<Vec<&Expr>, _>>()?;
        self.by_name(&name, &arguments, at)
    }

    /// An aggregate where a row expression is read.
    fn no_aggregate(&self, name: &str, at: Location) -> Refusal {
        let inside = self.grouping.is_some() || self.row_by_row;
        if inside && !advice::is_of_person(name) {
            return Refusal::at(at, format!("{name} cannot stand in a subquery"))
                .suggest(advice::OF_PERSON);
        }
        if self.row_by_row {
            let subject = identifier(self.scope.subject_column());
            return Refusal::at(
                at,
                format!("{name} sums up rows, and this subquery has no groups"),
            )
            .suggest(format!("add GROUP BY {subject}"));
        }
        Refusal::at(at, format!("{name} cannot stand inside an expression")).suggest(advice::INSIDE)
    }

    fn by_name(&mut self, name: &str, arguments: &[&Expr], at: Location) -> Result<Any, Refusal> {
        match name {
            "LEAST" => self.extreme(name, Num::Least, arguments, at),
            "GREATEST" => self.extreme(name, Num::Greatest, arguments, at),
            "MOD" => match arguments {
                [left, right] => {
                    let (left, right) = (self.number(left)?, self.number(right)?);
                    Ok(Any::Num(Num::chain(left, Arith::Remainder, right)))
                }
                _ => Err(Refusal::at(at, "MOD takes two arguments")),
            },
            "IF" | "IIF" => match arguments {
                [condition, yes, no] => self.choice(condition, yes, no, at),
                _ => Err(Refusal::at(at, format!("{name} takes three arguments"))),
            },
            "REGEXP_LIKE" | "REGEXP_MATCHES" => self.regexp_like(arguments, at),
            "YEAR" | "QUARTER" | "MONTH" | "WEEK" | "DAY" | "DAYOFMONTH" | "DOW" | "ISODOW"
            | "DOY" | "DAYOFYEAR" => match arguments {
                [day] => {
                    let day = self.day(day)?;
                    let unit = match name {
                        "DAYOFMONTH" => "day".to_owned(),
                        "DAYOFYEAR" => "doy".to_owned(),
                        other => other.to_ascii_lowercase(),
                    };
                    self.extract(&unit, day, at)
                }
                _ => Err(Refusal::at(at, format!("{name} takes one day"))),
            },
            other => match functions::find(other) {
                Some(function) => self.table_call(function, arguments, at),
                None => {
                    let refusal = not_part(at, &format!("the function {}", shown(other)));
                    Err(refusal.suggest(advice::function(other)))
                }
            },
        }
    }

    fn extreme(
        &mut self,
        name: &str,
        make: fn(Vec<Num>) -> Num,
        arguments: &[&Expr],
        at: Location,
    ) -> Result<Any, Refusal> {
        if arguments.is_empty() {
            return Err(Refusal::at(at, format!("{name} needs numbers")));
        }
        let values = self.each(arguments)?;
        if values.iter().any(|v| matches!(v, Any::Date(_))) {
            let days = values.into_iter().zip(arguments);
            let days = days.map(|(value, expr)| self.as_day(value, expr));
            return Ok(Any::Date(make(days.collect::<Result<_, _>>()?)));
        }
        let numbers = values.into_iter().zip(arguments);
        let numbers = numbers.map(|(value, expr)| as_number(value, place(expr)));
        Ok(Any::Num(make(numbers.collect::<Result<_, _>>()?)))
    }

    fn each(&mut self, arguments: &[&Expr]) -> Result<Vec<Any>, Refusal> {
        arguments.iter().map(|a| self.any(a)).collect()
    }

    /// `IF(c, a, b)` is a CASE.
    fn choice(
        &mut self,
        condition: &Expr,
        yes: &Expr,
        no: &Expr,
        at: Location,
    ) -> Result<Any, Refusal> {
        let tests = vec![self.condition(condition)?];
        let results = vec![self.any(yes)?, self.any(no)?];
        self.chosen(tests, results, at)
    }

    fn table_call(
        &mut self,
        function: &'static Function,
        arguments: &[&Expr],
        at: Location,
    ) -> Result<Any, Refusal> {
        let (fewest, most) = function.counts();
        let count = arguments.len();
        if count < fewest || count > most {
            let wanted = if fewest == most {
                fewest.to_string()
            } else {
                format!("{fewest} to {most}")
            };
            let reason = format!("{} takes {wanted} arguments, not {count}", function.name);
            return Err(Refusal::at(at, reason));
        }
        let mut lowered = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            let takes = function.takes(index).unwrap_or(Takes::Same);
            lowered.push(self.argument(function, takes, argument)?);
        }
        if function.takes(0) == Some(Takes::Same) {
            lowered = self.of_one_type(function, lowered, arguments, at)?;
        }
        if function.name == "WIDTH_BUCKET"
            && let [
                _,
                Any::Num(Num::Literal(low)),
                Any::Num(Num::Literal(high)),
                _,
            ] = lowered.as_slice()
            && low >= high
        {
            return Err(Refusal::at(
                at,
                "the lower end of the classes is not below the upper",
            ));
        }
        self.made(function, lowered, at)
    }

    fn of_one_type(
        &mut self,
        function: &'static Function,
        mut values: Vec<Any>,
        exprs: &[&Expr],
        at: Location,
    ) -> Result<Vec<Any>, Refusal> {
        if values.iter().any(|v| matches!(v, Any::Date(_))) {
            let pairs = values.into_iter().zip(exprs);
            let days = pairs.map(|(value, expr)| self.day_if_text(value, expr));
            values = days.collect::<Result<_, _>>()?;
        }
        let same = same(values, &self.scope).ok_or_else(|| {
            Refusal::at(
                at,
                format!("the arguments of {} are not all of one type", function.name),
            )
        })?;
        Ok(same.anys())
    }

    fn argument(
        &mut self,
        function: &'static Function,
        takes: Takes,
        expr: &Expr,
    ) -> Result<Any, Refusal> {
        let at = place(expr);
        let name = function.name;
        match takes {
            Takes::Number => self.number(expr).map(Any::Num),
            Takes::Date => self.day(expr).map(Any::Date),
            Takes::Text => self.text(expr).map(Any::Text),
            Takes::Truth => self.condition(expr).map(Any::Bool),
            Takes::Same => self.any(expr),
            Takes::Whole(low, high) => match self.any(expr)? {
                Any::Num(Num::Literal(v))
                    if v.fract() == 0.0 && (f64::from(low)..=f64::from(high)).contains(&v) =>
                {
                    Ok(Any::Num(Num::Literal(v)))
                }
                _ => Err(Refusal::at(
                    at,
                    format!("{name} takes a plain whole number from {low} to {high} here"),
                )),
            },
            Takes::Constant => match self.any(expr)? {
                Any::Num(Num::Literal(v)) => Ok(Any::Num(Num::Literal(v))),
                _ => Err(Refusal::at(at, format!("{name} takes a plain number here"))),
            },
            Takes::Unit(units) => {
                let written = super::compare::text_literal(expr).map(str::to_ascii_lowercase);
                let found = units.iter().find(|u| Some(**u) == written.as_deref());
                match found {
                    Some(unit) => Ok(Any::Text(Text::Literal((*unit).to_owned()))),
                    None => Err(
                        Refusal::at(at, format!("{name} takes the name of a period here"))
                            .suggest(format!("write one of '{}'", units.join("', '"))),
                    ),
                }
            }
        }
    }

    /// A call with checked arguments, by what it gives. A text of unbounded length is refused.
    pub(super) fn made(
        &mut self,
        function: &'static Function,
        arguments: Vec<Any>,
        at: Location,
    ) -> Result<Any, Refusal> {
        let call = Call {
            function,
            arguments,
        };
        match call.gives() {
            Gives::Number | Gives::Same => Ok(Any::Num(Num::Call(call))),
            Gives::Date => Ok(Any::Date(Num::Call(call))),
            Gives::Truth => Ok(Any::Bool(Bool::Call(call))),
            Gives::Text => {
                let text = Text::Call(call);
                let length = longest(&text, &self.scope);
                if length > MOST_CHARACTERS {
                    return Err(Refusal::at(
                        at,
                        format!(
                            "the text could have {length} characters and the most is \
                             {MOST_CHARACTERS}"
                        ),
                    )
                    .suggest("cut its parts with SUBSTR(x, 1, n)"));
                }
                Ok(Any::Text(text))
            }
        }
    }

    /// A part of a day.
    fn extract(&mut self, unit: &str, day: Num, at: Location) -> Result<Any, Refusal> {
        let Some(function) = functions::find("EXTRACT") else {
            return Err(not_part(at, "EXTRACT"));
        };
        match function.takes(0) {
            Some(Takes::Unit(units)) if units.contains(&unit) => {
                let unit = Any::Text(Text::Literal(unit.to_owned()));
                self.made(function, vec![unit, Any::Date(day)], at)
            }
            _ => Err(not_part(at, &format!("the part {}", shown(unit)))
                .suggest("days have years, quarters, months, weeks and days only")),
        }
    }
}

/// Whether spaces are trimmed, as by default.
fn is_space(what: Option<&Expr>) -> bool {
    what.is_none_or(|what| super::compare::text_literal(what) == Some(" "))
}

/// The name of a part of a day, as the table of functions has it.
fn unit_of(field: &DateTimeField) -> Option<String> {
    Some(
        match field {
            DateTimeField::Year | DateTimeField::Years => "year",
            DateTimeField::Quarter => "quarter",
            DateTimeField::Month | DateTimeField::Months => "month",
            DateTimeField::Week(None) | DateTimeField::Weeks | DateTimeField::IsoWeek => "week",
            DateTimeField::Day | DateTimeField::Days => "day",
            DateTimeField::Dow | DateTimeField::DayOfWeek => "dow",
            DateTimeField::Isodow => "isodow",
            DateTimeField::Doy | DateTimeField::DayOfYear => "doy",
            _ => return None,
        }
        .to_owned(),
    )
}
