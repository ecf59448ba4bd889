//! `/backups`: reads the data folder as it was at one moment.

mod error;
mod reply;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::http::{ApiError, ErrorReply, FileBytes, MaybeJson, Path, Query};
use crate::backup::Backups;

pub use reply::{
    BackupChunkReply, BackupChunksReply, BackupFileReply, BackupFilesReply, BackupReply, EndedBackupReply,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_backup, end_backup))
        .routes(routes!(list_backup_files))
        .routes(routes!(list_backup_chunks))
        .routes(routes!(get_backup_chunk))
}

/// Routes without a timeout: the copy of the databases takes as long as they are large.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(begin_backup))
}

/// What a backup contains. Every field is optional, and so is the body.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Whether the backup has the objects of the embedded bucket; `true` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<bool>,
}

/// Begin a backup: the ledger, the embedded index and the embedded bucket as they are at this moment.
///
/// There is at most one backup at a time. It ends by `DELETE /backups/{id}`, or 10 minutes after its last request. It
/// contains all data and the credentials of the embedded bucket.
#[utoipa::path(post, path = "/backups", tag = "backups", request_body = Option<BackupRequest>,
    responses((status = 201, body = BackupReply), (status = 409, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn begin_backup(
    State(backups): State<Backups>,
    MaybeJson(request): MaybeJson<BackupRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<BackupReply>), ApiError> {
    let backup = backups.begin(request.objects.unwrap_or(true)).await?;
    let location = [(header::LOCATION, format!("/backups/{}", backup.id()))];
    Ok((StatusCode::CREATED, location, axum::Json(BackupReply::new(&backup))))
}

/// Return a backup that was begun.
#[utoipa::path(get, path = "/backups/{id}", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = BackupReply), (status = 404, body = ErrorReply)))]
async fn get_backup(
    State(backups): State<Backups>,
    Path(id): Path<String>,
) -> Result<axum::Json<BackupReply>, ApiError> {
    Ok(axum::Json(BackupReply::new(&*backups.get(&id)?)))
}

/// End a backup. Its copies of databases are removed.
#[utoipa::path(delete, path = "/backups/{id}", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = EndedBackupReply), (status = 404, body = ErrorReply)))]
async fn end_backup(
    State(backups): State<Backups>,
    Path(id): Path<String>,
) -> Result<axum::Json<EndedBackupReply>, ApiError> {
    backups.end(&id)?;
    Ok(axum::Json(EndedBackupReply { id, status: "ended".to_owned() }))
}

/// The query parameters of the files of a backup.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FilesParams {
    /// `next` of the page before; the first page by default.
    cursor: Option<String>,
}

/// List the files of a backup, in pages of at most 1,000. A page can be empty; the last one has no `next`.
#[utoipa::path(get, path = "/backups/{id}/files", tag = "backups", params(("id" = String, Path), FilesParams),
    responses((status = 200, body = BackupFilesReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn list_backup_files(
    State(backups): State<Backups>,
    Path(id): Path<String>,
    Query(FilesParams { cursor }): Query<FilesParams>,
) -> Result<axum::Json<BackupFilesReply>, ApiError> {
    Ok(axum::Json(backups.get(&id)?.files(cursor).await?.into()))
}

/// The query parameters of the chunks of a file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChunksParams {
    /// The path of the file.
    path: String,
    /// The number of the first chunk; 0 by default.
    #[serde(default)]
    #[param(default = 0)]
    from: u64,
}

/// List the hashes of the chunks of a file, at most 256 in a page. Each chunk has 1,048,576 bytes; the last one of a file
/// is shorter.
#[utoipa::path(get, path = "/backups/{id}/chunks", tag = "backups", params(("id" = String, Path), ChunksParams),
    responses((status = 200, body = BackupChunksReply), (status = 404, body = ErrorReply)))]
async fn list_backup_chunks(
    State(backups): State<Backups>,
    Path(id): Path<String>,
    Query(ChunksParams { path, from }): Query<ChunksParams>,
) -> Result<axum::Json<BackupChunksReply>, ApiError> {
    Ok(axum::Json(backups.get(&id)?.chunks(path, from).await?.into()))
}

/// The query parameters of a chunk.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ChunkParams {
    /// The path of the file.
    path: String,
    /// The number of the chunk; 0 by default.
    #[serde(default)]
    #[param(default = 0)]
    number: u64,
}

/// Return a chunk of a file. The header `Content-Digest` has its SHA-256 (RFC 9530). After the end of the file it is empty.
#[utoipa::path(get, path = "/backups/{id}/content", tag = "backups", params(("id" = String, Path), ChunkParams),
    responses((status = 200, description = "the chunk", content_type = "application/octet-stream", body = inline(FileBytes)),
        (status = 404, body = ErrorReply)))]
async fn get_backup_chunk(
    State(backups): State<Backups>,
    Path(id): Path<String>,
    Query(ChunkParams { path, number }): Query<ChunkParams>,
) -> Result<Response, ApiError> {
    let chunk = backups.get(&id)?.chunk(path, number).await?;
    let digest = STANDARD.encode(hex::decode(&chunk.sha256).unwrap_or_default());
    let headers = [
        (HeaderName::from_static("content-digest"), format!("sha-256=:{digest}:")),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, chunk.bytes).into_response())
}
