//! SigLIP 2 with images of any size (NaFlex), which is not supported. It takes patches in place of pixels.

/// Whether this name of a model is that of a NaFlex.
pub(crate) fn is_naflex(name: &str) -> bool {
    name.to_lowercase().contains("naflex")
}

/// Returns why a NaFlex cannot be used and what can; `such_as` is the name of a model with a fixed size.
pub(crate) fn refusal(such_as: &str) -> String {
    format!(
        "it takes images of any size (NaFlex), which are not supported; use a SigLIP 2 with a fixed size, such as {such_as}"
    )
}
