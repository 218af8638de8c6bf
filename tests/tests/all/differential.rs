//! Random questions to two datasets that differ in one subject.

use obscura_tests::differential::{grammar, run};

#[test]
fn two_hundred_random_questions_tell_two_datasets_apart_by_their_noise_only() {
    let figures = run(200, 1).unwrap();
    // The harness sees differences at all, and its invalid texts are invalid.
    assert!(figures.with_difference >= 80, "{figures:?}");
    assert!(
        figures.forbidden >= 25 && figures.refused >= 60,
        "{figures:?}"
    );
}

#[test]
fn every_name_in_the_grammar_is_explained() {
    assert!(
        grammar::unexplained().is_empty(),
        "{:?}",
        grammar::unexplained()
    );
}
