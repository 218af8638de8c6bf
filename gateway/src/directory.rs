//! Who is in the consortium: the nodes' names, addresses and certificates.
//!
//! Nobody has to believe it. Clients check every certificate against the authority themselves,
//! and a wrong address leads to a server that cannot show the right certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use obscura_model::identity::{InvalidCertificate, Party, Role};
use obscura_model::ids::PartyName;
use obscura_wire::tls::Credentials;

use crate::limits::MOST_NODES;
use crate::routing::{Link, Links};

/// One node, as the operator entered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the consortium.
    pub name: PartyName,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
}

/// The nodes and the links to them.
#[derive(Clone)]
pub(crate) struct Directory {
    certificates: Arc<BTreeMap<PartyName, Vec<u8>>>,
    links: Links,
}

impl Directory {
    /// Checks the entries and makes a link to each. Connects to nobody yet.
    ///
    /// # Errors
    ///
    /// Names the first entry that is wrong.
    pub(crate) fn new(
        nodes: Vec<Node>,
        credentials: &Credentials,
    ) -> Result<Self, InvalidDirectory> {
        if nodes.len() > MOST_NODES {
            return Err(InvalidDirectory::TooMany { found: nodes.len() });
        }
        let (mut certificates, mut links) = (BTreeMap::new(), BTreeMap::new());
        for Node {
            name,
            address,
            certificate,
        } in nodes
        {
            let party = Party::from_certificate(&certificate).map_err(|source| {
                InvalidDirectory::Certificate {
                    node: name.clone(),
                    source,
                }
            })?;
            if party.role != Role::Node || party.name != name {
                return Err(InvalidDirectory::Name {
                    node: name,
                    role: party.role,
                    name: party.name,
                });
            }
            if !is_address(&address) {
                return Err(InvalidDirectory::Address { node: name });
            }
            let link = Link::new(name.clone(), address, credentials.clone())
                .map_err(|_| InvalidDirectory::Label { node: name.clone() })?;
            links.insert(name.clone(), Arc::new(link));
            if certificates.insert(name.clone(), certificate).is_some() {
                return Err(InvalidDirectory::Twice { node: name });
            }
        }
        Ok(Self {
            certificates: Arc::new(certificates),
            links: Arc::new(links),
        })
    }

    /// The links to all nodes.
    #[must_use]
    pub(crate) fn links(&self) -> Links {
        self.links.clone()
    }

    /// The nodes' names and certificates (DER), by name.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = (&PartyName, &[u8])> {
        self.certificates
            .iter()
            .map(|(name, certificate)| (name, certificate.as_slice()))
    }
}

/// `host:port`, where the host may be a name or an address.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// Why the list of nodes is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDirectory {
    /// Too many.
    #[error("there are {found} nodes, at most {most} are possible", most = MOST_NODES)]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// The certificate names no party.
    #[error("the certificate of node {node} cannot be used: ask its operator for the right one")]
    Certificate {
        /// The node.
        node: PartyName,
        /// What is wrong with it.
        #[source]
        source: InvalidCertificate,
    },
    /// The certificate is somebody else's.
    #[error("the certificate of node {node} is that of the {role} {name}")]
    Name {
        /// The node.
        node: PartyName,
        /// The role in the certificate.
        role: Role,
        /// The name in the certificate.
        name: PartyName,
    },
    /// The address is not `host:port`.
    #[error("the address of node {node} must have the form host:port")]
    Address {
        /// The node.
        node: PartyName,
    },
    /// The name cannot be part of a DNS name.
    #[error("the name of node {node} cannot be part of a DNS name")]
    Label {
        /// The node.
        node: PartyName,
    },
    /// The same name twice.
    #[error("the node {node} is listed twice")]
    Twice {
        /// The node.
        node: PartyName,
    },
}
