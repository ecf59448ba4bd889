//! Builds each part of the service from its settings.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::BuildError;
use crate::api::AccessLog;
use crate::archive::{DONE_FOLDER, PART_FOLDER};
use crate::config::Settings;
use crate::domain::InvalidSetting;
use crate::images::{Originals, Thumbnails};
use crate::owner_only;
use crate::resilience::{Breaker, BreakerSettings, Guard, WaitList};
use crate::source::{
    EmbeddedS3, EmbeddedS3Settings, GuardedSource, ImageSource, S3Credentials, S3Endpoint, S3Settings, S3Source,
};

/// The file in the data folder that the process with the folder has locked.
pub const LOCK_FILE: &str = "service.lock";

/// Creates the data folder, for its owner only, and locks it for this process. The operating system releases the lock when the
/// process ends.
pub(super) fn lock(folder: &Path) -> Result<File, BuildError> {
    let wrap = |source| BuildError::Folder { folder: folder.to_owned(), source };
    owner_only::create_folder(folder, false).map_err(wrap)?;
    let path = folder.join(LOCK_FILE);
    let opened = owner_only::create_file(&path).and_then(|()| File::options().write(true).open(&path));
    let file = opened.map_err(|source| BuildError::LockFile { file: path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BuildError::FolderInUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(wrap(error)),
    }
}

/// Locks the data folder of a service. Fails if it has an unfinished restore.
pub(super) fn lock_for_service(folder: &Path) -> Result<File, BuildError> {
    let lock = lock(folder)?;
    if folder.join(PART_FOLDER).exists() {
        return Err(BuildError::UnfinishedRestore(folder.to_owned()));
    }
    // A restore that was killed after its end leaves this.
    std::fs::remove_dir_all(folder.join(DONE_FOLDER)).ok();
    Ok(lock)
}

/// Checks whether a data folder that does not exist can be created: creates the first missing folder of its path, and
/// removes it again.
pub(super) fn check_creation(folder: &Path) -> Result<(), BuildError> {
    let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).last();
    let Some(missing) = missing else { return Ok(()) };
    std::fs::create_dir(missing).map_err(|source| BuildError::Folder { folder: folder.to_owned(), source })?;
    // A service that started at this moment may have put files into it.
    std::fs::remove_dir(missing).ok();
    Ok(())
}

/// Returns the settings of clients of the bucket, and the embedded S3 server if the bucket is in this process.
pub(super) async fn bucket(settings: &Settings) -> Result<(S3Settings, Option<EmbeddedS3>), BuildError> {
    match settings.source.s3_endpoint {
        S3Endpoint::Aws | S3Endpoint::Url(_) => Ok((s3_settings(settings), None)),
        S3Endpoint::Embedded => {
            let server = start_bucket_server(settings).await?;
            let client = S3Settings {
                endpoint: Some(server.endpoint()),
                credentials: Some(server.credentials().clone()),
                ..s3_settings(settings)
            };
            Ok((client, Some(server)))
        }
    }
}

/// How long a request of a client waits for one reply of the bucket, in all its tries.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many times a request of a client to the bucket is repeated.
const REQUEST_RETRIES: usize = 1;

/// The bucket, in the variant for each of its users. They share a breaker.
pub(super) struct Sources {
    /// Waits while the bucket is down.
    pub(super) jobs: Arc<dyn ImageSource>,
    /// Fails if the bucket is down.
    pub(super) requests: Arc<dyn ImageSource>,
}

/// Returns the bucket.
pub(super) async fn sources(
    settings: &Settings,
    client: S3Settings,
    waiting: &WaitList,
) -> Result<Sources, BuildError> {
    let breaker = Breaker::new(BreakerSettings {
        threshold: settings.source.s3_circuit_breaker_threshold,
        cool_down: settings.source.s3_circuit_breaker_timeout.duration(),
    });
    let breaker = Arc::new(breaker.with_metrics("s3"));
    let source = Arc::new(S3Source::new(client).await?);
    let background = Guard::background("s3", waiting.clone()).with_breaker(breaker.clone());
    let interactive = Guard::interactive("s3", REQUEST_RETRIES).with_breaker(breaker).with_timeout(REQUEST_TIMEOUT);
    Ok(Sources {
        jobs: Arc::new(GuardedSource::new(source.clone(), background)),
        requests: Arc::new(GuardedSource::new(source, interactive)),
    })
}

/// Returns thumbnails and originals for requests. They do not wait for a bucket that is down.
pub(super) async fn images(settings: &Settings, client: S3Settings) -> Result<(Thumbnails, Originals), BuildError> {
    let source = Arc::new(S3Source::new(client).await?);
    let folder = settings.locations.glimpse_data_dir.join("thumbnails");
    let limits = settings.imaging.limits();
    let thumbnails =
        Thumbnails::open(source.clone(), &folder, settings.images.glimpse_thumbnail_cache_mb.bytes(), limits)
            .map_err(|source| BuildError::Folder { folder, source })?;
    Ok((thumbnails, Originals::new(source, limits)))
}

/// Returns the settings of a client of the bucket.
pub(super) fn s3_settings(settings: &Settings) -> S3Settings {
    let source_settings = &settings.source;
    S3Settings {
        endpoint: match &source_settings.s3_endpoint {
            S3Endpoint::Embedded => Some(format!("http://{}", source_settings.glimpse_s3_addr)),
            S3Endpoint::Aws => None,
            S3Endpoint::Url(url) => Some(url.to_string()),
        },
        region: source_settings.s3_region.clone(),
        // A host name made of a bucket name and a loopback address does not resolve.
        path_style: source_settings.s3_path_style || source_settings.s3_endpoint == S3Endpoint::Embedded,
        credentials: credentials(settings),
        anonymous: source_settings.s3_anonymous,
        request_payer: source_settings.s3_request_payer.is_some(),
        max_bytes: settings.imaging.limits().max_bytes,
        timeout: source_settings.s3_timeout.duration(),
    }
}

fn credentials(settings: &Settings) -> Option<S3Credentials> {
    let source_settings = &settings.source;
    (!source_settings.s3_access_key_id.is_empty()).then(|| S3Credentials {
        access_key_id: source_settings.s3_access_key_id.clone(),
        secret_access_key: source_settings.s3_secret_access_key.reveal().to_owned(),
    })
}

async fn start_bucket_server(settings: &Settings) -> Result<EmbeddedS3, BuildError> {
    let source_settings = &settings.source;
    let server = EmbeddedS3Settings {
        addr: source_settings.glimpse_s3_addr,
        allow_remote: source_settings.glimpse_s3_allow_remote,
        credentials: credentials(settings),
        bucket: source_settings.s3_bucket.clone(),
        ..EmbeddedS3Settings::in_folder(bucket_folder(settings))
    };
    // A separate token, because jobs still read from the server during the drain.
    Ok(EmbeddedS3::start(server, &tokio_util::sync::CancellationToken::new()).await?)
}

/// Returns the folder in which the embedded S3 server stores its objects and its credentials.
pub(super) fn bucket_folder(settings: &Settings) -> std::path::PathBuf {
    settings.locations.glimpse_data_dir.join("s3")
}

/// Opens the access log, if there is one.
pub(super) fn access_log(settings: &Settings) -> Result<Option<AccessLog>, BuildError> {
    let target = &settings.api.glimpse_access_log;
    AccessLog::open(target).map_err(|error| {
        let path = String::from(target.clone());
        BuildError::Setting(InvalidSetting(format!("GLIMPSE_ACCESS_LOG is `{path}`, which cannot be opened: {error}")))
    })
}
