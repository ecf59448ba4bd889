//! Checks the Ray cluster, if one is set: it answers, accepts the token, and has a supported version.

use super::{CheckResult, Doctor, Problem, finding};
use crate::jobs::placing::cluster::{Cluster, ClusterError};
use crate::ray::RayCluster;

impl Doctor {
    /// Checks the cluster of `RAY_ADDRESS`. Returns `None` if none is set.
    pub async fn ray(&self) -> Option<CheckResult> {
        let settings = &self.settings.ray;
        let address = settings.ray_address.as_ref()?;
        let check = async {
            let wrong = |error| Problem::new(&error, "check RAY_ADDRESS");
            // No worker is started, so the address of the service is not needed.
            let cluster = RayCluster::new(address, settings, String::new()).map_err(wrong)?;
            let version = cluster
                .check()
                .await
                .map_err(|error| Problem::new(&format!("{error} ({address}): {}", error.detail()), advice(&error)))?;
            let warning = version.warning.map(|warning| format!("; WARNING: {warning}")).unwrap_or_default();
            Ok(format!("{} at {address} (RAY_ADDRESS){warning}", version.name))
        };
        Some(finding("ray", check).await)
    }
}

fn advice(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::Unreachable(_) | ClusterError::TimedOut(_) => {
            "start the cluster, or set RAY_ADDRESS to the address of its dashboard (port 8265, not 6379 or 10001)"
        }
        ClusterError::Failed(_) | ClusterError::Refused(_) => {
            "read the log of the dashboard on the head node of the cluster"
        }
        ClusterError::NoToken(_) | ClusterError::WrongToken(_) | ClusterError::TokenFile(_) => {
            "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file, to the token of the cluster"
        }
        ClusterError::NotRay(_) => "set RAY_ADDRESS to the address of the cluster's dashboard (port 8265)",
        ClusterError::Version(_) => "use a version of Ray with version 4 of the Jobs API, such as 2.60",
    }
}
