use rten::ModelOptions;

use super::*;

/// A field of protobuf with a length.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encode_length_delimiter((usize::from(number) << 3) | 2, &mut out).unwrap();
    prost::encode_length_delimiter(body.len(), &mut out).unwrap();
    out.extend_from_slice(body);
    out
}

/// `external_data` with these entries, counted or not.
fn tensor(entries: &[(&str, &str)], is_external: bool) -> Vec<u8> {
    let text = |number, text: &str| field(number, text.as_bytes());
    let entries = entries.iter().flat_map(|(key, value)| field(13, &[text(1, key), text(2, value)].concat()));
    entries.chain([14 << 3, u8::from(is_external)]).collect()
}

fn at(location: &str) -> Vec<u8> {
    tensor(&[("location", location)], true)
}

fn graph(tensor: &[u8]) -> Vec<u8> {
    field(5, tensor)
}

fn found(model: &[u8]) -> Result<Vec<String>, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), model).unwrap();
    locations(file.path())
}

#[test]
fn locations_are_found_wherever_a_tensor_may_be() {
    let node = |attribute: &[u8]| field(1, &field(5, attribute));
    let model = |graph: &[u8]| [vec![8, 9], field(7, graph)].concat();
    for graph in [
        graph(&at("w.bin")),
        field(15, &field(1, &at("w.bin"))),
        node(&field(5, &at("w.bin"))),
        node(&field(10, &at("w.bin"))),
        node(&field(6, &graph(&at("w.bin")))),
        node(&field(11, &node(&field(5, &at("w.bin"))))),
        [graph(&at("w.bin")), graph(&at("w.bin"))].concat(),
        [field(2, b"name"), graph(&tensor(&[("location", "x")], false)), graph(&at("./w.bin"))].concat(),
    ] {
        assert_eq!(found(&model(&graph)).unwrap(), ["w.bin"]);
    }
    assert_eq!(found(&field(25, &field(7, &field(5, &field(5, &at("sub/w")))))).unwrap(), ["sub/w"]);
    assert!(found(&model(b"")).unwrap().is_empty());
}

#[test]
fn a_location_stays_in_the_folder() {
    for location in ["/etc/passwd", "../w", "a/../../w", "..", "", ".", "a\0b", "..\\w"] {
        let said = found(&field(7, &graph(&at(location)))).unwrap_err();
        assert!(matches!(said, Error::Location(_)), "{location}: {said}");
    }
    assert!(found(&field(7, &graph(&at(&"x".repeat(5_000))))).is_err());
}

#[test]
fn what_is_torn_deep_or_too_much_is_an_error() {
    let model = field(7, &graph(&at("w.bin")));
    for end in 1..model.len() {
        assert!(found(&model[..end]).is_err(), "{end}");
    }
    assert!(found(b"<html>").is_err());
    let mut deep = at("w");
    for _ in 0..40 {
        deep = field(1, &field(5, &field(6, &deep)));
    }
    assert!(matches!(found(&field(7, &deep)), Err(Error::Unreadable(_))));
    let many: Vec<u8> = (0..5_000).flat_map(|name| graph(&at(&name.to_string()))).collect();
    assert!(found(&field(7, &many)).unwrap_err().to_string().contains("more than 4096 files"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("model.onnx");
    std::fs::write(&onnx, field(7, &graph(&at("sub/w.bin")))).unwrap();
    let said = load(&onnx, &mut ModelOptions::with_all_ops()).err().unwrap();
    assert!(said.contains("`sub/w.bin`, which is not there"), "{said}");
}

#[test]
fn what_a_file_leaves_out_is_said() {
    let aliases = HashMap::from([("w".to_owned(), rewrite::Alias { name: "0.data".to_owned(), size: 100 })]);
    let renamed = |entries: &[(&str, &str)]| {
        let model = field(7, &[field(2, b"name"), graph(&tensor(entries, true))].concat());
        rewrite::renamed(&model, &aliases).map_err(|error| error.to_string())
    };
    let expected = |offset: &str, length: &str| {
        let flag = vec![14 << 3, 1];
        let entries = [("location", "0.data"), ("offset", offset), ("length", length)];
        let entries = tensor(&entries, true);
        let tensor = [flag, entries[..entries.len() - 2].to_vec()].concat();
        field(7, &[field(2, b"name"), graph(&tensor)].concat())
    };
    assert_eq!(renamed(&[("location", "w")]).unwrap(), expected("0", "100"));
    assert_eq!(renamed(&[("location", "w"), ("offset", "8"), ("checksum", "x")]).unwrap(), expected("8", "92"));
    assert_eq!(renamed(&[("location", "w"), ("length", "4")]).unwrap(), expected("0", "4"));
    assert!(renamed(&[("location", "w"), ("offset", "-1")]).unwrap_err().contains("offset"));
}
