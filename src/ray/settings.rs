//! Where the Ray cluster is, and what is asked of it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// The settings of Ray.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaySettings {
    /// `RAY_ADDRESS`: the address of the cluster's dashboard, such as `http://ray-head:8265`; empty (default): no Ray.
    pub ray_address: String,
    /// `RAY_AUTH_TOKEN`: the cluster's token; empty (default): none.
    pub ray_auth_token: Secret,
    /// `RAY_AUTH_TOKEN_PATH`: a file that holds it instead, read anew for each request; empty (default): none.
    pub ray_auth_token_path: PathBuf,
    /// `RAY_NUM_WORKERS`: workers of a job; those that do not fit wait, and start when nodes join; 2 by default.
    pub ray_num_workers: u32,
    /// `RAY_TASK_NUM_CPUS`: CPUs that Ray keeps for one worker; 1 by default.
    pub ray_task_num_cpus: u32,
    /// `RAY_TASK_MAX_RETRIES`: how often the workers of a job are placed anew, in a row without any progress, before
    /// the job fails; 3 by default.
    pub ray_task_max_retries: u32,
    /// `RAY_JOB_TIMEOUT`: seconds after which a job on Ray fails; 0 (default): never.
    pub ray_job_timeout: u64,
    /// `RAY_DRIVER`: the path of `ray_driver.py` on the cluster's head; empty (default): the service brings its own.
    pub ray_driver: String,
    /// `GLIMPSE_ADVERTISED_URL`: where workers on the cluster find this service; empty (default): `GLIMPSE_URL` where
    /// that is set, else where the service listens.
    pub glimpse_advertised_url: String,
}

impl Default for RaySettings {
    fn default() -> Self {
        Self {
            ray_address: String::new(),
            ray_auth_token: Secret::default(),
            ray_auth_token_path: PathBuf::new(),
            ray_num_workers: 2,
            ray_task_num_cpus: 1,
            ray_task_max_retries: 3,
            ray_job_timeout: 0,
            ray_driver: String::new(),
            glimpse_advertised_url: String::new(),
        }
    }
}

impl RaySettings {
    /// Whether there is a cluster.
    pub fn is_set(&self) -> bool {
        !self.ray_address.is_empty()
    }

    /// The dashboard's address.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn address(&self) -> Result<Url, String> {
        address("RAY_ADDRESS", &self.ray_address, "the dashboard's address, such as http://ray-head:8265")
    }

    /// When a job on Ray fails, if it does.
    pub fn timeout(&self) -> Option<Duration> {
        (self.ray_job_timeout > 0).then(|| Duration::from_secs(self.ray_job_timeout))
    }

    /// Where workers find the service, which clients find at `url` and which says itself that it is at `listens`.
    ///
    /// # Errors
    /// A sentence that names the setting: workers on another machine would look for the service on their own.
    pub fn advertised(&self, url: Option<&str>, listens: &str) -> Result<String, String> {
        let given = Some(self.glimpse_advertised_url.as_str()).filter(|url| !url.is_empty());
        let advertised = given.or(url).unwrap_or(listens);
        let parsed = address("GLIMPSE_ADVERTISED_URL", advertised, "this service's own, such as http://glimpse:8080")?;
        if is_here(&parsed) && !is_here(&self.address()?) {
            return Err(format!(
                "GLIMPSE_ADVERTISED_URL: the workers of RAY_ADDRESS ({}) cannot find this service at {advertised}; set it to \
                 an address of this service that they reach",
                self.ray_address
            ));
        }
        Ok(advertised.trim_end_matches('/').to_owned())
    }

    /// Checks what a service that uses Ray needs. Not checked without it: on the nodes of a cluster the same names
    /// stand for other things.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if !self.is_set() {
            return Ok(());
        }
        self.address()?;
        for (name, value, least, most) in [
            ("RAY_NUM_WORKERS", self.ray_num_workers, 1, 1_000),
            ("RAY_TASK_NUM_CPUS", self.ray_task_num_cpus, 1, 1_024),
            ("RAY_TASK_MAX_RETRIES", self.ray_task_max_retries, 0, 1_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} is {value}; it must be between {least} and {most}"));
            }
        }
        // It becomes a part of a command of a shell.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if !self.ray_driver.bytes().all(plain) || self.ray_driver.starts_with('-') {
            let said = "is no plain path: letters, digits, `/`, `.`, `_` and `-`";
            return Err(format!("RAY_DRIVER is `{}`; that {said}", self.ray_driver));
        }
        if !self.ray_auth_token.is_empty() && !self.ray_auth_token_path.as_os_str().is_empty() {
            return Err("RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are both set; set one of them".to_owned());
        }
        Ok(())
    }
}

fn address(name: &str, text: &str, like: &str) -> Result<Url, String> {
    let wrong = |what: &str| format!("{name} {what}; it must be {like}");
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| wrong("is no http:// or https:// URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must end with its path, without `?` and `#`"));
    }
    Ok(url)
}

/// Whether it is an address of this machine alone, or none at all.
pub(super) fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> RaySettings {
        RaySettings { ray_address: address.to_owned(), ..RaySettings::default() }
    }

    #[test]
    fn workers_elsewhere_are_not_sent_to_their_own_machine() {
        let here = "http://127.0.0.1:8080";
        assert_eq!(at("http://127.0.0.1:8265").advertised(None, here).unwrap(), here);
        let said = at("http://head:8265").advertised(None, here).unwrap_err();
        assert!(said.contains("GLIMPSE_ADVERTISED_URL") && said.contains("head"), "{said}");
        assert!(at("http://head:8265").advertised(None, "http://0.0.0.0:8080").is_err());
        let by_url = at("http://head:8265").advertised(Some("http://glimpse:8080/"), here).unwrap();
        assert_eq!(by_url, "http://glimpse:8080");
        let given =
            RaySettings { glimpse_advertised_url: "https://there/glimpse".to_owned(), ..at("http://head:8265") };
        assert_eq!(given.advertised(Some(here), here).unwrap(), "https://there/glimpse");
    }

    #[test]
    fn each_wrong_setting_is_named_and_none_is_looked_at_without_ray() {
        assert_eq!(RaySettings { ray_num_workers: 0, ..at("") }.check(), Ok(()));
        let wrong = [
            (at("10.0.0.1:6379"), "RAY_ADDRESS"),
            (at("http://u:p@head:8265"), "RAY_ADDRESS"),
            (RaySettings { ray_num_workers: 0, ..at("http://h") }, "RAY_NUM_WORKERS"),
            (RaySettings { ray_task_num_cpus: 0, ..at("http://h") }, "RAY_TASK_NUM_CPUS"),
            (RaySettings { ray_driver: "a; rm b".into(), ..at("http://h") }, "RAY_DRIVER"),
            (RaySettings { ray_driver: "-c".into(), ..at("http://h") }, "RAY_DRIVER"),
        ];
        for (settings, name) in wrong {
            assert!(settings.check().unwrap_err().contains(name), "{settings:?}");
        }
        assert_eq!(at("http://head:8265").check(), Ok(()));
        let both = RaySettings { ray_auth_token: Secret::new("t"), ray_auth_token_path: "f".into(), ..at("http://h") };
        assert!(both.check().unwrap_err().contains("RAY_AUTH_TOKEN_PATH"));
    }
}
