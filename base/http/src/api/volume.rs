//! Volumes: what `volume create` is told, what `volume ls` and `volume inspect` tell; and the long
//! form of a container's mounts.

use base::json_object;
use base::map::Map;

json_object! {
    /// The body of `POST /volumes/create`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumeCreate {
        /// Empty for a random one.
        "Name" => pub name: String,
        /// `local`, or empty.
        "Driver" => pub driver: String,
        /// type, device, o: what is mounted for it.
        "DriverOpts" => pub options: Map<String, String>,
        /// Labels.
        "Labels" => pub labels: Map<String, String>,
    }
}

json_object! {
    /// One volume.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Volume {
        /// When it was made, RFC 3339.
        "CreatedAt" => pub created: String,
        /// `local`.
        "Driver" => pub driver: String,
        /// Labels.
        "Labels" => pub labels: Map<String, String>,
        /// Its folder on the host.
        "Mountpoint" => pub mount_point: String,
        /// Its name.
        "Name" => pub name: String,
        /// type, device, o.
        "Options" => pub options: Map<String, String>,
        /// `local`.
        "Scope" => pub scope: String,
        /// Only where it is asked for.
        "UsageData" ? => pub usage: Option<VolumeUsage>,
    }
}

json_object! {
    /// What a volume takes.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumeUsage {
        /// Bytes on disk.
        "Size" => pub size: i64,
        /// Containers that have it.
        "RefCount" => pub users: i64,
    }
}

json_object! {
    /// The answer to `GET /volumes`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumeList {
        /// All that fit the filters.
        "Volumes" => pub volumes: Vec<Volume>,
        /// What the user should know.
        "Warnings" => pub warnings: Vec<String>,
    }
}

json_object! {
    /// The answer to `POST /volumes/prune`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumesPruned {
        /// The names of those that are gone.
        "VolumesDeleted" => pub deleted: Vec<String>,
        /// Bytes that are free now.
        "SpaceReclaimed" => pub space: u64,
    }
}

json_object! {
    /// More about a bind.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct BindOptions {
        /// rprivate, rslave, …
        "Propagation" ? => pub propagation: String,
        /// Only the bind itself, nothing that is mounted below it.
        "NonRecursive" ? => pub non_recursive: bool,
        /// The source is made when it is missing.
        "CreateMountpoint" ? => pub create_source: bool,
    }
}

json_object! {
    /// A volume's driver and its options.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumeDriver {
        /// `local`, or empty.
        "Name" ? => pub name: String,
        /// type, device, o.
        "Options" ? => pub options: Map<String, String>,
    }
}

json_object! {
    /// More about a volume.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct VolumeOptions {
        /// An empty one stays empty.
        "NoCopy" ? => pub no_copy: bool,
        /// Labels for a new one.
        "Labels" ? => pub labels: Map<String, String>,
        /// How a new one is made.
        "DriverConfig" ? => pub driver: Option<VolumeDriver>,
    }
}

json_object! {
    /// More about a file system in memory.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct TmpfsOptions {
        /// Bytes; 0 for half of the memory.
        "SizeBytes" ? => pub size: i64,
        /// Permissions; 0 for 1777.
        "Mode" ? => pub mode: i64,
    }
}

json_object! {
    /// One `--mount`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Mount {
        /// bind, volume, tmpfs.
        "Type" => pub kind: String,
        /// A path on the host, or a volume's name.
        "Source" ? => pub source: String,
        /// The path inside.
        "Target" => pub target: String,
        /// Not writable from inside.
        "ReadOnly" ? => pub read_only: bool,
        /// For binds.
        "BindOptions" ? => pub bind: Option<BindOptions>,
        /// For volumes.
        "VolumeOptions" ? => pub volume: Option<VolumeOptions>,
        /// For file systems in memory.
        "TmpfsOptions" ? => pub tmpfs: Option<TmpfsOptions>,
    }
}
