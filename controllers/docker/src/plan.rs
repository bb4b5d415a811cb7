//! From a template to the container that is made of it. Decided whole before anything is touched.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigLogConfig, Mount, MountBindOptions, MountType,
    MountVolumeOptions, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use controllers::driver::{Desired, Spec, user_error};
use streams::{
    quantity,
    wire::{Failure, Manifest},
};

use super::{
    Config,
    block::{Block, mistake},
    image::Image,
    names::{self, Labels, Names, Role},
};

/// Where the home is unless the template says so.
const HOME: &str = "/home/user";
/// Names of mounts that are the home.
const HOME_MOUNTS: [&str; 2] = ["user-home", "home"];
/// The engine keeps two files of so much of what a session writes.
const LOG_BYTES: &str = "4m";

/// What a template comes to here.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) image: String,
    pub(crate) block: Block,
    /// The port of the container that the url leads to.
    pub(crate) port: Option<u16>,
    ports: Vec<u16>,
    /// Where the home is mounted.
    home: String,
    /// Further volumes of the session.
    scratch: Vec<String>,
    memory: Option<i64>,
    nano_cpus: Option<i64>,
}

impl Plan {
    /// # Errors
    /// A user's mistake, with the field, or with the setting that forbids it.
    pub(crate) fn of(spec: &Spec, config: &Config) -> Result<Self, Failure> {
        let missing =
            |what: &str| user_error("template_not_for_docker", format!("template {:?} {what}", spec.template_id));
        let template = spec.template.as_ref().ok_or_else(|| missing("came without its manifest"))?;
        let image = template.spec.base_image.clone().filter(|image| !image.trim().is_empty());
        let image = image.ok_or_else(|| missing("has no `spec.baseImage`, which platform `docker` needs to run it"))?;
        let block = Block::of(spec)?;
        config.allow.check(&block)?;
        let home = home(template, &block);
        let mounts = template.spec.volume_mounts.iter().map(|mount| mount.mount_path.clone());
        let scratch = mounts.filter(|path| *path != home).collect::<Vec<_>>();
        for path in scratch.iter().chain([&home]).chain(block.host_paths.iter().map(|path| &path.mount_path)) {
            if !path.starts_with('/') || path.as_str() == "/" {
                return Err(mistake("spec.volumeMounts.mountPath", format!("{path:?} is no folder below \"/\"")));
            }
        }
        let (port, ports) = ports(template);
        let memory = spec.resources.memory.as_deref().map(quantity::bytes).transpose();
        let memory = memory.map_err(|e| mistake("resources.memory", e))?.map(|bytes| bytes as i64);
        let cpu = spec.resources.cpu.as_deref().map(quantity::millicores).transpose();
        let nano_cpus = cpu.map_err(|e| mistake("resources.cpu", e))?.map(|millis| millis as i64 * 1_000_000);
        Ok(Self { image, block, port, ports, home, scratch, memory, nano_cpus })
    }

    /// The container, on a home.
    pub(crate) fn container(&self, of: &Making<'_>) -> ContainerCreateBody {
        let template = of.spec.template.as_ref();
        let labels = self.labels(of);
        let entrypoint = (!self.block.command.is_empty()).then(|| self.block.command.clone());
        let cmd = (!self.block.args.is_empty()).then(|| self.block.args.clone());
        let exposed = self.ports.iter().map(|port| format!("{port}/tcp")).collect::<Vec<_>>();
        ContainerCreateBody {
            image: Some(of.image.id.clone()),
            env: Some(self.environment(of, template)),
            labels: Some(labels),
            entrypoint,
            cmd,
            user: self.block.user.clone(),
            working_dir: self.block.working_dir.clone(),
            exposed_ports: (!exposed.is_empty()).then_some(exposed),
            host_config: Some(self.host(of)),
            ..ContainerCreateBody::default()
        }
    }

    fn labels(&self, of: &Making<'_>) -> Labels {
        let desired = of.desired;
        let more = [
            (names::CONTROLLER, of.config.controller_id.clone()),
            (names::SESSION, desired.session_id.to_string()),
            (names::USER, desired.user_id.clone()),
            (names::TEMPLATE, of.spec.template_id.clone()),
            (names::GENERATION, desired.generation.to_string()),
            (names::SPEC, serde_json::to_string(of.spec).unwrap_or_default()), // plain data: it always can be written
            (names::IMAGE, of.image.digest.clone()),
        ];
        let home = of.home.map(|name| (names::HOME, name.to_owned()));
        let shares = self.shares_home().then(|| (names::SHARES_HOME, "true".to_owned()));
        of.names.labels(Role::Session, more.into_iter().chain(home).chain(shares))
    }

    pub(crate) fn shares_home(&self) -> bool {
        self.block.home.as_ref().is_some_and(|home| home.shared)
    }

    /// Later ones win: nobody may set what tells a program whose session it is.
    fn environment(&self, of: &Making<'_>, template: Option<&Manifest>) -> Vec<String> {
        let home = [("HOME".to_owned(), self.home.clone())];
        let port = self.port.map(|port| ("PORT".to_owned(), port.to_string()));
        let templates = template.into_iter().flat_map(|t| &t.spec.env).map(|var| (var.name.clone(), var.value.clone()));
        let ours = [
            ("STREAMSPACE_SESSION_ID".to_owned(), of.desired.session_id.to_string()),
            ("STREAMSPACE_USER_ID".to_owned(), of.desired.user_id.clone()),
        ];
        let all = home.into_iter().chain(port).chain(templates).chain(ours).collect::<HashMap<_, _>>();
        let legal =
            |(name, value): &(String, String)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        let mut all = all.into_iter().filter(legal).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        all.sort_unstable();
        all
    }

    fn host(&self, of: &Making<'_>) -> HostConfig {
        let block = &self.block;
        let mut security = block.security_opt.clone();
        if !block.privileged {
            security.push("no-new-privileges:true".into());
        }
        let pids = block.pids.unwrap_or(of.config.pids_max).min(of.config.pids_max);
        let binding = PortBinding { host_ip: Some(of.config.publish.to_string()), host_port: Some(String::new()) };
        let bindings = self.ports.iter().map(|port| (format!("{port}/tcp"), Some(vec![binding.clone()])));
        let network = if block.host_network { Some("host".into()) } else { of.config.network.clone() };
        let log = [("max-size", LOG_BYTES), ("max-file", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        HostConfig {
            memory: self.memory,
            memory_swap: self.memory, // no swap on top of it
            nano_cpus: self.nano_cpus,
            pids_limit: Some(i64::from(pids)),
            init: block.init.then_some(true),
            shm_size: block.shm_size.as_deref().and_then(|size| quantity::bytes(size).ok()).map(|bytes| bytes as i64),
            mounts: Some(self.mounts(of)),
            port_bindings: Some(bindings.collect()),
            network_mode: network,
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..RestartPolicy::default() }),
            security_opt: Some(security),
            cap_add: (!block.cap_add.is_empty()).then(|| block.cap_add.clone()),
            cap_drop: (!block.cap_drop.is_empty()).then(|| block.cap_drop.clone()),
            devices: (!block.devices.is_empty()).then(|| block.devices.iter().map(|one| device(one)).collect()),
            privileged: block.privileged.then_some(true),
            pid_mode: block.host_pid.then(|| "host".into()),
            ipc_mode: block.host_ipc.then(|| "host".into()),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".into()), config: Some(HashMap::from(log)) }),
            ..HostConfig::default()
        }
    }

    /// The home, the session's own volumes (made with the container, and filled from the image), and what the host lends.
    fn mounts(&self, of: &Making<'_>) -> Vec<Mount> {
        let session = of.desired.session_id;
        let scratch_label = [(names::SESSION, session.to_string())];
        let labels = of.names.labels(Role::Scratch, scratch_label);
        let volume = |path: &str| Mount {
            target: Some(path.to_owned()),
            source: Some(of.names.scratch(session, path)),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions { labels: Some(labels.clone()), ..MountVolumeOptions::default() }),
            ..Mount::default()
        };
        let home = match of.home {
            None => volume(&self.home),
            Some(name) => Mount {
                target: Some(self.home.clone()),
                source: Some(name.to_owned()),
                typ: Some(MountType::VOLUME),
                ..Mount::default()
            },
        };
        let lent = self.block.host_paths.iter().map(|path| Mount {
            target: Some(path.mount_path.clone()),
            source: Some(path.host_path.clone()),
            typ: Some(MountType::BIND),
            read_only: Some(path.read_only),
            bind_options: Some(MountBindOptions::default()),
            ..Mount::default()
        });
        [home].into_iter().chain(self.scratch.iter().map(|path| volume(path))).chain(lent).collect()
    }
}

/// What a plan becomes a container with.
pub(crate) struct Making<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) spec: &'a Spec,
    pub(crate) config: &'a Config,
    pub(crate) names: &'a Names,
    pub(crate) image: &'a Image,
    /// The volume of a persistent home.
    pub(crate) home: Option<&'a str>,
}

fn home(template: &Manifest, block: &Block) -> String {
    let mounts = &template.spec.volume_mounts;
    let named = mounts.iter().find(|mount| HOME_MOUNTS.contains(&mount.name.as_str()));
    let said = block.home.as_ref().and_then(|home| home.path.clone());
    said.or_else(|| named.map(|mount| mount.mount_path.clone())).unwrap_or_else(|| HOME.into())
}

/// The port that the url leads to, and all that are published.
fn ports(template: &Manifest) -> (Option<u16>, Vec<u16>) {
    let spec = &template.spec;
    let webapp = spec.webapp.as_ref().filter(|webapp| webapp.enabled).and_then(|webapp| webapp.port);
    let vnc = spec.vnc.as_ref().filter(|vnc| vnc.enabled).and_then(|vnc| vnc.port);
    let mut declared =
        spec.ports.iter().filter(|port| port.protocol.eq_ignore_ascii_case("tcp")).map(|port| port.container_port);
    let main = webapp.or(vnc).or_else(|| declared.clone().next());
    let mut all = main.into_iter().collect::<Vec<_>>();
    all.extend(declared.by_ref());
    all.sort_unstable();
    all.dedup();
    (main, all)
}

/// The port of a container that the url leads to.
pub(crate) fn main_port(spec: &Spec) -> Option<u16> {
    spec.template.as_ref().and_then(|template| ports(template).0)
}

fn device(text: &str) -> DeviceMapping {
    let mut parts = text.split(':').map(str::to_owned);
    let host = parts.next();
    let container = parts.next().or_else(|| host.clone());
    let rights = parts.next().or_else(|| Some("rwm".into()));
    DeviceMapping { path_on_host: host, path_in_container: container, cgroup_permissions: rights }
}
