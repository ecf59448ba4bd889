//! The products of a query with many codes, and of two vectors.

#![expect(unsafe_code, reason = "the compiler cannot check the features of the CPU")]

use crate::block::{BLOCK, GROUP, STEP, STEP_BYTES};

/// The words of a query for [`STEP`] numbers.
const STEP_WORDS: usize = STEP / 4;

/// Sets `out` to the sums of `query[i] * code[i]` of each vector of a block. A word of the query has four numbers. All kernels
/// return the same whole numbers. `next` has the codes that are compared next, if any; they are loaded meanwhile.
pub(crate) fn sums(codes: &[u8], query: &[i32], out: &mut [i32; BLOCK], next: Option<&[u8]>) {
    assert_eq!(codes.len(), query.len() * BLOCK, "a block of codes of another length");
    assert!(query.len().is_multiple_of(STEP_WORDS), "a length that is not a multiple of {STEP}");
    // Without a next block, the kernels request codes that are in the cache already, so that they need no branch.
    let next = next.filter(|next| next.len() == codes.len()).unwrap_or(codes);
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the CPU has both features, as checked one line above.
            unsafe { sums_avx512(codes, query, out, next) };
            return;
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the feature, as checked one line above.
            unsafe { sums_avx2(codes, query, out, next) };
            return;
        }
    }
    sums_portable(codes, query, out);
}

fn sums_portable(codes: &[u8], query: &[i32], out: &mut [i32; BLOCK]) {
    out.fill(0);
    let group_bytes = codes.len() / (BLOCK / GROUP);
    for (codes, out) in codes.chunks_exact(group_bytes).zip(out.chunks_exact_mut(GROUP)) {
        for (codes, query) in codes.chunks_exact(STEP_BYTES).zip(query.chunks_exact(STEP_WORDS)) {
            for (bytes, out) in codes.chunks_exact(4).zip(&mut *out) {
                for (at, word) in query.iter().enumerate() {
                    for (byte, number) in bytes.iter().zip(word.to_le_bytes()) {
                        *out += i32::from((byte >> (2 * at)) & 3) * i32::from(number.cast_signed());
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(clippy::needless_range_loop, reason = "iterators are not always inlined here, which costs a factor of 13")]
fn sums_avx2(codes: &[u8], query: &[i32], out: &mut [i32; BLOCK], next: &[u8]) {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi16, _mm256_and_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_srli_epi16,
        _mm256_storeu_si256,
    };
    const ROW: usize = size_of::<__m256i>();

    let steps = query.len() / STEP_WORDS;
    let (mask, ones) = (_mm256_set1_epi8(3), _mm256_set1_epi16(1));
    for group in 0..BLOCK / GROUP {
        let mut sums = [_mm256_setzero_si256(); STEP_BYTES / ROW];
        for step in 0..steps {
            let words = &query[step * STEP_WORDS..][..STEP_WORDS];
            let at = (group * steps + step) * STEP_BYTES;
            let bytes = codes[at..][..STEP_BYTES].as_ptr();
            prefetch(&next[at..][..STEP_BYTES]);
            let (q0, q1) = (_mm256_set1_epi32(words[0]), _mm256_set1_epi32(words[1]));
            let (q2, q3) = (_mm256_set1_epi32(words[2]), _mm256_set1_epi32(words[3]));
            for row in 0..STEP_BYTES / ROW {
                // SAFETY: the row is inside the bytes of the step.
                let c = unsafe { _mm256_loadu_si256(bytes.add(row * ROW).cast()) };
                let p0 = _mm256_maddubs_epi16(_mm256_and_si256(c, mask), q0);
                let p1 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<2>(c), mask), q1);
                let p2 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(c), mask), q2);
                let p3 = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<6>(c), mask), q3);
                // The sums of a query fit into 16 bits (`Query::new`); those on the way may wrap.
                let p = _mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3));
                sums[row] = _mm256_add_epi16(sums[row], p);
            }
        }
        for row in 0..STEP_BYTES / ROW {
            let to = &mut out[group * GROUP + row * 8..][..8];
            // SAFETY: eight numbers of 32 bits have the size of the register.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_madd_epi16(sums[row], ones)) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[expect(clippy::needless_range_loop, reason = "iterators are not always inlined here, which costs a factor of 13")]
fn sums_avx512(codes: &[u8], query: &[i32], out: &mut [i32; BLOCK], next: &[u8]) {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi8,
        _mm512_set1_epi32, _mm512_setzero_si512, _mm512_srai_epi32, _mm512_storeu_si512,
    };
    const ROW: usize = size_of::<__m512i>();

    let steps = query.len() / STEP_WORDS;
    // The codes stay where they are in their bytes, and sums of the upper ones are divided at the end, so that no code is shifted.
    let masks =
        [_mm512_set1_epi8(3), _mm512_set1_epi8(0x0C), _mm512_set1_epi8(0x30), _mm512_set1_epi8(0xC0_u8.cast_signed())];
    for group in 0..BLOCK / GROUP {
        let mut sums = [[_mm512_setzero_si512(); 4]; STEP_BYTES / ROW];
        for step in 0..steps {
            let words = &query[step * STEP_WORDS..][..STEP_WORDS];
            let at = (group * steps + step) * STEP_BYTES;
            let bytes = codes[at..][..STEP_BYTES].as_ptr();
            prefetch(&next[at..][..STEP_BYTES]);
            for row in 0..STEP_BYTES / ROW {
                // SAFETY: the row is inside the bytes of the step.
                let c = unsafe { _mm512_loadu_si512(bytes.add(row * ROW).cast()) };
                for at in 0..4 {
                    let number = _mm512_set1_epi32(words[at]);
                    sums[row][at] = _mm512_dpbusd_epi32(sums[row][at], _mm512_and_si512(c, masks[at]), number);
                }
            }
        }
        for row in 0..STEP_BYTES / ROW {
            let [a, b, c, d] = sums[row];
            let (b, c, d) = (_mm512_srai_epi32::<2>(b), _mm512_srai_epi32::<4>(c), _mm512_srai_epi32::<6>(d));
            let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
            let to = &mut out[group * GROUP + row * 16..][..16];
            // SAFETY: sixteen numbers of 32 bits have the size of the register.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), sum) };
        }
    }
}

/// Starts to load values into the cache that will be read soon. It uses the second level of the cache, because many requests
/// for the first one wait for each other: a search took a quarter longer.
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        const LINE: usize = 64;
        for at in (0..size_of_val(values)).step_by(LINE) {
            // SAFETY: a prefetch reads nothing; its address is inside the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().cast::<i8>().add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// The parallel sums of [`dot`].
const LANES: usize = 64;

/// Returns the dot product of two slices of equal length, a multiple of [`LENGTH_UNIT`](crate::LENGTH_UNIT).
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has both features, as checked one line above.
        return unsafe { dot_avx2(a, b) };
    }
    dot_lanes(a, b, |a, b, sum| a * b + sum)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    dot_lanes(a, b, f32::mul_add)
}

/// Always inlined, so that it is compiled with the CPU features of its caller.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a function that is called has the features of the baseline")]
fn dot_lanes(a: &[f32], b: &[f32], add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
    for at in 0..a.len().min(b.len()) {
        for lane in 0..LANES {
            sums[lane] = add(a[at][lane], b[at][lane], sums[lane]);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Query;
    use crate::rotation::Rotation;
    use crate::test_table::Random;

    #[test]
    fn all_kernels_return_the_same_sums() {
        let mut random = Random(3);
        for length in [64, 512, 768, 1152] {
            let codes: Vec<u8> = (0..BLOCK * length / 4).map(|_| random.bits().to_le_bytes()[0]).collect();
            // The last query has the greatest sums that are possible.
            let mut queries = vec![random.unit(length), random.unit(length)];
            queries.push(vec![0.5; length]);
            for query in queries {
                let query = Query::new(&Rotation::new(length), &query).words;
                let mut portable = [0; BLOCK];
                sums_portable(&codes, &query, &mut portable);
                let mut fast = [0; BLOCK];
                sums(&codes, &query, &mut fast, None);
                assert_eq!(fast, portable);
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") {
                    let mut fast = [0; BLOCK];
                    // SAFETY: the CPU has the feature, as checked one line above.
                    unsafe { sums_avx2(&codes, &query, &mut fast, &codes) };
                    assert_eq!(fast, portable);
                }
            }
        }
    }

    #[test]
    fn no_query_exceeds_sixteen_bits() {
        for length in [768, 1152, 2048] {
            let query = Query::new(&Rotation::new(length), &Random(5).unit(length));
            for lane in [0, 1] {
                let numbers = query.numbers().into_iter().enumerate().filter(|(at, _)| at % 4 / 2 == lane);
                let greatest: i32 = numbers.map(|(_, x)| 3 * i32::from(x).abs()).sum();
                assert!(greatest <= i32::from(i16::MAX), "{length}: {greatest}");
                assert!(greatest > 25_000, "{length}: {greatest} wastes precision");
            }
        }
    }
}
