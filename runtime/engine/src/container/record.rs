//! What a container is: fixed when it is made.

use base::json::Rest;
use base::json_object;
use base_http::api::container::ContainerConfig;
use base_http::api::host_config::HostConfig;

json_object! {
    /// A bind or a volume, as it is mounted at each start.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Mount {
        /// bind or volume.
        "Type" => pub(crate) kind: String,
        /// The volume's name.
        "Name" ? => pub(crate) name: String,
        /// The path on the host.
        "Source" => pub(crate) source: String,
        /// The path inside, without dots.
        "Destination" => pub(crate) target: String,
        /// Options as they were given.
        "Mode" ? => pub(crate) mode: String,
        /// Writable from inside.
        "RW" => pub(crate) writable: bool,
        /// A bind's: rprivate, rslave, rshared.
        "Propagation" ? => pub(crate) propagation: String,
        /// An empty volume stays empty.
        "NoCopy" ? => pub(crate) no_copy: bool,
        /// The volume was made for this container.
        "Anonymous" ? => pub(crate) anonymous: bool,
    }
}

json_object! {
    /// A container's record, `config.json`. Members of newer versions are kept.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Record {
        /// 64 hex digits.
        "Id" => pub(crate) id: String,
        /// Its name, without a slash.
        "Name" => pub(crate) name: String,
        /// When it was made, RFC 3339.
        "Created" => pub(crate) created: String,
        /// The image's id.
        "Image" => pub(crate) image: String,
        /// The program and its arguments, image and command line merged.
        "Command" => pub(crate) command: Vec<String>,
        /// The graph driver that made its root.
        "Driver" => pub(crate) driver: String,
        /// What runs, image and command line merged.
        "Config" => pub(crate) config: ContainerConfig,
        /// What the host gives.
        "HostConfig" => pub(crate) host_config: HostConfig,
        /// Binds and volumes.
        "Mounts" ? => pub(crate) mounts: Vec<Mount>,
        /// Members of newer versions.
        ..pub(crate) rest: Rest,
    }
}

impl Record {
    /// The name of its cgroup.
    pub(crate) fn cgroup(&self) -> String {
        libcontainer::cgroup::name(&self.id, &self.host_config.cgroup_parent)
    }

    /// The names of the volumes that were made for it.
    pub(crate) fn anonymous_volumes(&self) -> Vec<String> {
        let mounts = self.mounts.iter().filter(|mount| mount.anonymous);
        mounts.map(|mount| mount.name.clone()).collect()
    }
}
