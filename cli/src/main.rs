//! The binary `streamspace`. All code is in this crate's library, so that tests can call it.

/// The engine allocates many small, short-lived objects on several threads; glibc's allocator took a fifth of
/// its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
