//! The helper: reads requests, decodes, and answers, until its standard input ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use super::confine::{self, Baseline};
use super::wire::{self, RequestHead};
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::isolated::{Request, work};

/// Runs the helper in this process.
pub fn serve() -> ExitCode {
    // The parent gets the panics of decoders as errors of the image.
    std::panic::set_hook(Box::new(|_| {}));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent reads this if the helper ends.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    // Without the buffers of the standard streams: the messages are large.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let baseline = Baseline::read();
    let active = confine::confine()?;
    output.write_all(&[&wire::MAGIC[..], &[active]].concat())?;
    while let Some(head) = RequestHead::read(&mut input)? {
        baseline.limit(head.max_memory, head.cpu_seconds)?;
        let result = read_file(&mut input, &head)?.and_then(|bytes| {
            let RequestHead { format, output, max_memory, .. } = head;
            work(&Request { format, output, max_memory, bytes: &bytes })
        });
        wire::write_reply(&mut output, &result)?;
    }
    Ok(())
}

/// Reads the file. The result is an error of the image if there is not enough memory for it.
fn read_file(input: &mut impl Read, head: &RequestHead) -> io::Result<Result<Vec<u8>, ImageError>> {
    let mut bytes = Vec::new();
    let length = usize::try_from(head.length).unwrap_or(usize::MAX);
    if bytes.try_reserve_exact(length).is_err() {
        let format: ImageFormat = head.format.image_format();
        io::copy(&mut input.take(head.length), &mut io::sink())?;
        return Ok(Err(ImageError::corrupt(format, format!("its {length} bytes do not fit into the memory"))));
    }
    if input.take(head.length).read_to_end(&mut bytes)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Ok(bytes))
}
