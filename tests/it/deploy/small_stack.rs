//! The small stack, `zarf/compose/small`, as far as it can be tested without a container engine.

use std::collections::BTreeMap;

use glimpse::config::Settings;
use yaml_rust2::{Yaml, YamlLoader};

const ALONE: &str = include_str!("../../../zarf/compose/small/docker-compose.yaml");
const QDRANT: &str = include_str!("../../../zarf/compose/small/qdrant.yaml");
const DEVELOPMENT: &str = include_str!("../../../zarf/compose/dev/docker-compose.yaml");

fn service(file: &str, name: &str) -> Yaml {
    YamlLoader::load_from_str(file).unwrap()[0]["services"][name].clone()
}

fn strings(list: &Yaml) -> Vec<String> {
    list.as_vec().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The variables of the service, as they are with an empty `.env`.
fn environment(file: &str) -> BTreeMap<String, String> {
    let all = service(file, "glimpse")["environment"].as_hash().unwrap().clone();
    let text = |yaml: Yaml| yaml.into_string().unwrap();
    all.into_iter().map(|(name, value)| (text(name), default_value(&text(value)))).collect()
}

/// The value of `${NAME:-value}`. A variable without a default, `${NAME:?message}`, is required.
fn default_value(text: &str) -> String {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => variable.split_once(":-").map_or("required", |(_, value)| value).to_owned(),
        None => text.to_owned(),
    }
}

/// The settings of the service, with the key in place of its file, which exists in the container only.
fn settings(environment: BTreeMap<String, String>) -> Settings {
    let known: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    let mut variables = environment;
    assert_eq!(variables.remove("GLIMPSE_API_KEY_FILE").as_deref(), Some("/run/secrets/api-key"));
    for name in variables.keys() {
        assert!(known.contains_key(name), "there is no {name}");
    }
    variables.insert("GLIMPSE_API_KEY".to_owned(), "a-key-of-the-tests".to_owned());
    variables.insert("GLIMPSE_ADDR".to_owned(), "0.0.0.0:8080".to_owned());
    Settings::from_variables(variables).unwrap()
}

#[test]
fn alone_it_needs_no_other_server() {
    let settings = settings(environment(ALONE));
    assert_eq!(settings.without_effect(), Vec::<String>::new());
    assert_eq!(settings.index.vector_db_provider.to_string(), "embedded");
    assert_eq!(settings.source.s3_endpoint.to_string(), "embedded");
}

#[test]
fn with_the_second_file_it_uses_qdrant() {
    let mut both = environment(ALONE);
    both.extend(environment(QDRANT));
    let settings = settings(both);
    assert_eq!(settings.without_effect(), Vec::<String>::new());
    assert_eq!(settings.index.vector_db_provider.to_string(), "qdrant");

    let qdrant = service(QDRANT, "qdrant");
    let of_development = service(DEVELOPMENT, "qdrant")["image"].as_str().unwrap().to_owned();
    assert_eq!(qdrant["image"].as_str().unwrap(), format!("{of_development}-unprivileged"));
    assert!(qdrant["ports"].is_badvalue(), "only the service reaches it");
    assert_eq!(service(QDRANT, "glimpse")["depends_on"]["qdrant"]["condition"].as_str(), Some("service_healthy"));
    assert_eq!(qdrant["healthcheck"]["test"], service(DEVELOPMENT, "qdrant")["healthcheck"]["test"]);
}

#[test]
fn it_is_confined_and_reachable_from_this_machine_only() {
    let glimpse = service(ALONE, "glimpse");
    assert_eq!(strings(&glimpse["ports"]), ["127.0.0.1:8080:8080"]);
    assert_eq!(glimpse["read_only"].as_bool(), Some(true));
    assert_eq!(strings(&glimpse["cap_drop"]), ["ALL"]);
    assert_eq!(strings(&glimpse["security_opt"]), ["no-new-privileges:true"]);
    assert!(strings(&glimpse["volumes"])[0].ends_with(":/data"));
    let ignored = include_str!("../../../zarf/compose/small/.gitignore");
    assert_eq!(ignored.lines().collect::<Vec<_>>(), ["secrets/", ".env"], "secrets are not committed");
}
