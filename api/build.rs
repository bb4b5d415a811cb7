//! Compiles this crate again when the web UI was built anew.

#[allow(clippy::print_stdout)] // cargo reads it
fn main() {
    // the folder is always there: its .gitignore is committed
    println!("cargo:rerun-if-changed=../web/dist");
}
