//! FROM: tables, subqueries and WITH.

use sqlparser::ast::{
    Cte, Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor, TableWithJoins, With,
};
use sqlparser::tokenizer::Location;

use super::{Lowering, absent, body_place, means, name_place, nearest, not_part};
use crate::expr::identifier;
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{Item, MOST_TABLES, Relation, Rows};
use crate::scope::Scope;

/// What stands behind a table's place in FROM.
pub(super) fn table_place(table: &TableFactor) -> Location {
    match table {
        TableFactor::Table { name, .. } => name_place(name),
        TableFactor::Derived { subquery, .. } => body_place(&subquery.body),
        _ => Location::empty(),
    }
}

/// A name that a query may give: what a described name may be, too.
pub(super) fn given_name(ident: &Ident, what: &str) -> Result<String, Refusal> {
    let name = match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    };
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && name.len() <= 60 && name.bytes().all(part) {
        return Ok(name);
    }
    Err(Refusal::at(
        ident.span.start,
        format!("{} cannot name {what}", shown(&ident.value)),
    )
    .suggest("use lower-case letters, digits and '_', starting with a letter"))
}

impl Lowering<'_> {
    /// WITH: each name is a subquery that later ones and FROM may use.
    pub(super) fn with(&mut self, with: &With) -> Result<(), Refusal> {
        let With {
            with_token,
            recursive,
            cte_tables,
        } = with;
        absent(!recursive, with_token.0.span.start, "WITH RECURSIVE")?;
        for cte in cte_tables {
            let Cte {
                alias,
                query,
                from,
                materialized,
                closing_paren_token: _,
            } = cte;
            let at = alias.name.span.start;
            absent(from.is_none(), at, "FROM after WITH")?;
            absent(materialized.is_none(), at, "MATERIALIZED")?;
            let name = self.alias(alias, "a subquery")?;
            let tables = self.description.tables().iter().map(|t| &t.name);
            let known = tables.chain(self.with.iter().map(|(n, _)| n));
            if known.into_iter().any(|n| *n == name) {
                return Err(
                    Refusal::at(at, format!("there is a {} already", shown(&name)))
                        .suggest("choose another name"),
                );
            }
            let item = self.subquery(query, &name).map_err(|r| r.or_at(at))?;
            self.with.push((name, item));
        }
        Ok(())
    }

    /// FROM and its joins; from here on names mean its columns.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Result<Relation, Refusal> {
        if from.is_empty() {
            return Err(Refusal::new("the SELECT has no FROM").suggest(self.tables_known()));
        }
        let [TableWithJoins { relation, joins }] = from else {
            let second = from.get(1).map(|t| table_place(&t.relation));
            let at = second.unwrap_or_else(Location::empty);
            return Err(
                Refusal::at(at, "tables are joined on the subject column only").suggest(format!(
                    "write FROM a JOIN b USING ({})",
                    self.subject_column()
                )),
            );
        };
        let first = self.item(relation)?;
        let mut relation = Relation {
            first,
            joins: Vec::with_capacity(joins.len()),
        };
        for join in joins {
            let at = table_place(&join.relation);
            let join = self.join(&relation, join).map_err(|r| r.or_at(at))?;
            relation.joins.push(join);
            if relation.tables() > MOST_TABLES {
                return Err(too_many_tables(at));
            }
        }
        self.scope = relation.scope().clone();
        Ok(relation)
    }

    /// The main table's subject column, for suggestions.
    pub(super) fn subject_column(&self) -> String {
        identifier(self.description.subject_column())
    }

    fn alias(&self, alias: &TableAlias, what: &str) -> Result<String, Refusal> {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        let start = name.span.start;
        absent(columns.is_empty(), start, "a list of names for columns")?;
        absent(at.is_none(), start, "AT")?;
        given_name(name, what)
    }

    pub(super) fn item(&mut self, table: &TableFactor) -> Result<Item, Refusal> {
        let at = table_place(table);
        let item = match table {
            TableFactor::Table { name, alias, .. } => {
                plain_table(table, at)?;
                let item = self.named(name)?;
                match alias {
                    None => item,
                    Some(alias) => {
                        let name = self.alias(alias, "a table")?;
                        Item {
                            rows: item.rows,
                            scope: item.scope.renamed(&name),
                        }
                    }
                }
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                absent(!lateral, at, "LATERAL")?;
                absent(sample.is_none(), at, "TABLESAMPLE")?;
                let name = match alias {
                    Some(alias) => Some(self.alias(alias, "a subquery")?),
                    None => None,
                };
                let item = self.subquery(subquery, name.as_deref().unwrap_or("t"));
                let item = item.map_err(|r| r.or_at(at))?;
                if name.is_none() {
                    return Err(Refusal::at(at, "a subquery in FROM needs a name")
                        .suggest("write (SELECT ...) AS t"));
                }
                item
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: _,
            } => {
                let at = table_place(&table_with_joins.relation);
                return Err(not_part(at, "a join in parentheses")
                    .suggest("write the joins one after another, or as a subquery"));
            }
            _ => {
                return Err(Refusal::at(at, "FROM takes names of tables and subqueries")
                    .suggest(self.tables_known()));
            }
        };
        if item.tables() > MOST_TABLES {
            return Err(too_many_tables(at));
        }
        Ok(item)
    }

    /// A table or a subquery of WITH, by its name.
    fn named(&self, name: &ObjectName) -> Result<Item, Refusal> {
        let at = name_place(name);
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
            if let Some((_, item)) = self.with.iter().find(|(n, _)| means(ident, n)) {
                return Ok(item.clone());
            }
            let mut tables = self.description.tables().iter();
            if let Some(table) = tables.position(|t| means(ident, &t.name)) {
                return Ok(Item {
                    rows: Rows::Table(table),
                    scope: Scope::of_table(self.description, table),
                });
            }
        }
        let what = match self.description.tables() {
            [_] => "dataset",
            _ => "table",
        };
        let refusal = Refusal::at(
            at,
            format!("there is no {what} {}", shown(&name.to_string())),
        );
        Err(refusal.suggest(self.tables_known()))
    }

    fn tables_known(&self) -> String {
        match self.description.tables() {
            [one] => format!("write FROM {}", identifier(&one.name)),
            many => {
                let names: Vec<&str> = many.iter().map(|t| t.name.as_str()).collect();
                nearest("", &names, "the tables")
            }
        }
    }
}

fn too_many_tables(at: Location) -> Refusal {
    Refusal::at(
        at,
        format!("the query reads more than {MOST_TABLES} tables, each as often as it is named"),
    )
    .suggest("compute several values for each subject in one subquery")
}

/// Refuses everything beside a table's name and its other name.
fn plain_table(table: &TableFactor, at: Location) -> Result<(), Refusal> {
    let TableFactor::Table {
        name: _,
        alias: _,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = table
    else {
        return Ok(());
    };
    absent(args.is_none(), at, "a table function")?;
    let hints = with_hints.is_empty() && index_hints.is_empty();
    absent(hints, at, "a hint")?;
    absent(version.is_none(), at, "a version")?;
    absent(!with_ordinality, at, "WITH ORDINALITY")?;
    absent(partitions.is_empty(), at, "PARTITION")?;
    absent(json_path.is_none(), at, "a path")?;
    absent(sample.is_none(), at, "TABLESAMPLE")?;
    Ok(())
}
