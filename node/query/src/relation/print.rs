//! Relations as canonical SQL, and for people.

use obscura_model::schema::Description;

use super::{Item, Join, Output, PersonAggregate, Relation, Rows, Select, Value};
use crate::expr::{Bool, Printer, Words, identifier, join, output_name};
use crate::scope::Scope;

impl Relation {
    /// What stands after FROM. Every WITH is written out as a subquery.
    pub(crate) fn sql(&self, description: &Description) -> String {
        let mut text = self.first.sql(description);
        let mut left = &self.first.scope;
        for join in &self.joins {
            text.push_str(&join.sql(left, description));
            left = &join.scope;
        }
        text
    }

    /// What the rows are, for people; nothing for the rows of a dataset's only table.
    pub(crate) fn in_words(&self, description: &Description) -> Option<String> {
        let plain = matches!(self.first.rows, Rows::Table(_)) && self.joins.is_empty();
        if plain && description.tables().len() == 1 {
            return None;
        }
        Some(format!("The rows are those of {}.", self.told(description)))
    }

    fn told(&self, description: &Description) -> String {
        let mut text = self.first.told(description);
        for join in &self.joins {
            let unit = join.scope.subject_unit();
            let also = if join.outer { ", if there are any" } else { "" };
            text.push_str(&format!(
                ", joined by {unit} with those of {}{also}",
                join.item.told(description)
            ));
            if let Some(on) = &join.on {
                let words = Words { scope: &join.scope };
                text.push_str(&format!(", wherever {}", words.bool(on)));
            }
        }
        text
    }

    /// The subject column of one side.
    fn subject(scope: &Scope, side: usize) -> String {
        let items = scope.items();
        match items.get(side) {
            Some(item) if items.len() > 1 => {
                let (name, subject) = (identifier(&item.name), identifier(&item.subject_column));
                format!("{name}.{subject}")
            }
            Some(item) => identifier(&item.subject_column),
            None => String::new(),
        }
    }
}

impl Item {
    fn name(&self) -> &str {
        self.scope.items().first().map_or("", |i| &i.name)
    }

    fn sql(&self, description: &Description) -> String {
        let name = identifier(self.name());
        match &self.rows {
            Rows::Table(table) => {
                let described = description.tables().get(*table);
                let described = described.map_or("", |t| t.name.as_str());
                if described == self.name() {
                    name
                } else {
                    format!("{} AS {name}", identifier(described))
                }
            }
            Rows::Select(select) => format!("({}) AS {name}", select.sql(description)),
        }
    }

    fn told(&self, description: &Description) -> String {
        let name = self.name();
        match &self.rows {
            Rows::Table(table) => {
                let described = description.tables().get(*table);
                let described = described.map_or("", |t| t.name.as_str());
                if described == name {
                    format!("'{name}'")
                } else {
                    format!("'{described}' (here '{name}')")
                }
            }
            Rows::Select(select) => format!("'{name}' ({})", select.told(description)),
        }
    }
}

impl Join {
    fn sql(&self, left: &Scope, description: &Description) -> String {
        let kind = if self.outer { "LEFT JOIN" } else { "JOIN" };
        let item = self.item.sql(description);
        let subject = self.item.scope.subject_column();
        let same = left.items().iter().all(|i| i.subject_column == subject);
        if self.on.is_none() && same {
            return format!(" {kind} {item} USING ({})", identifier(subject));
        }
        let side = |scope: &Scope| {
            let first = scope.items().first();
            first.map_or_else(String::new, |i| {
                format!("{}.{}", identifier(&i.name), identifier(&i.subject_column))
            })
        };
        let mut text = format!(
            " {kind} {item} ON {} = {}",
            side(left),
            side(&self.item.scope)
        );
        if let Some(on) = &self.on {
            let printer = Printer { scope: &self.scope };
            // As one list of ANDs, each in parentheses where it needs them.
            let list = match on {
                Bool::All(list) => list.clone(),
                one => vec![one.clone()],
            };
            text.push_str(&format!(" AND {}", printer.bool(&Bool::All(list))));
        }
        text
    }
}

impl Select {
    fn sql(&self, description: &Description) -> String {
        let from = self.from.scope();
        let subject = Relation::subject(from, self.subject);
        let mut list = vec![subject.clone()];
        let scope = self.scope();
        list.extend(self.outputs.iter().map(|o| o.sql(scope)));
        let mut text = format!(
            "SELECT {} FROM {}",
            list.join(", "),
            self.from.sql(description)
        );
        if let Some(filter) = &self.filter {
            let printer = Printer { scope: from };
            text.push_str(&format!(" WHERE {}", printer.bool(filter)));
        }
        if let Some(person) = &self.person {
            text.push_str(&format!(" GROUP BY {subject}"));
            if let Some(having) = &person.having {
                let printer = Printer { scope };
                text.push_str(&format!(" HAVING {}", printer.bool(having)));
            }
        }
        text
    }

    fn told(&self, description: &Description) -> String {
        let from = self.from.scope();
        let scope = self.scope();
        let outputs: Vec<String> = self.outputs.iter().map(|o| o.told(scope)).collect();
        let mut list = join(&outputs, "and");
        if list.is_empty() {
            "who is there".clone_into(&mut list);
        }
        let mut text = match &self.person {
            None => format!("{list}, from {}", self.from.told(description)),
            Some(_) => {
                let most = from.most_rows_per_subject();
                format!(
                    "for each {}: {list}, from at most {most} rows of {}",
                    from.subject_unit(),
                    self.from.told(description)
                )
            }
        };
        if let Some(filter) = &self.filter {
            let words = Words { scope: from };
            text.push_str(&format!(", where {}", words.bool(filter)));
        }
        if let Some(having) = self.person.as_ref().and_then(|p| p.having.as_ref()) {
            let words = Words { scope };
            text.push_str(&format!(", if {}", words.bool(having)));
        }
        text
    }
}

impl Output {
    fn sql(&self, scope: &Scope) -> String {
        let printer = Printer { scope };
        match &self.value {
            Value::Column(column) => {
                let text = scope.sql(*column);
                match scope.get(*column) {
                    Some(c) if c.name == self.name => text,
                    _ => format!("{text} AS {}", output_name(&self.name)),
                }
            }
            Value::Computed(value) => {
                format!("{} AS {}", printer.any(value), output_name(&self.name))
            }
        }
    }

    fn told(&self, scope: &Scope) -> String {
        let told = match &self.value {
            Value::Column(column) => scope.told(*column),
            Value::Computed(value) => Words { scope }.any(value),
        };
        if told == self.name {
            told
        } else {
            format!("{} as '{}'", told, self.name)
        }
    }
}

impl PersonAggregate {
    /// As SQL, over the columns of the input.
    pub(crate) fn sql(&self, scope: &Scope) -> String {
        let printer = Printer { scope };
        match self {
            PersonAggregate::Rows => "COUNT(*)".to_owned(),
            PersonAggregate::Known(value) => format!("COUNT({})", printer.any(value)),
            PersonAggregate::Different(value) => {
                format!("COUNT(DISTINCT {})", printer.any(value))
            }
            PersonAggregate::Sum(value) => format!("SUM({})", printer.num(value)),
            PersonAggregate::Average(value) => format!("AVG({})", printer.num(value)),
            PersonAggregate::Least(value) => format!("MIN({})", printer.any(value)),
            PersonAggregate::Greatest(value) => format!("MAX({})", printer.any(value)),
            PersonAggregate::Some(value) => format!("BOOL_OR({})", printer.bool(value)),
            PersonAggregate::Every(value) => format!("BOOL_AND({})", printer.bool(value)),
        }
    }

    /// For people, over the columns of the input.
    pub(crate) fn told(&self, scope: &Scope) -> String {
        let words = Words { scope };
        match self {
            PersonAggregate::Rows => "the number of rows".to_owned(),
            PersonAggregate::Known(value) => {
                format!("the number of rows with {}", words.any(value))
            }
            PersonAggregate::Different(value) => {
                format!("the number of different values of {}", words.any(value))
            }
            PersonAggregate::Sum(value) => format!("the sum of {}", words.num(value)),
            PersonAggregate::Average(value) => format!("the average of {}", words.num(value)),
            PersonAggregate::Least(value) => format!("the least {}", words.any(value)),
            PersonAggregate::Greatest(value) => format!("the greatest {}", words.any(value)),
            PersonAggregate::Some(value) => {
                format!("whether on some row {}", words.bool(value))
            }
            PersonAggregate::Every(value) => {
                format!("whether on every row {}", words.bool(value))
            }
        }
    }
}
