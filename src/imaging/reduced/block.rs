//! Converts the lowest coefficients of one block to a few pixels.

use super::bits::Bits;
use super::frame::Component;
use super::huffman::{Huffman, Step, step};
use super::planes::{MAX_BLOCK_SIDE, Planes, Shape};

/// The position of each coefficient in its block, in zigzag order: row, then column (ITU-T T.81, figure A.6).
#[rustfmt::skip]
const POSITIONS: [(u8, u8); 25] = [
    (0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0), (4, 0), (3, 1), (2, 2),
    (1, 3), (0, 4), (0, 5), (1, 4), (2, 3), (3, 2), (4, 1), (5, 0), (6, 0), (5, 1), (4, 2), (3, 3),
];

type Matrix = [[f32; MAX_BLOCK_SIDE]; MAX_BLOCK_SIDE];

/// Decodes the blocks of one component.
pub(super) struct Blocks<'a> {
    component: &'a Component,
    steps: Box<[Step; 1 << 12]>,
    shape: Shape,
    /// The zigzag index of the last coefficient that a pixel needs.
    last_needed: usize,
    /// The factor of each coefficient, in zigzag order.
    factors: [f32; POSITIONS.len()],
    /// The weight of each frequency (row) for each pixel (column).
    across: Matrix,
    /// The weight of each frequency (column) for each pixel (row).
    down: Matrix,
}

impl<'a> Blocks<'a> {
    pub(super) fn new((component, shape): (&'a Component, Shape)) -> Self {
        let needed = |&(row, column): &(u8, u8)| usize::from(row) < shape.down && usize::from(column) < shape.across;
        let mut factors = [0.0; POSITIONS.len()];
        for ((factor, place), &step) in factors.iter_mut().zip(&POSITIONS).zip(&component.quantization) {
            *factor = if needed(place) { f32::from(step) } else { 0.0 };
        }
        Self {
            component,
            steps: component.ac.steps(),
            shape,
            last_needed: POSITIONS.iter().rposition(needed).unwrap_or(0),
            factors,
            across: transposed(&weights(shape.across)),
            down: weights(shape.down),
        }
    }

    /// Decodes the blocks of the component in one unit and writes their pixels. `before` is the mean of the previous
    /// block.
    #[inline]
    pub(super) fn decode(
        &self,
        bits: &mut Bits<'_>,
        before: &mut i32,
        planes: &mut Planes,
        plane: usize,
        (column, row): (usize, usize),
    ) -> Option<()> {
        let (component, shape) = (self.component, self.shape);
        for y in 0..component.down {
            for x in 0..component.across {
                let mut coefficients = Matrix::default();
                self.read(bits, before, &mut coefficients)?;
                let left = (column * component.across + x) * shape.across;
                let top = (row * component.down + y) * shape.down;
                self.write_pixels(&coefficients, planes, plane, (left, top));
            }
        }
        Some(())
    }

    #[inline]
    fn read(&self, bits: &mut Bits<'_>, before: &mut i32, coefficients: &mut Matrix) -> Option<()> {
        bits.refill();
        let size = u32::from(self.component.dc.symbol(bits)?);
        if size > 0 {
            // In a damaged file, the sum of the differences can overflow.
            *before = before.wrapping_add(bits.signed(size));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "means of blocks have 12 bits; in a damaged file the value does not matter"
        )]
        let value = |number: i32| number as f32;
        coefficients[0][0] = value(*before) * self.factors[0];
        let mut at = 1;
        while at <= self.last_needed {
            let Code::Value { run, size } = next_code(&self.component.ac, bits)? else { return Some(()) };
            at += run;
            if size > 0 {
                let number = bits.signed(size);
                if let (Some(&(row, column)), Some(factor)) = (POSITIONS.get(at), self.factors.get(at)) {
                    // Coefficients outside the kept ones have the factor 0.
                    coefficients[usize::from(row) % MAX_BLOCK_SIDE][usize::from(column) % MAX_BLOCK_SIDE] +=
                        value(number) * factor;
                }
            }
            at += 1;
        }
        self.skip_rest(bits, at)
    }

    /// Skips the coefficients that are not needed.
    #[inline]
    fn skip_rest(&self, bits: &mut Bits<'_>, mut at: usize) -> Option<()> {
        while at < 64 {
            bits.refill();
            let step = step(&self.steps, bits);
            let after = at + step.coefficients();
            if step.bits() > 0 && after < 64 {
                bits.skip(step.bits());
                if step.ends() {
                    return Some(());
                }
                at = after;
            } else {
                let Code::Value { run, size } = next_code(&self.component.ac, bits)? else { return Some(()) };
                bits.skip(size);
                at += run + 1;
            }
        }
        (at == 64).then_some(())
    }

    #[inline]
    fn write_pixels(&self, coefficients: &Matrix, planes: &mut Planes, plane: usize, (left, top): (usize, usize)) {
        let Shape { across, down, .. } = self.shape;
        if (across, down) == (2, 2) {
            // Fast path for nearly all blocks of an image: here the transform consists only of sums.
            let [mean, over] = [coefficients[0][0] / 8.0, coefficients[0][1] / 8.0];
            let [under, cross] = [coefficients[1][0] / 8.0, coefficients[1][1] / 8.0];
            let (above, below) = ((mean + under, over + cross), (mean - under, over - cross));
            for (y, (even, odd)) in [above, below].into_iter().enumerate() {
                planes.set(plane, top + y, left, [byte(even + odd), byte(even - odd)]);
            }
            return;
        }
        let pixels = product(&self.down, &product(coefficients, &self.across));
        for (y, &[a, b, c, d]) in pixels[..down].iter().enumerate() {
            match across {
                2 => planes.set(plane, top + y, left, [byte(a), byte(b)]),
                _ => planes.set(plane, top + y, left, [byte(a), byte(b), byte(c), byte(d)]),
            }
        }
    }
}

/// Returns the product of two matrices.
#[inline]
fn product(left: &Matrix, right: &Matrix) -> Matrix {
    let mut product = Matrix::default();
    for y in 0..MAX_BLOCK_SIDE {
        for (between, row) in right.iter().enumerate() {
            for (x, value) in row.iter().enumerate() {
                product[y][x] += left[y][between] * value;
            }
        }
    }
    product
}

enum Code {
    /// A coefficient after `run` zeros. Its value has `size` bits; 0 means that it is zero too.
    Value { run: usize, size: u32 },
    /// The rest of the block is zero.
    End,
}

#[inline]
fn next_code(codes: &Huffman, bits: &mut Bits<'_>) -> Option<Code> {
    bits.refill();
    let symbol = codes.symbol(bits)?;
    let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
    match (run, size) {
        (0, 0) => Some(Code::End),
        (0..15, 0) => None,
        _ => Some(Code::Value { run, size }),
    }
}

/// Returns the inverse cosine transform with `pixels` points, scaled to the same mean as the eight points of JPEG.
/// The rows are pixels, the columns are frequencies.
fn weights(pixels: usize) -> Matrix {
    let mut weights = Matrix::default();
    #[expect(clippy::cast_precision_loss, reason = "numbers below ten")]
    for (pixel, weights) in weights.iter_mut().enumerate().take(pixels) {
        for (frequency, weight) in weights.iter_mut().enumerate().take(pixels) {
            let angle = (2 * pixel + 1) as f32 * frequency as f32 * std::f32::consts::PI / (2 * pixels) as f32;
            *weight = if frequency == 0 { std::f32::consts::FRAC_1_SQRT_2 / 2.0 } else { angle.cos() / 2.0 };
        }
    }
    weights
}

fn transposed(matrix: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| matrix[column][row]))
}

/// Converts a value to a byte. JPEG stores bytes as values around zero.
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the saturation of the cast is intended")]
fn byte(value: f32) -> u8 {
    (value + 128.5) as u8
}
