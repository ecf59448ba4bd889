//! Repositories whose files are in other repositories.

/// Repositories of weights, each with an export of them to ONNX, with separate towers.
const ONNX_EXPORTS: [(&str, &str); 4] = [
    ("openai/clip-vit-base-patch32", "Xenova/clip-vit-base-patch32"),
    ("openai/clip-vit-base-patch16", "Xenova/clip-vit-base-patch16"),
    ("openai/clip-vit-large-patch14", "Xenova/clip-vit-large-patch14"),
    ("openai/clip-vit-large-patch14-336", "Xenova/clip-vit-large-patch14-336"),
];

/// Repositories with only an image tower, each with the repository of its text tower.
const TEXT_REPOSITORIES: [(&str, &str); 3] = [
    ("Qdrant/clip-ViT-B-32-vision", "Qdrant/clip-ViT-B-32-text"),
    ("nomic-ai/nomic-embed-vision-v1", "nomic-ai/nomic-embed-text-v1"),
    ("nomic-ai/nomic-embed-vision-v1.5", "nomic-ai/nomic-embed-text-v1.5"),
];

/// Returns the repository with the towers, with the given revision.
pub(crate) fn export_of(model: &str) -> String {
    let (id, revision) = model.split_once('@').map_or((model, None), |(id, revision)| (id, Some(revision)));
    match (ONNX_EXPORTS.iter().find(|(weights, _)| *weights == id), revision) {
        (Some((_, export)), None) => (*export).to_owned(),
        // A revision of the weights is not a revision of the export.
        _ => model.to_owned(),
    }
}

/// Returns the repository of the text tower, if it is not in the repository `id` itself.
pub(crate) fn text_repository(id: &str) -> Option<&'static str> {
    TEXT_REPOSITORIES.iter().find(|(image, _)| *image == id).map(|(_, text)| *text)
}
