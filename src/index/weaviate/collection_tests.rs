use super::*;
use crate::domain::Probe;

fn class_json() -> Value {
    let space = Space {
        model: "m".into(),
        dimension: 2,
        preprocessing: "crop-8".into(),
        probes: vec![Probe { name: "text:a \"quoted\"".into(), vector: vec![0.1, -1e-9] }],
    };
    let name = CollectionName::parse("my-photos").unwrap();
    serde_json::from_slice(&new_class(&name, &space, Quantization::Int8).unwrap()).unwrap()
}

fn read(class: Value) -> Result<StoredCollection, String> {
    serde_json::from_value::<Class>(class).unwrap().stored_collection()
}

#[test]
fn the_name_and_space_in_a_class_are_read_back() {
    let class = class_json();
    assert_eq!((&class["class"], &class["vectorizer"]), (&json!("MyPhotosImages"), &json!("none")));
    let stored = read(class).unwrap();
    assert_eq!((stored.collection.as_str(), stored.space.dimension), ("my-photos", 2));
    assert_eq!(stored.space.probes[0].vector, [0.1, -1e-9]);
}

#[test]
fn no_property_is_searchable_as_text_and_every_property_declares_its_index() {
    for property in class_json()["properties"].as_array().unwrap() {
        assert_eq!(property["indexSearchable"], false, "{property}");
        assert!(property["indexFilterable"].is_boolean(), "{property}");
    }
}

#[test]
fn a_foreign_or_changed_class_is_refused_with_the_reason() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut class = class_json();
        change(&mut class);
        read(class).unwrap_err()
    };
    assert!(changed(&|class| class["description"] = "mine".into()).contains("was not created by Glimpse"));
    assert!(changed(&|class| class["class"] = "OtherImages".into()).contains("my-photos"));
    assert!(changed(&|class| class["vectorIndexConfig"]["distance"] = "dot".into()).contains("cosine"));
    assert!(changed(&|class| class["multiTenancyConfig"]["enabled"] = true.into()).contains("tenants"));
    assert!(changed(&|class| class["properties"][5]["dataType"][0] = "number".into()).contains("width"));
    assert!(changed(&|class| drop(class.as_object_mut().unwrap().remove("vectorIndexConfig"))).contains("cosine"));
}

#[test]
fn a_class_of_version_0_1_lacks_properties_and_can_be_used() {
    let mut class = class_json();
    let properties = class["properties"].as_array_mut().unwrap();
    let version = properties.remove(properties.iter().position(|property| property["name"] == "version").unwrap());
    let class = serde_json::from_value::<Class>(class).unwrap();
    assert!(class.stored_collection().is_ok());
    assert_eq!(class.missing_properties(), [version]);
}

#[test]
fn the_quantisation_and_the_cutoff_of_a_class_are_read_back() {
    let mut class = class_json();
    class["vectorIndexConfig"]["flatSearchCutoff"] = 40_000.into();
    let parsed: Class = serde_json::from_value(class.clone()).unwrap();
    assert_eq!((parsed.quantization(), parsed.flat_search_cutoff()), (Quantization::Int8, 40_000));
    class["vectorIndexConfig"] = json!({"distance": "cosine"});
    let parsed: Class = serde_json::from_value(class).unwrap();
    assert_eq!((parsed.quantization(), parsed.flat_search_cutoff()), (Quantization::None, 0));
}
