use super::*;

#[test]
fn the_default_list_excludes_leftovers_and_no_images() {
    let list = Excludes::parse(Excludes::DEFAULT).unwrap();
    for key in [
        "photos/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
        "@eaDir/a.jpg",
        "photos/._a.jpg",
        "._a.jpg",
        "/._a.jpg",
        "a/.@__thumb/default1.jpg",
        "#recycle/2020/a.jpg",
        "share/#snapshot/GMT-05/a.jpg",
        ".Trash-1000/files/a.jpg",
        ".Trashes/501/a.jpg",
        ".Trash/a.jpg",
        "DCIM/.trashed-1700000000-IMG_1.jpg",
        "x/.DS_Store",
        "x/Thumbs.db",
        "x/thumbs.db",
        "__MACOSX/x/._a.jpg",
        ".thumbnails/normal/0a.png",
        "lost+found/#123/a.jpg",
        "$RECYCLE.BIN/S-1-5/a.jpg",
        ".Spotlight-V100/a.jpg",
        ".fseventsd/a.jpg",
        "v/.AppleDouble/a.jpg",
        "v/.zfs/snapshot/d/a.jpg",
        "a//@eaDir//b.jpg",
    ] {
        assert!(list.matches(key), "{key}");
    }
    for key in [
        "photos/a.jpg",
        "photos/eaDir/a.jpg",
        "a@eaDir/a.jpg",
        "_a.jpg",
        "a._b.jpg",
        "recycle/a.jpg",
        "#recycled/a.jpg",
        "Trash/a.jpg",
        "thumbnails/a.jpg",
        "lost+found.jpg",
        "@tmp.jpg",
        "日本/写真.jpg",
        "new\nline/a.jpg",
        "/lead.jpg",
        "",
    ] {
        assert!(!list.matches(key), "{key}");
    }
}

#[test]
fn a_pattern_matches_names_folders_or_whole_paths() {
    let matches = |pattern: &str, key: &str| Excludes::new(vec![pattern.to_owned()]).unwrap().matches(key);
    for (pattern, key, expected) in [
        ("raw", "raw", true),
        ("raw", "a/raw/b.jpg", true),
        ("raw", "a/raw.jpg", false),
        ("raw/", "a/raw", false),
        ("raw/", "a/raw/b/c.jpg", true),
        ("/raw", "raw/b.jpg", true),
        ("/raw", "a/raw/b.jpg", false),
        ("a/raw", "a/raw/b.jpg", true),
        ("a/raw", "x/a/raw/b.jpg", false),
        ("**/a/raw", "x/a/raw/b.jpg", true),
        ("a/*/c.jpg", "a/b/c.jpg", true),
        ("a/*/c.jpg", "a/b/b/c.jpg", false),
        ("a/**/c.jpg", "a/b/b/c.jpg", true),
        ("*.{tmp,bak}", "a/b.bak", true),
        ("IMG_[0-9]?.jpg", "a/IMG_1x.jpg", true),
        ("img_*", "IMG_1.jpg", false),
        ("\\!a*", "!a.jpg", true),
        ("*", "a.jpg", true),
        ("line*", "x/line\nbreak.jpg", true),
        // The pattern is composed and the key decomposed, and the other way round.
        ("Z\u{fc}rich/", "Zu\u{308}rich/a.jpg", true),
        ("Zu\u{308}rich/", "Z\u{fc}rich/a.jpg", true),
    ] {
        assert_eq!(matches(pattern, key), expected, "{pattern} {key:?}");
    }
}

#[test]
fn a_list_is_split_only_at_its_separating_commas() {
    assert_eq!(Excludes::split(" a , b/,,*.{x,y},[,]c,d\\,e "), ["a", "b/", "*.{x,y}", "[,]c", "d\\,e"]);
    for nothing in ["none", " none ", ",", ""] {
        assert!(!Excludes::parse(nothing).unwrap().matches("none"), "{nothing}");
    }
    assert!(!Excludes::new(vec!["none".to_owned()]).unwrap().matches("none"), "as in the API");
    assert!(Excludes::parse("a,none").unwrap().matches("none"), "a pattern if there are others");
}

#[test]
fn the_error_says_why_a_pattern_cannot_be_used() {
    let error = |pattern: &str| Excludes::new(vec![pattern.to_owned()]).unwrap_err().to_string();
    assert!(error("[a").contains("`[a` is not a glob"), "{}", error("[a"));
    assert!(error("{a").contains("`{a` is not a glob"), "{}", error("{a"));
    assert!(error("").contains("does not name a file"), "{}", error(""));
    assert!(error("//").contains("does not name a file"), "{}", error("//"));
    assert!(error("!a").contains("begins with `!`"), "{}", error("!a"));
    assert!(error(&"x".repeat(257)).contains("257 bytes; at most 256"), "{}", error(&"x".repeat(257)));
    let many = Excludes::new(vec!["a".to_owned(); 101]).unwrap_err();
    assert_eq!(many.to_string(), "it has 101 patterns; at most 100 are allowed");
}
