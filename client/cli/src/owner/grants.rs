//! Standing grants at one's own node.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use obscura_client::model::exposure::{Delta, DeltaCharge, rho_within};
use obscura_client::model::ids::{DatasetName, GrantId, PartyName, ProjectName, UnixMillis};
use obscura_client::{Account, NewGrant};
use serde_json::json;

use super::decide::change;
use super::projects::key_of;
use crate::output::tables::{pairs, wrapped};
use crate::output::{Report, confirmed, progress};
use crate::project::{grant_facts, grant_view, one_of};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// Let a scientist ask without a study, for chosen columns, up to a total, until a date.
    Give(Give),
    /// List all grants, with what they took and still allow.
    List,
    /// Take a grant back. What was released stays released.
    Revoke {
        /// The grant's id.
        grant: GrantId,
        /// Why; without facts from the data.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Give {
    /// To whom: the name under which they are enrolled.
    #[arg(long, value_name = "NAME")]
    scientist: PartyName,
    /// The project whose share its releases count towards.
    #[arg(long, value_name = "PROJECT")]
    project: ProjectName,
    /// About which dataset.
    #[arg(long)]
    dataset: DatasetName,
    /// The columns that questions may read, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    columns: Vec<String>,
    /// The total of all its releases, at the delta of the dataset's description.
    #[arg(long)]
    epsilon: f64,
    /// What releases with keys that are not declared may take of delta altogether under it, such
    /// as 1e-8; without it no question may have such keys.
    #[arg(long, value_name = "DELTA")]
    delta_keys: Option<f64>,
    /// The most releases.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    releases: u32,
    /// The last day, such as 2027-12-31.
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Why: it is signed and kept.
    #[arg(long)]
    reason: String,
    /// The id of a grant that was given before and whose answer got lost: the same again changes
    /// nothing.
    #[arg(long, value_name = "GRANT")]
    id: Option<GrantId>,
    /// Do not ask again where the grant is larger than a limit.
    #[arg(long)]
    yes: bool,
}

/// What a grant would do to the limits that it is larger than; nothing if it is to none.
fn larger(accounts: &[Account], epsilon: f64) -> Option<String> {
    let mut text = String::new();
    for account in accounts {
        let Some(limit) = account.limit else { continue };
        let Ok(most) = rho_within(epsilon, limit.delta) else {
            continue;
        };
        if most > limit.rho {
            text.push_str(&change(account, most));
        }
    }
    let note = "The grant's total is larger than the whole limit: it could take all of it, and \
                the limit would end it.";
    (!text.is_empty()).then(|| format!("{text}{}\n", wrapped(note, 0)))
}

pub(super) async fn run(session: &Session, command: Grant) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    match command {
        Grant::Give(give) => {
            let id = match give.id {
                Some(id) => id,
                None => owner.new_grant_id()?,
            };
            if UnixMillis::end_of_day(&give.until).is_none() {
                bail!("--until must be a date like 2027-12-31: the grant's last day");
            }
            let dataset = owner.dataset(&give.dataset).await?;
            if let Some(shown) = larger(&dataset.accounts, give.epsilon)
                && !give.yes
                && !confirmed(&shown, "Give this grant?")?
            {
                bail!("nothing was granted");
            }
            let delta_keys = give.delta_keys.map(Delta::new).transpose();
            let delta_keys = delta_keys.context("--delta-keys")?;
            let new = NewGrant {
                id,
                project: give.project,
                scientist: key_of(&owner, &give.scientist).await?,
                dataset: give.dataset,
                columns: give.columns,
                epsilon: give.epsilon,
                delta_keys,
                releases: give.releases,
                until: give.until,
                reason: give.reason,
            };
            let grant = owner.give_grant(&new).await?;
            let facts = grant_facts(&grant, session.details);
            let note = "Its releases are answered at once and count like any other. It reserves \
                        nothing; near the population's limit the mode in force decides. Of several \
                        tables, those of which it names a column may be joined and their rows \
                        counted, and no other.";
            let mut text = format!(
                "{} may ask without a study.\n{}{}\n",
                grant.scientist_name,
                pairs(&facts),
                wrapped(note, 0)
            );
            if grant.keys != DeltaCharge::ZERO {
                let said = format!(
                    "Its questions may find values that nobody declared, of the columns that the \
                     description opens to that. Each such release takes its delta from everybody, \
                     and all of them at most {:e}.",
                    grant.keys.get()
                );
                text.push_str(&format!("{}\n", wrapped(&said, 0)));
            }
            Ok(Report::new(text, grant_view(&grant)))
        }
        Grant::List => {
            let grants = progress("asking", owner.grants()).await?;
            let json = json!({ "grants": grants.iter().map(grant_view).collect::<Vec<_>>() });
            if grants.is_empty() {
                return Ok(Report::new("No grant was given yet.\n".to_owned(), json));
            }
            let one = |g: &obscura_client::Grant| one_of(&g.scientist_name, g, session.details);
            let given: Vec<_> = grants.iter().map(one).collect();
            Ok(Report::new(given.join("\n"), json))
        }
        Grant::Revoke { grant, reason } => {
            let grant = owner.revoke_grant(grant, &reason).await?;
            let text = format!(
                "The grant of {} is {}. What was released stays released.\n",
                grant.scientist_name,
                grant.state.in_words()
            );
            Ok(Report::new(text, grant_view(&grant)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::AccountLimit;
    use obscura_client::model::exposure::{Mode, Rho};

    #[test]
    fn a_grant_larger_than_the_limit_shows_its_odds_and_a_smaller_one_asks_nothing() {
        let delta = Delta::new(1e-6).unwrap();
        let rho = rho_within(5.0, delta).unwrap();
        let account = Account {
            name: "population people (dataset visits)".to_owned(),
            limit: Some(AccountLimit {
                mode: Mode::Protect,
                epsilon: 5.0,
                delta,
                rho,
                largest_release: rho,
                smallest_release: Rho::from_nano(1),
                guarantee: rho,
                keys: DeltaCharge::ZERO,
                keys_guarantee: DeltaCharge::ZERO,
            }),
            meter: Rho::ZERO,
            reserved: Rho::ZERO,
            keys_taken: DeltaCharge::ZERO,
        };
        let shown = larger(std::slice::from_ref(&account), 9.0).unwrap();
        assert!(shown.contains("larger than the whole limit"), "{shown}");
        assert!(shown.contains("out of 100"), "{shown}");
        assert_eq!(larger(&[account], 5.0), None);
    }
}
