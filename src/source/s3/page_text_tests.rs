use super::*;

#[test]
fn valid_xml_is_not_changed() {
    for text in ["<Key>a&amp;b &#x1F600; \u{1F600}\n</Key>", "", "<Key>\u{FFFD}</Key>", "&quot;1&quot;&#10;"] {
        assert!(matches!(repair(text.as_bytes()), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn invalid_characters_are_marked_and_the_rest_is_kept() {
    let repaired = |bytes: &[u8]| String::from_utf8(repair(bytes).into_owned()).unwrap();
    assert_eq!(repaired(b"<Key>caf\xE9.jpg</Key>"), format!("<Key>caf{UNREADABLE}.jpg</Key>"));
    assert_eq!(repaired(b"<Key>a\x01b</Key><Key>c</Key>"), format!("<Key>a{UNREADABLE}b</Key><Key>c</Key>"));
    assert_eq!(repaired(b"&#xD83D;&#xDE00; &amp; &lt;"), format!("{UNREADABLE}{UNREADABLE} &amp; &lt;"));
    assert_eq!(repaired(b"<Key><![CDATA[a&b<c]]>&amp;<![CDATA[]]></Key>"), "<Key>a&amp;b&lt;c&amp;</Key>");
    assert_eq!(repaired(b"<Key><![CDATA[a</Key>"), "<Key><![CDATA[a</Key>");
    let commented = b"<?xml version='1.0'?><Key>a<!-- > <Key> --><?x y?>b<![CDATA[<!--]]></Key><!-- open";
    assert_eq!(repaired(commented), "<?xml version='1.0'?><Key>ab&lt;!--</Key><!-- open");
    assert_eq!(
        repaired(b"a&ampersand;b&nbsp;c & d; &thetasymbolofgreek;"),
        format!("a{UNREADABLE}b{UNREADABLE}c &amp; d; {UNREADABLE}")
    );
    assert_eq!(repaired(b"black & white &amp; more"), "black &amp; white &amp; more");
}
