//! The helper of the local driver as a program of its own: in an installation the binary `streamspace` is it.

fn main() -> std::process::ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    driver_local::helper(&arguments).unwrap_or(std::process::ExitCode::from(2))
}
