//! Compiles chatlake's own protocol definitions with a pure-Rust compiler, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const FILES: [&str; 3] =
        ["proto/chatlake/v1/event.proto", "proto/chatlake/v1/record.proto", "proto/chatlake/v1/carry.proto"];
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=proto/build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        // Ordered maps: the same event is always the same bytes.
        .btree_map(["."])
        // A row is large: what holds one is moved often.
        .boxed(".chatlake.v1.Partial.row")
        .compile_fds(descriptors)?;
    Ok(())
}
