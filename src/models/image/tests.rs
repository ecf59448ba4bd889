use super::*;
use crate::models::json::object;

const CLIP: &str = r#"{"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.1],"size":{"shortest_edge":224},
    "crop_size":{"height":224,"width":224},"resample":3,"do_resize":true,"rescale_factor":0.00392156862745098,
    "image_processor_type":"CLIPImageProcessor"}"#;

fn parse(json: &str) -> Result<ImageSpec, String> {
    read(&object(json.as_bytes())?, &Family::Clip)
}

fn spec(preprocessing: Preprocessing, mean: [f32; 3], std: [f32; 3]) -> ImageSpec {
    ImageSpec { preprocessing, mean, std, rescale: 1.0 / 255.0 }
}

fn clip(size: u32) -> Preprocessing {
    Preprocessing::new(size, Resize::CropFloor)
}

#[test]
fn all_spellings_of_the_same_values_are_accepted() {
    let expected = spec(clip(224), [0.5, 0.4, 0.3], [0.2, 0.2, 0.1]);
    assert_eq!(parse(CLIP).unwrap(), expected);
    let kind = "\"image_processor_type\":\"CLIPImageProcessor\"";
    for (from, to) in [
        (kind, "\"x\":1"),
        (kind, "\"feature_extractor_type\":\"CLIPFeatureExtractor\""),
        (kind, "\"image_processor_type\":\"CLIPFeatureExtractor\""),
        (kind, "\"image_processor_type\":\"CLIPImageProcessorFast\""),
        (
            kind,
            "\"image_processor_type\":\"CLIPImageProcessorPil\",\"feature_extractor_type\":\"CLIPFeatureExtractor\"",
        ),
        (kind, "\"feature_extractor_type\":\"ViTFeatureExtractor\",\"image_processor_type\":\"CLIPImageProcessor\""),
        (kind, "\"image_processor_type\":null,\"feature_extractor_type\":\"CLIPFeatureExtractor\""),
        (kind, "\"image_processor_type\":\"CLIPImageProcessor\",\"image_processor_type\":\"CLIPImageProcessor\""),
        ("{\"shortest_edge\":224}", "224"),
        ("{\"shortest_edge\":224}", "224.0"),
        ("{\"shortest_edge\":224}", "{\"shortest_edge\":224.0,\"longest_edge\":null}"),
        ("{\"shortest_edge\":224}", "null"),
        ("{\"height\":224,\"width\":224}", "224"),
        ("{\"height\":224,\"width\":224}", "{\"height\":224.0,\"width\":224}"),
        ("{\"height\":224,\"width\":224}", "{\"shortest_edge\":224}"),
        ("{\"height\":224,\"width\":224}", "[224,224]"),
        ("{\"height\":224,\"width\":224}", "null"),
        ("\"resample\":3", "\"resample\":3.0"),
        ("\"resample\":3", "\"resample\":null"),
        ("\"do_resize\":true", "\"do_resize\":null"),
        ("\"do_resize\":true", "\"_valid_processor_keys\":[\"images\"],\"default_to_square\":false"),
        ("0.00392156862745098", "null"),
    ] {
        let json = CLIP.replace(from, to);
        assert_ne!(json, CLIP, "{from}");
        assert_eq!(parse(&json).as_ref(), Ok(&expected), "{to}");
    }
    let grey = parse(r#"{"image_mean":0.5,"image_std":[1,1,1]}"#).unwrap();
    assert_eq!((grey.mean, grey.std), ([0.5; 3], [1.0; 3]));
    assert_eq!(parse("{}").unwrap(), spec(clip(224), OPENAI_MEAN, OPENAI_STD));
}

#[test]
fn an_unsupported_value_is_refused_with_its_name() {
    for (from, to, named) in [
        ("\"resample\":3", "\"resample\":6", "resample is 6; it must be a number of Pillow"),
        ("\"do_resize\":true", "\"do_resize\":false", "do_resize is false"),
        ("\"do_resize\":true", "\"do_center_crop\":false", "do_center_crop"),
        ("\"do_resize\":true", "\"do_rescale\":0", "do_rescale"),
        ("0.00392156862745098", "-1.0", "rescale_factor is -1.0"),
        ("{\"shortest_edge\":224}", "{\"shortest_edge\":224,\"longest_edge\":300}", "\"longest_edge\":300"),
        ("{\"shortest_edge\":224}", "200", "size is 200 and crop_size is 224"),
        ("{\"shortest_edge\":224}", "{\"height\":256,\"width\":256}", "square of 256 and crop_size is 224"),
        ("\"width\":224", "\"width\":112", "only a square"),
        ("[0.2,0.2,0.1]", "[0.2,0.2,0.0]", "image_std"),
        ("[0.5,0.4,0.3]", "[0.5]", "image_mean is [0.5]"),
        ("[0.5,0.4,0.3]", "null", "image_mean is null; it must be a list of three numbers"),
        ("[0.2,0.2,0.1]", "null", "image_std is null; it must be a list of three numbers"),
        ("\"CLIPImageProcessor\"", "\"Siglip2ImageProcessor\"", "image_processor_type is \"Siglip2ImageProcessor\""),
        (
            "image_processor_type\":\"CLIPImageProcessor\"",
            "feature_extractor_type\":\"BitFeatureExtractor\"",
            "feature_extractor_type is \"BitFeatureExtractor\"",
        ),
    ] {
        let json = CLIP.replace(from, to);
        assert_ne!(json, CLIP, "{from}");
        let error = parse(&json).unwrap_err();
        assert!(error.contains(named), "{error} does not contain {named}");
    }
    assert!(parse(&CLIP.replace("224", "100000")).unwrap_err().contains("between 1 and 2048"));
}

#[test]
fn other_preparations_are_read_with_the_defaults_of_their_class() {
    let parse = |json: &str| parse(json).map(|spec| (spec.preprocessing.to_string(), spec.mean, spec.std));
    for (json, name, mean, std) in [
        (r#"{"image_processor_type":"SiglipImageProcessor","size":384}"#, "squash-384-bicubic", HALF, HALF),
        (r#"{"image_processor_type":"SiglipImageProcessor","resample":2}"#, "squash-224-bilinear", HALF, HALF),
        (
            r#"{"image_processor_type":"ViTImageProcessor","size":{"height":64,"width":64}}"#,
            "squash-64-bilinear",
            HALF,
            HALF,
        ),
        (
            r#"{"size":{"shortest_edge":256},"crop_size":224,"resample":1}"#,
            "crop-224-of-256-lanczos-floor",
            OPENAI_MEAN,
            OPENAI_STD,
        ),
        (r#"{"size":{"height":224,"width":224}}"#, "squash-224-bicubic", OPENAI_MEAN, OPENAI_STD),
        (r#"{"size":256,"do_normalize":false,"resample":2}"#, "crop-256-bilinear-floor", [0.0; 3], [1.0; 3]),
        (
            r#"{"image_processor_type":"JinaCLIPImageProcessor","size":512,"mean":[0,0,0],"resize_mode":"squash"}"#,
            "squash-512-bicubic",
            [0.0; 3],
            OPENAI_STD,
        ),
    ] {
        assert_eq!(parse(json), Ok((name.to_owned(), mean, std)), "{json}");
    }
    assert_eq!(
        read(&object(br#"{"do_rescale":false}"#).unwrap(), &Family::Clip).unwrap().rescale.to_bits(),
        1_f32.to_bits()
    );
}
