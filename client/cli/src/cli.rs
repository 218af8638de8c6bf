//! The commands, as people type them.

use clap::{Args, Parser, Subcommand};

use crate::{codelist, datasets, demo, owner, profiles, project, release, sandbox, study};

/// Study data that stays where it is: explore invented rows, ask the data owners, and combine the
/// noisy answers.
#[derive(Debug, Parser)]
#[command(name = "obscura", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) look: Look,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Look {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Also show epsilon, delta and rho.
    #[arg(long, global = true)]
    pub(crate) details: bool,
    /// Which profile to use: a name, or the path of a file. Otherwise OBSCURA_PROFILE, otherwise
    /// the one chosen with `obscura profile use`.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole path once, on your machine: a gateway, six institutions, one study.
    Demo(demo::Args),
    /// List what every institution offers.
    Datasets,
    /// Look at one dataset.
    #[command(subcommand)]
    Dataset(datasets::Dataset),
    /// Try a question on practice data: invented rows, nothing is added to exposure.
    Sandbox(sandbox::Sandbox),
    /// See what a question would add to exposure and how precise its answer would be, without
    /// reading a row.
    Preview(sandbox::Previewed),
    /// Write a study, check it, send it to the owners, follow it.
    #[command(subcommand)]
    Study(study::Study),
    /// Sign lists of codes, and look at signed ones.
    #[command(subcommand, name = "codelist")]
    CodeList(codelist::CodeList),
    /// See your projects, and join one.
    #[command(subcommand)]
    Project(project::Project),
    /// List your standing grants: what they took, and what they still allow.
    Grants,
    /// Fetch what was approved, or ask under a standing grant; check it and keep the signed files.
    Release(release::Release),
    /// Combine signed release files into one answer, without the network.
    Combine(release::Combine),
    /// See limits, and what your own releases added.
    Exposure,
    /// For data owners: describe data, set limits, decide.
    #[command(subcommand)]
    Owner(owner::Owner),
    /// Keep certificates and addresses, so that nobody types them twice.
    #[command(subcommand)]
    Profile(profiles::Profile),
    #[command(flatten)]
    Process(demo::Process),
}

#[cfg(test)]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn helps(command: &mut clap::Command, path: &str, helps: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        helps.push((path.clone(), command.render_long_help().to_string()));
        for sub in command.get_subcommands_mut() {
            helps_of(sub, &path, helps);
        }
    }

    fn helps_of(command: &mut clap::Command, path: &str, all: &mut Vec<(String, String)>) {
        helps(command, path, all);
    }

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_help_text_speaks_of_money() {
        let mut all = Vec::new();
        helps(&mut Cli::command(), "", &mut all);
        assert!(all.len() > 30, "{}", all.len());
        for (path, help) in all {
            let help = help.to_lowercase();
            for banned in [
                "budget",
                "spend",
                "spent",
                "recharge",
                "refill",
                "top up",
                "refund",
                "balance",
                "consume",
                "remaining",
                "price",
                "cost",
                "attacker",
            ] {
                assert!(!help.contains(banned), "{path}: {banned}");
            }
        }
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        for line in [
            "demo",
            "datasets --json",
            "dataset show basel/visits --details",
            "dataset show visits --node basel",
            "sandbox basel/visits SELECT --within 50 --within 20 --within 10 --seed 3",
            "sandbox basel/visits --sql-file q.sql --epsilon 0.5 --rho 0.02 --sigma 3",
            "preview basel/visits SELECT --within 0.3 --rows 800",
            "study new a.toml --dataset visits --project cost-sharing",
            "study check a.toml",
            "study submit a.toml",
            "study status",
            "study status a.toml",
            "study withdraw a.toml",
            "release a.toml --release visits --out results",
            "release a.toml --out results --again",
            "release a.toml --out results --run 2",
            "release ask --dataset basel/visits --sql SELECT --within 5 --out results",
            "release ask --dataset basel/visits --sql-file q.sql --rho 0.01 --out r --again --coverage --count-clipped --require-complete --codelist d.codes.toml",
            &format!(
                "release ask --dataset basel/visits --sql SELECT --within 5 --out r --grant {id}"
            ),
            "grants --json",
            "project list",
            "project join cost-sharing",
            "codelist sign d.toml",
            "codelist show d.codes.toml",
            "combine results --ca ca.pem --out pictures",
            "combine a.release b.release",
            "exposure --profile ada",
            "owner dataset add d.toml",
            "owner dataset add d.toml --opt-out out.txt --apart",
            "owner project list",
            "owner project confirm cost-sharing bob",
            "owner project remove cost-sharing bob --reason left",
            "owner project limit cost-sharing --epsilon 2 --reason share",
            "owner grant give --scientist ada --project p --dataset visits --columns grp,day --epsilon 1 --releases 5 --until 2027-12-31 --reason monitoring",
            "owner grant list",
            &format!("owner grant revoke {id} --reason over"),
            "owner subjects exclude --dataset visits --ids out.txt --reason requests",
            "owner subjects erase --dataset visits --ids out.txt --reason requests",
            "owner subjects readmit --dataset visits --ids out.txt --reason requests",
            "owner population rekey people --map map.csv --reason renumbered",
            "owner population merge --keep people --gone others --ids out.txt --epsilon 6 --delta 1e-6 --reason one",
            "owner dataset show",
            "owner limit visits --epsilon 5 --delta 1e-6 --rehearse",
            "owner limit visits --epsilon 5 --mode strict --reason start --dataset-only",
            "owner limit visits --epsilon 1 --scientist ada --reason share",
            "owner limit visits --epsilon 1 --everyone --reason share",
            "owner enrol ada.pem",
            "owner requests",
            &format!("owner review {id}"),
            &format!("owner approve {id} --yes"),
            &format!("owner decline {id} --reason no"),
            &format!("owner ask-for-changes {id} --reason wider"),
            &format!("owner revoke {id} --reason mistake"),
            "owner exposure",
            "owner log --from 3 --most 10",
            "owner lift people --reason repaired",
            "profile add ada --ca c --certificate d --key e --gateway alpine@localhost:1",
            "profile list",
            "profile use ada",
            "profile remove ada",
        ] {
            let words = std::iter::once("obscura").chain(line.split(' '));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn what_must_be_said_is_not_guessed() {
        for line in [
            "owner limit visits --delta 1e-6 --reason x",
            "owner limit visits --epsilon 5 --delta 1e-6",
            "owner limit visits --epsilon 5 --reason x --everyone --dataset-only",
            "owner decline 01890a5d-ac96-774b-bcce-b302099a8057",
            "owner revoke 01890a5d-ac96-774b-bcce-b302099a8057",
            "sandbox visits SELECT --within 5",
            "sandbox basel/visits --within 5",
            "preview basel/visits SELECT --rows 5",
            "release a.toml",
            "release a.toml --out r --run 0",
            "release a.toml --out r --run 2 --again",
            "release ask --dataset visits --sql SELECT --within 5 --out r",
            "release ask --sql SELECT --within 5 --out r",
            "owner grant give --scientist ada --dataset visits --epsilon 1 --reason x",
            "owner subjects erase --dataset visits --ids out.txt",
            "owner project remove p bob",
            "study new a.toml",
            "study new a.toml --dataset visits",
            "profile add ada --ca c --certificate d --key e",
        ] {
            let words = std::iter::once("obscura").chain(line.split(' '));
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
