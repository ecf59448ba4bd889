//! The cursor of a page: the order, the last image of the page before, and the query of the list, as base64url of JSON.

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::BrowseError;
use crate::domain::{CollectionName, Condition, Filter, ImageId, PageStart, nearest};

const ORDERS: [&str; 4] = ["newest", "taken", "key", "random"];

/// Identifies a query: its collection, the names of its stores, and its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueryId(Uuid);

impl QueryId {
    pub(super) fn new(collection: &CollectionName, stores: &str, filter: &Filter) -> Self {
        let filter = with_sorted_values(filter.clone());
        let query = format!("{collection}\n{stores}\n{filter:?}");
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, query.as_bytes()))
    }
}

/// Returns the filter with the values of each condition in one order: their order does not change what is found.
fn with_sorted_values(mut filter: Filter) -> Filter {
    sort_values(&mut filter.formats);
    sort_values(&mut filter.folders);
    sort_values(&mut filter.cameras);
    sort_values(&mut filter.taken_months);
    filter.meta.values_mut().for_each(sort_values);
    filter
}

fn sort_values<T: Debug>(condition: &mut Condition<T>) {
    for values in [&mut condition.any_of, &mut condition.none_of] {
        values.sort_by_cached_key(|value| format!("{value:?}"));
    }
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    query: QueryId,
    start: PageStart,
}

/// Returns the start of the page that the parameters `order` and `cursor` of a request name.
pub(super) fn page_start(order: Option<&str>, cursor: Option<&str>, query: QueryId) -> Result<PageStart, BrowseError> {
    let start = match cursor {
        Some(cursor) => decode(cursor, query)?,
        None => match order.unwrap_or("newest") {
            "newest" => PageStart::Newest { after: None },
            "taken" => PageStart::Taken { after: None },
            "key" => PageStart::Key { after: None },
            "random" => PageStart::Random { first: ImageId(Uuid::new_v4()), after: None },
            other => return Err(unknown_order(other)),
        },
    };
    match order {
        Some(order) if order != start.order() => {
            let message =
                format!("is of a list with order={}, not order={order}; begin again without a cursor", start.order());
            Err(BrowseError::invalid("cursor", message))
        }
        _ => Ok(start),
    }
}

pub(super) fn encode(start: PageStart, query: QueryId) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Cursor { query, start }).unwrap_or_default())
}

fn decode(cursor: &str, query: QueryId) -> Result<PageStart, BrowseError> {
    let invalid = |message: &str| BrowseError::invalid("cursor", message.to_owned());
    let json = URL_SAFE_NO_PAD.decode(cursor).ok();
    let read = json.and_then(|json| serde_json::from_slice::<Cursor>(&json).ok());
    // Written again, it is the same only if it has no other fields.
    match read {
        Some(read) if encode(read.start.clone(), read.query) == cursor => {
            if read.query == query {
                return Ok(read.start);
            }
            let same = "send the same `collection`, `provider` and filters as for the page before";
            Err(invalid(&format!("is of a list with another query; {same}, or begin again without a cursor")))
        }
        _ => Err(invalid("must be the `next_cursor` of the page before, unchanged")),
    }
}

fn unknown_order(order: &str) -> BrowseError {
    let advice = nearest(order, ORDERS).map(|order| format!("; did you mean `{order}`?")).unwrap_or_default();
    BrowseError::invalid("order", format!("must be newest, taken, key or random, not `{order}`{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    const QUERY: QueryId = QueryId(Uuid::from_u128(1));

    #[test]
    fn a_cursor_keeps_the_order_and_the_place() {
        let id = ImageId(Uuid::from_u128(7));
        for start in [
            PageStart::Newest { after: Some((Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap(), id)) },
            PageStart::Taken { after: Some((Some(Timestamp::parse("1969-12-31T12:00:00Z").unwrap()), id)) },
            PageStart::Taken { after: Some((None, id)) },
            PageStart::Key { after: Some(("a b/ü\"\n.jpg".into(), id)) },
            PageStart::Random { first: id, after: Some(id) },
        ] {
            let cursor = encode(start.clone(), QUERY);
            assert_eq!(page_start(None, Some(&cursor), QUERY).unwrap(), start);
            assert_eq!(page_start(Some(start.order()), Some(&cursor), QUERY).unwrap(), start);
        }
    }

    #[test]
    fn a_wrong_order_or_cursor_is_refused_and_named() {
        let cursor = encode(PageStart::Newest { after: None }, QUERY);
        let message = |order, cursor: Option<&str>| page_start(order, cursor, QUERY).unwrap_err().to_string();
        assert!(message(Some("key"), Some(&cursor)).starts_with("cursor: is of a list with order=newest"));
        assert!(message(Some("newes"), None).contains("did you mean `newest`?"));
        let with_field = |field: &str| {
            let json = String::from_utf8(URL_SAFE_NO_PAD.decode(&cursor).unwrap()).unwrap();
            URL_SAFE_NO_PAD.encode(json.replacen('{', field, 1))
        };
        assert_eq!(with_field("{"), cursor);
        for wrong in ["", "x", "!", &cursor[1..], &with_field("{\"a\":1,"), &with_field("{ ")] {
            assert!(message(None, Some(wrong)).starts_with("cursor: must be"), "{wrong}");
        }
    }

    fn query_id(collection: &str, filter: &Filter) -> QueryId {
        QueryId::new(&CollectionName::parse(collection).unwrap(), "embedded", filter)
    }

    #[test]
    fn the_order_of_values_does_not_change_the_query() {
        let query = |folders: [&str; 3], values: [&str; 2]| {
            let folders = Condition::parse_folders(folders).unwrap();
            let meta = [("month".to_owned(), Condition::parse_meta(values).unwrap())].into();
            query_id("birds", &Filter { folders, meta, ..Filter::default() })
        };
        let own = query(["a/", "b/", "!a/c/"], ["4..6", "x"]);
        assert_eq!(query(["!a/c/", "b/", "a/"], ["x", "4..6"]), own);
        assert_ne!(query(["a/", "!b/", "!a/c/"], ["4..6", "x"]), own);
    }

    #[test]
    fn a_cursor_continues_only_its_own_query() {
        let query = |collection: &str, min_width| {
            let filter = Filter { min_width, ..Filter::default() };
            query_id(collection, &filter)
        };
        let own = query("birds", Some(7));
        let cursor = encode(PageStart::Key { after: None }, own);
        assert!(page_start(None, Some(&cursor), query("birds", Some(7))).is_ok());
        for other in [query("cats", Some(7)), query("birds", None)] {
            let error = page_start(None, Some(&cursor), other).unwrap_err().to_string();
            assert!(error.starts_with("cursor: is of a list with another query"), "{error}");
        }
    }
}
