//! Collections as classes, over REST: finds, creates and removes them.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::collection::{Class, Classes, StoredCollection, new_class};
use super::error::{failed, parse_reply};
use crate::domain::{CollectionName, FailureKind, Space};
use crate::http::RestClient;
use crate::index::{EnsureOutcome, IndexError, Quantization};

/// The maximum bytes of a class. With its description it has some tens of kilobytes.
const MAX_CLASS_BYTES: usize = 4 << 20;
/// The maximum bytes of all classes of a server.
const MAX_CLASSES_BYTES: usize = 64 << 20;
/// The value of `ef` for which the server chooses it from the limit of a search: at least 100, usually.
const DYNAMIC_EF: i64 = -1;
/// The maximum bytes of replies whose content is not read.
const MAX_OTHER_REPLY_BYTES: usize = 1 << 20;

/// What exists under the class name of a collection.
#[derive(Debug)]
pub(super) enum FoundClass {
    Missing,
    /// This collection, and the declarations of the properties that its class lacks.
    Own(StoredCollection, Vec<Value>),
    /// Another collection of Glimpse whose class has the same name.
    NameConflict(CollectionName),
    /// A class that Glimpse did not create or can no longer use, with the reason.
    Unusable(String),
}

impl FoundClass {
    /// Returns the name and the space of `collection`. Fails if the class is missing, or belongs to another collection
    /// or application.
    pub(super) fn require_own(self, collection: &CollectionName) -> Result<StoredCollection, IndexError> {
        match self {
            Self::Own(stored, _) => Ok(stored),
            Self::Missing | Self::NameConflict(_) => Err(IndexError::UnknownCollection(collection.clone())),
            Self::Unusable(reason) => Err(failed(FailureKind::Refused, reason)),
        }
    }
}

fn classify(class: &Class, collection: &CollectionName) -> FoundClass {
    match class.stored_collection() {
        Ok(stored) if stored.collection == *collection => FoundClass::Own(stored, class.missing_properties()),
        Ok(stored) => FoundClass::NameConflict(stored.collection),
        Err(reason) => FoundClass::Unusable(reason),
    }
}

/// Finds the class of a collection.
pub(super) async fn find(rest: &RestClient, collection: &CollectionName) -> Result<FoundClass, IndexError> {
    let class = collection.weaviate_class();
    match rest.get(&["schema", &class], MAX_CLASS_BYTES).await {
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => Ok(FoundClass::Missing),
        reply => Ok(classify(&parse_reply(&reply?)?, collection)),
    }
}

/// Returns the number of objects from which on the server does not compare every object that matches a filter.
pub(super) async fn flat_search_cutoff(rest: &RestClient, collection: &CollectionName) -> Result<u64, IndexError> {
    Ok(class(rest, collection).await?.flat_search_cutoff())
}

async fn class(rest: &RestClient, collection: &CollectionName) -> Result<Class, IndexError> {
    let name = collection.weaviate_class();
    parse_reply(&rest.get(&["schema", &name], MAX_CLASS_BYTES).await?)
}

/// Sets `ef` of the class, the effort of every search in it; `None` for the default, which depends on the limit of the
/// search. The server replaces the class by the request, so the request has everything that the class has.
pub(super) async fn set_ef(rest: &RestClient, collection: &CollectionName, ef: Option<u32>) -> Result<(), IndexError> {
    let name = collection.weaviate_class();
    let body = rest.get(&["schema", &name], MAX_CLASS_BYTES).await?;
    classify(&parse_reply(&body)?, collection).require_own(collection)?;
    let mut class: Value = parse_reply(&body)?;
    let wanted = ef.map_or(DYNAMIC_EF, i64::from);
    let Some(ef) = class.pointer_mut("/vectorIndexConfig/ef").filter(|ef| **ef != wanted) else { return Ok(()) };
    *ef = wanted.into();
    let request = rest.request(Method::PUT, &["schema", &name]).json(&class);
    rest.send(request, MAX_CLASS_BYTES).await?;
    Ok(())
}

/// Returns every collection of Glimpse. Classes of other applications are left out.
pub(super) async fn own_collections(rest: &RestClient) -> Result<Vec<StoredCollection>, IndexError> {
    let classes = classes(rest).await?;
    Ok(classes.into_iter().filter_map(|class| class.stored_collection().ok()).collect())
}

async fn classes(rest: &RestClient) -> Result<Vec<Class>, IndexError> {
    Ok(parse_reply::<Classes>(&rest.get(&["schema"], MAX_CLASSES_BYTES).await?)?.classes)
}

/// Creates the class of a collection, or compares the existing one with `space` and adds missing properties.
pub(super) async fn ensure(
    rest: &RestClient,
    collection: &CollectionName,
    space: &Space,
    quantization: Quantization,
) -> Result<EnsureOutcome, IndexError> {
    if let Some(existed) = check_existing(rest, collection, space).await? {
        let existing = class(rest, collection).await?.quantization();
        if existing != quantization {
            tracing::info!(%collection, ?existing, setting = ?quantization, "a class in Weaviate is left as it was created");
        }
        return Ok(existed);
    }
    let body =
        new_class(collection, space, quantization).map_err(|error| failed(FailureKind::Failed, error.to_string()))?;
    let refusal = match rest.post(&["schema"], body.into(), MAX_CLASS_BYTES).await {
        Ok(_) => return Ok(EnsureOutcome::Created),
        Err(error) if error.status == Some(StatusCode::UNPROCESSABLE_ENTITY) => error,
        Err(error) => return Err(error.into()),
    };
    // Another caller has created the class in the meantime, or a class exists whose name differs only in case, or the
    // server refuses the class for another reason.
    if let Some(existed) = check_existing(rest, collection, space).await? {
        return Ok(existed);
    }
    let name = collection.weaviate_class();
    let similar = classes(rest).await?.into_iter().find(|class| class.name.eq_ignore_ascii_case(&name));
    match similar.as_ref().map(Class::stored_collection) {
        Some(Ok(stored)) => Err(IndexError::NameTaken { wanted: collection.clone(), existing: stored.collection }),
        Some(Err(reason)) => Err(failed(FailureKind::Refused, reason)),
        None => Err(refusal.into()),
    }
}

/// Compares the existing class with `space`, and adds the properties that it lacks.
async fn check_existing(
    rest: &RestClient,
    collection: &CollectionName,
    space: &Space,
) -> Result<Option<EnsureOutcome>, IndexError> {
    match find(rest, collection).await? {
        FoundClass::Missing => Ok(None),
        FoundClass::Own(stored, missing) => {
            stored.space.admits(space)?;
            add_properties(rest, collection, missing).await?;
            Ok(Some(EnsureOutcome::Existed))
        }
        FoundClass::NameConflict(existing) => Err(IndexError::NameTaken { wanted: collection.clone(), existing }),
        FoundClass::Unusable(reason) => Err(failed(FailureKind::Refused, reason)),
    }
}

/// Returns the name and the space of `collection` before a write. Adds the properties that its class lacks: auto-schema
/// would add them with other types.
pub(super) async fn writable(rest: &RestClient, collection: &CollectionName) -> Result<StoredCollection, IndexError> {
    match find(rest, collection).await? {
        FoundClass::Own(stored, missing) => {
            add_properties(rest, collection, missing).await?;
            Ok(stored)
        }
        other => other.require_own(collection),
    }
}

/// Does the same before a read. A filter or an order by facts of EXIF fails if the class does not have their properties: then
/// those that it lacks are added.
pub(super) async fn readable(
    rest: &RestClient,
    collection: &CollectionName,
    uses_exif: bool,
) -> Result<StoredCollection, IndexError> {
    if uses_exif { writable(rest, collection).await } else { find(rest, collection).await?.require_own(collection) }
}

async fn add_properties(rest: &RestClient, collection: &CollectionName, missing: Vec<Value>) -> Result<(), IndexError> {
    let class = collection.weaviate_class();
    for property in missing {
        let added = rest.post(&["schema", &class, "properties"], property.to_string().into(), MAX_CLASS_BYTES).await;
        let Err(error) = added else { continue };
        // Another caller may have added it in the meantime.
        let exists = match find(rest, collection).await? {
            FoundClass::Own(_, missing) => !missing.contains(&property),
            FoundClass::Missing => return Err(IndexError::UnknownCollection(collection.clone())),
            FoundClass::NameConflict(_) | FoundClass::Unusable(_) => false,
        };
        if !exists {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Makes `DocumentsImagesCurrent` an alias of the class of a collection, or lets the existing alias name this class.
pub(super) async fn set_alias(
    rest: &RestClient,
    alias_of: &CollectionName,
    physical: &CollectionName,
) -> Result<(), IndexError> {
    find(rest, physical).await?.require_own(physical)?;
    let (alias, class) = (format!("{}Current", alias_of.weaviate_class()), physical.weaviate_class());
    let request = rest.request(Method::PUT, &["aliases", &alias]).json(&json!({ "class": class }));
    match rest.send(request, MAX_OTHER_REPLY_BYTES).await {
        Ok(_) => Ok(()),
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => {
            let body = json!({ "alias": alias, "class": class }).to_string();
            rest.post(&["aliases"], body.into(), MAX_OTHER_REPLY_BYTES).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The end of the names of the aliases that [`set_alias`] makes.
const ALIAS_SUFFIX: &str = "ImagesCurrent";

/// Removes the aliases that [`set_alias`] has made for a class: the server keeps those of a class that is removed. A server before
/// 1.32 has none.
async fn remove_aliases(rest: &RestClient, class: &str) -> Result<(), IndexError> {
    #[derive(Deserialize)]
    struct Aliases {
        aliases: Vec<Alias>,
    }
    #[derive(Deserialize)]
    struct Alias {
        alias: String,
    }
    let request = rest.request(Method::GET, &["aliases"]).query(&[("class", class)]);
    let found = match rest.send(request, MAX_OTHER_REPLY_BYTES).await {
        Ok(reply) => parse_reply::<Aliases>(&reply)?,
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for Alias { alias } in found.aliases.iter().filter(|alias| alias.alias.ends_with(ALIAS_SUFFIX)) {
        match rest.send(rest.request(Method::DELETE, &["aliases", alias]), MAX_OTHER_REPLY_BYTES).await {
            Err(error) if error.status != Some(StatusCode::NOT_FOUND) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes the class of a collection, its content and its aliases.
pub(super) async fn remove(rest: &RestClient, collection: &CollectionName) -> Result<(), IndexError> {
    find(rest, collection).await?.require_own(collection)?;
    let class = collection.weaviate_class();
    remove_aliases(rest, &class).await?;
    match rest.send(rest.request(Method::DELETE, &["schema", &class]), MAX_OTHER_REPLY_BYTES).await {
        Ok(_) => Ok(()),
        Err(error) if error.status == Some(StatusCode::NOT_FOUND) => {
            Err(IndexError::UnknownCollection(collection.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that the server is ready and accepts the key.
pub(super) async fn ready(rest: &RestClient) -> Result<(), IndexError> {
    rest.get(&[".well-known", "ready"], MAX_OTHER_REPLY_BYTES).await?;
    rest.get(&["meta"], MAX_OTHER_REPLY_BYTES).await?;
    Ok(())
}
