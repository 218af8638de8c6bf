//! The aggregates, and the arguments of the functions of the language.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, ObjectName, ObjectNamePart,
};

use super::advice;
use super::{Lowering, absent, function_place, not_part, place};
use crate::aggregates::AGGREGATES;
use crate::expr::{Any, Num};
use crate::limits::shown;
use crate::query::Aggregate;
use crate::refusal::Refusal;
use sqlparser::tokenizer::Location;

/// A called function, with everything that the language has no rule for checked to be absent.
pub(super) struct Call<'a> {
    pub(super) name: String,
    pub(super) distinct: bool,
    pub(super) arguments: Vec<&'a FunctionArgExpr>,
}

/// Takes a call apart.
pub(super) fn call(function: &Function) -> Result<Call<'_>, Refusal> {
    let at = function_place(function);
    let Function {
        name: ObjectName(parts),
        uses_odbc_syntax,
        parameters,
        args,
        within_group,
        filter,
        null_treatment,
        over,
    } = function;
    let name = match parts.as_slice() {
        [ObjectNamePart::Identifier(ident)] if ident.quote_style.is_none() => {
            ident.value.to_ascii_uppercase()
        }
        _ => return Err(not_part(at, &shown(&function.name.to_string()))),
    };
    absent(!uses_odbc_syntax, at, "{fn}")?;
    absent(
        matches!(parameters, FunctionArguments::None),
        at,
        "a parameter list",
    )?;
    absent(within_group.is_empty(), at, "WITHIN GROUP")?;
    if filter.is_some() {
        return Err(not_part(at, "FILTER"));
    }
    absent(null_treatment.is_none(), at, "the treatment of NULL")?;
    absent(over.is_none(), at, "OVER")?;
    let FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment,
        args,
        clauses,
    }) = args
    else {
        let refusal = not_part(at, &shown(&name));
        return Err(match advice::never(&name) {
            Some(reason) => refusal.suggest(reason),
            None => refusal,
        });
    };
    absent(clauses.is_empty(), at, "a clause inside a function")?;
    let distinct = match duplicate_treatment {
        None => false,
        Some(DuplicateTreatment::Distinct) => true,
        Some(DuplicateTreatment::All) => return Err(not_part(at, "ALL")),
    };
    let arguments = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(arg) => Ok(arg),
            FunctionArg::Named {
                name: _,
                arg: _,
                operator: _,
            }
            | FunctionArg::ExprNamed {
                name: _,
                arg: _,
                operator: _,
            } => Err(not_part(at, "a named argument")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Call {
        name,
        distinct,
        arguments,
    })
}

/// The one expression of an argument.
pub(super) fn expression(argument: &FunctionArgExpr) -> Result<&Expr, Refusal> {
    match argument {
        FunctionArgExpr::Expr(expr) => Ok(expr),
        FunctionArgExpr::Wildcard
        | FunctionArgExpr::QualifiedWildcard(_)
        | FunctionArgExpr::WildcardWithOptions(_) => {
            Err(Refusal::new("only COUNT takes *").suggest("name a column"))
        }
    }
}

impl Lowering<'_> {
    /// One aggregate, or nothing if the function is none.
    pub(super) fn aggregate(
        &mut self,
        call: &Call<'_>,
        at: Location,
    ) -> Result<Option<Aggregate>, Refusal> {
        let Call {
            name,
            distinct,
            arguments,
        } = call;
        let Some(known) = AGGREGATES.iter().find(|a| a.names.contains(&name.as_str())) else {
            return Ok(None);
        };
        if arguments.len() != known.arguments {
            let wanted = match known.arguments {
                1 => "one argument",
                _ => "two arguments",
            };
            let refusal = Refusal::at(at, format!("{} takes {wanted}", shown(name)));
            return Err(refusal.suggest(format!("such as {}", known.example)));
        }
        if *distinct && name != "COUNT" {
            return Err(not_part(at, "DISTINCT in SUM or AVG"));
        }
        let (Some(first), second) = (arguments.first().copied(), arguments.get(1).copied()) else {
            return Ok(None);
        };
        let sample = !name.ends_with("_POP");
        let mut number = |argument| {
            self.summand(argument, name)
                .map_err(|r: Refusal| r.or_at(at))
        };
        let aggregate = match (name.as_str(), second) {
            ("COUNT", _) if *distinct => self.distinct(first).map_err(|r| r.or_at(at))?,
            ("COUNT", _) => match first {
                FunctionArgExpr::Wildcard => Aggregate::Rows,
                other => self.known(expression(other)?)?,
            },
            ("SUM", _) => Aggregate::Sum(number(first)?),
            ("AVG", _) => Aggregate::Average(number(first)?),
            ("MEDIAN", _) => Aggregate::Quantile {
                value: number(first)?,
                share: 0.5,
            },
            ("CORR", Some(second)) => Aggregate::Correlation {
                x: number(first)?,
                y: number(second)?,
            },
            ("COVAR_POP" | "COVAR_SAMP", Some(second)) => Aggregate::Covariance {
                x: number(first)?,
                y: number(second)?,
                sample,
            },
            (_, Some(second)) => {
                let value = number(first)?;
                let share = self.share(second).map_err(|r| r.or_at(at))?;
                Aggregate::Quantile { value, share }
            }
            // Variances and standard deviations; of the latter the root is taken afterwards.
            (_, None) => Aggregate::Variance {
                value: number(first)?,
                sample,
            },
        };
        Ok(Some(aggregate))
    }

    /// The share of a quantile: a plain number above 0 and below 1.
    fn share(&mut self, argument: &FunctionArgExpr) -> Result<f64, Refusal> {
        let expr = expression(argument)?;
        match self.any(expr)? {
            Any::Num(Num::Literal(share)) if share > 0.0 && share < 1.0 => Ok(share),
            _ => Err(Refusal::at(
                place(expr),
                "the share of a quantile is a plain number above 0 and below 1",
            )
            .suggest("write 0.5 for the median")),
        }
    }

    /// COUNT(DISTINCT x): data subjects, or the values of a category that occur.
    fn distinct(&mut self, argument: &FunctionArgExpr) -> Result<Aggregate, Refusal> {
        let expr = expression(argument)?;
        match expr {
            subject if self.subject_side(subject).is_some() => return Ok(Aggregate::Subjects),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                if let Any::Category(column) = self.any(expr)? {
                    return Ok(Aggregate::Categories(column));
                }
            }
            _ => {}
        }
        let subject = crate::expr::identifier(self.scope.subject_column());
        Err(Refusal::at(
            place(expr),
            "DISTINCT counts data subjects and the values of categories only",
        )
        .suggest(format!(
            "write COUNT(DISTINCT {subject}), or group by the column"
        )))
    }

    fn known(&mut self, expr: &Expr) -> Result<Aggregate, Refusal> {
        match self.any(expr)? {
            Any::Null => Ok(Aggregate::Known(Any::Num(Num::Null))),
            value => Ok(Aggregate::Known(value)),
        }
    }

    fn summand(&mut self, argument: &FunctionArgExpr, function: &str) -> Result<Num, Refusal> {
        let expr = expression(argument)?;
        match self.any(expr)? {
            Any::Num(value) => Ok(value),
            Any::Null => Ok(Num::Null),
            Any::Bool(_) => Err(
                Refusal::at(place(expr), format!("{function} takes a number"))
                    .suggest(format!("write {function}(CASE WHEN ... THEN 1 ELSE 0 END)")),
            ),
            Any::Category(_) => Err(
                Refusal::at(place(expr), format!("{function} takes a number"))
                    .suggest("group by the category instead"),
            ),
            Any::Date(_) => Err(Refusal::at(
                place(expr),
                format!("{function} takes a number, not a day"),
            )
            .suggest(advice::NUMBER_FROM_DATE)),
            Any::Text(_) => Err(Refusal::at(
                place(expr),
                format!("{function} takes a number, not a text"),
            )
            .suggest(advice::NUMBER_FROM_TEXT)),
        }
    }
}
