//! `attack-campaign [ROUNDS]`: the attacks on time with as many releases as the argument says
//! (5,000), in two worlds that differ in one person. Prints what was seen; fails if it shows
//! anything. About 100 milliseconds a round.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use obscura_tests::cluster::ask;
use obscura_tests::fixture::timing::{Alarm, Verdict, timed};
use obscura_tests::fixture::{Setup, World, Worlds};

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = std::env::args().nth(1);
    let rounds: usize = rounds
        .map_or(Ok(5_000), |r| r.parse())
        .context("ROUNDS is a number")?;
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        epsilon: 500.0,
        waits: true,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await?;
    let slow = format!(
        "SELECT SUM(CASE WHEN age = 42 THEN LEAST(GREATEST(bmi{}, 0), 9) ELSE 1 END) AS s \
         FROM patients",
        " * 1.01 / 1.02".repeat(200)
    );
    let mut all = vec![Vec::new(); 2];
    for begun in (0..rounds).step_by(1_000) {
        let asks = [ask("n", &slow, 1_000_000).times(1_000)];
        let study = worlds.approved("patients", &asks).await?;
        let some = timed(&worlds, &study, (rounds - begun).min(1_000)).await?;
        for (list, some) in all.iter_mut().zip(some) {
            list.extend(some);
        }
    }
    worlds.stop().await;
    let [with, without] = all.as_slice() else {
        bail!("two worlds were asked")
    };
    let verdict = Verdict::of(with, without);
    let Verdict {
        distance,
        gap,
        late: [late, late_without],
        rank,
        releases,
    } = verdict;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{releases} releases: distance {distance:.3} (alarm at 1.63), medians {gap:.3} ms apart \
         (at 1), {late} and {late_without} late (at 3 standard deviations), rank correlation with \
         the noise {rank:.4} (at 0.05)"
    )?;
    // Of a hundred campaigns one fails by chance, as the attack's row says.
    let alarms = verdict.alarms(&Alarm::CAMPAIGN);
    ensure!(alarms.is_empty(), "{}", alarms.join("; "));
    Ok(())
}
