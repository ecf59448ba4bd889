//! Collections as classes, over REST: finds, creates and removes them.

use reqwest::{Method, StatusCode};

use super::class::{Class, Classes, Kept, new_class};
use super::error::{failed, parse_reply};
use super::rest::Rest;
use crate::domain::{CollectionName, FailureKind, Space};
use crate::index::{Ensured, IndexError};

/// The maximum bytes of a class. With its description it has some tens of kilobytes.
const CLASS_BYTES: usize = 4 << 20;
/// The maximum bytes of all classes of a server.
const CLASSES_BYTES: usize = 64 << 20;
/// The maximum bytes of replies whose content is not read.
const OTHER_REPLY_BYTES: usize = 1 << 20;

/// What exists under the class name of a collection.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// This collection.
    Own(Kept),
    /// Another collection of Glimpse whose class has the same name.
    Twin(CollectionName),
    /// A class that Glimpse did not create or can no longer use, with the reason.
    Foreign(String),
}

impl Found {
    /// Returns the name and the space of `collection`. Fails if the class is missing, or belongs to another collection
    /// or application.
    pub(super) fn known(self, collection: &CollectionName) -> Result<Kept, IndexError> {
        match self {
            Self::Own(kept) => Ok(kept),
            Self::Nothing | Self::Twin(_) => Err(IndexError::UnknownCollection(collection.clone())),
            Self::Foreign(why) => Err(failed(FailureKind::Refused, why)),
        }
    }
}

fn classify(class: Class, collection: &CollectionName) -> Found {
    match class.kept() {
        Ok(kept) if kept.collection == *collection => Found::Own(kept),
        Ok(kept) => Found::Twin(kept.collection),
        Err(why) => Found::Foreign(why),
    }
}

/// Finds the class of a collection.
pub(super) async fn find(rest: &Rest, collection: &CollectionName) -> Result<Found, IndexError> {
    let path = ["schema", &collection.weaviate_class()];
    match rest.call(Method::GET, &path, CLASS_BYTES).await {
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => Ok(Found::Nothing),
        reply => Ok(classify(parse_reply(&reply?)?, collection)),
    }
}

/// Returns every collection of Glimpse. Classes of other applications are left out.
pub(super) async fn all(rest: &Rest) -> Result<Vec<Kept>, IndexError> {
    let classes = classes(rest).await?;
    Ok(classes.into_iter().filter_map(|class| class.kept().ok()).collect())
}

async fn classes(rest: &Rest) -> Result<Vec<Class>, IndexError> {
    Ok(parse_reply::<Classes>(&rest.call(Method::GET, &["schema"], CLASSES_BYTES).await?)?.classes)
}

/// Creates the class of a collection, or compares the existing one with `space`.
pub(super) async fn ensure(rest: &Rest, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
    if let Some(existed) = check_existing(find(rest, collection).await?, collection, space)? {
        return Ok(existed);
    }
    let body = new_class(collection, space).map_err(|error| failed(FailureKind::Failed, error.to_string()))?;
    let refusal = match rest.post(&["schema"], body, CLASS_BYTES).await {
        Ok(_) => return Ok(Ensured::Created),
        Err(error) if error.status == Some(StatusCode::UNPROCESSABLE_ENTITY) => error,
        Err(error) => return Err(error.into()),
    };
    // Another caller has created the class in the meantime, or a class exists whose name differs only in case, or the
    // server refuses the class for another reason.
    if let Some(existed) = check_existing(find(rest, collection).await?, collection, space)? {
        return Ok(existed);
    }
    let name = collection.weaviate_class();
    let similar = classes(rest).await?.into_iter().find(|class| class.name.eq_ignore_ascii_case(&name));
    match similar.map(Class::kept) {
        Some(Ok(kept)) => Err(IndexError::NameTaken { wanted: collection.clone(), existing: kept.collection }),
        Some(Err(why)) => Err(failed(FailureKind::Refused, why)),
        None => Err(refusal.into()),
    }
}

fn check_existing(found: Found, collection: &CollectionName, space: &Space) -> Result<Option<Ensured>, IndexError> {
    match found {
        Found::Nothing => Ok(None),
        Found::Own(kept) => {
            kept.space.admits(space)?;
            Ok(Some(Ensured::Existed))
        }
        Found::Twin(existing) => Err(IndexError::NameTaken { wanted: collection.clone(), existing }),
        Found::Foreign(why) => Err(failed(FailureKind::Refused, why)),
    }
}

/// Removes the class of a collection and its content.
pub(super) async fn remove(rest: &Rest, collection: &CollectionName) -> Result<(), IndexError> {
    find(rest, collection).await?.known(collection)?;
    let path = ["schema", &collection.weaviate_class()];
    match rest.call(Method::DELETE, &path, OTHER_REPLY_BYTES).await {
        Ok(_) => Ok(()),
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => {
            Err(IndexError::UnknownCollection(collection.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that the server is ready and accepts the key.
pub(super) async fn ready(rest: &Rest) -> Result<(), IndexError> {
    rest.call(Method::GET, &[".well-known", "ready"], OTHER_REPLY_BYTES).await?;
    rest.call(Method::GET, &["meta"], OTHER_REPLY_BYTES).await?;
    Ok(())
}
