//! An S3 server inside the process, with real HTTP and real signatures. The demo, the tests and users without their own
//! S3 service use it, with the same client and the same code path as for Amazon S3. Its catalogue is a SQLite file, and
//! each object is a file. Keys are stored unchanged.

mod access;
mod catalogue;
mod checksums;
mod files;
mod kept;
mod listing;
mod multipart_uploads;
mod objects;
mod operations;
mod pages;
mod pin;
mod secrets;
mod server;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::catalogue::Catalogue;
use self::files::Files;
use self::objects::Backend;
pub use self::pin::BucketPin;
use super::S3Credentials;
use crate::lock::lock;
use crate::sqlite::SqliteError;

/// The settings of the embedded server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedS3Settings {
    /// The folder of the server, below the data folder. It is created if it does not exist. Only one server can use a
    /// folder at a time.
    pub folder: PathBuf,
    /// The address to listen on: `GLIMPSE_S3_ADDR` (`127.0.0.1:9100`). Port 0 selects any free port.
    pub addr: SocketAddr,
    /// Whether an address that other machines can reach is allowed (`GLIMPSE_S3_ALLOW_REMOTE`, `false`).
    pub allow_remote: bool,
    /// `S3_ACCESS_KEY_ID` and `S3_SECRET_ACCESS_KEY`. If they are not set (default), the server creates a pair once and
    /// keeps it in the folder.
    pub credentials: Option<S3Credentials>,
    /// Whether requests without a signature can list and read objects (`false`). This is for tests of clients that do
    /// not sign.
    pub public_read: bool,
    /// The bucket that the server creates at its start: `S3_BUCKET` (`pipeline`).
    pub bucket: String,
    /// Maximum size of an object in bytes.
    pub max_object_bytes: u64,
    /// Whether each object is flushed to the disk before the reply (`true`), so that no object can lose its bytes in a
    /// power failure. This takes approximately 4 ms per object on a virtual disk; tests disable it.
    pub durable: bool,
}

impl EmbeddedS3Settings {
    /// Returns the default settings with this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9100),
            allow_remote: false,
            credentials: None,
            public_read: false,
            bucket: "pipeline".to_owned(),
            // The limit of Amazon S3 for one request.
            max_object_bytes: 5 << 30,
            durable: true,
        }
    }
}

/// The reason why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedS3Error {
    /// Other machines could reach the address, and this is not allowed.
    #[error(
        "the embedded S3 server would listen on {0}, which other machines can reach: set \
         GLIMPSE_S3_ADDR to a loopback address, or GLIMPSE_S3_ALLOW_REMOTE to true"
    )]
    Remote(SocketAddr),
    /// Another process listens on the address.
    #[error(
        "the embedded S3 server cannot listen on {0} because the address is in use: set GLIMPSE_S3_ADDR \
         to another address"
    )]
    AddressInUse(SocketAddr),
    /// Listening failed for another reason.
    #[error("the embedded S3 server cannot listen on {addr} (GLIMPSE_S3_ADDR)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The bucket name is not valid.
    #[error("`{0}` is not a valid bucket name: use 3 to 63 characters of a-z, 0-9, `-` and `.` (S3_BUCKET)")]
    BucketName(String),
    /// The folder cannot be used.
    #[error("the embedded S3 server cannot use its folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The catalogue cannot be used.
    #[error(transparent)]
    Catalogue(#[from] SqliteError),
}

/// A running server. A drop signals it to stop; [`stop`](Self::stop) also waits until it has stopped.
#[derive(Debug)]
pub struct EmbeddedS3 {
    addr: SocketAddr,
    credentials: S3Credentials,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    pin: BucketPin,
    refusal: Arc<Mutex<Option<String>>>,
    _stop_on_drop: DropGuard,
}

impl EmbeddedS3 {
    /// Starts the server. When this returns, the server listens. It stops when `shutdown` is cancelled.
    ///
    /// # Errors
    /// Returns an [`EmbeddedS3Error`] if the settings are not valid, or if the address or the folder cannot be used.
    pub async fn start(settings: EmbeddedS3Settings, shutdown: &CancellationToken) -> Result<Self, EmbeddedS3Error> {
        let EmbeddedS3Settings { folder, addr, allow_remote, credentials, public_read, bucket, .. } = settings;
        let EmbeddedS3Settings { max_object_bytes, durable, .. } = settings;
        if !allow_remote && !addr.ip().is_loopback() {
            return Err(EmbeddedS3Error::Remote(addr));
        }
        if !s3s::path::check_bucket_name(&bucket) {
            return Err(EmbeddedS3Error::BucketName(bucket));
        }
        // The address comes first, so that a failure here does not change any file.
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
        let pin = BucketPin::new(catalogue.clone(), files.clone(), folder);
        let refusal: Arc<Mutex<Option<String>>> = Arc::default();

        let mut service = S3ServiceBuilder::new(Backend {
            catalogue,
            files,
            max_object_bytes,
            uploads: Arc::default(),
            refusal: refusal.clone(),
        });
        let S3Credentials { access_key_id, secret_access_key } = credentials.clone();
        service.set_auth(SimpleAuth::from_single(access_key_id, secret_access_key));
        if public_read {
            service.set_access(access::PublicRead);
        }
        let (tasks, shutdown) = (TaskTracker::new(), shutdown.child_token());
        tasks.spawn(server::serve(listener, service.build(), shutdown.clone()));
        tasks.close();
        let stop_on_drop = shutdown.clone().drop_guard();
        Ok(Self { addr, credentials, tasks, shutdown, pin, refusal, _stop_on_drop: stop_on_drop })
    }

    /// Returns a function that refuses the storage of objects for a reason, or allows it again with `None`. Reading and deleting
    /// go on.
    pub fn storage_switch(&self) -> impl Fn(Option<String>) + Send + Sync + 'static + use<> {
        let refusal = self.refusal.clone();
        move |reason| *lock(&refusal) = reason
    }

    /// Returns the URL of the server.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the address on which the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the credentials that clients must use.
    pub fn credentials(&self) -> &S3Credentials {
        &self.credentials
    }

    /// Returns the credentials that a server created in this folder, or `None` if there are none. A client on the same
    /// machine can use them.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn stored_credentials(folder: &Path) -> io::Result<Option<S3Credentials>> {
        secrets::stored(folder)
    }

    /// Stops the server. It accepts no new connections, and the requests in progress have a short time to finish.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }

    /// Returns a future that waits until the server has stopped. The future does not borrow the server.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }

    /// Waits until the server has stopped, after a caller has cancelled the token.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}
