//! The cursor of a page: the order and the last image of the page before, as base64url of JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::BrowseError;
use crate::domain::{ImageId, PageStart, nearest};

const ORDERS: [&str; 3] = ["newest", "key", "random"];

/// Returns the start of the page that the parameters `order` and `cursor` of a request name.
pub(super) fn page_start(order: Option<&str>, cursor: Option<&str>) -> Result<PageStart, BrowseError> {
    let start = match cursor {
        Some(cursor) => decode(cursor)?,
        None => match order.unwrap_or("newest") {
            "newest" => PageStart::Newest { after: None },
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

pub(super) fn encode(start: &PageStart) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(start).unwrap_or_default())
}

fn decode(cursor: &str) -> Result<PageStart, BrowseError> {
    let json = URL_SAFE_NO_PAD.decode(cursor).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
        BrowseError::invalid("cursor", "must be the `next_cursor` of the page before, unchanged".to_owned())
    })
}

fn unknown_order(order: &str) -> BrowseError {
    let advice = nearest(order, ORDERS).map(|order| format!("; did you mean `{order}`?")).unwrap_or_default();
    BrowseError::invalid("order", format!("must be newest, key or random, not `{order}`{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_cursor_keeps_the_order_and_the_place() {
        let id = ImageId(Uuid::from_u128(7));
        for start in [
            PageStart::Newest { after: Some((Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap(), id)) },
            PageStart::Key { after: Some(("a b/ü\"\n.jpg".into(), id)) },
            PageStart::Random { first: id, after: Some(id) },
        ] {
            assert_eq!(page_start(None, Some(&encode(&start))).unwrap(), start);
            assert_eq!(page_start(Some(start.order()), Some(&encode(&start))).unwrap(), start);
        }
    }

    #[test]
    fn a_wrong_order_or_cursor_is_refused_and_named() {
        let cursor = encode(&PageStart::Newest { after: None });
        let message = |order, cursor: Option<&str>| page_start(order, cursor).unwrap_err().to_string();
        assert!(message(Some("key"), Some(&cursor)).starts_with("cursor: is of a list with order=newest"));
        assert!(message(Some("newes"), None).contains("did you mean `newest`?"));
        for wrong in ["", "x", "!", &cursor[1..]] {
            assert!(message(None, Some(wrong)).starts_with("cursor: must be"), "{wrong}");
        }
    }
}
