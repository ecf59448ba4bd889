//! The convolutions of random shapes, compared with the definition in ONNX.

use depthwise::{Clip, Depthwise, Parameters, Simd};

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }

    fn pair(&mut self, max: usize) -> [usize; 2] {
        [self.below(max) + 1, self.below(max) + 1]
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| f32::from(u16::try_from(self.below(2_001)).unwrap_or_default()) / 1_000.0 - 1.0).collect()
    }
}

/// Returns the shape of the outputs and the outputs; `None` if the image is smaller than the filter.
fn definition(parameters: &Parameters, values: &[f32], shape: [usize; 4]) -> Option<([usize; 4], Vec<f32>)> {
    let Parameters { groups, kernel, strides, dilations, padding, weights, bias, clip_input, clip_output } = parameters;
    let [batch, channels, height, width] = shape;
    let outputs = |length: usize, axis: usize| {
        Some(length.checked_sub((kernel[axis] - 1) * dilations[axis] + 1)? / strides[axis] + 1)
    };
    let out = [outputs(height + padding[0] + padding[2], 0)?, outputs(width + padding[1] + padding[3], 1)?];
    let mut result = Vec::new();
    let filters = bias.len() / groups;
    for (image, channel) in (0..batch).flat_map(|image| (0..bias.len()).map(move |channel| (image, channel))) {
        let plane = image * channels + channel / filters;
        for (out_y, out_x) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
            let mut sum = bias[channel];
            for (kernel_y, kernel_x) in (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y, x))) {
                let y = (out_y * strides[0] + kernel_y * dilations[0]).checked_sub(padding[0]);
                let x = (out_x * strides[1] + kernel_x * dilations[1]).checked_sub(padding[1]);
                if let (Some(y), Some(x)) = (y.filter(|y| *y < height), x.filter(|x| *x < width)) {
                    let value = values[(plane * height + y) * width + x].clamp(clip_input.min, clip_input.max);
                    sum += value * weights[(channel * kernel[0] + kernel_y) * kernel[1] + kernel_x];
                }
            }
            result.push(sum.clamp(clip_output.min, clip_output.max));
        }
    }
    Some(([batch, bias.len(), out[0], out[1]], result))
}

#[test]
fn every_instruction_set_computes_what_onnx_defines() {
    let mut random = Random(7);
    let mut compared = 0;
    while compared < 600 {
        let (kernel, strides, dilations) = (random.pair(7), random.pair(4), random.pair(3));
        let padding = std::array::from_fn(|_| random.below(5));
        let shape = [random.below(2) + 1, random.below(33) + 1, random.below(40) + 1, random.below(40) + 1];
        let clips = [[Clip::NONE; 2], [Clip { min: 0.0, max: 0.8 }, Clip { min: -0.5, max: 2.0 }]][random.below(2)];
        let filters = random.below(2) + 1;
        let parameters = Parameters {
            groups: shape[1],
            kernel,
            strides,
            dilations,
            padding,
            weights: random.floats(filters * shape[1] * kernel[0] * kernel[1]),
            bias: random.floats(filters * shape[1]),
            clip_input: clips[0],
            clip_output: clips[1],
        };
        let values = random.floats(shape.iter().product());
        let expected = definition(&parameters, &values, shape);
        let convolution = Depthwise::new(parameters.clone()).unwrap();
        for simd in Simd::available() {
            let mut result = values.clone();
            let out = convolution.apply(&mut result, shape, simd);
            assert_eq!(out, expected.as_ref().map(|(out, _)| *out), "{simd:?} {shape:?} {parameters:?}");
            let Some((_, expected)) = &expected else {
                assert_eq!(result, values);
                continue;
            };
            assert_eq!(result.len(), expected.len());
            let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
            assert!(result.iter().zip(expected).all(is_near), "{simd:?} {shape:?} {parameters:?}");
            compared += 1;
        }
    }
}

#[test]
fn parameters_and_shapes_that_do_not_fit_are_refused() {
    let parameters = Parameters {
        groups: 2,
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        padding: [1; 4],
        weights: vec![1.0; 18],
        bias: vec![0.0; 2],
        clip_input: Clip::NONE,
        clip_output: Clip::NONE,
    };
    let convolution = Depthwise::new(parameters.clone()).unwrap();
    let mut values = vec![1.0; 32];
    for shape in [[1, 3, 4, 4], [1, 2, 4, 5], [1, 2, 0, 0], [usize::MAX, 2, 4, 4], [2, 2, 4, 4]] {
        assert_eq!(convolution.apply(&mut values, shape, Simd::fastest()), None, "{shape:?}");
    }
    assert_eq!(values, [1.0; 32]);
    let changed = |change: &dyn Fn(&mut Parameters)| {
        let mut parameters = parameters.clone();
        change(&mut parameters);
        Depthwise::new(parameters)
    };
    assert!(changed(&|parameters| parameters.strides = [0, 1]).is_none());
    assert!(changed(&|parameters| parameters.strides = [1, 5]).is_none());
    assert!(changed(&|parameters| parameters.dilations = [1, 0]).is_none());
    assert!(changed(&|parameters| parameters.padding = [0, 0, 0, usize::MAX]).is_none());
    assert!(changed(&|parameters| parameters.groups = 0).is_none());
    assert!(changed(&|parameters| parameters.groups = 3).is_none());
    assert!(changed(&|parameters| parameters.bias.clear()).is_none());
    assert!(changed(&|parameters| parameters.weights.truncate(17)).is_none());
}
