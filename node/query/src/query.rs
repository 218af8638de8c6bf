//! A query that the language accepts.

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::ids::Digest;
use obscura_model::schema::Description;
use obscura_model::text::SqlText;

use crate::expr::{
    Any, Bool, Num, Printer, Words, identifier, interval, join, literal, output_name,
};
use crate::limits;
use crate::lower;
use crate::plan::PrivatePlan;
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::scope::Scope;
use crate::sql;

/// What one output aggregates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Aggregate {
    /// COUNT(*).
    Rows,
    /// COUNT(x): the rows in which x is not missing.
    Known(Any),
    /// COUNT(DISTINCT subject).
    Subjects,
    /// SUM(x).
    Sum(Num),
    /// AVG(x).
    Average(Num),
}

/// One output with its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputDefinition {
    pub(crate) name: String,
    pub(crate) aggregate: Aggregate,
}

/// The typed query: keys as positions of columns, outermost first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    /// Where the rows come from.
    pub(crate) relation: Relation,
    /// The columns of those rows; every position below is one in it.
    pub(crate) scope: Scope,
    pub(crate) keys: Vec<usize>,
    pub(crate) outputs: Vec<OutputDefinition>,
    pub(crate) filter: Option<Bool>,
}

/// A query inside the language, checked against one description. Public.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedQuery {
    description: Digest,
    definition: Definition,
    canonical: String,
    sentences: Vec<String>,
    summary: String,
}

impl ValidatedQuery {
    /// Reads `text` as a query about the described dataset. Everything outside the language is
    /// refused with its place; nothing but text, description and the study's code lists is looked
    /// at.
    pub fn parse(
        text: &SqlText,
        description: &Description,
        lists: &CodeLists,
    ) -> Result<Self, Refusal> {
        let (statement, places) = sql::statement(text.as_str())?;
        let definition = lower::select(&statement, &places, description, lists)?;
        let canonical = canonical(&definition, description);
        // What is signed and run is the canonical text, so it must be within the limits too.
        SqlText::new(&canonical)
            .map_err(|e| Refusal::new(format!("written out in full, {e}")))
            .and_then(|text| limits::tokens(text.as_str()).map(|_| ()))?;
        let sentences = sentences(&definition);
        let summary = summary(&definition, description);
        Ok(Self {
            description: description.digest(),
            definition,
            canonical,
            sentences,
            summary,
        })
    }

    /// The one SQL text of this query, with every default written out. Parsing it gives an equal
    /// query.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// The whole query in a few sentences for people: what is asked, of whom, filter, groups.
    #[must_use]
    pub fn in_words(&self) -> String {
        self.summary.clone()
    }

    /// One sentence for each output, in order: its name and what it tells.
    #[must_use]
    pub fn output_sentences(&self) -> &[String] {
        &self.sentences
    }

    /// The names of the outputs, in order.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.definition.outputs.iter().map(|o| o.name.as_str())
    }

    /// The names of all columns that are read, in declared order; as `table.column` if the dataset
    /// has several tables.
    #[must_use]
    pub fn columns_read(&self, description: &Description) -> Vec<String> {
        let needs = self.definition.relation.needs(&self.definition.columns());
        let tables = description.tables();
        let mut names = Vec::new();
        for (table, columns) in needs {
            let Some(table) = tables.get(table) else {
                continue;
            };
            let columns = columns.iter().filter_map(|c| table.columns.get(*c));
            names.extend(columns.map(|c| match tables {
                [_] => c.name.clone(),
                _ => format!("{}.{}", table.name, c.name),
            }));
        }
        names
    }

    /// The digest of the description that the query was checked against.
    #[must_use]
    pub fn description_digest(&self) -> Digest {
        self.description
    }

    /// Chooses grid, bounds and noise for `accuracy`. `delta` turns an epsilon into a price; a
    /// price below `minimum` is raised to it (smaller noise), so that nothing is free. A function
    /// of public values only.
    pub fn plan(
        &self,
        description: &Description,
        accuracy: &AccuracyRequest,
        minimum: Option<Rho>,
        delta: Delta,
    ) -> Result<PrivatePlan, Refusal> {
        if description.digest() != self.description {
            return Err(Refusal::new(
                "the dataset's description has changed since this was checked",
            )
            .suggest("check the query again"));
        }
        PrivatePlan::make(self, description, accuracy, minimum, delta)
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl Definition {
    /// The columns that are read anywhere.
    pub(crate) fn columns(&self) -> std::collections::BTreeSet<usize> {
        let mut columns: std::collections::BTreeSet<usize> = self.keys.iter().copied().collect();
        if let Some(filter) = &self.filter {
            filter.columns(&mut columns);
        }
        for output in &self.outputs {
            match &output.aggregate {
                Aggregate::Rows | Aggregate::Subjects => {}
                Aggregate::Known(value) => value.columns(&mut columns),
                Aggregate::Sum(value) | Aggregate::Average(value) => value.columns(&mut columns),
            }
        }
        columns
    }
}

fn canonical(definition: &Definition, description: &Description) -> String {
    let scope = &definition.scope;
    let printer = Printer { scope };
    let keys: Vec<String> = definition.keys.iter().map(|k| printer.column(*k)).collect();
    let outputs = definition.outputs.iter().map(|output| {
        let text = match &output.aggregate {
            Aggregate::Rows => "COUNT(*)".to_owned(),
            Aggregate::Known(value) => format!("COUNT({})", printer.any(value)),
            Aggregate::Subjects => {
                format!("COUNT(DISTINCT {})", identifier(scope.subject_column()))
            }
            Aggregate::Sum(value) => format!("SUM({})", printer.num(value)),
            Aggregate::Average(value) => format!("AVG({})", printer.num(value)),
        };
        format!("{text} AS {}", output_name(&output.name))
    });
    let list: Vec<String> = keys.iter().cloned().chain(outputs).collect();
    let from = definition.relation.sql(description);
    let mut text = format!("SELECT {} FROM {from}", list.join(", "));
    if let Some(filter) = &definition.filter {
        text.push_str(&format!(" WHERE {}", printer.bool(filter)));
    }
    if !keys.is_empty() {
        text.push_str(&format!(" GROUP BY {}", keys.join(", ")));
    }
    text
}

fn sentences(definition: &Definition) -> Vec<String> {
    let scope = &definition.scope;
    let words = Words { scope };
    let unit = scope.subject_unit();
    let told = |output: &OutputDefinition| match &output.aggregate {
        Aggregate::Rows => "how many rows match".to_owned(),
        Aggregate::Known(value) => {
            format!(
                "how many matching rows have a value for {}",
                words.any(value)
            )
        }
        Aggregate::Subjects => {
            format!("how many data subjects (each a {unit}) have at least one matching row")
        }
        Aggregate::Sum(value) => {
            format!("the sum of {}{}", words.num(value), range(value, scope))
        }
        Aggregate::Average(value) => {
            format!("the average of {}{}", words.num(value), range(value, scope))
        }
    };
    definition
        .outputs
        .iter()
        .map(|o| format!("{}: {}.", o.name, told(o)))
        .collect()
}

fn range(value: &Num, scope: &Scope) -> String {
    match interval(value, scope) {
        Some(i) if i.is_finite() => {
            format!(
                ", each value from {} to {}",
                literal(i.low),
                literal(i.high)
            )
        }
        _ => String::new(),
    }
}

fn summary(definition: &Definition, description: &Description) -> String {
    let scope = &definition.scope;
    let words = Words { scope };
    let mut text = format!("From '{}': ", description.title());
    let outputs: Vec<String> = definition
        .outputs
        .iter()
        .map(|o| short(&o.aggregate, &words, scope))
        .collect();
    text.push_str(&join(&outputs, "and"));
    if !definition.keys.is_empty() {
        let keys: Vec<String> = definition
            .keys
            .iter()
            .filter_map(|k| scope.get(*k))
            .map(|c| format!("{} ({} groups)", c.name, c.domain.key_count().unwrap_or(0)))
            .collect();
        text.push_str(&format!(", for each {}", join(&keys, "and each")));
    }
    text.push('.');
    match &definition.filter {
        Some(filter) => text.push_str(&format!(" Only rows where {}.", words.bool(filter))),
        None => text.push_str(" All rows."),
    }
    if let Some(rows) = definition.relation.in_words(description) {
        text.push_str(&format!(" {rows}"));
    }
    let rows = scope.most_rows_per_subject();
    let plural = if rows == 1 { "row" } else { "rows" };
    let unit = scope.subject_unit();
    text.push_str(&format!(
        " At most {rows} matching {plural} of each {unit} count."
    ));
    text
}

fn short(aggregate: &Aggregate, words: &Words<'_>, scope: &Scope) -> String {
    match aggregate {
        Aggregate::Rows => "the number of rows".to_owned(),
        Aggregate::Known(value) => format!("the number of rows with {}", words.any(value)),
        Aggregate::Subjects => {
            format!(
                "the number of data subjects (each a {})",
                scope.subject_unit()
            )
        }
        Aggregate::Sum(value) => format!("the sum of {}", words.num(value)),
        Aggregate::Average(value) => format!("the average of {}", words.num(value)),
    }
}
