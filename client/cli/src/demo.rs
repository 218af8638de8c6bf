//! `obscura demo`: the whole path once, on one machine, with real data.
//!
//! | module | is |
//! |---|---|
//! | `keys`, `network` | steps 1 and 2: keys, folders, processes |
//! | `owners` | step 3: descriptions, limits, enrolment |
//! | `explore` | step 4: catalogue and practice data |
//! | `margin`, `study` | step 5: the one question to the stranger; draft, review, approval |
//! | `answer`, `public` | step 6: the combined answer, and the exact figures beside it |
//! | `right` | step 7: four things going right |
//! | `children`, `hidden` | this program started again as nodes and gateway |
//! | `data`, `exact` | the public data set |
//! | `folder`, `keep`, `say` | where it works, what stays, how it speaks |

mod answer;
mod children;
mod data;
mod exact;
mod explore;
mod folder;
mod hidden;
mod keep;
mod keys;
mod margin;
mod network;
mod owners;
mod public;
mod right;
mod say;
mod study;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use obscura_client::Client;
use obscura_node::clock::{Clock, SystemClock};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use folder::Folder;
use network::Network;
use say::Say;

/// The dataset's name at every institution.
const DATASET: &str = "rand_hie";

/// How many log lines of each process are shown when something goes wrong.
const LOG_LINES: usize = 3;

/// How long tasks may take to end when everything else has ended.
const LAST_TASKS: Duration = Duration::from_millis(200);

/// See the whole path once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Within how many visits the average should be right, 95 times in 100, for a group of 5,000
    /// person-years over all sites. Without it you are asked.
    #[arg(long, value_name = "VISITS", value_parser = margin::parsed)]
    margin: Option<f64>,
    /// Leave the network running until Ctrl-C, and print commands to play with.
    #[arg(long)]
    keep: bool,
    /// The folder to work in: new or empty, and not removed. Otherwise a temporary one is made,
    /// and removed at the end.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// The demo's own processes: this program started again.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Process {
    /// A node.
    #[command(name = "__node", hide = true)]
    Node {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// A gateway.
    #[command(name = "__gateway", hide = true)]
    Gateway {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

/// Runs the demo. `details`: also says epsilon and rho.
pub(crate) fn run(args: Args, details: bool) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let done = runtime.block_on(demo(args, Say::new(details)));
    // A question that nobody answered must not keep the process.
    runtime.shutdown_timeout(LAST_TASKS);
    done
}

/// Runs one of its processes.
pub(crate) fn process(process: Process) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        match process {
            Process::Node { config } => hidden::node(&config).await,
            Process::Gateway { config } => hidden::gateway(&config).await,
        }
    })
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// How the story ended.
enum End {
    /// It was told to the end; this long it waited for the stranger.
    Told(Duration),
    /// By Ctrl-C or a signal.
    Interrupted,
}

/// Runs the steps, and cleans up however they end.
async fn demo(args: Args, say: Say) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let clock = SystemClock::start();
    let folder = Folder::make(args.dir.clone())?;
    let mut network = None;
    let mut end = tokio::select! {
        told = steps(&args, &say, folder.path(), &clock, &mut network) => told.map(End::Told),
        _ = interrupt.recv() => Ok(End::Interrupted),
        _ = terminate.recv() => Ok(End::Interrupted),
    };
    if args.keep && matches!(end, Ok(End::Told(_))) {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        keep::end(folder.path());
    }
    if let Some(network) = network {
        end = network.stop().await.and(end);
    }
    let end = end.map_err(|error| {
        let logs = Network::last_lines(folder.path(), LOG_LINES);
        anyhow::anyhow!("{error:#}{logs}")
    });
    let path = folder.path().to_owned();
    folder.close()?;
    match end? {
        End::Told(_) if args.keep => Ok(say.text("Stopped.")?),
        End::Told(thought) => closing(&say, &args, &path, clock.elapsed().saturating_sub(thought)),
        End::Interrupted => anyhow::bail!("interrupted; everything is stopped"),
    }
}

/// The story; returns how long it waited for the stranger. `network` outlives it, so that it is
/// stopped in good order in any case.
async fn steps(
    args: &Args,
    say: &Say,
    folder: &Path,
    clock: &SystemClock,
    network: &mut Option<Network>,
) -> anyhow::Result<Duration> {
    let program = std::env::current_exe().context("this program does not find itself")?;
    opening(say, folder)?;
    let rows = data::rows()?;
    let keys = keys::make(say, folder, clock)?;
    let network = network.insert(network::start(say, folder, &program, keys).await?);
    let owners = owners::describe(say, network, &rows).await?;
    let client = Client::connect(network.scientist.clone()).await?;
    explore::explore(say, &client).await?;
    study::question(say)?;
    let before = clock.elapsed();
    let asked = margin::chosen(say, args.margin).await?;
    let thought = clock.elapsed().saturating_sub(before);
    let study = study::draft(say, &client, folder, asked, clock.now()).await?;
    study::approve(say, &owners, &study).await?;
    let fetched = answer::fetch_all(say, &client, &study, folder).await?;
    public::compare(say, &rows, &fetched)?;
    let scene = right::Scene {
        client: &client,
        owners: &owners,
        study: &study,
        fetched: &fetched,
    };
    right::show(say, network, &scene).await?;
    if args.keep {
        keep::invite(say, folder, &study, clock.elapsed().saturating_sub(thought))?;
    }
    Ok(thought)
}

fn opening(say: &Say, folder: &Path) -> anyhow::Result<()> {
    say.line("")?;
    say.text(
        "OBSCURA. One study across six institutions, on this machine only. The data are real and \
         public: the RAND Health Insurance Experiment, 20,190 person-years of 5,912 people at six \
         sites. Rows never leave their node; what leaves is noisy, signed and counted.",
    )?;
    say.text(&format!("Everything happens in {}.", folder.display()))?;
    Ok(())
}

fn closing(say: &Say, args: &Args, folder: &Path, took: Duration) -> anyhow::Result<()> {
    say.line("")?;
    say.text(&format!(
        "That was all of it, in {:.1} seconds. Every process is stopped.",
        took.as_secs_f64()
    ))?;
    let folder = folder.display();
    if args.dir.is_some() {
        say.text(&format!("The files stay in {folder}."))?;
    } else {
        say.text(&format!(
            "{folder} is removed: `cargo demo --dir FOLDER` keeps the files, `cargo demo --keep` \
             the network."
        ))?;
    }
    say.text(
        "Read on: README.md for what this is, ARCHITECTURE.md for how it is built, \
         deploy/demo/README.md for the data.",
    )?;
    Ok(())
}

/// One task for each of `tasks`; the results in their order. If one fails the others end.
async fn all<T, F>(tasks: impl IntoIterator<Item = F>) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut running = JoinSet::new();
    for (place, task) in tasks.into_iter().enumerate() {
        running.spawn(async move { (place, task.await) });
    }
    let mut done = Vec::new();
    while let Some(task) = running.join_next().await {
        let (place, result) = task.context("a task of the demo ended early")?;
        done.push((place, result?));
    }
    done.sort_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
