//! Tiny models of random weights of every family, in the layouts of their publishers, with the tokens, pixels and vectors
//! of the reference implementations (`zarf/golden/families`).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::domain::{Embedding, Language};
use crate::embed::local::engine;
use crate::imaging::{Decode, Extras, ImagingSettings, PreparedImage, Preprocessing, prepare_with};
use crate::models::{Cleaning, PadToken};

const MIN_COSINE: f32 = 0.9999;
/// OpenCLIP repairs HTML entities and wrong encodings in a text (`html.unescape`, `ftfy`). We do not.
const REPAIRED: [&str; 2] = ["cats &amp; dogs", "a sch\u{c3}\u{b6}n photo"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Family {
    name: String,
    folders: Folders,
    golden: Value,
    engine: Engine,
}

impl Family {
    fn open(name: &str) -> Self {
        let folder = root().join("tests/data/families").join(name);
        let golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        Self { name: name.to_owned(), folders: Folders::one(folder), golden, engine: Engine::default() }
    }

    fn wanted(&self, precision: Precision) -> Wanted {
        Wanted {
            name: self.name.clone(),
            repository: self.name.clone(),
            precision,
            size: None,
            engine: self.engine.clone(),
        }
    }

    fn load_with(&self, precision: Precision, change: impl Fn(&mut ModelSpec)) -> Towers {
        let load = || {
            let wanted = self.wanted(precision);
            let files = find(&self.folders, &wanted)?;
            let mut spec = spec(&self.folders, &files, &self.name)?;
            change(&mut spec);
            towers(&self.folders, &files, &spec, &wanted)
        };
        load().unwrap_or_else(|reason: String| panic!("{}: {reason}", self.name))
    }

    fn load(&self) -> Towers {
        self.load_with(Precision::Auto, |_| {})
    }

    fn entries(&self, key: &str) -> &[Value] {
        self.golden[key].as_array().unwrap()
    }

    fn texts(&self) -> impl Iterator<Item = (&str, Option<Language>, &Value)> {
        let text = |entry: &'_ Value| entry["text"].as_str().is_none_or(|text| !REPAIRED.contains(&text));
        let entries = self.entries("texts").iter().filter(move |entry| text(entry));
        entries.map(|entry| {
            (entry["text"].as_str().unwrap(), entry["language"].as_str().map(|code| code.parse().unwrap()), entry)
        })
    }

    /// Returns the lowest cosine of our vectors of the texts to those of the reference.
    fn lowest_text(&self, towers: &Towers) -> f32 {
        let cosine = |(text, language, entry): (&str, Option<Language>, &Value)| {
            towers.text(text, language).map_or(0.0, |ours| ours.cosine(&vector(entry)))
        };
        self.texts().map(cosine).fold(1.0, f32::min)
    }
}

fn vector(entry: &Value) -> Embedding {
    #[expect(clippy::cast_possible_truncation, reason = "they were f32")]
    let raw: Vec<f32> =
        entry["vector"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    let size = raw.len();
    Embedding::normalised(raw, size).unwrap()
}

fn check_texts(family: &Family, towers: &Towers, wrong: &mut Vec<String>) {
    for (text, language, entry) in family.texts() {
        let place = format!("{} by {}: {text:.40?}", family.name, family.engine);
        let ids: Vec<u32> = serde_json::from_value(entry["ids"].clone()).unwrap();
        match towers.ids(text, language) {
            // A network of any length gets no padding if it does not change the vector.
            Ok(ours) if ids.strip_prefix(&*ours).is_some_and(|rest| rest.windows(2).all(|pair| pair[0] == pair[1])) => {
            }
            ours => wrong.push(format!("{place}: tokens {ours:?}, expected {ids:?}")),
        }
        match towers.text(text, language).map(|ours| ours.cosine(&vector(entry))) {
            Ok(cosine) if cosine >= MIN_COSINE => {}
            other => wrong.push(format!("{place}: cosine {other:?}")),
        }
    }
}

/// Prepared images by their file and preparation, because most families share them.
type Prepared = HashMap<(String, String), Bytes>;

fn prepared(file: &str, preprocessing: &Preprocessing, done: &mut Prepared) -> Bytes {
    let (limits, extras) = (ImagingSettings::default().limits(), Extras { decode: Decode::Full, ..Extras::default() });
    let prepare = || {
        let bytes = std::fs::read(root().join(file)).unwrap();
        prepare_with(&bytes, &limits, preprocessing, extras).unwrap().image.rgb
    };
    done.entry((file.to_owned(), preprocessing.to_string())).or_insert_with(prepare).clone()
}

fn check_images(family: &Family, towers: &Towers, done: &mut Prepared, wrong: &mut Vec<String>) {
    let size = towers.preprocessing.size;
    for entry in family.entries("images") {
        let file = entry["file"].as_str().unwrap();
        let place = format!("{} by {}: {file}", family.name, family.engine);
        let rgb = STANDARD.decode(entry["pixels"].as_str().unwrap()).unwrap();
        let ours = prepared(file, &towers.preprocessing, done);
        let difference = ours.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        if difference > 2 || ours.len() != rgb.len() {
            wrong.push(format!("{place}: pixels differ by {difference} of 255 ({})", towers.preprocessing));
        }
        let theirs = PreparedImage { size, rgb: rgb.into() };
        match towers.images(&[theirs]).map(|ours| ours[0].cosine(&vector(entry))) {
            Ok(cosine) if cosine >= MIN_COSINE => {}
            other => wrong.push(format!("{place}: cosine {other:?}")),
        }
    }
}

#[test]
fn every_family_has_the_tokens_pixels_and_vectors_of_its_reference() {
    let folders = std::fs::read_dir(root().join("tests/data/families")).unwrap();
    let names = folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().join("golden.json").is_file());
    let mut names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 18, "{names:?}");
    let (mut wrong, mut done) = (Vec::new(), Prepared::new());
    for (name, engine) in
        names.iter().flat_map(|name| engine::available().into_iter().map(move |engine| (name, engine)))
    {
        let family = Family { engine, ..Family::open(name) };
        let files = find(&family.folders, &family.wanted(Precision::Auto)).unwrap();
        if files.image.onnx == files.text.onnx && !family.engine.runs_parts() {
            let error = load(&family.folders, &family.wanted(Precision::Auto)).err().unwrap().to_string();
            assert!(error.contains("CLIP_ENGINE=rten"), "{error}");
            continue;
        }
        let towers = family.load();
        assert_eq!(family.golden["dimension"], towers.dimension, "{name}");
        check_texts(&family, &towers, &mut wrong);
        check_images(&family, &towers, &mut done, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sixteen_and_eight_bits_are_close() {
    let variants = [(Precision::Fp16, "_fp16"), (Precision::Int8, "_quantized")];
    let engines = engine::available().into_iter();
    for (engine, (precision, suffix)) in engines.flat_map(|engine| variants.map(|variant| (engine.clone(), variant))) {
        let siglip = Family { engine, ..Family::open("siglip") };
        #[expect(clippy::cast_possible_truncation, reason = "a cosine")]
        let reference = siglip.golden["variants"][suffix].as_f64().unwrap() as f32;
        let lowest = siglip.lowest_text(&siglip.load_with(precision, |_| {}));
        assert!(
            lowest >= reference - 0.02,
            "{precision} by {}: {lowest}, ONNX Runtime in Python {reference}",
            siglip.engine
        );
    }
}

/// With a wrong rule a model still returns vectors, so the golden vectors must show it.
#[test]
fn a_wrong_pad_token_and_missing_lower_case_are_noticed() {
    let siglip2 = Family::open("siglip2");
    let lowest = |change: &dyn Fn(&mut ModelSpec)| siglip2.lowest_text(&siglip2.load_with(Precision::Auto, change));
    assert!(lowest(&|_| {}) >= MIN_COSINE);
    assert!(lowest(&|spec| spec.text.pad = PadToken::Id(1)) < MIN_COSINE);
    assert!(lowest(&|spec| spec.text.cleaning = Cleaning::None) < MIN_COSINE);
    assert!(lowest(&|spec| spec.text.pads_to_context = false) < MIN_COSINE);
}

#[test]
fn one_of_several_sizes_loads() {
    let folders = Folders::one(root().join("tests/data/families/mobileclip2-sizes"));
    let sized = |size: Option<&str>| Wanted {
        name: "mobileclip2".to_owned(),
        repository: "mobileclip2".to_owned(),
        precision: Precision::Auto,
        size: size.map(str::to_owned),
        engine: Engine::default(),
    };
    assert_eq!(load(&folders, &sized(Some("s0"))).unwrap().preprocessing.to_string(), "crop-64-bilinear-floor");
    assert!(load(&folders, &sized(None)).is_ok());
    assert!(load(&folders, &sized(Some("s2"))).is_err());
}
