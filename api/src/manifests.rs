//! Reads template manifests: one as JSON, or any number of YAML documents, all or none of them.
//!
//! The text is split where YAML itself splits it (at a line that begins with `---`), so that each mistake can
//! be located: document, line of the whole text, field.

mod schema;

use engine::FieldError;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use streams::wire::{Manifest, ManifestError};

use crate::body::{self, Limits};
use crate::problem::{Kind, Problem};

const YAML: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
/// Maximum documents per request.
const MAX_DOCUMENTS: usize = 1_000;
/// Maximum mistakes reported.
const MAX_MISTAKES: usize = 20;
const HINT: &str = "correct it and send the whole request again; nothing of it was accepted";

/// Parsed and validated manifests.
#[derive(Debug)]
pub(crate) struct Manifests(pub(crate) Vec<Manifest>);

impl<'a> ApiExtractor<'a> for Manifests {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        schema::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let yaml = MetaMediaType { content_type: "application/yaml", schema: String::schema_ref() };
        let json = MetaMediaType { content_type: "application/json", schema: schema::reference() };
        Some(MetaRequest { description: None, content: vec![json, yaml], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let media_type = body::media_type(request);
        let yaml = YAML.contains(&media_type.as_str());
        if !yaml && !body::is_json(&media_type) {
            return Err(body::unsupported(request, "application/yaml or application/json").into());
        }
        let limit = request.data::<Limits>().map_or(0, |limits| limits.templates);
        let bytes = body::read(request, body, limit).await?;
        let manifests = if yaml { from_yaml(&bytes)? } else { vec![from_json(&bytes)?] };
        Ok(Self(manifests))
    }
}

fn from_json(bytes: &[u8]) -> Result<Manifest, Problem> {
    let document = body::json(bytes)?;
    Manifest::from_json(document).map_err(|error| Problem::invalid(vec![placed(&error, None)]))
}

fn from_yaml(bytes: &[u8]) -> Result<Vec<Manifest>, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(Kind::MalformedBody, format!("the body is not UTF-8: {error}")))?;
    let documents = split(text);
    if documents.is_empty() || documents.len() > MAX_DOCUMENTS {
        let rule = format!("must hold 1 to {MAX_DOCUMENTS} documents, not {}", documents.len());
        return Err(Problem::invalid(vec![mistake("body".into(), rule)]));
    }
    let (mut manifests, mut mistakes) = (Vec::new(), Vec::new());
    for (i, document) in documents.iter().enumerate() {
        match document.parse() {
            Ok(read) => manifests.extend(read),
            Err(error) => mistakes.push(placed(&error, Some((i, document.line)))),
        }
        if mistakes.len() == MAX_MISTAKES {
            break;
        }
    }
    if mistakes.is_empty() { Ok(manifests) } else { Err(Problem::invalid(mistakes)) }
}

/// A document, and the line of the whole text at which it begins, counted from 0.
struct Document<'a> {
    line: usize,
    text: Vec<&'a str>,
}

impl Document<'_> {
    /// Whether it contains only comments and directives.
    fn is_empty(&self) -> bool {
        self.text
            .iter()
            .map(|line| line.trim())
            .all(|line| line.is_empty() || line.starts_with(['#', '%']) || line == "---" || line == "...")
    }

    fn parse(&self) -> Result<Vec<Manifest>, ManifestError> {
        let text = self.text.join("\n");
        // parse an invalid document again at its original line, so that its errors have the lines of the whole text
        Manifest::parse_all(&text).or_else(|_| Manifest::parse_all(&format!("{}{text}", "\n".repeat(self.line))))
    }
}

fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = vec![Document { line: 0, text: Vec::new() }];
    for (line, content) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if content == "---" || content.starts_with("--- ") || content.starts_with("---\t") {
            documents.push(Document { line, text: Vec::new() });
        }
        if let Some(document) = documents.last_mut() {
            document.text.push(content);
        }
    }
    documents.retain(|document| !document.is_empty());
    documents
}

/// A mistake with its location: the document and its first line, if there are several.
fn placed(error: &ManifestError, place: Option<(usize, usize)>) -> FieldError {
    let (field, rule) = match error {
        ManifestError::Field { field, rule } => (field.as_str(), rule.clone()),
        // the first line has the position and the error; an excerpt follows
        other => ("", other.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()),
    };
    let Some((index, line)) = place else { return mistake(field.into(), rule) };
    let dot = if field.is_empty() { "" } else { "." };
    let rule = if field.is_empty() { rule } else { format!("{rule} (document begins on line {})", line + 1) };
    mistake(format!("documents[{index}]{dot}{field}"), rule)
}

fn mistake(field: String, rule: String) -> FieldError {
    FieldError { field, rule, hint: HINT.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_with_their_lines_and_empty_ones_are_none() {
        let documents = split("# a catalog\n---\na: 1\n---\n# nothing\n--- # b\nb: 2\n");
        let lines: Vec<usize> = documents.iter().map(|document| document.line).collect();
        assert_eq!(lines, [1, 5]);
    }
}
