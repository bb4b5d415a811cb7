//! The binary `streamspace`. Everything is in the library of this crate, so that tests reach it.

fn main() -> std::process::ExitCode {
    cli::main()
}
