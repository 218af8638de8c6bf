//! Subqueries: rows of a table with fewer or computed columns, and one row for each subject.

use obscura_model::schema::{Column, Domain};
use sqlparser::ast::{
    Expr, Function, FunctionArgExpr, GroupByExpr, Ident, Query, Select as ParsedSelect,
    SelectFlavor, SelectItem, SetExpr, WildcardAdditionalOptions,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Location;

use super::aggregate::{Call, call, expression};
use super::relation::given_name;
use super::{Lowering, absent, body_place, means, not_part, place};
use crate::expr::{Any, Bool, Interval, Mask, Num, identifier, interval, known_from, mask};
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{
    Item, Output, Person, PersonAggregate, Relation, Rows, Select, Value, number,
};
use crate::scope::Scope;

/// Whole numbers up to here are exact floats.
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53

/// The most columns that a subquery shows.
const MOST_OUTPUTS: usize = 100;

/// A SELECT that groups by the subject, while its outputs and HAVING are read.
pub(super) struct Grouping {
    /// The rows that aggregates are over.
    input: Scope,
    /// The columns that are not missing on any row.
    known: std::collections::BTreeSet<usize>,
    aggregates: Vec<PersonAggregate>,
}

impl Lowering<'_> {
    /// A SELECT in FROM or WITH, as a table called `name`.
    pub(super) fn subquery(&mut self, query: &Query, name: &str) -> Result<Item, Refusal> {
        let at = body_place(&query.body);
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let of = |keywords: &[Keyword]| self.places.clause_in(at, keywords);
        let whole = with.is_none();
        absent(whole, at, "WITH in a subquery")
            .map_err(|r| r.suggest("write every WITH at the start of the query"))?;
        absent(
            order_by.is_none(),
            of(&[Keyword::ORDER]),
            "ORDER BY in a subquery",
        )?;
        let limit = of(&[Keyword::LIMIT, Keyword::OFFSET]);
        absent(limit_clause.is_none(), limit, "LIMIT in a subquery")?;
        absent(fetch.is_none(), of(&[Keyword::FETCH]), "FETCH")?;
        absent(locks.is_empty(), at, "a lock")?;
        absent(for_clause.is_none(), at, "FOR")?;
        absent(settings.is_none(), at, "SETTINGS")?;
        absent(format_clause.is_none(), at, "FORMAT")?;
        absent(pipe_operators.is_empty(), at, "a pipe")?;
        let SetExpr::Select(select) = body.as_ref() else {
            return Err(Refusal::at(at, "a subquery is one SELECT")
                .suggest("write one SELECT with a condition for both parts"));
        };
        self.node(1, at)?;
        self.depth += 1;
        let outside = self.scope.clone();
        let select = self.subselect(select)?;
        self.scope = outside;
        self.depth -= 1;
        Ok(self.item_of(select, name))
    }

    fn subselect(&mut self, select: &ParsedSelect) -> Result<Select, Refusal> {
        let at = select.select_token.0.span.start;
        let ParsedSelect {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify,
            value_table_mode,
            flavor,
        } = select;
        let of = |keyword: Keyword| self.places.clause_in(at, &[keyword]);
        absent(optimizer_hints.is_empty(), at, "a hint")?;
        absent(
            distinct.is_none(),
            of(Keyword::DISTINCT),
            "SELECT DISTINCT in a subquery",
        )?;
        absent(select_modifiers.is_none(), at, "a modifier of SELECT")?;
        absent(
            top.is_none() && !top_before_distinct,
            of(Keyword::TOP),
            "TOP",
        )?;
        absent(exclude.is_none(), at, "EXCLUDE")?;
        absent(into.is_none(), of(Keyword::INTO), "INTO")?;
        absent(lateral_views.is_empty(), at, "LATERAL VIEW")?;
        absent(prewhere.is_none(), at, "PREWHERE")?;
        absent(connect_by.is_empty(), at, "CONNECT BY")?;
        absent(cluster_by.is_empty(), at, "CLUSTER BY")?;
        absent(distribute_by.is_empty(), at, "DISTRIBUTE BY")?;
        absent(sort_by.is_empty(), at, "SORT BY")?;
        let window = named_window.is_empty() && !window_before_qualify;
        absent(window, of(Keyword::WINDOW), "WINDOW")?;
        absent(qualify.is_none(), of(Keyword::QUALIFY), "QUALIFY")?;
        absent(value_table_mode.is_none(), at, "AS VALUE")?;
        let standard = matches!(flavor, SelectFlavor::Standard);
        absent(standard, at, "a SELECT without outputs first")?;
        let from = self.from(from).map_err(|r| r.or_at(at))?;
        let filter = match selection {
            Some(condition) => Some(self.condition(condition)?),
            None => None,
        };
        let grouped = self.grouped(group_by, of(Keyword::GROUP))?;
        if grouped {
            self.grouping = Some(Grouping {
                input: self.scope.clone(),
                known: known_from(filter.as_ref()),
                aggregates: Vec::new(),
            });
            let columns = Vec::new();
            self.scope = Scope::of_item("", "", columns, self.description.subject_unit(), 1);
        }
        let outputs = self.shown(projection, &from, at);
        let having = match (&outputs, having) {
            (Ok(_), Some(condition)) if grouped => self.condition(condition).map(Some),
            (Ok(_), Some(_)) => Err(Refusal::at(of(Keyword::HAVING), "HAVING needs GROUP BY")
                .suggest("write the condition after WHERE")),
            _ => Ok(None),
        };
        // Taken back before anything is refused: names mean something else from here on.
        let grouping = self.grouping.take();
        let (subject, outputs) = outputs?;
        let having = having?;
        let person = grouping.map(|grouping| Person {
            aggregates: grouping.aggregates,
            scope: self.scope.clone(),
            having,
        });
        Ok(Select {
            from,
            filter,
            person,
            subject,
            outputs,
        })
    }

    /// Whether a subquery groups by the subject; nothing else can be grouped by there.
    fn grouped(&self, group_by: &GroupByExpr, at: Location) -> Result<bool, Refusal> {
        let GroupByExpr::Expressions(list, modifiers) = group_by else {
            return Err(not_part(at, "GROUP BY ALL").suggest("name the subject column"));
        };
        absent(modifiers.is_empty(), at, "a modifier of GROUP BY")?;
        match list.as_slice() {
            [] => Ok(false),
            [one] if self.subject_side(one).is_some() => Ok(true),
            [.., last] => {
                let subject = identifier(self.scope.subject_column());
                let at = place(last);
                Err(
                    Refusal::at(at, "a subquery groups by the subject column alone").suggest(
                        format!(
                            "write GROUP BY {subject}; group by other columns in the outer SELECT"
                        ),
                    ),
                )
            }
        }
    }

    /// The side of FROM whose subject column an expression names.
    pub(super) fn subject_side(&self, expr: &Expr) -> Option<usize> {
        let scope = match &self.grouping {
            Some(grouping) => &grouping.input,
            None => &self.scope,
        };
        let mut items = scope.items().iter();
        match expr {
            Expr::Identifier(ident) => items.position(|i| means(ident, &i.subject_column)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [name, column] => {
                    items.position(|i| means(name, &i.name) && means(column, &i.subject_column))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The outputs of a subquery, and whose subject column it names.
    fn shown(
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

    /// A subquery as a table: what its columns are called and what is known of them.
    fn item_of(&self, select: Select, name: &str) -> Item {
        let from = select.from.scope();
        let scope = select.scope();
        let known = match &select.person {
            None => known_from(select.filter.as_ref()),
            Some(person) => known_from(person.having.as_ref()),
        };
        let columns = select.outputs.iter();
        let columns = columns.map(|o| described(o, scope, &known)).collect();
        let subject = from.items().get(select.subject);
        let most_rows = match &select.person {
            Some(_) => 1,
            None => from.most_rows_per_subject(),
        };
        let scope = Scope::of_item(
            name,
            subject.map_or("", |i| &i.subject_column),
            columns,
            self.description.subject_unit(),
            most_rows,
        );
        Item {
            rows: Rows::Select(Box::new(select)),
            scope,
        }
    }

    /// An aggregate over one subject's rows, where a SELECT that groups by the subject is read.
    pub(super) fn of_person(&mut self, function: &Function) -> Result<Option<Any>, Refusal> {
        let Some(grouping) = self.grouping.take() else {
            return Ok(None);
        };
        let shown = std::mem::replace(&mut self.scope, grouping.input);
        let found = self.person_aggregate(function);
        let input = std::mem::replace(&mut self.scope, shown);
        let mut grouping = Grouping { input, ..grouping };
        let result = found.and_then(|found| match found {
            Some(aggregate) => self.add(&mut grouping, aggregate).map(Some),
            None => Ok(None),
        });
        self.grouping = Some(grouping);
        result
    }

    fn add(&mut self, grouping: &mut Grouping, new: PersonAggregate) -> Result<Any, Refusal> {
        let found = grouping.aggregates.iter().position(|a| *a == new);
        let column = match found {
            Some(column) => column,
            None => {
                let input = &grouping.input;
                self.scope
                    .push(computed(&new, input, &grouping.known)?, new.sql(input));
                grouping.aggregates.push(new);
                grouping.aggregates.len() - 1
            }
        };
        Ok(self.any_column(column))
    }

    /// Nothing if it is no aggregate.
    fn person_aggregate(
        &mut self,
        function: &Function,
    ) -> Result<Option<PersonAggregate>, Refusal> {
        let Call {
            name,
            distinct,
            arguments,
            ..
        } = call(function)?;
        let known = [
            "COUNT", "SUM", "AVG", "MIN", "MAX", "BOOL_OR", "BOOL_AND", "ANY", "SOME", "EVERY",
        ];
        if !known.contains(&name.as_str()) {
            return Ok(None);
        }
        let at = super::function_place(function);
        let [argument] = arguments.as_slice() else {
            return Err(Refusal::at(at, format!("{name} takes one argument")));
        };
        if let (FunctionArgExpr::Wildcard, "COUNT", false) = (argument, name.as_str(), distinct) {
            return Ok(Some(PersonAggregate::Rows));
        }
        let expr = expression(argument).map_err(|r| r.or_at(at))?;
        let value = self.any(expr)?;
        let wrong = |what: &str| Err(Refusal::at(at, format!("{name} takes {what} here")));
        Ok(Some(match (name.as_str(), distinct, value) {
            ("COUNT", false, Any::Null) => PersonAggregate::Known(Any::Num(Num::Null)),
            ("COUNT", false, value) => PersonAggregate::Known(value),
            ("COUNT", true, Any::Null) => PersonAggregate::Different(Any::Num(Num::Null)),
            ("COUNT", true, value) if self.has_order(&value) => PersonAggregate::Different(value),
            ("COUNT", true, _) => return wrong("DISTINCT of a number, a day or a category"),
            (_, true, _) => return Err(not_part(at, "DISTINCT here")),
            ("SUM", false, Any::Num(value)) => PersonAggregate::Sum(value),
            ("AVG", false, Any::Num(value)) => PersonAggregate::Average(value),
            ("MIN", false, value) if self.has_order(&value) => PersonAggregate::Least(value),
            ("MAX", false, value) if self.has_order(&value) => PersonAggregate::Greatest(value),
            ("BOOL_OR", false, Any::Bool(value)) => PersonAggregate::Some(value),
            ("BOOL_AND", false, Any::Bool(value)) => PersonAggregate::Every(value),
            ("ANY" | "SOME", false, _) => {
                return Err(not_part(at, &shown(&name)).suggest("write BOOL_OR"));
            }
            ("EVERY", false, _) => {
                return Err(not_part(at, &shown(&name)).suggest("write BOOL_AND"));
            }
            ("BOOL_OR" | "BOOL_AND", false, _) => return wrong("a condition"),
            ("MIN" | "MAX", false, _) => return wrong("a number, a day or a category"),
            _ => return wrong("a number"),
        }))
    }

    fn has_order(&self, value: &Any) -> bool {
        match (number(value), value) {
            (Some(Num::Column(column)), _) => !matches!(
                self.scope.get(*column).map(|c| &c.domain),
                Some(Domain::Text { .. }) | None
            ),
            (Some(_), _) | (None, Any::Category(_)) => true,
            _ => false,
        }
    }
}

/// What is known of a subquery's column.
fn described(output: &Output, scope: &Scope, known: &std::collections::BTreeSet<usize>) -> Column {
    match &output.value {
        Value::Column(column) => {
            let mut described = scope.get(*column).cloned().unwrap_or_else(|| {
                // Positions come from this very scope.
                plain(Domain::Boolean)
            });
            described.name.clone_from(&output.name);
            described.may_be_missing &= !known.contains(column);
            described
        }
        Value::Computed(value) => Column {
            name: output.name.clone(),
            may_be_missing: mask(value, known, scope) != Mask::Everything,
            // Checked when the output was read.
            ..plain(domain(value, scope).unwrap_or(Domain::Boolean))
        },
    }
}

/// What is known of an aggregate over one subject's rows.
fn computed(
    aggregate: &PersonAggregate,
    input: &Scope,
    known: &std::collections::BTreeSet<usize>,
) -> Result<Column, Refusal> {
    let most = f64::from(input.most_rows_per_subject());
    let may_be_missing = |value: &Any| mask(value, known, input) != Mask::Everything;
    let of_number = |value: &Num| may_be_missing(&Any::Num(value.clone()));
    let count = Domain::Integer {
        lowest: 0,
        highest: i64::from(input.most_rows_per_subject()),
    };
    let (domain, may_be_missing) = match aggregate {
        PersonAggregate::Rows | PersonAggregate::Known(_) | PersonAggregate::Different(_) => {
            (count, false)
        }
        PersonAggregate::Sum(value) => {
            let Interval { low, high } = bounds(value, input)?;
            // From 1 to all of the rows may have a value.
            let all = Interval {
                low: low.min(low * most) + 0.0,
                high: high.max(high * most) + 0.0,
            };
            (numbers(all, is_whole(value, input)), of_number(value))
        }
        PersonAggregate::Average(value) => {
            (numbers(bounds(value, input)?, false), of_number(value))
        }
        PersonAggregate::Least(value) | PersonAggregate::Greatest(value) => {
            (domain(value, input)?, may_be_missing(value))
        }
        PersonAggregate::Some(value) | PersonAggregate::Every(value) => {
            let value = Any::Bool(value.clone());
            (Domain::Boolean, may_be_missing(&value))
        }
    };
    Ok(Column {
        name: aggregate.told(input),
        unit: unit(aggregate, input),
        may_be_missing,
        ..plain(domain)
    })
}

/// One value for each subject, of which nothing else is known.
fn plain(domain: Domain) -> Column {
    Column {
        name: String::new(),
        domain,
        unit: String::new(),
        meaning: String::new(),
        source: String::new(),
        may_be_missing: true,
        missing_share: 0.0,
        constant_per_subject: false,
        typical: None,
    }
}

fn unit(aggregate: &PersonAggregate, input: &Scope) -> String {
    let column = match aggregate {
        PersonAggregate::Sum(Num::Column(column))
        | PersonAggregate::Average(Num::Column(column)) => Some(*column),
        PersonAggregate::Least(value) | PersonAggregate::Greatest(value) => whole_column(value),
        _ => None,
    };
    let column = column.and_then(|c| input.get(c));
    column.map_or_else(String::new, |c| c.unit.clone())
}

fn bounds(value: &Num, scope: &Scope) -> Result<Interval, Refusal> {
    // What is always missing sums to nothing.
    let found = interval(value, scope).unwrap_or(Interval {
        low: 0.0,
        high: 0.0,
    });
    if found.is_finite() {
        return Ok(found);
    }
    let text = crate::expr::Printer { scope }.num(value);
    Err(
        Refusal::new(format!("no bounds follow for {}", shown(&text)))
            .suggest("clip it with LEAST and GREATEST, such as LEAST(GREATEST(x, 0), 100)"),
    )
}

/// The column that a value is, if it is one.
fn whole_column(value: &Any) -> Option<usize> {
    match (number(value), value) {
        (Some(Num::Column(column)), _)
        | (None, Any::Category(column) | Any::Bool(Bool::Column(column))) => Some(*column),
        _ => None,
    }
}

/// The domain of a computed column.
fn domain(value: &Any, scope: &Scope) -> Result<Domain, Refusal> {
    if let Some(column) = whole_column(value) {
        let column = scope.get(column);
        return Ok(column.map_or(Domain::Boolean, |c| c.domain.clone()));
    }
    match value {
        Any::Num(value) => Ok(numbers(bounds(value, scope)?, is_whole(value, scope))),
        Any::Bool(_) => Ok(Domain::Boolean),
        _ => Err(
            Refusal::new("a computed text cannot be a column of a subquery")
                .suggest("compare it with something, or write CASE WHEN ... THEN 1 ELSE 0 END"),
        ),
    }
}

fn numbers(bounds: Interval, whole: bool) -> Domain {
    let Interval { low, high } = bounds;
    if whole && low.abs() <= EXACT && high.abs() <= EXACT {
        Domain::Integer {
            lowest: low.ceil() as i64,
            highest: high.floor() as i64,
        }
    } else {
        Domain::Number {
            lowest: low,
            highest: high,
        }
    }
}

/// Whether a number is whole on every row: proved from its form, and from bounds within which
/// sums and products are exact.
fn is_whole(value: &Num, scope: &Scope) -> bool {
    let exact = |value: &Num| {
        interval(value, scope).is_some_and(|i| i.low.abs() <= EXACT && i.high.abs() <= EXACT)
    };
    let whole = match value {
        Num::Literal(v) => v.fract() == 0.0,
        Num::Column(column) => matches!(
            scope.get(*column).map(|c| &c.domain),
            Some(Domain::Integer { .. } | Domain::Date { .. })
        ),
        Num::Negate(inner) => is_whole(inner, scope),
        Num::Chain { first, rest } => {
            is_whole(first, scope)
                && rest.iter().all(|(op, next)| {
                    !matches!(op, crate::expr::Arith::Divide) && is_whole(next, scope)
                })
        }
        Num::Case(case) => {
            let results = case.arms.iter().map(|(_, r)| r);
            let mut results = results.chain(case.otherwise.as_deref());
            results.all(|r| is_whole(r, scope))
        }
        Num::Least(list) | Num::Greatest(list) => list.iter().all(|n| is_whole(n, scope)),
        _ => false,
    };
    whole && exact(value)
}
