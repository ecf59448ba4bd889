//! Which versions of Ray will do.

use super::wire::Version;
use crate::jobs::cluster::{ClusterError, ClusterVersion};

/// The version of the Jobs REST API that is spoken here.
const API: &str = "4";

/// Ray of before lets whatever page a browser of its network shows run commands on it.
const SAFE: (u32, u32) = (2, 52);

/// Refuses another API, and warns of a version that is not safe.
pub(super) fn checked(version: Version) -> Result<ClusterVersion, ClusterError> {
    if version.version != API {
        return Err(ClusterError::Version(version.version.chars().take(32).collect()));
    }
    let ray = version.ray_version;
    let mut parts = ray.split('.').map(|part| part.parse::<u32>().ok());
    let safe = matches!((parts.next(), parts.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= SAFE);
    let warning = (!safe).then(|| {
        format!(
            "Ray {ray} is older than 2.52: whatever page a browser in its network shows can run commands on it \
             (CVE-2025-62593); bring it up to date"
        )
    });
    Ok(ClusterVersion { name: format!("Ray {ray}"), warning })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(api: &str, ray: &str) -> Result<ClusterVersion, ClusterError> {
        checked(Version { version: api.into(), ray_version: ray.into() })
    }

    #[test]
    fn another_api_is_refused_and_an_old_ray_is_warned_of() {
        assert_eq!(of("5", "3.0.0"), Err(ClusterError::Version("5".into())));
        for safe in ["2.52.0", "2.60.0", "3.0.0", "10.1"] {
            assert_eq!(of("4", safe).unwrap().warning, None, "{safe}");
        }
        for old in ["2.51.2", "2.9.3", "1.99.0", "strange"] {
            assert!(of("4", old).unwrap().warning.unwrap().contains("CVE-2025-62593"), "{old}");
        }
    }
}
