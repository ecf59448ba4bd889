//! Decodes JPEG XL. This runs only in the helper process: the decoder contains `unsafe` code.

use jxl::api::{
    AlphaMode, Endianness, Event, ExtraChannel, JxlBasicInfo, JxlColorEncoding, JxlColorProfile, JxlColorType,
    JxlDataFormat, JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlPixelFormat, JxlPrimaries, JxlTransferFunction,
};
use jxl::error::Error;

use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::canvas::Canvas;
use crate::imaging::flatten::blend;
use crate::imaging::tone::{Hdr, ToneMapping, Transfer};

/// Decodes the first visible frame, upright and over white. Layers are merged.
pub(crate) fn decode_here(bytes: &[u8], times: u32) -> Result<Canvas, ImageError> {
    let header = super::header(bytes)?;
    let mut input = bytes;
    let mut decoder = open(&mut input, &header)?;
    let info = decoder.basic_info().cloned().ok_or_else(|| super::corrupt("it has no header"))?;
    if decoder.embedded_color_profile().is_some_and(JxlColorProfile::is_cmyk) {
        return Err(ImageError::coding("a JPEG XL image in CMYK".to_owned()));
    }
    let (width, height) = info.size;
    if (u32::try_from(width), u32::try_from(height)) != (Ok(header.size.0), Ok(header.size.1)) {
        return Err(super::corrupt(format!(
            "its decoder finds {width} x {height} pixels, and its header declares {} x {}",
            header.size.0, header.size.1
        )));
    }
    let has_alpha = info.extra_channels.iter().any(|channel| channel.ec_type == ExtraChannel::Alpha);
    let hdr = decoder.output_color_profile().and_then(|profile| hdr(profile, &info));
    let format = JxlPixelFormat {
        color_type: if has_alpha { JxlColorType::Rgba } else { JxlColorType::Rgb },
        color_data_format: Some(match hdr {
            Some(_) => JxlDataFormat::U16 { endianness: Endianness::native(), bit_depth: 16 },
            None => JxlDataFormat::U8 { bit_depth: 8 },
        }),
        extra_channel_format: vec![None; info.extra_channels.len()],
    };
    let sample_bytes = if hdr.is_some() { 2 } else { 1 };
    let row_bytes = width * format.color_type.samples_per_pixel() * sample_bytes;
    decoder.set_pixel_format(format).map_err(|error| explain(&error))?;
    let mut pixels = vec![0; row_bytes * height];
    loop {
        let mut buffers = [JxlOutputBuffer::new(&mut pixels, height, row_bytes)];
        match decoder.process(&mut input, Some(&mut buffers), None).map_err(|error| explain(&error))? {
            Event::FrameComplete { .. } => break,
            Event::BasicInfo | Event::FrameHeader => {}
            Event::NeedMoreInput { .. } => return Err(ImageError::truncated(ImageFormat::Jxl)),
            Event::Complete => return Err(super::corrupt("it has no visible frame")),
        }
    }
    // The memory of the decoder is free for the result.
    drop(decoder);
    let tone = hdr.map(|hdr| ToneMapping::new(hdr, 16));
    let mut canvas = Canvas::new(header.size, times);
    let mut rgb = Vec::new();
    for (y, row) in pixels.chunks_exact(row_bytes.max(1)).enumerate() {
        rgb.clear();
        match &tone {
            Some(tone) => deep_row(row, has_alpha, tone, &mut rgb),
            None if has_alpha => {
                for &[red, green, blue, alpha] in row.as_chunks::<4>().0 {
                    rgb.extend_from_slice(&[blend(red, alpha), blend(green, alpha), blend(blue, alpha)]);
                }
            }
            None => rgb.extend_from_slice(row),
        }
        canvas.put(0, y, &rgb);
    }
    Ok(canvas)
}

/// Maps a row of samples of 16 bits to bytes.
fn deep_row(row: &[u8], has_alpha: bool, tone: &ToneMapping, rgb: &mut Vec<u8>) {
    let sample = |bytes: &[u8]| bytes.first_chunk().map_or(0, |sample| u16::from_ne_bytes(*sample));
    for pixel in row.chunks_exact(if has_alpha { 8 } else { 6 }) {
        let mapped = tone.to_srgb([sample(pixel), sample(&pixel[2..]), sample(&pixel[4..])]);
        let alpha = if has_alpha { sample(&pixel[6..]).to_be_bytes()[0] } else { u8::MAX };
        rgb.extend_from_slice(&mapped.map(|value| blend(value, alpha)));
    }
}

/// Returns the ICC profile of the decoded pixels; it is empty if they are in sRGB.
pub(crate) fn profile_here(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let header = super::header(bytes)?;
    let mut input = bytes;
    let mut decoder = open(&mut input, &header)?;
    let info = decoder.basic_info().cloned().ok_or_else(|| super::corrupt("it has no header"))?;
    // The space of the pixels depends on their format.
    decoder.set_pixel_format(JxlPixelFormat::rgb8(info.extra_channels.len())).map_err(|error| explain(&error))?;
    let profile = decoder.output_color_profile();
    let profile = profile.filter(|profile| hdr(profile, &info).is_none()).and_then(JxlColorProfile::try_as_icc);
    Ok(profile.map(std::borrow::Cow::into_owned).unwrap_or_default())
}

/// Reads the header of a file.
fn open(input: &mut &[u8], header: &super::CodestreamHeader) -> Result<JxlDecoder, ImageError> {
    let pixels = u64::from(header.size.0) * u64::from(header.size.1);
    // Frames that others refer to can be a little larger than the image.
    let samples = pixels.saturating_mul(u64::from(header.extra_channels) + 3).saturating_mul(2) + (1 << 20);
    let mut options = JxlDecoderOptions::default();
    options.alpha_mode = AlphaMode::Unpremultiplied;
    options.sample_limit = Some(usize::try_from(samples).unwrap_or(usize::MAX));
    let mut decoder = JxlDecoder::new(options);
    match decoder.process(input, None, None).map_err(|error| explain(&error))? {
        Event::BasicInfo => Ok(decoder),
        _ => Err(ImageError::truncated(ImageFormat::Jxl)),
    }
}

/// Returns the brightness of a space that must be mapped to SDR.
fn hdr(profile: &JxlColorProfile, info: &JxlBasicInfo) -> Option<Hdr> {
    let JxlColorProfile::Simple(encoding) = profile else { return None };
    let (transfer, primaries) = match encoding {
        JxlColorEncoding::RgbColorSpace { primaries, transfer_function, .. } => (transfer_function, Some(primaries)),
        JxlColorEncoding::GrayscaleColorSpace { transfer_function, .. } => (transfer_function, None),
        JxlColorEncoding::XYB { .. } => return None,
    };
    let transfer = match transfer {
        JxlTransferFunction::PQ => Transfer::Pq,
        JxlTransferFunction::HLG => Transfer::Hlg,
        _ => return None,
    };
    // The numbers are those of ITU-T H.273.
    let primaries = match primaries {
        Some(JxlPrimaries::BT2100) => 9,
        Some(JxlPrimaries::P3) => 12,
        _ => 1,
    };
    // Encoders write the maximum of PQ if they do not know the light of the image.
    let declared = Some(info.tone_mapping.intensity_target).filter(|light| (1.0..10_000.0).contains(light));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limited by the filter")]
    let max_light = declared.map(|light| light as u16);
    Some(Hdr { transfer, primaries, max_light })
}

fn explain(error: &Error) -> ImageError {
    match error {
        Error::OutOfBounds(_) | Error::SectionTooShort => ImageError::truncated(ImageFormat::Jxl),
        Error::LevelLimitExceeded { .. } => ImageError::coding(format!("a JPEG XL image ({error})")),
        other => super::corrupt(other.to_string()),
    }
}
