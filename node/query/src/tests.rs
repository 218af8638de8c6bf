//! Claims about the language, evaluation and ingest, on the fixtures below.

mod answers;
mod aside;
mod columns;
mod costs;
mod coverage;
mod functions;
mod ingest;
mod instead;
mod keys;
mod language;
mod limits;
mod places;
mod plans;
mod properties;
mod reference;
mod relations;
mod room;
mod rows;
mod sizes;
mod spoken;
mod stored;
mod subjects;
mod trees;

use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;

use crate::{PlanOptions, PrivatePlan, Refusal, ValidatedQuery};

const PATIENTS: &str = r#"
name = "patients"
title = "Patients of one year"
source = "patients.csv"
subject = "subject_id"
subject_unit = "patient"
most_rows_per_subject = 1
subjects = [1000, 4000]
delta = 1e-6

[[column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
unit = "years"
meaning = "age"
bounds_from = "form"

[[column]]
name = "sex"
type = "category"
values = ["F", "M", "X"]
meaning = "sex"
bounds_from = "form"

[[column]]
name = "region"
type = "category"
values = ["N", "S", "E", "W"]
meaning = "region"
bounds_from = "form"
constant_per_subject = true

[[column]]
name = "bmi"
type = "number"
lowest = 10
highest = 60
unit = "kg/m2"
meaning = "body mass index"
bounds_from = "guideline"
may_be_missing = true
missing_share = 0.2

[[column]]
name = "income"
type = "number"
lowest = 0
highest = 1000000
unit = "EUR"
meaning = "income"
bounds_from = "form"

[[column]]
name = "smoker"
type = "boolean"
meaning = "smokes"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "year"
type = "integer"
lowest = 1990
highest = 1999
meaning = "year of entry"
bounds_from = "form"

[[column]]
name = "ward"
type = "category"
values = ["it's", "a\"b", "plain"]
other = "rest"
meaning = "ward"
bounds_from = "form"
"#;

fn patients() -> Description {
    Description::from_toml(PATIENTS).unwrap()
}

fn visits() -> Description {
    let text = PATIENTS
        .replace("most_rows_per_subject = 1", "most_rows_per_subject = 10")
        .replace("\"patients\"", "\"visits\"");
    Description::from_toml(&text).unwrap()
}

fn parse_with(sql: &str, description: &Description) -> Result<ValidatedQuery, Refusal> {
    ValidatedQuery::parse(&SqlText::new(sql).unwrap(), description, &CodeLists::none())
}

fn parse(sql: &str) -> Result<ValidatedQuery, Refusal> {
    parse_with(sql, &patients())
}

fn price(rho: f64) -> AccuracyRequest {
    AccuracyRequest::whole(Accuracy::Price(Rho::asked(rho).unwrap())).unwrap()
}

fn delta() -> Delta {
    Delta::new(1e-6).unwrap()
}

fn plan_with(sql: &str, description: &Description) -> Result<PrivatePlan, Refusal> {
    parse_with(sql, description)?.plan(
        description,
        &price(0.1),
        None,
        delta(),
        &PlanOptions::default(),
    )
}

fn plan(sql: &str) -> Result<PrivatePlan, Refusal> {
    plan_with(sql, &patients())
}
