//! How the paths in a file of answers become the ends of keys in the bucket.

use super::KnownQuery;

/// Answers that begin with `from` begin with `to` in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Mapping {
    from: String,
    to: String,
}

impl Mapping {
    /// Parses `FROM=TO`. `TO` may be empty.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() => Ok(Self { from: from.to_owned(), to: to.to_owned() }),
            _ => Err("it must be FROM=TO, for example train/=inat24/".to_owned()),
        }
    }

    /// Changes the answers. Fails if none of them begins with `from`: then the keys are surely other ones than meant.
    pub(super) fn apply(&self, known: &mut [KnownQuery]) -> Result<(), String> {
        let mut changed = false;
        for answer in known.iter_mut().flat_map(|query| &mut query.answers) {
            if let Some(rest) = answer.strip_prefix(&self.from) {
                *answer = format!("{}{rest}", self.to);
                changed = true;
            }
        }
        if changed { Ok(()) } else { Err(format!("no answer begins with `{}`, the first part of --map", self.from)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_begin_of_answers_is_replaced() {
        let mut known =
            [KnownQuery { answers: vec!["train/a/1.jpg".into(), "b/train/2.jpg".into()], ..KnownQuery::default() }];
        Mapping::parse("train/=inat24/").unwrap().apply(&mut known).unwrap();
        assert_eq!(known[0].answers, ["inat24/a/1.jpg", "b/train/2.jpg"]);
        Mapping::parse("inat24/=").unwrap().apply(&mut known).unwrap();
        assert_eq!(known[0].answers, ["a/1.jpg", "b/train/2.jpg"]);
        assert!(Mapping::parse("test/=x/").unwrap().apply(&mut known).unwrap_err().contains("`test/`"));
        assert!(Mapping::parse("train/").is_err() && Mapping::parse("=x").is_err());
    }
}
