//! The file layout of INQUIRE (<https://github.com/inquire-benchmark/INQUIRE>, `data/README.md`): a file of queries with
//! the columns `query_id`, `query_text` and others (`supercategory`, `category`, `iconic_group`), and a file of answers
//! with the columns `query_id` and `image_path`, one row for each relevant image.

use std::collections::{BTreeMap, HashMap};

use super::KnownQuery;

/// Answers by the id of their query.
pub(super) type Answers = HashMap<String, Vec<String>>;

const ID: &str = "query_id";
const TEXT: &str = "query_text";
const PATH: &str = "image_path";

/// Reads the file of answers. Other columns, such as `image_id`, are not used: a path is also the end of a key.
pub(super) fn read_answers(text: &str) -> Result<Answers, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let [id, path] = columns(&mut reader, [ID, PATH])?;
    let mut answers = Answers::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        answers.entry(row[id].to_owned()).or_default().push(row[path].to_owned());
    }
    Ok(answers)
}

/// Reads the file of queries, and gives each its answers.
pub(super) fn read_queries(text: &str, mut answers: Answers) -> Result<Vec<KnownQuery>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let [id, query] = columns(&mut reader, [ID, TEXT])?;
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut known = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let others =
            names.iter().zip(&row).enumerate().filter(|(at, (name, _))| ![id, query].contains(at) && !name.is_empty());
        let fields: BTreeMap<_, _> = others.map(|(_, (name, value))| (name.to_owned(), value.to_owned())).collect();
        let text = row[query].trim().to_owned();
        let answers = answers.remove(&row[id]).unwrap_or_default();
        known.push(KnownQuery { text, answers, fields, ..KnownQuery::default() });
    }
    if known.iter().all(|query| query.answers.is_empty()) {
        return Err(format!("the file of answers has no answer to any `{ID}` of it"));
    }
    Ok(known)
}

/// Returns the positions of two columns.
fn columns(reader: &mut csv::Reader<&[u8]>, names: [&str; 2]) -> Result<[usize; 2], String> {
    let header = reader.headers().map_err(|error| error.to_string())?;
    let find = |name| {
        let missing =
            || format!("it has no column `{name}`; its columns are: {}", header.iter().collect::<Vec<_>>().join(", "));
        header.iter().position(|column| column == name).ok_or_else(missing)
    };
    Ok([find(names[0])?, find(names[1])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERIES: &str = include_str!("../../../../tests/data/inquire/inquire_queries_val.csv");
    const ANNOTATIONS: &str = include_str!("../../../../tests/data/inquire/inquire_annotations.csv");

    #[test]
    fn the_layout_of_inquire_can_be_read() {
        let known = read_queries(QUERIES, read_answers(ANNOTATIONS).unwrap()).unwrap();
        assert_eq!(known.len(), 4);
        assert_eq!(known[0].text, "a panda, eating bamboo");
        assert_eq!(
            known[0].answers,
            ["train/00001_Animalia_Chordata_Mammalia_Carnivora_Ursidae_Ailuropoda_melanoleuca/panda.jpg"]
        );
        let fields: Vec<_> = known[0].fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            fields,
            [("category", "Feeding and Hydration"), ("iconic_group", "Mammals"), ("supercategory", "Behavior")]
        );
        assert_eq!((known[1].answers.len(), known[3].answers.len()), (2, 0));
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let error = read_answers("query_id,image\n1,a\n").unwrap_err();
        assert!(error.contains("no column `image_path`") && error.contains("query_id, image"), "{error}");
        assert!(read_answers("query_id,image_path\n1\n").is_err(), "a row with too few columns");
        let error = read_queries(QUERIES, Answers::new()).unwrap_err();
        assert!(error.contains("no answer"), "{error}");
    }
}
