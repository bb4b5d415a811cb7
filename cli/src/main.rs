//! The binary `streamspace`. Everything is in the library of this crate, so that tests reach it.

/// The engine makes and drops many small things at once, on several threads; glibc's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
