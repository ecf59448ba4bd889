//! The OpenAPI document changes only on purpose.

#[test]
fn the_description_is_as_reviewed() {
    insta::assert_json_snapshot!(glimpse::api::document(), {".info.version" => "[version]"});
}
