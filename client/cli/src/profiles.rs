//! `obscura profile`: certificates and addresses, typed once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use obscura_client::model::ids::PartyName;
use obscura_client::{Clock as _, Profile as Stored, System, Target};
use serde_json::json;

use crate::output::Report;
use crate::output::tables::table;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// Make a profile from the files that your operator gave you.
    Add(Add),
    /// List profiles.
    List,
    /// Forget a profile, and the key in it. The journal heads that it has seen stay remembered.
    Remove {
        /// Its name.
        name: String,
    },
    /// Choose the profile that is used when none is named.
    Use {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name.
    name: String,
    /// The certificate of the consortium's authority (PEM).
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Your certificate (PEM).
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Your private key (PEM); nobody else may be able to read it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Server {
    /// For scientists: the gateway, as NAME@HOST:PORT.
    #[arg(long, value_name = "NAME@HOST:PORT")]
    gateway: Option<Address>,
    /// For owners: your own node, as NAME@HOST:PORT.
    #[arg(long, value_name = "NAME@HOST:PORT")]
    node: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    name: PartyName,
    address: String,
}

impl std::str::FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("write it as NAME@HOST:PORT, such as alpine@10.0.0.1:7443, not '{text}'");
        let (name, address) = text.split_once('@').ok_or_else(form)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(form());
        }
        Ok(Address {
            name: PartyName::new(name).map_err(|e| e.to_string())?,
            address: address.to_owned(),
        })
    }
}

pub(crate) fn run(session: &Session, command: Profile) -> anyhow::Result<Report> {
    match command {
        Profile::Add(args) => add(session, args),
        Profile::List => list(session),
        Profile::Remove { name } => remove(session, &name),
        Profile::Use { name } => choose(session, &name),
    }
}

fn add(session: &Session, args: Add) -> anyhow::Result<Report> {
    let path = session.places.file_of(&args.name)?;
    let target = match (args.server.gateway, args.server.node) {
        (Some(Address { name, address }), _) => Target::Gateway { address, name },
        (None, Some(Address { name, address })) => Target::Node { address, name },
        (None, None) => bail!("name a gateway or a node"),
    };
    private(&args.key)?;
    let profile = Stored::new(
        read(&args.ca)?,
        read(&args.certificate)?,
        read(&args.key)?,
        target,
    )?;
    profile.check(System.now())?;
    let folder = session.places.profiles()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    profile.save(&path)?;
    let first = session.places.chosen().is_none();
    if first {
        write_choice(session, &args.name)?;
    }
    let party = profile.party()?;
    let leads = profile.target().in_words();
    let mut text = format!(
        "Profile {}: you are {} {}, and it leads to {leads}.\n",
        args.name, party.role, party.name
    );
    if first {
        text.push_str("It is used when no other is named.\n");
    }
    let view = json!({
        "name": args.name,
        "file": path,
        "role": party.role.as_str(),
        "party": party.name.as_str(),
        "key": party.key.to_string(),
        "leads_to": leads,
        "chosen": first,
    });
    Ok(Report::new(text, view))
}

fn list(session: &Session) -> anyhow::Result<Report> {
    let folder = session.places.profiles()?;
    let mut names = Vec::new();
    if folder.exists() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml")
                && let Some(name) = path.file_stem().and_then(|n| n.to_str())
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    let chosen = session.places.chosen();
    let (mut rows, mut views) = (Vec::new(), Vec::new());
    for name in names {
        let mark = chosen.as_ref() == Some(&name);
        let loaded = Stored::load(&folder.join(format!("{name}.toml")));
        let (who, leads) = match loaded.and_then(|p| Ok((p.party()?, p.target().in_words()))) {
            Ok((party, leads)) => (format!("{} {}", party.role, party.name), leads),
            Err(error) => (error.in_full(), String::new()),
        };
        views.push(json!({ "name": name, "you": who, "leads_to": leads, "chosen": mark }));
        let mark = if mark { "chosen" } else { "" };
        rows.push(vec![name, who, leads, mark.to_owned()]);
    }
    let text = if rows.is_empty() {
        "There is no profile yet: make one with `obscura profile add`.\n".to_owned()
    } else {
        table(&["Profile", "You are", "It leads to", ""], rows, &[])
    };
    Ok(Report::new(text, json!({ "profiles": views })))
}

fn choose(session: &Session, name: &str) -> anyhow::Result<Report> {
    if !session.places.file_of(name)?.exists() {
        bail!("there is no profile called '{name}': see `obscura profile list`");
    }
    write_choice(session, name)?;
    let text = format!("Profile {name} is used when no other is named.\n");
    Ok(Report::new(text, json!({ "chosen": name })))
}

fn remove(session: &Session, name: &str) -> anyhow::Result<Report> {
    let path = session.places.file_of(name)?;
    if !path.exists() {
        bail!("there is no profile called '{name}': see `obscura profile list`");
    }
    let cannot = |path: &Path| format!("cannot remove {}", path.display());
    fs::remove_file(&path).with_context(|| cannot(&path))?;
    let mut text = format!("Profile {name} is forgotten.\n");
    if session.places.chosen().as_deref() == Some(name) {
        let chosen = session.places.chosen_file()?;
        fs::remove_file(&chosen).with_context(|| cannot(&chosen))?;
        text.push_str("No profile is chosen now: choose one with `obscura profile use NAME`.\n");
    }
    Ok(Report::new(text, json!({ "removed": name })))
}

fn write_choice(session: &Session, name: &str) -> anyhow::Result<()> {
    let path = session.places.chosen_file()?;
    fs::write(&path, format!("{name}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Refuses a key that others can read.
#[cfg(unix)]
fn private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        bail!("others can read the private key {path}: run chmod 600 {path}, then add it again");
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_path: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_a_host_and_a_port() {
        let address: Address = "alpine@[::1]:7443".parse().unwrap();
        assert_eq!(
            (address.name.as_str(), address.address.as_str()),
            ("alpine", "[::1]:7443")
        );
        for wrong in [
            "alpine",
            "alpine@host",
            "@host:1",
            "alpine@:1",
            "a@h:99999",
            "A@h:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
