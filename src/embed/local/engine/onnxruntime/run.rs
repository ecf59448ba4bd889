//! Runs of a session on several threads at once.

#![expect(unsafe_code, reason = "ADR 0021: `Session::run` takes the session exclusively, on every device")]

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use ort::memory::Allocator;
use ort::session::Session;
use ort::value::DynValue;
use ort::{AsPointer as _, Error};

/// Runs a session on the CPU and returns one output. Other threads may run the session meanwhile.
pub(super) fn run_shared(session: &Session, inputs: &[(CString, DynValue)], output: &CStr) -> ort::Result<DynValue> {
    let names: Vec<_> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
    let values: Vec<_> = inputs.iter().map(|(_, value)| value.ptr()).collect();
    let mut result = ptr::null_mut();
    // SAFETY: ONNX Runtime allows concurrent runs of a session ("Multiple threads can invoke the Run() method on the same
    // inference session object"); the author of the crate doubts it for GPUs, and for them this function is not used. The
    // lists have the same length and live until the call returns, as do the texts and values that they point to.
    unsafe {
        let status = (ort::api().Run)(
            session.ptr().cast_mut(),
            ptr::null(),
            names.as_ptr(),
            values.as_ptr(),
            values.len(),
            &output.as_ptr(),
            1,
            &raw mut result,
        );
        Error::result_from_status(status)?;
        let result = NonNull::new(result).ok_or_else(|| Error::new("the run returned no output"))?;
        // The value owns the tensor. Its memory belongs to the CPU's allocator, which lives as long as the library.
        Ok(DynValue::from_ptr(result, Some(&Allocator::default())))
    }
}
