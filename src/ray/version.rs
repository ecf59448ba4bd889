//! Checks the version of Ray.

use super::wire::Version;
use crate::jobs::placing::cluster::{ClusterError, ClusterVersion};

/// The supported version of the Jobs REST API.
const API_VERSION: &str = "4";

/// With an older version of Ray, a web page in a browser of the same network can run commands on the cluster.
const MIN_SAFE_VERSION: (u32, u32) = (2, 52);

/// Refuses another version of the API, and returns a warning for a version of Ray that is not safe.
pub(super) fn checked(version: Version) -> Result<ClusterVersion, ClusterError> {
    if version.version != API_VERSION {
        return Err(ClusterError::Version(version.version.chars().take(32).collect()));
    }
    let ray = version.ray_version;
    let mut parts = ray.split('.').map(|part| part.parse::<u32>().ok());
    let safe = match (parts.next(), parts.next()) {
        (Some(Some(major)), Some(Some(minor))) => (major, minor) >= MIN_SAFE_VERSION,
        _ => false,
    };
    let warning = (!safe).then(|| {
        format!(
            "Ray {ray} is older than 2.52: a web page in a browser of its network can run commands on the cluster \
             (CVE-2025-62593); update Ray"
        )
    });
    Ok(ClusterVersion { name: format!("Ray {ray}"), warning })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(api: &str, ray: &str) -> Result<ClusterVersion, ClusterError> {
        checked(Version { version: api.into(), ray_version: ray.into() })
    }

    #[test]
    fn another_api_is_refused_and_an_old_ray_gives_a_warning() {
        assert_eq!(check("5", "3.0.0"), Err(ClusterError::Version("5".into())));
        for safe in ["2.52.0", "2.60.0", "3.0.0", "10.1"] {
            assert_eq!(check("4", safe).unwrap().warning, None, "{safe}");
        }
        for old in ["2.51.2", "2.9.3", "1.99.0", "strange"] {
            assert!(check("4", old).unwrap().warning.unwrap().contains("CVE-2025-62593"), "{old}");
        }
    }
}
