//! The OpenAPI schemas of the properties of a filter.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};

use crate::domain::MAX_FILTER_VALUES;

const FORMAT: &str = "^!?(jpeg|png|webp|gif)$";
const FOLDER: &str = "/$";

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn formats() -> RefOr<Schema> {
    list(Some(FORMAT))
}

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn folders() -> RefOr<Schema> {
    list(Some(FOLDER))
}

pub(super) fn format_values() -> RefOr<Schema> {
    values("Only images of this format: `jpeg`, `png`, `webp` or `gif`.", Some(FORMAT))
}

pub(super) fn folder_values() -> RefOr<Schema> {
    values("Only keys in this folder; it must end with `/`.", Some(FOLDER))
}

pub(super) fn meta_values() -> RefOr<Schema> {
    let values = values("A value, or `LOW..HIGH`: a range of numbers or dates.", None);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("Only images with these metadata values."))
        .additional_properties(Some(AdditionalProperties::RefOr(values)))
        .into()
}

fn values(description: &str, pattern: Option<&str>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().description(Some(description)).item(text(pattern)).item(list(pattern)).item(null).into()
}

fn list(pattern: Option<&str>) -> RefOr<Schema> {
    ArrayBuilder::new().items(text(pattern)).max_items(Some(MAX_FILTER_VALUES)).into()
}

fn text(pattern: Option<&str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(pattern)
}
