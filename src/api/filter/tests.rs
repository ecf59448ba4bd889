use super::*;

fn pairs(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn message(refused: Result<Filter, ApiError>) -> String {
    refused.unwrap_err().into_body().message
}

#[test]
fn parameters_and_json_have_the_same_meaning() {
    let given = pairs(&[
        ("format", "gif"),
        ("s3_prefix", "a/"),
        ("s3_prefix", "!a/b/"),
        ("camera", "Canon EOS R5"),
        ("taken_month", "06"),
        ("taken_month", "!2024-06"),
        ("min_width", "7"),
        ("taken_after", "2024-04-01"),
        ("taken_before", "2024-06-30T12:00:00+02:00"),
        ("near", "48.1,11.5,5"),
        ("bbox", "170,-20,-170,20"),
        ("meta.a=b", "4..6"),
        ("meta.taxon", "Felis catus"),
        ("meta.taxon", "!x"),
    ]);
    let request = FilterRequest::from_pairs(&given).unwrap();
    assert_eq!(request.to_pairs(), given);
    let json = serde_json::json!({"format": "gif", "s3_prefix": ["a/", "!a/b/"], "min_width": 7,
        "camera": "Canon EOS R5", "taken_month": ["06", "!2024-06"], "taken_after": "2024-04-01",
        "taken_before": "2024-06-30T12:00:00+02:00", "near": "48.1,11.5,5", "bbox": "170,-20,-170,20",
        "meta": {"a=b": "4..6", "taxon": ["Felis catus", "!x"]}});
    assert_eq!(serde_json::to_value(&request).unwrap(), json);
    assert_eq!(serde_json::from_value::<FilterRequest>(json).unwrap(), request);
    let filter = request.into_filter().unwrap();
    assert_eq!((filter.folders.none_of.len(), filter.meta["taxon"].any_of.len()), (1, 1));
    assert!(filter.has_ranges() && filter.has_exif());
    let moment = |text| Some(Timestamp::parse(text).unwrap());
    let taken = filter.taken.unwrap();
    assert_eq!([taken.min, taken.max], [moment("2024-04-01T00:00:00Z"), moment("2024-06-30T10:00:00Z")]);
}

#[test]
fn numbers_and_booleans_in_json_are_their_texts() {
    let json = r#"{"meta": {"a": 5, "b": [-1.50, true, "x", 18446744073709551615], "c": false}}"#;
    let request = serde_json::from_str::<FilterRequest>(json).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| request.meta[name].0.join(" "));
    assert_eq!([a, b, c], ["5", "-1.5 true x 18446744073709551615", "false"]);
    for wrong in [r#"{"meta": {"a": [null]}}"#, r#"{"meta": {"a": [["x"]]}}"#, r#"{"meta": {"a": {}}}"#] {
        serde_json::from_str::<FilterRequest>(wrong).unwrap_err();
    }
}

#[test]
fn names_and_values_are_bounded() {
    let refused = |texts: &[(&str, &str)]| message(FilterRequest::from_pairs(&pairs(texts)).unwrap().into_filter());
    assert!(refused(&[("meta.", "a")]).contains("name is empty"));
    assert!(refused(&[("meta.month", "6..4")]).starts_with("meta: `month`: the range `6..4` is empty"));
    assert!(refused(&[("meta.a", "1"); 33]).contains("at most 32 values"));
    for (name, value, problem) in [
        ("camera", "! ", "camera: must not be empty"),
        ("taken_after", "2024", "taken_after: must be a date (2024-04-01)"),
        ("taken_before", "June", "not `June`"),
        ("taken_month", "!2024-13", "taken_month: must be a month"),
        ("near", "48.1,11.5", "near: must be `lat,lon,km`"),
        ("bbox", "1,2,3", "bbox: must be `west,south,east,north`"),
    ] {
        let message = refused(&[(name, value)]);
        assert!(message.contains(problem), "{message}");
    }
    let empty = refused(&[("taken_after", "2024-04-02"), ("taken_before", "2024-04-01")]);
    assert!(empty.starts_with("taken_before: is before the first time"), "{empty}");
    let many: Vec<_> = (0..17).map(|n| (format!("meta.{n}"), String::new())).collect();
    assert!(message(FilterRequest::from_pairs(&many).unwrap().into_filter()).contains("at most 16 metadata names"));
    let many: Vec<_> = (0..65).map(|n| (format!("meta.{}", n % 3), String::new())).collect();
    assert!(message(FilterRequest::from_pairs(&many).unwrap().into_filter()).contains("at most 64 values"));
    let twice = serde_json::from_str::<FilterRequest>(r#"{"meta": {"a": "1", "a": "2"}}"#).unwrap_err();
    let nulls = r#"{"format": null, "min_width": null, "meta": null}"#;
    assert_eq!(serde_json::from_str::<FilterRequest>(nulls).unwrap(), FilterRequest::default());
    assert!(twice.to_string().starts_with("duplicate field `meta.a`"), "{twice}");
}
