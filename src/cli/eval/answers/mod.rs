//! Queries with known answers: a JSON file in one of five forms, or the two CSV files of INQUIRE.

mod csv;
mod json;
mod mapping;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::CliError;
use crate::cli::values::local_path;
use crate::domain::{Language, UnknownLanguage};
pub(super) use mapping::Mapping;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The name of the file of answers in INQUIRE's folder.
const ANNOTATIONS: &str = "inquire_annotations.csv";
/// The field with the language of a query.
const LANGUAGE: &str = "lang";

/// A query and the images that are right answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownQuery {
    pub(super) text: String,
    /// Its language, for models that need to know it.
    pub(super) language: Option<Language>,
    /// The keys of the images, or the ends of these keys.
    pub(super) answers: Vec<String>,
    /// Other columns of the file, such as `category`.
    pub(super) fields: BTreeMap<String, String>,
}

/// How a file of queries is read.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// The set of queries in a JSON file that has several
    #[arg(long, default_value = "queries")]
    group: String,
    /// The CSV file of the right answers, if the queries are a CSV file [default: inquire_annotations.csv beside it]
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    annotations: Option<PathBuf>,
    /// The begin of the answers' paths, and what the keys in the bucket have in its place: `train/=inat24/`
    #[arg(long, value_name = "FROM=TO", value_parser = Mapping::parse)]
    map: Option<Mapping>,
    /// The language of the queries that have no field `lang`, for models that need to know it (nllb-clip): a tag such as de,
    /// or a code of NLLB such as deu_Latn
    #[arg(long, value_name = "LANGUAGE", value_parser = Language::from_str)]
    lang: Option<Language>,
}

impl Reading {
    /// Reads the queries of a file, and their answers.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<KnownQuery>, CliError> {
        let text = text(path)?;
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let known = if is_csv {
            let annotations = self.annotations.clone().unwrap_or_else(|| path.with_file_name(ANNOTATIONS));
            let answers = csv::read_answers(&text_of_annotations(&annotations)?).map_err(content(&annotations))?;
            csv::read_queries(&text, answers)
        } else {
            json::read(&text, &self.group)
        };
        let mut known = known.map_err(content(path))?;
        if known.is_empty() {
            return Err(content(path)("it contains no query".to_owned()));
        }
        set_languages(&mut known, self.lang).map_err(content(path))?;
        if let Some(map) = &self.map {
            map.apply(&mut known).map_err(content(path))?;
        }
        Ok(known)
    }
}

/// Takes the languages from the fields of the queries; `default` is that of queries without the field.
fn set_languages(known: &mut [KnownQuery], default: Option<Language>) -> Result<(), String> {
    for query in known {
        let wrong = |error: UnknownLanguage| format!("`{LANGUAGE}` of the query `{}`: {error}", query.text);
        let field = query.fields.get(LANGUAGE).filter(|text| !text.is_empty());
        query.language = field.map(|text| text.parse().map_err(wrong)).transpose()?.or(default);
    }
    Ok(())
}

fn content(path: &Path) -> impl Fn(String) -> CliError {
    move |problem| CliError::Content { path: path.to_owned(), problem }
}

fn text(path: &Path) -> Result<String, CliError> {
    let wrong = |source| CliError::File { path: path.to_owned(), source };
    let bytes = path.metadata().map_err(wrong)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(content(path)(format!("it has {bytes} bytes; at most {MAX_FILE_BYTES} are read")));
    }
    std::fs::read_to_string(path).map_err(wrong)
}

fn text_of_annotations(path: &Path) -> Result<String, CliError> {
    text(path).map_err(|error| match error {
        CliError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            let problem = "the file does not exist; name the CSV file of the right answers with --annotations";
            content(path)(problem.to_owned())
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_has_its_language_or_the_default() {
        let german = "de".parse().ok();
        let list = r#"[{"query": "ein Hund", "answers": ["a.jpg"], "lang": "de-AT"}, {"file": "b.jpg", "caption": "un chat", "lang": "fra_Latn"},
            {"text": "a cat", "answers": [], "lang": ""}, {"text": "a dog", "answers": []}]"#;
        let mut known = json::read(list, "queries").unwrap();
        set_languages(&mut known, None).unwrap();
        let languages: Vec<_> = known.iter().map(|query| query.language.map(Language::code)).collect();
        assert_eq!(languages, [Some("deu_Latn"), Some("fra_Latn"), None, None]);
        set_languages(&mut known, german).unwrap();
        assert_eq!(known.iter().filter(|query| query.language == german).count(), 3);

        let mut wrong = json::read(r#"[{"text": "a cat", "answers": [], "lang": "germn"}]"#, "queries").unwrap();
        let error = set_languages(&mut wrong, german).unwrap_err();
        assert!(error.contains("`a cat`") && error.contains("`germn`"), "{error}");
    }
}
