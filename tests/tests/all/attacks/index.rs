//! Which test runs which attack. A test below checks that no attack is missing and that every test
//! named here exists.

use std::path::Path;

/// Sections A, B and C, and the part of F about queries.
pub(super) const IDS: [&str; 51] = [
    "A01", "A04", "A05", "A08", "A09", "A11", "A12", "A14", "A16", "A17", "A18", "A19", "A20",
    "B01", "B02", "B04", "B05", "B06", "B08", "B10", "B11", "B14", "B15", "B18", "B19", "B20",
    "B24", "B25", "B26", "B28", "B30", "B33", "B37", "B38", "B40", "B42", "C01", "C02", "C03",
    "C05", "C08", "C10", "C12", "C14", "C16", "C18", "C19", "C20", "F01", "F02", "F03",
];

const OTHERS: [&str; 3] = ["F04", "F08", IDENT];

/// No row of its own: what "IDENT" means for answers that the rows do not name.
const IDENT: &str = "IDENT";

const HERE: &str = "tests/tests/all/attacks/";

/// An attack, the file of a test that runs it, and the test.
const TESTS: &[(&str, &str, &str)] = &[
    (
        "A01",
        "numbers.rs",
        "a01_every_number_lies_on_one_grid_wherever_the_truth_lies",
    ),
    (
        "A01",
        "requests.rs",
        "noisy_counts_lie_anywhere_on_their_grid",
    ),
    ("A04", "numbers.rs", "a04_sums_that_would_not_fit"),
    (
        "A05",
        "/node/query/tests/fold.rs",
        "row_order_and_threads_change_nothing",
    ),
    (
        "A05",
        "/node/query/tests/fold.rs",
        "many_row_groups_on_many_threads_give_the_same_sums",
    ),
    (
        "A05",
        "/node/query/src/tests/rows.rs",
        "sums_do_not_depend_on_row_order_or_batch_size",
    ),
    (
        "A05",
        "/node/query/src/tests/rows.rs",
        "a05_two_to_the_53_and_ones_add_up_alike_in_any_order_and_any_batches",
    ),
    (
        "A08",
        "numbers.rs",
        "a08_a09_what_is_no_number_is_missing_and_infinity_is_at_the_bound",
    ),
    (
        "A09",
        "numbers.rs",
        "a08_a09_what_is_no_number_is_missing_and_infinity_is_at_the_bound",
    ),
    ("A11", "numbers.rs", "a11_bounds_that_are_none"),
    (
        "A12",
        "requests.rs",
        "no_number_that_an_accuracy_can_hold_makes_an_answer_cheap",
    ),
    (
        "A12",
        "requests.rs",
        "a12_no_accuracy_is_refused_otherwise_because_of_who_is_there",
    ),
    (
        "A14",
        "requests.rs",
        "ten_tenths_of_a_limit_fit_exactly_and_every_output_is_priced",
    ),
    ("A16", "numbers.rs", "a16_a_copied_node_draws_other_noise"),
    (
        "A16",
        "forks.rs",
        "a16_processes_from_one_image_draw_other_noise_for_the_same_bytes",
    ),
    (
        "A17",
        "/tests/tests/all/noise.rs",
        "ten_thousand_residuals_have_the_promised_spread_and_no_pattern",
    ),
    (
        "A18",
        "numbers.rs",
        "a18_sensitivity_is_a_subjects_and_rows_beyond_the_most_do_not_count",
    ),
    (
        "A18",
        "numbers.rs",
        "a18_rows_beyond_the_most_do_not_count_in_other_groups_either",
    ),
    (
        "A19",
        "numbers.rs",
        "a19_several_aggregates_are_charged_each_as_the_preview_said",
    ),
    (
        "A19",
        "requests.rs",
        "ten_tenths_of_a_limit_fit_exactly_and_every_output_is_priced",
    ),
    ("A20", "numbers.rs", "a20_an_average_over_nobody"),
    ("B01", "surface.rs", "b01_raw_rows"),
    ("B02", "surface.rs", "b02_one_persons_value_by_an_aggregate"),
    (
        "B04",
        "surface.rs",
        "b04_group_keys_are_the_declared_ones_in_declared_order",
    ),
    ("B05", "surface.rs", "b05_empty_groups_are_answered"),
    (
        "B06",
        "surface.rs",
        "b06_only_columns_with_a_declared_domain_are_keys",
    ),
    ("B08", "surface.rs", "b08_grouping_sets"),
    (
        "B10",
        "surface.rs",
        "b10_order_and_limit_never_follow_the_true_values",
    ),
    ("B11", "surface.rs", "b11_what_depends_on_the_order_of_rows"),
    ("B14", "surface.rs", "b14_joins_that_multiply_rows"),
    ("B15", "surface.rs", "b15_joins_of_a_person_with_their_rows"),
    (
        "B14",
        "joins.rs",
        "b11_b14_b18_b30_what_is_no_join_of_one_persons_rows",
    ),
    (
        "B15",
        "joins.rs",
        "b15_a_join_is_for_all_rows_that_a_person_can_have",
    ),
    (
        "B15",
        "joins.rs",
        "b15_joined_rows_are_cut_once_and_not_in_each_group",
    ),
    ("C01", "joins.rs", "c01_c02_nothing_inside_a_subquery_fails"),
    ("B18", "surface.rs", "b18_subqueries_that_look_at_others"),
    ("B19", "surface.rs", "b19_a_scalar_subquery_as_an_oracle"),
    ("B20", "surface.rs", "b20_data_in_the_constant"),
    (
        "B24",
        "surface.rs",
        "b24_functions_that_do_not_mean_the_same_twice",
    ),
    (
        "B25",
        "surface.rs",
        "b25_tables_that_are_files_or_functions_and_other_statements",
    ),
    (
        "B25",
        "surface/traced.rs",
        "b25_no_file_is_opened_and_nothing_is_started_for_any_of_them",
    ),
    ("B26", "surface.rs", "b26_explain_and_describe"),
    ("B28", "surface.rs", "b28_statements_comments_and_letters"),
    (
        "B30",
        "surface.rs",
        "b30_whose_row_it_is_is_not_the_querys_to_say",
    ),
    (
        "B30",
        "surface.rs",
        "b30_ids_are_normalised_once_and_rows_without_one_are_dropped",
    ),
    (
        "B33",
        "numbers.rs",
        "b33_asking_a_thousand_times_gains_what_it_is_charged",
    ),
    (
        "B37",
        "surface.rs",
        "b37_arithmetic_over_aggregates_sees_noisy_values_only",
    ),
    ("B38", "surface.rs", "b38_what_is_missing_is_defined"),
    ("B40", "surface.rs", "b40_categories_come_in_declared_order"),
    ("B42", "surface.rs", "b42_nobody_at_all"),
    ("C01", "channels.rs", "c01_division_by_zero"),
    ("C02", "channels.rs", "c02_casts_that_fail"),
    ("C03", "channels.rs", "c03_arithmetic_that_overflows"),
    ("C05", "channels.rs", "c05_data_as_a_pattern"),
    ("C05", "channels.rs", "c05_literal_patterns"),
    (
        "C08",
        "channels.rs",
        "c08_c10_time_tells_neither_who_is_there_nor_the_noise",
    ),
    (
        "C08",
        "moments.rs",
        "nothing_shows_a_release_before_its_slot_ends",
    ),
    // On demand, for hours: as many releases as one says, and as many again in slots shortened
    // until half of the runs end behind the boundary, where overruns are compared.
    ("C08", "/tests/src/bin/attack_campaign.rs", "main"),
    (
        "C10",
        "channels.rs",
        "c08_c10_time_tells_neither_who_is_there_nor_the_noise",
    ),
    (
        "C10",
        "moments.rs",
        "nothing_shows_a_release_before_its_slot_ends",
    ),
    (
        "C12",
        "channels.rs",
        "c12_what_could_take_too_long_is_refused_before_it_begins",
    ),
    (
        "C12",
        "channels.rs",
        "c12_a_fold_that_takes_too_long_fails_like_any_other_and_keeps_its_price",
    ),
    (
        "C14",
        "channels.rs",
        "c14_a_failure_is_charged_and_cannot_be_had_often",
    ),
    (
        "C16",
        "channels.rs",
        "c16_order_and_lengths_stay_from_run_to_run",
    ),
    ("C18", "channels.rs", "c18_what_errors_say"),
    ("C18", "logs.rs", "the_log_says_the_same_whoever_is_there"),
    (
        "C19",
        "channels.rs",
        "c19_refusals_for_lack_of_room_come_alike",
    ),
    (
        "C20",
        "channels.rs",
        "c20_nobody_learns_that_one_person_is_at_the_limit",
    ),
    ("C20", "logs.rs", "the_log_says_the_same_whoever_is_there"),
    ("F01", "bombs.rs", "f01_long_flat_expressions"),
    ("F02", "bombs.rs", "f02_deep_nesting"),
    ("F03", "bombs.rs", "f03_wide_queries"),
    ("F04", "bombs.rs", "f04_cross_joins"),
    (
        "F08",
        "/tests/tests/all/attacks.rs",
        "bombs_are_refused_and_the_node_goes_on",
    ),
    (
        "F08",
        "/tests/tests/all/attacks.rs",
        "no_message_is_ever_unpacked",
    ),
    (
        IDENT,
        "ident.rs",
        "what_a_grant_gives_is_alike_whoever_is_there",
    ),
    (
        IDENT,
        "ident.rs",
        "coverage_and_the_number_of_people_cut_are_noisy_numbers_like_any_other",
    ),
    (
        IDENT,
        "ident.rs",
        "suppressed_cells_are_marked_at_equal_lengths",
    ),
    (
        IDENT,
        "ident.rs",
        "keys_that_nobody_declared_come_at_equal_lengths_and_never_from_one_person",
    ),
];

#[test]
fn every_attack_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for id in IDS.iter().chain(&OTHERS) {
        assert!(TESTS.iter().any(|(of, _, _)| of == id), "{id} has no test");
    }
    for (id, file, test) in TESTS {
        let path = match file.strip_prefix('/') {
            Some(path) => root.join(path),
            None => root.join(HERE).join(file),
        };
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(&format!("fn {test}(")),
            "{id}: no {test} in {file}"
        );
        assert!(IDS.iter().chain(&OTHERS).any(|known| known == id), "{id}");
    }
}
