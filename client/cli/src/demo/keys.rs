//! Step 1: the consortium's authority, everybody's keys, and the folders of the nodes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use obscura_client::{Profile, Target, pem_certificate};
use obscura_gateway::ca::{Authority, Issued};
use obscura_gateway::entropy::seed;
use obscura_gateway::files::{self, Readers};
use obscura_model::identity::Role;
use obscura_model::ids::PartyName;
use obscura_node::clock::Clock;

use super::say::Say;

/// How many institutions there are.
pub(super) const SITES: usize = 6;

/// The gateway's name.
const GATEWAY: &str = "crossing";

/// Any free port: which one it was is written down after the first start.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// One institution before its node runs.
pub(super) struct NewSite {
    /// `site-1`.
    pub(super) name: PartyName,
    /// Where everything of it is.
    pub(super) folder: PathBuf,
    owner: Issued,
}

/// Everybody's keys. The nodes keep theirs in their own folders.
pub(super) struct Keys {
    authority: Authority,
    scientist: Issued,
    gateway_name: PartyName,
    /// The gateway's folder.
    pub(super) gateway: PathBuf,
    /// The institutions.
    pub(super) sites: Vec<NewSite>,
}

/// Makes all of them.
pub(super) fn make(say: &Say, folder: &Path, clock: &dyn Clock) -> anyhow::Result<Keys> {
    say.step(1, "Keys")?;
    say.text(
        "A consortium's authority is made, and keys for one gateway, six nodes, their six owners \
         and ada, a scientist. Each node makes its own key and ledger; only a certificate request \
         leaves its folder.",
    )?;
    say.command("obscura-gateway ca init --dir authority --consortium demo")?;
    say.command("obscura-node init --dir site-1 --name site-1")?;
    let authority = Authority::create("Obscura demo", seed()?, clock.now())?;
    authority.save(&folder.join("authority"))?;
    let sites = (1..=SITES).map(|number| site(&authority, folder, number, clock));
    let sites = sites.collect::<anyhow::Result<Vec<_>>>()?;
    let gateway = folder.join("gateway");
    let gateway_name = PartyName::new(GATEWAY)?;
    let issued = authority.issue(Role::Gateway, &gateway_name, seed()?, clock.now())?;
    files::make_folder(&gateway)?;
    files::write_new(
        &gateway.join("gateway.key"),
        &issued.key_pem,
        Readers::Owner,
    )?;
    public(&gateway.join("gateway.pem"), &issued.certificate_pem)?;
    public(&gateway.join("ca.pem"), authority.certificate_pem())?;
    let scientist = authority.issue(
        Role::Scientist,
        &PartyName::new("ada")?,
        seed()?,
        clock.now(),
    )?;
    Ok(Keys {
        authority,
        scientist,
        gateway_name,
        gateway,
        sites,
    })
}

fn site(
    authority: &Authority,
    folder: &Path,
    number: usize,
    clock: &dyn Clock,
) -> anyhow::Result<NewSite> {
    let name = PartyName::new(&format!("site-{number}"))?;
    let folder = folder.join(name.as_str());
    let request = obscura_node::cli::prepare(&folder, &name, ANY_PORT, clock)
        .with_context(|| format!("the node of {name} cannot be prepared"))?;
    let certificate = authority.sign_request(&request, Role::Node, &name, clock.now())?;
    let owner = PartyName::new(&format!("owner-{number}"))?;
    let owner = authority.issue(Role::Owner, &owner, seed()?, clock.now())?;
    public(&folder.join("node.pem"), &certificate)?;
    public(&folder.join("ca.pem"), authority.certificate_pem())?;
    public(&folder.join("owner.pem"), &owner.certificate_pem)?;
    Ok(NewSite {
        name,
        folder,
        owner,
    })
}

fn public(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(files::write_new(path, text, Readers::Everybody)?)
}

impl Keys {
    /// Writes the scientist's certificate where owners can find it, and returns it.
    pub(super) fn scientist_certificate(&self, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let pem = &self.scientist.certificate_pem;
        public(&folder.join("ada.pem"), pem)?;
        pem_certificate(pem).context("ada's certificate is none")
    }

    /// Writes the scientist's profile and returns it as a program would load it.
    pub(super) fn scientist(&self, folder: &Path, gateway: SocketAddr) -> anyhow::Result<Profile> {
        let target = Target::Gateway {
            address: gateway.to_string(),
            name: self.gateway_name.clone(),
        };
        self.profile(&self.scientist, target, &folder.join("ada.toml"))
    }

    /// Writes the profile of one institution's owner.
    pub(super) fn owner(
        &self,
        folder: &Path,
        site: &NewSite,
        node: SocketAddr,
    ) -> anyhow::Result<Profile> {
        let target = Target::Node {
            address: node.to_string(),
            name: site.name.clone(),
        };
        let number = site.name.as_str().trim_start_matches("site-");
        self.profile(
            &site.owner,
            target,
            &folder.join(format!("owner-{number}.toml")),
        )
    }

    fn profile(&self, issued: &Issued, target: Target, path: &Path) -> anyhow::Result<Profile> {
        let ca = self.authority.certificate_pem().to_owned();
        let (certificate, key) = (issued.certificate_pem.clone(), issued.key_pem.clone());
        Profile::new(ca, certificate, key, target)?.save(path)?;
        Ok(Profile::load(path)?)
    }
}

/// Makes the node keep the port that it got, so that it is found again after a restart.
pub(super) fn keep_port(config: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let what = || format!("cannot change {}", config.display());
    let text = fs::read_to_string(config).with_context(what)?;
    let any = format!("listen = \"{ANY_PORT}\"");
    anyhow::ensure!(
        text.contains(&any),
        "{} does not say {any}",
        config.display()
    );
    let text = text.replacen(&any, &format!("listen = \"{address}\""), 1);
    fs::write(config, text).with_context(what)
}

/// The gateway's configuration: where each node listens, and its certificate.
pub(super) fn write_gateway_config(
    keys: &Keys,
    addresses: &[SocketAddr],
) -> anyhow::Result<PathBuf> {
    use std::fmt::Write as _;
    let mut text = obscura_gateway::config::sample(ANY_PORT);
    for (site, address) in keys.sites.iter().zip(addresses) {
        let name = &site.name;
        write!(
            text,
            "\n[[node]]\nname = \"{name}\"\naddress = \"{address}\"\ncertificate = \"../{name}/node.pem\"\n"
        )?;
    }
    let path = keys.gateway.join("gateway.toml");
    public(&path, &text)?;
    Ok(path)
}
