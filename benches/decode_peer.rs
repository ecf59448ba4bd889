//! One side of `zarf/peers/decode.py`: prepares files as it is asked on standard input, and nothing else, so that the
//! script can compare its CPU time with that of another library on the same core. It does nothing by itself.
//!
//! `decode_peer prepare`, then lines `SIDE fast|full|thumbnail PATH`; each is answered with one line when it is done.

use std::hint::black_box;
use std::io::{BufRead, Write};

use glimpse::imaging::isolated::{self, DecodeHelper, Request};
use glimpse::imaging::{Decode, Extras, ImageError, ImagingSettings, Preprocessing, prepare_with};

type Failed = Box<dyn std::error::Error>;

/// Decodes AVIF in this process, because the CPU time of this process is measured. The service does it in another one, which
/// costs a copy of the file and of the result.
#[derive(Debug)]
struct InThisProcess;

impl DecodeHelper for InThisProcess {
    fn run(&self, request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
        isolated::work(request)
    }
}

fn main() -> Result<(), Failed> {
    if !std::env::args().any(|argument| argument == "prepare") {
        eprintln!("skipped: zarf/peers/decode.py runs this");
        return Ok(());
    }
    isolated::install(InThisProcess);
    let limits = ImagingSettings::default().limits();
    let (mut read, mut file) = (String::new(), Vec::new());
    writeln!(std::io::stdout(), "ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [side, how, path] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            return Err(format!("`{line}` is not SIDE HOW PATH").into());
        };
        if read != path {
            file = std::fs::read(path)?;
            path.clone_into(&mut read);
        }
        let extras = match how {
            "fast" => Extras::default(),
            "full" => Extras { decode: Decode::Full, ..Extras::default() },
            "thumbnail" => Extras { thumbnail: true, ..Extras::default() },
            other => return Err(format!("`{other}` is none of fast, full and thumbnail").into()),
        };
        let square = Preprocessing::crop(side.parse()?);
        black_box(prepare_with(black_box(&file), &limits, &square, extras)?);
        writeln!(std::io::stdout(), "done")?;
    }
    Ok(())
}
