//! Copies of rows.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use crate::Clip;
use crate::simd::Register;

/// Copies `count` values, each `stride` after the one before, within limits.
#[inline(always)]
pub(crate) fn copy_row<R: Register>(source: &[f32], target: &mut [f32], count: usize, stride: usize, clip: Clip) {
    let target = &mut target[..count];
    match stride {
        1 => {
            let mut at = 0;
            while at + R::LANES <= count {
                R::load(&source[at..]).limit(clip).store(&mut target[at..]);
                at += R::LANES;
            }
            if at < count && count >= R::LANES {
                // The last whole register, of which some values are copied twice.
                let last = count - R::LANES;
                R::load(&source[last..]).limit(clip).store(&mut target[last..]);
            } else if at < count {
                R::load_part(&source[..count]).limit(clip).store_part(target);
            }
        }
        2 => {
            let mut at = 0;
            while at < count {
                // Some values may be copied twice.
                let first = if count < R::LANES { 0 } else { at.min(count - R::LANES) };
                let end = (first + R::LANES).min(count);
                let source = &source[2 * first..];
                if source.len() >= 2 * R::LANES {
                    let values = R::load(source).even(R::load(&source[R::LANES..])).limit(clip);
                    if end - first == R::LANES {
                        values.store(&mut target[first..]);
                    } else {
                        values.store_part(&mut target[first..]);
                    }
                } else {
                    for at in first..end {
                        target[at] = clip.limit(source[(at - first) * 2]);
                    }
                }
                at += R::LANES;
            }
        }
        _ => {
            for at in 0..count {
                target[at] = clip.limit(source[at * stride]);
            }
        }
    }
}
