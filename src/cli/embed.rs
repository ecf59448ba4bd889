//! `glimpse embed`: prints the vectors of texts or images.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args};

use super::client::Client;
use super::out::Output;
use super::values::local_path;
use super::{CliError, Ending, client_help};
use crate::api::replies::{Base64Bytes, EmbeddingsReply, EmbeddingsRequest, InputList, Modality, VectorReply};
use crate::config::Settings;
use crate::domain::Language;

const EXAMPLES: &str = "\
Examples:
  glimpse embed \"a cat\" \"a dog\"                    a vector in each line, as JSON
  glimpse embed --file cat.jpg --file dog.jpg
  glimpse embed \"a cat\" --collection birds         by the model of this collection
  glimpse embed \"a cat\" --json | jq .model         the reply of POST /v1/embeddings";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), group = ArgGroup::new("inputs").required(true).args(["text", "file"]))]
pub(super) struct Embed {
    /// Texts, at most 16
    text: Vec<String>,
    /// Images, at most 8
    #[arg(long, value_parser = local_path())]
    file: Vec<PathBuf>,
    /// The collection whose model makes the vectors [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The language of the texts, for models that need to know it: a tag such as de, or a code of NLLB such as deu_Latn
    #[arg(long, value_name = "LANGUAGE", value_parser = Language::from_str)]
    lang: Option<Language>,
    #[command(flatten)]
    output: Output,
}

impl Embed {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        let mut input = self.text;
        for path in &self.file {
            let bytes = tokio::fs::read(path).await;
            let bytes = bytes.map_err(|source| CliError::File { path: path.clone(), source })?;
            let encoded = serde_json::to_value(Base64Bytes(Some(bytes.into()))).unwrap_or_default();
            input.push(encoded.as_str().unwrap_or_default().to_owned());
        }
        let request = EmbeddingsRequest {
            input: InputList(input),
            modality: (!self.file.is_empty()).then_some(Modality::Image),
            collection: self.collection,
            lang: self.lang.map(|language| language.code().to_owned()),
            ..EmbeddingsRequest::default()
        };
        self.output.reply(&client.post(&["v1", "embeddings"], &request).await?, lines)?;
        Ok(Ending::Done)
    }
}

/// Returns a vector in each line.
fn lines(reply: &EmbeddingsReply) -> String {
    let line = |vector: &VectorReply| serde_json::to_string(vector).unwrap_or_default();
    reply.data.iter().map(|item| line(&item.embedding)).collect::<Vec<_>>().join("\n")
}
