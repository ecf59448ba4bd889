//! Prints the models of the catalogue.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table};

use super::size;
use crate::app::models::{
    CatalogueModel, CommercialUse, Languages, ListedModel, Measurement, Precision, Recommendation,
};
use crate::cli::out;

/// Width of a terminal that every user has.
const WIDTH: u16 = 80;

const LEGEND: &str = "\
*  recommended    ?  not verified    -  not known
COCO: published text-to-image recall@1 in %. HERE/S: images per second on this
machine, measured by `glimpse models check NAME`. `glimpse models show NAME` has
everything that is known. MODEL is a value of CLIP_MODEL; its repository has the
revision after @, or `main`.";

/// Returns a table that fits into 80 columns.
pub(super) fn list(models: &[ListedModel]) -> String {
    let mut table = out::table(&["model", "size", "px", "coco", "texts", "licence", "here/s"]);
    for ListedModel { model, measured } in models {
        let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let mark = |field: &str| if model.is_unverified(field) { "?" } else { "" };
        let revision = revision(model).map_or_else(String::new, |revision| format!("@{revision}"));
        let name = format!("{}{revision}{}", model.name, if model.recommended.is_some() { " *" } else { "" });
        let bytes = model.bytes.get(Precision::Auto).map(|bytes| format!("{}{}", size(bytes), mark("bytes")));
        let licence = match (model.commercial_use, model.licence.as_deref()) {
            (Some(CommercialUse::Forbidden), Some(licence)) if licence.starts_with("Apple") => "research only",
            (_, licence) => licence.unwrap_or("-"),
        };
        let here = measured.last().map(|measured| speed(measured.images_per_second));
        table.add_row([
            name.into(),
            out::number(or_unknown(bytes)),
            out::number(or_unknown(model.image_size().map(|size| size.to_string()))),
            out::number(or_unknown(model.quality.coco.map(|percent| format!("{percent:.1}")))),
            languages(model.languages).into(),
            format!("{licence}{}", mark("licence")).into(),
            out::number(or_unknown(here)),
        ]);
    }
    format!("{table}\n\n{LEGEND}")
}

/// Returns a table with one property in each row.
pub(super) fn details(listed: &ListedModel) -> String {
    let ListedModel { model, measured } = listed;
    let mut rows: Vec<(&str, String)> = vec![("name", model.name.clone()), ("model", model.title.clone())];
    let mut row = |name: &'static str, field: &str, value: Option<String>| {
        let mark = if model.is_unverified(field) { " (not verified)" } else { "" };
        rows.extend(value.map(|value| (name, format!("{value}{mark}"))));
    };
    row("recommended", "recommended", model.recommended.map(recommendation));
    let repository = model.repository.clone().unwrap_or_else(|| "none: it is inside the binary".to_owned());
    row("repository", "repository", Some(repository));
    row("revision", "revision", model.repository.is_some().then(|| model.revision.clone()));
    row("same weights", "weights", Some(model.weights.join(", ")).filter(|names| !names.is_empty()));
    let sizes = [("size, fp32", Precision::Fp32), ("size, fp16", Precision::Fp16), ("size, int8", Precision::Int8)];
    for (name, precision) in sizes {
        row(name, "bytes", model.bytes.get(precision).map(size));
    }
    row("parameters", "params_millions", model.params_millions.map(|millions| format!("{millions} million")));
    row("dimension", "dimension", Some(model.dimension.to_string()));
    row("images", "preprocessing", Some(model.preprocessing.clone()));
    let work = model.gflops.map(|work| format!("{} GFLOP an image, {} a text", work.image, work.text));
    row("work", "gflops", work);
    row("languages", "languages", Some(languages(model.languages).to_owned()));
    row("licence", "licence", Some(model.licence.clone().unwrap_or_else(|| "not verified".to_owned())));
    let commercial = match model.commercial_use {
        Some(CommercialUse::Allowed) => "allowed",
        Some(CommercialUse::Forbidden) => "not allowed",
        None => "not verified",
    };
    row("commercial use", "commercial_use", Some(commercial.to_owned()));
    let quality = &model.quality;
    for (name, percent) in [
        ("COCO R@1", quality.coco),
        ("Flickr30k R@1", quality.flickr30k),
        ("INQUIRE mAP@50", quality.inquire),
        ("XM3600 R@1", quality.xm3600),
    ] {
        row(name, "quality", percent.map(|percent| format!("{percent:.1} %")));
    }
    row("notes", "notes", model.notes.clone());
    // The latest of each processor, engine and precision.
    let key = |one: &Measurement| (one.processor.clone(), one.engine.clone(), one.precision.to_string());
    let here: BTreeMap<_, _> = measured.iter().map(|one| (key(one), one)).collect();
    for ((processor, engine, precision), one) in here {
        let (images, texts) = (speed(one.images_per_second), speed(one.texts_per_second));
        let measured = format!(
            "{precision}: {images} images/s, {texts} texts/s by {engine} with {} threads, {processor}",
            one.threads
        );
        rows.push(("measured here", measured));
    }
    let mut table = wrapped(&["property", "value"]);
    table.add_rows(rows.into_iter().map(|(name, value)| [name.to_owned(), value]));
    table.to_string()
}

/// Returns an empty table whose cells are wrapped at 80 columns.
pub(super) fn wrapped(headers: &[&str]) -> Table {
    let mut table = out::table(headers);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

/// Returns a number of items per second with two or three digits.
pub(super) fn speed(per_second: f64) -> String {
    match per_second {
        ..10.0 => format!("{per_second:.2}"),
        10.0..100.0 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

/// Returns the first characters of the revision, unless it is `main`.
fn revision(model: &CatalogueModel) -> Option<&str> {
    const SHORT: usize = 7;
    let revision = Some(&*model.revision).filter(|revision| *revision != "main")?;
    Some(revision.char_indices().nth(SHORT).map_or(revision, |(end, _)| &revision[..end]))
}

fn languages(languages: Languages) -> &'static str {
    match languages {
        Languages::English => "English",
        Languages::Many => "many",
    }
}

fn recommendation(recommended: Recommendation) -> String {
    let text = match recommended {
        Recommendation::Small => "for an old CPU and English texts",
        Recommendation::Default => "for most users",
        Recommendation::Best => "for the best results, with a GPU",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::models;
    use crate::config::Settings;

    fn settings(caches: &tempfile::TempDir) -> Settings {
        let mut settings = Settings::default();
        settings.hub.xdg_cache_home = caches.path().display().to_string();
        settings
    }

    #[test]
    fn the_list_fits_into_80_columns_and_marks_the_recommended_models() {
        let caches = tempfile::tempdir().unwrap();
        let text = list(&models::list(&settings(&caches)));
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{text}");
        let row = |name: &str| text.lines().find(|line| line.trim().starts_with(name)).unwrap().to_owned();
        assert_eq!(text.lines().filter(|line| line.contains(" * ")).count(), 3, "{text}");
        let default = row("siglip2-base-256 *");
        assert!(default.contains("1.5 GB") && default.contains("53.2") && default.contains("Apache-2.0"), "{default}");
        assert!(row("mobileclip2-s2").contains("research only"), "{text}");
        assert!(row("dfn-h-14-378").contains("Apple?"), "{text}");
    }

    #[test]
    fn details_say_what_was_not_verified() {
        let caches = tempfile::tempdir().unwrap();
        let shown = |name: &str| details(&models::show(&settings(&caches), name).unwrap());
        let text = shown("dfn-h-14-378");
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{text}");
        for part in ["Apple (not verified)", "squash-378-bicubic", "1007 GFLOP an image", "35.6 %"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(shown("Xenova/mobileclip_s0").contains("not allowed"));
        assert!(models::show(&settings(&caches), "nope").is_none());
    }
}
