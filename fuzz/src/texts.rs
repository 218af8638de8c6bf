//! Files that people write: descriptions, study files, code lists.

use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::{CodeList, CodeLists};
use obscura_model::exposure::{Delta, Rho};
use obscura_model::schema::Description;
use obscura_model::study::StudyFile;
use obscura_model::text::SqlText;
use obscura_query::{PlanOptions, ValidatedQuery};

/// The longest refusal, in bytes.
const LONGEST_REFUSAL: usize = 4_000;

fn refused(error: &dyn std::error::Error) {
    let said = error.to_string();
    assert!(
        !said.is_empty() && said.len() <= LONGEST_REFUSAL,
        "{} bytes: {said}",
        said.len()
    );
}

/// A description is refused or can be asked how many rows there are.
pub fn description(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let description = match Description::from_toml(text) {
        Ok(description) => description,
        Err(error) => return refused(&error),
    };
    assert_eq!(description.text(), text, "the exact text is what is signed");
    assert_eq!(Description::from_toml(text).as_ref(), Ok(&description));
    assert!(description.fewest_subjects() <= description.most_subjects());
    assert!(description.index_capacity() >= description.most_subjects());
    assert!(description.delta().get() * description.most_subjects() as f64 <= 1.0);
    for column in description.columns() {
        let Some(count) = column.domain.key_count() else {
            continue;
        };
        assert!(count > 0);
        for index in [0, count / 2, count - 1] {
            assert!(column.domain.key_label(index).is_some(), "{}", column.name);
        }
        assert!(column.domain.key_label(count).is_none(), "{}", column.name);
    }
    let sql = format!("SELECT COUNT(*) FROM \"{}\"", description.name());
    let Ok(sql) = SqlText::new(&sql) else { return };
    let Ok(query) = ValidatedQuery::parse(&sql, &description, &CodeLists::none()) else {
        return;
    };
    let price = Accuracy::Price(Rho::from_nano(100_000_000));
    let asked = AccuracyRequest::whole(price).unwrap();
    let delta = Delta::new(1e-9).unwrap();
    let plan = query.plan(&description, &asked, None, delta, &PlanOptions::default());
    if let Ok(plan) = plan {
        assert!(plan.price().nano() > 0 && plan.price().nano() <= 100_000_000);
    }
}

/// A study file is refused or names its parts; a code list likewise.
pub fn study(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    if kind % 2 == 0 {
        match StudyFile::from_toml(text) {
            Ok(file) => assert!(!file.releases().is_empty()),
            Err(error) => refused(&error),
        }
        return;
    }
    match CodeList::from_toml(text) {
        Ok(list) => {
            assert_eq!(list.text(), text);
            let lists = CodeLists::new([list.clone()]);
            assert_eq!(lists.find(&list.reference()), Some(&list));
        }
        Err(error) => refused(&error),
    }
}
