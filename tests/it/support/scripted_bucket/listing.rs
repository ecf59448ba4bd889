//! Pages of a listing.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::reply::Reply;
use super::script::{Object, Script, Tokens};
use super::{BUCKET, BucketRequest};

impl Script {
    pub(super) fn list(&self, request: &BucketRequest) -> Reply {
        let value = |name: &str| request.query.get(name).map_or("", String::as_str);
        let most = value("max-keys").parse().unwrap_or(1000).min(self.page);
        let token = request.query.get("continuation-token").map(|token| Token::read(token));
        let token = token.unwrap_or_else(|| Token { at: 0, after: value("start-after").to_owned() });
        let in_scope = |object: &&Object| {
            object.key.starts_with(value("prefix").as_bytes()) && *object.key > *token.after.as_bytes()
        };
        let all: Vec<&Object> = self.objects.iter().filter(in_scope).collect();
        let (begin, end, next) = self.page_of(token.at, most, all.len());
        let next = next.map(|next| next.unwrap_or_else(|| Token { at: end, after: token.after.clone() }.write()));
        let encodes = self.encodes && value("encoding-type") == "url";
        let restores =
            request.header("x-amz-optional-object-attributes").is_some_and(|list| list.contains("RestoreStatus"));
        let mut body: Vec<u8> = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>".to_vec();
        let mut head = format!("<Name>{BUCKET}</Name>");
        if encodes {
            head.push_str("<EncodingType>url</EncodingType>");
        }
        let contradicts = matches!(self.tokens, Tokens::Contradicting | Tokens::ContradictingMarker);
        write!(head, "<IsTruncated>{}</IsTruncated>", next.is_some() && !contradicts).unwrap();
        match next {
            Some(_) if matches!(self.tokens, Tokens::Missing | Tokens::ContradictingMarker) => {
                head.push_str("<NextMarker>b.jpg</NextMarker>");
            }
            Some(next) => write!(head, "<NextContinuationToken>{next}</NextContinuationToken>").unwrap(),
            None => {}
        }
        if let Some(missing) = self.missing_entries {
            write!(head, "<KeyCount>{}</KeyCount>", end - begin + missing).unwrap();
        }
        body.extend(head.into_bytes());
        for object in all.get(begin..end).unwrap_or_default() {
            self.entry(object, encodes, restores, &mut body);
        }
        body.extend(b"</ListBucketResult>");
        Reply::new(200, "application/xml", body)
    }

    /// The start and end of the page, and the token of the next one; `Some(None)` means the right one.
    #[expect(clippy::option_option, reason = "another token than the right one, the right one, or none")]
    fn page_of(&self, at: usize, most: usize, all: usize) -> (usize, usize, Option<Option<String>>) {
        let end = |begin: usize| (begin + most).min(all);
        match self.tokens {
            Tokens::Right | Tokens::Missing | Tokens::Contradicting | Tokens::ContradictingMarker => {
                (at, end(at), (end(at) < all).then_some(None))
            }
            Tokens::Empty => (at, end(at), (end(at) < all).then(|| Some(String::new()))),
            Tokens::Same => (0, end(0), Some(Some("same".to_owned()))),
            Tokens::FirstPageAgain => (0, end(0), Some(Some(Token { at: at + 1, after: String::new() }.write()))),
            Tokens::Cycle(length) => {
                let begin = (at % length) * most;
                (begin, end(begin), Some(Some(Token { at: (at + 1) % length, after: String::new() }.write())))
            }
            Tokens::EmptyPagesFirst(empty) if at < empty => {
                (0, 0, Some(Some(Token { at: at + 1, after: String::new() }.write())))
            }
            Tokens::EmptyPagesFirst(empty) => {
                let (begin, end) = (at - empty, end(at - empty));
                let next = Token { at: end + empty, after: String::new() }.write();
                (begin, end, (end < all).then_some(Some(next)))
            }
            Tokens::Overlapping(keys) => {
                let begin = at.saturating_sub(keys);
                let end = (at + most).min(all);
                (begin, end, (end < all).then_some(None))
            }
        }
    }

    fn entry(&self, object: &Object, encodes: bool, restores: bool, body: &mut Vec<u8>) {
        body.extend(b"<Contents><Key>");
        if encodes {
            body.extend(percent_encode(&object.key, NON_ALPHANUMERIC).to_string().into_bytes());
        } else if self.cdata {
            body.extend([b"<![CDATA[", &object.key[..], b"]]>"].concat());
        } else {
            body.extend(&object.key);
        }
        body.extend(format!("</Key><LastModified>{}</LastModified>", object.modified).into_bytes());
        if let Some(etag) = self.etags.in_listing(&object.etag) {
            body.extend(format!("<ETag>{}</ETag>", etag.replace('"', "&quot;")).into_bytes());
        }
        body.extend(format!("<Size>{}</Size>", object.bytes.len()).into_bytes());
        body.extend(format!("<StorageClass>{}</StorageClass>", object.class).into_bytes());
        if let Some(restore) = object.restore.as_ref().filter(|_| restores) {
            body.extend(format!("<RestoreStatus>{restore}</RestoreStatus>").into_bytes());
        }
        body.extend(b"</Contents>");
    }
}

/// Where a listing continues: the number of the next key among those after `after`.
struct Token {
    at: usize,
    after: String,
}

impl Token {
    fn read(text: &str) -> Self {
        let (at, after) = text.split_once('/').unwrap_or((text, ""));
        Self { at: at.parse().unwrap_or(0), after: after.to_owned() }
    }

    fn write(&self) -> String {
        format!("{}/{}", self.at, self.after)
    }
}
