//! What the API may use of the engine: the use cases of a caller, and no database library.

use std::fs;
use std::path::{Path, PathBuf};

/// Ways around the use cases, or to the database.
const FORBIDDEN: [&str; 8] =
    ["sea_orm", "DbErr", ".reader()", "engine::queries", "queries::", "engine::writer", "migrations::", "::Entity"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_api_reaches_the_engine_by_the_use_cases_only() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 50, "{}", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in FORBIDDEN {
            assert!(!shipped.contains(word), "{}: {word}; add a use case in engine/src/use_cases", file.display());
        }
    }
}

#[test]
fn the_api_is_built_without_a_database_library() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("a manifest");
    let (_, rest) = manifest.split_once("[dependencies]").expect("dependencies");
    let (needed, _) = rest.split_once("[dev-dependencies]").expect("dependencies of the tests");
    for name in ["sea-orm", "sqlx", "migrations"] {
        assert!(!needed.lines().any(|line| line.starts_with(name)), "{name}");
    }
}
