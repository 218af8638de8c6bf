//! The audit at its small size: what a running node leaks is not above what it says. Each part's
//! alarm comes by chance once in a million runs or so. `audit` runs the full sizes.

use std::path::Path;

use indicatif::ProgressBar;
use obscura_tests::audit::{Report, bytes, releases, transcripts, utility, workload};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_node-under-test"))
}

/// Fails with every alarm and all figures.
fn quiet(report: &Report) {
    let alarms = report.alarms();
    assert!(alarms.is_empty(), "{alarms:#?}\n{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_leak_no_more_than_their_price_and_count_people_as_declared() {
    let (size, hidden) = (releases::Size::SMALL, ProgressBar::hidden());
    quiet(&releases::measure(program(), size, &hidden).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcripts_leak_no_more_than_the_limit_whatever_the_adversary_does() {
    let (size, hidden) = (transcripts::Size::SMALL, ProgressBar::hidden());
    let report = transcripts::measure(program(), size, &hidden)
        .await
        .unwrap();
    quiet(&report);
    // There was something to find.
    for (figure, least) in [("answers", 50.0), ("again", 5.0), ("kills", 2.0)] {
        assert!(report.value(figure).unwrap() >= least, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_and_times_tell_two_worlds_apart_no_better_than_their_numbers() {
    let (size, hidden) = (bytes::Size::SMALL, ProgressBar::hidden());
    quiet(&bytes::measure(size, &hidden).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn utility_is_as_near_to_the_best_as_it_is_said_to_be() {
    quiet(
        &utility::measure(5, None, &ProgressBar::hidden())
            .await
            .unwrap(),
    );
}

/// The first questions of the list: with strict a few of them are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workload_of_narrow_questions_is_answered_further_with_protect() {
    let report = workload::measure(25, &ProgressBar::hidden()).await.unwrap();
    quiet(&report);
    let answered = |name: &str| report.value(name).unwrap();
    assert!(answered("strict_answered") < 25.0, "{report}");
    assert_eq!(answered("strict_answered"), answered("strict_complete"));
    assert!(answered("protect_answered") > answered("strict_answered"));
}
