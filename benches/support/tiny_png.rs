//! Images of 16 x 16 pixels.

/// No two are alike: the same bytes would not be embedded again.
pub(crate) fn tiny_png(number: usize) -> Vec<u8> {
    let [_, _, _, _, _, red, green, blue] = (number as u64).to_be_bytes();
    let image = image::RgbImage::from_pixel(16, 16, image::Rgb([red, green, blue]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
