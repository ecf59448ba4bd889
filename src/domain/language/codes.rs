//! The languages of NLLB-200 by their codes, and other names of them.

/// Every code: a language by ISO 639-3, and its script by ISO 15924. The first code of a language is the one for texts
/// whose script is not given.
pub(super) const CODES: [&str; 202] = [
    "ace_Latn", "ace_Arab", "acm_Arab", "acq_Arab", "aeb_Arab", "afr_Latn", "ajp_Arab", "aka_Latn", "als_Latn",
    "amh_Ethi", "apc_Arab", "arb_Arab", "ars_Arab", "ary_Arab", "arz_Arab", "asm_Beng", "ast_Latn", "awa_Deva",
    "ayr_Latn", "azb_Arab", "azj_Latn", "bak_Cyrl", "bam_Latn", "ban_Latn", "bel_Cyrl", "bem_Latn", "ben_Beng",
    "bho_Deva", "bjn_Latn", "bjn_Arab", "bod_Tibt", "bos_Latn", "bug_Latn", "bul_Cyrl", "cat_Latn", "ceb_Latn",
    "ces_Latn", "cjk_Latn", "ckb_Arab", "crh_Latn", "cym_Latn", "dan_Latn", "deu_Latn", "dik_Latn", "dyu_Latn",
    "dzo_Tibt", "ell_Grek", "eng_Latn", "epo_Latn", "est_Latn", "eus_Latn", "ewe_Latn", "fao_Latn", "fij_Latn",
    "fin_Latn", "fon_Latn", "fra_Latn", "fur_Latn", "fuv_Latn", "gaz_Latn", "gla_Latn", "gle_Latn", "glg_Latn",
    "grn_Latn", "guj_Gujr", "hat_Latn", "hau_Latn", "heb_Hebr", "hin_Deva", "hne_Deva", "hrv_Latn", "hun_Latn",
    "hye_Armn", "ibo_Latn", "ilo_Latn", "ind_Latn", "isl_Latn", "ita_Latn", "jav_Latn", "jpn_Jpan", "kab_Latn",
    "kac_Latn", "kam_Latn", "kan_Knda", "kas_Arab", "kas_Deva", "kat_Geor", "kaz_Cyrl", "kbp_Latn", "kea_Latn",
    "khk_Cyrl", "khm_Khmr", "kik_Latn", "kin_Latn", "kir_Cyrl", "kmb_Latn", "kmr_Latn", "knc_Latn", "knc_Arab",
    "kon_Latn", "kor_Hang", "lao_Laoo", "lij_Latn", "lim_Latn", "lin_Latn", "lit_Latn", "lmo_Latn", "ltg_Latn",
    "ltz_Latn", "lua_Latn", "lug_Latn", "luo_Latn", "lus_Latn", "lvs_Latn", "mag_Deva", "mai_Deva", "mal_Mlym",
    "mar_Deva", "min_Latn", "mkd_Cyrl", "mlt_Latn", "mni_Beng", "mos_Latn", "mri_Latn", "mya_Mymr", "nld_Latn",
    "nno_Latn", "nob_Latn", "npi_Deva", "nso_Latn", "nus_Latn", "nya_Latn", "oci_Latn", "ory_Orya", "pag_Latn",
    "pan_Guru", "pap_Latn", "pbt_Arab", "pes_Arab", "plt_Latn", "pol_Latn", "por_Latn", "prs_Arab", "quy_Latn",
    "ron_Latn", "run_Latn", "rus_Cyrl", "sag_Latn", "san_Deva", "sat_Beng", "scn_Latn", "shn_Mymr", "sin_Sinh",
    "slk_Latn", "slv_Latn", "smo_Latn", "sna_Latn", "snd_Arab", "som_Latn", "sot_Latn", "spa_Latn", "srd_Latn",
    "srp_Cyrl", "ssw_Latn", "sun_Latn", "swe_Latn", "swh_Latn", "szl_Latn", "tam_Taml", "taq_Latn", "taq_Tfng",
    "tat_Cyrl", "tel_Telu", "tgk_Cyrl", "tgl_Latn", "tha_Thai", "tir_Ethi", "tpi_Latn", "tsn_Latn", "tso_Latn",
    "tuk_Latn", "tum_Latn", "tur_Latn", "twi_Latn", "tzm_Tfng", "uig_Arab", "ukr_Cyrl", "umb_Latn", "urd_Arab",
    "uzn_Latn", "vec_Latn", "vie_Latn", "war_Latn", "wol_Latn", "xho_Latn", "ydd_Hebr", "yor_Latn", "yue_Hant",
    "zho_Hans", "zho_Hant", "zsm_Latn", "zul_Latn",
];

/// The languages of BCP 47 that have another name in [`CODES`], each with that name: those with two letters, and
/// macrolanguages, of which the most frequent language is taken.
const OTHER_NAMES: [&str; 158] = [
    "af afr", "ak aka", "am amh", "ar arb", "ara arb", "as asm", "ay ayr", "aym ayr", "az azj", "aze azj", "ba bak",
    "be bel", "bg bul", "bm bam", "bn ben", "bo bod", "bs bos", "ca cat", "cmn zho", "cs ces", "cy cym", "da dan",
    "de deu", "dz dzo", "ee ewe", "el ell", "en eng", "eo epo", "es spa", "et est", "eu eus", "fa pes", "fas pes",
    "ff fuv", "fi fin", "fil tgl", "fj fij", "fo fao", "fr fra", "ful fuv", "ga gle", "gd gla", "gl glg", "gn grn",
    "gu guj", "ha hau", "he heb", "hi hin", "hr hrv", "ht hat", "hu hun", "hy hye", "id ind", "ig ibo", "is isl",
    "it ita", "ja jpn", "jv jav", "ka kat", "kg kon", "ki kik", "kk kaz", "km khm", "kn kan", "ko kor", "kr knc",
    "ks kas", "ku kmr", "kur kmr", "ky kir", "lav lvs", "lb ltz", "lg lug", "li lim", "ln lin", "lo lao", "lt lit",
    "lv lvs", "mg plt", "mi mri", "mk mkd", "ml mal", "mlg plt", "mn khk", "mon khk", "mr mar", "ms zsm", "msa zsm",
    "mt mlt", "my mya", "nb nob", "ne npi", "nep npi", "nl nld", "nn nno", "no nob", "nor nob", "ny nya", "oc oci",
    "om gaz", "or ory", "ori ory", "orm gaz", "pa pan", "pl pol", "ps pbt", "pt por", "pus pbt", "qu quy", "que quy",
    "rn run", "ro ron", "ru rus", "rw kin", "sa san", "sc srd", "sd snd", "sg sag", "si sin", "sk slk", "sl slv",
    "sm smo", "sn sna", "so som", "sq als", "sqi als", "sr srp", "ss ssw", "st sot", "su sun", "sv swe", "sw swh",
    "swa swh", "ta tam", "te tel", "tg tgk", "th tha", "ti tir", "tk tuk", "tl tgl", "tn tsn", "tr tur", "ts tso",
    "tt tat", "tw twi", "ug uig", "uk ukr", "ur urd", "uz uzn", "uzb uzn", "vi vie", "wo wol", "xh xho", "yi ydd",
    "yid ydd", "yo yor", "zh zho", "zu zul",
];

/// Returns the name in [`CODES`] of a language; the same name if it has no other.
pub(super) fn language_of_codes(language: &str) -> &str {
    let mut names = OTHER_NAMES.iter().filter_map(|names| names.split_once(' '));
    names.find(|(other, _)| *other == language).map_or(language, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_name_is_that_of_a_code_and_occurs_once() {
        let mut others: Vec<&str> = OTHER_NAMES.iter().map(|names| names.split_once(' ').unwrap().0).collect();
        for other in &others {
            let own = language_of_codes(other);
            assert!(CODES.iter().any(|code| code.split_once('_').unwrap().0 == own), "{other} {own}");
        }
        let count = others.len();
        others.dedup();
        assert_eq!(others.len(), count);
        assert!(others.is_sorted() && CODES.iter().map(|code| &code[..3]).is_sorted());
    }
}
