//! A query that the language accepts.

pub(crate) mod released;
mod tell;

use std::collections::BTreeSet;

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::ids::Digest;
use obscura_model::schema::Description;
use obscura_model::text::SqlText;

use crate::expr::{Bool, Printer, output_name};
use crate::limits;
use crate::lower;
use crate::plan::{PlanOptions, PrivatePlan};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::scope::Scope;
use crate::sql;

pub(crate) use released::{Aggregate, KeyDefinition, KeyValue, Released};

/// One output with its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputDefinition {
    pub(crate) name: String,
    pub(crate) value: Released,
}

/// HAVING, ORDER BY, LIMIT and OFFSET: over the noisy answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Arrangement {
    pub(crate) having: Option<Released>,
    /// Each with whether it is descending.
    pub(crate) order: Vec<(Released, bool)>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
}

/// The typed query: keys outermost first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    /// Where the rows come from.
    pub(crate) relation: Relation,
    /// The columns of those rows; every position below is one in it.
    pub(crate) scope: Scope,
    pub(crate) keys: Vec<KeyDefinition>,
    pub(crate) outputs: Vec<OutputDefinition>,
    pub(crate) filter: Option<Bool>,
    pub(crate) arrangement: Arrangement,
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
        let sentences = tell::sentences(&definition);
        let summary = tell::summary(&definition, description);
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
    /// price below `minimum` is raised to it (smaller noise), so that nothing is free. `options`
    /// are parts of the signed request. A function of public values only.
    pub fn plan(
        &self,
        description: &Description,
        accuracy: &AccuracyRequest,
        minimum: Option<Rho>,
        delta: Delta,
        options: &PlanOptions,
    ) -> Result<PrivatePlan, Refusal> {
        if description.digest() != self.description {
            return Err(Refusal::new(
                "the dataset's description has changed since this was checked",
            )
            .suggest("check the query again"));
        }
        PrivatePlan::make(self, description, accuracy, minimum, delta, options)
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl Definition {
    /// The columns that are read anywhere.
    pub(crate) fn columns(&self) -> BTreeSet<usize> {
        let mut columns = self.columns_of_matching();
        if let Some(filter) = &self.filter {
            filter.columns(&mut columns);
        }
        columns
    }

    /// Those that are read of rows that match.
    pub(crate) fn columns_of_matching(&self) -> BTreeSet<usize> {
        let mut columns = BTreeSet::new();
        self.keys.iter().for_each(|k| k.value.columns(&mut columns));
        self.outputs
            .iter()
            .for_each(|o| o.value.columns(&mut columns));
        columns
    }
}

fn canonical(definition: &Definition, description: &Description) -> String {
    let scope = &definition.scope;
    let printer = Printer { scope };
    let keys = &definition.keys;
    let print = |value: &Released| value.print(&printer, scope, keys);
    // A column that keeps its name needs no other.
    let keyed = keys.iter().map(|key| {
        let text = key.value.print(&printer);
        let own = key.value.column().and_then(|c| scope.get(c));
        if own.is_some_and(|c| c.name == key.name) {
            text
        } else {
            format!("{text} AS {}", output_name(&key.name))
        }
    });
    let outputs = definition.outputs.iter();
    let outputs = outputs.map(|o| format!("{} AS {}", print(&o.value), output_name(&o.name)));
    let list: Vec<String> = keyed.chain(outputs).collect();
    let from = definition.relation.sql(description);
    let mut text = format!("SELECT {} FROM {from}", list.join(", "));
    if let Some(filter) = &definition.filter {
        text.push_str(&format!(" WHERE {}", printer.bool(filter)));
    }
    if !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|k| k.value.print(&printer)).collect();
        text.push_str(&format!(" GROUP BY {}", keys.join(", ")));
    }
    let Arrangement {
        having,
        order,
        limit,
        offset,
    } = &definition.arrangement;
    if let Some(having) = having {
        text.push_str(&format!(" HAVING {}", print(having)));
    }
    if !order.is_empty() {
        let by = order.iter().map(|(value, descending)| {
            format!("{}{}", print(value), if *descending { " DESC" } else { "" })
        });
        text.push_str(&format!(" ORDER BY {}", by.collect::<Vec<_>>().join(", ")));
    }
    if let Some(limit) = limit {
        text.push_str(&format!(" LIMIT {limit}"));
    }
    if *offset > 0 {
        text.push_str(&format!(" OFFSET {offset}"));
    }
    text
}
