//! What exists: paths, their methods, and the query parameters of each.
//!
//! The table is taken from the same description that the API document is made of. It answers what a router alone cannot: the
//! name of a route before it is called, the methods of a path that was asked with another, and whether a parameter that
//! nobody reads was misspelt.

use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaOperation, MetaParamIn, MetaSchemaRef};

use crate::login;

/// Where the resources live.
pub(crate) const PREFIX: &str = "/api/v1";

/// What is served besides the resources.
const OUTSIDE: [&str; 12] = [
    "/",
    "/assets/{name}",
    "/favicon.svg",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/asyncapi.json",
    "/docs",
    "/docs/",
    "/problems",
    "/problems/{name}",
];

/// One path and what can be done there.
#[derive(Debug)]
pub(crate) struct Route {
    /// With its placeholders, as `/api/v1/sessions/{id}`.
    pub(crate) path: String,
    /// What stands between its slashes.
    segments: Vec<String>,
    operations: Vec<Operation>,
}

/// One method of a path.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// Its name in the API document; what is served besides has none.
    pub(crate) id: Option<&'static str>,
    /// What each parameter must be, by its name, wherever it stands.
    parameters: Vec<(String, MetaSchemaRef)>,
    /// `None`: any parameter is let through.
    pub(crate) query: Option<Vec<String>>,
    /// The headers that it reads.
    pub(crate) headers: Vec<String>,
    /// The `operationId`, where the operation is deprecated.
    deprecated: Option<&'static str>,
    /// Whether it reads a body.
    pub(crate) body: bool,
    /// Whether its answer has no end.
    pub(crate) streams: bool,
}

impl Route {
    fn new(path: String, operations: Vec<Operation>) -> Self {
        let segments = path.split('/').map(str::to_owned).collect();
        Self { path, segments, operations }
    }

    fn operation(&self, method: &Method) -> Option<&Operation> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|operation| operation.method == *method)
    }

    pub(crate) fn has(&self, method: &Method) -> bool {
        self.operation(method).is_some()
    }

    /// The methods, as the header `Allow` lists them.
    pub(crate) fn allow(&self) -> String {
        self.operations.iter().map(|operation| operation.method.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The query parameters that a method reads; `None` where it does not matter.
    pub(crate) fn query(&self, method: &Method) -> Option<&[String]> {
        self.operation(method)?.query.as_deref()
    }

    /// The headers that a method reads.
    pub(crate) fn headers(&self, method: &Method) -> &[String] {
        self.operation(method).map_or(&[], |operation| &operation.headers)
    }

    /// The `operationId` of a method that is deprecated.
    pub(crate) fn deprecated(&self, method: &Method) -> Option<&'static str> {
        self.operation(method)?.deprecated
    }

    /// What a parameter of this name must be: the operations of a path agree about it.
    pub(crate) fn parameter(&self, name: &str) -> Option<&MetaSchemaRef> {
        let mut all = self.operations.iter().flat_map(|operation| &operation.parameters);
        all.find(|(known, _)| known == name).map(|(_, schema)| schema)
    }

    /// The name of the nth placeholder.
    pub(crate) fn placeholder(&self, n: usize) -> Option<&str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).nth(n)
    }

    /// What stands in a path where this one has a placeholder, still encoded.
    pub(crate) fn value<'a>(&self, placeholder: &str, path: &'a str) -> Option<&'a str> {
        let is_it = |segment: &str| segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) == Some(placeholder);
        self.path.split('/').zip(path.split('/')).find(|(own, _)| is_it(own)).map(|(_, asked)| asked)
    }

    /// Whether it fits a path of as many segments.
    fn matches(&self, asked: &str) -> bool {
        let fits = |(own, asked): (&String, &str)| own == asked || own.starts_with('{') && !asked.is_empty();
        self.segments.iter().zip(asked.split('/')).all(fits)
    }

    /// How many of its segments are placeholders.
    fn placeholders(&self) -> usize {
        self.segments.iter().filter(|segment| segment.starts_with('{')).count()
    }
}

/// All routes, those with fewer placeholders before those with more.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// Those of an API, and what is served besides.
    pub(crate) fn of<A: OpenApi>() -> Self {
        let outside = |method| Operation {
            method,
            id: None,
            parameters: Vec::new(),
            query: None,
            headers: Vec::new(),
            deprecated: None,
            body: false,
            streams: false,
        };
        let login = [Method::GET, Method::POST, Method::DELETE].map(outside).into();
        let login = Route::new(login::PATH.to_owned(), login);
        let outside = OUTSIDE.iter().map(|path| Route::new((*path).to_owned(), vec![outside(Method::GET)]));
        let inside = A::meta().into_iter().flat_map(|api| api.paths).map(|path| {
            let operations = path.operations.into_iter().map(operation).collect();
            Route::new(format!("{PREFIX}{}", path.path), operations)
        });
        let mut routes: Vec<Route> = Vec::new();
        for route in inside.chain(outside).chain([login]) {
            match routes.iter_mut().find(|known| known.path == route.path) {
                Some(known) => known.operations.extend(route.operations),
                None => routes.push(route),
            }
        }
        routes.sort_by_key(Route::placeholders);
        Self(routes)
    }

    /// Every operation of the document, with its path.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&Route, &Operation)> {
        self.0.iter().flat_map(|route| route.operations.iter().map(move |operation| (route, operation)))
    }

    /// The route of a path; one that names it wins over one that has a placeholder there.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        let segments = path.split('/').count();
        self.0.iter().find(|route| route.segments.len() == segments && route.matches(path))
    }
}

fn operation(meta: MetaOperation) -> Operation {
    let parameters = meta.params.iter().map(|param| (param.name.clone(), param.schema.clone())).collect();
    let of = |kind: MetaParamIn| meta.params.iter().filter(move |param| param.in_type == kind);
    let query = of(MetaParamIn::Query).map(|param| param.name.clone()).collect();
    let headers = of(MetaParamIn::Header).map(|param| param.name.clone()).collect();
    let mut contents = meta.responses.responses.iter().flat_map(|response| &response.content);
    let streams = contents.any(|content| content.content_type == "text/event-stream")
        || meta.responses.responses.iter().any(|response| response.status == Some(101));
    Operation {
        method: meta.method,
        id: meta.operation_id,
        parameters,
        query: Some(query),
        headers,
        deprecated: meta.operation_id.filter(|_| meta.deprecated),
        body: meta.request.is_some(),
        streams,
    }
}
