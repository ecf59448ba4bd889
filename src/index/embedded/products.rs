//! The dot products of many vectors with many others. Each number that is loaded is used several times, so that the
//! arithmetic is the limit, and not the memory.

#![expect(unsafe_code, reason = "the compiler cannot check the features of the CPU")]

/// The numbers in a register of AVX2.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 8;
/// The vectors whose products are computed at the same time: as many as there are registers for their sums.
#[cfg(target_arch = "x86_64")]
const ROWS: usize = 2;
#[cfg(target_arch = "x86_64")]
const COLUMNS: usize = 5;

/// Sets `out[r * columns.len() + c]` to the dot product of `rows[r]` and `columns[c]`. All vectors have the same length,
/// which is a multiple of 8.
pub(super) fn products(rows: &[&[f32]], columns: &[&[f32]], out: &mut Vec<f32>) {
    out.clear();
    out.resize(rows.len() * columns.len(), 0.0);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has both features, as checked one line above.
        unsafe { products_avx2(rows, columns, out) };
        return;
    }
    portable(rows, columns, out);
}

fn portable(rows: &[&[f32]], columns: &[&[f32]], out: &mut [f32]) {
    for (row, out) in rows.iter().zip(out.chunks_mut(columns.len())) {
        for (column, out) in columns.iter().zip(out) {
            *out = row.iter().zip(*column).map(|(a, b)| a * b).sum();
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn products_avx2(rows: &[&[f32]], columns: &[&[f32]], out: &mut [f32]) {
    let width = columns.len();
    for (first_column, columns) in (0..).step_by(COLUMNS).zip(columns.chunks(COLUMNS)) {
        // An incomplete group is filled with its last vector.
        let group = std::array::from_fn(|at| columns[at.min(columns.len() - 1)]);
        for (first_row, rows) in (0..).step_by(ROWS).zip(rows.chunks(ROWS)) {
            let sums = dots(std::array::from_fn(|at| rows[at.min(rows.len() - 1)]), group);
            for (row, sums) in (first_row..).zip(&sums[..rows.len()]) {
                let from = row * width + first_column;
                out[from..from + columns.len()].copy_from_slice(&sums[..columns.len()]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline]
#[expect(clippy::needless_range_loop, reason = "`map` and `zip` are not inlined here, which costs a factor of 13")]
fn dots(rows: [&[f32]; ROWS], columns: [&[f32]; COLUMNS]) -> [[f32; COLUMNS]; ROWS] {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};

    let count = rows[0].len();
    assert!(count.is_multiple_of(LANES), "a length that is not a multiple of {LANES}");
    // With this, the pointers of the loop are inside their vectors.
    assert!(rows.iter().chain(&columns).all(|vector| vector.len() == count), "vectors of different lengths");
    let mut sums = [[_mm256_setzero_ps(); COLUMNS]; ROWS];
    for at in (0..count).step_by(LANES) {
        let mut numbers = [_mm256_setzero_ps(); COLUMNS];
        for column in 0..COLUMNS {
            // SAFETY: eight numbers follow `at`, as asserted above.
            numbers[column] = unsafe { _mm256_loadu_ps(columns[column].as_ptr().add(at)) };
        }
        for row in 0..ROWS {
            // SAFETY: eight numbers follow `at`, as asserted above.
            let row_numbers = unsafe { _mm256_loadu_ps(rows[row].as_ptr().add(at)) };
            for column in 0..COLUMNS {
                sums[row][column] = _mm256_fmadd_ps(row_numbers, numbers[column], sums[row][column]);
            }
        }
    }
    let mut dots = [[0.0; COLUMNS]; ROWS];
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let mut numbers = [0.0; LANES];
            // SAFETY: the pointer is to an array of eight numbers.
            unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), sums[row][column]) };
            for lane in 0..LANES {
                dots[row][column] += numbers[lane];
            }
        }
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kernels_agree_with_the_definition() {
        // Whole numbers this small add up exactly in any order.
        let vector = |seed: u16| (0..64).map(|i| f32::from((i * 7 + seed * 13) % 11) - 5.0).collect::<Vec<f32>>();
        for (rows, columns) in [(1, 1), (2, 4), (3, 5), (5, 9)] {
            let all: Vec<Vec<f32>> = (0..rows + columns).map(vector).collect();
            let all: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
            let (rows, columns) = all.split_at(usize::from(rows));
            let (mut fast, mut slow) = (Vec::new(), vec![0.0; rows.len() * columns.len()]);
            products(rows, columns, &mut fast);
            portable(rows, columns, &mut slow);
            assert_eq!(fast, slow);
        }
    }
}
