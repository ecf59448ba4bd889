//! The settings of the Ray cluster.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::setting::check_range;
use crate::domain::{Endpoint, InvalidSetting, Secret};
use crate::http::is_this_machine;

/// The settings of Ray.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaySettings {
    /// `RAY_ADDRESS`: the address of the cluster's dashboard, such as `http://ray-head:8265`; empty (default): no Ray.
    pub ray_address: Option<Endpoint>,
    /// `RAY_AUTH_TOKEN`: the token of the cluster; empty (default): none.
    pub ray_auth_token: Secret,
    /// `RAY_AUTH_TOKEN_PATH`: a file with the token, read for each request; empty (default): none.
    pub ray_auth_token_path: PathBuf,
    /// `RAY_NUM_WORKERS`: number of workers of a job; workers without a free node wait until nodes join; 2 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1000>")]
    pub ray_num_workers: u32,
    /// `RAY_TASK_NUM_CPUS`: CPUs that Ray reserves for one worker; 1 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1024>")]
    pub ray_task_num_cpus: u32,
    /// `RAY_TASK_MAX_RETRIES`: how often the workers of a job are started again without any progress in between, before
    /// the job fails; 3 by default.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1000>")]
    pub ray_task_max_retries: u32,
    /// `RAY_JOB_TIMEOUT`: seconds after which a job on Ray fails; 0 (default): never.
    #[serde(deserialize_with = "check_range::<_, _, 0, 31_536_000>")]
    pub ray_job_timeout: u64,
    /// `RAY_DRIVER`: the path of the driver on the head node of the cluster; empty (default): the service uploads its
    /// own.
    #[serde(deserialize_with = "driver")]
    pub ray_driver: String,
    /// `GLIMPSE_ADVERTISED_URL`: the URL of this service for workers on the cluster; empty (default): `GLIMPSE_URL` if
    /// it is set, otherwise the address that the service listens on.
    pub glimpse_advertised_url: Option<Endpoint>,
}

impl Default for RaySettings {
    fn default() -> Self {
        Self {
            ray_address: None,
            ray_auth_token: Secret::default(),
            ray_auth_token_path: PathBuf::new(),
            ray_num_workers: 2,
            ray_task_num_cpus: 1,
            ray_task_max_retries: 3,
            ray_job_timeout: 0,
            ray_driver: String::new(),
            glimpse_advertised_url: None,
        }
    }
}

/// Reads the path of the driver. It becomes part of a shell command.
fn driver<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !path.bytes().all(is_plain) || path.starts_with('-') {
        let allowed = "it must be a path of letters, digits, `/`, `.`, `_` and `-` that does not start with `-`";
        return Err(D::Error::custom(allowed));
    }
    Ok(path)
}

impl RaySettings {
    /// Returns the time after which a job on Ray fails, or `None` for no limit.
    pub fn timeout(&self) -> Option<Duration> {
        (self.ray_job_timeout > 0).then(|| Duration::from_secs(self.ray_job_timeout))
    }

    /// Returns the URL of the service for the workers of the cluster `cluster`: `GLIMPSE_ADVERTISED_URL`, else `url`, else
    /// `listens`.
    ///
    /// # Errors
    /// A message that names the setting, if the URL is a loopback address but the cluster is on another machine.
    pub fn advertised(
        &self,
        cluster: &Endpoint,
        url: Option<&Endpoint>,
        listens: &Endpoint,
    ) -> Result<String, InvalidSetting> {
        let advertised = self.glimpse_advertised_url.as_ref().or(url).unwrap_or(listens);
        if is_this_machine(advertised.url()) && !is_this_machine(cluster.url()) {
            return Err(InvalidSetting(format!(
                "GLIMPSE_ADVERTISED_URL: the workers of RAY_ADDRESS ({cluster}) cannot reach this service at {advertised}; \
                 set it to an address of this service that they can reach",
            )));
        }
        Ok(advertised.as_str().trim_end_matches('/').to_owned())
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// A message that names the settings.
    pub fn validate(&self) -> Result<(), String> {
        if !self.ray_auth_token.is_empty() && !self.ray_auth_token_path.as_os_str().is_empty() {
            return Err("RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH are both set; set one of them".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_workers_do_not_get_a_loopback_url() {
        let [local, everywhere] = ["http://127.0.0.1:8080", "http://0.0.0.0:8080"].map(Endpoint::from_static);
        let (near, far) = (Endpoint::from_static("http://127.0.0.1:8265"), Endpoint::from_static("http://head:8265"));
        let settings = RaySettings::default();
        assert_eq!(settings.advertised(&near, None, &local).unwrap(), local.as_str());
        let error = settings.advertised(&far, None, &local).unwrap_err().to_string();
        assert!(error.contains("GLIMPSE_ADVERTISED_URL") && error.contains("head"), "{error}");
        assert!(settings.advertised(&far, None, &everywhere).is_err());
        let url = Endpoint::from_static("http://glimpse:8080/");
        assert_eq!(settings.advertised(&far, Some(&url), &local).unwrap(), "http://glimpse:8080");
        let glimpse_advertised_url = Some(Endpoint::from_static("https://there/glimpse"));
        let given = RaySettings { glimpse_advertised_url, ..settings };
        assert_eq!(given.advertised(&far, Some(&local), &local).unwrap(), "https://there/glimpse");
    }

    #[test]
    fn two_tokens_are_refused() {
        let token = RaySettings { ray_auth_token: Secret::new("t"), ..RaySettings::default() };
        assert_eq!(token.validate(), Ok(()));
        let both = RaySettings { ray_auth_token_path: "f".into(), ..token };
        assert!(both.validate().unwrap_err().contains("RAY_AUTH_TOKEN_PATH"));
    }
}
