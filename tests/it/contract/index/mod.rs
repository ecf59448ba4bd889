//! The contract of the port [`ImageIndex`], one suite for every store. An index may hold other collections, so each
//! test uses collections with names of its own and drops them.

mod browse;
mod collections;
mod concurrency;
mod embedded;
mod filters;
mod near_pairs;
mod qdrant;
mod records;
mod search;
pub(crate) mod support;
pub(crate) mod weaviate;

use glimpse::index::ImageIndex;

/// Runs the whole contract.
pub(crate) async fn run_contract(index: &dyn ImageIndex) {
    collections::collections_are_created_found_or_refused(index).await;
    collections::an_unknown_collection_is_an_error(index).await;
    collections::a_dropped_collection_can_be_created_again(index).await;
    collections::an_alias_follows_its_collection_and_changes_nothing_else(index).await;
    records::upserted_records_are_found_and_deleted_ones_are_not(index).await;
    records::a_record_is_replaced_completely(index).await;
    records::the_last_record_of_a_batch_counts(index).await;
    records::a_wrong_dimension_is_rejected_and_nothing_is_written(index).await;
    records::scan_gives_every_id_in_order(index).await;
    search::an_empty_collection_has_no_hits(index).await;
    search::the_nearest_come_first_and_scores_are_cosines(index).await;
    search::ties_are_in_order_of_ids_on_every_page(index).await;
    search::an_exact_search_finds_the_nearest_of_all(index).await;
    search::every_level_of_effort_can_be_used(index).await;
    filters::each_filter_gives_what_matches_gives(index).await;
    near_pairs::similar_records_are_paired(index).await;
    browse::pages_facets_and_sums_agree_with_the_records(index).await;
    concurrency::readers_get_whole_records_while_writers_replace_them(index).await;
}
