//! COUNT, SUM and AVG, and the arguments of the functions of the language.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, ObjectName, ObjectNamePart,
};

use super::{Lowering, absent, advice, function_place, not_part, place};
use crate::expr::{Any, Num};
use crate::limits::shown;
use crate::query::Aggregate;
use crate::refusal::Refusal;

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
        return Err(not_part(at, &shown(&name)));
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
    /// One aggregate output.
    pub(super) fn aggregate(&mut self, expr: &Expr) -> Result<Aggregate, Refusal> {
        let at = place(expr);
        let Expr::Function(function) = expr else {
            return Err(
                Refusal::at(at, "an output is COUNT, SUM or AVG, or a group key")
                    .suggest("compute further with the released numbers"),
            );
        };
        let Call {
            name,
            distinct,
            arguments,
        } = call(function)?;
        let argument = match arguments.as_slice() {
            [one] => *one,
            _ => {
                return Err(Refusal::at(
                    at,
                    format!("{} takes one argument", shown(&name)),
                ));
            }
        };
        match (name.as_str(), distinct) {
            ("COUNT", true) => self.subjects(argument).map_err(|r| r.or_at(at)),
            ("COUNT", false) => match argument {
                FunctionArgExpr::Wildcard => Ok(Aggregate::Rows),
                other => self.known(expression(other)?),
            },
            ("SUM", false) => Ok(Aggregate::Sum(self.summand(argument, "SUM")?)),
            ("AVG", false) => Ok(Aggregate::Average(self.summand(argument, "AVG")?)),
            ("SUM" | "AVG", true) => Err(not_part(at, "DISTINCT in SUM or AVG")),
            _ => Err(not_part(at, &format!("the function {}", shown(&name)))
                .suggest(advice::aggregate(&name))),
        }
    }

    fn subjects(&self, argument: &FunctionArgExpr) -> Result<Aggregate, Refusal> {
        match expression(argument)? {
            Expr::Identifier(ident) if self.is_subject(ident) => Ok(Aggregate::Subjects),
            other => {
                let subject = crate::expr::identifier(self.scope.subject_column());
                Err(
                    Refusal::at(place(other), "DISTINCT counts data subjects only").suggest(
                        format!("write COUNT(DISTINCT {subject}), or group by the column"),
                    ),
                )
            }
        }
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
