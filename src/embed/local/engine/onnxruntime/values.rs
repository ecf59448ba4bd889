//! Values and types of ONNX Runtime from and to ours.

use half::f16;
use ort::value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::super::{Element, Input, Port};

/// Returns the type of an input or output in the network.
pub(super) fn element(outlet: &Outlet) -> Option<TensorElementType> {
    outlet.dtype().tensor_type()
}

/// Describes an input or output.
pub(super) fn port(outlet: &Outlet) -> Port {
    let element = match element(outlet) {
        // Values are converted to 16 bits if the network expects that.
        Some(TensorElementType::Float32 | TensorElementType::Float16) => Element::F32,
        Some(TensorElementType::Uint8) => Element::U8,
        Some(TensorElementType::Int32 | TensorElementType::Int64) => Element::Int,
        _ => Element::Other,
    };
    // A length that is not fixed is negative.
    let shape =
        outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&length| usize::try_from(length).ok()).collect());
    Port { name: outlet.name().to_owned(), element, shape: shape.unwrap_or_default() }
}

/// Converts the value of an input to the type that the network expects.
pub(super) fn to_value(input: Input, element: TensorElementType) -> ort::Result<DynValue> {
    Ok(match (input, element) {
        (Input::F32(tensor), TensorElementType::Float16) => value(tensor.map(|&value| f16::from_f32(value)))?,
        (Input::F32(tensor), _) => value(tensor)?,
        (Input::U8(tensor), _) => value(tensor)?,
        (Input::Int(tensor), TensorElementType::Int64) => value(tensor.map(|&value| i64::from(value)))?,
        (Input::Int(tensor), _) => value(tensor)?,
    })
}

/// Moves the numbers, without a copy.
fn value<T>(tensor: Tensor<T>) -> ort::Result<DynValue>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    let shape = tensor.shape().to_vec();
    Ok(OrtTensor::from_array((shape, tensor.into_data()))?.into_dyn())
}

/// Copies an output.
pub(super) fn from_value(value: &DynValue) -> Result<Tensor<f32>, String> {
    let (shape, numbers) = match value.try_extract_tensor::<f32>() {
        Ok((shape, numbers)) => (shape, numbers.to_vec()),
        Err(_) => {
            let (shape, numbers) = value.try_extract_tensor::<f16>().map_err(|error| error.to_string())?;
            (shape, numbers.iter().map(|value| value.to_f32()).collect())
        }
    };
    let shape: Option<Vec<usize>> = shape.iter().map(|&length| usize::try_from(length).ok()).collect();
    let shape = shape.ok_or("its output has a negative length")?;
    Tensor::try_from_data(&*shape, numbers).map_err(|error| error.to_string())
}
