//! What a subquery shows: the subject column, and columns by their names.

use sqlparser::ast::{Expr, Ident, SelectItem, WildcardAdditionalOptions};
use sqlparser::tokenizer::Location;

use super::domain::{domain, whole_column};
use super::relation::given_name;
use super::{Lowering, absent, means, not_part, place};
use crate::expr::{Any, identifier};
use crate::refusal::Refusal;
use crate::relation::{Output, Relation, Value};

/// The most columns that a subquery shows.
const MOST_OUTPUTS: usize = 100;

impl Lowering<'_> {
    /// The outputs of a subquery, and whose subject column it names.
    pub(super) fn shown(
        &mut self,
        projection: &[SelectItem],
        from: &Relation,
        at: Location,
    ) -> Result<(usize, Vec<Output>), Refusal> {
        let mut subject = None;
        let mut outputs: Vec<Output> = Vec::new();
        for item in projection {
            let (expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
                SelectItem::Wildcard(options) => {
                    self.everything(options, from, &mut outputs)?;
                    subject = subject.or(Some(0));
                    continue;
                }
                SelectItem::QualifiedWildcard(_, options) => {
                    let at = options.wildcard_token.0.span.start;
                    return Err(not_part(at, "a name before *").suggest("name the columns"));
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::at(at, "a column has one name"));
                }
            };
            if let Some(side) = self.subject_side(expr) {
                let column = from.scope().items().get(side);
                let name = column.map_or("", |i| &i.subject_column);
                if alias.is_some_and(|alias| !means(alias, name)) {
                    return Err(
                        Refusal::at(place(expr), "the subject column keeps its name")
                            .suggest(format!("write {} without AS", identifier(name))),
                    );
                }
                if subject.replace(side).is_some() {
                    return Err(Refusal::at(place(expr), "the subject column stands twice"));
                }
                continue;
            }
            let output = self.shown_one(expr, alias, at)?;
            outputs.push(output);
        }
        let Some(subject) = subject else {
            let subject = identifier(from.scope().subject_column());
            return Err(Refusal::at(at, "a subquery must keep the subject column")
                .suggest(format!("write SELECT {subject}, ...")));
        };
        let items = from.scope().items();
        let column = items.get(subject).map_or("", |i| i.subject_column.as_str());
        for (i, output) in outputs.iter().enumerate() {
            let name = &output.name;
            if outputs.iter().take(i).any(|o| o.name == *name) || name == column {
                return Err(Refusal::at(
                    at,
                    format!("two columns of the subquery are called '{name}'"),
                )
                .suggest("give one of them another name with AS"));
            }
        }
        if outputs.len() > MOST_OUTPUTS {
            return Err(Refusal::at(
                at,
                format!("a subquery shows at most {MOST_OUTPUTS} columns"),
            )
            .suggest("name those that are needed"));
        }
        Ok((subject, outputs))
    }

    fn everything(
        &self,
        options: &WildcardAdditionalOptions,
        from: &Relation,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let at = wildcard_token.0.span.start;
        let plain = opt_ilike.is_none() && opt_exclude.is_none() && opt_except.is_none();
        let plain = plain && opt_replace.is_none() && opt_rename.is_none() && opt_alias.is_none();
        absent(plain, at, "a list after *").map_err(|r| r.suggest("name the columns"))?;
        if self.grouping.is_some() {
            return Err(Refusal::at(at, "* does not go with GROUP BY")
                .suggest("name what is computed for each subject"));
        }
        let columns = from.scope().columns().enumerate();
        outputs.extend(columns.map(|(column, c)| Output {
            name: c.name.clone(),
            value: Value::Column(column),
        }));
        Ok(())
    }

    fn shown_one(
        &mut self,
        expr: &Expr,
        alias: Option<&Ident>,
        at: Location,
    ) -> Result<Output, Refusal> {
        let at_expr = match place(expr) {
            unknown if unknown == Location::empty() => at,
            known => known,
        };
        let value = match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                Value::Column(self.column_of(expr)?)
            }
            _ => match self.any(expr)? {
                Any::Null => {
                    return Err(Refusal::at(at_expr, "this column would always be missing")
                        .suggest("leave it out"));
                }
                value => match whole_column(&value) {
                    Some(column) => Value::Column(column),
                    None => Value::Computed(value),
                },
            },
        };
        let name = match (alias, &value) {
            (Some(alias), _) => given_name(alias, "a column")?,
            (None, Value::Column(column)) if self.grouping.is_none() => {
                self.scope.get(*column).map_or("", |c| &c.name).to_owned()
            }
            (None, _) => {
                return Err(Refusal::at(at_expr, "a computed column needs a name")
                    .suggest("write AS and a name after it"));
            }
        };
        if let Value::Computed(value) = &value {
            domain(value, &self.scope).map_err(|r| r.or_at(at_expr))?;
        }
        Ok(Output { name, value })
    }
}
