//! Step 4: the scientist sees what there is and practises on invented rows.

use anyhow::Context as _;
use obscura_client::{AtSite, Client, Dataset, MockRun};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::ids::{DatasetName, PartyName};
use obscura_model::text::SqlText;

use super::DATASET;
use super::say::Say;
use crate::output::{answers, progress};

/// The question that is practised.
const QUESTION: &str =
    "SELECT cost_share, COUNT(DISTINCT zper) AS people FROM rand_hie GROUP BY cost_share";

/// The three accuracies: within how many people.
const MARGINS: [f64; 3] = [40.0, 20.0, 10.0];

/// Lists the datasets and practises.
pub(super) async fn explore(say: &Say, client: &Client) -> anyhow::Result<()> {
    say.step(4, "Ada looks around, and practises on invented rows")?;
    say.text("Through the gateway she sees descriptions that people typed in, never rows.")?;
    say.command("obscura datasets")?;
    datasets(say, client.datasets().await)?;
    let [a, b, c] = MARGINS;
    say.text(&format!(
        "She tries a question on practice data: rows invented from the description of site-1 \
         alone. How many people are on each plan, within {a}, {b} or {c} people, 95 times in 100?"
    ))?;
    say.command(&format!(
        "obscura sandbox site-1/{DATASET} \"{QUESTION}\" --within {a} --within {b} --within {c}"
    ))?;
    let node = PartyName::new("site-1")?;
    let mut runs = Vec::new();
    for margin in MARGINS {
        runs.push((
            format!("within {margin}"),
            practise(client, &node, margin).await?,
        ));
    }
    say.line("")?;
    say.wide(&answers::side_by_side(&runs, say.details()))?;
    say.line("")?;
    say.text(
        "Half the margin adds four times as much to exposure. Nothing was added here: practice \
         data is nobody's.",
    )?;
    Ok(())
}

fn datasets(say: &Say, sites: Vec<AtSite<Vec<Dataset>>>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for site in sites {
        let name = site.name().to_string();
        let datasets = site.outcome;
        for dataset in datasets.with_context(|| format!("{name} does not list its data"))? {
            let size = format!(
                "{} to {} {}s",
                dataset.fewest_subjects, dataset.most_subjects, dataset.subject_unit
            );
            let columns: Vec<_> = dataset.columns.iter().map(|c| c.name.as_str()).collect();
            rows.push(vec![
                format!("{name}/{}", dataset.name),
                size,
                columns.join(", "),
            ]);
        }
    }
    say.table(&["dataset", "declared size", "columns"], rows)?;
    Ok(())
}

async fn practise(client: &Client, node: &PartyName, margin: f64) -> anyhow::Result<MockRun> {
    let accuracy = Accuracy::Within { margin, rows: None };
    let accuracy = AccuracyRequest::whole(accuracy)?;
    let (dataset, sql) = (DatasetName::new(DATASET)?, SqlText::new(QUESTION)?);
    let run = client.sandbox(node, &dataset, &sql, &accuracy, 1);
    Ok(progress("asking invented rows", run).await?)
}
