//! Settings and doctor as an operator meets them: the real command, fed what is right and what is not.

mod doctor;
mod settings;

use std::process::Output;

use crate::chat_cli::tidings;

/// What a command ended with and wrote: code, output, complaints.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

async fn run(args: &[&str]) -> Ran {
    tidings(args).await.into()
}
