//! The schema of a template manifest in the API document. It is open: unknown fields are kept.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde_json::json;
use streams::wire::{API_VERSION, Manifest};

const NAME: &str = "Manifest";

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
    let shown = MetaSchema { min_length: Some(1), pattern: Some("\\S".into()), ..text("Its name for people.") };
    inline(open(
        vec!["displayName"],
        vec![
            ("displayName", inline(shown)),
            ("icon", inline(text("Its picture."))),
            ("baseImage", inline(text("The image that container platforms run."))),
        ],
    ))
}

/// An object with these fields and any others.
fn open(required: Vec<&'static str>, properties: Vec<(&'static str, MetaSchemaRef)>) -> MetaSchema {
    let others = Some(Box::new(inline(MetaSchema::ANY)));
    MetaSchema { required, properties, additional_properties: others, ..MetaSchema::new("object") }
}

fn text(description: &'static str) -> MetaSchema {
    let pattern = Some("^[^\\x00]*$".into());
    MetaSchema { description: Some(description), pattern, ..MetaSchema::new("string") }
}

fn word(only: &str) -> MetaSchemaRef {
    inline(MetaSchema { enum_items: vec![json!(only)], ..MetaSchema::new("string") })
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}
