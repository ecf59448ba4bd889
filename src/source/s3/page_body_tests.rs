use super::*;

#[test]
fn a_page_is_truncated_wherever_it_ends_too_early() {
    let page =
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.jpg</Key></Contents></ListBucketResult>";
    assert_eq!(end_of_page(page.as_bytes()), PageEnd::Whole);
    for end in "<ListBucketResult>".len()..page.len() {
        assert_eq!(end_of_page(&page.as_bytes()[..end]), PageEnd::Truncated, "{}", &page[..end]);
        readable_page(Bytes::from_static(&page.as_bytes()[..end]), "", false).unwrap_err();
        assert_eq!(readable_page(Bytes::from_static(&page.as_bytes()[..end]), "", true).unwrap(), TRUNCATED_PAGE);
    }
    let wrong = "<ListBucketResult><Contents></Key></Contents></ListBucketResult>";
    assert_eq!(end_of_page(wrong.as_bytes()), PageEnd::Invalid);
}
