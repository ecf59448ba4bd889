//! The shared state of the services, and the checks of every call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use qdrant_client::qdrant::PointStruct;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::collection::Collection;
use super::{Limits, ServerFault};

/// The content of the server.
pub(super) struct State {
    key: String,
    /// `None` if a proxy hides it.
    pub(super) version: Mutex<Option<&'static str>>,
    pub(super) limits: Mutex<Limits>,
    /// The largest request and the largest `limit` that were answered.
    pub(super) largest: Mutex<HashMap<&'static str, usize>>,
    pub(super) failure: Mutex<ServerFault>,
    pub(super) calls: Mutex<HashMap<&'static str, usize>>,
    /// The method and the `traceparent` of each call that has one.
    pub(super) traceparents: Mutex<Vec<(&'static str, String)>>,
    pub(super) collections: RwLock<BTreeMap<String, Arc<RwLock<Collection>>>>,
    /// The name of the collection of each alias.
    pub(super) aliases: RwLock<BTreeMap<String, String>>,
}

impl State {
    pub(super) fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            version: Mutex::new(Some("1.19.0")),
            limits: Mutex::default(),
            largest: Mutex::default(),
            failure: Mutex::new(ServerFault::None),
            calls: Mutex::default(),
            traceparents: Mutex::default(),
            collections: RwLock::default(),
            aliases: RwLock::default(),
        }
    }

    /// Counts the call, checks its key, and applies the failure that a test has set. Returns whether a write is to be
    /// done.
    pub(super) async fn enter(&self, method: &'static str, metadata: &MetadataMap) -> Result<bool, Status> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(method).or_default() += 1;
        if let Some(traceparent) = metadata.get("traceparent") {
            let traceparent = traceparent.to_str().unwrap().to_owned();
            self.traceparents.lock().unwrap_or_else(PoisonError::into_inner).push((method, traceparent));
        }
        if !self.key.is_empty() && metadata.get("api-key").is_none_or(|key| key != self.key.as_str()) {
            return Err(Status::unauthenticated("Must provide an API key or an Authorization bearer token"));
        }
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            ServerFault::None | ServerFault::Refused(_) => Ok(true),
            ServerFault::WaitTimeout => Ok(false),
            ServerFault::Unavailable => Err(Status::unavailable("Service unavailable: shard 0 is not there")),
            ServerFault::Exhausted(seconds) => {
                let mut status = Status::resource_exhausted("Rate limit exceeded: Retry later");
                status.metadata_mut().insert("retry-after", seconds.into());
                Err(status)
            }
            ServerFault::Full => {
                let mut status = Status::resource_exhausted("No space left on device");
                status.metadata_mut().insert("qdrant-insufficient-storage", "true".parse().unwrap());
                Err(status)
            }
            ServerFault::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(true)
            }
        }
    }

    /// Whether it stores metadata of collections: not before 1.16, even if the version is hidden.
    pub(super) fn keeps_metadata(&self) -> bool {
        let old = |version: &str| version.starts_with("1.15") || version.starts_with("1.9");
        !self.limits.lock().unwrap_or_else(PoisonError::into_inner).no_metadata
            && !self.version.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(old)
    }

    /// Refuses a value above a limit of strict mode, with the text of 1.19.
    pub(super) fn within(&self, name: &'static str, value: usize, most: Option<usize>) -> Result<(), Status> {
        if let Some(most) = most.filter(|most| value > *most) {
            return Err(self.strict(&format!(
                "Limit exceeded {value} > {most} for \"{name}\". Help: Reduce the \"{name}\" parameter to or below {most}."
            )));
        }
        let mut largest = self.largest.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = largest.entry(name).or_default();
        *largest = value.max(*largest);
        Ok(())
    }

    /// An error of strict mode. It was `PermissionDenied` in the first versions.
    pub(super) fn strict(&self, message: &str) -> Status {
        if self.limits.lock().unwrap_or_else(PoisonError::into_inner).forbids {
            Status::permission_denied(format!("Forbidden: {message}"))
        } else {
            Status::invalid_argument(format!("Bad request: {message}"))
        }
    }

    /// Refuses the points if one of them is to be refused.
    pub(super) fn accept(&self, points: &[PointStruct]) -> Result<(), Status> {
        let ServerFault::Refused(key) = *self.failure.lock().unwrap_or_else(PoisonError::into_inner) else {
            return Ok(());
        };
        if points.iter().any(|point| point.payload.get("s3_key") == Some(&key.into())) {
            return Err(Status::invalid_argument("Wrong input: Payload is too large"));
        }
        Ok(())
    }

    pub(super) fn collection(&self, name: &str) -> Result<Arc<RwLock<Collection>>, Status> {
        let alias = self.aliases.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let name = alias.as_deref().unwrap_or(name);
        let found = self.collections.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        found.ok_or_else(|| Status::not_found(format!("Not found: Collection `{name}` doesn't exist!")))
    }
}

/// Methods that no index calls, in the form that `async_trait` gives to a method.
macro_rules! unknown {
    ($($method:ident($request:ident) -> $reply:ident;)*) => {$(
        fn $method<'a, 'b>(
            &'a self,
            _: tonic::Request<qdrant_client::qdrant::$request>,
        ) -> futures::future::BoxFuture<'b, Result<tonic::Response<qdrant_client::qdrant::$reply>, tonic::Status>>
        where
            'a: 'b,
            Self: 'b,
        {
            let message = concat!("the Qdrant of the tests does not know `", stringify!($method), "`");
            Box::pin(async move { Err(tonic::Status::unimplemented(message)) })
        }
    )*};
}
pub(super) use unknown;
