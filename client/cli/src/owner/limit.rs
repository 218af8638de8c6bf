//! Setting limits: what a number means is shown, and no number is proposed.

use anyhow::{Context as _, bail};
use obscura_client::model::exposure::{Delta, Limit as Converted, Mode, Rho};
use obscura_client::{
    AccountLimit, Dataset, NewLimit, OwnerClient, ScientistExposure, ScientistLimit,
};
use serde_json::json;

use super::Limit;
use crate::output::tables::wrapped;
use crate::output::{Report, views, words};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: Limit) -> anyhow::Result<Report> {
    if args.reason.as_ref().is_some_and(|r| r.trim().is_empty()) {
        bail!("say why with --reason: it is signed and kept");
    }
    let owner = session.owner().await?;
    let dataset = owner.dataset(&args.dataset).await?;
    let delta = delta(&args, &dataset)?;
    let limit = Converted::new(args.epsilon, delta)?;
    if args.scientist.is_some() || args.everyone {
        return share(&owner, &args, &limit).await;
    }
    let keys = delta_keys(&args, &dataset, delta)?;
    let meaning = meaning(&args, &dataset, &limit, keys, session.details);
    let mode = mode(&args, &dataset);
    let new = NewLimit {
        dataset: args.dataset,
        dataset_only: args.dataset_only,
        epsilon: args.epsilon,
        delta,
        delta_keys: keys,
        mode,
        reason: args.reason.unwrap_or_default(),
    };
    if args.rehearse {
        let refused = owner.rehearse_limit(&new).await.err().map(|e| e.reason());
        return Ok(rehearsed(&meaning, &limit, refused));
    }
    let account = owner.set_limit(&new).await?;
    let text = format!("The limit of {} is set.\n\n{meaning}", account.name);
    Ok(Report::new(
        text,
        json!({ "account": views::account(&account) }),
    ))
}

/// What a limit would mean, and whether the node would take it.
fn rehearsed(meaning: &str, limit: &Converted, refused: Option<String>) -> Report {
    let mut text = format!("{meaning}\nNothing was set.\n");
    if let Some(why) = &refused {
        let said = format!("Setting it now would be refused: {why}.");
        text.push_str(&format!("{}\n", wrapped(&said, 0)));
    }
    let nano = limit.rho().nano();
    let view = json!({ "rehearsed": true, "nano_rho": nano, "refused": refused });
    Report::new(text, view)
}

/// The delta given, or else the one in force.
fn delta(args: &Limit, dataset: &Dataset) -> anyhow::Result<Delta> {
    let in_force = || {
        dataset
            .accounts
            .iter()
            .find_map(|a| a.limit)
            .map(|l| l.delta)
    };
    let delta = match args.delta {
        Some(delta) => Some(Delta::new(delta)?),
        None => in_force(),
    };
    let most = dataset.most_subjects;
    let delta = delta.with_context(|| {
        format!("name --delta as in the description file, below 1 in {most}, for the first limit")
    })?;
    if delta.get() * most as f64 >= 1.0 {
        bail!("--delta must be below 1 in {most}, the declared size of the dataset");
    }
    Ok(delta)
}

/// The delta for keys that are not declared: as given (0: none), or else the one in force.
fn delta_keys(args: &Limit, dataset: &Dataset, delta: Delta) -> anyhow::Result<Option<Delta>> {
    let in_force = || before(args, dataset).map_or(0.0, |l| l.keys.get());
    let keys = args.delta_keys.unwrap_or_else(in_force);
    if keys == 0.0 {
        return Ok(None);
    }
    let keys = Delta::new(keys).context("--delta-keys")?;
    let most = dataset.most_subjects;
    if (delta.get() + keys.get()) * most as f64 >= 1.0 {
        bail!(
            "--delta and --delta-keys must together be below 1 in {most}, the declared size of \
             the dataset"
        );
    }
    Ok(Some(keys))
}

/// The limit that is replaced, if there is one.
fn before(args: &Limit, dataset: &Dataset) -> Option<AccountLimit> {
    let place = usize::from(args.dataset_only);
    dataset.accounts.get(place).and_then(|a| a.limit)
}

/// The mode asked for, or else the one in force: a new number must not change it silently.
fn mode(args: &Limit, dataset: &Dataset) -> Mode {
    let asked = args.mode.map(Mode::from);
    let in_force = || before(args, dataset).map(|l| l.mode);
    asked.or_else(in_force).unwrap_or(Mode::Protect)
}

/// What the limit means, in sentences.
fn meaning(
    args: &Limit,
    dataset: &Dataset,
    limit: &Converted,
    keys: Option<Delta>,
    details: bool,
) -> String {
    let before = before(args, dataset);
    // The guarantee is the highest limit ever in force.
    let highest = before.map_or(Rho::ZERO, |l| l.guarantee).max(limit.rho());
    let mut text = wrapped(&words::promise(highest, &dataset.subject_unit), 0) + "\n";
    let mut say = |sentence: &str| text.push_str(&format!("\n{}\n", wrapped(sentence, 0)));
    if args.dataset_only {
        say(
            "This limit is about results from this dataset alone. For every result ever released \
             the limit of the population holds.",
        );
    }
    match before {
        Some(before) if limit.rho() > before.guarantee => say(
            "This raises the limit: it permits more exposure of the same people. It does not \
             reset anything.",
        ),
        Some(before) if limit.rho() < before.guarantee => say(
            "This stops future releases earlier and undoes nothing: what the sentences above say \
             follows from the highest limit that was ever in force.",
        ),
        Some(_) | None => {}
    }
    if let Some(keys) = keys {
        say(&format!(
            "Keys not declared: releases may together take {:e} of delta for them, from \
             everybody. That is added to --delta: the promise holds but for a chance of {:e}.",
            keys.get(),
            keys.get() + limit.delta().get()
        ));
    }
    say(&format!("Mode: {}.", words::mode(mode(args, dataset))));
    if details {
        text.push_str(&format!(
            "Details: epsilon {} at delta {:e} is rho {}; one release adds from {} to {}.\n",
            limit.epsilon(),
            limit.delta().get(),
            limit.rho(),
            limit.smallest_release(),
            limit.largest_release()
        ));
    }
    text
}

/// How much of a share people have already, for those who have some.
fn taken<'a>(people: impl Iterator<Item = &'a ScientistExposure>, limit: Rho) -> String {
    let some = people.filter(|s| s.share.used > Rho::ZERO);
    some.map(|s| {
        let percent = words::percent(s.share.used, limit);
        let end = if s.share.used >= limit {
            ": nothing more can be released to them"
        } else {
            ""
        };
        format!("{} has {percent} % of it already{end}.\n", s.person.name)
    })
    .collect()
}

async fn share(owner: &OwnerClient, args: &Limit, limit: &Converted) -> anyhow::Result<Report> {
    let note = "It is for everything at this node, not for one dataset.\n\
                A scientist limit is a fair share and a brake. It is no privacy guarantee by \
                itself, because scientists learn from each other's answers; the guarantee is the \
                population's limit.\n";
    let who = match &args.scientist {
        Some(name) => format!("scientist {name}"),
        None => "every scientist without one of their own".to_owned(),
    };
    let known = owner.exposure().await?.scientists;
    if args.rehearse {
        let named = |s: &&ScientistExposure| Some(&s.person.name) == args.scientist.as_ref();
        let taken = taken(known.iter().filter(named), limit.rho());
        let text = format!("The limit of {who} would be set.\n{taken}{note}Nothing was set.\n");
        let view = json!({ "rehearsed": true, "nano_rho": limit.rho().nano() });
        return Ok(Report::new(text, view));
    }
    let scientist = match &args.scientist {
        None => None,
        Some(name) => Some(super::projects::key_of(owner, name).await?),
    };
    let new = ScientistLimit {
        scientist,
        epsilon: limit.epsilon(),
        delta: limit.delta(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    owner.set_scientist_limit(&new).await?;
    let known = owner.exposure().await?.scientists;
    // Whoever has another limit has one of their own.
    let under = |s: &&ScientistExposure| match new.scientist {
        Some(key) => s.person.key == key,
        None => s.share.limit == Some(limit.rho()),
    };
    let taken = taken(known.iter().filter(under), limit.rho());
    let view = json!({
        "scientist": args.scientist.as_ref().map(|n| n.as_str()),
        "nano_rho": limit.rho().nano(),
    });
    Ok(Report::new(
        format!("The limit of {who} is set.\n{taken}{note}"),
        view,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::Share;
    use obscura_client::model::identity::{Party, Role};
    use obscura_client::model::ids::KeyId;

    #[test]
    fn a_share_below_what_was_taken_says_that_nothing_more_is_released() {
        let person = |name: &str, used| ScientistExposure {
            person: Party {
                role: Role::Scientist,
                name: name.parse().unwrap(),
                key: KeyId::new([1; 32]),
            },
            share: Share {
                limit: None,
                used: Rho::from_nano(used),
            },
        };
        let people = [person("ada", 1003), person("bob", 50), person("eve", 0)];
        assert_eq!(
            taken(people.iter(), Rho::from_nano(100)),
            "ada has 1003 % of it already: nothing more can be released to them.\n\
             bob has 50 % of it already.\n"
        );
    }

    #[test]
    fn a_rehearsal_says_that_the_limit_would_be_refused() {
        let limit = Converted::new(3.0, Delta::new(1e-6).unwrap()).unwrap();
        let said = |refused| rehearsed("It means this.", &limit, refused).text;
        let refused = said(Some("delta must be at most 1e-6".to_owned()));
        assert!(
            refused.ends_with("would be refused: delta must be at most 1e-6.\n"),
            "{refused}"
        );
        assert!(!said(None).contains("refused"));
    }
}
