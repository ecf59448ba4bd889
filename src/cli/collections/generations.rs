//! `glimpse collections rebuild`, `generations`, `switch`, `rollback` and `drop-generation`.

use std::time::Duration;

use clap::Args;

use crate::api::replies::{
    ComparisonReply, DeletedReply, GenerationReply, GenerationsReply, RebuildBody, ResultsReply, SwitchBody,
    SwitchReply,
};
use crate::cli::client::Client;
use crate::cli::jobs::{executors, follow};
use crate::cli::out::{self, Output};
use crate::cli::{CliError, Ending};
use crate::config::Settings;
use crate::domain::DEFAULT_PROVIDER;

/// The pause between two requests while the service compares generations.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The arguments of `glimpse collections rebuild`.
#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// The name of the collection
    name: String,
    /// The configured provider: `default`, `local`, or the lower-case NAME of CLIP_URL_<NAME> [default: that of the collection]
    #[arg(long)]
    provider: Option<String>,
    /// The model, as in CLIP_MODEL [default: that of the collection; without any option, that of the settings]
    #[arg(long)]
    model: Option<String>,
    /// The precision, as in CLIP_PRECISION
    #[arg(long)]
    precision: Option<String>,
    /// How images are resized, as in IMAGE_RESIZE: `crop` or `pad`
    #[arg(long)]
    resize: Option<String>,
    /// `local` (the service, the default), `workers` (that you start with the printed command) or `ray` (the Ray cluster)
    #[arg(long, value_parser = executors(), hide_possible_values = true)]
    executor: Option<String>,
    /// Do not wait for the end of the job
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    output: Output,
}

impl Rebuild {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        let Self { name, provider, model, precision, resize, executor, no_wait, output } = self;
        let body = RebuildBody { provider, model, precision, resize, executor };
        let submitted = client.post(&["collections", &name, "rebuild"], &body).await?;
        follow::submitted(&client, &submitted, settings, no_wait, output).await
    }
}

pub(super) async fn list(client: &Client, name: &str, output: Output) -> Result<(), CliError> {
    let path = ["collections", name, "generations"];
    let mut reply = client.get(&path, &()).await?;
    let bar = out::spinner("comparing the generations");
    while reply.read::<GenerationsReply>()?.comparing {
        tokio::time::sleep(POLL_INTERVAL).await;
        reply = client.get(&path, &()).await?;
    }
    bar.finish_and_clear();
    let listed = output.reply(&reply, describe)?;
    out::warnings(&listed.warnings);
    Ok(())
}

pub(super) async fn switch(client: &Client, name: &str, body: &SwitchBody, output: Output) -> Result<(), CliError> {
    let reply = client.post(&["collections", name, "switch"], body).await?;
    let switched = output.reply(&reply, switched)?;
    out::warnings(&switched.warnings);
    Ok(())
}

pub(super) async fn roll_back(client: &Client, name: &str, output: Output) -> Result<(), CliError> {
    let reply = client.post(&["collections", name, "rollback"], &()).await?;
    let switched = output.reply(&reply, switched)?;
    out::warnings(&switched.warnings);
    Ok(())
}

pub(super) async fn drop_one(client: &Client, name: &str, number: u32, output: Output) -> Result<(), CliError> {
    let reply = client.delete(&["collections", name, "generations", &number.to_string()], &()).await?;
    let text = |_: &DeletedReply| format!("dropped generation {number} of the collection `{name}`");
    output.reply(&reply, text).map(drop)
}

fn switched(reply: &SwitchReply) -> String {
    let SwitchReply { collection, generation, before, state, expires_at, .. } = reply;
    let kept = match expires_at {
        Some(_) if state == "dropping" => format!("generation {before} is not kept (GLIMPSE_GENERATION_TTL=0)"),
        Some(time) => format!("generation {before} is kept until {time}: `glimpse collections rollback {collection}`"),
        None => format!("generation {before} is ready: `glimpse collections switch {collection}`"),
    };
    format!("the collection `{collection}` uses generation {generation} now; {kept}")
}

fn describe(reply: &GenerationsReply) -> String {
    let mut table = out::table(&["generation", "state", "model", "resize", "images", "coverage", "due"]);
    for one in &reply.generations {
        let GenerationReply { generation, state, resize, stores, coverage_percent, due, .. } = one;
        let counts: Vec<_> = stores.iter().map(|(store, count)| format!("{store} {count}")).collect();
        table.add_row([
            out::number(generation),
            state.clone().into(),
            model(one).into(),
            resize.clone().into(),
            counts.join(", ").into(),
            format!("{coverage_percent:.2} %").into(),
            out::number(due),
        ]);
    }
    let images =
        reply.generations.iter().flat_map(|one| one.missing_images.iter().map(|image| (one.generation, image)));
    let missing = images.take(10).map(|(generation, image)| {
        let reason = image.message.as_deref().unwrap_or("not indexed yet");
        format!("\nmissing in generation {generation}: {} ({reason})", image.s3_uri)
    });
    let missing: String = missing.collect();
    let comparison = reply.comparison.as_ref().map(compared).unwrap_or_default();
    format!("{table}{missing}{comparison}")
}

/// Returns the model, and the name of its provider if it has one.
fn model(generation: &GenerationReply) -> String {
    let GenerationReply { provider, model, .. } = generation;
    if provider == DEFAULT_PROVIDER { model.clone() } else { format!("{provider} · {model}") }
}

fn compared(comparison: &ComparisonReply) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
    let list = |numbers: &Option<Vec<f64>>| match numbers {
        Some(numbers) => numbers.iter().map(|number| format!("{number:.3}")).collect::<Vec<_>>().join(" "),
        None => "-".to_owned(),
    };
    let mut table = out::table(&["results", "current", &format!("generation {}", comparison.generation)]);
    let ResultsReply { text_scores, image_scores, text_relevance, search_ms } = &comparison.current;
    let other = &comparison.other;
    for (name, one, other) in [
        ("scores of texts", list(text_scores), list(&other.text_scores)),
        ("scores of images", list(image_scores), list(&other.image_scores)),
        ("relevance of texts", list(text_relevance), list(&other.text_relevance)),
        ("median search, ms", number(*search_ms), number(other.search_ms)),
    ] {
        table.add_row([name.to_owned(), one, other]);
    }
    format!(
        "\n{} texts and {} images: overlap@10 {}, rank correlation {}. Quantiles: 5, 25, 50, 75 and 95 %\n{table}",
        comparison.texts,
        comparison.images,
        number(comparison.overlap_at_10),
        number(comparison.rank_correlation)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_provider_of_a_model() {
        let generation = |number: u32, provider: &str, model: &str| {
            serde_json::json!({
                "generation": number, "state": "ready", "provider": provider, "model": model, "precision": "auto",
                "resize": "crop", "stores": {"embedded": 26}, "total_bytes": null, "coverage_percent": 100.0, "missing": 0,
                "missing_images": [], "due": 0, "job_id": null, "created_at": null, "switched_at": null, "expires_at": null,
            })
        };
        let generations = [generation(1, "default", "glimpse-mini-1"), generation(2, "tiny", "clip")];
        let reply = serde_json::json!({"collection": "documents", "current": 1, "generations": generations});
        let text = describe(&serde_json::from_value(reply).unwrap());
        assert!(text.contains(" glimpse-mini-1 ") && text.contains(" tiny · clip "), "{text}");
        assert!(!text.contains("default"), "{text}");
    }
}
