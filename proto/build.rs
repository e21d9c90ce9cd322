//! Compiles the wire contract without `protoc`: protox parses it, tonic-prost-build
//! writes the messages and both gRPC sides, pbjson-build the proto3 JSON mapping.

use std::{env, error::Error, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    const PROTO: &str = "membership.proto";
    println!("cargo::rerun-if-changed={PROTO}");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let files = protox::compile([PROTO], ["."])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(files.clone())?;
    pbjson_build::Builder::new()
        .register_descriptors(&files.encode_to_vec())?
        .out_dir(out)
        .build(&[".server"])?;
    Ok(())
}
