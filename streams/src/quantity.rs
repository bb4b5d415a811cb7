//! Kubernetes quantities: `2Gi` of memory, `1000m` of CPU.
//!
//! Source: Kubernetes API conventions, "Resource quantity" (binary suffixes Ki..Ei, decimal suffixes m, k..E).

use crate::limits::shorten;

/// An invalid quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}, such as {example}")]
pub struct Error {
    text: String,
    what: &'static str,
    example: &'static str,
}

const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

fn number(text: &str) -> Option<f64> {
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|digits| (digits, *factor)))
        .unwrap_or((text, 1.0));
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value = digits.parse::<f64>().ok().filter(|_| plain)? * factor;
    (value.is_finite() && value > 0.0 && value <= 1e18).then_some(value)
}

/// Parses a memory quantity, at least one byte.
///
/// # Errors
/// The text is not a positive quantity of bytes.
pub fn bytes(text: &str) -> Result<u64, Error> {
    let error =
        || Error { text: shorten(text, 64).into_owned(), what: "a quantity of memory", example: "512Mi or 2Gi" };
    number(text).filter(|value| *value >= 1.0).map(|value| value as u64).ok_or_else(error)
}

/// Parses a CPU quantity in thousandths of a core, at least one.
///
/// # Errors
/// The text is not a positive quantity of cores.
pub fn millicores(text: &str) -> Result<u64, Error> {
    let error = || Error { text: shorten(text, 64).into_owned(), what: "a quantity of CPU", example: "500m or 2" };
    number(text).filter(|value| *value <= 1e6).map(|v| (v * 1e3).round() as u64).filter(|v| *v >= 1).ok_or_else(error)
}
