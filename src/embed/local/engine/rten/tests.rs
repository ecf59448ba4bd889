use std::path::Path;

use super::graph::Kernel;
use super::*;

const MODELS: [&str; 3] = [
    "models/glimpse-mini-1/image.onnx",
    "tests/data/families/mobileclip/onnx/vision_model.onnx",
    "tests/data/families/mobileclip2/visual.onnx",
];

fn load(file: &str) -> RtenNetwork {
    RtenNetwork::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Returns images of noise in the size that the network expects.
fn images(network: &RtenNetwork, count: usize, side: usize) -> Vec<(NodeId, Value)> {
    let side = network.inputs[0].shape.get(2).copied().flatten().unwrap_or(side);
    let noise = |at: usize| f32::from(u16::try_from(at * 7919 % 251).unwrap()) / 125.0 - 1.0;
    let pixels = (0..count * 3 * side * side).map(noise).collect::<Vec<_>>();
    vec![(network.model.input_ids()[0], Tensor::from_data(&[count, 3, side, side], pixels).into())]
}

#[test]
fn networks_with_depthwise_convolutions_have_the_same_result_as_rten() {
    for (file, side) in MODELS.into_iter().zip([260, 64, 64]) {
        let network = load(file);
        let output = network.outputs[0].name.clone();
        let id = network.model.output_ids()[0];
        let inputs = images(&network, 2, side);
        let views = inputs.iter().map(|(id, value)| (*id, value.into())).collect();
        let [expected] = network.model.run_n(views, [id], Some(RunOptions::default())).unwrap();
        let expected = expected.into_tensor::<f32>().unwrap().into_data();
        for dense in [false, true] {
            let plan = Plan::new(&network.model, &network.nodes, &output, dense).unwrap();
            let result = plan.run(&network.model, &inputs, id, &RunOptions::default()).expect(file);
            let result = result.into_tensor::<f32>().unwrap().into_data();
            assert_eq!(result.len(), expected.len());
            let greatest = expected.iter().copied().map(f32::abs).fold(0.0, f32::max);
            let difference = result.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 1e-5 * greatest, "{file}: {difference} of {greatest}");
        }
    }
}

#[test]
fn all_convolutions_of_the_built_in_model_are_found() {
    let network = load(MODELS[0]);
    let graph = graph::Graph::new(&network.model, &network.nodes, "image_embeds");
    let count = |dense, kind: fn(&Kernel) -> bool| {
        let nodes = |found: graph::Convolution<'_>| kind(&found.kernel).then_some(found.nodes.len());
        let mut counts = [0; 5];
        graph.convolutions(dense).into_iter().filter_map(nodes).for_each(|count| counts[count] += 1);
        counts
    };
    let is_depthwise: fn(&Kernel) -> bool = |kernel| matches!(kernel, Kernel::Depthwise(_));
    // Each is between two limits of values, and has a dense convolution before it.
    assert_eq!(count(false, is_depthwise), [0, 0, 0, 21, 0]);
    assert_eq!(count(true, is_depthwise), [0, 0, 0, 0, 21]);
    // Of the others, fourteen have an addition after them, and the last one has limits.
    assert_eq!(count(true, |kernel| matches!(kernel, Kernel::Dense(_))), [0, 7, 15, 0, 0]);
}

#[test]
fn networks_without_depthwise_convolutions_are_left_to_rten() {
    for file in ["tests/data/clip-tiny/onnx/vision_model.onnx", "models/glimpse-mini-1/text.onnx"] {
        assert!(load(file).nodes.is_empty(), "{file}");
    }
}

#[test]
fn a_plan_that_differs_from_rten_is_not_used() {
    let network = load(MODELS[0]);
    let mut wrong = network.nodes.clone();
    let candidates: Vec<usize> = (0..wrong.len()).filter(|&at| graph::is_candidate(&wrong[at])).collect();
    // Both have 144 filters of 3 x 3.
    wrong[candidates[2]].input[1] = wrong[candidates[3]].input[1].clone();
    let inputs = images(&network, 1, 260);
    let agrees = |nodes, dense| {
        let plan = Plan::new(&network.model, nodes, "image_embeds", dense).unwrap();
        plan.agrees(&network.model, &inputs, &RunOptions::default())
    };
    for dense in [false, true] {
        assert!(agrees(&network.nodes, dense));
        assert!(!agrees(&wrong, dense));
    }
}
