//! The nearest known name: what errors and warnings suggest for a name that is misspelt.

/// Returns the candidate that differs least from `name`, if it is near enough to be meant: at most a third of its
/// characters are inserted, removed, replaced or swapped. Upper and lower case do not matter.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distances = candidates.into_iter().map(|known| (strsim::osa_distance(&name, &known.to_lowercase()), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= known.chars().count()).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_found_and_a_different_word_is_not() {
        let known = ["format", "min_width", "min_height", "limit"];
        for (name, expected) in
            [("formatt", "format"), ("min_widht", "min_width"), ("Limit", "limit"), ("mni_height", "min_height")]
        {
            assert_eq!(nearest(name, known), Some(expected));
        }
        assert_eq!(nearest("status", known), None);
        assert_eq!(nearest("q", []), None);
    }
}
