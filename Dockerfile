# syntax=docker/dockerfile:1

# Debian 12 on both sides: the binary finds the glibc it was linked against.
FROM rust:1-slim-bookworm AS build
# glommio compiles liburing; its build script calls git as well. The C compiler is in the image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin stackherd \
    && strip --strip-debug -o /stackherd target/release/stackherd

# glibc, libgcc and the certificate authorities, and neither a shell nor a package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /stackherd /usr/bin/stackherd
USER 65532:65532
ENTRYPOINT ["/usr/bin/stackherd"]
