//! The access rules for a server that allows some operations without a signature.

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

/// Allows requests without a signature to list and read objects. All other operations need a signature.
pub(super) struct PublicRead;

/// The operations that do not need a signature.
const PUBLIC_OPERATIONS: [&str; 4] = ["GetObject", "HeadObject", "ListObjects", "ListObjectsV2"];

#[async_trait::async_trait]
impl S3Access for PublicRead {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_some() || PUBLIC_OPERATIONS.contains(&context.s3_op().name()) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Signature is required"))
    }
}
