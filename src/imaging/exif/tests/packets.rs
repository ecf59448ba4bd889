use super::*;

#[test]
fn xmp_and_iptc_are_read_and_xmp_has_priority() {
    let packet = r#"<?xpacket?><x:xmpmeta><rdf:RDF><rdf:Description xmp:Rating="4" tiff:Make="Fuji &amp; Co"
        photoshop:DateCreated="2024-06-30T12:00:01+02:00"><tiff:Model>X100V</tiff:Model>
        <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A &lt;title&#33;</rdf:li><rdf:li xml:lang="de">Titel</rdf:li></rdf:Alt></dc:title>
        <dc:subject><rdf:Bag><rdf:li>b</rdf:li><rdf:li> a </rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>
        </rdf:Description></rdf:RDF></x:xmpmeta>"#;
    let dataset = |number: u8, value: &[u8]| {
        [&[0x1C, 2, number][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    };
    let records =
        [dataset(5, b"IPTC title"), dataset(25, b"c"), dataset(25, b"d"), dataset(120, "Ünïcode".as_bytes())].concat();
    let resource = |id: u16, name: &[u8], data: &[u8]| {
        let name = [&[u8::try_from(name.len()).unwrap()], name, &[0][..(name.len() + 1) % 2]].concat();
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [b"8BIM", &id.to_be_bytes()[..], &name, &length, data, &[0][..data.len() % 2]].concat()
    };
    let resources =
        [&b"Photoshop 3.0\0"[..], &resource(0x0425, b"abc", &[7; 5]), &resource(0x0404, b"", &records)].concat();
    let xmp = xmp_segment(packet);
    let facts = exif_facts(&jpeg(&[(0xED, &resources), (0xE1, &xmp)]), ExifLevel::All);
    let text = |text: &str| Some(text.to_owned());
    let expected = ExifFacts {
        level: ExifLevel::All,
        taken_at: Some(TakenAt::parse("2024-06-30T12:00:01+02:00").unwrap()),
        camera: text("Fuji & Co X100V"),
        orientation: Some(1),
        rating: Some(4),
        title: text("A <title!"),
        caption: text("Ünïcode"),
        keywords: vec!["b".to_owned(), "a".to_owned()],
        ..ExifFacts::default()
    };
    assert_eq!(facts, expected);
    let (first, second) = resources.split_at(resources.len() - 30);
    let second = [&b"Photoshop 3.0\0"[..], second].concat();
    let facts = exif_facts(&jpeg(&[(0xED, first), (0xED, &second)]), ExifLevel::All);
    assert_eq!(facts.caption, text("Ünïcode"), "resources in two segments");
    let facts = exif_facts(&jpeg(&[(0xED, &resources)]), ExifLevel::All);
    assert_eq!((facts.title, facts.keywords), (text("IPTC title"), vec!["c".to_owned(), "d".to_owned()]));
    let facts = exif_facts(&jpeg(&[(0xED, &resources), (0xE1, &xmp)]), ExifLevel::Basic);
    assert_eq!((facts.rating, facts.title, facts.keywords.len()), (Some(4), None, 0));
}

#[test]
fn only_the_properties_of_the_image_itself_are_read() {
    let packet = r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
        <r:Description xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:xap="http://ns.adobe.com/xap/1.0/" xap:Rating="3">
        <m:Pantry xmlns:m="http://ns.adobe.com/xap/1.0/mm/"><r:Bag><r:li><r:Description xap:CreateDate="1999-01-01T00:00:00">
        <d:title><r:Alt><r:li>of a part</r:li></r:Alt></d:title></r:Description></r:li></r:Bag></m:Pantry>
        <d:title><r:Alt><r:li xml:lang="fr">titre</r:li><r:li xml:lang="x-default">title</r:li></r:Alt></d:title>
        <d:subject><r:Bag><r:li>own</r:li></r:Bag></d:subject></r:Description></r:RDF></x:xmpmeta>"#;
    let facts = exif_facts(&jpeg(&[(0xE1, &xmp_segment(packet))]), ExifLevel::All);
    assert_eq!((facts.title.as_deref(), facts.taken_at, facts.rating), (Some("title"), None, Some(3)));
    assert_eq!(facts.keywords, ["own"]);
    let other = packet.replace("http://purl.org/dc/elements/1.1/", "http://example.org/dc");
    assert_eq!(exif_facts(&jpeg(&[(0xE1, &xmp_segment(&other))]), ExifLevel::All).title, None);
}

#[test]
fn a_packet_can_be_in_utf_16() {
    let packet = r#"<x:xmpmeta><rdf:RDF><rdf:Description xmp:Rating="4"><dc:title>Gänse ⛄</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"#;
    let encode = |mark: &[u8], order: fn(u16) -> [u8; 2]| {
        [mark.to_vec(), packet.encode_utf16().flat_map(order).collect()].concat()
    };
    for encoded in [
        encode(b"\xFE\xFF", u16::to_be_bytes),
        encode(b"\xFF\xFE", u16::to_le_bytes),
        encode(b"", u16::to_be_bytes),
        encode(b"", u16::to_le_bytes),
    ] {
        let segment = [&b"http://ns.adobe.com/xap/1.0/\0"[..], &encoded].concat();
        let facts = exif_facts(&jpeg(&[(0xE1, &segment)]), ExifLevel::All);
        assert_eq!((facts.title.as_deref(), facts.rating), (Some("Gänse ⛄"), Some(4)));
    }
}

#[test]
fn the_parts_of_an_extended_packet_are_joined_in_their_order() {
    let guid = "0123456789ABCDEF0123456789ABCDEF";
    let main = format!(
        r#"<x:xmpmeta><rdf:RDF><rdf:Description xmp:Rating="4" xmpNote:HasExtendedXMP="{guid}"/></rdf:RDF></x:xmpmeta>"#
    );
    let extended = "<x:xmpmeta><rdf:RDF><rdf:Description><dc:title>of the second packet</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>";
    let part = |guid: &str, offset: usize, data: &str| {
        let length = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
        let prefix = &b"http://ns.adobe.com/xmp/extension/\0"[..];
        [prefix, guid.as_bytes(), &length(extended.len()), &length(offset), data.as_bytes()].concat()
    };
    let (first, second) = extended.split_at(60);
    let main = xmp_segment(&main);
    let title = |guid: &str| {
        let parts = [part(guid, 60, second), part(guid, 0, first)];
        let facts = exif_facts(&jpeg(&[(0xE1, &main), (0xE1, &parts[0]), (0xE1, &parts[1])]), ExifLevel::All);
        assert_eq!(facts.rating, Some(4));
        facts.title
    };
    assert_eq!(title(guid).as_deref(), Some("of the second packet"));
    assert_eq!(title("another guid of 32 characters...").as_deref(), None, "a part of another packet");
    let short = [&b"http://ns.adobe.com/xmp/extension/\0"[..], guid.as_bytes(), &[0, 0]].concat();
    assert_eq!(exif_facts(&jpeg(&[(0xE1, &main), (0xE1, &short)]), ExifLevel::All).rating, Some(4));
}

#[test]
fn iptc_in_the_text_of_a_png_is_read() {
    let record = [0x1C, 2, 5, 0, 5, b't', b'i', b't', b'l', b'e'];
    let resource = [&b"8BIM\x04\x04\0\0\0\0\0\x0A"[..], &record].concat();
    for (kind, profile) in [("iptc", &resource[..]), ("iptc", &record), ("8bim", &resource)] {
        let text = format!("Raw profile type {kind}\0\n{kind}\n{:8}\n{}\n", profile.len(), hex::encode(profile));
        let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
        for (name, data) in
            [(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0][..]), (b"tEXt", text.as_bytes()), (b"IDAT", &[])]
        {
            file.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            file.extend([&name[..], data, &[0; 4]].concat());
        }
        assert_eq!(exif_facts(&file, ExifLevel::All).title.as_deref(), Some("title"), "{kind}");
    }
}
