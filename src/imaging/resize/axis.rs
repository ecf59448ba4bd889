//! Computes one axis of the conversion from an image to the model's square: which pixels are resized to which length,
//! and where the square is cut out of the result.
//!
//! The rule (`resize_rule` of the model card) is: resize the whole image, then crop. A strip of 1 x 5000 pixels would
//! become 260 x 1,300,000 pixels, so only the part around the square is resized if an image is much longer than the
//! square. The resizer accepts fractional bounds for that part, but if a weight is exactly zero at the edge of the
//! part, its bounds are wrong and it reads beyond the image (ADR 0003). For this reason it always gets whole images.

/// One axis of the image in its stored orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// The first pixel of the image that is used.
    pub(crate) from: u32,
    /// The number of pixels that are used.
    pub(crate) length: u32,
    /// The number of pixels after resizing.
    pub(crate) resized: u32,
    /// The first pixel of the square, counted after resizing.
    pub(crate) cut: u32,
}

/// How the resized length of a side is converted to whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fraction {
    /// Rounded to the nearest number, halves to the even number.
    Rounded,
    /// Rounded down.
    Dropped,
}

/// How the numbers of an axis are converted to whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounding {
    /// Of the resized length.
    pub(crate) length: Fraction,
    /// Of the first pixel of the square.
    pub(crate) cut: Fraction,
}

/// The square, and the shorter side of the image from which it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) size: u32,
    pub(crate) edge: u32,
}

/// If the resized length is at most this many times the side of the square, the rule is applied exactly.
const MAX_EXACT_RATIO: u64 = 8;

impl Axis {
    /// Plans the axis along `side` for an image whose shorter side is `shortest` and a square of `size` pixels. A
    /// mirrored axis is cut at the place where the upright image would be cut.
    pub(crate) fn plan(side: u32, shortest: u32, target: Target, rounding: Rounding, mirrored: bool) -> Self {
        let Target { size, edge } = target;
        let resized = scaled(side, shortest, edge, rounding.length);
        let spare = resized - u64::from(size);
        let first = halved(spare, rounding.cut);
        let cut = if mirrored { spare - first } else { first };
        if resized <= u64::from(edge) * MAX_EXACT_RATIO {
            return Self { from: 0, length: side, resized: to_u32(resized), cut: to_u32(cut) };
        }
        // A long strip: the part contains the pixels of the square, the pixels that the filter reads around them, and
        // some more. Among those, a start and an end are chosen that lie almost on whole pixels of the resized strip.
        let (scale_down, scale_up) =
            (to_f64(u64::from(side)) / to_f64(resized), to_f64(resized) / to_f64(u64::from(side)));
        let margin = (2.0 * scale_down.max(1.0)).ceil() + 1.0;
        let choice = (32.0 * scale_down).ceil().clamp(1.0, 64.0);
        let first = to_f64(cut) * scale_down - margin;
        let last = (to_f64(cut) + f64::from(size)) * scale_down + margin;
        let from = nearest_to_whole(first - choice, first, 0.0, scale_up).max(0.0);
        let until = nearest_to_whole(last, last + choice, from, scale_up).min(f64::from(side));
        let before = (from * scale_up).round();
        let length = until - from;
        let resized = (length * scale_up).round().max(to_f64(cut) - before + f64::from(size));
        Self { from: floor(from), length: floor(length), resized: floor(resized), cut: floor(to_f64(cut) - before) }
    }
}

/// Returns the whole pixel from `low` to `high` whose distance to `origin`, after resizing, is closest to a whole
/// number.
fn nearest_to_whole(low: f64, high: f64, origin: f64, scale_up: f64) -> f64 {
    let distance_to_whole = |pixel: f64| {
        let place = (pixel - origin) * scale_up;
        (place - place.round()).abs()
    };
    let mut best = high.floor();
    let mut pixel = best;
    while pixel > low.max(0.0) {
        pixel -= 1.0;
        if distance_to_whole(pixel) < distance_to_whole(best) {
            best = pixel;
        }
    }
    best.max(low.ceil())
}

/// Returns half of the number, with halves rounded down or to the even number.
fn halved(number: u64, fraction: Fraction) -> u64 {
    number / 2 + u64::from(fraction == Fraction::Rounded && number % 4 == 3)
}

/// Returns `side * target / shortest` in whole pixels, at least `target`.
fn scaled(side: u32, shortest: u32, target: u32, fraction: Fraction) -> u64 {
    let (product, shortest) = (u64::from(side) * u64::from(target), u64::from(shortest));
    let (whole, twice_rest) = (product / shortest, product % shortest * 2);
    let up = twice_rest > shortest || (twice_rest == shortest && whole % 2 == 1);
    let up = up && fraction == Fraction::Rounded;
    (whole + u64::from(up)).max(u64::from(target))
}

#[expect(clippy::cast_precision_loss, reason = "sides of images are far below 2^52")]
fn to_f64(side: u64) -> f64 {
    side as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the plan is within the sides of the image"
)]
fn floor(place: f64) -> u32 {
    place.max(0.0) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a few times the square's side")]
fn to_u32(length: u64) -> u32 {
    length as u32
}

#[cfg(test)]
mod tests {
    use super::Fraction::{Dropped, Rounded};
    use super::*;

    fn plan(side: u32, shortest: u32, size: u32, length: Fraction, mirrored: bool) -> Axis {
        Axis::plan(side, shortest, Target { size, edge: size }, Rounding { length, cut: Dropped }, mirrored)
    }

    #[test]
    fn the_longer_side_is_rounded_half_to_even_or_down() {
        assert_eq!(scaled(5, 2, 5, Rounded), 12);
        assert_eq!(scaled(7, 2, 5, Rounded), 18);
        assert_eq!(scaled(640, 480, 260, Rounded), 347);
        assert_eq!(scaled(480, 480, 260, Rounded), 260);
        // transformers computes `int(260 * 640 / 480)`; the exact value is 346.67.
        assert_eq!(scaled(640, 480, 260, Dropped), 346);
        assert_eq!(scaled(7, 2, 5, Dropped), 17);
        assert_eq!(scaled(480, 480, 260, Dropped), 260);
        assert_eq!(scaled(u32::MAX, 1, 260, Rounded), 1_116_691_496_700);
    }

    #[test]
    fn an_ordinary_image_is_resized_whole_and_cropped_by_the_rule() {
        assert_eq!(plan(640, 480, 260, Rounded, false), Axis { from: 0, length: 640, resized: 347, cut: 43 });
        assert_eq!(plan(640, 480, 260, Rounded, true), Axis { from: 0, length: 640, resized: 347, cut: 44 });
        assert_eq!(plan(480, 480, 260, Rounded, true), Axis { from: 0, length: 480, resized: 260, cut: 0 });
    }

    #[test]
    fn the_edge_may_be_longer_than_the_square_and_the_cut_rounded_to_even() {
        let with = |side, cut| {
            Axis::plan(side, 480, Target { size: 224, edge: 256 }, Rounding { length: Dropped, cut }, false)
        };
        assert_eq!(with(480, Dropped), Axis { from: 0, length: 480, resized: 256, cut: 16 });
        // 640 becomes 341 and 644 becomes 343, so 117 and 119 pixels are spare.
        assert_eq!((with(640, Dropped).cut, with(640, Rounded).cut), (58, 58));
        assert_eq!((with(644, Dropped).cut, with(644, Rounded).cut), (59, 60));
        assert_eq!([halved(3, Dropped), halved(3, Rounded), halved(5, Rounded), halved(4, Rounded)], [1, 2, 2, 2]);
    }

    #[test]
    fn only_the_middle_of_a_strip_is_used_and_it_contains_the_square() {
        for size in [8, 64, 260] {
            for shortest in [1, 2, 3, 10, 259, 260, 261, 3000] {
                for times in [8, 9, 10, 57, 1000] {
                    for (mirrored, fraction) in [(false, Rounded), (true, Rounded), (false, Dropped), (true, Dropped)] {
                        let side = shortest * times + 7;
                        let axis = plan(side, shortest, size, fraction, mirrored);
                        let description = format!("{side} of {shortest} to {size}: {axis:?}");
                        assert!(axis.from + axis.length <= side && axis.length > 0, "{description}");
                        assert!(axis.cut + size <= axis.resized, "{description}");
                        assert!(axis.resized <= size * 40, "{description}");
                        // The position of the first pixel of the square in the source, by the plan and by the rule.
                        let whole = to_f64(scaled(side, shortest, size, fraction));
                        let spare = scaled(side, shortest, size, fraction) - u64::from(size);
                        let cut = to_f64(if mirrored { spare - spare / 2 } else { spare / 2 });
                        let by_rule = cut * f64::from(side) / whole;
                        let scale = f64::from(axis.length) / f64::from(axis.resized);
                        let planned = f64::from(axis.from) + f64::from(axis.cut) * scale;
                        // The positions differ by at most one resized pixel.
                        assert!((by_rule - planned).abs() <= f64::from(side) / whole, "{description}");
                    }
                }
            }
        }
    }
}
