//! Which entries of the gateway's directory are believed.

use std::collections::BTreeSet;
use std::time::Duration;

use obscura_model::identity::{Party, Role};
use obscura_model::ids::PartyName;
use obscura_model::study::Institution;
use obscura_wire::tls::{self, UnixTime, Usage};

use super::Site;
use crate::combined::NotIncluded;
use crate::transport::{ListedNode, Transport};

/// The nodes whose certificates the consortium's authority issued to a node of that name, by
/// name, and the others with the reason.
pub(super) fn checked(
    transport: &Transport,
    listed: Vec<ListedNode>,
) -> (Vec<Site>, Vec<NotIncluded>) {
    let now = UnixTime::since_unix_epoch(Duration::from_millis(transport.now().0));
    let (mut sites, mut refused) = (Vec::<Site>::new(), Vec::new());
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for node in listed {
        // A name that is none is shown under none: it may hold anything.
        let Ok(name) = PartyName::new(&node.name) else {
            continue;
        };
        let chain = tls::check_chain(transport.ca(), &node.certificate, now, Usage::Server);
        let party = Party::from_certificate(&node.certificate);
        let reason = match (chain, party) {
            (Err(error), _) => error.to_string(),
            (Ok(()), Err(error)) => error.to_string(),
            (Ok(()), Ok(party)) if party.role != Role::Node || party.name != name => {
                "its certificate is for another role or name".to_owned()
            }
            (Ok(()), Ok(party)) => {
                if names.insert(name.clone()) && keys.insert(party.key) {
                    sites.push(Site {
                        institution: Institution {
                            name,
                            key: party.key,
                        },
                        certificate: node.certificate,
                        reachable: node.reachable,
                    });
                    continue;
                }
                "its name or key stands twice in the directory".to_owned()
            }
        };
        refused.push(NotIncluded { name, reason });
    }
    sites.sort_by(|a, b| a.institution.name.cmp(&b.institution.name));
    (sites, refused)
}
