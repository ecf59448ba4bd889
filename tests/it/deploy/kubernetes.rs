//! The manifests of Kubernetes, `zarf/k8s/glimpse.yaml`, against the settings. `make test-charts` compares them with the
//! chart that they are written from, and with the schemas of Kubernetes.

use std::collections::BTreeMap;

use glimpse::config::Settings;
use yaml_rust2::{Yaml, YamlLoader};

const MANIFESTS: &str = include_str!("../../../zarf/k8s/glimpse.yaml");
const CHART: &str = include_str!("../../../zarf/k8s/chart/Chart.yaml");

fn resource(kind: &str) -> Yaml {
    let all = YamlLoader::load_from_str(MANIFESTS).unwrap();
    all.into_iter().find(|one| one["kind"].as_str() == Some(kind)).unwrap_or_else(|| panic!("there is no {kind}"))
}

fn container() -> Yaml {
    resource("StatefulSet")["spec"]["template"]["spec"]["containers"][0].clone()
}

/// The variables of the service, with the key in place of its file, which exists in the pod only.
fn environment() -> BTreeMap<String, String> {
    let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
    let data = resource("ConfigMap")["data"].as_hash().unwrap().clone();
    let mut all: BTreeMap<_, _> = data.iter().map(|(name, value)| (text(name), text(value))).collect();
    for variable in container()["env"].as_vec().unwrap() {
        all.insert(text(&variable["name"]), text(&variable["value"]));
    }
    assert_eq!(all.remove("GLIMPSE_API_KEY_FILE").as_deref(), Some("/run/secrets/glimpse/GLIMPSE_API_KEY"));
    all.insert("GLIMPSE_API_KEY".to_owned(), "a-key-of-the-tests".to_owned());
    all
}

#[test]
fn the_settings_of_the_manifests_are_valid() {
    let known: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    for name in environment().keys() {
        assert!(known.contains_key(name), "there is no {name}");
    }
    let settings = Settings::from_variables(environment()).unwrap();
    assert_eq!(settings.api.glimpse_addr.port(), 8080);
    assert_eq!(container()["ports"][0]["containerPort"].as_i64(), Some(8080));
    assert_eq!(container()["volumeMounts"][0]["mountPath"].as_str(), Some("/data"));
}

#[test]
fn one_process_uses_the_data_folder() {
    let stateful = resource("StatefulSet")["spec"].clone();
    assert_eq!(stateful["replicas"].as_i64(), Some(1));
    assert_eq!(
        stateful["template"]["spec"]["enableServiceLinks"].as_bool(),
        Some(false),
        "GLIMPSE_PORT is not a setting"
    );
    // The service ends within 25 s.
    assert!(stateful["template"]["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap() >= 30);
    let path = |probe: &str| container()[probe]["httpGet"]["path"].as_str().unwrap().to_owned();
    assert_eq!(["startupProbe", "livenessProbe", "readinessProbe"].map(path), ["/healthz", "/healthz", "/readyz"]);
}

#[test]
fn the_chart_has_the_version_of_the_service() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = YamlLoader::load_from_str(CHART).unwrap().remove(0);
    assert_eq!(chart["appVersion"].as_str(), Some(version));
    assert_eq!(chart["version"].as_str(), Some(version));
    assert_eq!(container()["image"].as_str().unwrap(), format!("glimpse:{version}"));
}
