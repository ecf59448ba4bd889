use super::*;

#[test]
fn a_denial_concerns_the_object_unless_its_message_mentions_the_credentials() {
    for message in [
        "",
        "Access Denied",
        "User: arn:aws:iam::1:user/expired is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/has expired.jpg",
        "The ciphertext refers to a customer master key that you may not use",
    ] {
        assert_eq!(Kind::from_denial(message), Kind::Denied, "{message}");
    }
    for (message, kind) in [
        ("The security token included in the request has expired", Kind::Expired),
        ("The provided token is expired", Kind::Expired),
        ("Request has expired", Kind::Clock),
        ("Request is not valid yet", Kind::Clock),
        ("The access key does not exist", Kind::UnknownKey),
        ("The security token included in the request is invalid", Kind::UnknownKey),
        ("Unknown account", Kind::Account),
        ("Your account is suspended", Kind::Account),
        ("Cannot download file, transaction (Class B) cap exceeded.", Kind::Account),
    ] {
        assert_eq!(Kind::from_denial(message), kind, "{message}");
    }
}

#[test]
fn the_words_of_an_unknown_code_decide() {
    for (code, kind) in [
        ("TokenExpired", Some(Kind::Expired)),
        ("SessionExpired", Some(Kind::Expired)),
        ("ExpiredCredentials", Some(Kind::Expired)),
        ("CredentialExpired", Some(Kind::Expired)),
        ("AccessKeyExpired", Some(Kind::Expired)),
        ("InvalidAccessKeyID", Some(Kind::UnknownKey)),
        ("AccessKeyDisabled", Some(Kind::UnknownKey)),
        ("BadCredentials", Some(Kind::UnknownKey)),
        ("SignatureExpired", Some(Kind::Clock)),
        ("SignatureMismatch", Some(Kind::Signature)),
        ("AccountIsDisabled", Some(Kind::Account)),
        ("InternalServerError", Some(Kind::Failed)),
        ("KMSKeyDisabled", None),
        ("SomethingElse", None),
    ] {
        assert_eq!(Kind::from_words(code), kind, "{code}");
    }
}

#[test]
fn a_status_decides_if_there_is_no_code() {
    for (status, kind) in [
        (301, Kind::Redirect),
        (304, Kind::Refused),
        (307, Kind::Redirect),
        (401, Kind::UnknownKey),
        (403, Kind::Denied),
        (404, Kind::Gone),
        (429, Kind::Busy),
        (500, Kind::Failed),
        (501, Kind::Refused),
        (503, Kind::Busy),
    ] {
        assert_eq!(Kind::from_reply(status, None, None), kind, "{status}");
    }
    assert_eq!(Kind::from_reply(404, Some("SomethingElse"), None), Kind::Refused);
    assert_eq!(Kind::from_reply(403, Some("SomethingElse"), None), Kind::Denied);
    assert_eq!(Kind::from_reply(400, Some("KMS.DisabledException"), None), Kind::Denied);
}
