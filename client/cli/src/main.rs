//! The `obscura` command: for scientists, for data owners, and the demo.
//!
//! Exit codes: 0 it worked, 1 it was refused or failed, 2 the command was not understood.

mod accuracy;
mod cli;
mod codelist;
mod config;
mod datasets;
mod demo;
mod exposure;
mod output;
mod owner;
mod profiles;
mod project;
mod release;
mod sandbox;
mod session;
mod study;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Cli, Command, Look};
use output::Report;
use session::Session;

fn main() -> ExitCode {
    let Cli { look, command } = Cli::parse();
    // The demo and its processes have runtimes of their own and say themselves what they do.
    let done = match command {
        Command::Demo(args) => demo::run(args, look.details).map(|()| true),
        Command::Process(process) => demo::process(process).map(|()| true),
        command => answer(&look, command).and_then(|report| {
            let complete = report.complete;
            output::report(report, look.json).context("cannot write to standard output")?;
            Ok(complete)
        }),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => output::failure(&error, look.json),
    }
}

fn answer(look: &Look, command: Command) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let session = Session::new(look);
    runtime.block_on(async {
        match command {
            Command::Datasets => datasets::list(&session).await,
            Command::Dataset(command) => datasets::run(&session, command).await,
            Command::Sandbox(args) => sandbox::run(&session, args).await,
            Command::Preview(args) => sandbox::preview(&session, args).await,
            Command::Study(command) => study::run(&session, command).await,
            Command::CodeList(command) => codelist::run(&session, &command),
            Command::Project(command) => project::run(&session, command).await,
            Command::Grants => project::grants(&session).await,
            Command::Release(args) => release::run(&session, args).await,
            Command::Combine(args) => release::combine(&session, &args),
            Command::Exposure => exposure::run(&session).await,
            Command::Owner(command) => owner::run(&session, command).await,
            Command::Profile(command) => profiles::run(&session, command),
            // Handled in `main`.
            Command::Demo(_) | Command::Process(_) => Ok(Report::nothing()),
        }
    })
}
