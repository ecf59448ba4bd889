use super::*;

/// Random pixels, which no encoder can compress.
fn noise(size: u32) -> PreparedImage {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    PreparedImage { size, rgb: (0..size * size * 3).map(|_| byte()).collect() }
}

fn plain(size: u32) -> PreparedImage {
    PreparedImage { size, rgb: vec![7; size as usize * size as usize * 3].into() }
}

#[test]
fn png_is_lossless() {
    for image in [noise(1), noise(33), noise(224), plain(64)] {
        let png = png(&image).unwrap();
        let decoded = image::load_from_memory_with_format(&png, image::ImageFormat::Png).unwrap().to_rgb8();
        assert_eq!((decoded.width(), decoded.height()), (image.size, image.size));
        assert!(decoded.as_raw() == &image.rgb, "{} pixels a side", image.size);
    }
}

#[test]
fn no_encoded_image_is_longer_than_the_bound() {
    for size in [1, 2, 3, 8, 33, 224, 337] {
        for image in [noise(size), plain(size)] {
            let text = ImageEncoding::DataUri.text(&image).unwrap();
            assert!(text.len() + 3 <= max_encoded_len(size), "{size}: {} of {}", text.len(), max_encoded_len(size));
        }
    }
}

#[tokio::test]
async fn the_body_is_json_in_either_form() {
    for encoding in [ImageEncoding::DataUri, ImageEncoding::Bare] {
        let images = vec![noise(4), plain(5)];
        let expected: Vec<_> = images.iter().map(|image| encoding.text(image).unwrap()).collect();
        let body = body(images, encoding, r#"{"images":["#.to_owned(), "]}").await.unwrap();
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({"images": expected}));
        assert_eq!(expected[0].starts_with("data:image/png;base64,iVBORw0KGgo"), encoding == ImageEncoding::DataUri);
        assert!(expected.iter().all(|text| !text.contains(char::is_whitespace)));
    }
}

#[tokio::test]
async fn an_image_with_the_wrong_number_of_bytes_is_refused() {
    for rgb in [vec![], vec![0; 11], vec![0; 13]] {
        let odd = PreparedImage { size: 2, rgb: rgb.into() };
        let outcome = body(vec![noise(2), odd], ImageEncoding::Bare, String::new(), "").await;
        assert!(matches!(outcome, Err(EmbedError::Rejected(_))), "{outcome:?}");
    }
}

#[test]
fn a_body_has_at_most_8_mb() {
    assert_eq!([max_images(224), max_images(4000)], [39, 1]);
    assert!(max_images(224) * max_encoded_len(224) <= MAX_BODY_BYTES);
}
