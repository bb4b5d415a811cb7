//! Platforms: what controllers announce about them, and what follows for requests and templates.
//!
//! The engine has no list of platforms. One is known if an admitted controller has announced it, alive or not, or if this
//! installation names it itself: as its default, or in a built-in template. A template is valid for a platform if one of
//! its controllers accepts it. That is checked when a template is written and when a session is created, and never again:
//! a wake uses what was pinned then.

mod schema;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::Value;
use streams::ids::Platform;
use streams::wire::{Keeps, Manifest};

use crate::Engine;
use crate::hint::Hint;
use crate::queries;
use crate::request::FieldError;

pub(crate) use schema::Mistake;
use schema::Schema;
pub(crate) use watch::{Said, run};

/// The platform of a request that names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultPlatform {
    /// This one.
    Named(String),
    /// The only one that controllers have announced; `fallback` as long as there is none.
    OnlyOne {
        /// A platform whose controllers may come later.
        fallback: String,
    },
}

impl DefaultPlatform {
    fn name(&self) -> &str {
        let (Self::Named(name) | Self::OnlyOne { fallback: name }) = self;
        name
    }
}

impl From<&str> for DefaultPlatform {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for DefaultPlatform {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

/// What the controllers of a platform have announced.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// Domains and features that one of its controllers serves.
    pub capabilities: BTreeSet<String>,
    /// Attributes, with the values of all its controllers.
    pub attributes: BTreeMap<String, Vec<Value>>,
    /// What a session keeps while it is hibernated, whichever controller it is on; `None` if one did not say.
    pub keeps: Option<Keeps>,
    /// The schema of its block in templates, and its hash. Of several, the one of most controllers.
    pub template_schema: Option<(String, Value)>,
}

/// What is known of platforms, in memory; shared by requests and the loop that refreshes it.
#[derive(Debug, Clone)]
pub(crate) struct Platforms(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    default: DefaultPlatform,
    /// Platforms that the built-in templates name.
    built_in: Vec<String>,
    view: RwLock<View>,
    said: Said,
}

/// By platform.
type View = HashMap<String, OfPlatform>;

#[derive(Debug, Default)]
struct OfPlatform {
    attributes: BTreeMap<String, Vec<Value>>,
    keeps: Option<Keeps>,
    /// By hash, with the number of controllers that have it.
    schemas: BTreeMap<String, (Arc<Schema>, usize)>,
    /// A controller takes new work whose schema is not known.
    unknown: bool,
}

impl OfPlatform {
    /// The mistakes of a block, unless one of the controllers accepts it or may do so. Those of the schema with the
    /// fewest.
    fn mistakes(&self, platform: &str, block: &Value) -> Vec<Mistake> {
        if self.unknown {
            return Vec::new();
        }
        let each = self.schemas.values().map(|(schema, _)| schema.mistakes(platform, block));
        each.min_by_key(Vec::len).unwrap_or_default()
    }
}

impl Platforms {
    pub(crate) fn new(default: DefaultPlatform, built_in: &[Manifest]) -> Self {
        let blocks = |manifest: &Manifest| {
            let local = manifest.spec.local.iter().map(|_| "local".to_owned());
            local.chain(manifest.spec.extra.keys().cloned()).collect::<Vec<_>>()
        };
        let built_in = built_in.iter().flat_map(blocks).collect();
        Self(Arc::new(Shared { default, built_in, view: RwLock::default(), said: Said::default() }))
    }

    /// What controllers say with their heartbeats.
    pub(crate) fn said(&self) -> &Said {
        &self.0.said
    }

    fn is_named_here(&self, platform: &str) -> bool {
        self.0.default.name() == platform || self.0.built_in.iter().any(|name| name == platform)
    }

    /// The names of all known platforms.
    pub(crate) async fn names(&self, db: &impl ConnectionTrait) -> Result<BTreeSet<String>, DbErr> {
        let mut names: BTreeSet<String> = Box::pin(queries::announced_platforms(db)).await?.into_iter().collect();
        names.insert(self.0.default.name().to_owned());
        names.extend(self.0.built_in.iter().cloned());
        Ok(names)
    }

    /// The platform of a request: the named one if it is known, else the default.
    pub(crate) async fn of_request(
        &self,
        db: &impl ConnectionTrait,
        named: Option<&str>,
    ) -> Result<Result<String, FieldError>, DbErr> {
        match named {
            Some(named) => Ok(self.check(db, named).await?.map(|()| named.to_owned())),
            None => self.default(db).await,
        }
    }

    async fn default(&self, db: &impl ConnectionTrait) -> Result<Result<String, FieldError>, DbErr> {
        let DefaultPlatform::OnlyOne { fallback } = &self.0.default else {
            return Ok(Ok(self.0.default.name().to_owned()));
        };
        let announced = Box::pin(queries::announced_platforms(db)).await?;
        Ok(match announced.as_slice() {
            [only] => Ok(only.clone()),
            several if !several.is_empty() && !several.contains(fallback) => {
                let rule = format!("is needed: there are several ({}), and no default is set", several.join(", "));
                let hint = "name one, or start the server with STREAMSPACE_DEFAULT_PLATFORM";
                Err(FieldError { field: "platform".into(), rule, hint: hint.into() })
            }
            _ => Ok(fallback.clone()),
        })
    }

    async fn check(&self, db: &impl ConnectionTrait, platform: &str) -> Result<Result<(), FieldError>, DbErr> {
        if let Err(error) = Platform::try_new(platform) {
            let rule = error.to_string();
            return Ok(Err(FieldError { field: "platform".into(), rule, hint: Hint::Platforms }));
        }
        if self.is_named_here(platform) || Box::pin(queries::has_controller(db, platform)).await? {
            return Ok(Ok(()));
        }
        let known = self.names(db).await?.into_iter().collect::<Vec<_>>().join(", ");
        let rule = format!("{platform:?} is not known here: no controller has announced it");
        let hint = format!("use one of {known}, or start a controller for {platform} first");
        Ok(Err(FieldError { field: "platform".into(), rule, hint: hint.into() }))
    }

    /// The mistakes of a template's block for one platform, as far as its schema is known. A template without a block
    /// is one with an empty block.
    pub(crate) fn mistakes(&self, manifest: &Manifest, platform: &str) -> Vec<Mistake> {
        let view = self.0.view.read().unwrap_or_else(PoisonError::into_inner);
        let block = manifest.block(platform).unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        view.get(platform).map(|known| known.mistakes(platform, &block)).unwrap_or_default()
    }

    /// The mistakes of all blocks of a template whose platforms' schemas are known.
    pub(crate) fn all_mistakes(&self, manifest: &Manifest) -> Vec<Mistake> {
        let view = self.0.view.read().unwrap_or_else(PoisonError::into_inner);
        let blocks = view.iter().filter_map(|(platform, known)| Some((platform, known, manifest.block(platform)?)));
        let mut found: Vec<Mistake> =
            blocks.flat_map(|(platform, known, block)| known.mistakes(platform, &block)).collect();
        found.sort_by(|one, other| one.field.cmp(&other.field));
        found
    }

    fn announced(&self, platform: &str) -> Announced {
        let view = self.0.view.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = view.get(platform) else { return Announced::default() };
        let most = known.schemas.iter().max_by_key(|(_, (_, controllers))| *controllers);
        Announced {
            capabilities: BTreeSet::new(),
            attributes: known.attributes.clone(),
            keeps: known.keeps,
            template_schema: most.map(|(hash, (schema, _))| (hash.clone(), schema.document.clone())),
        }
    }
}

/// Checks that a schema of a platform's block in templates is one that an engine uses.
///
/// # Errors
/// The rule that it breaks.
pub fn check_schema(document: Value) -> Result<(), String> {
    Schema::compile(document).map(drop).map_err(|error| error.to_string())
}

impl Engine {
    /// All known platforms, with what their admitted controllers have announced.
    ///
    /// # Errors
    /// The database's error.
    pub async fn platforms(&self) -> Result<BTreeMap<String, Announced>, DbErr> {
        let names = self.parts.platforms.names(self.reader()).await?;
        let mut all: BTreeMap<String, Announced> =
            names.into_iter().map(|name| (name.clone(), self.parts.platforms.announced(&name))).collect();
        for row in queries::controllers(self.reader()).await?.into_iter().filter(|row| row.admitted) {
            let said = row.capabilities.as_ref().and_then(Value::as_array).into_iter().flatten();
            let said = said.filter_map(Value::as_str).map(str::to_owned);
            all.entry(row.platform).or_default().capabilities.extend(said);
        }
        Ok(all)
    }

    /// The names of all known platforms.
    ///
    /// # Errors
    /// The database's error.
    pub async fn platform_names(&self) -> Result<Vec<String>, DbErr> {
        Ok(self.parts.platforms.names(self.reader()).await?.into_iter().collect())
    }
}
