//! The Ray cluster, where the settings name one: it answers, takes our token, and is of a version that will do.

use super::{Complaint, Doctor, Finding, finding};
use crate::jobs::cluster::{Cluster, ClusterError};
use crate::ray::RayCluster;

impl Doctor {
    /// The cluster of `RAY_ADDRESS`; `None` where there is none.
    pub async fn ray(&self) -> Option<Finding> {
        let of = &self.settings.ray;
        if !of.is_set() {
            return None;
        }
        let look = async {
            let wrong = |error: String| Complaint::new(&error, "set it as docs/settings.md says");
            // No worker is sent anywhere: where they would find the service does not matter.
            let cluster = RayCluster::new(of, String::new()).map_err(wrong)?;
            let version = cluster.check().await.map_err(|error| {
                Complaint::new(&format!("{error} ({}): {}", of.ray_address, error.detail()), advice(&error))
            })?;
            let warning = version.warning.map(|warning| format!("; BUT {warning}")).unwrap_or_default();
            Ok(format!("{} at {} (RAY_ADDRESS){warning}", version.name, of.ray_address))
        };
        Some(finding("ray", look).await)
    }
}

fn advice(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::Unreachable(_) | ClusterError::TimedOut(_) => {
            "start the cluster, or set RAY_ADDRESS to where its dashboard is (port 8265, not 6379 or 10001)"
        }
        ClusterError::Failed(_) | ClusterError::Refused(_) => "look into the dashboard's log on the cluster's head",
        ClusterError::NoToken(_) | ClusterError::WrongToken(_) | ClusterError::TokenFile(_) => {
            "set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file, to the token of the cluster"
        }
        ClusterError::NotRay(_) => "set RAY_ADDRESS to the cluster's dashboard (port 8265)",
        ClusterError::Version(_) => "use a version of Ray that speaks version 4, such as 2.60",
    }
}
