//! Large GIF images: the whole image in memory would take seven bytes per pixel.

use gif::{Encoder, Frame};
use glimpse::imaging::{Extras, ImagingSettings, Preprocessing, prepare_with, thumbnail};

use super::assert_near;
use crate::support::process::{peak_since, reset_peak, runs_alone};

/// Red on the left, blue on the right.
fn large_gif(width: u16, height: u16, interlaced: bool) -> Vec<u8> {
    let half = usize::from(width) / 2;
    let row = [vec![0; half], vec![1; usize::from(width) - half]].concat();
    let frame = Frame { width, height, interlaced, buffer: row.repeat(height.into()).into(), ..Frame::default() };
    let mut file = Vec::new();
    Encoder::new(&mut file, width, height, &[220, 30, 30, 30, 30, 220]).unwrap().write_frame(&frame).unwrap();
    file
}

fn assert_red_blue(name: &str, jpeg: &[u8]) {
    let small = image::load_from_memory(jpeg).unwrap().into_rgb8();
    assert_eq!(small.width(), 256, "{name}");
    assert_near(name, small.get_pixel(40, 90).0, [220, 30, 30], 6);
    assert_near(name, small.get_pixel(200, 90).0, [30, 30, 220], 6);
}

#[test]
fn a_gif_of_41_megapixels_takes_little_memory() {
    if runs_alone(module_path!(), "a_gif_of_41_megapixels_takes_little_memory") {
        let limits = ImagingSettings::default().limits();
        for interlaced in [false, true] {
            let file = large_gif(7_600, 5_460, interlaced);
            let before = reset_peak();
            let extras = Extras { thumbnail: true, ..Extras::default() };
            let prepared = prepare_with(&file, &limits, &Preprocessing::crop(224), extras).unwrap();
            let peak = peak_since(before).unwrap_or(0);
            assert_red_blue("thumbnail of the pipeline", &prepared.thumbnail.unwrap());
            assert!(peak <= 64 << 20, "{peak} bytes, interlaced: {interlaced}");
        }
        let file = large_gif(4_000, 2_500, false);
        let before = reset_peak();
        assert_red_blue("thumbnail", &thumbnail(&file, &limits).unwrap());
        assert!(peak_since(before).unwrap_or(0) <= 64 << 20);
    }
}
