//! The OpenAPI schemas of the properties of a filter.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};

use crate::domain::MAX_FILTER_VALUES;

const FORMAT: &str = "^!?(jpeg|png|webp|gif|tiff|bmp|heic|avif|jxl|raw)$";
const FOLDER: &str = "/$";
const MONTH: &str = "^!?([0-9]{4}-)?(0?[1-9]|1[0-2])$";

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn formats() -> RefOr<Schema> {
    list(text(Some(FORMAT)))
}

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn folders() -> RefOr<Schema> {
    list(text(Some(FOLDER)))
}

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn texts() -> RefOr<Schema> {
    list(text(None))
}

/// Returns the schema of a query parameter that can be repeated.
pub(super) fn months() -> RefOr<Schema> {
    list(text(Some(MONTH)))
}

pub(super) fn camera_values() -> RefOr<Schema> {
    values("Only images taken with this camera, by its whole name.", None)
}

pub(super) fn month_values() -> RefOr<Schema> {
    values("Only images taken in this month: `2024-06`, or `06` for June of any year.", Some(MONTH))
}

pub(super) fn format_values() -> RefOr<Schema> {
    values(
        "Only images of this format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic`, `avif`, `jxl` or `raw`.",
        Some(FORMAT),
    )
}

pub(super) fn folder_values() -> RefOr<Schema> {
    values("Only keys in this folder; it must end with `/`.", Some(FOLDER))
}

pub(super) fn meta_values() -> RefOr<Schema> {
    let scalar =
        || ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]));
    let values = OneOfBuilder::new().title(Some("a string, a number, true or false, or a list of them")).description(
        Some("A value, or `LOW..HIGH`: a range of numbers or dates. A number or boolean is the same as its text."),
    );
    let values: RefOr<Schema> = values.item(scalar()).item(list(scalar())).item(null()).into();
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("Only images with these metadata values."))
        .additional_properties(Some(AdditionalProperties::RefOr(values)))
        .into()
}

fn values(description: &str, pattern: Option<&str>) -> RefOr<Schema> {
    OneOfBuilder::new().description(Some(description)).item(text(pattern)).item(list(text(pattern))).item(null()).into()
}

fn list(item: ObjectBuilder) -> RefOr<Schema> {
    ArrayBuilder::new().items(item).max_items(Some(MAX_FILTER_VALUES)).into()
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

fn text(pattern: Option<&str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(pattern)
}
