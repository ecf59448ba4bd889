//! Collections as classes, by REST: looked up, made, removed.

use reqwest::{Method, StatusCode};

use super::class::{Class, Classes, Kept, new_class};
use super::error::failed;
use super::rest::{Rest, parsed};
use crate::domain::{CollectionName, Space, Trouble};
use crate::index::{Ensured, IndexError};

/// A class with its description is some tens of kilobytes.
const CLASS_BYTES: usize = 4 << 20;
/// All of a server's.
const CLASSES_BYTES: usize = 64 << 20;
/// Of replies that are not looked at.
const ANY_BYTES: usize = 1 << 20;

/// What there is under a collection's class name.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// This collection.
    JobStance(Kept),
    /// Another collection of ours whose class has the same name.
    Twin(CollectionName),
    /// What we did not make, or cannot use any more; and why.
    Foreign(String),
}

impl Found {
    /// What is kept with `collection`, where a class of anybody else's is in the way or none is there.
    pub(super) fn known(self, collection: &CollectionName) -> Result<Kept, IndexError> {
        match self {
            Self::JobStance(kept) => Ok(kept),
            Self::Nothing | Self::Twin(_) => Err(IndexError::UnknownCollection(collection.clone())),
            Self::Foreign(why) => Err(failed(Trouble::Refused, why)),
        }
    }
}

fn sorted_out(class: Class, collection: &CollectionName) -> Found {
    match class.kept() {
        Ok(kept) if kept.collection == *collection => Found::JobStance(kept),
        Ok(kept) => Found::Twin(kept.collection),
        Err(why) => Found::Foreign(why),
    }
}

/// Looks the collection's class up.
pub(super) async fn find(rest: &Rest, collection: &CollectionName) -> Result<Found, IndexError> {
    let path = ["schema", &collection.weaviate_class()];
    let reply = rest.call(Method::GET, &path, None, CLASS_BYTES).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(Found::Nothing);
    }
    Ok(sorted_out(parsed(&reply.body?)?, collection))
}

/// Every collection of ours; classes of others are left out.
pub(super) async fn all(rest: &Rest) -> Result<Vec<Kept>, IndexError> {
    let classes = classes(rest).await?;
    Ok(classes.into_iter().filter_map(|class| class.kept().ok()).collect())
}

async fn classes(rest: &Rest) -> Result<Vec<Class>, IndexError> {
    let reply = rest.call(Method::GET, &["schema"], None, CLASSES_BYTES).await?;
    Ok(parsed::<Classes>(&reply.body?)?.classes)
}

/// Makes the collection's class, or holds the one that is there against `space`.
pub(super) async fn ensure(rest: &Rest, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
    if let Some(existed) = compared(find(rest, collection).await?, collection, space)? {
        return Ok(existed);
    }
    let body = new_class(collection, space).map_err(|error| failed(Trouble::Failed, error.to_string()))?;
    let reply = rest.call(Method::POST, &["schema"], Some(body), CLASS_BYTES).await?;
    if reply.status != StatusCode::UNPROCESSABLE_ENTITY {
        return reply.body.map(|_| Ensured::Created);
    }
    // Somebody was quicker; or a class is there whose name differs in case alone; or it says why not.
    if let Some(existed) = compared(find(rest, collection).await?, collection, space)? {
        return Ok(existed);
    }
    let name = collection.weaviate_class();
    let similar = classes(rest).await?.into_iter().find(|class| class.name.eq_ignore_ascii_case(&name));
    match similar.map(Class::kept) {
        Some(Ok(kept)) => Err(IndexError::NameTaken { wanted: collection.clone(), existing: kept.collection }),
        Some(Err(why)) => Err(failed(Trouble::Refused, why)),
        None => reply.body.map(|_| Ensured::Created),
    }
}

fn compared(found: Found, collection: &CollectionName, space: &Space) -> Result<Option<Ensured>, IndexError> {
    match found {
        Found::Nothing => Ok(None),
        Found::JobStance(kept) => {
            kept.space.admits(space)?;
            Ok(Some(Ensured::Existed))
        }
        Found::Twin(existing) => Err(IndexError::NameTaken { wanted: collection.clone(), existing }),
        Found::Foreign(why) => Err(failed(Trouble::Refused, why)),
    }
}

/// Removes the collection's class, and all in it.
pub(super) async fn remove(rest: &Rest, collection: &CollectionName) -> Result<(), IndexError> {
    find(rest, collection).await?.known(collection)?;
    let path = ["schema", &collection.weaviate_class()];
    let reply = rest.call(Method::DELETE, &path, None, ANY_BYTES).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Err(IndexError::UnknownCollection(collection.clone()));
    }
    reply.body.map(drop)
}

/// Whether it is ready, and takes our key.
pub(super) async fn ready(rest: &Rest) -> Result<(), IndexError> {
    rest.call(Method::GET, &[".well-known", "ready"], None, ANY_BYTES).await?.body?;
    rest.call(Method::GET, &["meta"], None, ANY_BYTES).await?.body.map(drop)
}
