//! Who may do what, if not everything needs a signature.

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};

/// Everyone may list and read; anything else needs a signature.
pub(super) struct PublicRead;

/// Operations that everyone may do.
const PUBLIC: [&str; 4] = ["GetObject", "HeadObject", "ListObjects", "ListObjectsV2"];

#[async_trait::async_trait]
impl S3Access for PublicRead {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_some() || PUBLIC.contains(&context.s3_op().name()) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Signature is required"))
    }
}
