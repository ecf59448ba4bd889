//! The convolutions of random shapes, compared with the definition in ONNX.

use convolution::{Clip, Dense, Depthwise, Parameters, Simd, Window, Workspace};

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

    fn window(&mut self) -> Window {
        let (kernel, strides, dilations) = (self.pair(7), self.pair(4), self.pair(3));
        Window { kernel, strides, dilations, padding: std::array::from_fn(|_| self.below(5)) }
    }

    fn clips(&mut self) -> [Clip; 2] {
        [[Clip::NONE; 2], [Clip { min: 0.0, max: 0.8 }, Clip { min: -0.5, max: 2.0 }]][self.below(2)]
    }
}

/// A convolution with groups. `limit` changes the input values.
struct Definition<'a> {
    window: Window,
    groups: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    limit: Clip,
}

impl Definition<'_> {
    /// Returns the shape of the outputs and the outputs; `None` if the image is smaller than the filter.
    fn apply(&self, values: &[f32], shape: [usize; 4]) -> Option<([usize; 4], Vec<f32>)> {
        let Window { kernel, strides, dilations, padding } = self.window;
        let [batch, channels, height, width] = shape;
        let outputs = |length: usize, axis: usize| {
            Some(length.checked_sub((kernel[axis] - 1) * dilations[axis] + 1)? / strides[axis] + 1)
        };
        let out = [outputs(height + padding[0] + padding[2], 0)?, outputs(width + padding[1] + padding[3], 1)?];
        let (inputs, filters, area) = (channels / self.groups, self.bias.len() / self.groups, kernel[0] * kernel[1]);
        let mut result = Vec::new();
        for (image, channel) in (0..batch).flat_map(|image| (0..self.bias.len()).map(move |channel| (image, channel))) {
            for (out_y, out_x) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
                let mut sum = self.bias[channel];
                for at in 0..inputs * area {
                    let plane = image * channels + channel / filters * inputs + at / area;
                    let y = (out_y * strides[0] + at % area / kernel[1] * dilations[0]).checked_sub(padding[0]);
                    let x = (out_x * strides[1] + at % kernel[1] * dilations[1]).checked_sub(padding[1]);
                    if let (Some(y), Some(x)) = (y.filter(|y| *y < height), x.filter(|x| *x < width)) {
                        let value = values[(plane * height + y) * width + x].clamp(self.limit.min, self.limit.max);
                        sum += value * self.weights[channel * inputs * area + at];
                    }
                }
                result.push(sum);
            }
        }
        Some(([batch, self.bias.len(), out[0], out[1]], result))
    }
}

fn clipped(values: &[f32], clip: Clip) -> Vec<f32> {
    values.iter().map(|value| value.clamp(clip.min, clip.max)).collect()
}

/// The sums of a large filter have larger rounding errors, in any order.
fn assert_near(result: &[f32], expected: &[f32], name: &dyn std::fmt::Debug) {
    assert_eq!(result.len(), expected.len(), "{name:?}");
    let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 5e-5 * b.abs().max(1.0);
    let wrong: Vec<_> = result.iter().zip(expected).enumerate().filter(|(_, pair)| !is_near(*pair)).take(8).collect();
    assert!(wrong.is_empty(), "{name:?} {wrong:?}");
}

/// Returns one workspace for each instruction set. All convolutions use them, so that none depends on their content.
fn workspaces() -> Vec<Workspace> {
    Simd::available().map(Workspace::new).collect()
}

#[test]
fn depthwise_convolutions_compute_what_onnx_defines() {
    let (mut random, mut workspaces, mut shapes) = (Random(7), workspaces(), 0);
    while shapes < 1_000 {
        let window = random.window();
        let shape = [random.below(2) + 1, random.below(33) + 1, random.below(40) + 1, random.below(40) + 1];
        let (clips, filters) = (random.clips(), random.below(2) + 1);
        let weights = random.floats(filters * shape[1] * window.kernel[0] * window.kernel[1]);
        let bias = random.floats(filters * shape[1]);
        let values = random.floats(shape.iter().product());
        let definition = Definition { window, groups: shape[1], weights: &weights, bias: &bias, limit: clips[0] }
            .apply(&values, shape);
        let parameters = Parameters {
            groups: shape[1],
            window,
            weights: weights.clone(),
            bias: bias.clone(),
            clip_input: clips[0],
            clip_output: clips[1],
        };
        let convolution = Depthwise::new(parameters, None).unwrap();
        shapes += usize::from(definition.is_some());
        for workspace in &mut workspaces {
            let result = convolution.apply(&values, shape, workspace);
            assert_eq!(result.is_some(), definition.is_some(), "{shape:?} {window:?}");
            let Some(((result, out), (expected_out, expected))) = result.zip(definition.as_ref()) else { continue };
            assert_eq!(out, *expected_out, "{shape:?} {window:?}");
            assert_near(&result, &clipped(expected, clips[1]), &(shape, window));
            workspace.recycle(vec![f32::NAN; result.len()]);
        }
    }
}

#[test]
fn dense_convolutions_compute_what_onnx_defines() {
    let (mut random, mut workspaces, mut shapes) = (Random(8), workspaces(), 0);
    while shapes < 1_000 {
        let window = if random.below(2) == 0 { Window::POINT } else { random.window() };
        let shape = [random.below(2) + 1, random.below(33) + 1, random.below(24) + 1, random.below(24) + 1];
        let ([clip, _], outputs) = (random.clips(), random.below(20) + 1);
        let weights = random.floats(outputs * shape[1] * window.kernel[0] * window.kernel[1]);
        let (bias, values) = (random.floats(outputs), random.floats(shape.iter().product()));
        let definition =
            Definition { window, groups: 1, weights: &weights, bias: &bias, limit: Clip::NONE }.apply(&values, shape);
        let length = definition.as_ref().map_or(0, |(_, expected)| expected.len());
        let addend = (random.below(2) == 0).then(|| random.floats(length));
        let convolution = Dense::new(&weights, &bias, window, clip).unwrap();
        shapes += usize::from(definition.is_some());
        for workspace in &mut workspaces {
            let result = convolution.apply(&values, shape, addend.as_deref(), workspace);
            assert_eq!(result.is_some(), definition.is_some(), "{shape:?} {window:?}");
            let Some(((result, out), (expected_out, expected))) = result.zip(definition.as_ref()) else { continue };
            assert_eq!(out, *expected_out, "{shape:?} {window:?}");
            let expected =
                expected.iter().enumerate().map(|(at, value)| value + addend.as_ref().map_or(0.0, |all| all[at]));
            assert_near(&result, &clipped(&expected.collect::<Vec<_>>(), clip), &(shape, window));
        }
    }
}

#[test]
fn a_dense_convolution_before_a_depthwise_one_is_computed_with_it() {
    let (mut random, mut compared) = (Random(9), 0);
    let mut workspaces = workspaces();
    while compared < 200 {
        let (first, second) = ([Window::POINT, random.window()][random.below(2)], random.window());
        let shape = [random.below(2) + 1, random.below(9) + 1, random.below(30) + 1, random.below(30) + 1];
        let (clips, channels) = (random.clips(), random.below(20) + 1);
        let weights = random.floats(channels * shape[1] * first.kernel[0] * first.kernel[1]);
        let (bias, values) = (random.floats(channels), random.floats(shape.iter().product()));
        let dense = || Dense::new(&weights, &bias, first, clips[0]);
        let parameters = Parameters {
            groups: channels,
            window: second,
            weights: random.floats(channels * second.kernel[0] * second.kernel[1]),
            bias: random.floats(channels),
            clip_input: Clip::NONE,
            clip_output: clips[1],
        };
        let alone = Depthwise::new(parameters.clone(), None).unwrap();
        let both = Depthwise::new(parameters, dense()).unwrap();
        for workspace in &mut workspaces {
            let between = dense().unwrap().apply(&values, shape, None, workspace);
            let expected = between.and_then(|(values, shape)| alone.apply(&values, shape, workspace));
            let result = both.apply(&values, shape, workspace);
            assert_eq!(result.is_some(), expected.is_some(), "{shape:?} {first:?} {second:?}");
            let Some(((result, out), (expected, expected_out))) = result.zip(expected) else { continue };
            assert_eq!(out, expected_out);
            assert_near(&result, &expected, &(shape, first, second));
            compared += 1;
        }
    }
}

#[test]
fn parameters_and_shapes_that_do_not_fit_are_refused() {
    let window = Window { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], padding: [1; 4] };
    let (bias, limits) = (vec![0.0; 2], Clip::NONE);
    let weights = vec![1.0; 18];
    let parameters = Parameters { groups: 2, window, weights, bias, clip_input: limits, clip_output: limits };
    let mut workspace = Workspace::new(Simd::fastest());
    let depthwise = Depthwise::new(parameters.clone(), None).unwrap();
    let dense = Dense::new(&[1.0; 36], &[0.0; 2], window, limits).unwrap();
    let values = [1.0; 32];
    for shape in [[1, 3, 4, 4], [1, 2, 4, 5], [1, 2, 0, 0], [usize::MAX, 2, 4, 4], [2, 2, 4, 4]] {
        assert!(depthwise.apply(&values, shape, &mut workspace).is_none(), "{shape:?}");
        assert!(dense.apply(&values, shape, None, &mut workspace).is_none(), "{shape:?}");
    }
    assert!(dense.apply(&values, [1, 2, 4, 4], Some(&[0.0; 31]), &mut workspace).is_none());
    let windows = [
        Window { strides: [0, 1], ..window },
        Window { strides: [1, 5], ..window },
        Window { dilations: [1, 0], ..window },
        Window { padding: [0, 0, 0, usize::MAX], ..window },
    ];
    for window in windows {
        assert!(Depthwise::new(Parameters { window, ..parameters.clone() }, None).is_none(), "{window:?}");
        assert!(Dense::new(&[1.0; 36], &[0.0; 2], window, limits).is_none(), "{window:?}");
    }
    for groups in [0, 3] {
        assert!(Depthwise::new(Parameters { groups, ..parameters.clone() }, None).is_none(), "{groups}");
    }
    assert!(Depthwise::new(Parameters { bias: Vec::new(), ..parameters.clone() }, None).is_none());
    assert!(Depthwise::new(Parameters { weights: vec![1.0; 17], ..parameters.clone() }, None).is_none());
    assert!(Depthwise::new(parameters, Dense::new(&[1.0; 3], &[0.0; 3], Window::POINT, limits)).is_none());
    for (weights, bias) in [(&[1.0; 36][..35], &[0.0; 2][..]), (&[1.0; 36], &[]), (&[], &[0.0])] {
        assert!(Dense::new(weights, bias, window, limits).is_none());
    }
}
