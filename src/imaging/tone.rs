//! Maps the brightness of HDR images (PQ and HLG) to sRGB. Without it they would be gray and flat.
//!
//! White is 203 cd/m2 (ITU-R BT.2408). The curves are those of ITU-R BT.2100. Up to half of white the light is kept;
//! above, a rational curve with the same slope at that point maps the brightest light to white, by luminance.

/// The brightness of the space of an HDR image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hdr {
    pub(crate) transfer: Transfer,
    /// The primaries, as numbers of ITU-T H.273.
    pub(crate) primaries: u16,
    /// The light of the brightest pixel in cd/m2.
    pub(crate) max_light: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Pq,
    Hlg,
}

/// White in cd/m2.
const WHITE: f32 = 203.0;
/// The brightest light in cd/m2, if the file does not declare it; always the one of HLG.
const DEFAULT_MAX_LIGHT: f32 = 1000.0;
/// Up to here, as a share of white, light is kept.
const KNEE: f32 = 0.5;

/// The mapping for images with one number of bits.
pub(crate) struct ToneMapping {
    transfer: Transfer,
    /// Linear light of each sample: for PQ as a share of white, for HLG as a share of the brightest light of the scene.
    linear: Vec<f32>,
    /// Red, green and blue of BT.709 from those of the image.
    to_bt709: [[f32; 3]; 3],
    /// The share of luminance of red, green and blue of the image.
    luminance: [f32; 3],
    /// The brightest light as a share of white.
    max_light: f32,
    /// The sRGB bytes of light from 0 to 1.
    srgb: Vec<u8>,
}

impl ToneMapping {
    pub(crate) fn new(hdr: Hdr, bits: u8) -> Self {
        let max = (1_u32 << bits.clamp(8, 16)) - 1;
        #[expect(clippy::cast_precision_loss, reason = "at most 16 bits")]
        let signals = (0..=max).map(|sample| sample as f32 / max as f32);
        let linear = match hdr.transfer {
            Transfer::Pq => signals.map(|signal| pq_to_light(signal) / WHITE).collect(),
            Transfer::Hlg => signals.map(hlg_to_scene).collect(),
        };
        let (to_bt709, luminance) = match hdr.primaries {
            9 => (BT2020_TO_BT709, [0.2627, 0.6780, 0.0593]),
            11 | 12 => (P3_TO_BT709, [0.2290, 0.6917, 0.0793]),
            _ => ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [0.2126, 0.7152, 0.0722]),
        };
        let max_light = match (hdr.transfer, hdr.max_light) {
            (Transfer::Pq, Some(light)) => f32::from(light).clamp(WHITE, 10_000.0),
            _ => DEFAULT_MAX_LIGHT,
        };
        Self {
            transfer: hdr.transfer,
            linear,
            to_bt709,
            luminance,
            max_light: max_light / WHITE,
            srgb: (0..=SRGB_STEPS).map(light_to_srgb).collect(),
        }
    }

    /// Converts one pixel.
    pub(crate) fn to_srgb(&self, rgb: [u16; 3]) -> [u8; 3] {
        let mut light = rgb.map(|sample| self.linear.get(usize::from(sample)).copied().unwrap_or(1.0));
        let luminance = dot(self.luminance, light);
        if luminance <= 0.0 {
            return [0; 3];
        }
        let shown = match self.transfer {
            Transfer::Pq => luminance,
            // The display makes the scene brighter by the power of 1.2 at 1,000 cd/m2.
            Transfer::Hlg => luminance.powf(1.2) * (DEFAULT_MAX_LIGHT / WHITE),
        };
        let scale = self.compressed(shown) / luminance;
        light = light.map(|value| value * scale);
        self.to_bt709.map(|row| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limited to the table")]
            let place = (dot(row, light).clamp(0.0, 1.0) * f32::from(SRGB_STEPS) + 0.5) as usize;
            self.srgb.get(place).copied().unwrap_or(u8::MAX)
        })
    }

    fn compressed(&self, light: f32) -> f32 {
        if light <= KNEE || self.max_light <= 1.0 {
            return light;
        }
        let slope = (self.max_light - KNEE) / (1.0 - KNEE);
        let part = ((light - KNEE) / (self.max_light - KNEE)).min(1.0);
        KNEE + (1.0 - KNEE) * slope * part / (1.0 + (slope - 1.0) * part)
    }
}

fn dot(one: [f32; 3], other: [f32; 3]) -> f32 {
    one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
}

/// The light of a PQ signal in cd/m2.
fn pq_to_light(signal: f32) -> f32 {
    const M1: f32 = 2610.0 / 16384.0;
    const M2: f32 = 2523.0 / 32.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 128.0;
    const C3: f32 = 2392.0 / 128.0;
    let power = signal.powf(1.0 / M2);
    10_000.0 * ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)
}

/// The light of the scene of an HLG signal, 0 to 1.
fn hlg_to_scene(signal: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 }
}

/// The steps of the table of sRGB. Between two of them no byte is left out, except near black.
const SRGB_STEPS: u16 = 16_384;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn light_to_srgb(step: u16) -> u8 {
    let light = f32::from(step) / f32::from(SRGB_STEPS);
    let signal = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (signal * 255.0).round() as u8
}

const BT2020_TO_BT709: [[f32; 3]; 3] =
    [[1.660_49, -0.587_64, -0.072_85], [-0.124_55, 1.132_9, -0.008_35], [-0.018_15, -0.100_58, 1.118_73]];
const P3_TO_BT709: [[f32; 3]; 3] =
    [[1.224_94, -0.224_94, 0.0], [-0.042_06, 1.042_06, 0.0], [-0.019_64, -0.078_64, 1.098_27]];

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(transfer: Transfer, max_light: Option<u16>) -> ToneMapping {
        ToneMapping::new(Hdr { transfer, primaries: 9, max_light }, 10)
    }

    #[test]
    fn the_curves_have_the_values_of_the_recommendations() {
        // BT.2408: 58 % of PQ and 75 % of HLG are 203 cd/m2.
        assert!((pq_to_light(0.58) - 203.0).abs() < 2.0, "{}", pq_to_light(0.58));
        assert!((pq_to_light(1.0) - 10_000.0).abs() < 1.0);
        assert!((hlg_to_scene(0.75).powf(1.2) * 1000.0 - 203.0).abs() < 2.0);
        assert!((hlg_to_scene(1.0) - 1.0).abs() < 0.001);
    }

    #[test]
    fn grays_stay_gray_and_in_order_and_the_brightest_light_is_white() {
        for (transfer, white) in [(Transfer::Pq, 769), (Transfer::Hlg, 1023)] {
            let mapping = mapping(transfer, None);
            let grays: Vec<u8> = (0..=white)
                .map(|sample| {
                    let [red, green, blue] = mapping.to_srgb([sample; 3]);
                    assert!(red.abs_diff(green) <= 1 && blue.abs_diff(green) <= 1, "{sample}");
                    green
                })
                .collect();
            assert!(grays.is_sorted(), "{transfer:?}");
            assert_eq!((grays[0], *grays.last().unwrap()), (0, 255), "{transfer:?}");
        }
        // 203 and 100 cd/m2.
        let [white, gray] = [594, 520].map(|sample| mapping(Transfer::Pq, None).to_srgb([sample; 3])[1]);
        assert!((220..235).contains(&white) && (180..192).contains(&gray), "{white} {gray}");
        // If nothing is brighter than white, white is not darkened.
        assert!(mapping(Transfer::Pq, Some(203)).to_srgb([594; 3])[1] > 250);
    }

    #[test]
    fn colours_outside_srgb_are_limited() {
        let red = mapping(Transfer::Pq, None).to_srgb([520, 0, 0]);
        assert!(red[0] > 180 && red[1] == 0 && red[2] == 0, "{red:?}");
    }
}
