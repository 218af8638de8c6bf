//! `attack-campaign [ROUNDS]`: the attacks on time with as many releases as the argument says
//! (5,000), in two worlds that differ in one person; then as many again in slots shortened until
//! about half of the runs end behind their slot's boundary. Prints what was seen; fails if it shows
//! anything. About 100 milliseconds a round.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use obscura_tests::cluster::ask;
use obscura_tests::fixture::timing::{Alarm, AtBoundary, Timed, Verdict, timed};
use obscura_tests::fixture::{Setup, World, Worlds};

/// Rounds that say how many runs overrun at one pace.
const TRIED: usize = 20;
/// Halvings of the range of paces from 1 to 2^6.
const HALVINGS: u32 = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = std::env::args().nth(1);
    let rounds: usize = rounds
        .map_or(Ok(5_000), |r| r.parse())
        .context("ROUNDS is a number")?;
    let plain = plain(rounds).await?;
    let shortened = shortened(rounds).await?;
    // Of a hundred campaigns one fails by chance in each part, as the attack's row says.
    let alarms = [plain.alarms(&Alarm::CAMPAIGN), shortened.alarms()].concat();
    ensure!(alarms.is_empty(), "{}", alarms.join("; "));
    Ok(())
}

async fn worlds() -> Result<Worlds> {
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        epsilon: 500.0,
        waits: true,
        ..Setup::default()
    };
    Worlds::build(setup).await
}

/// So many rounds of a question whose slow branch only S0042 takes.
async fn asked(worlds: &Worlds, rounds: usize) -> Result<[Vec<Timed>; 2]> {
    let slow = format!(
        "SELECT SUM(CASE WHEN age = 42 THEN LEAST(GREATEST(bmi{}, 0), 9) ELSE 1 END) AS s \
         FROM patients",
        " * 1.01 / 1.02".repeat(200)
    );
    let mut all = [Vec::new(), Vec::new()];
    for begun in (0..rounds).step_by(1_000) {
        let some = (rounds - begun).min(1_000);
        let asks = [ask("n", &slow, 1_000_000).times(u32::try_from(some)?)];
        let study = worlds.approved("patients", &asks).await?;
        let some = timed(worlds, &study, some).await?;
        for (list, some) in all.iter_mut().zip(some) {
            list.extend(some);
        }
    }
    Ok(all)
}

async fn plain(rounds: usize) -> Result<Verdict> {
    let worlds = worlds().await?;
    let [with, without] = asked(&worlds, rounds).await?;
    worlds.stop().await;
    let verdict = Verdict::of(&with, &without);
    let Verdict {
        distance,
        gap,
        late: [late, late_without],
        rank,
        releases,
    } = verdict;
    writeln!(
        std::io::stdout(),
        "{releases} releases: distance {distance:.3} (alarm at 1.63), medians {gap:.3} ms apart \
         (at 1), {late} and {late_without} late (at 3 standard deviations), rank correlation with \
         the noise {rank:.4} (at 0.05)"
    )?;
    Ok(verdict)
}

/// The same at a pace at which about half of the runs end behind the boundary.
async fn shortened(rounds: usize) -> Result<AtBoundary> {
    let worlds = worlds().await?;
    let [with, without] = asked(&worlds, TRIED).await?;
    let slots = with.iter().chain(&without).map(|t| t.slot);
    let public = slots.min().context("no slot")?;
    if public < Duration::from_millis(1) {
        bail!("the clock saw no slots")
    }
    let (mut low, mut high) = (0.0f64, 6.0f64);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        worlds.clock.go_at(middle.exp2());
        let [with, without] = asked(&worlds, TRIED).await?;
        if AtBoundary::of(&with, &without, public).share() < 0.5 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let pace = ((low + high) / 2.0).exp2();
    worlds.clock.go_at(pace);
    let [with, without] = asked(&worlds, rounds).await?;
    worlds.stop().await;
    let seen = AtBoundary::of(&with, &without, public);
    let AtBoundary {
        overruns: [over, over_without],
        alone: [alone, alone_without],
        rounds,
        distance,
    } = seen;
    writeln!(
        std::io::stdout(),
        "{rounds} rounds in slots of {:.1} ms: {over} and {over_without} overran, {alone} and \
         {alone_without} alone in their round (alarm at once in a million), distance \
         {distance:.3} (at 1.63)",
        public.as_secs_f64() * 1e3 / pace
    )?;
    Ok(seen)
}
