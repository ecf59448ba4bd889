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
