//! An S3 server inside the process, over real HTTP with real signatures: what the demo, the tests and whoever
//! has no S3 of their own use, by the same client and the same path as Amazon's. Its catalogue is a SQLite
//! file, its objects' bytes are files; every key comes back as it went in.

mod access;
mod catalogue;
mod checksums;
mod files;
mod listing;
mod objects;
mod operations;
mod pages;
mod secrets;
mod server;
mod uploads;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::catalogue::Catalogue;
use self::files::Files;
use self::objects::Backend;
use super::S3Credentials;
use crate::sqlite::SqliteError;

/// Where the embedded server keeps its data and listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedS3Settings {
    /// Its folder, below the data folder; made if missing. One server a folder at a time.
    pub folder: PathBuf,
    /// `GLIMPSE_S3_ADDR` (`127.0.0.1:9100`); port 0 takes any free one.
    pub addr: SocketAddr,
    /// Whether an address that other machines can reach is allowed (`GLIMPSE_S3_ALLOW_REMOTE`, `false`).
    pub allow_remote: bool,
    /// `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` (unset): else a pair is made once and kept in the folder.
    pub credentials: Option<S3Credentials>,
    /// Whether objects may be listed and read by requests that are not signed (`false`); for tests of clients that do not sign.
    pub public_read: bool,
    /// The bucket that is there from the start: `S3_BUCKET` (`pipeline`).
    pub bucket: String,
    /// The largest object that is taken, in bytes.
    pub max_object_bytes: u64,
    /// Whether each object is forced to the disk before the reply (`true`), so that a loss of power cannot leave
    /// one without its bytes. Costs some 4 ms each on a virtual disk; tests do without.
    pub durable: bool,
}

impl EmbeddedS3Settings {
    /// The defaults, in this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9100),
            allow_remote: false,
            credentials: None,
            public_read: false,
            bucket: "pipeline".to_owned(),
            // What Amazon's own takes in one request.
            max_object_bytes: 5 << 30,
            durable: true,
        }
    }
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedS3Error {
    /// Other machines could reach it.
    #[error(
        "the embedded S3 server would listen on {0}, which other machines can reach: set GLIMPSE_S3_ADDR to a loopback address"
    )]
    Remote(SocketAddr),
    /// Somebody else listens there.
    #[error("the embedded S3 server cannot listen on {0}, the address is in use: set GLIMPSE_S3_ADDR to another")]
    AddressInUse(SocketAddr),
    /// Listening failed for another reason.
    #[error("the embedded S3 server cannot listen on {addr} (GLIMPSE_S3_ADDR)")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The name cannot be a bucket's.
    #[error("`{0}` cannot be the name of a bucket: 3 to 63 of a-z, 0-9, `-` and `.` (S3_BUCKET)")]
    BucketName(String),
    /// The folder cannot be used.
    #[error("the embedded S3 server cannot use its folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The catalogue cannot be used.
    #[error(transparent)]
    Catalogue(#[from] SqliteError),
}

/// A running server. Dropping it tells it to stop; [`stop`](Self::stop) also waits until it has.
#[derive(Debug)]
pub struct EmbeddedS3 {
    addr: SocketAddr,
    credentials: S3Credentials,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl EmbeddedS3 {
    /// Starts the server: it listens when this returns, and stops when `shutdown` is cancelled.
    ///
    /// # Errors
    /// [`EmbeddedS3Error`] where the address or the folder cannot be used.
    pub async fn start(settings: EmbeddedS3Settings, shutdown: &CancellationToken) -> Result<Self, EmbeddedS3Error> {
        let EmbeddedS3Settings { folder, addr, allow_remote, credentials, public_read, bucket, .. } = settings;
        let EmbeddedS3Settings { max_object_bytes, durable, .. } = settings;
        if !allow_remote && !addr.ip().is_loopback() {
            return Err(EmbeddedS3Error::Remote(addr));
        }
        if !s3s::path::check_bucket_name(&bucket) {
            return Err(EmbeddedS3Error::BucketName(bucket));
        }
        // The address first: whoever fails here has touched no file.
        let listener = TcpListener::bind(addr).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => EmbeddedS3Error::AddressInUse(addr),
            _ => EmbeddedS3Error::Listen { addr, source },
        })?;
        let addr = listener.local_addr().map_err(|source| EmbeddedS3Error::Listen { addr, source })?;
        let unusable = |source| EmbeddedS3Error::Folder { folder: folder.clone(), source };
        let files = Files::open(&folder.join("objects"), durable).map_err(unusable)?;
        let credentials = match credentials {
            Some(pair) => pair,
            None => secrets::stored_or_new(&folder).map_err(unusable)?,
        };
        let catalogue = Catalogue::open(&folder.join("catalogue.sqlite"), files.clone())?;
        catalogue.create_bucket(bucket).await?;

        let mut service =
            S3ServiceBuilder::new(Backend { catalogue, files, max_object_bytes, uploads: Arc::default() });
        let S3Credentials { access_key_id, secret_access_key } = credentials.clone();
        service.set_auth(SimpleAuth::from_single(access_key_id, secret_access_key));
        if public_read {
            service.set_access(access::PublicRead);
        }
        let (tasks, shutdown) = (TaskTracker::new(), shutdown.child_token());
        tasks.spawn(server::serve(listener, service.build(), shutdown.clone()));
        tasks.close();
        let stop_on_drop = shutdown.clone().drop_guard();
        Ok(Self { addr, credentials, tasks, shutdown, _stop_on_drop: stop_on_drop })
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The pair that it asks for.
    pub fn credentials(&self) -> &S3Credentials {
        &self.credentials
    }

    /// The pair that a server in this folder made, for a client beside it; `None` if none ever did.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn stored_credentials(folder: &Path) -> io::Result<Option<S3Credentials>> {
        secrets::stored(folder)
    }

    /// Stops: no new connections, what is under way gets a moment to finish.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }

    /// Waits until it has stopped, without a hold on it.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }

    /// Waits until it has stopped, for whoever cancelled the token.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}
