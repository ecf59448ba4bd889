//! Copies of rows.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use crate::Clip;

/// Values that are copied at once. A row may be followed by that many values of no meaning.
pub(crate) const COPY: usize = 8;

/// Copies every `stride`th value, within limits. Copies further values behind them if there is space, because whole
/// registers are fast.
#[inline(always)]
pub(crate) fn copy_row(source: &[f32], target: &mut [f32], count: usize, stride: usize, clip: Clip) {
    match stride {
        1 => copy::<1>(source, target, count, clip),
        2 => copy::<2>(source, target, count, clip),
        3 => copy::<3>(source, target, count, clip),
        _ => copy::<4>(source, target, count, clip),
    }
}

#[inline(always)]
fn copy<const STEP: usize>(source: &[f32], target: &mut [f32], count: usize, clip: Clip) {
    let blocks = count.div_ceil(COPY);
    let values = source.as_chunks::<STEP>().0.as_chunks::<COPY>().0;
    let places = target.as_chunks_mut::<COPY>().0;
    if values.len() >= blocks && places.len() >= blocks {
        for block in 0..blocks {
            // All values are read before the first one is written: the compiler does not know that these are two places.
            let values = values[block];
            let mut limited = [0.0; COPY];
            for lane in 0..COPY {
                limited[lane] = clip.limit(values[lane][0]);
            }
            places[block] = limited;
        }
    } else {
        for at in 0..count {
            target[at] = clip.limit(source[at * STEP]);
        }
    }
}
