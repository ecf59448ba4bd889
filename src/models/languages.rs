//! Languages by their FLORES-200 code, which NLLB reads before a text.

/// Language tags (ISO 639-1, with a script or region where a language has several) and codes.
const CODES: [(&str, &str); 72] = [
    ("af", "afr_Latn"),
    ("am", "amh_Ethi"),
    ("ar", "arb_Arab"),
    ("az", "azj_Latn"),
    ("be", "bel_Cyrl"),
    ("bg", "bul_Cyrl"),
    ("bn", "ben_Beng"),
    ("bs", "bos_Latn"),
    ("ca", "cat_Latn"),
    ("cs", "ces_Latn"),
    ("cy", "cym_Latn"),
    ("da", "dan_Latn"),
    ("de", "deu_Latn"),
    ("el", "ell_Grek"),
    ("en", "eng_Latn"),
    ("eo", "epo_Latn"),
    ("es", "spa_Latn"),
    ("et", "est_Latn"),
    ("eu", "eus_Latn"),
    ("fa", "pes_Arab"),
    ("fi", "fin_Latn"),
    ("fil", "tgl_Latn"),
    ("fr", "fra_Latn"),
    ("ga", "gle_Latn"),
    ("gl", "glg_Latn"),
    ("gu", "guj_Gujr"),
    ("he", "heb_Hebr"),
    ("hi", "hin_Deva"),
    ("hr", "hrv_Latn"),
    ("hu", "hun_Latn"),
    ("hy", "hye_Armn"),
    ("id", "ind_Latn"),
    ("is", "isl_Latn"),
    ("it", "ita_Latn"),
    ("ja", "jpn_Jpan"),
    ("ka", "kat_Geor"),
    ("kk", "kaz_Cyrl"),
    ("km", "khm_Khmr"),
    ("kn", "kan_Knda"),
    ("ko", "kor_Hang"),
    ("lo", "lao_Laoo"),
    ("lt", "lit_Latn"),
    ("lv", "lvs_Latn"),
    ("mk", "mkd_Cyrl"),
    ("ml", "mal_Mlym"),
    ("mn", "khk_Cyrl"),
    ("mr", "mar_Deva"),
    ("ms", "zsm_Latn"),
    ("my", "mya_Mymr"),
    ("ne", "npi_Deva"),
    ("nl", "nld_Latn"),
    ("no", "nob_Latn"),
    ("pa", "pan_Guru"),
    ("pl", "pol_Latn"),
    ("pt", "por_Latn"),
    ("ro", "ron_Latn"),
    ("ru", "rus_Cyrl"),
    ("sk", "slk_Latn"),
    ("sl", "slv_Latn"),
    ("sq", "als_Latn"),
    ("sr", "srp_Cyrl"),
    ("sv", "swe_Latn"),
    ("sw", "swh_Latn"),
    ("ta", "tam_Taml"),
    ("te", "tel_Telu"),
    ("th", "tha_Thai"),
    ("tr", "tur_Latn"),
    ("uk", "ukr_Cyrl"),
    ("ur", "urd_Arab"),
    ("vi", "vie_Latn"),
    ("zh", "zho_Hans"),
    ("zh-hant", "zho_Hant"),
];

/// Returns the code of a language tag such as `de`, `de-CH` or `zh-Hant`, or of a code; `None` if it is not known.
pub(crate) fn flores_code(language: &str) -> Option<&'static str> {
    let tag = language.to_ascii_lowercase().replace('_', "-");
    let tag = match &*tag {
        "zh-tw" | "zh-hk" | "zh-mo" => "zh-hant",
        "nb" | "nn" => "no",
        other => other,
    };
    let find = |tag: &str| CODES.iter().find(|(own, _)| *own == tag).map(|(_, code)| *code);
    let by_code = || CODES.iter().find(|(_, code)| *code == language).map(|(_, code)| *code);
    by_code().or_else(|| find(tag)).or_else(|| find(tag.split('-').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_codes_are_found() {
        for (language, code) in [
            ("de", Some("deu_Latn")),
            ("de-CH", Some("deu_Latn")),
            ("zh_TW", Some("zho_Hant")),
            ("zh-Hant", Some("zho_Hant")),
            ("zh", Some("zho_Hans")),
            ("zho_Hant", Some("zho_Hant")),
            ("tlh", None),
            ("", None),
        ] {
            assert_eq!(flores_code(language), code, "{language}");
        }
    }
}
