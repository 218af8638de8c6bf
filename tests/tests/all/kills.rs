//! A node that is killed under load loses nothing and prices nothing twice.

use std::path::Path;

/// Kills in every run of the tests; `kill-campaign 200` makes more.
const KILLS: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_nothing_and_price_nothing_twice() {
    let program = Path::new(env!("CARGO_BIN_EXE_node-under-test"));
    let figures = obscura_tests::campaign::run(program, KILLS).await.unwrap();
    assert_eq!(figures.kills, KILLS);
    // There was something to lose.
    assert!(figures.answered > 30, "{figures:?}");
    assert!(figures.inside_a_release >= 3, "{figures:?}");
}
