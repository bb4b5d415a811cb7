//! The platforms that this binary can drive: one line each.

use std::process::ExitCode;

use controllers::Registration;

/// The platforms. Each is a crate behind a feature of its name.
pub(crate) const PLATFORMS: &[Registration] = &[
    #[cfg(feature = "docker")]
    driver_docker::PLATFORM,
    #[cfg(feature = "local")]
    driver_local::PLATFORM,
    #[cfg(feature = "noop")]
    driver_noop::PLATFORM,
];

/// The platform of a name.
pub(crate) fn named(name: &str) -> Option<&'static Registration> {
    PLATFORMS.iter().find(|platform| platform.name == name)
}

/// Their names, for a sentence.
pub(crate) fn names() -> String {
    let names = PLATFORMS.iter().map(|platform| platform.name).collect::<Vec<_>>();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// Keys of the settings that only some platform has.
pub(crate) fn settings() -> impl Iterator<Item = &'static str> {
    PLATFORMS.iter().flat_map(|platform| platform.settings).map(|setting| setting.key)
}

/// What a driver does in a process of its own, where the arguments ask for it.
pub(crate) fn helper(arguments: &[String]) -> Option<ExitCode> {
    PLATFORMS.iter().filter_map(|platform| platform.helper).find_map(|helper| helper(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_every_platform_is_one_that_an_engine_uses() {
        for platform in PLATFORMS {
            assert_eq!(engine::check_schema((platform.schema)()), Ok(()), "{}", platform.name);
        }
    }
}
