//! A scientist's program: catalogue, sandbox, study, combined answer. Takes the path of a profile
//! and, if owners should be waited for, decides nothing itself: they approve in their own time.
//!
//! ```text
//! cargo run -p obscura-client --example fifteen_lines -- ~/.config/obscura/profiles/ada.toml
//! ```
#![allow(clippy::print_stdout)]

use std::{error::Error, path::PathBuf, time::Duration};

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::{ids::ReleaseName, study::Terms, text::SqlText};
use obscura_client::{Client, Profile, export};

const SQL: &str =
    "SELECT cost_share, COUNT(DISTINCT zper) AS people FROM rand_hie GROUP BY cost_share";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("give the path of a profile")?,
    );
    let client = Client::connect(Profile::load(&path)?).await?;
    for site in client.datasets().await {
        println!(
            "{}: {} datasets",
            site.name(),
            site.outcome.as_ref().map_or(0, Vec::len)
        );
    }
    let (first, sql) = (client.institutions().remove(0).name, SqlText::new(SQL)?);
    let within = Accuracy::Within {
        margin: 60.0,
        rows: None,
    };
    let wish = AccuracyRequest::whole(within)?;
    let mock = client
        .sandbox(&first, &"rand_hie".parse()?, &sql, &wish, 1)
        .await?;
    println!(
        "{}, practice data: {:?}",
        mock.preview.words,
        mock.noisy.estimate(0, 0)
    );
    let draft = client
        .draft("Who took part?", "rand_hie")?
        .project("how-this-works")
        .purpose("To learn how this works.");
    let study = draft
        .terms(terms())
        .release("people", SQL, within)
        .ask(&client.institutions())?;
    client.submit(&study).await;
    client.decided(&study, Duration::from_secs(120)).await?;
    let answer = client.answer(&study, &ReleaseName::new("people")?).await?;
    println!("{}\n{}", answer.who(), export::terminal(&answer, 0, 80));
    Ok(())
}

/// What owners may want to know.
fn terms() -> Terms {
    Terms {
        controller: "Example Institute".to_owned(),
        legal_basis: "public interest".to_owned(),
        ethics_reference: "EX-1".to_owned(),
        contract_number: "1".to_owned(),
        end_date: "2099-12-31".to_owned(),
    }
}
