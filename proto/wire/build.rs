//! Compiles the protocol definitions with protox, so that no protoc is needed.

use std::error::Error;
use std::path::Path;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "envelope",
        "question",
        "people",
        "answer",
        "catalogue",
        "sandbox",
        "studies",
        "releases",
        "exposure",
        "projects",
        "grants",
        "subjects",
        "owner",
        "directory",
    ]
    .map(|name| root.join("obscura/v1").join(name).with_extension("proto"));
    let descriptors = protox::compile(files, [root])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
