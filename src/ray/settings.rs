//! The settings of the Ray cluster.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::{InvalidSetting, Secret};
use crate::http::{is_this_machine, parse_base_url};

/// The settings of Ray.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaySettings {
    /// `RAY_ADDRESS`: the address of the cluster's dashboard, such as `http://ray-head:8265`; empty (default): no Ray.
    pub ray_address: String,
    /// `RAY_AUTH_TOKEN`: the token of the cluster; empty (default): none.
    pub ray_auth_token: Secret,
    /// `RAY_AUTH_TOKEN_PATH`: a file with the token, read for each request; empty (default): none.
    pub ray_auth_token_path: PathBuf,
    /// `RAY_NUM_WORKERS`: number of workers of a job; workers without a free node wait until nodes join; 2 by default.
    pub ray_num_workers: u32,
    /// `RAY_TASK_NUM_CPUS`: CPUs that Ray reserves for one worker; 1 by default.
    pub ray_task_num_cpus: u32,
    /// `RAY_TASK_MAX_RETRIES`: how often the workers of a job are started again without any progress in between, before
    /// the job fails; 3 by default.
    pub ray_task_max_retries: u32,
    /// `RAY_JOB_TIMEOUT`: seconds after which a job on Ray fails; 0 (default): never.
    pub ray_job_timeout: u64,
    /// `RAY_DRIVER`: the path of the driver on the head node of the cluster; empty (default): the service uploads its
    /// own.
    pub ray_driver: String,
    /// `GLIMPSE_ADVERTISED_URL`: the URL of this service for workers on the cluster; empty (default): `GLIMPSE_URL` if
    /// it is set, otherwise the address that the service listens on.
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
    /// Whether a cluster is configured.
    pub fn is_set(&self) -> bool {
        !self.ray_address.is_empty()
    }

    /// Returns the address of the dashboard.
    ///
    /// # Errors
    /// A message that names the setting.
    pub fn address(&self) -> Result<Url, InvalidSetting> {
        address("RAY_ADDRESS", &self.ray_address, Some("RAY_AUTH_TOKEN"), "http://ray-head:8265")
    }

    /// Returns the time after which a job on Ray fails, or `None` for no limit.
    pub fn timeout(&self) -> Option<Duration> {
        (self.ray_job_timeout > 0).then(|| Duration::from_secs(self.ray_job_timeout))
    }

    /// Returns the URL of the service for workers: `GLIMPSE_ADVERTISED_URL`, else `url`, else `listens`.
    ///
    /// # Errors
    /// A message that names the setting, for example if the URL is a loopback address but the cluster is on another
    /// machine.
    pub fn advertised(&self, url: Option<&str>, listens: &str) -> Result<String, InvalidSetting> {
        let given = Some(self.glimpse_advertised_url.as_str()).filter(|url| !url.is_empty());
        let advertised = given.or(url).unwrap_or(listens);
        let parsed = address("GLIMPSE_ADVERTISED_URL", advertised, None, "http://glimpse:8080")?;
        if is_this_machine(&parsed) && !is_this_machine(&self.address()?) {
            return Err(InvalidSetting(format!(
                "GLIMPSE_ADVERTISED_URL: the workers of RAY_ADDRESS ({}) cannot reach this service at {advertised}; \
                 set it to an address of this service that they can reach",
                self.ray_address
            )));
        }
        Ok(advertised.trim_end_matches('/').to_owned())
    }

    /// Checks the settings if Ray is used. Otherwise they are not checked, because on the nodes of a cluster these
    /// variables can have other meanings.
    ///
    /// # Errors
    /// A message that names the setting and what is allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if !self.is_set() {
            return Ok(());
        }
        self.address()?;
        for (name, value, min, max) in [
            ("RAY_NUM_WORKERS", self.ray_num_workers, 1, 1_000),
            ("RAY_TASK_NUM_CPUS", self.ray_task_num_cpus, 1, 1_024),
            ("RAY_TASK_MAX_RETRIES", self.ray_task_max_retries, 0, 1_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(InvalidSetting(format!("{name} is {value}; it must be between {min} and {max}")));
            }
        }
        // The path becomes part of a shell command.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if !self.ray_driver.bytes().all(plain) || self.ray_driver.starts_with('-') {
            let allowed = "it must be a path of letters, digits, `/`, `.`, `_` and `-` that does not start with `-`";
            return Err(InvalidSetting(format!("RAY_DRIVER is `{}`; {allowed}", self.ray_driver)));
        }
        if !self.ray_auth_token.is_empty() && !self.ray_auth_token_path.as_os_str().is_empty() {
            let both = "RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are both set; set one of them";
            return Err(InvalidSetting(both.to_owned()));
        }
        Ok(())
    }
}

fn address(name: &str, text: &str, key_setting: Option<&str>, example: &str) -> Result<Url, InvalidSetting> {
    parse_base_url(text, key_setting)
        .map_err(|problem| InvalidSetting(format!("{name} {problem}; an example is {example}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> RaySettings {
        RaySettings { ray_address: address.to_owned(), ..RaySettings::default() }
    }

    #[test]
    fn remote_workers_do_not_get_a_loopback_url() {
        let local = "http://127.0.0.1:8080";
        assert_eq!(at("http://127.0.0.1:8265").advertised(None, local).unwrap(), local);
        let error = at("http://head:8265").advertised(None, local).unwrap_err().to_string();
        assert!(error.contains("GLIMPSE_ADVERTISED_URL") && error.contains("head"), "{error}");
        assert!(at("http://head:8265").advertised(None, "http://0.0.0.0:8080").is_err());
        let by_url = at("http://head:8265").advertised(Some("http://glimpse:8080/"), local).unwrap();
        assert_eq!(by_url, "http://glimpse:8080");
        let given =
            RaySettings { glimpse_advertised_url: "https://there/glimpse".to_owned(), ..at("http://head:8265") };
        assert_eq!(given.advertised(Some(local), local).unwrap(), "https://there/glimpse");
    }

    #[test]
    fn every_invalid_setting_is_named_and_none_is_checked_without_ray() {
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
            assert!(settings.check().unwrap_err().to_string().contains(name), "{settings:?}");
        }
        assert_eq!(at("http://head:8265").check(), Ok(()));
        let both = RaySettings { ray_auth_token: Secret::new("t"), ray_auth_token_path: "f".into(), ..at("http://h") };
        assert!(both.check().unwrap_err().to_string().contains("RAY_AUTH_TOKEN_PATH"));
    }
}
