//! Bodies of `/collections/{name}/verify`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::whole;
use crate::jobs::{Difference, DifferenceKind, VerifyReport};

/// How closely to look. Everything may be left out, and the body too.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyRequest {
    /// Repair what is found: by copies from the store that has it, without embedding again.
    pub repair: bool,
    /// How many of the records that every store has are read and compared, 0 to 1,000,000.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 1_000_000)]
    pub sample: u64,
}

impl Default for VerifyRequest {
    fn default() -> Self {
        Self { repair: false, sample: 1_000 }
    }
}

/// Whether the stores and the ledger agree.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifyReply {
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Whether nothing differs, or all that did is repaired.
    pub agrees: bool,
    /// Images in each store.
    pub stores: BTreeMap<String, u64>,
    /// Objects that the ledger knows.
    pub ledger: u64,
    /// Records that were read and compared.
    pub compared: u64,
    /// Differences that were found.
    pub total: u64,
    /// How many of them were repaired.
    pub repaired: u64,
    /// The first 1,000 differences.
    pub differences: Vec<DifferenceReply>,
}

/// One difference.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DifferenceReply {
    /// Of the image.
    #[schema(format = Uuid)]
    pub id: String,
    /// `s3://bucket/key`
    pub s3_uri: Option<String>,
    /// `missing`: these stores lack what another has. `unequal`: they have another vector or payload than its newest
    /// record. `unknown`: the ledger does not know that they have it. `lost`: the ledger believes that they have it, and no
    /// store does; once repaired, the next job indexes it again.
    #[schema(value_type = DifferenceKind)]
    pub kind: String,
    /// In which stores.
    pub stores: Vec<String>,
    /// Whether it is no more.
    pub repaired: bool,
}

impl From<VerifyReport> for VerifyReply {
    fn from(found: VerifyReport) -> Self {
        Self {
            collection: found.collection.to_string(),
            agrees: found.total == found.repaired,
            stores: found.stores.into_iter().map(|(store, count)| (store.to_owned(), count)).collect(),
            ledger: found.ledger,
            compared: found.compared,
            total: found.total,
            repaired: found.repaired,
            differences: found.differences.into_iter().map(DifferenceReply::from).collect(),
        }
    }
}

impl From<Difference> for DifferenceReply {
    fn from(difference: Difference) -> Self {
        let kind = match difference.kind {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Unequal => "unequal",
            DifferenceKind::Unknown => "unknown",
            DifferenceKind::Lost => "lost",
        };
        Self {
            id: difference.id.to_string(),
            s3_uri: difference.uri.map(|uri| uri.to_string()),
            kind: kind.to_owned(),
            stores: difference.stores.into_iter().map(str::to_owned).collect(),
            repaired: difference.repaired,
        }
    }
}
