//! Finds the line of a field in a YAML text, so that an error can point to it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Any YAML value, with the line of each value of a mapping; only mappings are remembered.
#[derive(Default)]
struct Node(BTreeMap<String, (u64, Node)>);

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut node = Node::default();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let line = key.referenced.line();
            node.0.insert(key.value, (line, map.next_value()?));
        }
        Ok(node)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

/// The line of a field such as `spec.local.command`, counted from 1; for a missing field the line of the
/// nearest block around it.
#[must_use]
pub fn line_of(yaml: &str, field: &str) -> Option<u64> {
    let mut node = &serde_saphyr::from_str::<Node>(yaml).ok()?;
    let mut found = None;
    for name in field.split('.') {
        let Some((line, inner)) = node.0.get(name) else { break };
        (found, node) = (Some(*line), inner);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::line_of;

    const TEXT: &str =
        "# a template\nmetadata: {name: x}\nspec:\n  displayName: X\n  local:\n    command:\n      - nowhere\n";

    #[test]
    fn a_field_has_the_line_of_its_name_and_a_missing_one_that_of_the_block_around_it() {
        assert_eq!(line_of(TEXT, "spec.local.command"), Some(6));
        assert_eq!(line_of(TEXT, "metadata.name"), Some(2));
        assert_eq!(line_of(TEXT, "spec.baseImage"), Some(3));
        assert_eq!(line_of(TEXT, "kind"), None);
        assert_eq!(line_of("{", "kind"), None);
    }
}
