//! Prints the result of a check.

use super::catalogue::{speed, wrapped};
use crate::app::models::ModelCheck;

/// Returns a table with one property in each row, and a sentence about the result.
pub(super) fn describe(check: &ModelCheck) -> String {
    let demo = &check.demo;
    let mut rows = vec![("model", check.model.clone())];
    if let Some(details) = &check.details {
        rows.push(("layout", details.layout.to_owned()));
        rows.push(("precision", details.precision.to_string()));
        for (name, tower) in [("images", &details.image), ("texts", &details.text)] {
            rows.push((name, format!("{} ({})", tower.rules, tower.network)));
            rows.push(("  read from", tower.read_from.join(", ")));
        }
        let own = &check.preprocessing;
        let is_changed = !details.image.rules.starts_with(own.split('+').next().unwrap_or(own));
        rows.extend(is_changed.then(|| ("  here", format!("{own} (IMAGE_RESIZE)"))));
    } else {
        rows.push(("files", "inside the binary".to_owned()));
        rows.push(("images", check.preprocessing.clone()));
    }
    rows.push(("image size", format!("{0} x {0} pixels", check.image_size)));
    rows.push(("dimension", check.dimension.to_string()));
    rows.push(("probes", "both towers return vectors that depend on their inputs".to_owned()));
    let of_queries = |found: usize| format!("{found} of {} known queries of the demo images", demo.queries);
    rows.push(("found first", format!("{}; {:.1} by chance", of_queries(demo.found_first), demo.chance)));
    rows.push(("found in five", of_queries(demo.found_in_five)));
    let distinguishes = |usable: bool| if usable { "has a relevance" } else { "does not tell the demo images apart" };
    rows.push(("search by text", distinguishes(demo.is_text_usable).to_owned()));
    rows.push(("search by image", distinguishes(demo.is_image_usable).to_owned()));
    let on = format!("{} threads, {}", check.threads, check.processor);
    rows.push(("engine", check.engine.clone()));
    rows.push(("images/s", format!("{} ({on})", speed(demo.images_per_second))));
    rows.push(("texts/s", format!("{}, one after the other", speed(demo.texts_per_second))));
    let memory = check.peak_memory_bytes.map(|bytes| format!("{:.0} MB at most, the whole process", bytes / 1e6));
    rows.extend(memory.map(|memory| ("memory", memory)));
    rows.push(("loaded in", format!("{:.1} s", check.load_seconds)));
    rows.extend(
        check.restricted_licence.map(|licence| ("licence", format!("{licence}: commercial use is not allowed"))),
    );
    let mut table = wrapped(&["property", "value"]);
    table.add_rows(rows.into_iter().map(|(name, value)| [name.to_owned(), value]));
    format!("{table}\n\n{}", conclusion(check))
}

fn conclusion(check: &ModelCheck) -> &'static str {
    if check.demo.is_text_usable {
        "The model is sound."
    } else {
        "The model is sound: it loads, and both towers work. But its texts find images\n\
         hardly better than chance, as with random weights: do not search with it."
    }
}
