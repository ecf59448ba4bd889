//! Where the values of an image are in a plane, and which of them belong to an output.

use crate::Window;

/// What follows from the parameters and the size of an image.
pub(crate) struct Geometry {
    /// Height and width of an image.
    pub(crate) size: [usize; 2],
    /// Height and width of an output.
    pub(crate) out: [usize; 2],
    /// Length of a row of a phase. The zeros at its end are also those before the next row.
    pub(crate) row: usize,
    /// Length of all phases.
    pub(crate) plane: usize,
    /// Number of sums to compute: rows of outputs, with values of no meaning between them.
    pub(crate) sums: usize,
    /// For each weight, the place in the plane of the value that it has in the first output.
    pub(crate) taps: Vec<usize>,
    pub(crate) rows: Vec<Row>,
}

/// The values of a row of an image that are in the same phase.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Place of the first value in the image.
    pub(crate) from: usize,
    /// Place of the first value in the plane.
    pub(crate) to: usize,
    pub(crate) count: usize,
}

impl Geometry {
    /// Returns `None` if the image with its padding is smaller than the filter. The number of sums is a multiple of
    /// `block`.
    pub(crate) fn new(window: &Window, size: [usize; 2], block: usize) -> Option<Self> {
        let &Window { kernel, strides, dilations, padding: [top, left, _, right] } = window;
        let [height, width] = size;
        let out = window.output(size)?;
        let row = (width + left.max(right)).div_ceil(strides[1]).max(out[1]);
        let sums = ((out[0] - 1) * row + out[1]).next_multiple_of(block);
        // The phase of a padded coordinate, and the place in it.
        let phase = |y: usize, x: usize| y % strides[0] * strides[1] + x % strides[1];
        let place = |y: usize, x: usize| y / strides[0] * row + x / strides[1];
        let taps = (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y * dilations[0], x * dilations[1])));
        let last_tap = place((kernel[0] - 1) * dilations[0], (kernel[1] - 1) * dilations[1]);
        let rows = (0..height).flat_map(|y| (0..strides[1].min(width)).map(move |x| (y, x)));
        let last_value = place(height + top - 1, width + left - 1);
        let length = (last_tap + sums).max(last_value + 1);
        Some(Self {
            size,
            out,
            row,
            plane: length * strides[0] * strides[1],
            sums,
            taps: taps.map(|(y, x)| phase(y, x) * length + place(y, x)).collect(),
            rows: rows
                .map(|(y, x)| Row {
                    from: y * width + x,
                    to: phase(y + top, x + left) * length + place(y + top, x + left),
                    count: (width - x).div_ceil(strides[1]),
                })
                .collect(),
        })
    }
}
