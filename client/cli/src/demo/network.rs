//! Step 2: seven processes of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use obscura_client::Profile;
use obscura_model::ids::PartyName;
use tokio::sync::watch;

use super::all;
use super::children::{self, Child, Recipe};
use super::keys::{self, Keys};
use super::say::Say;
use crate::output::progress;

/// The file in a process's folder that its log goes to.
const LOG: &str = "node.log";

/// One institution with a running node.
#[derive(Debug)]
pub(super) struct Site {
    /// `site-1`.
    pub(super) name: PartyName,
    /// Where everything of it is.
    pub(super) folder: PathBuf,
    /// Its owner's profile, which leads to its node.
    pub(super) owner: Profile,
    recipe: Recipe,
    child: Option<Child>,
}

/// The demo's network. Dropping it kills every process.
#[derive(Debug)]
pub(super) struct Network {
    /// The institutions.
    pub(super) sites: Vec<Site>,
    /// The scientist's profile, which leads to the gateway.
    pub(super) scientist: Profile,
    /// The scientist's certificate (DER), for owners to enrol.
    pub(super) certificate: Vec<u8>,
    gateway: Child,
}

/// Starts six nodes at once, then the gateway.
pub(super) async fn start(
    say: &Say,
    folder: &Path,
    program: &Path,
    keys: Keys,
) -> anyhow::Result<Network> {
    say.step(2, "Seven processes")?;
    say.text(
        "Six nodes and the gateway start, each a process with its own folder, journal and index. \
         They talk gRPC over mutual TLS 1.3. The gateway passes signed envelopes on and can alter \
         nothing in them.",
    )?;
    let recipe = |name: &str, command, folder: &Path, config: PathBuf| Recipe {
        name: name.to_owned(),
        program: program.to_owned(),
        command,
        config,
        log: folder.join(LOG),
    };
    let recipes: Vec<Recipe> = keys
        .sites
        .iter()
        .map(|s| {
            recipe(
                s.name.as_str(),
                "__node",
                &s.folder,
                s.folder.join("node.toml"),
            )
        })
        .collect();
    let starting = recipes
        .iter()
        .cloned()
        .map(|recipe| async move { recipe.start().await });
    let nodes = progress("starting six nodes", all(starting)).await?;
    let addresses: Vec<_> = nodes.iter().map(Child::address).collect();
    for (recipe, address) in recipes.iter().zip(&addresses) {
        keys::keep_port(&recipe.config, *address)?;
    }
    let config = keys::write_gateway_config(&keys, &addresses)?;
    let gateway = recipe("gateway", "__gateway", &keys.gateway, config);
    let gateway = progress("starting the gateway", gateway.start()).await?;
    let profiles = folder.join("profiles");
    obscura_gateway::files::make_folder(&profiles)?;
    let scientist = keys.scientist(&profiles, gateway.address())?;
    let mut sites = Vec::new();
    for ((site, recipe), child) in keys.sites.iter().zip(recipes).zip(nodes) {
        sites.push(Site {
            name: site.name.clone(),
            folder: site.folder.clone(),
            owner: keys.owner(&profiles, site, child.address())?,
            recipe,
            child: Some(child),
        });
    }
    let network = Network {
        sites,
        scientist,
        certificate: keys.scientist_certificate(folder)?,
        gateway,
    };
    network.show(say)?;
    Ok(network)
}

impl Network {
    fn show(&self, say: &Say) -> anyhow::Result<()> {
        let row = |name: &str, child: &Child| {
            vec![
                name.to_owned(),
                child.id().to_string(),
                child.address().to_string(),
            ]
        };
        let nodes = self
            .sites
            .iter()
            .filter_map(|s| Some(row(s.name.as_str(), s.child.as_ref()?)));
        let rows: Vec<_> = nodes.chain([row("gateway", &self.gateway)]).collect();
        say.table(&["who", "process", "listens at"], rows)?;
        Ok(())
    }

    /// One institution by its place.
    pub(super) fn site(&mut self, place: usize) -> anyhow::Result<&mut Site> {
        self.sites
            .get_mut(place)
            .context("there are only six institutions")
    }

    /// The last lines of each log that says anything, for when something went wrong.
    pub(super) fn last_lines(folder: &Path, lines: usize) -> String {
        let sites = (1..=keys::SITES).map(|n| format!("site-{n}"));
        let mut text = String::new();
        for name in sites.chain(["gateway".to_owned()]) {
            let last = children::tail(&folder.join(&name).join(LOG), lines);
            if !last.is_empty() {
                text.push_str(&format!("\n--- the end of the log of {name}:\n{last}"));
            }
        }
        text
    }

    /// Stops every process in good order.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let nodes = self.sites.into_iter().filter_map(|s| s.child);
        let children = std::iter::once(self.gateway).chain(nodes);
        all(children.map(Child::stop)).await?;
        Ok(())
    }
}

impl Site {
    /// Tells, from now on, when the node has made the intent of a release durable.
    pub(super) fn intents(&self) -> anyhow::Result<watch::Receiver<u64>> {
        Ok(self
            .child
            .as_ref()
            .context("the node is not running")?
            .intents())
    }

    /// Kills the node with SIGKILL as soon as `intents` tells of one.
    pub(super) async fn kill_in_the_middle(
        &mut self,
        mut intents: watch::Receiver<u64>,
        within: Duration,
    ) -> anyhow::Result<()> {
        let child = self.child.take().context("the node is not running")?;
        let seen = tokio::time::timeout(within, intents.changed()).await;
        let last = || children::tail(&self.recipe.log, 3);
        seen.ok()
            .and_then(Result::ok)
            .with_context(|| format!("{} began no release:\n{}", self.name, last()))?;
        child.kill().await
    }

    /// Starts the node again, at the same address.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = Some(self.recipe.start().await?);
        Ok(())
    }
}
