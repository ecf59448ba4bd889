use rten::ModelOptions;

use super::*;

/// Encodes a length-delimited field of protobuf.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encode_length_delimiter((usize::from(number) << 3) | 2, &mut out).unwrap();
    prost::encode_length_delimiter(body.len(), &mut out).unwrap();
    out.extend_from_slice(body);
    out
}

/// Encodes a tensor with these entries of `external_data`, which are valid if `is_external`.
fn tensor(entries: &[(&str, &str)], is_external: bool) -> Vec<u8> {
    let text = |number, text: &str| field(number, text.as_bytes());
    let entries = entries.iter().flat_map(|(key, value)| field(13, &[text(1, key), text(2, value)].concat()));
    entries.chain([14 << 3, u8::from(is_external)]).collect()
}

fn tensor_at(location: &str) -> Vec<u8> {
    tensor(&[("location", location)], true)
}

fn graph(tensor: &[u8]) -> Vec<u8> {
    field(5, tensor)
}

fn find_locations(model: &[u8]) -> Result<Vec<String>, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), model).unwrap();
    locations(file.path())
}

#[test]
fn locations_are_found_in_all_kinds_of_messages() {
    let node = |attribute: &[u8]| field(1, &field(5, attribute));
    let model = |graph: &[u8]| [vec![8, 9], field(7, graph)].concat();
    for graph in [
        graph(&tensor_at("w.bin")),
        field(15, &field(1, &tensor_at("w.bin"))),
        node(&field(5, &tensor_at("w.bin"))),
        node(&field(10, &tensor_at("w.bin"))),
        node(&field(6, &graph(&tensor_at("w.bin")))),
        node(&field(11, &node(&field(5, &tensor_at("w.bin"))))),
        [graph(&tensor_at("w.bin")), graph(&tensor_at("w.bin"))].concat(),
        [field(2, b"name"), graph(&tensor(&[("location", "x")], false)), graph(&tensor_at("./w.bin"))].concat(),
    ] {
        assert_eq!(find_locations(&model(&graph)).unwrap(), ["w.bin"]);
    }
    assert_eq!(find_locations(&field(25, &field(7, &field(5, &field(5, &tensor_at("sub/w")))))).unwrap(), ["sub/w"]);
    assert!(find_locations(&model(b"")).unwrap().is_empty());
}

#[test]
fn a_location_outside_of_the_folder_is_refused() {
    for location in ["/etc/passwd", "../w", "a/../../w", "..", "", ".", "a\0b", "..\\w"] {
        let error = find_locations(&field(7, &graph(&tensor_at(location)))).unwrap_err();
        assert!(matches!(error, Error::Location(_)), "{location}: {error}");
    }
    assert!(find_locations(&field(7, &graph(&tensor_at(&"x".repeat(5_000))))).is_err());
}

#[test]
fn a_truncated_deep_or_too_large_file_is_an_error() {
    let model = field(7, &graph(&tensor_at("w.bin")));
    for end in 1..model.len() {
        assert!(find_locations(&model[..end]).is_err(), "{end}");
    }
    assert!(find_locations(b"<html>").is_err());
    let mut deep = tensor_at("w");
    for _ in 0..40 {
        deep = field(1, &field(5, &field(6, &deep)));
    }
    assert!(matches!(find_locations(&field(7, &deep)), Err(Error::Unreadable(_))));
    let many: Vec<u8> = (0..5_000).flat_map(|name| graph(&tensor_at(&name.to_string()))).collect();
    assert!(find_locations(&field(7, &many)).unwrap_err().to_string().contains("more than 4096 files"));
}

#[test]
fn an_error_names_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("model.onnx");
    std::fs::write(&onnx, field(7, &graph(&tensor_at("sub/w.bin")))).unwrap();
    let error = load(&onnx, &mut ModelOptions::with_all_ops()).err().unwrap();
    assert!(error.contains("`sub/w.bin`, which is not there"), "{error}");
}

#[test]
fn missing_offsets_and_lengths_are_written() {
    let aliases = HashMap::from([("w".to_owned(), rewrite::Alias { name: "0.data".to_owned(), size: 100 })]);
    let renamed = |entries: &[(&str, &str)]| {
        let model = field(7, &[field(2, b"name"), graph(&tensor(entries, true))].concat());
        rewrite::rename_locations(&model, &aliases).map_err(|error| error.to_string())
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

#[test]
fn a_file_that_was_not_downloaded_is_named_as_such() {
    let load_file = |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        load(file.path(), &mut ModelOptions::with_all_ops()).err().unwrap()
    };
    assert_eq!(load_file(b""), "it is empty");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert!(load_file(pointer).contains("git lfs pull"));
}
