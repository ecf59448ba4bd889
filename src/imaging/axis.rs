//! One axis of the way from a image to the model's square: which pixels are resized to how many, and where the square is
//! cut out of them.
//!
//! The rule (`resize_rule` of the model's card) is: resize the whole image, then cut. A strip of 1 x 5000 would be
//! 260 x 1,300,000 resized, so of what is far longer than the square only the part around it is resized. The resizer could
//! be given that part with fractions of pixels, but its bounds break where a weight is exactly zero at the part's edge, and
//! it then reads beyond the image (ADR 0003): it is only ever given whole images.

/// One axis, as the image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// First pixel of the image that is used.
    pub(super) from: u32,
    /// Pixels that are used.
    pub(super) length: u32,
    /// Pixels that they become.
    pub(super) resized: u32,
    /// Of these, the first one of the square.
    pub(super) cut: u32,
}

/// What becomes of a fraction of a pixel in the length that a side is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fraction {
    /// Halves to the even number.
    Rounded,
    /// As if it were not there.
    Dropped,
}

/// Up to so many times the square's side the rule is followed to the letter.
const TO_THE_LETTER: u64 = 8;

impl Axis {
    /// The axis along `side`, of a image whose shorter side is `shortest`, to a square of `size`. A mirrored axis is cut
    /// where it is cut upright.
    pub(super) fn plan(side: u32, shortest: u32, size: u32, fraction: Fraction, mirrored: bool) -> Self {
        let resized = scaled(side, shortest, size, fraction);
        let spare = resized - u64::from(size);
        let cut = if mirrored { spare - spare / 2 } else { spare / 2 };
        if resized <= u64::from(size) * TO_THE_LETTER {
            return Self { from: 0, length: side, resized: small(resized), cut: small(cut) };
        }
        // Of a long strip: the square's own pixels, those that the filter reads around them, and a few more among which
        // to find a beginning and an end that lie almost on whole pixels of the resized strip.
        let (shrink, grow) = (precise(u64::from(side)) / precise(resized), precise(resized) / precise(u64::from(side)));
        let margin = (2.0 * shrink.max(1.0)).ceil() + 1.0;
        let choice = (32.0 * shrink).ceil().clamp(1.0, 64.0);
        let first = precise(cut) * shrink - margin;
        let last = (precise(cut) + f64::from(size)) * shrink + margin;
        let from = nearest_to_whole(first - choice, first, 0.0, grow).max(0.0);
        let until = nearest_to_whole(last, last + choice, from, grow).min(f64::from(side));
        let before = (from * grow).round();
        let length = until - from;
        let resized = (length * grow).round().max(precise(cut) - before + f64::from(size));
        Self { from: floor(from), length: floor(length), resized: floor(resized), cut: floor(precise(cut) - before) }
    }
}

/// Of the whole pixels from `low` to `high`, the one whose distance to `origin` is nearest to a whole number when resized.
fn nearest_to_whole(low: f64, high: f64, origin: f64, grow: f64) -> f64 {
    let off = |pixel: f64| {
        let place = (pixel - origin) * grow;
        (place - place.round()).abs()
    };
    let mut best = high.floor();
    let mut pixel = best;
    while pixel > low.max(0.0) {
        pixel -= 1.0;
        if off(pixel) < off(best) {
            best = pixel;
        }
    }
    best.max(low.ceil())
}

/// `side * target / shortest` in whole pixels, at least `target`.
fn scaled(side: u32, shortest: u32, target: u32, fraction: Fraction) -> u64 {
    let (product, shortest) = (u64::from(side) * u64::from(target), u64::from(shortest));
    let (whole, twice_rest) = (product / shortest, product % shortest * 2);
    let up = twice_rest > shortest || (twice_rest == shortest && whole % 2 == 1);
    let up = up && fraction == Fraction::Rounded;
    (whole + u64::from(up)).max(u64::from(target))
}

#[expect(clippy::cast_precision_loss, reason = "sides of images are far below 2^52")]
fn precise(side: u64) -> f64 {
    side as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "planned within the image's own sides")]
fn floor(place: f64) -> u32 {
    place.max(0.0) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a few times the square's side")]
fn small(length: u64) -> u32 {
    length as u32
}

#[cfg(test)]
mod tests {
    use super::Fraction::{Dropped, Rounded};
    use super::*;

    #[test]
    fn a_fraction_of_the_other_side_is_rounded_half_to_even_or_dropped() {
        assert_eq!(scaled(5, 2, 5, Rounded), 12);
        assert_eq!(scaled(7, 2, 5, Rounded), 18);
        assert_eq!(scaled(640, 480, 260, Rounded), 347);
        assert_eq!(scaled(480, 480, 260, Rounded), 260);
        // As transformers' own `int(260 * 640 / 480)`: 346.67.
        assert_eq!(scaled(640, 480, 260, Dropped), 346);
        assert_eq!(scaled(7, 2, 5, Dropped), 17);
        assert_eq!(scaled(480, 480, 260, Dropped), 260);
        assert_eq!(scaled(u32::MAX, 1, 260, Rounded), 1_116_691_496_700);
    }

    #[test]
    fn an_ordinary_image_is_resized_whole_and_cut_as_the_rule_says() {
        assert_eq!(Axis::plan(640, 480, 260, Rounded, false), Axis { from: 0, length: 640, resized: 347, cut: 43 });
        assert_eq!(Axis::plan(640, 480, 260, Rounded, true), Axis { from: 0, length: 640, resized: 347, cut: 44 });
        assert_eq!(Axis::plan(480, 480, 260, Rounded, true), Axis { from: 0, length: 480, resized: 260, cut: 0 });
    }

    #[test]
    fn of_a_strip_only_the_middle_is_taken_and_the_square_lies_in_it() {
        for size in [8, 64, 260] {
            for shortest in [1, 2, 3, 10, 259, 260, 261, 3000] {
                for times in [8, 9, 10, 57, 1000] {
                    for (mirrored, fraction) in [(false, Rounded), (true, Rounded), (false, Dropped), (true, Dropped)] {
                        let side = shortest * times + 7;
                        let axis = Axis::plan(side, shortest, size, fraction, mirrored);
                        let what = format!("{side} of {shortest} to {size}: {axis:?}");
                        assert!(axis.from + axis.length <= side && axis.length > 0, "{what}");
                        assert!(axis.cut + size <= axis.resized, "{what}");
                        assert!(axis.resized <= size * 40, "{what}");
                        // Where the square's first pixel lies in the source, by the plan and by the rule.
                        let whole = precise(scaled(side, shortest, size, fraction));
                        let spare = scaled(side, shortest, size, fraction) - u64::from(size);
                        let cut = precise(if mirrored { spare - spare / 2 } else { spare / 2 });
                        let by_rule = cut * f64::from(side) / whole;
                        let scale = f64::from(axis.length) / f64::from(axis.resized);
                        let planned = f64::from(axis.from) + f64::from(axis.cut) * scale;
                        // Never more than one resized pixel off.
                        assert!((by_rule - planned).abs() <= f64::from(side) / whole, "{what}");
                    }
                }
            }
        }
    }
}
