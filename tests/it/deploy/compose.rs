//! The stack of containers, as far as it can be tested without a container engine: its file is parsed, its settings
//! are checked as the service checks them, and values that exist in two places must be equal.

use std::collections::BTreeMap;

use glimpse::config::Settings;
use yaml_rust2::{Yaml, YamlLoader};

const COMPOSE: &str = include_str!("../../../zarf/compose/dev/docker-compose.yaml");
const TUNING: &str = include_str!("../../../zarf/compose/dev/pipeline.env");
const ADDRESSES: &str = include_str!("../../../.env.local");
const DOCKERFILE: &str = include_str!("../../../zarf/docker/Dockerfile");
const RAY_DOCKERFILE: &str = include_str!("../../../zarf/docker/ray.Dockerfile");
const RAY_TEST: &str = include_str!("../../../zarf/ray/test.sh");
const MANIFEST: &str = include_str!("../../../Cargo.toml");

fn compose() -> Yaml {
    YamlLoader::load_from_str(COMPOSE).unwrap().remove(0)
}

fn services() -> Vec<(String, Yaml)> {
    let services = compose()["services"].as_hash().unwrap().clone();
    services.into_iter().map(|(name, service)| (name.into_string().unwrap(), service)).collect()
}

fn service(name: &str) -> Yaml {
    compose()["services"][name].clone()
}

fn strings(list: &Yaml) -> Vec<String> {
    list.as_vec().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// `NAME=value` lines that are not commented out.
fn variables(file: &str) -> BTreeMap<String, String> {
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The environment of the pipeline's process: the variables of the image, then the two files in their order.
fn environment() -> BTreeMap<String, String> {
    let mut all = image_variables();
    all.extend(variables(TUNING));
    all.extend(variables(ADDRESSES));
    all
}

/// `ENV` of the final image.
fn image_variables() -> BTreeMap<String, String> {
    let runs = DOCKERFILE.rsplit("FROM ").next().unwrap();
    let env = runs.split("\nENV ").nth(1).unwrap();
    let env = env.replace("\\\n", " ");
    let pairs = env.lines().next().unwrap().split_whitespace();
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_stack_names_only_existing_settings() {
    let known: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    assert_eq!(strings(&service("pipeline")["env_file"]), ["pipeline.env", "../../../.env.local"]);
    let mut named: Vec<String> = environment().into_keys().collect();
    for ours in ["pipeline", "clip-glimpse"] {
        let own = service(ours)["environment"].as_hash().cloned().unwrap_or_default();
        named.extend(own.into_iter().map(|(name, _)| name.into_string().unwrap()));
    }
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(known.contains_key(&name), "there is no {name}");
    }
}

#[test]
fn the_settings_of_the_stack_are_valid() {
    let settings = Settings::from_variables(environment()).unwrap();
    assert_eq!(settings.embed.clip_url.as_ref().unwrap().as_str(), "http://clip:8000");
    assert_eq!(settings.without_effect(), Vec::<String>::new());
    assert_eq!(settings.index.vector_db_provider.to_string(), "qdrant,weaviate");
    assert_eq!(settings.api.glimpse_addr.port(), 8080);
}

#[test]
fn pipeline_env_has_the_settings_of_the_image_pipeline_with_their_defaults() {
    let defaults: BTreeMap<_, _> = Settings::defaults().into_iter().collect();
    let names = [
        "IMAGE_EMBEDDING_PROVIDER",
        "CLIP_MODEL",
        "CLIP_ENDPOINT",
        "IMAGE_BATCH_SIZE",
        "IMAGE_EMBED_BATCH_SIZE",
        "IMAGE_MAX_SIZE_MB",
        "IMAGE_TARGET_SIZE",
    ];
    for name in names {
        let line = format!("{name}={}", defaults[name]);
        let is_there = TUNING.lines().any(|one| one.trim_start_matches('#') == line);
        assert!(is_there, "pipeline.env lacks {line}");
    }
    assert_eq!((&*defaults["IMAGE_BATCH_SIZE"], &*defaults["IMAGE_EMBED_BATCH_SIZE"]), ("10", "8"));
}

#[test]
fn env_local_is_also_found_beside_the_compose_file() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let link = std::fs::read_link(root.join("zarf/compose/dev/.env.local")).unwrap();
    assert_eq!(link, std::path::Path::new("../../../.env.local"));
}

#[test]
fn the_clip_service_has_its_name_and_port_on_the_host_too() {
    let clip = service("clip");
    assert_eq!(clip["container_name"].as_str(), Some("clip"));
    for name in ["clip", "clip-glimpse"] {
        assert_eq!(strings(&service(name)["ports"]), ["127.0.0.1:8000:8000"], "{name}");
    }
}

#[test]
fn tuning_and_addresses_do_not_overlap() {
    let (tuning, addresses) = (variables(TUNING), variables(ADDRESSES));
    assert!(tuning.keys().all(|name| !addresses.contains_key(name)), "{tuning:?}");
}

#[test]
fn addresses_are_those_of_the_services_of_the_stack() {
    let all = environment();
    let inside = |name: &str| all[name].split("://").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let names: Vec<_> = services().into_iter().map(|(name, _)| name).collect();
    for variable in ["S3_ENDPOINT", "QDRANT_URL", "WEAVIATE_URL", "WEAVIATE_GRPC_URL", "CLIP_URL"] {
        assert!(names.contains(&inside(variable)), "{variable}={}", all[variable]);
    }
    let aliases = strings(&service("clip-glimpse")["networks"]["default"]["aliases"]);
    assert_eq!(aliases, [inside("CLIP_URL")], "our variable replaces the other");
}

#[test]
fn keys_are_those_of_the_services_of_the_stack() {
    let all = environment();
    let variable = |name: &str, variable: &str| service(name)["environment"][variable].as_str().unwrap().to_owned();
    assert_eq!(variable("rustfs", "RUSTFS_ACCESS_KEY"), all["S3_ACCESS_KEY_ID"]);
    assert_eq!(variable("rustfs", "RUSTFS_SECRET_KEY"), all["S3_SECRET_ACCESS_KEY"]);
    assert_eq!(variable("qdrant", "QDRANT__SERVICE__API_KEY"), all["QDRANT_API_KEY"]);
    assert_eq!(variable("weaviate", "AUTHENTICATION_APIKEY_ALLOWED_KEYS"), all["WEAVIATE_API_KEY"]);
    // The bucket is created with the pair, the address and the name that the pipeline has.
    assert_eq!(strings(&service("bucket")["env_file"]), ["../../../.env.local"]);
    assert_eq!(service("bucket")["image"], service("rustfs")["image"]);
    for (name, value) in all.iter().filter(|(name, _)| name.ends_with("_KEY") || name.ends_with("_KEY_ID")) {
        assert!(value.contains("development"), "{name} must say that it is not a real key");
    }
}

#[test]
fn the_bucket_may_send_its_events_to_the_pipeline() {
    let variable = |name: &str| service("rustfs")["environment"][name].as_str().unwrap().to_owned();
    let pipeline = environment()["GLIMPSE_ADVERTISED_URL"].clone();
    assert_eq!(variable("RUSTFS_OUTBOUND_ALLOW_ORIGINS"), pipeline);
    assert_eq!(variable("RUSTFS_NOTIFY_WEBHOOK_ENDPOINT_GLIMPSE"), format!("{pipeline}/events/s3"));
    assert_eq!(
        (&*variable("RUSTFS_NOTIFY_ENABLE"), &*variable("RUSTFS_NOTIFY_WEBHOOK_ENABLE_GLIMPSE")),
        ("true", "on")
    );
}

#[test]
fn a_ray_node_has_the_tested_version_and_the_pipelines_environment() {
    let version =
        |text: &str, before: &str| text.split(before).nth(1).unwrap().split(['"', '\n']).next().unwrap().to_owned();
    assert_eq!(version(RAY_DOCKERFILE, "ray[default]=="), version(RAY_TEST, "\nversion="));
    let build = DOCKERFILE.lines().find_map(|line| line.strip_prefix("FROM rust:")).unwrap();
    let debian = build.strip_suffix(" AS build").unwrap().rsplit('-').next().unwrap();
    assert!(RAY_DOCKERFILE.contains(&format!("-slim-{debian}\n")), "the binary's C library is that of {debian}");
    assert_eq!(strings(&service("ray-node")["env_file"]), strings(&service("pipeline")["env_file"]));
    assert!(RAY_DOCKERFILE.contains("RAY_AUTH_MODE=token") && environment()["RAY_AUTH_TOKEN"].contains("development"));
    for node in ["ray-head", "ray-node"] {
        assert!(service(node)["ports"].is_badvalue() && strings(&service(node)["profiles"]) == ["ray"], "{node}");
    }
    let near: Vec<String> = services()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| strings(&service(name)["networks"]).contains(&"ray".to_owned()))
        .collect();
    assert_eq!(near, ["pipeline", "ray-head", "ray-node"], "the others cannot reach it");
    assert_eq!(environment()["GLIMPSE_ADVERTISED_URL"], "http://pipeline:8080", "as its workers reach it");
}

#[test]
fn images_are_pinned() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        let ours = !service["build"].is_badvalue();
        let pinned = tag.chars().filter(char::is_ascii_digit).count() >= 3;
        assert!(ours || pinned || image == "ai4all/clip:latest", "{name}: {image}");
    }
    for base in DOCKERFILE.lines().filter_map(|line| line.strip_prefix("FROM ")).filter(|base| *base != "scratch") {
        assert!(base.chars().filter(char::is_ascii_digit).count() >= 3, "{base}");
    }
    let rust = MANIFEST.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(DOCKERFILE.contains(&format!("FROM rust:{rust}.")), "the image builds with another Rust than {rust}");
}

#[test]
fn every_permanent_service_has_a_health_check() {
    for (name, service) in services() {
        let health = &service["healthcheck"];
        let stays = service["restart"].as_str() != Some("no");
        assert_eq!(strings(&health["test"]).len() > 1, stays, "{name}");
        assert_eq!(health["disable"].as_bool() == Some(true), !stays, "{name}: the image has no check either");
    }
    // In images without curl, a health check with curl would never pass.
    for (name, service) in services() {
        assert!(strings(&service["healthcheck"]["test"]).iter().all(|word| !word.contains("curl")), "{name}");
    }
    let quick = strings(&service("pipeline")["healthcheck"]["test"])[1..].to_vec();
    assert!(DOCKERFILE.contains(&format!("CMD {}", serde_json::to_string(&quick).unwrap().replace(',', ", "))));
}

#[test]
fn services_wait_for_dependencies_that_are_healthy_or_completed() {
    let mut waits = 0;
    for (name, service) in services() {
        for (on, how) in service["depends_on"].as_hash().cloned().unwrap_or_default() {
            let on = on.as_str().unwrap();
            let ends = self::service(on)["restart"].as_str() == Some("no");
            let expected = if ends { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(how["condition"].as_str(), Some(expected), "{name} on {on}");
            // A dependency on a service of an inactive profile would make the whole file invalid.
            assert!(self::service(on)["profiles"].is_badvalue(), "{name} on {on}");
            waits += 1;
        }
    }
    assert_eq!(waits, 4);
}

#[test]
fn ports_are_open_on_loopback_only_and_used_once() {
    let mut ports_in_use = BTreeMap::new();
    for (name, service) in services() {
        for port in strings(&service["ports"]) {
            let host = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{name}: {port}"));
            let host = host.split(':').next().unwrap().to_owned();
            let group = if service["profiles"].is_badvalue() { name.clone() } else { "clip".to_owned() };
            assert_eq!(ports_in_use.entry(host).or_insert_with(|| group.clone()), &group, "{port}");
        }
    }
    let ports: Vec<_> = ports_in_use.keys().map(String::as_str).collect();
    assert_eq!(ports, ["50051", "6333", "6334", "8000", "8080", "8081", "9000", "9001"]);
}

#[test]
fn our_services_run_without_privileges_and_with_a_read_only_root() {
    for ours in ["pipeline", "clip-glimpse"] {
        let service = service(ours);
        assert_eq!(service["read_only"].as_bool(), Some(true), "{ours}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{ours}");
        assert!(
            strings(&service["volumes"])[0].ends_with(&format!(":{}", environment()["GLIMPSE_DATA_DIR"])),
            "{ours}"
        );
    }
    let user = DOCKERFILE.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
}

#[test]
fn all_files_of_the_image_are_in_the_build_context() {
    let ignored = include_str!("../../../.dockerignore");
    let mut let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied =
        DOCKERFILE.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    let mut expected: Vec<&str> = copied.flat_map(|line| line.split(' ').rev().skip(1)).collect();
    expected.sort_unstable();
    let_in.sort_unstable();
    assert_eq!(expected, let_in);
}
