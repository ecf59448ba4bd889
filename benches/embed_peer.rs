//! One side of `zarf/peers/embed.py`: runs a model in a folder as it is asked on standard input, and nothing else, so
//! that the script can compare its CPU time with that of another library on the same core. It does nothing by itself.
//!
//! `embed_peer FOLDER fp32|int8 THREADS` (`built-in` as folder: the built-in model), then lines `image N`, `batch N`,
//! `text N THE TEXT`, `image-vector FILE` or `text-vector THE TEXT`; each is answered with one line when it is done, the
//! last two with the vector. `CLIP_ENGINE` and `ORT_DYLIB_PATH` select the engine.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::num::NonZeroUsize;

use bytes::Bytes;
use glimpse::config::Settings;
use glimpse::domain::Embedding;
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::{Engine, LocalProvider, Source};
use glimpse::imaging::{ImagingSettings, PreparedImage, prepare};

/// In place of a folder.
const BUILT_IN: &str = "built-in";

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [folder, precision, threads] = arguments.as_slice() else {
        eprintln!("skipped: zarf/peers/embed.py runs this");
        return Ok(());
    };
    let threads: NonZeroUsize = threads.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = match folder.as_str() {
        BUILT_IN => Source::built_in(),
        _ => Source::folder(folder, precision.clone().try_into()?),
    };
    let engine = Engine::from_settings(&Settings::load()?.embed);
    runtime.block_on(async { serve(LocalProvider::open(source.with_engine(engine), threads).await?).await })
}

async fn serve(model: LocalProvider) -> Result<(), Failed> {
    let size = model.preprocessing().size;
    let pixel = |place: u32| u8::try_from(place * 7 % 251).unwrap_or_default();
    let image = PreparedImage { size, rgb: Bytes::from((0..size * size * 3).map(pixel).collect::<Vec<u8>>()) };
    answer("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (count, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match what {
            "image" => {
                for _ in 0..count.parse()? {
                    black_box(model.embed_image(&image).await?);
                }
            }
            "batch" => {
                black_box(model.embed_image_batch(&vec![image.clone(); count.parse()?]).await?);
            }
            "text" => {
                for _ in 0..count.parse()? {
                    black_box(model.embed_text(text).await?);
                }
            }
            "image-vector" => {
                let limits = ImagingSettings::default().limits();
                let prepared = prepare(&std::fs::read(rest)?, &limits, &model.preprocessing())?;
                answer(&numbers(&model.embed_image(&prepared.image).await?))?;
                continue;
            }
            "text-vector" => {
                answer(&numbers(&model.embed_text(rest).await?))?;
                continue;
            }
            other => {
                return Err(format!("`{other}` must be image, batch, text, image-vector or text-vector").into());
            }
        }
        answer("done")?;
    }
    Ok(())
}

fn numbers(vector: &Embedding) -> String {
    vector.as_slice().iter().map(f32::to_string).collect::<Vec<_>>().join(" ")
}

fn answer(word: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}")?;
    out.flush()
}
