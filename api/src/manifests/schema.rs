//! The schema of a template manifest in the API document. It is open: unknown fields are kept.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde_json::json;
use streams::limits::{DISPLAY_NAME, ICON, IMAGE};
use streams::wire::{API_VERSION, Manifest};

const NAME: &str = "Manifest";
/// Text without control characters.
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// The same, which is not blank.
const NAMED: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// Printable text that is no URL, or one whose scheme a page may show: what `streams::limits::manifest` takes.
const PICTURE: &str = r"^(([hH][tT][tT][pP][sS]?:|[dD][aA][tT][aA]:[iI][mM][aA][gG][eE]/|[^a-zA-Z\x00-\x1f\x7f-\x9f]|[a-zA-Z][a-zA-Z0-9+.-]*[^a-zA-Z0-9+.:\x00-\x1f\x7f-\x9f-])[^\x00-\x1f\x7f-\x9f]*|[a-zA-Z][a-zA-Z0-9+.-]*)?$";

pub(super) fn reference() -> MetaSchemaRef {
    MetaSchemaRef::Reference(NAME.to_owned())
}

pub(super) fn register(registry: &mut Registry) {
    registry.create_schema::<Manifest, _>(NAME.to_owned(), |_| MetaSchema {
        description: Some("A template manifest. Fields that this version does not know are kept, and warned about."),
        example: Some(json!({
            "apiVersion": API_VERSION,
            "kind": "Template",
            "metadata": { "name": "firefox" },
            "spec": {
                "displayName": "Firefox",
                "category": "Web Browsers",
                "baseImage": "lscr.io/linuxserver/firefox:latest",
                "defaultResources": { "memory": "2Gi", "cpu": "1000m" },
                "ports": [{ "name": "vnc", "containerPort": 3000 }],
                "vnc": { "enabled": true, "port": 3000 },
            },
        })),
        ..open(
            vec!["apiVersion", "kind", "metadata", "spec"],
            vec![
                ("apiVersion", word(API_VERSION)),
                ("kind", word("Template")),
                ("metadata", metadata()),
                ("spec", spec()),
            ],
        )
    });
}

fn metadata() -> MetaSchemaRef {
    let name = MetaSchema {
        description: Some("What sessions name as `template_id`."),
        max_length: Some(128),
        pattern: Some("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$".into()),
        ..MetaSchema::new("string")
    };
    inline(open(vec!["name"], vec![("name", inline(name))]))
}

fn spec() -> MetaSchemaRef {
    let shown = text("Its name for people.", NAMED, DISPLAY_NAME);
    let shown = MetaSchema { min_length: Some(1), ..shown };
    inline(open(
        vec!["displayName"],
        vec![
            ("displayName", inline(shown)),
            ("icon", inline(text("Its picture: a path, an http or https URL, or a data:image/ URL.", PICTURE, ICON))),
            ("baseImage", inline(text("The image that container platforms run.", PRINTABLE, IMAGE))),
        ],
    ))
}

/// An object with these fields and any others.
fn open(required: Vec<&'static str>, properties: Vec<(&'static str, MetaSchemaRef)>) -> MetaSchema {
    let others = Some(Box::new(inline(MetaSchema::ANY)));
    MetaSchema { required, properties, additional_properties: others, ..MetaSchema::new("object") }
}

fn text(description: &'static str, pattern: &str, max_length: usize) -> MetaSchema {
    let (pattern, max_length) = (Some(pattern.to_owned()), Some(max_length));
    MetaSchema { description: Some(description), pattern, max_length, ..MetaSchema::new("string") }
}

fn word(only: &str) -> MetaSchemaRef {
    inline(MetaSchema { enum_items: vec![json!(only)], ..MetaSchema::new("string") })
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}
