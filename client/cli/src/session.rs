//! One run of the command: which profile, and how to show things.

use obscura_client::model::ids::{DatasetName, PartyName};
use obscura_client::{Client, OwnerClient, Profile};

use crate::cli::Look;
use crate::config::Places;
use crate::output::progress;

/// What every command gets.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) places: Places,
    pub(crate) details: bool,
    profile: Option<String>,
}

impl Session {
    pub(crate) fn new(look: &Look) -> Self {
        Session {
            places: Places::from_environment(),
            details: look.details,
            profile: look.profile.clone(),
        }
    }

    pub(crate) fn profile(&self) -> anyhow::Result<Profile> {
        let path = self.places.profile(self.profile.as_deref())?;
        Ok(Profile::load(&path)?)
    }

    /// A scientist's connection.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let profile = self.profile()?;
        Ok(progress("connecting", Client::connect(profile)).await?)
    }

    /// An owner's connection to their own node.
    pub(crate) async fn owner(&self) -> anyhow::Result<OwnerClient> {
        let profile = self.profile()?;
        Ok(progress("connecting", OwnerClient::connect(profile)).await?)
    }
}

/// A dataset at an institution, written `NODE/DATASET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: PartyName,
    pub(crate) dataset: DatasetName,
}

impl std::str::FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((node, dataset)) = text.split_once('/') else {
            return Err(format!(
                "write it as NODE/DATASET, such as basel/visits, not '{text}'"
            ));
        };
        Ok(Place {
            node: PartyName::new(node).map_err(|e| e.to_string())?,
            dataset: DatasetName::new(dataset).map_err(|e| e.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_node_and_a_dataset() {
        let place: Place = "basel/visits".parse().unwrap();
        assert_eq!(
            (place.node.as_str(), place.dataset.as_str()),
            ("basel", "visits")
        );
        for wrong in ["visits", "/visits", "basel/", "a/b/c", "Basel/visits"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
