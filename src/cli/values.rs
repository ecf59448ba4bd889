//! Parses the values of options. The errors say what is allowed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};

use crate::domain::location::split_scheme;
use crate::domain::{ImageId, ImageUri};

use super::CliError;

/// Parses a whole number in the range from `MIN` to `MAX`.
pub(super) fn whole_number<T: TryFrom<u64>, const MIN: u64, const MAX: u64>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("it must be a whole number from {MIN} to {MAX}"))
}

/// Parses a whole number of at least `MIN`. The maximum is the largest number that every JSON client can represent.
pub(super) fn count<T: TryFrom<u64>, const MIN: u64>(text: &str) -> Result<T, String> {
    whole_number::<T, MIN, 9_007_199_254_740_991>(text)
}

/// Parses the number of a generation of a collection.
pub(super) fn generation_number(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{text}` must be the number of a generation, such as 2"))
}

/// Parses the width or the height of an image.
pub(super) fn pixels(text: &str) -> Result<u32, String> {
    whole_number::<u32, 0, 4_294_967_295>(text)
}

/// Parses the relevance of an image.
pub(super) fn relevance(text: &str) -> Result<f32, String> {
    let relevance = text.parse().ok().filter(|relevance| (0.0..=1.0).contains(relevance));
    relevance.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// Parses a cosine similarity.
pub(super) fn score(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|score| (-1.0..=1.0).contains(score));
    score.ok_or_else(|| "it must be a number from -1 to 1".to_owned())
}

/// Parses the address of a listener.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "it must be IP:PORT, such as 127.0.0.1:8000".to_owned())
}

/// Parses the path of a file or folder of this machine. An address would otherwise be a path with a folder such as `s3:`.
pub(super) fn local_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_str().and_then(split_scheme) {
        Some((scheme, _)) => Err(format!(
            "it must be the path of a file or folder of this machine, not an address ({scheme}:); write ./ before a path with \
             this name"
        )),
        None => Ok(path),
    })
}

/// An indexed image, named by its URI or by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageName {
    /// The id, which is the same in every service.
    pub(super) id: ImageId,
    /// The name as the user typed it.
    pub(super) given: String,
}

impl ImageName {
    /// Parses `s3://bucket/key` or a UUID.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let id = match ImageUri::parse(text) {
            Ok(uri) => uri.id(),
            Err(_) => text.parse().map_err(|_| "it must be a URI (s3://bucket/key) or an id (a UUID)".to_owned())?,
        };
        Ok(Self { id, given: text.to_owned() })
    }

    /// Replaces the id in the message of the service with the name that the user typed.
    pub(super) fn in_error(&self, error: CliError) -> CliError {
        match error {
            CliError::Refused { status, message } => {
                CliError::Refused { status, message: message.replace(&self.id.to_string(), &self.given) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_allowed() {
        assert_eq!(whole_number::<usize, 1, 100>("100"), Ok(100));
        for wrong in ["0", "101", "abc", "", "-3", "1.5"] {
            let error = whole_number::<usize, 1, 100>(wrong).unwrap_err();
            assert_eq!(error, "it must be a whole number from 1 to 100", "{wrong}");
        }
        assert_eq!(generation_number("4294967295"), Ok(u32::MAX));
        for wrong in ["0", "4294967296", "x", "", "-3", "1.5"] {
            let error = generation_number(wrong).unwrap_err();
            assert_eq!(error, format!("`{wrong}` must be the number of a generation, such as 2"));
        }
        assert!(pixels("4294967296").unwrap_err().ends_with("from 0 to 4294967295"));
        assert!(score("0.5").is_ok() && score("-1").is_ok());
        for wrong in ["2", "abc", "NaN"] {
            assert_eq!(score(wrong).unwrap_err(), "it must be a number from -1 to 1", "{wrong}");
        }
        assert!(relevance("0.5").is_ok() && relevance("-0.1").is_err() && relevance("1.1").is_err());
        assert!(address("8000").unwrap_err().contains("IP:PORT"));
    }

    #[test]
    fn a_uri_and_its_id_name_the_same_image() {
        let name = ImageName::parse("s3://b/a cat+1%.jpg").unwrap();
        assert_eq!(ImageName::parse(&name.id.to_string()).unwrap().id, name.id);
        for wrong in ["cat.jpg", "s3://b", "s3://b/", ""] {
            assert!(ImageName::parse(wrong).is_err(), "{wrong}");
        }
        let refused = CliError::Refused { status: 404, message: format!("there is no image `{}`", name.id) };
        assert_eq!(name.in_error(refused).to_string(), "there is no image `s3://b/a cat+1%.jpg`");
    }
}
