//! The files of an import.

use std::path::Path;

use crate::cli::CliError;
use crate::domain::{ImageUri, Payload};
use crate::exchange::{ClipRetrieval, ExchangeError, FileHeader, FileImage, KeyRule, ParquetImages};

/// A file or a folder with images.
pub(super) enum Images {
    Parquet(Box<ParquetImages>),
    Folder(Box<ClipRetrieval>),
}

impl Images {
    pub(super) fn open(path: &Path, rule: &KeyRule) -> Result<Self, CliError> {
        if path == Path::new("-") {
            let problem =
                "standard input cannot be imported, because a Parquet file is read from its end; write it to a file";
            return Err(CliError::Content { path: path.to_owned(), problem: problem.to_owned() });
        }
        if path.is_dir() {
            return Ok(Self::Folder(Box::new(ClipRetrieval::open(path, rule.clone())?)));
        }
        Ok(Self::Parquet(Box::new(ParquetImages::open(path)?)))
    }

    pub(super) fn header(&self) -> &FileHeader {
        match self {
            Self::Parquet(images) => images.header(),
            Self::Folder(images) => images.header(),
        }
    }

    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Parquet(images) => images.total(),
            Self::Folder(images) => images.total(),
        }
    }
}

impl Iterator for Images {
    type Item = Result<FileImage, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parquet(images) => images.next(),
            Self::Folder(images) => images.next(),
        }
    }
}

/// Returns why the service would refuse the whole batch because of this image.
pub(super) fn problem(image: &FileImage) -> Option<String> {
    let uri = match ImageUri::parse(&image.uri) {
        Ok(uri) => uri,
        Err(error) => return Some(error.to_string()),
    };
    let payload = serde_json::from_str::<Payload>(image.payload.as_ref()?.get());
    match payload {
        Ok(payload) if payload.s3_uri == uri => None,
        Ok(payload) => Some(format!("its `payload` is of {} and not of {uri}", payload.s3_uri)),
        Err(error) => Some(format!("its `payload` is not that of a record: {error}")),
    }
}
